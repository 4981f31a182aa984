/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/node/scatter.h"

#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "journal/base/checksum.h"

void th_scatter_pack(const struct th_scatter *scatter, uint64_t birth, void *block)
{
	struct th_scatter_disk map = {
		.magic = th_le32(TH_SCATTER_MAGIC),
		.count = th_le32(scatter->count),
		.birth = th_le64(birth),
	};

	for (unsigned i = 0; i < scatter->count; i++) {
		map.run[i].addr = th_le64(scatter->run[i].addr);
		map.run[i].blocks = th_le32(scatter->run[i].blocks);
	}
	map.checksum = th_le64(th_checksum(map.run, sizeof(map.run)));
	memset(block, 0, TH_BLOCK_SIZE);
	memcpy(block, &map, sizeof(map));
}

/* Returns 0, -EBADMSG or -EUCLEAN. */
static int unpack(const void *block, const struct th_disk *disk, const struct th_ptr *ptr, struct th_scatter *ret)
{
	struct th_scatter_disk map;
	uint64_t blocks = 0;

	memcpy(&map, block, sizeof(map));
	if (th_get_le32(map.magic) != TH_SCATTER_MAGIC || th_get_le64(map.birth) != ptr->birth)
		return -EUCLEAN;
	if (th_get_le64(map.checksum) != th_checksum(map.run, sizeof(map.run)))
		return -EBADMSG;
	ret->count = th_get_le32(map.count);
	if (ret->count == 0 || ret->count > TH_SCATTER_MAX)
		return -EUCLEAN;
	for (unsigned i = 0; i < ret->count; i++) {
		uint64_t addr = th_get_le64(map.run[i].addr);
		uint32_t length = th_get_le32(map.run[i].blocks);

		if (addr == 0 || length == 0 || length > ptr->blocks || addr >= disk->blocks ||
		    length > disk->blocks - addr)
			return -EUCLEAN;
		ret->run[i].addr = addr;
		ret->run[i].blocks = length;
		blocks += length;
	}
	return blocks == ptr->blocks ? 0 : -EUCLEAN;
}

int th_scatter_read(struct th_disk *disk, const struct th_ptr *ptr, struct th_scatter *ret)
{
	void *block = th_disk_buffer(TH_BLOCK_SIZE);
	int err;

	if (!block)
		return -ENOMEM;
	err = th_disk_read(disk, ptr->addr, 1, block);
	if (!err)
		err = unpack(block, disk, ptr, ret);
	free(block);
	return err;
}

bool th_node_blocks_right(const struct th_ptr *ptr, const void *blocks)
{
	return th_checksum(blocks, (size_t)ptr->blocks * TH_BLOCK_SIZE) == ptr->checksum;
}

static int read_scattered(struct th_disk *disk, const struct th_ptr *ptr, uint8_t *to)
{
	struct th_scatter scatter;
	int err = th_scatter_read(disk, ptr, &scatter);

	for (unsigned i = 0; !err && i < scatter.count; i++) {
		err = th_disk_read(disk, scatter.run[i].addr, scatter.run[i].blocks, to);
		to += scatter.run[i].blocks * TH_BLOCK_SIZE;
	}
	return err;
}

int th_node_blocks_read(struct th_disk *disk, const struct th_ptr *ptr, void *buffer)
{
	int err =
		ptr->scattered ? read_scattered(disk, ptr, buffer) : th_disk_read(disk, ptr->addr, ptr->blocks, buffer);

	return !err && !th_node_blocks_right(ptr, buffer) ? -EBADMSG : err;
}

static int write_scattered(struct th_disk *disk, const struct th_ptr *ptr, const uint8_t *from)
{
	struct th_scatter scatter;
	int err = th_scatter_read(disk, ptr, &scatter);

	for (unsigned i = 0; !err && i < scatter.count; i++) {
		err = th_disk_write(disk, scatter.run[i].addr, scatter.run[i].blocks, from);
		from += scatter.run[i].blocks * TH_BLOCK_SIZE;
	}
	return err;
}

int th_node_blocks_heal(struct th_disk *disk, const struct th_ptr *ptr, const void *blocks)
{
	void *again = th_disk_buffer((size_t)ptr->blocks * TH_BLOCK_SIZE);
	int err = -ENOMEM;

	if (again)
		err = ptr->scattered ? write_scattered(disk, ptr, blocks)
				     : th_disk_write(disk, ptr->addr, ptr->blocks, blocks);
	if (!err)
		err = th_node_blocks_read(disk, ptr, again);
	free(again);
	return err;
}

/* --- without waiting --- */

/* The map is read first, then all runs at once. */
struct gather {
	struct th_disk *disk;
	struct th_ptr ptr;
	uint8_t *buffer;
	struct th_future *whole; /* the caller's */
	void *map;
	struct th_future map_future, future[TH_SCATTER_MAX];
	_Atomic unsigned left; /* runs under way */
	_Atomic int err; /* the first one */
};

static void gather_end(struct gather *gather, int err)
{
	struct th_future *whole = gather->whole;

	free(gather->map);
	free(gather);
	th_future_complete(whole, err);
}

static void run_arrived(struct th_future *future, void *arg)
{
	struct gather *gather = arg;
	int none = 0;

	if (future->result)
		atomic_compare_exchange_strong(&gather->err, &none, future->result);
	if (atomic_fetch_sub(&gather->left, 1) == 1)
		gather_end(gather, atomic_load(&gather->err));
}

static void map_arrived(struct th_future *future, void *arg)
{
	struct gather *gather = arg;
	uint8_t *to = gather->buffer;
	struct th_scatter scatter;
	int err = future->result;

	if (!err)
		err = unpack(gather->map, gather->disk, &gather->ptr, &scatter);
	if (err) {
		gather_end(gather, err);
		return;
	}
	atomic_store(&gather->left, scatter.count);
	for (unsigned i = 0; i < scatter.count; i++) {
		uint32_t blocks = scatter.run[i].blocks;

		th_disk_get(gather->disk, scatter.run[i].addr, blocks, to, &gather->future[i]);
		to += blocks * TH_BLOCK_SIZE;
		th_future_then_driven(&gather->future[i], run_arrived, gather);
	}
}

void th_node_blocks_get(struct th_disk *disk, const struct th_ptr *ptr, void *buffer, struct th_future *future)
{
	struct gather *gather;

	if (!ptr->scattered) {
		th_disk_get(disk, ptr->addr, ptr->blocks, buffer, future);
		return;
	}
	th_future_init(future, NULL, NULL);
	gather = calloc(1, sizeof(*gather));
	if (gather)
		gather->map = th_disk_buffer(TH_BLOCK_SIZE);
	if (!gather || !gather->map) {
		free(gather);
		th_future_complete(future, -ENOMEM);
		return;
	}
	gather->disk = disk;
	gather->ptr = *ptr;
	gather->buffer = buffer;
	gather->whole = future;
	th_disk_get(disk, ptr->addr, 1, gather->map, &gather->map_future);
	th_future_then_driven(&gather->map_future, map_arrived, gather);
}

/* --- */

static int each_run_of_copy(struct th_disk *disk, const struct th_ptr *ptr, th_run_visit *each, void *arg)
{
	struct th_run run = { ptr->addr, ptr->birth, ptr->scattered ? 1 : ptr->blocks };
	struct th_scatter scatter;
	int err = each(&run, arg);

	if (err || !ptr->scattered)
		return err;
	err = th_scatter_read(disk, ptr, &scatter);
	if (err && err != -ENOMEM) /* the error may be transient, and what is skipped is lost */
		err = th_scatter_read(disk, ptr, &scatter);
	if (err && err != -ENOMEM) {
		th_disk_report(disk,
			       "the map at block %" PRIu64 " of a freed node cannot be read: its %u blocks stay used",
			       ptr->addr, ptr->blocks);
		return 0;
	}
	for (unsigned i = 0; !err && i < scatter.count; i++) {
		run.addr = scatter.run[i].addr;
		run.blocks = scatter.run[i].blocks;
		err = each(&run, arg);
	}
	return err;
}

int th_node_each_run(struct th_disk *disk, const struct th_ptr *ptr, th_run_visit *each, void *arg)
{
	int err = 0;

	for (unsigned i = 0; i < th_ptr_copies(ptr) && !err; i++) {
		struct th_ptr copy = th_ptr_copy(ptr, i);

		err = each_run_of_copy(disk, &copy, each, arg);
	}
	return err;
}
