/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/fuse/mount.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <syslog.h>
#include <unistd.h>

#include "fs/format/error_text.h"
#include "fs/fs.h"
#include "fs/fuse/mount_options.h"
#include "fs/fuse/remount.h"
#include "fs/fuse/session.h"
#include "fs/fuse/workers.h"
#include "journal/disk/disk.h"

/* --- saying what goes on --- */

static bool to_syslog; /* set once, before there are threads that could report */
static atomic_bool reported; /* something was said */

static void report(void *arg, const char *line)
{
	(void)arg;
	reported = true;
	if (to_syslog)
		syslog(LOG_ERR, "%s", line);
	else
		fprintf(stderr, "thunderhead: %s\n", line);
}

/* libfuse ends its lines itself, and says some of them in pieces. */
static void fuse_log_line(enum fuse_log_level level, const char *format, va_list args)
{
	static _Thread_local bool within;
	size_t size = strlen(format);

	if (to_syslog) {
		vsyslog((int)level, format, args);
		return;
	}
	if (!within)
		fputs("thunderhead: ", stderr);
	vfprintf(stderr, format, args);
	within = size && format[size - 1] != '\n';
}

static void say(const char *what, const char *which, const char *why)
{
	char line[TH_EXPLAIN_MAX + 512];

	snprintf(line, sizeof(line), "%s %s: %s", what, which, why);
	report(NULL, line);
}

static void say_image(const struct th_mount_options *options, int r)
{
	char why[TH_EXPLAIN_MAX];

	/* Damage has been told where it was found, and better than an error number could. */
	if ((r == -EUCLEAN || r == -EBADMSG) && reported)
		return;
	say("cannot mount", options->image, th_error_text_image(options->image, r, why));
}

/* --- leaving the terminal --- */

static void detach(void)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null < 0)
		return;
	for (int fd = 0; fd < 3; fd++)
		dup2(null, fd);
	if (null > 2)
		close(null);
}

/* The mount answers.  What went wrong until now was said on the terminal; from here on it is logged. */
static void daemon_ready(struct th_fuse *fuse)
{
	openlog("thunderhead", LOG_PID, LOG_DAEMON);
	to_syslog = true;
	if (chdir("/") < 0)
		report(NULL, "cannot leave the working directory");
	detach();
	ssize_t n = write(fuse->ready_fd, "", 1);

	(void)n; /* if nobody waits any more, nobody needs to know */
	close(fuse->ready_fd);
}

/* --- serving --- */

/* The end of the mount is the end of the session, however it came. */
static int serve_mounted(struct th_fuse *fuse, sigset_t *signals)
{
	if (fuse_set_signal_handlers(fuse->session) < 0)
		return -EIO;
	/* Only this thread takes them: it is the one that waits for the session's end. */
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

	fuse_opt_free_args(&args); /* libfuse has made a copy of them */
	return session;
}

static int mount_and_serve(struct th_fuse *fuse, const char *fuse_options, const char *directory, sigset_t *signals)
{
	fuse->directory = directory;
	fuse->session = session_new(fuse, fuse_options);
	if (!fuse->session)
		return -EINVAL; /* libfuse has said why */
	int err = th_fuse_notifier_start(fuse);

	if (err < 0) {
		say("mount on", directory, th_error_text(err));
	} else if (fuse_session_mount(fuse->session, directory) < 0) {
		err = -EIO; /* libfuse has said why */
	} else {
		err = serve_mounted(fuse, signals);
		fuse_session_unmount(fuse->session);
		if (err < 0)
			say("serving", directory, th_error_text(err));
	}
	th_fuse_notifier_stop(fuse);
	fuse_session_destroy(fuse->session);
	return err;
}

/* What the image does not have: where several options are given, each is looked for in the one before. */
static void say_view(const struct th_mount_options *options, const struct th_fs_options *fs_options)
{
	const char *const what[] = { "branch ", "snapshot ", "directory " };
	const char *const names[] = { fs_options->branch, fs_options->snapshot, fs_options->subdir };
	char line[1024];
	bool first = true;
	int at = snprintf(line, sizeof(line), "cannot mount %s: there is no ", options->image);

	for (size_t i = 0; i < 3 && at < (int)sizeof(line); i++) {
		if (!names[i])
			continue;
		at += snprintf(line + at, sizeof(line) - (size_t)at, "%s%s%s", first ? "" : " with ", what[i],
			       names[i]);
		first = false;
	}
	report(NULL, line);
}

static int open_image(const struct th_mount_options *options, const struct th_fs_options *fs_options,
		      struct th_fs **ret)
{
	struct th_disk *disk;
	bool read_only = fs_options->read_only || fs_options->snapshot;
	int err = th_disk_open_url(options->image, read_only ? TH_DISK_READ_ONLY : 0, &disk);

	if (!err) {
		err = th_fs_open(disk, fs_options, ret);
		if (err == -ENOENT) {
			say_view(options, fs_options);
			return err;
		}
	}
	if (err < 0)
		say_image(options, err);
	return err;
}

/* Buffers of up to a transfer's size come and go with every read and write.  By its defaults malloc maps the large ones
 * anew each time, and each page of them is then faulted in and cleared: as many faults as blocks are moved. */
static void keep_memory(void)
{
	mallopt(M_MMAP_THRESHOLD, 4 << 20);
	mallopt(M_TRIM_THRESHOLD, 16 << 20);
	mallopt(M_TOP_PAD, 1 << 20);
	mallopt(M_ARENA_MAX, 1); /* several would each keep as much */
}

static int run(const struct th_mount_options *options, struct th_mount_parsed *parsed, int ready_fd)
{
	struct th_fuse fuse = { .max_read = parsed->max_read,
				.ready = ready_fd < 0 ? NULL : daemon_ready,
				.ready_fd = ready_fd };
	sigset_t signals;

	keep_memory();
	/* Blocked before there are threads, which inherit it: a signal must reach the one thread that acts on it. */
	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGHUP);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);
	fuse_set_log_func(fuse_log_line);
	parsed->fs.report = report;
	int err = open_image(options, &parsed->fs, &fuse.fs);

	if (err < 0)
		return err;
	err = th_control_new(fuse.fs, geteuid(), &fuse.control);
	if (!err)
		err = mount_and_serve(&fuse, parsed->fuse, options->directory, &signals);
	th_control_free(fuse.control);
	int closed = th_fs_close(fuse.fs);

	if (closed < 0)
		say("closing", options->image, th_error_text(closed));
	return err < 0 ? err : closed;
}

/* --- becoming a daemon --- */

/* In the caller's process: waits for the daemon to be ready, or to end. */
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
	return -EIO; /* said by the daemon */
}

static int run_daemon(const struct th_mount_options *options, struct th_mount_parsed *parsed)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	pid_t child = fork();

	if (child < 0) {
		int err = -errno;

		say_image(options, err);
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

/* The kernel would take a file for a mount point, too, and then find that our root is none. */
static int check_place(const char *directory)
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

	if (err < 0)
		return 1;
	/* The daemon leaves its working directory. */
	char *directory = realpath(options->directory, NULL);

	if (!directory)
		err = -errno;
	else
		err = check_place(directory);
	if (err < 0) {
		say("cannot mount on", options->directory, th_error_text(err));
	} else if (parsed.remount) {
		err = th_remount(options->image, directory, options->options, options->directory);
	} else {
		resolved.directory = directory;
		err = options->foreground ? run(&resolved, &parsed, -1) : run_daemon(&resolved, &parsed);
	}
	free(directory);
	th_mount_parsed_release(&parsed);
	return err < 0 ? 1 : 0;
}
