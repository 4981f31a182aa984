/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/node/message.h"

struct th_entry *th_message_add_refs(struct th_slice key_head, struct th_slice key_tail, int32_t delta)
{
	struct th_entry *e = th_entry_new(0, key_head, key_tail, TH_SLICE_EMPTY);

	if (e)
		th_entry_set_refs(e, delta);
	return e;
}

struct th_entry *th_message_delete_range(struct th_slice from, struct th_slice to, uint64_t seq)
{
	struct th_entry *e = th_entry_new(TH_ENTRY_RANGE | TH_ENTRY_RESET, from, TH_SLICE_EMPTY, to);

	if (e)
		th_entry_set_seq(e, seq);
	return e;
}

/* Composition gives messages for one key the union of their flags. */
static unsigned allowed_flags(unsigned flags)
{
	if (flags & TH_ENTRY_RANGE)
		return TH_ENTRY_RANGE | TH_ENTRY_RESET | TH_ENTRY_SEQ;
	return TH_ENTRY_VALUE | TH_ENTRY_CHUNK | TH_ENTRY_RESET | TH_ENTRY_REFS | TH_ENTRY_SEQ;
}

size_t th_message_packed_check(const void *data, size_t size)
{
	struct th_entry header;
	size_t need;

	if (size < sizeof(header))
		return 0;
	memcpy(&header, data, sizeof(header));
	if ((header.flags & ~allowed_flags(header.flags)) || header.reserved)
		return 0;
	if ((header.flags & TH_ENTRY_CHUNK) && !(header.flags & TH_ENTRY_VALUE))
		return 0;
	if (th_get_le16(header.key_size) > TH_KEY_MAX + 1 || th_get_le16(header.value_size) > TH_INLINE_MAX)
		return 0;
	need = th_entry_header_size(header.flags) + th_get_le16(header.key_size) + th_get_le16(header.value_size);
	return need <= size ? need : 0;
}
