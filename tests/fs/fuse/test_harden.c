/* SPDX-License-Identifier: Apache-2.0 */
/* A daemon keeps what it needs and loses the rest.  Each case runs in a child process, which stays restricted. */
#include "fs/fuse/harden.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/suite.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED true
#else
#define SANITIZED false
#endif

/* Runs a case in a child process.  The case returns the line of the first expectation that is not met, or 0. */
static void in_child(int (*run)(void))
{
	int status;
	pid_t child = fork();

	ck_assert_int_ge(child, 0);
	if (!child)
		_exit(run() ? 1 : 0);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_msg(WIFEXITED(status) && !WEXITSTATUS(status), "the child ended with status %#x", (unsigned)status);
}

#define EXPECT(condition)                                                                                              \
	do {                                                                                                           \
		if (!(condition)) {                                                                                    \
			fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #condition, strerror(errno));           \
			return __LINE__;                                                                               \
		}                                                                                                      \
	} while (0)

#define EXPECT_EPERM(call) EXPECT((errno = 0, (call)) == -1 && errno == EPERM)

static int descriptors(void)
{
	int kept = open("/dev/null", O_RDONLY), other = open("/dev/null", O_RDONLY);

	EXPECT(dup2(other, 100) == 100 && dup2(other, 3000) == (other < 3000 ? 3000 : -1));
	th_harden_begin(kept, false);
	EXPECT(fcntl(kept, F_GETFD) >= 0);
	EXPECT(fcntl(STDERR_FILENO, F_GETFD) >= 0);
	EXPECT(fcntl(other, F_GETFD) < 0 && fcntl(100, F_GETFD) < 0 && fcntl(3000, F_GETFD) < 0);
	return 0;
}

static int descriptors_below_the_kept_one(void)
{
	int low = open("/dev/null", O_RDONLY);

	EXPECT(dup2(low, 50) == 50);
	th_harden_begin(50, false);
	EXPECT(fcntl(50, F_GETFD) >= 0 && fcntl(low, F_GETFD) < 0);
	return 0;
}

static int environment(void)
{
	setenv("LD_PRELOAD", "/nowhere.so", 1);
	setenv("TZ", "UTC", 1);
	setenv("SECRET", "x", 1);
	th_harden_begin(-1, false);
	EXPECT(!getenv("SECRET") && !getenv("LD_PRELOAD"));
	EXPECT(getenv("TZ") && !strcmp(getenv("TZ"), "UTC"));
	EXPECT(getenv("PATH") && !strcmp(getenv("PATH"), "/usr/sbin:/usr/bin:/sbin:/bin"));
	return 0;
}

static int cores(void)
{
	struct rlimit limit;

	th_harden_begin(-1, false);
	EXPECT(getrlimit(RLIMIT_CORE, &limit) == 0 && limit.rlim_max == 0);
	EXPECT(prctl(PR_GET_DUMPABLE) == 0);
	return 0;
}

/* The line of /proc/self/status that begins with the name, as a hexadecimal number. */
static unsigned long long status_of(const char *name)
{
	unsigned long long value = ~0ull;
	char line[256];
	FILE *file = fopen("/proc/self/status", "re");

	while (file && fgets(line, sizeof(line), file)) {
		if (!strncmp(line, name, strlen(name)))
			value = strtoull(line + strlen(name), NULL, 16);
	}
	if (file)
		fclose(file);
	return value;
}

static int privileges(void)
{
	/* DAC_OVERRIDE, DAC_READ_SEARCH, SYS_PTRACE, SYS_ADMIN, SYS_NICE */
	const unsigned long long kept = 1u << 1 | 1u << 2 | 1u << 19 | 1u << 21 | 1u << 23;

	th_harden_begin(-1, false);
	EXPECT(status_of("NoNewPrivs:") == 1);
	EXPECT((status_of("CapPrm:") & ~kept) == 0 && (status_of("CapEff:") & ~kept) == 0);
	EXPECT((status_of("CapBnd:") & ~kept) == 0 && status_of("CapInh:") == 0);
	EXPECT(status_of("CapEff:") & 1u << 21); /* tests that run as root have it */
	return 0;
}

static void *wait_for_ever(void *arg)
{
	while (!arg)
		pause();
	return NULL;
}

static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;

/* A thread that was started before the restriction. */
static void *early_thread(void *arg)
{
	(void)arg;
	pthread_mutex_lock(&gate);
	errno = 0;
	bool refused = execl("/bin/true", "true", (char *)NULL) == -1 && errno == EPERM;

	pthread_mutex_unlock(&gate);
	return refused ? NULL : &gate;
}

static int system_calls(void)
{
	void *result, *page;
	pthread_t early, late;

	pthread_mutex_lock(&gate);
	EXPECT(!pthread_create(&early, NULL, early_thread, NULL));
	th_harden_begin(-1, false);
	EXPECT(th_harden_system_calls() == 0);
	EXPECT_EPERM(execl("/bin/true", "true", (char *)NULL));
	EXPECT_EPERM(mount("none", "/", "tmpfs", MS_RDONLY, NULL));
	EXPECT_EPERM(socket(AF_INET, SOCK_STREAM, 0));
	EXPECT_EPERM(unlink("/nowhere"));
	EXPECT_EPERM(setrlimit(RLIMIT_NOFILE, &(struct rlimit){ 10, 10 }));
	EXPECT(mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED &&
	       errno == EPERM);
	page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	EXPECT(page != MAP_FAILED);
	EXPECT_EPERM(mprotect(page, 4096, PROT_READ | PROT_EXEC));
	/* Reading /proc, threads, and their cancellation, which loads a library. */
	EXPECT(status_of("Seccomp:") == 2);
	EXPECT(!pthread_create(&late, NULL, wait_for_ever, NULL));
	EXPECT(!pthread_cancel(late) && !pthread_join(late, &result) && result == PTHREAD_CANCELED);
	pthread_mutex_unlock(&gate);
	EXPECT(!pthread_join(early, &result) && !result);
	return 0;
}

START_TEST(descriptors_of_the_caller_are_closed)
{
	in_child(descriptors);
	in_child(descriptors_below_the_kept_one);
}
END_TEST

START_TEST(environment_of_the_caller_is_forgotten)
{
	in_child(environment);
}
END_TEST

START_TEST(no_core_is_written)
{
	in_child(cores);
}
END_TEST

START_TEST(capabilities_are_those_of_the_list)
{
	if (geteuid() == 0)
		in_child(privileges);
}
END_TEST

START_TEST(other_system_calls_fail_in_all_threads)
{
	if (geteuid() == 0 && !SANITIZED)
		in_child(system_calls);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("harden");
	TCase *tcase = tcase_create("harden");

	tcase_add_test(tcase, descriptors_of_the_caller_are_closed);
	tcase_add_test(tcase, environment_of_the_caller_is_forgotten);
	tcase_add_test(tcase, no_core_is_written);
	tcase_add_test(tcase, capabilities_are_those_of_the_list);
	tcase_add_test(tcase, other_system_calls_fail_in_all_threads);
	suite_add_tcase(suite, tcase);
	return th_suite_run(suite);
}
