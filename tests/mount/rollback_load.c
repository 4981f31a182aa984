/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files whose content shows of which state each byte is, and a load on them during rollbacks.
 *
 *   rollback_load fill DIR LETTER     writes the file `pages` with this letter, and the file `log` with one record
 *   rollback_load verify DIR LETTER   all bytes of `pages` are this letter, but for the stores of a load; `log` has
 *   whole
 *                                     records only, without gaps, the first with this letter
 *   rollback_load load DIR            stores to `pages` by mmap(2) and pwrite(2), appends to `log`, reads both, makes,
 *   moves
 *                                     and removes files in `names`, and looks at its working directory `cwd`, until it
 *                                     is killed.  Errors that a rollback explains are ignored
 *
 * A load stores only at the beginning of odd pages.  So if a page of one state is written into the other, it shows.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE 4096
#define PAGES 64
#define STORE 8 /* bytes at the beginning of an odd page */
#define RECORD 64

static void fail(const char *what)
{
	fprintf(stderr, "rollback_load: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int open_in(const char *directory, const char *name, int flags)
{
	char path[4096];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	fd = open(path, flags, 0644);
	if (fd < 0)
		fail(path);
	return fd;
}

static void make_record(uint8_t *record, char letter)
{
	memset(record, letter, RECORD);
	record[RECORD - 1] = '\n';
}

static void fill(const char *directory, char letter)
{
	static uint8_t page[PAGE];
	uint8_t record[RECORD];
	int fd = open_in(directory, "pages", O_WRONLY | O_CREAT);

	memset(page, letter, sizeof(page));
	for (int i = 0; i < PAGES; i++)
		if (pwrite(fd, page, PAGE, (off_t)i * PAGE) != PAGE)
			fail("pages");
	close(fd);
	make_record(record, letter);
	fd = open_in(directory, "log", O_WRONLY | O_CREAT | O_TRUNC);
	for (int i = 0; i < (letter == 'p' ? 500 : 1); i++) /* the former state has a longer log than the snapshot */
		if (write(fd, record, RECORD) != RECORD)
			fail("log");
	close(fd);
}

static void verify_pages(const char *directory, char letter)
{
	static uint8_t page[PAGE];
	int fd = open_in(directory, "pages", O_RDONLY), wrong = 0;

	for (int i = 0; i < PAGES; i++) {
		if (pread(fd, page, PAGE, (off_t)i * PAGE) != PAGE)
			fail("pages");
		for (int k = i % 2 ? STORE : 0; k < PAGE; k++)
			if (page[k] != letter) {
				fprintf(stderr, "page %d, byte %d: '%c', expected '%c'\n", i, k, page[k], letter);
				wrong++;
				break;
			}
	}
	close(fd);
	if (wrong)
		exit(1);
}

static void verify_log(const char *directory, char letter)
{
	uint8_t record[RECORD], expected[RECORD];
	int fd = open_in(directory, "log", O_RDONLY), i = 0;
	ssize_t n;

	while ((n = read(fd, record, RECORD)) == RECORD) {
		make_record(expected, i++ ? (char)record[0] : letter);
		if (memcmp(record, expected, RECORD) != 0) {
			fprintf(stderr, "log: record %d is not whole\n", i);
			exit(1);
		}
	}
	if (n != 0 || i == 0) {
		fprintf(stderr, "log: ends in the middle of a record, after %d\n", i);
		exit(1);
	}
	close(fd);
}

static void verify(const char *directory, char letter)
{
	verify_pages(directory, letter);
	verify_log(directory, letter);
}

/* --- the load --- */

static const char *root;
static _Thread_local sigjmp_buf lost; /* of a mapping */

static void on_bus_error(int signal)
{
	(void)signal;
	siglongjmp(lost, 1);
}

static void *store(void *arg)
{
	int fd = open_in(root, "pages", O_RDWR);
	uint8_t *map = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	(void)arg;
	if (map == MAP_FAILED)
		fail("mmap");
	sigsetjmp(lost, 1);
	for (unsigned i = 0;; i++) {
		uint8_t *page = map + (2 * (i * 7 % (PAGES / 2)) + 1) * PAGE;

		memset(page, 'm', STORE);
		if (i % 64 == 0)
			msync(map, PAGES * PAGE, MS_SYNC);
		else if (i % 8 == 0)
			usleep(100);
	}
	return NULL;
}

static void *overwrite(void *arg)
{
	int fd = open_in(root, "pages", O_RDWR);
	uint8_t bytes[PAGE];

	(void)arg;
	for (unsigned i = 0;; i++) {
		off_t at = (off_t)(2 * (i * 5 % (PAGES / 2)) + 1) * PAGE;

		memset(bytes, 'w', STORE);
		if (pwrite(fd, bytes, STORE, at) < 0 && errno != ESTALE)
			fail("overwrite");
		if (pread(fd, bytes, PAGE, at) < 0 && errno != ESTALE)
			fail("read");
		usleep(200);
	}
	return NULL;
}

static void *append(void *arg)
{
	int fd = open_in(root, "log", O_WRONLY | O_APPEND);
	uint8_t record[RECORD];

	(void)arg;
	make_record(record, 'a');
	for (;;) {
		if (write(fd, record, RECORD) != RECORD && errno != ESTALE)
			fail("append");
		usleep(300);
	}
	return NULL;
}

static bool is_explained(void)
{
	return errno == ENOENT || errno == ESTALE || errno == EEXIST || errno == ENOTDIR;
}

static void *make_names(void *arg)
{
	char name[4096], other[4096];

	(void)arg;
	for (unsigned i = 0;; i++) {
		int fd;

		snprintf(name, sizeof(name), "%s/names/%u", root, i % 50);
		snprintf(other, sizeof(other), "%s/names/d%u/%u", root, i % 3, i % 20);
		fd = open(name, O_WRONLY | O_CREAT, 0644);
		if (fd < 0 ? !is_explained() : write(fd, name, 100) < 0 && !is_explained())
			fail("create");
		if (fd >= 0)
			close(fd);
		if (rename(name, other) && !is_explained())
			fail("rename");
		if (i % 3 == 0 && unlink(other) && !is_explained())
			fail("unlink");
	}
	return NULL;
}

/* Its working directory is in both states, so it must always be usable. */
static void *stay(void *arg)
{
	struct stat status;

	(void)arg;
	if (chdir(root) || chdir("cwd"))
		fail("cwd");
	for (;;) {
		if (stat(".", &status) || stat("..", &status) || stat("../pages", &status))
			fail("working directory");
		usleep(200);
	}
	return NULL;
}

static void load(const char *directory)
{
	static void *(*const threads[])(void *arg) = { store, overwrite, append, make_names };
	pthread_t thread;
	int err;

	root = directory;
	signal(SIGBUS, on_bus_error);
	for (size_t i = 0; i < sizeof(threads) / sizeof(threads[0]); i++) {
		err = pthread_create(&thread, NULL, threads[i], NULL);
		if (err) {
			errno = err;
			fail("thread");
		}
	}
	puts("running");
	fflush(stdout);
	stay(NULL);
}

int main(int argc, char **argv)
{
	if (argc == 4 && !strcmp(argv[1], "fill"))
		fill(argv[2], *argv[3]);
	else if (argc == 4 && !strcmp(argv[1], "verify"))
		verify(argv[2], *argv[3]);
	else if (argc == 3 && !strcmp(argv[1], "load"))
		load(argv[2]);
	else
		return 2;
	return 0;
}
