/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/scrub/heal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "tree/node/scatter.h"
#include "tree/scrub/roots.h"

/* Nodes that are remembered.  With more at one time, some are healed when they are read again, or by a scrub; where
 * nothing is healed, some are reported again. */
#define NOTED_MAX 64

struct noted {
	struct th_ptr ptr;
	struct th_key fence;
	int err; /* of the first copy */
};

struct th_heal {
	pthread_mutex_t lock; /* guards the rest; no other lock is taken under it */
	struct noted noted[NOTED_MAX]; /* a ring */
	uint64_t added, taken; /* counts of all; those in between are to be healed or reported */
};

static bool is_noted(const struct th_heal *heal, const struct th_ptr *ptr)
{
	uint64_t first = heal->added > NOTED_MAX ? heal->added - NOTED_MAX : 0;

	for (uint64_t i = first; i < heal->added; i++) {
		const struct th_ptr *noted = &heal->noted[i % NOTED_MAX].ptr;

		if (noted->addr == ptr->addr && noted->birth == ptr->birth)
			return true;
	}
	return false;
}

/* Notes a node, unless that was done before.  Returns false in that case. */
static bool note(struct th_heal *heal, const struct th_ptr *ptr, struct th_slice fence, int err)
{
	bool added = false;

	pthread_mutex_lock(&heal->lock);
	if (!is_noted(heal, ptr) && heal->added - heal->taken < NOTED_MAX) {
		struct noted *noted = &heal->noted[heal->added++ % NOTED_MAX];

		noted->ptr = *ptr;
		noted->err = err;
		th_key_set(&noted->fence, fence);
		added = true;
	}
	pthread_mutex_unlock(&heal->lock);
	return added;
}

static bool take(struct th_heal *heal, struct noted *ret)
{
	bool found;

	pthread_mutex_lock(&heal->lock);
	found = heal->taken < heal->added;
	if (found)
		*ret = heal->noted[heal->taken++ % NOTED_MAX];
	pthread_mutex_unlock(&heal->lock);
	return found;
}

/* Forgets a node that was healed: if it is damaged again, that is news. */
static void forget(struct th_heal *heal, const struct th_ptr *ptr)
{
	pthread_mutex_lock(&heal->lock);
	for (unsigned i = 0; i < NOTED_MAX; i++)
		if (heal->noted[i].ptr.addr == ptr->addr)
			heal->noted[i].ptr.addr = 0;
	pthread_mutex_unlock(&heal->lock);
}

enum outcome { READ_FROM_COPY, HEALED, NOT_HEALED };

static void report(struct th_store *store, const struct noted *noted, enum outcome outcome)
{
	const char *why = noted->err == -EIO ? "cannot be read" : "wrong checksum", *image = store->disk->name;
	const struct th_ptr *ptr = &noted->ptr;

	if (outcome == READ_FROM_COPY)
		th_store_report(store,
				"%s: node at block %" PRIu64 " (%u blocks, generation %" PRIu64
				"): %s; its copy at block %" PRIu64 " is used",
				image, ptr->addr, ptr->blocks, ptr->birth, why, ptr->mirror);
	else if (outcome == HEALED)
		th_store_report(store,
				"%s: node at block %" PRIu64 " (%u blocks, generation %" PRIu64
				"): %s; healed from its copy at block %" PRIu64,
				image, ptr->addr, ptr->blocks, ptr->birth, why, ptr->mirror);
	else
		th_store_report(store,
				"%s: node at block %" PRIu64 " (%u blocks, generation %" PRIu64
				"): %s; its copy at block %" PRIu64 " is used, but writing it over the node failed",
				image, ptr->addr, ptr->blocks, ptr->birth, why, ptr->mirror);
}

static void node_damaged(void *arg, const struct th_ptr *ptr, struct th_slice fence, int err)
{
	struct th_store *store = arg;
	struct noted noted;

	if (!note(store->heal, ptr, fence, err) || !th_store_writable(store))
		return;
	if (take(store->heal, &noted)) /* nothing is healed: it is only reported */
		report(store, &noted, READ_FROM_COPY);
}

int th_heal_start(struct th_store *store)
{
	store->heal = calloc(1, sizeof(*store->heal));
	if (!store->heal)
		return -ENOMEM;
	pthread_mutex_init(&store->heal->lock, NULL);
	th_cache_on_spare(store->cache, node_damaged, store);
	return 0;
}

void th_heal_release(struct th_store *store)
{
	if (!store->heal)
		return;
	pthread_mutex_destroy(&store->heal->lock);
	free(store->heal);
	store->heal = NULL;
}

int th_heal_copy(struct th_store *store, const struct th_ptr *ptr, unsigned damaged)
{
	struct th_ptr bad = th_ptr_copy(ptr, damaged), good = th_ptr_copy(ptr, 1 - damaged);
	void *blocks = th_disk_buffer((size_t)ptr->blocks * TH_BLOCK_SIZE);
	int err = blocks ? th_node_blocks_read(store->disk, &good, blocks) : -ENOMEM;

	if (!err)
		err = th_node_blocks_heal(store->disk, &bad, blocks);
	free(blocks);
	return err;
}

/* Returns whether the first copy is right: a scrub has healed it since, or the disk read it wrong once. */
static bool is_right(struct th_store *store, const struct th_ptr *ptr)
{
	struct th_ptr first = th_ptr_copy(ptr, 0);
	void *blocks = th_disk_buffer((size_t)ptr->blocks * TH_BLOCK_SIZE);
	bool right = blocks && th_node_blocks_read(store->disk, &first, blocks) == 0;

	free(blocks);
	return right;
}

static void heal(struct th_store *store, const struct noted *noted)
{
	bool ours = th_roots_have(store, &noted->ptr, th_key_slice(&noted->fence));

	if (!ours) { /* it has been replaced since */
		report(store, noted, READ_FROM_COPY);
		return;
	}
	if (!is_right(store, &noted->ptr)) {
		if (th_heal_copy(store, &noted->ptr, 0)) {
			report(store, noted, NOT_HEALED);
			return;
		}
		report(store, noted, HEALED);
	}
	forget(store->heal, &noted->ptr);
}

void th_heal_run(struct th_store *store)
{
	struct noted noted;

	if (!store->heal || th_store_writable(store))
		return;
	while (take(store->heal, &noted)) {
		pthread_mutex_lock(&store->checkpoint_lock);
		if (!th_store_writable(store))
			heal(store, &noted);
		pthread_mutex_unlock(&store->checkpoint_lock);
	}
}
