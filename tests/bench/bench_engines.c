/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compares the store with others: the same records, transactions and reads for each engine.
 *
 *   bench_engines order|random ENGINE PATH [RECORDS [DEVICE [CACHE]]]
 *   bench_engines engines
 *
 * PATH is a block device or file for Thunderhead and an empty directory for the others, new for each run.  `order`
 * loads in key order; `random` loads in random order, and then reads and overwrites.  DEVICE is the name of the block
 * device below (loop0, or "-"), whose transfers are counted.  CACHE is in MiB (512).  tests/bench/engines.sh sets all
 * of that up and prints tables.
 *
 * Prints a line for each phase, separated by tabs: phase, engine, operations, seconds, seconds until the engine was
 * idle after that, bytes of keys and values, bytes written by the device, bytes read by it, seconds of processor time
 * of all threads until then (user and system), and the peak memory of the process in bytes.  Memory includes LMDB's
 * map of the file, and four bytes a record that are not the engine's.  The diff has two more: changes found, nodes
 * read.  On a busy machine compare processor time, not time.
 *
 * Keys have 24 bytes, values 100 bytes that do not compress.  Each value begins with the number of its record, and
 * every read is verified by it.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/bench/engines/engine.h"
#include "tests/bench/engines/thunderhead.h"

#define KEY_BYTES 24
#define VALUE_BYTES 100
#define CACHE_MIB 512
#define LOAD_BATCH 1000
#define OVERWRITE_BATCH 10000
#define OVERWRITES 1000000
#define LOOKUPS 500000
#define LOOKUPS_UNDER_WAY 32
#define RANGES 50000
#define RANGE_RECORDS 100
#define DIFF_CHANGES 1000
#define SECTOR_BYTES 512

struct bench {
	const struct engine *engine;
	const char *path, *device;
	void *store;
	uint64_t records;
	uint32_t *shuffled; /* numbers of the records in random order */
	uint64_t seen, expected; /* while reading: records found, and the number of the next one */
	uint64_t random;
};

_Noreturn void engine_fail(const struct engine *engine, const char *what, const char *why)
{
	fprintf(stderr, "bench_engines: %s: %s: %s\n", engine->name, what, why);
	exit(1);
}

_Noreturn static void die(const char *what, const char *why)
{
	fprintf(stderr, "bench_engines: %s: %s\n", what, why);
	exit(1);
}

/* --- records --- */

static uint64_t mix(uint64_t x)
{
	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

static uint64_t next_random(struct bench *b)
{
	b->random += UINT64_C(0x9e3779b97f4a7c15);
	return mix(b->random);
}

static void write_hex(char *to, uint64_t number, unsigned digits)
{
	for (unsigned i = 0; i < digits; i++)
		to[i] = "0123456789abcdef"[number >> 4 * (digits - 1 - i) & 15];
}

/* Keys ascend with the record's number and look random. */
static struct th_slice make_key(const struct bench *b, char key[KEY_BYTES], uint64_t record)
{
	uint64_t step = UINT64_MAX / b->records, noise = mix(record + 1);

	write_hex(key, record * step + noise % step, 16);
	write_hex(key + 16, noise >> 32, 8);
	return (struct th_slice){ key, KEY_BYTES };
}

static struct th_slice make_value(struct bench *b, char value[VALUE_BYTES], uint64_t record)
{
	char noise[VALUE_BYTES / 8 * 8 + 8];

	for (size_t i = 0; i < sizeof(noise); i += 8) {
		uint64_t word = i ? next_random(b) : record;

		memcpy(noise + i, &word, 8);
	}
	memcpy(value, noise, VALUE_BYTES);
	return (struct th_slice){ value, VALUE_BYTES };
}

static void visit(void *arg, struct th_slice key, struct th_slice value)
{
	struct bench *b = arg;
	uint64_t record;

	if (key.size != KEY_BYTES || value.size != VALUE_BYTES)
		engine_fail(b->engine, "reading", "a record is not as it was put");
	memcpy(&record, value.data, sizeof(record));
	if (record != b->expected)
		engine_fail(b->engine, "reading", "another record than the one expected");
	b->expected++;
	b->seen++;
}

static void shuffle(struct bench *b)
{
	b->shuffled = calloc(b->records, sizeof(*b->shuffled));
	if (!b->shuffled)
		die("memory", "none left");
	for (uint64_t i = 0; i < b->records; i++) {
		uint64_t j = next_random(b) % (i + 1);

		b->shuffled[i] = b->shuffled[j];
		b->shuffled[j] = (uint32_t)i;
	}
}

/* --- measuring --- */

struct moment {
	double seconds, processor_seconds;
	uint64_t bytes_read, bytes_written;
};

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static double processor_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* The third and the seventh number of /sys/block/DEVICE/stat are sectors read and written. */
static struct moment count_now(const struct bench *b)
{
	struct moment moment = { 0 };
	char path[128];
	FILE *stat;

	if (b->device) {
		snprintf(path, sizeof(path), "/sys/block/%s/stat", b->device);
		stat = fopen(path, "re");
		if (!stat || fscanf(stat, "%*u %*u %" SCNu64 " %*u %*u %*u %" SCNu64, &moment.bytes_read,
				    &moment.bytes_written) != 2)
			die(path, "cannot be read");
		fclose(stat);
		moment.bytes_read *= SECTOR_BYTES;
		moment.bytes_written *= SECTOR_BYTES;
	}
	moment.seconds = now();
	moment.processor_seconds = processor_now();
	return moment;
}

/* Resets the peak of memory. */
static void reset_peak(void)
{
	FILE *refs = fopen("/proc/self/clear_refs", "we");

	if (!refs || fputs("5", refs) < 0 || fclose(refs) != 0)
		die("/proc/self/clear_refs", "cannot be written");
}

static uint64_t peak_bytes(void)
{
	FILE *status = fopen("/proc/self/status", "re");
	uint64_t kib = 0;
	char line[256];

	if (!status)
		die("/proc/self/status", "cannot be read");
	while (fgets(line, sizeof(line), status) && sscanf(line, "VmHWM: %" SCNu64, &kib) != 1)
		;
	fclose(status);
	return kib << 10;
}

static struct moment begin_phase(const struct bench *b)
{
	reset_peak();
	return count_now(b);
}

/* Dirty pages are charged to the phase that wrote them. */
static void write_back(const struct bench *b)
{
	int fd = open(b->path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || syncfs(fd))
		die(b->path, "cannot be written back");
	close(fd);
}

static void print_phase(const struct bench *b, const char *phase, uint64_t count, uint64_t bytes, struct moment start,
			double end)
{
	struct moment idle;

	b->engine->settle(b->store);
	write_back(b);
	idle = count_now(b);
	printf("%s\t%s\t%" PRIu64 "\t%.4f\t%.4f\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64 "\t%.4f\t%" PRIu64, phase,
	       b->engine->name, count, end - start.seconds, idle.seconds - end, bytes,
	       idle.bytes_written - start.bytes_written, idle.bytes_read - start.bytes_read,
	       idle.processor_seconds - start.processor_seconds, peak_bytes());
}

static void end_phase(const struct bench *b, const char *phase, uint64_t count, uint64_t bytes, struct moment start)
{
	print_phase(b, phase, count, bytes, start, now());
	putchar('\n');
	fflush(stdout);
}

/* --- phases with writes --- */

static void load(struct bench *b, const char *phase, bool ordered)
{
	char key[KEY_BYTES], value[VALUE_BYTES];
	struct moment start = begin_phase(b);

	for (uint64_t i = 0; i < b->records;) {
		b->engine->begin(b->store);
		for (int j = 0; j < LOAD_BATCH && i < b->records; j++, i++) {
			uint64_t record = ordered ? i : b->shuffled[i];

			b->engine->put(b->store, make_key(b, key, record), make_value(b, value, record), ordered);
		}
		b->engine->commit(b->store, false);
	}
	b->engine->sync(b->store);
	end_phase(b, phase, b->records, b->records * (KEY_BYTES + VALUE_BYTES), start);
}

static void overwrite_some(struct bench *b, uint64_t count, bool durable)
{
	char key[KEY_BYTES], value[VALUE_BYTES];

	b->engine->begin(b->store);
	for (uint64_t i = 0; i < count; i++) {
		uint64_t record = next_random(b) % b->records;

		b->engine->put(b->store, make_key(b, key, record), make_value(b, value, record), false);
	}
	b->engine->commit(b->store, durable);
}

static void overwrite(struct bench *b)
{
	struct moment start = begin_phase(b);

	for (uint64_t i = 0; i < OVERWRITES; i += OVERWRITE_BATCH)
		overwrite_some(b, OVERWRITE_BATCH, true);
	end_phase(b, "overwrite", OVERWRITES, (uint64_t)OVERWRITES * (KEY_BYTES + VALUE_BYTES), start);
}

/* The same with a checkpoint after each transaction, kept as a snapshot or not. */
static void overwrite_committed(struct bench *b, const char *phase, bool keep)
{
	struct moment start = begin_phase(b);
	char name[32];

	for (uint64_t i = 0; i < OVERWRITES; i += OVERWRITE_BATCH) {
		snprintf(name, sizeof(name), "%" PRIu64, i);
		overwrite_some(b, OVERWRITE_BATCH, false);
		thunderhead_commit(b->store, keep ? name : NULL);
	}
	end_phase(b, phase, OVERWRITES, (uint64_t)OVERWRITES * (KEY_BYTES + VALUE_BYTES), start);
}

/* --- phases with reads --- */

static void look_up(struct bench *b, uint64_t count)
{
	char key[KEY_BYTES];

	b->engine->read_begin(b->store);
	for (uint64_t i = 0; i < count; i++) {
		b->expected = next_random(b) % b->records;
		if (!b->engine->get(b->store, make_key(b, key, b->expected), visit, b))
			engine_fail(b->engine, "lookup", "a record is missing");
	}
	b->engine->read_end(b->store);
}

static void lookups(struct bench *b)
{
	struct moment start;

	look_up(b, LOOKUPS); /* to warm up */
	start = begin_phase(b);
	look_up(b, LOOKUPS);
	end_phase(b, "lookup", LOOKUPS, (uint64_t)LOOKUPS * (KEY_BYTES + VALUE_BYTES), start);
}

/* The same with many lookups in flight. */
static void lookups_async(struct bench *b)
{
	struct moment start = begin_phase(b);
	struct th_get *get[LOOKUPS_UNDER_WAY];
	uint64_t record[LOOKUPS_UNDER_WAY];
	char key[KEY_BYTES];

	for (uint64_t i = 0; i < LOOKUPS + LOOKUPS_UNDER_WAY; i++) {
		unsigned at = i % LOOKUPS_UNDER_WAY;

		if (i >= LOOKUPS_UNDER_WAY) {
			b->expected = record[at];
			if (!thunderhead_get_end(get[at], make_key(b, key, b->expected), visit, b))
				engine_fail(b->engine, "lookup", "a record is missing");
		}
		if (i < LOOKUPS) {
			record[at] = next_random(b) % b->records;
			get[at] = thunderhead_get_begin(b->store, make_key(b, key, record[at]));
		}
	}
	end_phase(b, "lookup-async", LOOKUPS, (uint64_t)LOOKUPS * (KEY_BYTES + VALUE_BYTES), start);
}

static bool is_thunderhead(const struct bench *b)
{
	return b->engine == &engine_thunderhead || b->engine == &engine_thunderhead_buffered;
}

static void scan(struct bench *b)
{
	struct moment start = begin_phase(b);

	b->seen = b->expected = 0;
	b->engine->read_begin(b->store);
	b->engine->range(b->store, (struct th_slice){ "", 0 }, UINT64_MAX, visit, b);
	b->engine->read_end(b->store);
	if (b->seen != b->records)
		engine_fail(b->engine, "scan", "not all records were seen");
	end_phase(b, "scan", b->records, b->records * (KEY_BYTES + VALUE_BYTES), start);
}

static void ranges(struct bench *b)
{
	struct moment start = begin_phase(b);
	char key[KEY_BYTES];

	b->seen = 0;
	b->engine->read_begin(b->store);
	for (uint64_t i = 0; i < RANGES; i++) {
		b->expected = next_random(b) % (b->records - RANGE_RECORDS);
		b->engine->range(b->store, make_key(b, key, b->expected), RANGE_RECORDS, visit, b);
	}
	b->engine->read_end(b->store);
	if (b->seen != (uint64_t)RANGES * RANGE_RECORDS)
		engine_fail(b->engine, "ranges", "not all records were seen");
	end_phase(b, "range", RANGES, (uint64_t)RANGES * RANGE_RECORDS * (KEY_BYTES + VALUE_BYTES), start);
}

static void diff(struct bench *b)
{
	uint64_t changes, nodes;
	struct moment start;

	thunderhead_commit(b->store, "older");
	overwrite_some(b, DIFF_CHANGES, false);
	thunderhead_commit(b->store, "newer");
	start = begin_phase(b);
	changes = thunderhead_diff(b->store, "older", "newer", &nodes);
	print_phase(b, "diff", changes, changes * (KEY_BYTES + VALUE_BYTES), start, now());
	printf("\t%" PRIu64 "\t%" PRIu64 "\n", changes, nodes);
}

static void run_random(struct bench *b)
{
	shuffle(b);
	load(b, "load-random", false);
	free(b->shuffled);
	lookups(b);
	if (is_thunderhead(b))
		lookups_async(b);
	scan(b);
	ranges(b);
	overwrite(b);
	if (!is_thunderhead(b))
		return;
	overwrite_committed(b, "overwrite-committed", false);
	overwrite_committed(b, "overwrite-kept", true);
	diff(b);
}

/* --- runs --- */

static const struct engine *find_engine(const char *name)
{
	for (size_t i = 0; engines[i]; i++)
		if (!strcmp(name, engines[i]->name))
			return engines[i];
	die(name, "this program was built without it");
}

int main(int argc, char **argv)
{
	struct bench b = { .records = 1000000, .random = 1 };
	bool ordered = argc > 1 && !strcmp(argv[1], "order");
	size_t cache_mib = CACHE_MIB;

	if (argc == 2 && !strcmp(argv[1], "engines")) {
		for (size_t i = 0; engines[i]; i++)
			puts(engines[i]->name);
		return 0;
	}
	if (argc < 4 || argc > 7 || (!ordered && strcmp(argv[1], "random")))
		die("usage",
		    "bench_engines order|random ENGINE PATH [RECORDS [DEVICE [CACHE]]], or bench_engines engines");
	b.engine = find_engine(argv[2]);
	b.path = argv[3];
	if (argc > 4)
		b.records = strtoull(argv[4], NULL, 10);
	if (argc > 5 && strcmp(argv[5], "-"))
		b.device = argv[5];
	if (argc > 6)
		cache_mib = strtoul(argv[6], NULL, 10);
	if (b.records <= RANGE_RECORDS || b.records > UINT32_MAX)
		die("records", "more than a hundred, fewer than four thousand million");
	b.store = b.engine->create(b.path, cache_mib << 20);
	if (ordered)
		load(&b, "load-ordered", true);
	else
		run_random(&b);
	b.engine->close(b.store);
	return 0;
}
