/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compares commits that are kept as snapshots with commits that are not.
 *
 * Runs the same commits over the same records, with and without a snapshot of each, alternately and several times, each
 * on a new image.  Prints the time, the bytes written and the blocks in use of each run, and the ratios of the medians
 * and of the best.
 *
 *   bench_snapshots [IMAGE [RECORDS [COMMITS [CHANGES]]]]
 *
 * Without IMAGE the store is in memory, so that only the store itself is measured.  An image should be a device, or a
 * file without holes: in a sparse file the first write to a block is slower than the next, and kept commits always
 * write to new blocks.  For the same reason the memory is touched beforehand.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "journal/disk/disk.h"
#include "tree/thunderhead.h"

#define TH_ROUNDS 9
#define TH_VALUE_BYTES 100
#define TH_BENCH_BLOCKS (UINT64_C(1) << 18) /* 1 GiB */
#define TH_TOUCH_BLOCKS 256

struct outcome {
	double seconds;
	uint64_t bytes_written, writes, blocks_used;
};

struct setting {
	const char *image;
	unsigned records, commits, changes;
};

static void check(int err, const char *what)
{
	if (err >= 0)
		return;
	fprintf(stderr, "bench_snapshots: %s: %s\n", what, strerror(-err));
	exit(1);
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void put(struct th_txn *txn, unsigned record, unsigned round)
{
	char key[25], value[TH_VALUE_BYTES + 1];
	unsigned hash = (record + 1) * 2654435761u;

	snprintf(key, sizeof(key), "%08x%016u", hash, record);
	for (int i = 0; i < TH_VALUE_BYTES; i++)
		value[i] = (char)((hash = hash * 1103515245u + round + 12345u) >> 16);
	check(th_txn_put(txn, (struct th_slice){ key, 24 }, (struct th_slice){ value, TH_VALUE_BYTES }), "put");
}

static void change(struct th_store *store, const struct setting *setting, unsigned from, unsigned to, unsigned round)
{
	struct th_txn *txn;

	check(th_txn_begin(store, &txn), "begin");
	for (unsigned i = from; i < to; i++)
		put(txn, round ? (unsigned)rand() % setting->records : i, round);
	check(th_txn_commit(txn), "merge");
}

static struct th_disk *open_memory(void)
{
	struct th_disk *disk;
	char *buf = th_disk_buffer(TH_TOUCH_BLOCKS * TH_BLOCK_SIZE);

	check(buf ? th_disk_memory_new(TH_BENCH_BLOCKS, &disk) : -ENOMEM, "memory");
	memset(buf, 0xff, TH_TOUCH_BLOCKS * TH_BLOCK_SIZE);
	for (uint64_t addr = 0; addr < TH_BENCH_BLOCKS; addr += TH_TOUCH_BLOCKS)
		check(th_disk_write(disk, addr, TH_TOUCH_BLOCKS, buf), "memory");
	free(buf);
	return disk;
}

static struct th_disk *open_disk(const struct setting *setting)
{
	struct th_disk *disk;

	if (!setting->image)
		return open_memory();
	check(th_disk_open(setting->image, 0, &disk), setting->image);
	return disk;
}

static struct outcome run(const struct setting *setting, bool keep)
{
	struct th_format_options format = { .force = true };
	struct th_store_info before, after;
	struct th_disk *disk = open_disk(setting);
	struct th_store *store;
	struct outcome outcome;
	double start;

	check(th_store_format(disk, &format), "format");
	check(th_store_open(disk, NULL, &store), "open");
	for (unsigned i = 0; i < setting->records; i += 1000)
		change(store, setting, i, i + 1000 < setting->records ? i + 1000 : setting->records, 0);
	check(th_store_checkpoint(store), "commit");
	th_store_info(store, &before);
	srand(1);
	start = now();
	for (unsigned i = 1; i <= setting->commits; i++) {
		char name[16];

		change(store, setting, 0, setting->changes, i);
		snprintf(name, sizeof(name), "%u", i);
		if (keep)
			check(th_snapshot_create(store, name, NULL), "snapshot");
		else
			check(th_store_checkpoint(store), "commit");
	}
	outcome.seconds = now() - start;
	th_store_info(store, &after);
	outcome.bytes_written = after.disk_bytes_written - before.disk_bytes_written;
	outcome.blocks_used = after.blocks - after.blocks_free - after.blocks_waiting;
	outcome.writes = after.disk_writes - before.disk_writes;
	check(th_store_close(store), "close");
	return outcome;
}

static void print_outcome(const char *what, const struct outcome *o)
{
	printf("  %s %7.3f s, %6.1f MB in %6llu writes, %7llu blocks in use\n", what, o->seconds,
	       (double)o->bytes_written / 1e6, (unsigned long long)o->writes, (unsigned long long)o->blocks_used);
}

static int compare(const void *a, const void *b)
{
	const struct outcome *x = a, *y = b;

	return (x->seconds > y->seconds) - (x->seconds < y->seconds);
}

static unsigned argument(int argc, char **argv, int i, unsigned otherwise)
{
	return argc > i ? (unsigned)strtoul(argv[i], NULL, 10) : otherwise;
}

int main(int argc, char **argv)
{
	struct setting setting = {
		.image = argc > 1 && *argv[1] ? argv[1] : NULL,
		.records = argument(argc, argv, 2, 200000),
		.commits = argument(argc, argv, 3, 1000),
		.changes = argument(argc, argv, 4, 100),
	};
	struct outcome kept[TH_ROUNDS], plain[TH_ROUNDS];

	printf("%u records, %u commits of %u changes, %s\n", setting.records, setting.commits, setting.changes,
	       setting.image ? setting.image : "in memory");
	for (int i = 0; i < TH_ROUNDS; i++) {
		bool kept_first = i % 2;

		if (kept_first)
			kept[i] = run(&setting, true);
		plain[i] = run(&setting, false);
		if (!kept_first)
			kept[i] = run(&setting, true);
		print_outcome("without snapshots", &plain[i]);
		print_outcome("every commit kept", &kept[i]);
	}
	qsort(plain, TH_ROUNDS, sizeof(plain[0]), compare);
	qsort(kept, TH_ROUNDS, sizeof(kept[0]), compare);
	printf("kept / not kept: median time %.3f, best time %.3f, bytes written %.3f, writes %.3f\n",
	       kept[TH_ROUNDS / 2].seconds / plain[TH_ROUNDS / 2].seconds, kept[0].seconds / plain[0].seconds,
	       (double)kept[0].bytes_written / (double)plain[0].bytes_written,
	       (double)kept[0].writes / (double)plain[0].writes);
	return 0;
}
