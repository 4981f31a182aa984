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
#include "fs/fuse/mount_options.h"
#include "fs/fuse/notify.h"
#include "fs/fuse/remount.h"
#include "fs/fuse/session.h"
#include "fs/fuse/workers.h"
#include "journal/base/report.h"
#include "journal/disk/disk.h"

/* --- messages: to stderr, or once the daemon runs to syslog --- */

static bool to_syslog; /* set once, before there are threads that could report */
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

/* The mount works.  Errors until now went to the terminal; from here on they go to syslog. */
static void daemon_ready(struct th_fuse *fuse)
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

/* --- serving --- */

/* Serves until the session ends: unmounted, or by a signal. */
static int serve_mounted(struct th_fuse *fuse, sigset_t *signals)
{
	if (fuse_set_signal_handlers(fuse->session) < 0)
		return -EIO;
	/* Only this thread receives them: it is the one that waits for the session's end. */
	pthread_sigmask(SIG_UNBLOCK, signals, NULL);
	int err = th_fuse_serve(fuse->session);

	pthread_sigmask(SIG_BLOCK, signals, NULL);
	fuse_remove_signal_handlers(fuse->session);
	return err;
}

static struct fuse_session *session_new(struct th_fuse *fuse, const char *options)
{
	char name[] = "thunderhead", flag[] = "-o";
	char *argv[] = { name, flag, (char *)options, NULL };
	struct fuse_args args = FUSE_ARGS_INIT(3, argv);

	struct fuse_session *session = fuse_session_new(&args, &th_fuse_ops, sizeof(th_fuse_ops), fuse);

	fuse_opt_free_args(&args); /* libfuse has copied them */
	return session;
}

static int mount_and_serve(struct th_fuse *fuse, const char *fuse_options, const char *directory, sigset_t *signals)
{
	fuse->directory = directory;
	fuse->session = session_new(fuse, fuse_options);
	if (!fuse->session)
		return -EINVAL; /* libfuse has reported why */
	int err = th_fuse_notifier_start(fuse);

	if (err) {
		report_line("cannot mount on %s: cannot start a thread: %s", directory, th_error_text(err));
	} else if (fuse_session_mount(fuse->session, directory) < 0) {
		err = -EIO; /* libfuse has reported why */
	} else {
		err = serve_mounted(fuse, signals);
		fuse_session_unmount(fuse->session);
		if (err)
			report_line("cannot serve %s, which is unmounted again: %s", directory, th_error_text(err));
	}
	th_fuse_notifier_stop(fuse);
	fuse_session_destroy(fuse->session);
	return err;
}

/* Reports which branch, snapshot or directory the image does not have.  Each is looked for in the one before it, so with
 * several of these options any may be missing. */
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

static int open_image(const struct th_mount_options *options, const struct th_fs_options *fs_options,
		      struct th_fs **ret)
{
	struct th_disk *disk;
	bool read_only = fs_options->read_only || fs_options->snapshot;
	int err = th_disk_open_url(options->image, read_only ? TH_DISK_READ_ONLY : 0, &disk);

	if (err) {
		report_unmountable(options, err);
		return err;
	}
	err = th_fs_open(disk, fs_options, ret);
	if (!err)
		return 0;
	th_disk_close(disk);
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

static int run(const struct th_mount_options *options, struct th_mount_parsed *parsed, int ready_fd)
{
	struct th_fuse fuse = { .max_read = parsed->max_read,
				.ready = ready_fd < 0 ? NULL : daemon_ready,
				.ready_fd = ready_fd };
	sigset_t signals;

	tune_malloc();
	/* Blocked before threads start, which inherit it: a signal must reach the one thread that handles it. */
	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGHUP);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);
	fuse_set_log_func(fuse_log_line);
	parsed->fs.report = report;
	parsed->fs.mounted_by = geteuid();
	int err = open_image(options, &parsed->fs, &fuse.fs);

	if (err)
		return err;
	err = th_control_new(fuse.fs, &fuse.control);
	if (!err)
		err = mount_and_serve(&fuse, parsed->fuse, options->directory, &signals);
	th_control_free(fuse.control);
	int close_err = th_fs_close(fuse.fs);

	if (close_err)
		report_line("%s: the last changes before unmounting could not be written: %s; the image holds the last "
			    "checkpoint and later syncs",
			    options->image, th_error_text(close_err));
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

int th_mount_run(const struct th_mount_options *options)
{
	struct th_mount_options resolved = *options;
	struct th_mount_parsed parsed;
	int err = th_mount_parse(options, &parsed);

	if (err)
		return 1;
	/* The daemon changes its working directory. */
	char *directory = realpath(options->directory, NULL);

	if (!directory)
		err = -errno;
	else
		err = check_mount_point(directory);
	if (err) {
		report_line("cannot mount on %s: %s", options->directory, th_error_text(err));
	} else if (parsed.remount) {
		err = th_remount(options->image, directory, options->options, options->directory);
	} else {
		resolved.directory = directory;
		err = options->foreground ? run(&resolved, &parsed, -1) : run_daemon(&resolved, &parsed);
	}
	free(directory);
	th_mount_parsed_release(&parsed);
	return err ? 1 : 0;
}
