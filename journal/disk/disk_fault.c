/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The disk for tests: fails on demand, and records every save and discard in order, so that a test can ask for each
 * image that a crash might have left.
 *
 * Transfers are carried out one at a time, with the lock held, and are complete when they return.  So the record is
 * exact: a save recorded before a flush had completed when that flush started (D2).
 */
#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "journal/base/array.h"
#include "journal/disk/disk.h"

#define SECTOR_SIZE 512 /* bytes that a disk writes whole or not at all */
#define SECTORS (TH_BLOCK_SIZE / SECTOR_SIZE)

/* A save, or else a discard or a flush: data is NULL, and a flush has no blocks. */
struct event {
	uint64_t addr;
	uint64_t blocks;
	char *data;
};

struct fault_disk {
	struct th_disk disk;
	struct th_disk *inner;
	pthread_mutex_t lock; /* guards everything below, and the order of transfers */
	struct th_disk *base; /* the content before the first event */
	struct event *events;
	size_t nevents, room;
	enum th_fault_kind kind;
	uint64_t left; /* transfers that succeed before the fault */
	bool cut; /* the power is gone */
};

/* The outcome of one transfer. */
enum fate { FATE_PASS, FATE_FAIL, FATE_TEAR, FATE_DROP, FATE_FLIP };

enum transfer { TRANSFER_GET, TRANSFER_SAVE, TRANSFER_FLUSH };

/* Returns whether a fault counts transfers of this kind. */
static bool fault_counts(enum th_fault_kind kind, enum transfer transfer)
{
	switch (kind) {
	case TH_FAULT_NONE:
		return false;
	case TH_FAULT_ERROR:
		return true;
	case TH_FAULT_TEAR:
	case TH_FAULT_DROP:
		return transfer == TRANSFER_SAVE;
	case TH_FAULT_FLIP:
		return transfer != TRANSFER_FLUSH;
	case TH_FAULT_CUT:
		return transfer != TRANSFER_GET;
	}
	return false;
}

static enum fate decide(struct fault_disk *fault, enum transfer transfer)
{
	enum th_fault_kind kind = fault->kind;

	if (fault->cut)
		return FATE_FAIL;
	if (!fault_counts(kind, transfer) || fault->left-- > 0)
		return FATE_PASS;
	fault->kind = TH_FAULT_NONE;
	fault->cut = kind == TH_FAULT_CUT;
	if (kind == TH_FAULT_TEAR)
		return FATE_TEAR;
	if (kind == TH_FAULT_DROP)
		return FATE_DROP;
	return kind == TH_FAULT_FLIP ? FATE_FLIP : FATE_FAIL;
}

static void flip_one_bit(char *data, uint32_t blocks)
{
	size_t size = (size_t)blocks << TH_BLOCK_SHIFT;

	data[size / 2 + size / 5] ^= 0x10;
}

/* Records an event, which owns data; frees data on an error. */
static int record(struct fault_disk *fault, uint64_t addr, uint64_t blocks, char *data)
{
	int err = th_grow(fault->events, fault->room, fault->nevents + 1);

	if (err) {
		free(data);
		return err;
	}
	fault->events[fault->nevents++] = (struct event){ .addr = addr, .blocks = blocks, .data = data };
	return 0;
}

static void fault_get(struct th_disk *disk, uint64_t addr, uint32_t blocks, void *buf, struct th_future *future)
{
	struct fault_disk *fault = (struct fault_disk *)disk;
	enum fate fate;
	int err;

	pthread_mutex_lock(&fault->lock);
	fate = decide(fault, TRANSFER_GET);
	err = fate == FATE_FAIL ? -EIO : th_disk_read(fault->inner, addr, blocks, buf);
	if (fate == FATE_FLIP && err == 0)
		flip_one_bit(buf, blocks);
	pthread_mutex_unlock(&fault->lock);
	th_future_init(future, NULL, NULL);
	th_future_complete(future, err);
}

/* Returns the buffers of a save in one, which the caller frees, or NULL if there is no memory. */
static char *gather(const struct iovec *iov, int iovcnt, uint32_t *ret_blocks)
{
	size_t size = 0;
	char *data;

	for (int i = 0; i < iovcnt; i++)
		size += iov[i].iov_len;
	data = th_disk_buffer(size);
	if (!data)
		return NULL;
	*ret_blocks = (uint32_t)(size >> TH_BLOCK_SHIFT);
	size = 0;
	for (int i = 0; i < iovcnt; i++) {
		memcpy(data + size, iov[i].iov_base, iov[i].iov_len);
		size += iov[i].iov_len;
	}
	return data;
}

/* Reduces a save to its first half: half of its blocks, or half of the sectors of its only block, whose other half is
 * read from the disk. */
static int tear(struct fault_disk *fault, uint64_t addr, uint32_t *blocks, char *data)
{
	int err = 0;

	if (*blocks > 1) {
		*blocks /= 2;
	} else {
		char *before = th_disk_buffer(TH_BLOCK_SIZE);

		if (!before)
			return -ENOMEM;
		err = th_disk_read(fault->inner, addr, 1, before);
		memcpy(data + TH_BLOCK_SIZE / 2, before + TH_BLOCK_SIZE / 2, TH_BLOCK_SIZE / 2);
		free(before);
	}
	return err;
}

/* Decides the outcome of a save, and writes and records what is left of it.  Owns data. */
static int save(struct fault_disk *fault, uint64_t addr, uint32_t blocks, char *data)
{
	enum fate fate = decide(fault, TRANSFER_SAVE);
	int err = 0;

	if (fate == FATE_FAIL || fate == FATE_DROP) {
		free(data);
		return fate == FATE_FAIL ? -EIO : 0;
	}
	if (fate == FATE_FLIP)
		flip_one_bit(data, blocks);
	if (fate == FATE_TEAR)
		err = tear(fault, addr, &blocks, data);
	if (!err)
		err = th_disk_write(fault->inner, addr, blocks, data);
	if (err)
		free(data);
	else
		err = record(fault, addr, blocks, data);
	return err ? err : fate == FATE_TEAR ? -EIO : 0;
}

static void fault_save(struct th_disk *disk, uint64_t addr, const struct iovec *iov, int iovcnt,
		       struct th_future *future)
{
	struct fault_disk *fault = (struct fault_disk *)disk;
	uint32_t blocks;
	char *data = gather(iov, iovcnt, &blocks);
	int err = -ENOMEM;

	if (data) {
		pthread_mutex_lock(&fault->lock);
		err = save(fault, addr, blocks, data);
		pthread_mutex_unlock(&fault->lock);
	}
	th_future_init(future, NULL, NULL);
	th_future_complete(future, err);
}

static void fault_flush(struct th_disk *disk, struct th_future *future)
{
	struct fault_disk *fault = (struct fault_disk *)disk;
	int err;

	pthread_mutex_lock(&fault->lock);
	err = decide(fault, TRANSFER_FLUSH) == FATE_FAIL ? -EIO : th_disk_sync(fault->inner);
	if (!err)
		err = record(fault, 0, 0, NULL);
	pthread_mutex_unlock(&fault->lock);
	th_future_init(future, NULL, NULL);
	th_future_complete(future, err);
}

/* Faults do not count discards, which a store does in the background: a test's Nth transfer stays the same. */
static int fault_discard(struct th_disk *disk, uint64_t addr, uint64_t blocks)
{
	struct fault_disk *fault = (struct fault_disk *)disk;
	int err;

	pthread_mutex_lock(&fault->lock);
	err = fault->cut ? -EIO : th_disk_discard(fault->inner, addr, blocks);
	if (!err)
		err = record(fault, addr, blocks, NULL);
	pthread_mutex_unlock(&fault->lock);
	return err;
}

/* A crash image has the size of the disk now, also one of an earlier moment. */
static int fault_grow(struct th_disk *disk, uint64_t blocks, uint64_t *ret_blocks)
{
	struct fault_disk *fault = (struct fault_disk *)disk;
	int err;

	pthread_mutex_lock(&fault->lock);
	err = fault->cut ? -EIO : th_disk_grow(fault->inner, blocks);
	*ret_blocks = fault->inner->blocks;
	if (!err && fault->base->blocks < *ret_blocks)
		err = th_disk_grow(fault->base, *ret_blocks);
	pthread_mutex_unlock(&fault->lock);
	return err;
}

static void forget(struct fault_disk *fault)
{
	for (uint64_t i = 0; i < fault->nevents; i++)
		free(fault->events[i].data);
	fault->nevents = 0;
}

static void fault_close(struct th_disk *disk)
{
	struct fault_disk *fault = (struct fault_disk *)disk;

	forget(fault);
	free(fault->events);
	th_disk_close(fault->base);
	th_disk_close(fault->inner);
	pthread_mutex_destroy(&fault->lock);
	free(fault);
}

static const struct th_disk_ops fault_ops = {
	.get = fault_get,
	.save = fault_save,
	.flush = fault_flush,
	.discard = fault_discard,
	.grow = fault_grow,
	.close = fault_close,
};

static struct fault_disk *fault_of(const struct th_disk *disk)
{
	assert(disk->ops == &fault_ops);
	return (struct fault_disk *)disk;
}

/* --- images --- */

#define COPY_BLOCKS 256

static bool all_zero(const char *data, size_t size)
{
	return data[0] == 0 && memcmp(data, data + 1, size - 1) == 0;
}

/* Skips blocks of zeros: a memory disk reads as zeros where it was not written. */
static int copy_part(struct th_disk *from, struct th_disk *to, uint64_t addr, uint32_t blocks, char *buf)
{
	int err = th_disk_read(from, addr, blocks, buf);

	for (uint32_t i = 0; i < blocks && !err; i++) {
		char *block = buf + ((size_t)i << TH_BLOCK_SHIFT);

		if (!all_zero(block, TH_BLOCK_SIZE))
			err = th_disk_write(to, addr + i, 1, block);
	}
	return err;
}

/* Makes a memory disk with the same content, which the caller owns. */
static int copy_disk(struct th_disk *from, struct th_disk **ret)
{
	char *buf = th_disk_buffer(COPY_BLOCKS * TH_BLOCK_SIZE);
	struct th_disk *to = NULL;
	int err = buf ? th_disk_memory_new(from->blocks, &to) : -ENOMEM;

	for (uint64_t addr = 0; addr < from->blocks && !err; addr += COPY_BLOCKS) {
		uint64_t left = from->blocks - addr;

		err = copy_part(from, to, addr, left < COPY_BLOCKS ? (uint32_t)left : COPY_BLOCKS, buf);
	}
	free(buf);
	if (err)
		th_disk_close(to);
	else
		*ret = to;
	return err;
}

int th_disk_fault_new(struct th_disk *inner, struct th_disk **ret)
{
	struct fault_disk *fault = calloc(1, sizeof(*fault));
	int err;

	if (!fault)
		return -ENOMEM;
	err = copy_disk(inner, &fault->base);
	if (err) {
		free(fault);
		return err;
	}
	pthread_mutex_init(&fault->lock, NULL);
	fault->inner = inner;
	fault->disk.ops = &fault_ops;
	fault->disk.blocks = inner->blocks;
	fault->disk.name = inner->name;
	fault->disk.sparse = inner->sparse;
	*ret = &fault->disk;
	return 0;
}

void th_disk_fault_arm(struct th_disk *disk, enum th_fault_kind kind, uint64_t nth)
{
	struct fault_disk *fault = fault_of(disk);

	pthread_mutex_lock(&fault->lock);
	fault->kind = kind;
	fault->left = nth;
	fault->cut = false;
	pthread_mutex_unlock(&fault->lock);
}

uint64_t th_disk_fault_events(const struct th_disk *disk)
{
	struct fault_disk *fault = fault_of(disk);
	uint64_t nevents;

	pthread_mutex_lock(&fault->lock);
	nevents = fault->nevents;
	pthread_mutex_unlock(&fault->lock);
	return nevents;
}

int th_disk_fault_reset(struct th_disk *disk)
{
	struct fault_disk *fault = fault_of(disk);
	struct th_disk *base;
	int err;

	pthread_mutex_lock(&fault->lock);
	err = copy_disk(fault->inner, &base);
	if (!err) {
		th_disk_close(fault->base);
		fault->base = base;
		forget(fault);
	}
	pthread_mutex_unlock(&fault->lock);
	return err;
}

/* splitmix64, which is as good with any seed. */
static uint64_t next_random(uint64_t *seed)
{
	uint64_t x = *seed += UINT64_C(0x9e3779b97f4a7c15);

	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

/* Writes an arbitrary subset of the sectors of a save. */
static int apply_torn(struct th_disk *image, const struct event *event, uint64_t *seed, char *buf)
{
	int err = 0;

	for (uint64_t block = 0; block < event->blocks && !err; block++) {
		const char *data = event->data + (block << TH_BLOCK_SHIFT);
		uint64_t sectors = next_random(seed);

		err = th_disk_read(image, event->addr + block, 1, buf);
		for (unsigned i = 0; i < SECTORS; i++) {
			if (sectors >> i & 1)
				memcpy(buf + i * SECTOR_SIZE, data + i * SECTOR_SIZE, SECTOR_SIZE);
		}
		if (!err)
			err = th_disk_write(image, event->addr + block, 1, buf);
	}
	return err;
}

/* Applies a discard that no flush covers: any of its blocks reads as zeros. */
static int discard_some(struct th_disk *image, const struct event *event, uint64_t *seed)
{
	int err = 0;

	for (uint64_t block = 0; block < event->blocks && !err; block++) {
		if (next_random(seed) & 1)
			err = th_disk_discard(image, event->addr + block, 1);
	}
	return err;
}

/* Applies a save that no flush covers: all of it, nothing, or a torn part. */
static int apply_uncovered(struct th_disk *image, const struct event *event, uint64_t *seed, char *buf)
{
	switch (next_random(seed) % 3) {
	case 0:
		return 0;
	case 1:
		return th_disk_write(image, event->addr, (uint32_t)event->blocks, event->data);
	default:
		return apply_torn(image, event, seed, buf);
	}
}

/* Returns how many of the first nevents precede the last flush among them. */
static uint64_t covered_events(const struct fault_disk *fault, uint64_t nevents)
{
	while (nevents > 0 && fault->events[nevents - 1].blocks)
		nevents--;
	return nevents;
}

static int apply_events(const struct fault_disk *fault, uint64_t nevents, uint64_t seed, struct th_disk *image)
{
	uint64_t covered = covered_events(fault, nevents);
	char *buf = th_disk_buffer(TH_BLOCK_SIZE);
	int err = buf ? 0 : -ENOMEM;

	for (uint64_t i = 0; i < nevents && !err; i++) {
		const struct event *event = &fault->events[i];

		if (!event->blocks)
			continue;
		if (!event->data)
			err = i < covered ? th_disk_discard(image, event->addr, event->blocks)
					  : discard_some(image, event, &seed);
		else if (i < covered)
			err = th_disk_write(image, event->addr, (uint32_t)event->blocks, event->data);
		else
			err = apply_uncovered(image, event, &seed, buf);
	}
	free(buf);
	return err;
}

int th_disk_fault_crash_image(struct th_disk *disk, uint64_t nevents, uint64_t seed, struct th_disk **ret)
{
	struct fault_disk *fault = fault_of(disk);
	struct th_disk *image = NULL;
	int err;

	pthread_mutex_lock(&fault->lock);
	if (nevents > fault->nevents)
		nevents = fault->nevents;
	err = copy_disk(fault->base, &image);
	if (!err)
		err = apply_events(fault, nevents, seed, image);
	pthread_mutex_unlock(&fault->lock);
	if (err)
		th_disk_close(image);
	else
		*ret = image;
	return err;
}
