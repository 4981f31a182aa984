/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/format/key.h"

#include <errno.h>
#include <string.h>

int th_fs_name_check(struct th_slice name)
{
	const char *bytes = name.data;

	if (name.size > TH_NAME_MAX)
		return -ENAMETOOLONG;
	if (!name.size || memchr(bytes, '/', name.size) || memchr(bytes, 0, name.size))
		return -EINVAL;
	if (bytes[0] == '.' && (name.size == 1 || (name.size == 2 && bytes[1] == '.')))
		return -EINVAL;
	return 0;
}

static void put_byte(struct th_fs_key *key, uint8_t byte)
{
	key->bytes[key->size++] = byte;
}

static void put_number(struct th_fs_key *key, uint64_t number)
{
	for (int shift = 56; shift >= 0; shift -= 8)
		put_byte(key, (uint8_t)(number >> shift));
}

static void put_name(struct th_fs_key *key, const void *name, size_t size)
{
	if (size)
		memcpy(key->bytes + key->size, name, size);
	key->size += (uint16_t)size;
}

struct th_fs_key th_fs_key_kind(uint64_t id, enum th_fs_key_kind kind)
{
	struct th_fs_key key;

	key.size = 0;
	put_number(&key, id);
	put_byte(&key, (uint8_t)kind);
	return key;
}

struct th_fs_key th_fs_key_inode(uint64_t id)
{
	return th_fs_key_kind(id, TH_FS_KEY_INODE);
}

struct th_fs_key th_fs_key_xattr(uint64_t id, const void *name, size_t size)
{
	struct th_fs_key key = th_fs_key_kind(id, TH_FS_KEY_XATTR);

	put_name(&key, name, size);
	return key;
}

struct th_fs_key th_fs_key_link(uint64_t id, uint64_t parent, const void *name, size_t size)
{
	struct th_fs_key key = th_fs_key_kind(id, TH_FS_KEY_LINK);

	put_number(&key, parent);
	put_name(&key, name, size);
	return key;
}

struct th_fs_key th_fs_key_extent(uint64_t id, uint64_t block)
{
	struct th_fs_key key = th_fs_key_kind(id, TH_FS_KEY_EXTENT);

	put_number(&key, block);
	return key;
}

struct th_fs_key th_fs_key_entry(uint64_t directory, uint64_t hash, const void *name, size_t size)
{
	struct th_fs_key key = th_fs_key_kind(directory, TH_FS_KEY_ENTRY);

	put_number(&key, hash);
	put_name(&key, name, size);
	return key;
}

struct th_fs_key th_fs_key_next_id(void)
{
	return th_fs_key_kind(0, TH_FS_KEY_NEXT_ID);
}

struct th_fs_key th_fs_key_orphan(uint64_t id)
{
	struct th_fs_key key = th_fs_key_kind(0, TH_FS_KEY_ORPHAN);

	put_number(&key, id);
	return key;
}

struct th_fs_key th_fs_key_atime(uint64_t id)
{
	struct th_fs_key key = th_fs_key_kind(0, TH_FS_KEY_ATIME);

	put_number(&key, id);
	return key;
}

struct th_fs_key th_fs_key_receive(void)
{
	return th_fs_key_kind(0, TH_FS_KEY_RECEIVE);
}

struct th_fs_key th_fs_key_received_id(uint64_t id)
{
	struct th_fs_key key = th_fs_key_kind(0, TH_FS_KEY_RECEIVED_ID);

	put_number(&key, id);
	return key;
}

struct th_fs_key th_fs_key_name_key(void)
{
	return th_fs_key_kind(0, TH_FS_KEY_NAME_KEY);
}

static uint64_t get_number(const uint8_t *bytes)
{
	uint64_t number = 0;

	for (int i = 0; i < 8; i++)
		number = number << 8 | bytes[i];
	return number;
}

/* The name that ends a key. */
enum name_shape {
	NAME_NONE,
	NAME_ATTRIBUTE, /* of an extended attribute: anything but NUL */
	NAME_ENTRY, /* of a file (th_fs_name_check) */
};

/* The parts of a key after its id and kind. */
struct key_shape {
	bool number; /* an 8-byte number comes first */
	enum name_shape name;
};

static const struct key_shape shapes[] = {
	[TH_FS_KEY_INODE] = { false, NAME_NONE },      [TH_FS_KEY_XATTR] = { false, NAME_ATTRIBUTE },
	[TH_FS_KEY_LINK] = { true, NAME_ENTRY },       [TH_FS_KEY_EXTENT] = { true, NAME_NONE },
	[TH_FS_KEY_ENTRY] = { true, NAME_ENTRY },      [TH_FS_KEY_NEXT_ID] = { false, NAME_NONE },
	[TH_FS_KEY_ORPHAN] = { true, NAME_NONE },      [TH_FS_KEY_NAME_KEY] = { false, NAME_NONE },
	[TH_FS_KEY_ATIME] = { true, NAME_NONE },       [TH_FS_KEY_RECEIVE] = { false, NAME_NONE },
	[TH_FS_KEY_RECEIVED_ID] = { true, NAME_NONE },
};

static bool name_has_shape(struct th_slice name, enum name_shape shape)
{
	switch (shape) {
	case NAME_NONE:
		return !name.size;
	case NAME_ATTRIBUTE:
		return name.size && name.size <= TH_NAME_MAX && !memchr(name.data, 0, name.size);
	case NAME_ENTRY:
		return !th_fs_name_check(name);
	}
	return false;
}

int th_fs_key_parse(struct th_slice key, struct th_fs_key_parts *ret)
{
	const uint8_t *bytes = key.data;
	size_t head = TH_FS_KEY_HEAD;

	if (key.size < head)
		return -EUCLEAN;
	*ret = (struct th_fs_key_parts){ .id = get_number(bytes), .kind = bytes[8] };
	if (!ret->kind || ret->kind >= sizeof(shapes) / sizeof(shapes[0]))
		return -EUCLEAN;
	const struct key_shape *shape = &shapes[ret->kind];
	bool global = ret->kind >= TH_FS_KEY_NEXT_ID;

	/* The table has empty shapes between ENTRY and NEXT_ID, where no kind is defined. */
	if ((ret->kind > TH_FS_KEY_ENTRY && !global) || global != (ret->id == 0))
		return -EUCLEAN;
	if (shape->number) {
		if (key.size < head + 8)
			return -EUCLEAN;
		ret->number = get_number(bytes + head);
		head += 8;
	}
	ret->name = (struct th_slice){ bytes + head, key.size - head };
	return name_has_shape(ret->name, shape->name) ? 0 : -EUCLEAN;
}
