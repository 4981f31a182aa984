/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/fuse/mount.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <syslog.h>
#include <unistd.h>

#include "fs/control/control.h"
#include "fs/format/error_text.h"
#include "fs/fs.h"
#include "fs/fuse/attach.h"
#include "fs/fuse/dead_mount.h"
#include "fs/fuse/guardian.h"
#include "fs/fuse/harden.h"
#include "fs/fuse/loop_device.h"
#include "fs/fuse/mount_options.h"
#include "fs/fuse/notify.h"
#include "fs/fuse/remount.h"
#include "fs/fuse/rollback.h"
#include "fs/fuse/session.h"
#include "fs/fuse/syncfs.h"
#include "fs/fuse/workers.h"
#include "journal/base/report.h"
#include "journal/disk/disk.h"

/* --- messages: to stderr, or once the daemon runs to syslog --- */

static atomic_bool to_syslog; /* set once */
static atomic_bool reported; /* at least one message */

static void report(void *arg, const char *line)
{
	(void)arg;
	reported = true;
	if (to_syslog)
		syslog(LOG_ERR, "%s", line);
	else
		th_report_to_stderr(NULL, line);
}

static void log_line(void *level, const char *line)
{
	syslog((int)*(enum fuse_log_level *)level, "%s", line);
}

/* libfuse ends its lines itself, and writes some of them in pieces. */
static void fuse_log_line(enum fuse_log_level level, const char *format, va_list args)
{
	static _Thread_local char line[1024];
	static _Thread_local size_t size;

	vsnprintf(line + size, sizeof(line) - size, format, args);
	size = strlen(line);
	if (size < sizeof(line) - 1 && (!size || line[size - 1] != '\n'))
		return;
	line[strcspn(line, "\n")] = 0;
	size = 0;
	if (to_syslog)
		th_report_format(log_line, &level, "%s", line);
	else
		th_report_print("%s", line);
}

__attribute__((format(printf, 1, 2))) static void report_line(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	th_report_vformat(report, NULL, format, args);
	va_end(args);
}

static void inform(void *arg, const char *line)
{
	(void)arg;
	if (to_syslog)
		syslog(LOG_INFO, "%s", line);
	else
		th_report_to_stderr(NULL, line);
}

/* Reports something that is no error. */
__attribute__((format(printf, 1, 2))) static void report_info(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	th_report_vformat(inform, NULL, format, args);
	va_end(args);
}

static void report_unmountable(const struct th_mount_options *options, int err)
{
	char why[TH_ERROR_TEXT_MAX];

	/* Damage was reported where it was found, in more detail than an error number has. */
	if ((err == -EUCLEAN || err == -EBADMSG) && reported)
		return;
	report_line("cannot mount %s: %s", options->image, th_error_text_image(options->image, err, why));
}

/* --- leaving the terminal --- */

static void close_standard_streams(void)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null < 0)
		return;
	for (int fd = 0; fd < 3; fd++)
		dup2(null, fd);
	if (null > 2)
		close(null);
}

/* Errors until now went to the terminal; from here on they go to syslog. */
static void become_daemon(struct th_fuse *fuse)
{
	openlog("thunderhead", LOG_PID, LOG_DAEMON);
	to_syslog = true;
	if (chdir("/") < 0)
		report_line("cannot change the working directory to /: %s; its filesystem stays in use",
			    strerror(errno));
	close_standard_streams();
	ssize_t n = write(fuse->ready_fd, "", 1);

	(void)n; /* it fails if the parent was killed: then no process waits for it */
	close(fuse->ready_fd);
}

/* The mount works. */
static void mount_ready(struct th_fuse *fuse)
{
	if (fuse->ready_fd >= 0)
		become_daemon(fuse);
	if (!fuse->block)
		report_info("%s: sync(1) and syncfs(2) do not reach this mount, and unmounting does not wait: %s",
			    fuse->directory, fuse->no_block);
	else if (!fuse->syncs)
		report_info("%s: sync(1) and syncfs(2) do not reach this mount: Linux 6.18 and later pass them on",
			    fuse->directory);
}

/* --- serving --- */

/* Called when no worker runs any more, with the channels still open. */
static void session_stopped(void *arg)
{
	th_fuse_syncer_stop(arg);
	th_fuse_notifier_stop(arg);
}

/* Serves until the session ends: unmounted, or by a signal. */
static int serve_mounted(struct th_fuse *fuse, sigset_t *signals, struct th_fuse_end *end)
{
	if (fuse_set_signal_handlers(fuse->session) < 0)
		return -EIO;
	int err = fuse->block ? th_fuse_syncer_start(fuse) : 0;

	/* Only this thread receives them: it is the one that waits for the session's end. */
	pthread_sigmask(SIG_UNBLOCK, signals, NULL);
	if (!err)
		err = th_fuse_serve(fuse->session, &fuse->barrier, end);
	pthread_sigmask(SIG_BLOCK, signals, NULL);
	fuse_remove_signal_handlers(fuse->session);
	return err;
}

static void restrict_system_calls(const struct th_fuse *fuse)
{
	int err = fuse->seccomp ? th_harden_system_calls() : 0;

	if (err)
		report_line("%s: the system calls of the daemon are not restricted: %s", fuse->directory,
			    th_error_text(err));
}

static int mount_and_serve(struct th_fuse *fuse, const struct th_fuse_attach *attach, sigset_t *signals,
			   struct th_fuse_end *end)
{
	int err = th_fuse_attach(fuse, attach);

	if (err)
		return err; /* reported */
	th_fuse_guardian_start(fuse->directory); /* without one, a killed daemon may have to be ended by umount -f */
	th_barrier_init(&fuse->barrier);
	th_fuse_rollback_setup(fuse);
	err = th_fuse_notifier_start(fuse);
	restrict_system_calls(fuse);
	if (!err)
		err = serve_mounted(fuse, signals, end);
	session_stopped(fuse);
	th_disk_hold(attach->disk, TH_DISK_HOLD_LEAVING);
	/* After DESTROY the directory is free, and another mount may be there already. */
	if (end->destroy_fd < 0)
		fuse_session_unmount(fuse->session);
	if (err)
		report_line("cannot serve %s, which is unmounted again: %s", attach->directory, th_error_text(err));
	fuse_session_destroy(fuse->session);
	th_barrier_release(&fuse->barrier);
	return err;
}

/* Reports which branch, snapshot or directory the image does not have.  Each is looked for in the one before it, so
 * with several of these options any may be missing. */
static void report_missing(const struct th_mount_options *options, const struct th_fs_options *fs_options)
{
	const char *const what[] = { "branch ", "snapshot ", "directory " };
	const char *const names[] = { fs_options->branch, fs_options->snapshot, fs_options->subdir };
	const char *with = "";
	char *view = NULL;
	size_t size;
	FILE *out = open_memstream(&view, &size); /* a path has no bound here */

	for (size_t i = 0; out && i < 3; i++) {
		if (names[i]) {
			fprintf(out, "%s%s%s", with, what[i], names[i]);
			with = " with ";
		}
	}
	if (!out || fclose(out) != 0)
		report_unmountable(options, -ENOENT);
	else
		report_line("cannot mount %s: there is no %s%s", options->image, view,
			    fs_options->snapshot ? " (see thunderhead snapshot list)"
			    : fs_options->branch ? " (see thunderhead branch list)"
						 : "");
	free(view);
}

/* Opens the disk.  If the kernel has a filesystem of a dead daemon on the device, that is unmounted; if a program still
 * uses it, the device is opened without a claim (*ret_unclaimed). */
static int open_disk(const char *image, bool read_only, struct th_disk **ret, bool *ret_unclaimed)
{
	unsigned flags = read_only ? TH_DISK_READ_ONLY : 0;
	const char *device = th_disk_url_path(image);
	int err = th_disk_open_url(image, flags, ret);

	*ret_unclaimed = false;
	if (err != -EBUSY || !device)
		return err;
	if (th_dead_mount_remove_device(device) > 0)
		err = th_disk_open_url(image, flags, ret);
	if (err == -EBUSY && th_device_is_dead(device)) {
		*ret_unclaimed = true;
		err = th_disk_open_url(image, flags | TH_DISK_UNCLAIMED, ret);
	}
	return err;
}

static int open_image(const struct th_mount_options *options, const struct th_fs_options *fs_options,
		      struct th_fuse_attach *attach, struct th_fs **ret)
{
	bool read_only = fs_options->read_only || fs_options->snapshot;
	int err = open_disk(options->image, read_only, &attach->disk, &attach->unclaimed);

	if (err) {
		report_unmountable(options, err);
		return err;
	}
	err = th_fs_open(attach->disk, fs_options, ret);
	if (!err)
		return 0;
	th_disk_close(attach->disk);
	if (err == -ENOENT)
		report_missing(options, fs_options);
	else
		report_unmountable(options, err);
	return err;
}

/* Every read and write allocates and frees a buffer of up to a transfer's size.  By default malloc maps large ones with
 * each allocation, and each of their pages is faulted in and cleared: as many page faults as blocks are moved. */
static void tune_malloc(void)
{
	mallopt(M_MMAP_THRESHOLD, 4 << 20);
	mallopt(M_TRIM_THRESHOLD, 16 << 20);
	mallopt(M_TOP_PAD, 1 << 20);
	mallopt(M_ARENA_MAX, 1); /* each arena would keep as much */
}

/* Blocked before threads start, which inherit it: a signal must reach the one thread that handles it. */
static void block_signals(sigset_t *ret)
{
	sigemptyset(ret);
	sigaddset(ret, SIGINT);
	sigaddset(ret, SIGTERM);
	sigaddset(ret, SIGHUP);
	pthread_sigmask(SIG_BLOCK, ret, NULL);
}

static int run(const struct th_mount_options *options, struct th_mount_parsed *parsed, int ready_fd)
{
	struct th_fuse fuse = { .max_read = parsed->max_read,
				.exports = parsed->exports,
				.seccomp = !parsed->no_seccomp,
				.directory = options->directory,
				.ready = mount_ready,
				.ready_fd = ready_fd };
	struct th_fuse_attach attach = {
		.image = options->image, .directory = options->directory, .options = parsed, .log = fuse_log_line
	};
	struct th_fuse_end end = { .stopped = session_stopped, .arg = &fuse, .destroy_fd = -1 };
	sigset_t signals;

	th_harden_begin(ready_fd, options->foreground);
	tune_malloc();
	block_signals(&signals);
	fuse_set_log_func(fuse_log_line);
	parsed->fs.report = report;
	parsed->fs.mounted_by = geteuid();
	int err = open_image(options, &parsed->fs, &attach, &fuse.fs);

	if (err)
		return err;
	err = th_control_new(fuse.fs, &fuse.control);
	if (!err && !th_fs_writable(fuse.fs))
		th_control_resume_scrub(fuse.control); /* after an error a later mount resumes it */
	if (!err)
		err = mount_and_serve(&fuse, &attach, &signals, &end);
	th_control_free(fuse.control);
	int close_err = th_fs_close(fuse.fs);

	if (close_err)
		report_line("%s: the last changes before unmounting could not be written: %s; the image holds the last "
			    "checkpoint and later syncs",
			    options->image, th_error_text(close_err));
	th_fuse_end_reply(&end);
	return err ? err : close_err;
}

/* --- becoming a daemon --- */

/* In the parent process: waits until the daemon is ready, or has ended.  Returns 0 or -EIO. */
static int wait_ready(int fd, pid_t child)
{
	ssize_t n;
	char byte;

	do {
		n = read(fd, &byte, 1);
	} while (n < 0 && errno == EINTR);
	close(fd);
	if (n == 1)
		return 0;
	waitpid(child, NULL, 0);
	return -EIO; /* the daemon has reported why */
}

static int run_daemon(const struct th_mount_options *options, struct th_mount_parsed *parsed)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	pid_t child = fork();

	if (child < 0) {
		int err = -errno;

		report_unmountable(options, err);
		return err;
	}
	if (child > 0) {
		close(fds[1]);
		return wait_ready(fds[0], child);
	}
	close(fds[0]);
	setsid();
	return run(options, parsed, fds[1]);
}

/* The kernel also accepts a file as the mount point, and fails later, since the root is a directory. */
static int check_mount_point(const char *directory)
{
	struct stat status;

	if (stat(directory, &status) < 0)
		return -errno;
	return S_ISDIR(status.st_mode) ? 0 : -ENOTDIR;
}

/* Resolves the mount point, and unmounts it if its daemon has ended.  The caller frees *ret.  Returns 0, or -errno
 * after reporting. */
static int prepare_directory(const struct th_mount_options *options, char **ret)
{
	char *directory = th_mount_point(options->directory);
	int err = directory ? th_dead_mount_remove(directory) : -errno;

	*ret = directory;
	if (err == -EBUSY) {
		report_line("cannot mount on %s: its former daemon has ended, and a program still uses it; end that "
			    "program, or run umount -l",
			    options->directory);
		return err;
	}
	if (err >= 0)
		err = check_mount_point(directory);
	if (err)
		report_line("cannot mount on %s: %s", options->directory, th_error_text(err));
	return err;
}

int th_mount_run(const struct th_mount_options *options)
{
	struct th_mount_options resolved = *options;
	struct th_mount_parsed parsed;
	char *directory = NULL;
	int err = th_mount_parse(options, &parsed);

	if (err)
		return 1;
	err = prepare_directory(options, &directory); /* the daemon changes its working directory */
	if (!err && parsed.remount) {
		err = th_remount(options->image, directory, options->options, options->directory);
	} else if (!err) {
		resolved.directory = directory;
		err = options->foreground ? run(&resolved, &parsed, -1) : run_daemon(&resolved, &parsed);
	}
	free(directory);
	th_mount_parsed_release(&parsed);
	return err ? 1 : 0;
}
