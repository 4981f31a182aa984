/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Measures the latency of metadata, for slow_disk.sh: alternately reads the attributes of files that the daemon has in
 * memory, without the kernel's cache, and creates files of 4 KiB.
 *
 *   bench_latency FILES-DIRECTORY NEW-DIRECTORY SECONDS
 *
 * Prints a line for each of the two: their number, and the median, the 99th percentile and the longest, in
 * microseconds.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define NAMES_MAX 1024
#define ATTRIBUTES_PER_FILE 20
#define SAMPLES_MAX (1u << 22)

struct samples {
	const char *name;
	double *us;
	size_t count;
};

static void fail(const char *what)
{
	fprintf(stderr, "bench_latency: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void *allocate(size_t size)
{
	void *p = malloc(size);

	if (!p)
		fail("memory");
	return p;
}

static double now_us(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec * 1e6 + (double)time.tv_nsec / 1e3;
}

static void add(struct samples *samples, double from)
{
	if (samples->count < SAMPLES_MAX)
		samples->us[samples->count++] = now_us() - from;
}

/* Returns the number of names. */
static size_t read_names(int dir, char *names[NAMES_MAX])
{
	DIR *stream = fdopendir(dup(dir));
	const struct dirent *entry;
	size_t count = 0;

	if (!stream)
		fail("listing");
	while (count < NAMES_MAX && (entry = readdir(stream))) {
		if (entry->d_name[0] != '.')
			names[count++] = strdup(entry->d_name);
	}
	closedir(stream);
	if (!count) {
		errno = ENOENT;
		fail("no files");
	}
	return count;
}

static void ask(struct samples *samples, int dir, const char *name)
{
	double from = now_us();
	struct statx status;

	if (statx(dir, name, AT_STATX_FORCE_SYNC, STATX_BASIC_STATS, &status) < 0)
		fail(name);
	add(samples, from);
}

static void create(struct samples *samples, int dir)
{
	static const char data[4096];
	char name[32];
	double from = now_us();

	snprintf(name, sizeof(name), "%zu", samples->count);
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL, 0644);

	if (fd < 0 || write(fd, data, sizeof(data)) != (ssize_t)sizeof(data) || close(fd) < 0)
		fail(name);
	add(samples, from);
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void print(struct samples *samples)
{
	size_t n = samples->count;

	qsort(samples->us, n, sizeof(*samples->us), compare);
	printf("%s|%zu|%.0f|%.0f|%.0f\n", samples->name, n, samples->us[n / 2], samples->us[n * 99 / 100],
	       samples->us[n - 1]);
}

int main(int argc, char **argv)
{
	struct samples attributes = { .name = "attributes", .us = allocate(SAMPLES_MAX * sizeof(double)) };
	struct samples creates = { .name = "create and write", .us = allocate(SAMPLES_MAX * sizeof(double)) };
	char *names[NAMES_MAX];

	if (argc != 4) {
		fputs("usage: bench_latency FILES-DIRECTORY NEW-DIRECTORY SECONDS\n", stderr);
		return 2;
	}
	int known = open(argv[1], O_RDONLY | O_DIRECTORY), made = open(argv[2], O_RDONLY | O_DIRECTORY);

	if (known < 0 || made < 0)
		fail("directory");
	size_t count = read_names(known, names);
	double until = now_us() + atof(argv[3]) * 1e6;

	for (size_t i = 0; now_us() < until; i++) {
		ask(&attributes, known, names[i % count]);
		if (i % ATTRIBUTES_PER_FILE == 0)
			create(&creates, made);
	}
	print(&attributes);
	print(&creates);
	return 0;
}
