/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Measures the cost of the shape of nodes: bytes of nodes written per byte of the user, and the time for lookups and
 * overwrites, with a given number of overwrites between commits.
 *
 *   bench_writes [RECORDS [OVERWRITES]]
 *
 * Records are 24-byte keys with 100-byte values, loaded and overwritten in random order; the store is in memory.  The
 * counts do not depend on the machine.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "journal/disk/disk.h"
#include "tree/thunderhead.h"

#define TH_KEY_BYTES 24
#define TH_VALUE_BYTES 100
#define TH_BENCH_BLOCKS (UINT64_C(1) << 21) /* 8 GiB */

static uint64_t seed = 1;

static uint64_t next_random(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

static void check(int err, const char *what)
{
	if (err >= 0)
		return;
	fprintf(stderr, "bench_writes: %s: %s\n", what, strerror(-err));
	exit(1);
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static struct th_slice record_key(char key[TH_KEY_BYTES + 1], uint64_t record)
{
	snprintf(key, TH_KEY_BYTES + 1, "%016llx%08x", (unsigned long long)(record * UINT64_C(0x9e3779b97f4a7c15)),
		 (unsigned)record);
	return (struct th_slice){ key, TH_KEY_BYTES };
}

/* Overwrites `count` random records (or, with `from` set, puts the next ones in random key order), with a commit at
 * intervals. */
static void write_records(struct th_store *store, uint64_t records, uint64_t count, uint64_t between, bool load)
{
	char key[TH_KEY_BYTES + 1], value[TH_VALUE_BYTES];
	struct th_txn *txn;

	for (uint64_t i = 0; i < count;) {
		check(th_txn_begin(store, &txn), "begin");
		for (int j = 0; j < 100 && i < count; j++, i++) {
			uint64_t record = load ? i : next_random() % records;

			for (size_t k = 0; k < sizeof(value); k += 4)
				memcpy(value + k, &(uint32_t){ (uint32_t)next_random() }, 4);
			check(th_txn_put(txn, record_key(key, record), (struct th_slice){ value, sizeof(value) }),
			      "put");
		}
		check(th_txn_commit(txn), "merge");
		if (i % between == 0)
			check(th_store_checkpoint(store), "commit");
	}
	check(th_store_checkpoint(store), "commit");
}

static void report(struct th_store *store, const char *what, uint64_t count, double seconds,
		   const struct th_store_info *before)
{
	struct th_store_info after;

	th_store_info(store, &after);
	printf("  %-28s %8.0f/s", what, (double)count / seconds);
	if (after.node_bytes_written > before->node_bytes_written)
		printf("  node bytes per byte %6.2f", (double)(after.node_bytes_written - before->node_bytes_written) /
							      (double)(count * (TH_KEY_BYTES + TH_VALUE_BYTES)));
	printf("\n");
}

static void lookups(struct th_store *store, uint64_t records, uint64_t count)
{
	char key[TH_KEY_BYTES + 1];
	struct th_store_info before;
	struct th_value value;
	double start = now();

	th_store_info(store, &before);
	for (uint64_t i = 0; i < count; i++) {
		check(th_get(th_view_live(store), record_key(key, next_random() % records), &value), "get");
		th_value_release(&value);
	}
	report(store, "lookups, warm", count, now() - start, &before);
}

int main(int argc, char **argv)
{
	static const uint64_t between[] = { 1000, 10000, 100000 };
	uint64_t records = argc > 1 ? strtoull(argv[1], NULL, 10) : 400000;
	uint64_t overwrites = argc > 2 ? strtoull(argv[2], NULL, 10) : 200000;
	struct th_store_info before;
	struct th_disk *disk;
	struct th_store *store;
	double start;

	check(th_disk_memory_new(TH_BENCH_BLOCKS, &disk), "memory");
	check(th_store_format(disk, NULL), "format");
	check(th_store_open(disk, NULL, &store), "open");
	th_store_info(store, &before);
	start = now();
	write_records(store, records, records, 100000, true);
	report(store, "load", records, now() - start, &before);
	for (size_t i = 0; i < sizeof(between) / sizeof(*between); i++) {
		char what[64];

		snprintf(what, sizeof(what), "overwrites, commit per %llu", (unsigned long long)between[i]);
		th_store_info(store, &before);
		start = now();
		write_records(store, records, overwrites, between[i], false);
		report(store, what, overwrites, now() - start, &before);
	}
	lookups(store, records, overwrites);
	th_store_info(store, &before);
	printf("  height %u, %.1f MB in use for %.1f MB of records\n", before.height,
	       (double)(before.blocks - before.blocks_free - before.blocks_waiting) * (double)before.block_size / 1e6,
	       (double)(records * (TH_KEY_BYTES + TH_VALUE_BYTES)) / 1e6);
	return th_store_close(store) < 0;
}
