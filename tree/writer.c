/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/writer.h"

#include <errno.h>
#include <stdlib.h>
#include <xxhash.h>

#define TH_WRITE_BYTES (1u << 20) /* of one transfer */
#define TH_WRITES_MAX 8 /* under way */
#define TH_SETTLE_BATCH 32 /* nodes settled in one go, with the tree locked */

struct written_node {
	struct th_node *node;
	struct th_page *page;
	uint16_t *offsets;
};

struct transfer {
	struct th_future future;
	struct iovec iov[TH_DISK_IOV_MAX];
	int count;
	size_t bytes;
	uint64_t addr;
	bool busy;
};

struct th_writer {
	struct th_store *store;
	uint64_t generation, hint;
	struct written_node *node;
	size_t count, capacity;
	struct transfer transfer[TH_WRITES_MAX];
	unsigned current; /* being filled */
};

int th_writer_new(struct th_store *store, uint64_t generation, struct th_writer **ret)
{
	struct th_writer *w = calloc(1, sizeof(*w));

	if (!w)
		return -ENOMEM;
	w->store = store;
	w->generation = generation;
	*ret = w;
	return 0;
}

static int transfer_wait(struct transfer *t)
{
	int r = t->busy ? th_future_wait(&t->future) : 0;

	t->busy = false;
	t->count = 0;
	t->bytes = 0;
	return r;
}

/* Starts the transfer being filled and turns to the next one, waiting for its earlier use. */
static int transfer_submit(struct th_writer *w)
{
	struct transfer *t = &w->transfer[w->current];

	if (t->count > 0) {
		t->busy = true;
		th_disk_save(w->store->disk, t->addr, t->iov, t->count, &t->future);
		w->current = (w->current + 1) % TH_WRITES_MAX;
	}
	return transfer_wait(&w->transfer[w->current]);
}

static int transfer_add(struct th_writer *w, uint64_t addr, struct th_page *page)
{
	struct transfer *t = &w->transfer[w->current];
	int r;

	if (t->count == TH_DISK_IOV_MAX || t->bytes >= TH_WRITE_BYTES || t->addr + t->bytes / TH_BLOCK_SIZE != addr) {
		r = transfer_submit(w);
		if (r < 0)
			return r;
		t = &w->transfer[w->current];
		t->addr = addr;
	}
	t->iov[t->count++] = (struct iovec){ page->data, page->size };
	t->bytes += page->size;
	return 0;
}

static struct written_node *add_written(struct th_writer *w, struct th_node *node)
{
	struct written_node *written;

	if (w->count == w->capacity) {
		size_t capacity = w->capacity ? 2 * w->capacity : 64;

		written = realloc(w->node, capacity * sizeof(*written));
		if (!written)
			return NULL;
		w->node = written;
		w->capacity = capacity;
	}
	written = &w->node[w->count];
	*written = (struct written_node){ .offsets = calloc(node->base.count + node->overlay.count + 1u,
							    sizeof(*written->offsets)) };
	if (!written->offsets)
		return NULL;
	written->node = th_node_ref(node);
	w->count++;
	return written;
}

/* Allocates, packs and queues one node whose children are written. */
static int write_node(struct th_writer *w, struct th_node *node)
{
	struct th_store *store = w->store;
	struct written_node *written = add_written(w, node);
	uint32_t blocks, got;
	uint64_t addr;
	int r;

	if (!written)
		return -ENOMEM;
	r = th_node_pack(node, w->generation, &written->page, written->offsets);
	if (r < 0)
		return r;
	blocks = written->page->size / TH_BLOCK_SIZE;
	r = th_space_take(store->space, TH_SPACE_META, blocks, blocks, &w->hint, &addr, &got);
	if (r < 0)
		return r;
	th_space_note_alloc(store->space, TH_SPACE_COMMIT, addr, got);
	node->written = (struct th_ptr){
		.addr = addr,
		.birth = w->generation,
		.seq = node->seq,
		.checksum = XXH3_64bits(written->page->data, written->page->size),
		.blocks = (uint16_t)blocks,
		.prefix_size = node->prefix_size,
		.level = node->level,
		.chunks = node->chunks,
	};
	atomic_fetch_add(&store->node_writes, 1);
	atomic_fetch_add(&store->node_bytes_written, written->page->size);
	return transfer_add(w, addr, written->page);
}

static bool is_written(const struct th_node *node)
{
	return node->ptr.addr || node->written.addr;
}

static int write_below(struct th_writer *w, struct th_node *node)
{
	int r = 0;

	for (unsigned i = 0; node->kids && i < node->base.count && r == 0; i++)
		if (node->kids[i] && !is_written(node->kids[i]))
			r = write_below(w, node->kids[i]);
	return r < 0 ? r : write_node(w, node);
}

int th_writer_tree(struct th_writer *writer, struct th_node *root, struct th_ptr *ret)
{
	int r = is_written(root) ? 0 : write_below(writer, root);

	if (r == 0)
		r = transfer_submit(writer);
	if (r == 0)
		*ret = root->ptr.addr ? root->ptr : root->written;
	return r;
}

int th_writer_finish(struct th_writer *writer)
{
	int r = transfer_submit(writer);

	for (unsigned i = 0; i < TH_WRITES_MAX; i++) {
		int one = transfer_wait(&writer->transfer[i]);

		if (r == 0)
			r = one;
	}
	return r;
}

void th_writer_settle(struct th_writer *writer, struct th_tree *tree)
{
	for (size_t i = 0; i < writer->count;) {
		size_t end = i + TH_SETTLE_BATCH < writer->count ? i + TH_SETTLE_BATCH : writer->count;

		pthread_rwlock_wrlock(&tree->lock);
		for (; i < end; i++) {
			struct written_node *written = &writer->node[i];

			th_node_settle(written->node, written->page, written->offsets);
			th_cache_insert(writer->store->cache, written->node);
		}
		pthread_rwlock_unlock(&tree->lock);
	}
}

void th_writer_free(struct th_writer *writer)
{
	if (!writer)
		return;
	th_writer_finish(writer);
	for (size_t i = 0; i < writer->count; i++) {
		th_node_unref(writer->node[i].node);
		th_page_unref(writer->node[i].page);
		free(writer->node[i].offsets);
	}
	free(writer->node);
	free(writer);
}
