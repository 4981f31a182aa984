/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/format/acl.h"

#include <string.h>

#include "journal/base/format.h"

#define ACL_VERSION 2
#define ACL_NO_ID UINT32_MAX

enum acl_tag {
	ACL_OWNER = 0x01,
	ACL_USER = 0x02,
	ACL_GROUP = 0x04,
	ACL_GROUP_NAMED = 0x08,
	ACL_MASK = 0x10,
	ACL_OTHERS = 0x20,
};

struct acl_head_disk {
	struct th_le32 version;
};
static_assert(sizeof(struct acl_head_disk) == 4, "format.md: access control lists");

struct acl_entry_disk {
	struct th_le16 tag;
	struct th_le16 permissions; /* read 4, write 2, execute 1 */
	struct th_le32 id; /* of the user or group; ACL_NO_ID in entries without one */
};
static_assert(sizeof(struct acl_entry_disk) == 8, "format.md: access control lists");

bool th_acl_is_name(const char *name)
{
	return !strcmp(name, TH_ACL_ACCESS) || !strcmp(name, TH_ACL_DEFAULT);
}

struct acl {
	struct acl_entry_disk *entries;
	size_t count;
};

/* Drops const: callers with a const list do not write to its entries. */
static struct acl acl_of(const void *value, size_t size)
{
	const uint8_t *entries = (const uint8_t *)value + sizeof(struct acl_head_disk);

	return (struct acl){
		.entries = (struct acl_entry_disk *)entries,
		.count = (size - sizeof(struct acl_head_disk)) / sizeof(struct acl_entry_disk),
	};
}

/* Returns the first entry with this tag, or NULL. */
static struct acl_entry_disk *acl_find(const struct acl *acl, enum acl_tag tag)
{
	for (size_t i = 0; i < acl->count; i++) {
		if (th_get_le16(acl->entries[i].tag) == tag)
			return &acl->entries[i];
	}
	return NULL;
}

/* --- validation --- */

static bool is_named(unsigned tag)
{
	return tag == ACL_USER || tag == ACL_GROUP_NAMED;
}

static bool entry_valid(const struct acl_entry_disk *entry)
{
	switch (th_get_le16(entry->tag)) {
	case ACL_OWNER:
	case ACL_GROUP:
	case ACL_MASK:
	case ACL_OTHERS:
		return th_get_le16(entry->permissions) <= 7;
	case ACL_USER:
	case ACL_GROUP_NAMED:
		return th_get_le16(entry->permissions) <= 7 && th_get_le32(entry->id) != ACL_NO_ID;
	default:
		return false;
	}
}

/* Entries are sorted by tag.  Each tag without an id occurs at most once, and all of these but the mask are required.
 * Entries with an id require a mask. */
static bool acl_valid(const struct acl *acl)
{
	const unsigned required = ACL_OWNER | ACL_GROUP | ACL_OTHERS;
	unsigned seen = 0;

	for (size_t i = 0; i < acl->count; i++) {
		unsigned tag = th_get_le16(acl->entries[i].tag);

		if (!entry_valid(&acl->entries[i]) || seen >= tag << 1)
			return false;
		if ((seen & tag) && !is_named(tag))
			return false;
		seen |= tag;
	}
	if ((seen & required) != required)
		return false;
	return (seen & ACL_MASK) || !(seen & (ACL_USER | ACL_GROUP_NAMED));
}

bool th_acl_valid(struct th_slice value)
{
	struct acl_head_disk head;

	if (value.size < sizeof(head) || (value.size - sizeof(head)) % sizeof(struct acl_entry_disk))
		return false;
	memcpy(&head, value.data, sizeof(head));
	struct acl acl = acl_of(value.data, value.size);

	return th_get_le32(head.version) == ACL_VERSION && acl_valid(&acl);
}

/* --- lists and modes --- */

bool th_acl_is_minimal(struct th_slice value)
{
	return acl_of(value.data, value.size).count == 3;
}

/* The three entries that the mode shows. */
struct shown {
	struct acl_entry_disk *owner, *group, *others;
};

static struct shown shown_of(const void *value, size_t size)
{
	struct acl acl = acl_of(value, size);
	struct acl_entry_disk *mask = acl_find(&acl, ACL_MASK);

	return (struct shown){
		.owner = acl_find(&acl, ACL_OWNER),
		.group = mask ? mask : acl_find(&acl, ACL_GROUP),
		.others = acl_find(&acl, ACL_OTHERS),
	};
}

static uint32_t permissions(const struct acl_entry_disk *entry)
{
	return th_get_le16(entry->permissions);
}

uint32_t th_acl_to_mode(struct th_slice value, uint32_t mode)
{
	struct shown shown = shown_of(value.data, value.size);

	return (mode & ~(uint32_t)0777) | permissions(shown.owner) << 6 | permissions(shown.group) << 3 |
	       permissions(shown.others);
}

void th_acl_from_mode(void *value, size_t size, uint32_t mode)
{
	struct shown shown = shown_of(value, size);

	shown.owner->permissions = th_le16(mode >> 6 & 7);
	shown.group->permissions = th_le16(mode >> 3 & 7);
	shown.others->permissions = th_le16(mode & 7);
}

uint32_t th_acl_inherit(void *value, size_t size, uint32_t mode)
{
	uint32_t limited = mode & th_acl_to_mode((struct th_slice){ value, size }, mode);

	th_acl_from_mode(value, size, limited);
	return limited;
}
