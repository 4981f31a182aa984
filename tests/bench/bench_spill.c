/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Measures a transaction that is much larger than its memory budget: memory, bytes written, time, and the space in use
 * after one that was killed.
 *
 *   bench_spill [MIB [IMAGE [BUDGET_MIB]]]
 *
 * Records are 24-byte keys with 100-byte values.  One transaction puts MIB of them in random order, another as many in
 * key order.  Before each of the two another such transaction is killed with SIGKILL, once during its puts and once
 * during its commit.  Each step is a process of its own.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "journal/disk/disk.h"
#include "tree/thunderhead.h"

#define TH_KEY_BYTES 24
#define TH_VALUE_BYTES 100
#define TH_RECORD_BYTES (TH_KEY_BYTES + TH_VALUE_BYTES)
#define TH_MIB 1048576.0

/* Shared by the steps, which are processes */
struct shared {
	_Atomic uint64_t puts;
	_Atomic uint64_t committed_bytes; /* written by the commit so far */
	uint64_t entries, blocks_free; /* of the last inspect() */
};

struct bench {
	const char *image;
	uint64_t records;
	struct th_store_options options;
	struct shared *shared;
};

static void check(int err, const char *what)
{
	if (err >= 0)
		return;
	fprintf(stderr, "bench_spill: %s: %s\n", what, strerror(-err));
	exit(1);
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static struct th_store *open_store(const struct bench *bench)
{
	struct th_store *store;
	struct th_disk *disk;

	check(th_disk_open(bench->image, 0, &disk), bench->image);
	check(th_store_open(disk, &bench->options, &store), "open");
	return store;
}

/* --- the steps --- */

static void format(const struct bench *bench, bool in_order)
{
	off_t size = (off_t)(bench->records * TH_RECORD_BYTES * 7 + (UINT64_C(1) << 30)) / 4096 * 4096;
	int fd = open(bench->image, O_CREAT | O_TRUNC | O_RDWR | O_CLOEXEC, 0600);
	struct th_disk *disk;

	(void)in_order;
	if (fd < 0 || ftruncate(fd, size) < 0) {
		perror(bench->image);
		exit(1);
	}
	close(fd);
	check(th_disk_open(bench->image, 0, &disk), bench->image);
	check(th_store_format(disk, NULL), "format");
	th_disk_close(disk);
}

static void put_all(const struct bench *bench, struct th_txn *txn, bool in_order)
{
	uint32_t value[TH_VALUE_BYTES / 4];
	char key[TH_KEY_BYTES + 1];

	for (uint64_t i = 0; i < bench->records; i++) {
		uint64_t head = in_order ? i : i * UINT64_C(0x9e3779b97f4a7c15);

		for (size_t k = 0; k < sizeof(value) / sizeof(*value); k++)
			value[k] = (uint32_t)(head >> 7) * (uint32_t)(2 * k + 1);
		snprintf(key, sizeof(key), "%c%016" PRIx64 "%07x", in_order ? 'o' : 'r', head, (unsigned)i & 0xfffffff);
		check(th_txn_put(txn, (struct th_slice){ key, TH_KEY_BYTES },
				 (struct th_slice){ value, sizeof(value) }),
		      "put");
		bench->shared->puts = i + 1;
	}
}

static double ratio(const struct bench *bench, const struct th_store_info *from, const struct th_store_info *to)
{
	return (double)(to->disk_bytes_written - from->disk_bytes_written) / (double)(bench->records * TH_RECORD_BYTES);
}

/* Observes a transaction during its commit. */
struct watch {
	struct th_store *store;
	struct shared *shared;
	uint64_t before;
	_Atomic bool over;
};

static void *watch_commit(void *arg)
{
	struct watch *watch = arg;
	struct th_store_info info;

	while (!watch->over) {
		th_store_info(watch->store, &info);
		watch->shared->committed_bytes = info.disk_bytes_written - watch->before;
		usleep(1000);
	}
	return NULL;
}

static void commit(const struct bench *bench, struct th_store *store, struct th_txn *txn)
{
	struct watch watch = { .store = store, .shared = bench->shared };
	struct th_store_info info;
	pthread_t thread;

	th_store_info(store, &info);
	watch.before = info.disk_bytes_written;
	check(-pthread_create(&thread, NULL, watch_commit, &watch), "thread");
	check(th_txn_commit(txn), "commit");
	watch.over = true;
	pthread_join(thread, NULL);
}

static void transact(const struct bench *bench, bool in_order)
{
	struct th_store *store = open_store(bench);
	struct th_store_info before, put, after;
	double start = now(), middle, end;
	struct th_txn *txn;

	th_store_info(store, &before);
	check(th_txn_begin(store, &txn), "begin");
	put_all(bench, txn, in_order);
	middle = now();
	th_store_info(store, &put);
	commit(bench, store, txn);
	end = now();
	th_store_info(store, &after);
	printf("  %-13s puts %6.1f s, %5.2f bytes written per byte, %3" PRIu64
	       " spills; commit %6.1f s, %5.2f bytes per byte\n",
	       in_order ? "in order" : "random order", middle - start, ratio(bench, &before, &put), put.spills,
	       end - middle, ratio(bench, &put, &after));
	check(th_store_close(store), "close");
}

/* Checks the store, and notes its entries and free blocks. */
static void inspect(const struct bench *bench, bool in_order)
{
	struct th_store *store = open_store(bench);
	struct th_check_options options = { .read_data = true };
	struct th_check_result result;
	struct th_store_info info;

	(void)in_order;
	for (int i = 0; i < 3; i++)
		check(th_store_checkpoint(store), "commit");
	th_store_info(store, &info);
	check(th_store_check(store, &options, &result), "check");
	printf("  check: %" PRIu64 " problems, %" PRIu64 " leaked blocks; %" PRIu64 " entries (%+" PRId64 "), %" PRIu64
	       " blocks free (%+" PRId64 ")\n",
	       result.problems, result.leaked_blocks, result.entries,
	       (int64_t)(result.entries - bench->shared->entries), info.blocks_free,
	       (int64_t)(info.blocks_free - bench->shared->blocks_free));
	bench->shared->entries = result.entries;
	bench->shared->blocks_free = info.blocks_free;
	check(th_store_close(store), "close");
}

/* --- in processes --- */

static pid_t start(const struct bench *bench, void (*step)(const struct bench *bench, bool in_order), bool in_order)
{
	pid_t child;

	bench->shared->puts = 0;
	bench->shared->committed_bytes = 0;
	fflush(stdout);
	child = fork();
	if (child == 0) {
		step(bench, in_order);
		exit(0);
	}
	check(child < 0 ? -1 : 0, "fork");
	return child;
}

static void run(const struct bench *bench, void (*step)(const struct bench *bench, bool in_order), bool in_order)
{
	pid_t child = start(bench, step, in_order);
	struct rusage usage;
	int status;

	if (wait4(child, &status, 0, &usage) != child || status != 0)
		exit(1);
	if (step == transact)
		printf("  %-13s peak memory of the process %.0f MiB, of which the cache may have %.0f and the transaction %.0f\n",
		       "", (double)usage.ru_maxrss / 1024, (double)bench->options.cache_bytes / TH_MIB,
		       (double)bench->options.txn_bytes / TH_MIB);
}

/* Kills a transaction during its puts, or about half way through its commit. */
static void run_killed(const struct bench *bench, bool committing)
{
	pid_t child = start(bench, transact, true);
	uint64_t enough = committing ? bench->records * TH_RECORD_BYTES / 2 : bench->records * 3 / 5;

	while ((committing ? bench->shared->committed_bytes : bench->shared->puts) < enough)
		usleep(1000);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	printf("  killed in the midst of its %s\n", committing ? "commit" : "puts");
}

int main(int argc, char **argv)
{
	uint64_t mib = argc > 1 ? strtoull(argv[1], NULL, 10) : 256;
	const char *directory = getenv("TMPDIR");
	struct bench bench = { .records = (mib << 20) / TH_RECORD_BYTES };
	char path[4096];

	snprintf(path, sizeof(path), "%s/bench_spill.%ld.img", directory ? directory : "/tmp", (long)getpid());
	bench.image = argc > 2 ? argv[2] : path;
	bench.options.txn_bytes = (argc > 3 ? strtoull(argv[3], NULL, 10) : 64) << 20;
	bench.options.cache_bytes = 256 << 20;
	bench.shared = mmap(NULL, sizeof(*bench.shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	check(bench.shared == MAP_FAILED ? -1 : 0, "mmap");
	printf("  %" PRIu64 " records, %" PRIu64 " MiB, in one transaction\n", bench.records, mib);
	run(&bench, format, false);
	run(&bench, inspect, false);
	run_killed(&bench, false);
	run(&bench, inspect, false);
	run(&bench, transact, false);
	run(&bench, inspect, false);
	run_killed(&bench, true);
	run(&bench, inspect, false);
	run(&bench, transact, true);
	run(&bench, inspect, false);
	unlink(bench.image);
	return 0;
}
