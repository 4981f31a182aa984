/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/io/node_writer.h"

#include <errno.h>
#include <stdlib.h>

#include "journal/base/array.h"
#include "journal/base/checksum.h"
#include "tree/node/node_pack.h"
#include "tree/node/scatter.h"
#include "tree/state/state.h"

#define TH_WRITE_BYTES (1u << 20) /* of one transfer */
#define TH_WRITES_MAX 4 /* transfers under way */
#define TH_PERSIST_BATCH 32 /* nodes made persistent while the tree is locked once; more would delay readers */

struct written_node {
	struct th_node *node;
	void *blocks;
	void *map[TH_COPIES_MAX]; /* of a scattered copy, else NULL */
};

struct transfer {
	struct th_future future;
	struct iovec iov[TH_DISK_IOV_MAX];
	int count;
	size_t upto; /* nodes, from the first on, whose buffers are in it or in transfers before it */
	size_t bytes;
	uint64_t addr;
	bool busy;
};

/* The writes of one copy of the nodes. */
struct stream {
	uint64_t hint; /* block after the last one */
	struct transfer transfer[TH_WRITES_MAX];
	unsigned current; /* being filled */
	size_t written; /* nodes whose copy is on the disk, from the first on */
};

struct th_node_writer {
	struct th_store *store;
	struct th_tree *tree;
	uint64_t generation;
	struct th_taken *taken;
	struct written_node *node; /* in the order of writing, so children before their parents */
	size_t count, capacity;
	size_t persistent; /* nodes of which all copies are on the disk, from the first on */
	unsigned copies; /* streams in use */
	struct stream stream[TH_COPIES_MAX];
	int error; /* first error of a transfer */
};

/* --- blocks that are only taken --- */

static int taken_add(struct th_taken *taken, uint64_t addr, uint32_t blocks)
{
	struct th_taken_run *last = taken->count > 0 ? &taken->run[taken->count - 1] : NULL;

	if (last && last->addr + last->blocks == addr && last->blocks <= UINT32_MAX - blocks) {
		last->blocks += blocks;
		return 0;
	}
	if (th_grow(taken->run, taken->capacity, taken->count + 1))
		return -ENOMEM;
	taken->run[taken->count++] = (struct th_taken_run){ addr, blocks };
	return 0;
}

static void taken_release(struct th_taken *taken)
{
	free(taken->run);
	*taken = (struct th_taken){ 0 };
}

void th_taken_note(struct th_taken *taken, struct th_store *store)
{
	for (size_t i = 0; i < taken->count; i++) {
		th_space_note_alloc(store->space, TH_SPACE_LIVE, taken->run[i].addr, taken->run[i].blocks);
		th_store_count_up(store, TH_SUPER_NODE_BLOCKS, taken->run[i].blocks);
	}
	taken_release(taken);
}

void th_taken_give(struct th_taken *taken, struct th_space *space)
{
	for (size_t i = 0; i < taken->count; i++)
		th_space_give(space, taken->run[i].addr, taken->run[i].blocks);
	taken_release(taken);
}

/* --- */

int th_node_writer_new(struct th_store *store, struct th_tree *tree, uint64_t generation, struct th_taken *taken,
		       struct th_node_writer **ret)
{
	struct th_node_writer *w = calloc(1, sizeof(*w));

	if (!w)
		return -ENOMEM;
	w->store = store;
	w->tree = tree;
	w->generation = generation;
	w->taken = taken;
	w->copies = tree ? store->copies : 1;
	*ret = w;
	return 0;
}

/* --- nodes whose blocks are on the disk --- */

static void free_buffers(struct written_node *written)
{
	free(written->blocks);
	written->blocks = NULL;
	for (unsigned i = 0; i < TH_COPIES_MAX; i++) {
		free(written->map[i]);
		written->map[i] = NULL;
	}
}

static void persist_batch(struct th_node_writer *w, struct written_node *batch, size_t count)
{
	struct th_page *page[TH_PERSIST_BATCH];
	size_t bytes = 0;

	for (size_t i = 0; i < count; i++) {
		page[i] = th_node_page(batch[i].blocks);
		free_buffers(&batch[i]);
	}
	pthread_rwlock_wrlock(&w->tree->lock);
	for (size_t i = 0; i < count; i++) {
		bytes += batch[i].node->accounted;
		batch[i].node->gen = 0; /* N1, whichever generation is the tree's */
		if (!page[i])
			continue; /* no memory: it keeps its heap entries */
		th_node_persist(batch[i].node, page[i]);
		th_cache_insert(w->store->cache, batch[i].node);
		th_page_unref(page[i]);
	}
	pthread_rwlock_unlock(&w->tree->lock);
	if (w->tree == &w->store->live)
		th_store_written(w->store, bytes);
}

/* Drops the writer's references to nodes that are on the disk, after making them persistent. */
static void release_batch(struct th_node_writer *w, struct written_node *batch, size_t count)
{
	if (w->tree)
		persist_batch(w, batch, count);
	for (size_t i = 0; i < count; i++) {
		th_node_unref(batch[i].node);
		free_buffers(&batch[i]);
	}
}

/* Makes the nodes persistent whose copies are all on the disk. */
static void persist_written(struct th_node_writer *w)
{
	size_t end = w->stream[0].written;

	for (unsigned i = 1; i < w->copies; i++)
		end = w->stream[i].written < end ? w->stream[i].written : end;
	while (w->persistent < end) {
		size_t n = end - w->persistent < TH_PERSIST_BATCH ? end - w->persistent : TH_PERSIST_BATCH;

		release_batch(w, &w->node[w->persistent], n);
		w->persistent += n;
	}
}

/* --- transfers: waited for in the order in which they were submitted --- */

/* Waits for a transfer.  After one has failed, no more nodes become persistent: their children may not be on the
 * disk. */
static int transfer_wait(struct th_node_writer *w, struct stream *s, struct transfer *t)
{
	int err = t->busy ? th_future_wait(&t->future) : 0;

	if (err && !w->error)
		w->error = err;
	if (t->busy && !w->error) {
		s->written = t->upto;
		persist_written(w);
	}
	t->busy = false;
	t->count = 0;
	t->upto = s->written;
	t->bytes = 0;
	return w->error;
}

/* Submits the transfer being filled and continues with the next one, whose previous use it waits for. */
static int transfer_submit(struct th_node_writer *w, struct stream *s)
{
	struct transfer *t = &s->transfer[s->current];

	if (t->count > 0) {
		t->busy = true;
		th_disk_save(w->store->disk, t->addr, t->iov, t->count, &t->future);
		s->current = (s->current + 1) % TH_WRITES_MAX;
	}
	return transfer_wait(w, s, &s->transfer[s->current]);
}

/* last: this copy of the newest node is on the disk when this buffer, and those added before it, are. */
static int transfer_add(struct th_node_writer *w, struct stream *s, uint64_t addr, void *blocks, uint32_t size,
			bool last)
{
	struct transfer *t = &s->transfer[s->current];
	int err;

	if (t->count == TH_DISK_IOV_MAX || t->bytes >= TH_WRITE_BYTES || t->addr + t->bytes / TH_BLOCK_SIZE != addr) {
		err = transfer_submit(w, s);
		if (err)
			return err;
		t = &s->transfer[s->current];
		t->addr = addr;
	}
	t->iov[t->count++] = (struct iovec){ blocks, size };
	t->bytes += size;
	t->upto = last ? w->count : w->count - 1;
	return 0;
}

static struct written_node *add_written(struct th_node_writer *w, struct th_node *node)
{
	struct written_node *written;

	if (th_grow(w->node, w->capacity, w->count + 1))
		return NULL;
	written = &w->node[w->count];
	*written = (struct written_node){ .node = th_node_ref(node) };
	w->count++;
	return written;
}

/* Takes a run of at least `min` and at most `want` blocks, and records it in the set of the checkpoint or in the
 * list. */
static int take_run(struct th_node_writer *w, struct stream *s, uint32_t want, uint32_t min, uint64_t *ret,
		    uint32_t *ret_blocks)
{
	struct th_space *space = w->store->space;
	uint32_t got;
	enum th_space_class class = s == &w->stream[0] ? TH_SPACE_META : TH_SPACE_MIRROR;
	int err = th_space_take(space, class, want, min, &s->hint, ret, &got);

	if (err)
		return err;
	*ret_blocks = got;
	if (!w->taken) {
		th_space_note_alloc(space, TH_SPACE_CHECKPOINT, *ret, got);
		th_store_count_up(w->store, TH_SUPER_NODE_BLOCKS, got);
		return 0;
	}
	err = taken_add(w->taken, *ret, got);
	if (err)
		th_space_give(space, *ret, got);
	return err;
}

/* Takes the blocks of a node in several runs, and one for their map. */
static int take_scattered(struct th_node_writer *w, struct stream *s, uint32_t blocks, struct th_scatter *scatter,
			  uint64_t *ret_map)
{
	uint32_t got;
	int err = take_run(w, s, 1, 1, ret_map, &got);

	scatter->count = 0;
	while (!err && blocks > 0) {
		err = take_run(w, s, w->store->scatter_one_in ? 1 : blocks, 1, &scatter->run[scatter->count].addr,
			       &scatter->run[scatter->count].blocks);
		if (!err)
			blocks -= scatter->run[scatter->count++].blocks;
	}
	return err;
}

static bool scatter_for_test(const struct th_store *store)
{
	return store->scatter_one_in && atomic_load(&store->node_writes) % store->scatter_one_in == 0;
}

/* Queues the blocks of a scattered copy, then their map. */
static int write_scattered(struct th_node_writer *w, struct stream *s, struct written_node *written, void *map,
			   const struct th_scatter *scatter, uint64_t map_addr)
{
	uint8_t *blocks = written->blocks;
	int err = 0;

	th_scatter_pack(scatter, w->generation, map);
	for (unsigned i = 0; i < scatter->count && !err; i++) {
		uint32_t size = scatter->run[i].blocks * TH_BLOCK_SIZE;

		err = transfer_add(w, s, scatter->run[i].addr, blocks, size, false);
		blocks += size;
	}
	return err ? err : transfer_add(w, s, map_addr, map, TH_BLOCK_SIZE, true);
}

/* Takes blocks for one copy of the newest node and queues their write.  *ret is its address, *ret_scattered whether
 * that is a map's. */
static int write_copy(struct th_node_writer *w, unsigned copy, uint32_t blocks, uint64_t *ret, uint8_t *ret_scattered)
{
	struct stream *s = &w->stream[copy];
	struct written_node *written = &w->node[w->count - 1];
	struct th_scatter scatter;
	uint32_t got;
	int err;

	err = scatter_for_test(w->store) ? -ENOSPC : take_run(w, s, blocks, blocks, ret, &got);
	*ret_scattered = err == -ENOSPC;
	if (!err)
		return transfer_add(w, s, *ret, written->blocks, blocks * TH_BLOCK_SIZE, true);
	if (err == -ENOSPC)
		err = take_scattered(w, s, blocks, &scatter, ret);
	if (err)
		return err;
	written->map[copy] = th_disk_buffer(TH_BLOCK_SIZE);
	if (!written->map[copy])
		return -ENOMEM;
	return write_scattered(w, s, written, written->map[copy], &scatter, *ret);
}

/* Queues the copies of the newest node.  The second ones begin half a disk away from the first ones, so that damage to
 * a stretch of the disk leaves one of them. */
static int write_copies(struct th_node_writer *w, struct th_ptr *ptr)
{
	uint64_t disk_blocks = w->store->disk->blocks;
	int err = write_copy(w, 0, ptr->blocks, &ptr->addr, &ptr->scattered);

	if (err || w->copies == 1)
		return err;
	if (w->stream[1].hint == 0)
		w->stream[1].hint = (ptr->addr + disk_blocks / 2) % disk_blocks;
	return write_copy(w, 1, ptr->blocks, &ptr->mirror, &ptr->mirror_scattered);
}

/* Packs a node, whose children have addresses, takes blocks for it, and queues the write. */
static int write_node(struct th_node_writer *w, struct th_node *node)
{
	struct th_store *store = w->store;
	struct written_node *written = add_written(w, node);
	struct th_ptr ptr;
	uint32_t size;
	int err;

	if (!written)
		return -ENOMEM;
	err = th_node_pack(node, w->generation, &written->blocks, &size);
	if (err)
		return err;
	ptr = (struct th_ptr){
		.birth = w->generation,
		.seq = node->seq,
		.checksum = th_checksum(written->blocks, size),
		.records = th_node_records(node),
		.deletes = th_node_deletes(node),
		.blocks = (uint16_t)(size / TH_BLOCK_SIZE),
		.prefix_size = node->prefix_size,
		.level = node->level,
		.chunks = node->chunks,
	};
	err = write_copies(w, &ptr);
	if (err)
		return err;
	node->written = ptr;
	atomic_fetch_add(&store->node_writes, 1);
	atomic_fetch_add(&store->node_bytes_written, (uint64_t)size * w->copies);
	return 0;
}

int th_node_writer_node(struct th_node_writer *writer, struct th_node *node, struct th_ptr *ret)
{
	int err = write_node(writer, node);

	if (!err)
		*ret = node->written;
	return err;
}

static bool is_written(const struct th_node *node)
{
	return node->ptr.addr || node->written.addr;
}

static int write_below(struct th_node_writer *w, struct th_node *node)
{
	int err = 0;

	for (unsigned i = 0; node->children && i < node->base.count && !err; i++)
		if (node->children[i] && !is_written(node->children[i]))
			err = write_below(w, node->children[i]);
	return err ? err : write_node(w, node);
}

int th_node_writer_tree(struct th_node_writer *writer, struct th_node *root, struct th_ptr *ret)
{
	int err = is_written(root) ? 0 : write_below(writer, root);

	for (unsigned i = 0; i < writer->copies && !err; i++)
		err = transfer_submit(writer, &writer->stream[i]);
	if (!err)
		*ret = root->ptr.addr ? root->ptr : root->written;
	return err;
}

static int stream_finish(struct th_node_writer *w, struct stream *s)
{
	int err = transfer_submit(w, s);

	for (unsigned i = 0; i < TH_WRITES_MAX; i++)
		err = transfer_wait(w, s, &s->transfer[(s->current + i) % TH_WRITES_MAX]);
	return err;
}

int th_node_writer_finish(struct th_node_writer *writer)
{
	int err = 0;

	for (unsigned i = 0; i < writer->copies; i++)
		err = stream_finish(writer, &writer->stream[i]);
	return err;
}

void th_node_writer_free(struct th_node_writer *writer)
{
	if (!writer)
		return;
	th_node_writer_finish(writer);
	for (size_t i = writer->persistent; i < writer->count; i++) {
		th_node_unref(writer->node[i].node);
		free_buffers(&writer->node[i]);
	}
	free(writer->node);
	free(writer);
}
