/* SPDX-License-Identifier: Apache-2.0 */
/* Checking values: the blocks that the entries of a node refer to, and the contents of large values. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "journal/base/checksum.h"
#include "tree/catalogue/meta.h"
#include "tree/check/check.h"
#include "tree/chunk.h"
#include "tree/io/chunk.h"
#include "tree/node/message.h"
#include "tree/node/overlay.h"

/* One entry whose runs are being claimed. */
struct value {
	struct th_check_walk *walk;
	struct th_slice key;
	bool refused; /* it names a run that is not valid */
	int error;
};

/* Returns true if a message further up the path replaces or deletes the key's value. */
static bool hidden(const struct th_check_walk *walk, struct th_slice key)
{
	if (walk->tree->kind == TH_CHECK_META && th_carried_has(&walk->check->super, key))
		return true;
	for (unsigned i = 0; i + 1 < walk->depth; i++)
		if (th_overlay_hides(walk->path[i], key))
			return true;
	return false;
}

static bool run_usable(struct value *value, const struct th_run *run)
{
	const struct th_check_walk *walk = value->walk;
	char text[TH_CHECK_KEY_TEXT];

	if (!th_check_inside(walk->check, run->addr, run->blocks)) {
		if (walk->first)
			th_check_problem(walk->check,
					 "%s: key %s: %u blocks from %" PRIu64 " on are not inside the image",
					 walk->tree->name, th_check_key(value->key, text), run->blocks, run->addr);
		return false;
	}
	if (run->birth > walk->tree->generation && walk->first)
		th_check_problem(walk->check,
				 "%s: key %s: blocks at %" PRIu64 " were born in generation %" PRIu64
				 ", expected at most %" PRIu64,
				 walk->tree->name, th_check_key(value->key, text), run->addr, run->birth,
				 walk->tree->generation);
	return true;
}

static int claim_run(const struct th_run *run, void *arg)
{
	struct value *value = arg;
	struct th_check *check = value->walk->check;

	if (!run_usable(value, run)) {
		value->refused = true;
		return 0;
	}
	check->result.runs += value->walk->tree->kind == TH_CHECK_LIVE;
	if (run->birth > value->walk->tree->owned) {
		value->error = th_check_claim(check, TH_CLAIM_LIVE_DATA, run->addr, run->blocks, 1);
	} else if (value->walk->tree->kind != TH_CHECK_ABANDONED) {
		value->error = th_check_claim_snapshot(check, run->addr, run->blocks);
	}
	return value->error;
}

/* Claims the runs that a value names, as its format's owner reports them. */
static int claim_named(struct th_check_walk *walk, struct th_slice key, struct th_slice bytes)
{
	struct value value = { .walk = walk, .key = key };
	struct th_check *check = walk->check;
	char text[TH_CHECK_KEY_TEXT];
	int err = check->options.runs(key, bytes, claim_run, &value);

	if (value.error)
		return value.error;
	if (!err && !value.refused)
		return 0;
	check->incomplete = true;
	/* for live entries, options.entry reports it */
	if (err && walk->first && !(walk->tree->kind == TH_CHECK_LIVE && check->options.entry))
		th_check_problem(check, "%s: key %s: its value of %zu bytes is malformed", walk->tree->name,
				 th_check_key(key, text), bytes.size);
	return 0;
}

/* --- large values --- */

static int read_large(struct th_check *check, const struct th_large_value *chunk, void **ret)
{
	uint8_t *buffer = th_disk_buffer(chunk->size);
	size_t at = 0;
	int err = 0;

	if (!buffer)
		return -ENOMEM;
	for (unsigned i = 0; i < chunk->runs && !err; i++) {
		err = th_disk_read(check->store->disk, chunk->run[i].addr, chunk->run[i].blocks, buffer + at);
		at += (size_t)chunk->run[i].blocks * TH_BLOCK_SIZE;
	}
	if (!err && th_checksum(buffer, chunk->size) != chunk->checksum)
		err = -EBADMSG;
	if (err)
		free(buffer);
	else
		*ret = buffer;
	return err;
}

/* Notes a value that cannot be read or parsed. */
static int bad_large(struct th_check_walk *walk, struct th_slice key)
{
	struct th_key after;

	walk->check->incomplete |= walk->check->options.runs != NULL;
	if (walk->tree->kind != TH_CHECK_LIVE || key.size > TH_KEY_MAX)
		return 0;
	th_key_set(&after, key);
	th_key_successor(&after);
	return th_check_add_hole(walk->check, key, th_key_slice(&after));
}

/* Reads a visible value.  Snapshots share most of theirs, so each is read once for all of them. */
static int check_large(struct th_check_walk *walk, struct th_slice key, const struct th_large_value *chunk)
{
	struct th_check *check = walk->check;
	bool live = walk->tree->kind == TH_CHECK_LIVE;
	char text[TH_CHECK_KEY_TEXT];
	struct th_seen *seen;
	void *bytes;
	int err = th_seen_get(&check->values, chunk->run[0].addr, &seen);

	if (err || (!live && seen->flags))
		return err;
	if (seen->flags & TH_SEEN_DAMAGED)
		return bad_large(walk, key);
	seen->flags |= live ? TH_SEEN_LIVE : TH_SEEN_SNAPSHOT;
	err = read_large(check, chunk, &bytes);
	if (err == -ENOMEM)
		return err;
	if (err) {
		seen->flags |= TH_SEEN_DAMAGED;
		th_check_problem(check, "%s: key %s: its value of %u bytes at block %" PRIu64 ": %s", walk->tree->name,
				 th_check_key(key, text), chunk->size, chunk->run[0].addr,
				 err == -EBADMSG ? "wrong checksum" : strerror(-err));
		return bad_large(walk, key);
	}
	if (check->options.runs)
		err = claim_named(walk, key, (struct th_slice){ bytes, chunk->size });
	free(bytes);
	return err;
}

static int account_large(struct th_check_walk *walk, struct th_slice key, const struct th_entry *e)
{
	struct value value = { .walk = walk, .key = key };
	struct th_check *check = walk->check;
	char text[TH_CHECK_KEY_TEXT];
	struct th_large_value chunk;

	if (th_large_value_unpack(th_entry_value(e), &chunk) < 0) {
		if (walk->first)
			th_check_problem(check, "%s: key %s: the descriptor of its value is broken", walk->tree->name,
					 th_check_key(key, text));
		check->incomplete = true;
		return bad_large(walk, key);
	}
	for (unsigned i = 0; i < chunk.runs; i++) {
		int err = claim_run(&chunk.run[i], &value);

		if (err)
			return err;
	}
	if (value.refused) {
		check->incomplete = true;
		return bad_large(walk, key);
	}
	if (hidden(walk, key) ||
	    (walk->tree->kind != TH_CHECK_LIVE && !check->options.runs && !check->options.read_data) ||
	    (walk->tree->kind == TH_CHECK_ABANDONED && chunk.run[chunk.runs - 1].birth <= walk->tree->owned))
		return 0;
	return check_large(walk, key, &chunk);
}

/* --- entries --- */

static int account_entry(struct th_check_walk *walk, const struct th_node *node, const struct th_entry *e)
{
	bool meta = walk->tree->kind == TH_CHECK_META;
	struct th_key key;

	if (!th_entry_has_value(e) || (!meta && !th_entry_is_large(e) && !walk->check->options.runs))
		return 0;
	th_node_key(node, e, &key);
	if (!meta && th_entry_is_large(e))
		return account_large(walk, th_key_slice(&key), e);
	if (hidden(walk, th_key_slice(&key)))
		return 0;
	return meta ? th_check_meta_entry(walk->check, th_key_slice(&key), th_entry_value(e))
		    : claim_named(walk, th_key_slice(&key), th_entry_value(e));
}

int th_check_values(struct th_check_walk *walk)
{
	const struct th_node *node = walk->path[walk->depth - 1];
	const struct th_slab *slab = node->level > 0 ? &node->overlay : &node->base;
	int err = 0;

	for (unsigned i = 0; i < slab->count && !err; i++)
		err = account_entry(walk, node, th_slab_entry(slab, i));
	return err;
}
