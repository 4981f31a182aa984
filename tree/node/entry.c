/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/node/entry.h"

#include <errno.h>

#include "tree/node/node_heap.h"

/* A heap entry after its count.  The entry itself is unaligned bytes. */
struct th_heap_entry {
	_Atomic uint32_t count;
	struct th_entry entry;
};

#define TH_HEAP_FLAGS (TH_ENTRY_HEAP | TH_ENTRY_REFS | TH_ENTRY_SEQ)

static struct th_heap_entry *heap_of(const struct th_entry *e)
{
	return (struct th_heap_entry *)((char *)(uintptr_t)e - offsetof(struct th_heap_entry, entry));
}

uint64_t th_entry_seq(const struct th_entry *e)
{
	struct th_le64 v;

	if (!(e->flags & TH_ENTRY_SEQ))
		return 0;
	memcpy(&v, (const char *)(e + 1) + (e->flags & TH_ENTRY_REFS ? 4 : 0), sizeof(v));
	return th_get_le64(v);
}

void th_entry_set_refs(struct th_entry *heap, int32_t refs)
{
	struct th_le32 v = th_le32((uint32_t)refs);

	assert(heap->flags & TH_ENTRY_HEAP);
	memcpy(heap + 1, &v, sizeof(v));
}

void th_entry_set_seq(struct th_entry *heap, uint64_t seq)
{
	struct th_le64 v = th_le64(seq);

	assert(heap->flags & TH_ENTRY_HEAP);
	memcpy((char *)(heap + 1) + 4, &v, sizeof(v));
}

struct th_entry *th_entry_new(unsigned flags, struct th_slice key_head, struct th_slice key_tail, struct th_slice value)
{
	size_t header = th_entry_header_size(TH_HEAP_FLAGS);
	size_t key_size = key_head.size + key_tail.size;
	struct th_heap_entry *heap;
	uint8_t *bytes;

	heap = th_heap_alloc(offsetof(struct th_heap_entry, entry) + header + key_size + value.size);
	if (!heap)
		return NULL;
	atomic_init(&heap->count, 1);
	heap->entry.flags = (uint8_t)(flags | TH_HEAP_FLAGS);
	heap->entry.reserved = 0;
	heap->entry.key_size = th_le16((uint16_t)key_size);
	heap->entry.value_size = th_le16((uint16_t)value.size);
	bytes = (uint8_t *)&heap->entry;
	memset(bytes + sizeof(struct th_entry), 0, header - sizeof(struct th_entry));
	if (key_head.size)
		memcpy(bytes + header, key_head.data, key_head.size);
	if (key_tail.size && key_tail.data)
		memcpy(bytes + header + key_head.size, key_tail.data, key_tail.size);
	if (value.size && value.data)
		memcpy(bytes + header + key_size, value.data, value.size);
	return &heap->entry;
}

void th_entry_ref_heap(const struct th_entry *e)
{
	atomic_fetch_add_explicit(&heap_of(e)->count, 1, memory_order_relaxed);
}

void th_entry_unref_heap(const struct th_entry *e)
{
	struct th_heap_entry *heap = heap_of(e);

	if (atomic_fetch_sub_explicit(&heap->count, 1, memory_order_acq_rel) == 1)
		th_heap_free(heap);
}

size_t th_entry_pack(const struct th_entry *e, size_t strip, enum th_entry_role role, void *to)
{
	unsigned flags = th_entry_packed_flags(e, role);
	size_t key_size = th_entry_key_size(e) - strip;
	struct th_slice value = th_entry_value(e);
	struct th_entry header = {
		.flags = (uint8_t)flags,
		.key_size = th_le16((uint16_t)key_size),
		.value_size = th_le16((uint16_t)value.size),
	};
	uint8_t *out = to;

	memcpy(out, &header, sizeof(header));
	out += sizeof(header);
	if (flags & TH_ENTRY_REFS) {
		struct th_le32 refs = th_le32((uint32_t)th_entry_refs(e));

		memcpy(out, &refs, sizeof(refs));
		out += sizeof(refs);
	}
	if (flags & TH_ENTRY_SEQ) {
		struct th_le64 seq = th_le64(th_entry_seq(e));

		memcpy(out, &seq, sizeof(seq));
		out += sizeof(seq);
	}
	memcpy(out, th_entry_key(e) + strip, key_size);
	memcpy(out + key_size, value.data, value.size);
	return (size_t)(out - (uint8_t *)to) + key_size + value.size;
}

int th_slice_compare(struct th_slice a, struct th_slice b)
{
	size_t n = a.size < b.size ? a.size : b.size;
	int c = n ? memcmp(a.data, b.data, n) : 0;

	return c ? c : (a.size > b.size) - (a.size < b.size);
}

size_t th_slice_common(struct th_slice a, struct th_slice b)
{
	const uint8_t *x = a.data, *y = b.data;
	size_t n = a.size < b.size ? a.size : b.size, i;

	for (i = 0; i < n && x[i] == y[i]; i++)
		;
	return i;
}
