/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/scrub/walk.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "journal/base/checksum.h"
#include "tree/io/chunk.h"
#include "tree/node/message.h"
#include "tree/node/node_pack.h"
#include "tree/node/overlay.h"
#include "tree/node/scatter.h"

struct walk {
	struct th_scrub *scrub;
	const struct th_root *root;
	uint64_t bytes; /* stops when so many were read in this step */
	struct th_key *at; /* goes on here; then set to where it stopped */
	char name[TH_SNAPSHOT_NAME_MAX + 20]; /* of the tree, for messages */
	bool stopped;
	unsigned depth;
	struct th_node *path[TH_HEIGHT_MAX];
};

static bool enough(const struct walk *walk)
{
	return walk->scrub->step_bytes >= walk->bytes;
}

static void stop_at(struct walk *walk, struct th_slice key)
{
	th_key_set(walk->at, key);
	walk->stopped = true;
}

/* --- one node --- */

static void set_name(struct walk *walk)
{
	static const char *const kinds[] = {
		[TH_ROOT_SNAPSHOT] = "snapshot '",
		[TH_ROOT_META] = "meta tree",
		[TH_ROOT_LIVE] = "live tree",
		[TH_ROOT_BRANCH] = "branch '",
	};
	const char *name = walk->root->name;

	snprintf(walk->name, sizeof(walk->name), "%s%s%s", kinds[walk->root->kind], name, name[0] ? "'" : "");
}

static void report_node(struct walk *walk, const struct th_ptr *ptr, const char *why)
{
	struct th_store *store = walk->scrub->store;

	th_scrub_found(walk->scrub, false);
	th_store_report(store, "%s: scrub: %s: node at block %" PRIu64 " (level %u): %s", store->disk->name, walk->name,
			ptr->addr, ptr->level, why);
}

/* Writes a right copy over a damaged one, if the store may be written, and reports that. */
static void heal(struct walk *walk, const struct th_ptr *copy, const uint8_t *right, uint64_t from)
{
	struct th_store *store = walk->scrub->store;

	if (th_store_writable(store) || th_node_blocks_heal(store->disk, copy, right)) {
		report_node(walk, copy, "this copy is damaged, the other one is right");
		return;
	}
	th_scrub_found(walk->scrub, true);
	th_store_report(store,
			"%s: scrub: node at block %" PRIu64 " was damaged; healed from its copy at block %" PRIu64,
			store->disk->name, copy->addr, from);
}

/* Reads all copies into the buffer, one after another, and heals damaged ones.  Returns the blocks of a right one, or
 * NULL. */
static uint8_t *read_copies(struct walk *walk, const struct th_ptr *ptr, uint8_t *buffer)
{
	size_t size = (size_t)ptr->blocks * TH_BLOCK_SIZE;
	bool right[TH_COPIES_MAX];
	unsigned good = TH_COPIES_MAX;

	for (unsigned i = 0; i < th_ptr_copies(ptr); i++) {
		struct th_ptr copy = th_ptr_copy(ptr, i);

		right[i] = th_node_blocks_read(walk->scrub->store->disk, &copy, buffer + i * size) == 0;
		th_scrub_read(walk->scrub, size);
		if (right[i])
			good = i;
	}
	if (good == TH_COPIES_MAX)
		return NULL;
	for (unsigned i = 0; i < th_ptr_copies(ptr); i++) {
		struct th_ptr copy = th_ptr_copy(ptr, i);

		if (!right[i])
			heal(walk, &copy, buffer + good * size, th_ptr_copy(ptr, good).addr);
	}
	return buffer + good * size;
}

/* Reads and verifies a node.  *ret is NULL if it is damaged, which was reported.  Returns 0 or -ENOMEM. */
static int verify(struct walk *walk, const struct th_ptr *ptr, struct th_slice lower, struct th_node **ret)
{
	uint8_t *buffer, *blocks;
	const char *why = "damaged in all copies";
	int err = -EBADMSG;

	*ret = NULL;
	buffer = th_disk_buffer((size_t)th_ptr_copies(ptr) * ptr->blocks * TH_BLOCK_SIZE);
	if (!buffer)
		return -ENOMEM;
	blocks = read_copies(walk, ptr, buffer);
	if (blocks && lower.size < ptr->prefix_size)
		why = "its prefix is longer than its fence";
	else if (blocks)
		err = th_node_unpack(blocks, ptr, (struct th_slice){ lower.data, ptr->prefix_size }, ret, &why);
	free(buffer);
	if (err && err != -ENOMEM)
		report_node(walk, ptr, why);
	return err == -ENOMEM ? err : 0;
}

/* --- values --- */

static bool hidden(const struct walk *walk, struct th_slice key)
{
	for (unsigned i = 0; i + 1 < walk->depth; i++)
		if (th_overlay_hides(walk->path[i], key))
			return true;
	return false;
}

/* Reads a value that is outside the tree, and passes it on. */
static int visit_large(struct walk *walk, struct th_slice key, struct th_slice descriptor)
{
	struct th_scrub *scrub = walk->scrub;
	uint32_t size;
	void *bytes;
	int err = th_chunk_value_read(scrub->store, descriptor, &bytes, &size);

	if (err == -ENOMEM)
		return err;
	if (err) {
		th_scrub_found(scrub, false); /* the read has reported it */
		return 0;
	}
	th_scrub_read(scrub, size);
	err = scrub->value(scrub->arg, walk->name, key, (struct th_slice){ bytes, size });
	free(bytes);
	return err;
}

static int visit_entry(struct walk *walk, const struct th_entry *e, struct th_slice key)
{
	const struct th_scrub *scrub = walk->scrub;

	if (!th_entry_has_value(e) || walk->root->kind == TH_ROOT_META || hidden(walk, key))
		return 0;
	if (th_entry_is_large(e))
		return visit_large(walk, key, th_entry_value(e));
	return scrub->value(scrub->arg, walk->name, key, th_entry_value(e));
}

/* Visits the values of the lowest node on the path; those of a leaf from *at on, until enough was read. */
static int visit_values(struct walk *walk)
{
	const struct th_node *node = walk->path[walk->depth - 1];
	const struct th_slab *slab = node->level > 0 ? &node->overlay : &node->base;
	int err = 0;

	for (unsigned i = 0; i < slab->count && !err && !walk->stopped; i++) {
		struct th_key key;

		th_node_key(node, th_slab_entry(slab, i), &key);
		if (node->level == 0 && th_slice_compare(th_key_slice(&key), th_key_slice(walk->at)) < 0)
			continue;
		err = visit_entry(walk, th_slab_entry(slab, i), th_key_slice(&key));
		if (!err && node->level == 0 && enough(walk)) {
			th_key_successor(&key);
			stop_at(walk, th_key_slice(&key));
		}
	}
	return err;
}

/* --- the tree --- */

static int walk_node(struct walk *walk, const struct th_ptr *ptr, struct th_slice lower, struct th_slice upper);

static int walk_children(struct walk *walk, const struct th_node *node, struct th_slice upper)
{
	int err = 0;

	for (unsigned i = 0; i < node->base.count && !err && !walk->stopped; i++) {
		bool last = i + 1 == node->base.count;
		struct th_key lo, hi;
		struct th_ptr child;

		th_node_key(node, th_slab_entry(&node->base, i), &lo);
		if (!last)
			th_node_key(node, th_slab_entry(&node->base, i + 1), &hi);
		if (th_node_child_ptr(node, i, &child))
			report_node(walk, &node->ptr, "its pointer to a child is broken");
		else
			err = walk_node(walk, &child, th_key_slice(&lo), last ? upper : th_key_slice(&hi));
		if (!err && !walk->stopped && !last && enough(walk) &&
		    th_slice_compare(th_key_slice(&hi), th_key_slice(walk->at)) > 0)
			stop_at(walk, th_key_slice(&hi));
	}
	return err;
}

/* Gets a node: verifies it the first time that a tree has it.  *ret is NULL if there is nothing to do below it.  A node
 * at which the walk goes on is needed again, though it was seen. */
static int get_node(struct walk *walk, const struct th_ptr *ptr, struct th_slice lower, struct th_node **ret)
{
	struct th_scrub *scrub = walk->scrub;
	bool target = ptr->birth <= scrub->store->super.scrub.generation;
	bool goes_on = walk->at->size && th_slice_compare(lower, th_key_slice(walk->at)) <= 0;

	*ret = NULL;
	if (target && !th_scrub_seen(scrub, ptr->addr, 1))
		return verify(walk, ptr, lower, ret);
	if (target && !goes_on)
		return 0;
	return th_cache_load(scrub->store->cache, ptr, lower, ret) == -ENOMEM ? -ENOMEM : 0;
}

static int walk_node(struct walk *walk, const struct th_ptr *ptr, struct th_slice lower, struct th_slice upper)
{
	struct th_node *node;
	int err;

	if (upper.data && th_slice_compare(upper, th_key_slice(walk->at)) <= 0)
		return 0;
	err = get_node(walk, ptr, lower, &node);
	if (err || !node)
		return err;
	walk->path[walk->depth++] = node;
	err = visit_values(walk);
	if (!err && node->level > 0)
		err = walk_children(walk, node, upper);
	walk->depth--;
	th_node_unref(node);
	return err;
}

int th_scrub_tree(struct th_scrub *scrub, const struct th_root *root, uint64_t bytes, struct th_key *at)
{
	struct walk walk = { .scrub = scrub, .root = root, .bytes = bytes, .at = at };
	int err;

	set_name(&walk);
	err = root->ptr.addr ? walk_node(&walk, &root->ptr, TH_SLICE_EMPTY, (struct th_slice){ NULL, 0 }) : 0;

	return err ? err : !walk.stopped;
}

/* --- lists --- */

/* Verifies the second copy of a page, whose first one was verified or healed. */
static int verify_page(const struct th_blocklist *list, void *arg)
{
	struct th_scrub *scrub = arg;
	struct th_disk *disk = scrub->store->disk;
	void *page = th_disk_buffer(TH_BLOCK_SIZE);
	int err = 0;

	if (!page)
		return -ENOMEM;
	th_scrub_read(scrub, TH_BLOCK_SIZE);
	if (!list->mirror)
		goto out;
	th_scrub_read(scrub, TH_BLOCK_SIZE);
	if (th_disk_read(disk, list->mirror, 1, page) == 0 && th_checksum(page, TH_BLOCK_SIZE) == list->head_checksum)
		goto out;
	if (th_disk_read(disk, list->head, 1, page) == 0 && th_checksum(page, TH_BLOCK_SIZE) == list->head_checksum &&
	    !th_store_writable(scrub->store) && th_disk_write(disk, list->mirror, 1, page) == 0) {
		th_scrub_found(scrub, true);
		th_store_report(scrub->store,
				"%s: scrub: block list page %" PRIu64
				" was damaged; healed from its copy at block %" PRIu64,
				disk->name, list->mirror, list->head);
	} else {
		th_scrub_found(scrub, false);
		th_store_report(scrub->store, "%s: scrub: block list page %" PRIu64 ": damaged", disk->name,
				list->mirror);
	}
out:
	free(page);
	return err;
}

int th_scrub_list(struct th_scrub *scrub, const struct th_blocklist *list)
{
	int err = th_blocklist_each(list, scrub->store->disk, NULL, verify_page, scrub);

	if (err && err != -ENOMEM)
		th_scrub_found(scrub, false); /* the read has reported it */
	return err == -ENOMEM ? err : 0;
}
