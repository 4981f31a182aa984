/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Damaged images: opening, reading, diffing and checking one must end with a result or an error, whatever is wrong with
 * it, and data that is returned under a checksum must be data that was written.
 *
 * The input is a list of 8-byte orders.  Each damages the sound image, which is built once: which block, where in it,
 * and how.  Builds as a libFuzzer target with -DTH_FUZZER; otherwise main makes inputs from a seed.
 */
#include "journal/super.h"
#include "tests/tree/extents.h"
#include "tree/chunk.h"
#include "tree/node/node.h"
#include "tree/node/node_pack.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define KEYS 1500
#define INPUT_SECONDS 300 /* an input takes milliseconds; one that takes longer than this hangs */
#define BLOCKS_IN_USE 600 /* at the start, mostly */
#define HEADER_BYTES 512 /* a block's own header is usually here: half of the orders damage it */

static struct th_disk *sound; /* has snapshots and branches, all kinds of values, and a log to be replayed */

static void ignore_report(void *arg, const char *line)
{
	(void)arg;
	(void)line;
}

static const struct th_store_options quiet = {
	.cache_bytes = 2 << 20, .checkpoint_interval_ms = 3600 * 1000, .report = ignore_report, .runs = th_extents_runs
};

static void must(int result)
{
	if (result < 0) {
		fprintf(stderr, "fuzz_image: cannot make the sound image: %s\n", strerror(-result));
		abort();
	}
}

static void write_round(struct th_store *store, struct th_random *random, unsigned count)
{
	static uint8_t bytes[10000];
	struct th_txn *txn;

	must(th_txn_begin(store, &txn));
	while (count--) {
		uint32_t shape = th_random_below(random, 100);
		struct th_slice key;
		char name[32];

		snprintf(name, sizeof(name), "key/%u", th_random_below(random, KEYS));
		key = th_slice_of(name);
		if (shape < 85) {
			th_value_make(bytes, sizeof(bytes), key, shape);
			must(th_txn_put(txn, key,
					(struct th_slice){ bytes, shape < 5 ? sizeof(bytes) : 3 * (size_t)shape }));
		} else if (shape < 95) {
			must(th_txn_delete(txn, key));
		} else {
			must(th_txn_ref(txn, key, 1));
		}
	}
	must(th_txn_commit(txn));
}

static void write_file(struct th_store *store, struct th_random *random, unsigned number)
{
	struct th_extents file = { .count = 2 };
	uint8_t value[sizeof(file)];
	struct th_txn *txn;
	uint64_t hint = 0;
	char name[32];

	must(th_txn_begin(store, &txn));
	must(th_extent_write(txn, random, 9, false, &hint, &file.extents[0]));
	file.extents[1] = file.extents[0];
	must(th_chunk_share(txn, &file.extents[0].run, &file.extents[1].run));
	snprintf(name, sizeof(name), "file/%u", number);
	must(th_txn_put(txn, th_slice_of(name), (struct th_slice){ value, th_extents_pack(&file, value) }));
	must(th_txn_commit(txn));
}

/* Leaves the image as after a crash, so that it has a log. */
static void make_sound(void)
{
	struct th_random random = { .state = 1 };
	struct th_disk *memory, *disk, *lent;
	struct th_snapshot snapshot;
	struct th_store *store;

	must(th_disk_memory_new(TH_IMAGE_MIN / TH_BLOCK_SIZE, &memory));
	must(th_disk_fault_new(memory, &disk));
	lent = th_disk_lend(disk);
	must(th_store_format(lent, NULL));
	must(th_store_open(lent, &quiet, &store));
	for (unsigned i = 0; i < 6; i++) {
		char name[16];

		write_round(store, &random, 400);
		write_file(store, &random, i);
		snprintf(name, sizeof(name), "snapshot %u", i);
		must(th_snapshot_create(store, name, &snapshot));
	}
	must(th_snapshot_delete(store, "snapshot 2"));
	must(th_snapshot_hold(store, "snapshot 5", "a tag"));
	must(th_snapshot_hold(store, "snapshot 5", "another"));
	must(th_snapshot_hold(store, "snapshot 1", "a tag"));
	must(th_branch_create(store, "work", "snapshot 1", NULL));
	must(th_branch_create(store, "play", "snapshot 4", NULL));
	must(th_store_rollback(store, "snapshot 3"));
	write_round(store, &random, 100);
	must(th_store_checkpoint(store));
	write_round(store, &random, 50);
	must(th_store_sync(store));
	must(th_disk_fault_crash_image(disk, th_disk_fault_events(disk), 1, &sound));
	must(th_store_close(store));
	th_disk_close(disk);
}

static struct th_disk *copy_sound(void *block)
{
	static const uint8_t zeros[TH_BLOCK_SIZE];
	struct th_disk *copy;

	must(th_disk_memory_new(sound->blocks, &copy));
	for (uint64_t addr = 0; addr < sound->blocks; addr++) {
		must(th_disk_read(sound, addr, 1, block));
		if (memcmp(block, zeros, TH_BLOCK_SIZE) != 0)
			must(th_disk_write(copy, addr, 1, block));
	}
	return copy;
}

/* Returns the block of an order.  Half of the orders damage the start of the disk, where most blocks in use are. */
static uint64_t order_addr(const struct th_disk *disk, const uint8_t *order)
{
	uint64_t addr = (uint64_t)order[0] << 8 | order[1];

	return addr % (order[2] & 1 ? disk->blocks : BLOCKS_IN_USE);
}

/* Changes the length of a node's prefix, in the node and in all pointers to it, so that its keys lack more or less than
 * they should. */
static void change_prefix(struct th_disk *disk, uint64_t addr, uint16_t size, uint8_t *block)
{
	struct th_node_disk node;
	struct th_ptr_disk ptr;

	must(th_disk_read(disk, addr, 1, block));
	memcpy(&node, block, sizeof(node));
	if (th_get_le32(node.magic) != TH_NODE_MAGIC)
		return;
	node.prefix_size = th_le16(size);
	memcpy(block, &node, sizeof(node));
	must(th_disk_write(disk, addr, 1, block));
	for (uint64_t other = 0; other < BLOCKS_IN_USE; other++) {
		bool changed = false;

		must(th_disk_read(disk, other, 1, block));
		for (size_t at = 0; at + sizeof(ptr) <= TH_BLOCK_SIZE; at++) {
			memcpy(&ptr, block + at, sizeof(ptr));
			if (th_get_le64(ptr.addr) != addr || th_get_le16(ptr.reserved))
				continue;
			ptr.prefix_size = th_le16(size);
			memcpy(block + at, &ptr, sizeof(ptr));
			changed = true;
		}
		if (changed)
			must(th_disk_write(disk, other, 1, block));
	}
}

static void damage(struct th_disk *disk, const uint8_t *order, uint8_t *block)
{
	uint64_t addr = order_addr(disk, order);
	size_t at = ((size_t)order[3] << 8 | order[4]) % (order[2] & 2 ? TH_BLOCK_SIZE : HEADER_BYTES);
	struct th_random random = { .state = order[6] };

	if (addr == TH_HEARTBEAT_BLOCK)
		return; /* a writer would watch it for some seconds */
	must(th_disk_read(disk, addr, 1, block));
	switch (order[5] % 7) {
	case 0:
	case 1:
		block[at] ^= (uint8_t)(1u << order[6] % 8);
		break;
	case 2:
		block[at] = order[6];
		break;
	case 3:
		memset(block, order[6] % 2 ? 0 : 0xff, TH_BLOCK_SIZE);
		break;
	case 4:
		th_random_fill(&random, block + at, TH_BLOCK_SIZE - at);
		break;
	case 5:
		change_prefix(disk, addr, order[6] % 16, block);
		return;
	default: /* another block's content: valid by itself, but at the wrong address */
		must(th_disk_read(disk, (addr + order[6]) % disk->blocks, 1, block));
	}
	must(th_disk_write(disk, addr, 1, block));
}

static void scan(struct th_view *view)
{
	struct th_cursor_entry entry;
	struct th_cursor *cursor;

	if (th_cursor_open(view, NULL, &cursor) < 0)
		return;
	while (th_cursor_next(cursor, &entry) == 0)
		;
	th_cursor_seek_end(cursor);
	while (th_cursor_prev(cursor, &entry) == 0)
		;
	th_cursor_close(cursor);
}

static void get_all(struct th_view *view)
{
	struct th_value value;
	char name[32];

	for (unsigned i = 0; i < KEYS; i += 7) {
		snprintf(name, sizeof(name), "key/%u", i);
		if (th_get(view, th_slice_of(name), &value) == 0)
			th_value_release(&value);
	}
}

static void diff(struct th_view *from, struct th_view *to)
{
	struct th_change change;
	struct th_diff *diff;

	if (th_diff_open(from, to, NULL, &diff) < 0)
		return;
	while (th_diff_next(diff, &change) == 0)
		;
	th_diff_close(diff);
}

static void read_snapshots(struct th_store *store)
{
	struct th_snapshot *list = NULL;
	struct th_view *last = NULL, *view;
	size_t count = 0;

	if (th_snapshot_list(store, &list, &count) < 0)
		return;
	for (size_t i = 0; i < count; i++) {
		if (th_view_snapshot(store, list[i].id, &view) < 0)
			continue;
		scan(view);
		if (last) {
			diff(last, view);
			diff(view, last);
			th_view_close(last);
		}
		last = view;
	}
	if (last)
		th_view_close(last);
	free(list);
}

static void read_holds(struct th_store *store)
{
	struct th_hold *list = NULL;
	size_t count = 0;

	if (th_snapshot_holds(store, NULL, &list, &count) < 0)
		return;
	for (size_t i = 0; i < count; i++)
		if (!memchr(list[i].tag, 0, sizeof(list[i].tag)))
			abort();
	free(list);
}

static void read_branches(struct th_store *store)
{
	static const char *const names[] = { "main", "work", "play" };
	struct th_view *views[3] = { NULL };

	for (int i = 0; i < 3; i++) {
		if (th_view_branch(store, names[i], &views[i]) < 0) {
			views[i] = NULL;
			continue;
		}
		scan(views[i]);
		if (i > 0 && views[i - 1])
			diff(views[i - 1], views[i]);
	}
	for (int i = 0; i < 3; i++)
		th_view_close(views[i]);
}

/* Writing to a damaged store may fail, but must not crash. */
static void write_some(struct th_store *store)
{
	struct th_snapshot snapshot;
	struct th_txn *txn;
	char name[32];

	if (th_txn_begin(store, &txn) < 0)
		return;
	for (unsigned i = 0; i < KEYS; i += 40) {
		snprintf(name, sizeof(name), "key/%u", i);
		if (th_txn_put(txn, th_slice_of(name), th_slice_of("written")) < 0)
			break;
	}
	th_txn_commit(txn);
	th_store_sync(store);
	th_snapshot_create(store, "new", &snapshot);
	th_snapshot_delete(store, "snapshot 0");
	th_branch_delete(store, "work", true);
	th_store_rollback(store, "snapshot 1");
	th_snapshot_delete(store, "snapshot 5");
	th_snapshot_hold(store, "snapshot 4", "a tag");
	th_snapshot_release(store, "snapshot 5", "a tag");
	th_snapshot_release(store, "snapshot 5", "another");
	th_snapshot_delete(store, "snapshot 5");
	th_store_checkpoint(store);
}

static void use(struct th_disk *disk, bool read_only, const char *branch)
{
	struct th_check_options check = { .read_data = true,
					  .runs = read_only ? NULL : th_extents_runs,
					  .problem = ignore_report };
	struct th_store_options options = quiet;
	struct th_check_result result;
	struct th_store *store;

	options.read_only = read_only;
	options.branch = branch;
	if (th_store_open(disk, &options, &store) < 0) {
		th_disk_close(disk);
		return;
	}
	scan(th_view_live(store));
	get_all(th_view_live(store));
	read_snapshots(store);
	read_branches(store);
	read_holds(store);
	th_store_check(store, &check, &result);
	if (!read_only) {
		write_some(store);
		scan(th_view_live(store));
	}
	th_store_close(store);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *block = th_disk_buffer(TH_BLOCK_SIZE);
	bool play = size > 0 && data[size - 1] % 2;
	struct th_disk *disk;

	if (!sound)
		make_sound();
	disk = copy_sound(block);
	for (; size >= 8; data += 8, size -= 8)
		damage(disk, data, block);
	free(block);
	use(th_disk_lend(disk), true, NULL);
	use(th_disk_lend(disk), true, "work");
	use(th_disk_lend(disk), false, play ? "play" : NULL);
	th_disk_close(disk);
	return 0;
}

#ifndef TH_FUZZER
int main(void)
{
	uint64_t seed = th_test_seed("fuzz_image");
	unsigned rounds = th_test_rounds(100);

	for (unsigned i = 0; i < rounds; i++) {
		struct th_random random = { .state = seed + i };
		uint8_t orders[8 * 40];
		size_t count = th_random_percent(&random, 50) ? 1 : th_random_between(&random, 2, 40);

		th_random_fill(&random, orders, 8 * count);
		alarm(INPUT_SECONDS);
		LLVMFuzzerTestOneInput(orders, 8 * count);
	}
	printf("fuzz_image: %u damaged images\n", rounds);
	th_disk_close(sound);
	return 0;
}
#endif
