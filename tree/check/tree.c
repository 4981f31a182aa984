/* SPDX-License-Identifier: Apache-2.0 */
/* Checking trees: every node, read from the disk, against its pointer, its fences and the rules of node.h. */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "journal/base/checksum.h"
#include "tree/check/check.h"
#include "tree/node/message.h"
#include "tree/node/node_pack.h"
#include "tree/node/scatter.h"

/* The range of keys of a node; hi.data NULL: no upper bound. */
struct fences {
	struct th_slice lo, hi;
};

static void node_problem(const struct th_check_walk *walk, const struct th_ptr *ptr, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static void node_problem(const struct th_check_walk *walk, const struct th_ptr *ptr, const char *format, ...)
{
	char what[384];
	va_list args;

	va_start(args, format);
	vsnprintf(what, sizeof(what), format, args);
	va_end(args);
	th_check_problem(walk->check, "%s: node at block %" PRIu64 " (level %u): %s", walk->tree->name, ptr->addr,
			 ptr->level, what);
}

/* --- one node against its pointer and its fences --- */

/* Returns true if all keys of the slab are between the fences.  They are in order, so it compares the first and
 * last. */
static bool slab_in_fences(const struct th_check_walk *walk, const struct th_node *node, const struct th_slab *slab,
			   const struct fences *at)
{
	char text[TH_CHECK_KEY_TEXT];
	struct th_key key;

	for (unsigned i = 0; i<slab->count; i += slab->count> 1 ? slab->count - 1u : 1u) {
		th_node_key(node, th_slab_entry(slab, i), &key);
		if (th_slice_compare(th_key_slice(&key), at->lo) >= 0 &&
		    (!at->hi.data || th_slice_compare(th_key_slice(&key), at->hi) < 0))
			continue;
		node_problem(walk, &node->ptr, "key %s lies outside its fences",
			     th_check_key(th_key_slice(&key), text));
		return false;
	}
	return true;
}

/* Returns true if the keys of a node are within its fences.  If not, it counts as unreadable, since lookups rely on
 * them. */
static bool keys_in_fences(const struct th_check_walk *walk, const struct th_node *node, const struct fences *at)
{
	struct th_key first;

	if (!slab_in_fences(walk, node, &node->base, at) || !slab_in_fences(walk, node, &node->overlay, at))
		return false;
	if (node->level == 0)
		return true;
	th_node_key(node, th_slab_entry(&node->base, 0), &first);
	if (th_slice_compare(th_key_slice(&first), at->lo) == 0)
		return true;
	node_problem(walk, &node->ptr, "its first separator is not its lower fence");
	return false;
}

/* Sets *limit to the key at which the message in slot i must end (N3), or *open if there is no limit. */
static void range_limit(const struct th_node *node, unsigned i, const struct fences *at, struct th_key *limit,
			bool *open)
{
	struct th_key from, next;
	unsigned child;

	th_node_key(node, th_slab_entry(&node->overlay, i), &from);
	child = th_node_child(node, th_key_slice(&from));
	*open = false;
	if (child + 1 < node->base.count)
		th_node_key(node, th_slab_entry(&node->base, child + 1), limit);
	else if (at->hi.data)
		th_key_set(limit, at->hi);
	else
		*open = true;
	if (i + 1 >= node->overlay.count)
		return;
	th_node_key(node, th_slab_entry(&node->overlay, i + 1), &next);
	if (*open || th_slice_compare(th_key_slice(&next), th_key_slice(limit)) < 0)
		*limit = next;
	*open = false;
}

static void check_range(const struct th_check_walk *walk, const struct th_node *node, unsigned i,
			const struct fences *at)
{
	struct th_slice to = th_entry_value(th_slab_entry(&node->overlay, i));
	char text[TH_CHECK_KEY_TEXT];
	struct th_key from, limit;
	bool open;

	th_node_key(node, th_slab_entry(&node->overlay, i), &from);
	if (to.size > TH_KEY_MAX + 1 || th_slice_compare(th_key_slice(&from), to) >= 0) {
		node_problem(walk, &node->ptr, "the range message at key %s ends before it begins",
			     th_check_key(th_key_slice(&from), text));
		return;
	}
	range_limit(node, i, at, &limit, &open);
	if (!open && th_slice_compare(to, th_key_slice(&limit)) > 0)
		node_problem(walk, &node->ptr,
			     "the range message at key %s reaches into the next message, child or node",
			     th_check_key(th_key_slice(&from), text));
}

static void check_messages(const struct th_check_walk *walk, const struct th_node *node, const struct fences *at)
{
	char text[TH_CHECK_KEY_TEXT];

	for (unsigned i = 0; i < node->overlay.count; i++) {
		const struct th_entry *e = th_slab_entry(&node->overlay, i);
		struct th_key key;

		if (th_entry_seq(e) > node->seq) {
			th_node_key(node, e, &key);
			node_problem(walk, &node->ptr,
				     "the message for key %s has number %" PRIu64 ", expected at most %" PRIu64,
				     th_check_key(th_key_slice(&key), text), th_entry_seq(e), node->seq);
		}
		if (th_message_is_range(e))
			check_range(walk, node, i, at);
	}
}

static void check_size(const struct th_check_walk *walk, const struct th_node *node)
{
	size_t size = th_node_packed_size(node);

	if ((size + TH_BLOCK_SIZE - 1) / TH_BLOCK_SIZE != node->ptr.blocks)
		node_problem(walk, &node->ptr, "%zu bytes in %u blocks", size, node->ptr.blocks);
}

/* Checks that the rest of the last block is zero. */
static void check_rest(const struct th_check_walk *walk, const struct th_node *node, const uint8_t *blocks)
{
	for (size_t i = node->page->size; i < node->ptr.blocks * TH_BLOCK_SIZE; i++)
		if (blocks[i]) {
			node_problem(walk, &node->ptr, "byte %zu after its entries is not zero", i);
			break;
		}
}

static bool has_chunks(const struct th_node *node)
{
	const struct th_slab *slabs[] = { &node->base, &node->overlay };

	for (size_t s = 0; s < 2; s++)
		for (unsigned i = 0; i < slabs[s]->count; i++)
			if (th_entry_is_large(th_slab_entry(slabs[s], i)))
				return true;
	return false;
}

static void check_child(const struct th_check_walk *walk, const struct th_node *node, unsigned i)
{
	struct th_ptr child;

	if (th_node_child_ptr(node, i, &child) < 0)
		return; /* walk_children() reports it */
	if (child.birth > node->ptr.birth)
		node_problem(walk, &child, "born in generation %" PRIu64 ", after its parent (%" PRIu64 ")",
			     child.birth, node->ptr.birth);
	if (child.seq > node->seq)
		node_problem(walk, &child, "newest message %" PRIu64 ", but its parent has at most %" PRIu64, child.seq,
			     node->seq);
	if (child.chunks && !node->ptr.chunks)
		node_problem(walk, &child, "has values off-tree, which its parent does not record");
}

/* Reports counts, on which the policy for deletes relies, that are not those of the children. */
static void check_counts(const struct th_check_walk *walk, const struct th_node *node)
{
	uint64_t records = node->level > 0 ? 0 : node->base.count, deletes = th_node_deletes(node);

	for (unsigned i = 0; node->level > 0 && i < node->base.count; i++)
		records += th_node_child_records(node, i);
	if (records != node->ptr.records)
		node_problem(walk, &node->ptr, "%" PRIu64 " records, expected %" PRIu64, node->ptr.records, records);
	if (deletes != node->ptr.deletes)
		node_problem(walk, &node->ptr, "%" PRIu64 " pending deletes, expected %" PRIu64, node->ptr.deletes,
			     deletes);
}

/* Reports faults of a node that can still be used. */
static void check_node(const struct th_check_walk *walk, const struct th_node *node, const struct fences *at)
{
	if (node->seq != node->ptr.seq)
		node_problem(walk, &node->ptr, "newest message %" PRIu64 ", expected %" PRIu64, node->seq,
			     node->ptr.seq);
	if (!node->ptr.chunks && has_chunks(node))
		node_problem(walk, &node->ptr, "has values off-tree, which its pointer does not record");
	check_size(walk, node);
	check_counts(walk, node);
	check_messages(walk, node, at);
	for (unsigned i = 0; node->level > 0 && i < node->base.count; i++)
		check_child(walk, node, i);
}

/* --- reading --- */

static bool pointer_usable(const struct th_check_walk *walk, const struct th_ptr *ptr, const struct fences *at)
{
	size_t shared = at->hi.data ? th_slice_common(at->lo, at->hi) : 0;

	unsigned blocks = ptr->scattered ? 1 : ptr->blocks, mirror_blocks = ptr->mirror_scattered ? 1 : ptr->blocks;

	if (!th_check_inside(walk->check, ptr->addr, blocks)) {
		node_problem(walk, ptr, "its %u blocks are not inside the image", blocks);
		return false;
	}
	if (ptr->mirror && !th_check_inside(walk->check, ptr->mirror, mirror_blocks)) {
		node_problem(walk, ptr, "its copy of %u blocks at block %" PRIu64 " is not inside the image",
			     mirror_blocks, ptr->mirror);
		return false;
	}
	if (ptr->prefix_size > shared) {
		node_problem(walk, ptr, "prefix of %u bytes, but its fences share %zu", ptr->prefix_size, shared);
		return false;
	}
	return true;
}

/* Reads the copies of a node into a buffer for each, and reports those that are wrong.  If it is not the first reading,
 * a right copy is enough.  Returns the blocks of a right one, or NULL. */
static uint8_t *read_copies(const struct th_check_walk *walk, const struct th_ptr *ptr, bool first, uint8_t *buffer)
{
	uint8_t *right = NULL;

	for (unsigned i = 0; i < th_ptr_copies(ptr) && (first || !right); i++) {
		struct th_ptr copy = th_ptr_copy(ptr, i);
		uint8_t *blocks = buffer + (size_t)i * ptr->blocks * TH_BLOCK_SIZE;
		int err = th_node_blocks_read(walk->check->store->disk, &copy, blocks);

		if (err && first)
			node_problem(walk, &copy, "%s", err == -EBADMSG ? "wrong checksum" : strerror(-err));
		if (!err && !right)
			right = blocks;
	}
	return right;
}

/* Reads a node.  Returns 0, 1 if it is damaged and that was reported, or -ENOMEM. */
static int read_node(const struct th_check_walk *walk, const struct th_ptr *ptr, const struct fences *at, bool first,
		     struct th_node **ret)
{
	uint8_t *buffer, *blocks;
	const char *why;
	int err;

	if (!pointer_usable(walk, ptr, at))
		return 1;
	buffer = th_disk_buffer((size_t)th_ptr_copies(ptr) * ptr->blocks * TH_BLOCK_SIZE);
	if (!buffer)
		return -ENOMEM;
	blocks = read_copies(walk, ptr, first, buffer);
	if (!blocks) {
		free(buffer);
		return 1;
	}
	err = th_node_unpack(blocks, ptr, (struct th_slice){ at->lo.data, ptr->prefix_size }, ret, &why);
	if (!err && first)
		check_rest(walk, *ret, blocks);
	free(buffer);
	if (err && err != -ENOMEM)
		node_problem(walk, ptr, "%s", why);
	if (!err && !keys_in_fences(walk, *ret, at)) {
		th_node_unref(*ret);
		err = -EUCLEAN;
	}
	return err && err != -ENOMEM ? 1 : err;
}

/* --- walking --- */

enum sight { SIGHT_NEW, SIGHT_AGAIN, SIGHT_SKIP, SIGHT_DAMAGED };

static uint8_t kind_flag(enum th_check_kind kind)
{
	return kind == TH_CHECK_META ? TH_SEEN_META : kind == TH_CHECK_LIVE ? TH_SEEN_LIVE : TH_SEEN_SNAPSHOT;
}

static bool same_node(const struct th_seen *seen, const struct th_ptr *ptr)
{
	return seen->mirror == ptr->mirror && seen->birth == ptr->birth && seen->checksum == ptr->checksum &&
	       seen->blocks == ptr->blocks && seen->level == ptr->level;
}

static void remember_node(struct th_seen *seen, const struct th_ptr *ptr)
{
	seen->mirror = ptr->mirror;
	seen->birth = ptr->birth;
	seen->checksum = ptr->checksum;
	seen->blocks = ptr->blocks;
	seen->level = ptr->level;
	seen->flags &= (uint8_t) ~(TH_SEEN_DAMAGED | TH_SEEN_SCATTERED | TH_SEEN_MIRROR_SCATTERED);
	seen->flags |= ptr->scattered ? TH_SEEN_SCATTERED : 0;
	seen->flags |= ptr->mirror_scattered ? TH_SEEN_MIRROR_SCATTERED : 0;
}

/* Records that the tree has a node.  It must not have it twice, and all trees must agree about it. */
static int sight_node(struct th_check_walk *walk, const struct th_ptr *ptr, enum sight *ret)
{
	uint8_t flag = kind_flag(walk->tree->kind), before;
	bool owned = ptr->birth > walk->tree->owned;
	struct th_seen *seen;
	int err = th_seen_get(&walk->check->nodes, ptr->addr, &seen);

	if (err)
		return err;
	before = seen->flags;
	if (before && seen->view == walk->view) {
		node_problem(walk, ptr, "is in this tree twice");
		*ret = SIGHT_SKIP;
		return 0;
	}
	if (before && same_node(seen, ptr)) {
		*ret = before & TH_SEEN_DAMAGED ? SIGHT_DAMAGED : before & flag && !owned ? SIGHT_SKIP : SIGHT_AGAIN;
	} else {
		if (before)
			node_problem(walk, ptr,
				     "another tree has a different node here (level %u, generation %" PRIu64 ")",
				     seen->level, seen->birth);
		remember_node(seen, ptr);
		*ret = SIGHT_NEW;
	}
	if (owned && before & TH_SEEN_OWNED)
		node_problem(walk, ptr, "another head owns it, too");
	seen->flags |= flag | (owned ? TH_SEEN_OWNED : 0);
	seen->view = walk->view;
	walk->check->result.nodes += before == 0;
	return 0;
}

static int mark_damaged(struct th_check_walk *walk, uint64_t addr)
{
	struct th_seen *seen;
	int err = th_seen_get(&walk->check->nodes, addr, &seen);

	if (!err)
		seen->flags |= TH_SEEN_DAMAGED;
	return err;
}

/* Notes that the nodes below cannot be read. */
static int leave_out(struct th_check_walk *walk, const struct fences *at)
{
	walk->check->incomplete = true;
	return walk->tree->kind == TH_CHECK_LIVE ? th_check_add_hole(walk->check, at->lo, at->hi) : 0;
}

static int walk_node(struct th_check_walk *walk, const struct th_ptr *ptr, const struct fences *at);

static int walk_children(struct th_check_walk *walk, const struct th_node *node, const struct fences *at, bool first)
{
	int err = 0;

	for (unsigned i = 0; i < node->base.count && !err; i++) {
		struct fences below = *at;
		struct th_key lo, hi;
		struct th_ptr child;

		th_node_key(node, th_slab_entry(&node->base, i), &lo);
		below.lo = th_key_slice(&lo);
		if (i + 1 < node->base.count) {
			th_node_key(node, th_slab_entry(&node->base, i + 1), &hi);
			below.hi = th_key_slice(&hi);
			if (th_slice_compare(below.hi, walk->tree->at) <= 0)
				continue;
		}
		if (th_node_child_ptr(node, i, &child) == 0) {
			err = walk_node(walk, &child, &below);
			continue;
		}
		if (first)
			node_problem(walk, &node->ptr, "its pointer to child %u is broken", i);
		err = leave_out(walk, &below);
	}
	return err;
}

static int walk_node(struct th_check_walk *walk, const struct th_ptr *ptr, const struct fences *at)
{
	struct th_node *node = NULL;
	enum sight sight;
	bool first;
	int damaged, err;

	if (walk->tree->kind == TH_CHECK_ABANDONED && ptr->birth <= walk->tree->owned)
		return 0;
	err = sight_node(walk, ptr, &sight);
	if (err || sight == SIGHT_SKIP)
		return err;
	if (sight == SIGHT_DAMAGED) {
		if (walk->tree->kind == TH_CHECK_LIVE)
			node_problem(walk, ptr, "the damaged node of a snapshot is here too");
		return leave_out(walk, at);
	}
	first = sight == SIGHT_NEW;
	damaged = read_node(walk, ptr, at, first, &node);
	if (damaged < 0)
		return damaged;
	if (damaged) {
		err = mark_damaged(walk, ptr->addr);
		return err ? err : leave_out(walk, at);
	}
	if (first)
		check_node(walk, node, at);
	walk->first = first;
	walk->path[walk->depth++] = node;
	th_check_deletes(walk);
	err = th_check_values(walk);
	if (!err && node->level > 0)
		err = walk_children(walk, node, at, first);
	walk->depth--;
	th_node_unref(node);
	return err;
}

int th_check_tree(struct th_check *check, const struct th_check_tree *tree)
{
	const struct th_ptr *root = &tree->root;
	const struct fences all = { TH_SLICE_EMPTY, { NULL, 0 } };
	struct th_check_walk walk = { .check = check, .tree = tree, .view = ++check->views };

	if (root->birth > tree->generation)
		node_problem(&walk, root, "the root was born in generation %" PRIu64 ", expected at most %" PRIu64,
			     root->birth, tree->generation);
	if (root->seq > tree->sequence)
		node_problem(&walk, root, "newest message %" PRIu64 ", expected at most %" PRIu64, root->seq,
			     tree->sequence);
	return walk_node(&walk, root, &all);
}
