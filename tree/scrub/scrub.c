/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/scrub/scrub.h"

#include <errno.h>
#include <stdlib.h>

#include "journal/base/clock.h"
#include "tree/chunk.h"
#include "tree/io/chunk.h"
#include "tree/scrub/walk.h"

/* So many bytes are read between two checkpoints that are made only to save the place: a crash costs the work since. */
#define SAVE_BYTES (UINT64_C(4) << 30)

/* Sets a key to the eight bytes of a position. */
static void key_of_position(uint64_t at, struct th_key *ret)
{
	uint8_t bytes[8];

	for (int i = 0; i < 8; i++)
		bytes[i] = (uint8_t)(at >> (56 - 8 * i));
	th_key_set(ret, (struct th_slice){ bytes, at ? sizeof(bytes) : 0 });
}

static uint64_t position_of_key(const struct th_key *key)
{
	uint64_t at = 0;

	for (unsigned i = 0; i < 8; i++)
		at = at << 8 | (i < key->size ? key->data[i] : 0);
	return at;
}

int th_scrub_new(struct th_store *store, th_scrub_value *value, void *arg, struct th_scrub **ret)
{
	struct th_scrub *scrub = calloc(1, sizeof(*scrub));
	const struct th_super_scrub *state = &store->super.scrub;

	if (scrub)
		scrub->buffer = th_disk_buffer((size_t)TH_RUN_MAX * TH_BLOCK_SIZE);
	if (!scrub || !scrub->buffer) {
		free(scrub);
		return -ENOMEM;
	}
	scrub->store = store;
	scrub->value = value;
	scrub->arg = arg;
	pthread_mutex_lock(&store->checkpoint_lock);
	scrub->marking = th_space_map_init(&scrub->seen, store->super.blocks) == 0;
	scrub->walking = state->walking;
	key_of_position(state->at, state->walking ? &scrub->snapshot_at : &scrub->head_at);
	pthread_mutex_unlock(&store->checkpoint_lock);
	*ret = scrub;
	return 0;
}

void th_scrub_free(struct th_scrub *scrub)
{
	if (!scrub)
		return;
	if (scrub->marking)
		th_space_map_release(&scrub->seen);
	free(scrub->buffer);
	free(scrub);
}

void th_scrub_begin(struct th_store *store)
{
	struct th_super_scrub *state = &store->super.scrub;

	pthread_mutex_lock(&store->checkpoint_lock);
	state->paused = 0;
	if (state->generation == 0)
		*state = (struct th_super_scrub){
			.generation = store->super.generation,
			.begun_ns = th_now_ns(),
			.ended_ns = state->ended_ns,
		};
	store->scrub_due = true;
	pthread_mutex_unlock(&store->checkpoint_lock);
}

/* Walks on in a tree and verifies its lists at its end.  Returns as th_scrub_tree(). */
static int scrub_root(struct th_scrub *scrub, const struct th_root *root, uint64_t bytes, struct th_key *at)
{
	int ret = th_scrub_tree(scrub, root, bytes, at), err = 0;

	if (ret <= 0)
		return ret;
	at->size = 0;
	for (unsigned i = 0; i < 2 && !err; i++)
		err = th_scrub_list(scrub, &root->list[i]);
	return err ? err : ret;
}

static int scrub_abandoned_list(const struct th_blocklist *list, void *arg)
{
	return th_scrub_list(arg, list);
}

/* The last part: lists that no tree has, and the superblocks. */
static int scrub_rest(struct th_scrub *scrub)
{
	struct th_store *store = scrub->store;
	struct th_super_scrub *state = &store->super.scrub;
	struct th_super_rings rings;
	int err = th_root_abandoned_lists(store, scrub_abandoned_list, scrub);

	if (!err)
		err = th_super_mend(store->disk, &store->super, &rings);
	if (err)
		return err;
	if (rings.damaged) {
		state->healed += rings.mended;
		state->damaged += rings.damaged - rings.mended;
		th_store_report(store,
				"%s: scrub: %u of 16 copies of superblocks were damaged, of which %u are rewritten",
				store->disk->name, rings.damaged, rings.mended);
	}
	state->generation = 0;
	state->ended_ns = th_now_ns();
	store->scrub_due = true;
	return 1;
}

/* Goes on in the first tree that is not complete.  Returns 0, 1 if the scrub is complete, or -ENOMEM. */
static int go_on(struct th_scrub *scrub, uint64_t bytes)
{
	struct th_store *store = scrub->store;
	struct th_super_scrub *state = &store->super.scrub;
	struct th_root root;
	int ret;

	if (th_root_snapshot(store, state->snapshot, &root)) {
		if (scrub->walking != root.id)
			scrub->snapshot_at.size = 0;
		scrub->walking = root.id;
		ret = scrub_root(scrub, &root, bytes, &scrub->snapshot_at);
		if (ret > 0)
			state->snapshot = root.id;
	} else if (th_root_head(store, state->head, &root)) {
		scrub->walking = 0;
		ret = scrub_root(scrub, &root, bytes, &scrub->head_at);
		if (ret > 0)
			state->head++;
	} else {
		return scrub_rest(scrub);
	}
	if (ret > 0)
		scrub->walking = 0;
	state->walking = scrub->walking;
	state->at = position_of_key(scrub->walking ? &scrub->snapshot_at : &scrub->head_at);
	return ret < 0 ? ret : 0;
}

int th_scrub_step(struct th_scrub *scrub, uint64_t bytes)
{
	struct th_store *store = scrub->store;
	int ret = 0;

	scrub->step_bytes = 0;
	pthread_mutex_lock(&store->checkpoint_lock);
	if (store->super.scrub.generation == 0)
		ret = 1;
	while (!ret && scrub->step_bytes < bytes)
		ret = go_on(scrub, bytes);
	store->super.scrub.bytes += scrub->step_bytes;
	scrub->unsaved += scrub->step_bytes;
	if (scrub->unsaved >= SAVE_BYTES) {
		store->scrub_due = true;
		scrub->unsaved = 0;
	}
	pthread_mutex_unlock(&store->checkpoint_lock);
	return ret;
}

void th_scrub_pause(struct th_store *store)
{
	pthread_mutex_lock(&store->checkpoint_lock);
	store->super.scrub.paused = 1;
	store->scrub_due = true;
	pthread_mutex_unlock(&store->checkpoint_lock);
}

void th_scrub_abandon(struct th_store *store)
{
	pthread_mutex_lock(&store->checkpoint_lock);
	store->super.scrub.generation = 0;
	store->super.scrub.paused = 0;
	store->scrub_due = true;
	pthread_mutex_unlock(&store->checkpoint_lock);
}

void th_scrub_state(struct th_store *store, struct th_super_scrub *ret)
{
	pthread_mutex_lock(&store->checkpoint_lock);
	*ret = store->super.scrub;
	pthread_mutex_unlock(&store->checkpoint_lock);
}

void th_scrub_found(struct th_scrub *scrub, bool healed)
{
	struct th_super_scrub *state = &scrub->store->super.scrub;

	if (healed)
		state->healed++;
	else
		state->damaged++;
}

void th_scrub_read(struct th_scrub *scrub, uint64_t bytes)
{
	scrub->step_bytes += bytes;
}

bool th_scrub_seen(struct th_scrub *scrub, uint64_t addr, uint64_t blocks)
{
	if (!scrub->marking || !th_space_map_inside(&scrub->seen, addr, blocks))
		return false;
	if (th_space_map_all(&scrub->seen, addr, blocks, true))
		return true;
	th_space_map_set(&scrub->seen, addr, blocks, true); /* without memory they are read again */
	return false;
}

/* Finds the blocks that are damaged.  If the run cannot be read as a whole, its blocks are read one by one. */
static void verify_run(struct th_scrub *scrub, const struct th_run *run, const uint64_t *checksums,
		       th_scrub_damaged *damaged, void *arg)
{
	struct th_disk *disk = scrub->store->disk;
	bool whole = th_disk_read(disk, run->addr, run->blocks, scrub->buffer) == 0;

	for (uint32_t i = 0; i < run->blocks; i++) {
		uint8_t *block = scrub->buffer + (size_t)i * TH_BLOCK_SIZE;
		int err = whole ? 0 : th_disk_read(disk, run->addr + i, 1, block);

		if (!err && th_chunk_checksum(block) != checksums[i])
			err = -EBADMSG;
		if (!err)
			continue;
		th_scrub_found(scrub, false);
		damaged(arg, i, err);
	}
}

void th_scrub_run(struct th_scrub *scrub, uint64_t addr, uint32_t blocks, const uint64_t *checksums,
		  th_scrub_damaged *damaged, void *arg)
{
	struct th_run run = { addr, 0, blocks };

	/* The owner of the values reports a run that is not valid. */
	if (blocks > TH_RUN_MAX || !th_chunk_valid(scrub->store, &run) || th_scrub_seen(scrub, addr, blocks))
		return;
	th_scrub_read(scrub, (uint64_t)blocks * TH_BLOCK_SIZE);
	verify_run(scrub, &run, checksums, damaged, arg);
}
