/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/fuse/harden.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <seccomp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Killed only when nothing else is left: if it is killed, programs lose what they wrote since the last checkpoint. */
#define OOM_SCORE "-900"

#ifndef PR_SET_IO_FLUSHER
#define PR_SET_IO_FLUSHER 57
#endif

/* --- descriptors, environment --- */

/* A descriptor of the caller, kept for as long as the mount, would keep a pipe or another filesystem in use. */
static void close_descriptors(int keep)
{
	if (keep > STDERR_FILENO) {
		if (keep > STDERR_FILENO + 1)
			close_range(STDERR_FILENO + 1, (unsigned)keep - 1, 0);
		close_range((unsigned)keep + 1, UINT_MAX, 0);
	} else {
		close_range(STDERR_FILENO + 1, UINT_MAX, 0);
	}
}

/* Keeps what the C library uses for messages, and a path for fusermount3. */
static void clean_environment(void)
{
	static const char *const kept[] = { "TZ", "LANG", "LC_ALL", "LC_MESSAGES", "LC_CTYPE" };
	char *values[sizeof(kept) / sizeof(kept[0])];
	size_t count = sizeof(kept) / sizeof(kept[0]);

	for (size_t i = 0; i < count; i++) {
		const char *value = getenv(kept[i]);

		values[i] = value ? strdup(value) : NULL;
	}
	clearenv();
	setenv("PATH", "/usr/sbin:/usr/bin:/sbin:/bin", 1);
	for (size_t i = 0; i < count; i++) {
		if (values[i])
			setenv(kept[i], values[i], 1);
		free(values[i]);
	}
}

/* --- memory --- */

/* A core would hold data of all users. */
static void forbid_core_dumps(void)
{
	setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

static void protect_from_oom_killer(void)
{
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	ssize_t n = write(fd, OOM_SCORE, strlen(OOM_SCORE));

	(void)n; /* a user may not */
	close(fd);
}

/* When the kernel has no memory for an allocation of the daemon, it must not wait for the writeback of pages, which
 * waits for the daemon. */
static void become_io_flusher(void)
{
	prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0);
}

/* --- capabilities --- */

/* Mounting and, at the end, unmounting; reading the user namespace of a caller (caller.c); opening images and mount
 * points in directories of users; leaving SCHED_IDLE (place.c). */
static const unsigned kept_capabilities[] = { CAP_SYS_ADMIN, CAP_SYS_PTRACE, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH,
					      CAP_SYS_NICE };

static bool is_kept(unsigned capability)
{
	for (size_t i = 0; i < sizeof(kept_capabilities) / sizeof(kept_capabilities[0]); i++) {
		if (kept_capabilities[i] == capability)
			return true;
	}
	return false;
}

static void drop_capabilities(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];

	for (unsigned capability = 0; prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; capability++) {
		if (!is_kept(capability))
			prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
	}
	if (syscall(SYS_capget, &header, data) < 0)
		return;
	for (unsigned capability = 0; capability < 64; capability++) {
		struct __user_cap_data_struct *word = &data[capability / 32];
		uint32_t bit = UINT32_C(1) << capability % 32;

		if (!is_kept(capability)) {
			word->permitted &= ~bit;
			word->effective &= ~bit;
		}
		word->inheritable &= ~bit;
	}
	syscall(SYS_capset, &header, data);
}

void th_harden_begin(int keep, bool debug)
{
	close_descriptors(keep);
	clean_environment();
	if (!debug)
		forbid_core_dumps();
	protect_from_oom_killer();
	become_io_flusher();
	if (geteuid() != 0)
		return;
	drop_capabilities();
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

/* --- system calls --- */

/* Those that a serving daemon needs, by the tests, and near relatives that another C library or kernel may use
 * instead. */
static const char *const allowed[] = {
	/* transfers */
	"read readv pread64 preadv preadv2 write writev pwrite64 pwritev pwritev2 splice vmsplice tee fsync",
	"fdatasync sync_file_range syncfs fallocate ftruncate ftruncate64 lseek _llseek io_uring_setup",
	"io_uring_enter io_uring_register",
	/* descriptors */
	"open openat close close_range dup dup2 dup3 fcntl fcntl64 flock ioctl pipe pipe2 poll ppoll",
	"ppoll_time64 select _newselect pselect6 epoll_create1 epoll_ctl epoll_wait epoll_pwait epoll_pwait2",
	"eventfd2 timerfd_create timerfd_settime timerfd_gettime",
	/* names: of /proc, /sys, and the mount point */
	"stat stat64 lstat lstat64 fstat fstat64 newfstatat fstatat64 statx statfs statfs64 fstatfs fstatfs64",
	"access faccessat faccessat2 readlink readlinkat getdents64 getcwd chdir umount2",
	/* memory */
	"brk munmap mremap madvise mincore mlock mlock2 munlock membarrier",
	/* threads and time; a process that is made by them has the same restrictions */
	"clone clone3 futex futex_time64 futex_waitv rseq set_robust_list get_robust_list set_tid_address",
	"sched_yield sched_getaffinity sched_setaffinity sched_getscheduler sched_setscheduler sched_getparam",
	"sched_setparam sched_get_priority_max sched_get_priority_min getpriority setpriority getcpu",
	"nanosleep clock_nanosleep clock_nanosleep_time64 clock_gettime clock_gettime64 clock_getres",
	"clock_getres_time64 gettimeofday time times getrusage sysinfo uname getrandom prctl exit exit_group",
	"restart_syscall getrlimit ugetrlimit arch_prctl wait4 waitid",
	/* signals */
	"rt_sigaction rt_sigprocmask rt_sigreturn rt_sigpending rt_sigsuspend rt_sigtimedwait",
	"rt_sigtimedwait_time64 rt_sigqueueinfo rt_tgsigqueueinfo sigaltstack sigreturn tgkill pause",
	/* identity */
	"getpid gettid getppid getuid geteuid getgid getegid getresuid getresgid getgroups getpgrp getpgid",
	"getsid capget",
	/* syslog(3) */
	"connect send sendto sendmsg shutdown getsockopt getsockname",
};

/* Allows the calls of one line of the table. */
static int allow_line(scmp_filter_ctx filter, const char *line)
{
	char name[32];
	int size;

	for (; sscanf(line, " %31s%n", name, &size) == 1; line += size) {
		int number = seccomp_syscall_resolve_name(name);
		/* The architecture may not have it. */
		int err = number < 0 ? 0 : seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 0);

		if (err)
			return err;
	}
	return 0;
}

static int allow_listed(scmp_filter_ctx filter)
{
	int err = 0;

	for (size_t i = 0; i < sizeof(allowed) / sizeof(allowed[0]) && !err; i++)
		err = allow_line(filter, allowed[i]);
	return err;
}

/* No memory that is executable; sockets of this machine; limits are only read. */
static int allow_in_part(scmp_filter_ctx filter)
{
	int err =
		seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));

	if (!err && seccomp_syscall_resolve_name("mmap2") >= 0)
		err = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap2), 1,
				       SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	if (!err)
		err = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1,
				       SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	if (!err)
		err = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1, SCMP_A0(SCMP_CMP_EQ, AF_UNIX));
	if (!err)
		err = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), 1, SCMP_A2(SCMP_CMP_EQ, 0));
	return err;
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define RESTRICT false /* their runtimes need more */
#else
#define RESTRICT true
#endif

int th_harden_system_calls(void)
{
	if (geteuid() != 0 || !RESTRICT)
		return 0;
	/* pthread_cancel(3) loads it when it is first used, and code cannot be loaded any more then. */
	if (!dlopen("libgcc_s.so.1", RTLD_NOW | RTLD_GLOBAL))
		return -ELIBACC;
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));

	if (!filter)
		return -ENOMEM;
	int err = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);

	if (!err)
		err = seccomp_attr_set(filter, SCMP_FLTATR_CTL_NNP, 1);
	seccomp_attr_set(filter, SCMP_FLTATR_CTL_LOG, 1); /* where the kernel can */
	if (!err)
		err = allow_listed(filter);
	if (!err)
		err = allow_in_part(filter);
	if (!err)
		err = seccomp_load(filter);
	seccomp_release(filter);
	return err;
}
