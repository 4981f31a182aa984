/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Measures the parts of the journal beside plain system calls.  Not a test: it prints figures and has no verdict.
 *
 *   bench_journal [DIRECTORY]   makes a scratch file of 256 MiB there (default: the current directory)
 */
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "journal/base/clock.h"
#include "journal/log.h"
#include "journal/space/space.h"
#include "tests/support/random.h"

#define FILE_BLOCKS 65536u
#define READS 8000u
#define SAVE_BLOCKS 256u
#define SYNCS 200u

static char path[4096];
static char *buf;
static int direct; /* the same file, for plain system calls */

static void need(int err, const char *what)
{
	if (err) {
		fprintf(stderr, "bench_journal: %s: %s\n", what, strerror(abs(err)));
		exit(1);
	}
}

static double now(void)
{
	return (double)th_monotonic_ns() * 1e-9;
}

static void make_file(const char *directory)
{
	snprintf(path, sizeof(path), "%s/bench_journal.%d", directory, (int)getpid());
	buf = th_disk_buffer(SAVE_BLOCKS * TH_BLOCK_SIZE);
	memset(buf, 0x5a, SAVE_BLOCKS * TH_BLOCK_SIZE);
	direct = open(path, O_CREAT | O_EXCL | O_RDWR | O_DIRECT | O_CLOEXEC, 0600);
	need(direct < 0, "open");
	for (uint32_t i = 0; i < FILE_BLOCKS; i += SAVE_BLOCKS)
		need(pwrite(direct, buf, SAVE_BLOCKS * TH_BLOCK_SIZE, (off_t)i * TH_BLOCK_SIZE) < 0, "pwrite");
	need(fdatasync(direct), "fdatasync");
}

/* Reads 4 KiB; disk NULL: by a plain pread. */
static void read_one(struct th_disk *disk, uint64_t block, char *to, bool as_future)
{
	struct th_future future;

	if (!disk) {
		need(pread(direct, to, TH_BLOCK_SIZE, (off_t)block * TH_BLOCK_SIZE) < 0, "pread");
	} else if (as_future) {
		th_disk_get(disk, block, 1, to, &future);
		need(th_future_wait(&future), "get");
	} else {
		need(th_disk_read(disk, block, 1, to), "read");
	}
}

/* Returns the microseconds of a read, one after another. */
static double read_latency(struct th_disk *disk, bool as_future)
{
	struct th_random random = { 1 };
	double begin = now();

	for (unsigned i = 0; i < READS; i++)
		read_one(disk, th_random_below(&random, FILE_BLOCKS), buf, as_future);
	return (now() - begin) / READS * 1e6;
}

/* Returns the microseconds to write and flush 4 KiB. */
static double sync_latency(struct th_disk *disk)
{
	double begin = now();

	for (unsigned i = 0; i < SYNCS; i++) {
		if (disk) {
			need(th_disk_write(disk, i, 1, buf), "write");
			need(th_disk_sync(disk), "sync");
		} else {
			need(pwrite(direct, buf, TH_BLOCK_SIZE, (off_t)i * TH_BLOCK_SIZE) < 0, "pwrite");
			need(fdatasync(direct), "fdatasync");
		}
	}
	return (now() - begin) / SYNCS * 1e6;
}

/* Returns MiB per second with `depth` saves of 1 MiB under way. */
static double save_throughput(struct th_disk *disk, unsigned depth)
{
	struct iovec iov = { .iov_base = buf, .iov_len = SAVE_BLOCKS * TH_BLOCK_SIZE };
	struct th_future futures[64];
	uint32_t saves = FILE_BLOCKS / SAVE_BLOCKS * 2;
	double begin = now();

	for (uint32_t i = 0; i < saves + depth; i++) {
		if (i >= depth)
			need(th_future_wait(&futures[i % depth]), "save");
		if (i < saves)
			th_disk_save(disk, i * SAVE_BLOCKS % FILE_BLOCKS, &iov, 1, &futures[i % depth]);
	}
	return saves * (double)(SAVE_BLOCKS * TH_BLOCK_SIZE) / (1 << 20) / (now() - begin);
}

static double plain_throughput(void)
{
	uint32_t saves = FILE_BLOCKS / SAVE_BLOCKS * 2;
	double begin = now();

	for (uint32_t i = 0; i < saves; i++)
		need(pwrite(direct, buf, SAVE_BLOCKS * TH_BLOCK_SIZE,
			    (off_t)(i * SAVE_BLOCKS % FILE_BLOCKS) * TH_BLOCK_SIZE) < 0,
		     "pwrite");
	return saves * (double)(SAVE_BLOCKS * TH_BLOCK_SIZE) / (1 << 20) / (now() - begin);
}

struct reader {
	struct th_disk *disk;
	bool as_future;
	pthread_t thread;
	unsigned seed;
};

static void *reader_run(void *arg)
{
	struct reader *reader = arg;
	struct th_random random = { reader->seed };
	char *block = th_disk_buffer(TH_BLOCK_SIZE);

	for (unsigned i = 0; i < READS / 4; i++)
		read_one(reader->disk, th_random_below(&random, FILE_BLOCKS), block, reader->as_future);
	free(block);
	return NULL;
}

/* Returns thousands of reads per second by eight threads. */
static double read_rate(struct th_disk *disk, bool as_future)
{
	struct reader readers[8];
	double begin = now();

	for (unsigned i = 0; i < 8; i++) {
		readers[i] = (struct reader){ .disk = disk, .as_future = as_future, .seed = i };
		need(pthread_create(&readers[i].thread, NULL, reader_run, &readers[i]), "pthread_create");
	}
	for (unsigned i = 0; i < 8; i++)
		pthread_join(readers[i].thread, NULL);
	return 2 * READS / (now() - begin) / 1e3;
}

/* --- the same for every peer; the best of some rounds counts, as other programs may use the machine --- */

#define ROUNDS 3

static struct peer {
	const char *name;
	bool plain, as_future;
	unsigned flags;
	double latency, rate, sync, save, saves;
} peers[] = {
	{ .name = "system calls", .plain = true },
	{ .name = "io_uring, at once" },
	{ .name = "io_uring, futures", .as_future = true },
	{ .name = "threads, futures", .as_future = true, .flags = TH_DISK_THREADS },
};
#define PEERS (sizeof(peers) / sizeof(peers[0]))

static void keep_least(double *best, double figure)
{
	if (*best == 0 || figure < *best)
		*best = figure;
}

static void keep_most(double *best, double figure)
{
	if (figure > *best)
		*best = figure;
}

static void bench_peer(struct peer *peer)
{
	struct th_disk *disk = NULL;

	if (!peer->plain)
		need(th_disk_open(path, peer->flags, &disk), "th_disk_open");
	keep_least(&peer->latency, read_latency(disk, peer->as_future));
	keep_most(&peer->rate, read_rate(disk, peer->as_future));
	keep_least(&peer->sync, sync_latency(disk));
	keep_most(&peer->save, disk ? save_throughput(disk, 1) : plain_throughput());
	if (disk)
		keep_most(&peer->saves, save_throughput(disk, 16));
	th_disk_close(disk);
}

static void bench_disk(void)
{
	for (int round = 0; round < ROUNDS; round++)
		for (size_t i = 0; i < PEERS; i++)
			bench_peer(&peers[i]);
	printf("%-18s %14s %18s %18s %14s %14s\n", "", "4 KiB read", "by 8 threads", "4 KiB, flushed", "1 MiB writes",
	       "16 at a time");
	for (size_t i = 0; i < PEERS; i++) {
		const struct peer *peer = &peers[i], *plain = &peers[0];

		printf("%-18s %6.1f us %4.2f %8.1f k/s %5.2f %9.1f us %5.2f %5.0f MiB/s %3.1f %5.0f MiB/s\n",
		       peer->name, peer->latency, peer->latency / plain->latency, peer->rate, peer->rate / plain->rate,
		       peer->sync, peer->sync / plain->sync, peer->save, peer->save / plain->save, peer->saves);
	}
}

static void bench_log(void)
{
	struct th_log_position at = { 0 };
	char payload[1000];
	struct iovec part = { .iov_base = payload, .iov_len = sizeof(payload) };
	struct th_disk *disk;
	struct th_log *log;
	double begin;

	memset(payload, 1, sizeof(payload));
	need(th_disk_open(path, 0, &disk), "th_disk_open");
	need(th_log_new(disk, (struct th_log_area){ .first = 0, .blocks = 4096 }, 1, at, &log), "th_log_new");
	begin = now();
	for (unsigned i = 0; i < SYNCS; i++) {
		need(th_log_append(log, &part, 1), "th_log_append");
		need(th_disk_sync(disk), "th_disk_sync");
	}
	printf("log: 1000 bytes appended and flushed %7.1f us\n", (now() - begin) / SYNCS * 1e6);
	th_log_free(log);
	th_disk_close(disk);
}

#define SPACE_BLOCKS (UINT64_C(1) << 28) /* 1 TiB */

static void bench_space_empty(void)
{
	struct th_space *space;
	uint64_t addr;
	uint32_t blocks;
	double begin;

	need(th_space_new(SPACE_BLOCKS, &space), "th_space_new");
	begin = now();
	for (unsigned i = 0; i < 1000000; i++)
		need(th_space_take(space, TH_SPACE_USER, 1, 1, NULL, &addr, &blocks), "th_space_take");
	printf("space: 1 M single blocks taken from 1 TiB in %.3f s\n", now() - begin);
	th_space_free(space);
}

/* Every other block of 4 GiB is used, the worst case for runs. */
static void bench_space_fragmented(void)
{
	struct th_space *space;
	uint64_t addr, blocks = UINT64_C(1) << 20;
	uint32_t got;
	double begin;

	need(th_space_new(blocks, &space), "th_space_new");
	for (addr = 0; addr < blocks; addr += 2)
		need(th_space_claim(space, addr, 1), "th_space_claim");
	begin = now();
	for (unsigned i = 0; i < 100000; i++)
		need(th_space_take(space, TH_SPACE_USER, 256, 1, NULL, &addr, &got), "th_space_take");
	printf("space: 100 k takes of up to 256 from a map with every other block used in %.3f s\n", now() - begin);
	th_space_free(space);
}

static void bench_space_checkpoint(void)
{
	struct th_blocklist list = { 0 };
	struct th_space *space, *loaded;
	struct th_disk *disk;
	uint64_t addr;
	uint32_t blocks;
	double begin;

	need(th_disk_memory_new(UINT64_C(1) << 22, &disk), "th_disk_memory_new");
	need(th_space_new(disk->blocks, &space), "th_space_new");
	need(th_space_claim(space, 0, 8), "th_space_claim");
	for (unsigned i = 0; i < 2000000; i++) {
		need(th_space_take(space, TH_SPACE_USER, 1, 1, NULL, &addr, &blocks), "th_space_take");
		if (i % 2)
			th_space_note_alloc(space, TH_SPACE_LIVE, addr, 1);
	}
	begin = now();
	th_space_freeze(space);
	need(th_space_checkpoint(space, disk, &list), "th_space_checkpoint");
	printf("space: checkpoint of 1 M separate runs in %.3f s", now() - begin);
	begin = now();
	need(th_space_new(disk->blocks, &loaded), "th_space_new");
	need(th_space_claim(loaded, 0, 8), "th_space_claim");
	need(th_space_load(loaded, disk, &list), "th_space_load");
	printf(", loaded in %.3f s (%" PRIu64 " pages)\n", now() - begin, list.pages);
	th_space_free(loaded);
	th_space_free(space);
	th_disk_close(disk);
}

int main(int argc, char **argv)
{
	make_file(argc > 1 ? argv[1] : ".");
	bench_disk();
	bench_log();
	bench_space_empty();
	bench_space_fragmented();
	bench_space_checkpoint();
	close(direct);
	unlink(path);
	free(buf);
	return 0;
}
