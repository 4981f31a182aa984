/* SPDX-License-Identifier: Apache-2.0 */
/* Builds and parses the keys of the filesystem (format.h). */
#ifndef TH_FS_FORMAT_KEY_H
#define TH_FS_FORMAT_KEY_H

#include <stdbool.h>
#include <stdint.h>

#include "fs/format/format.h"
#include "tree/thunderhead.h"

#define TH_FS_KEY_HEAD (8 + 1) /* id and kind */
#define TH_FS_KEY_MAX (TH_FS_KEY_HEAD + 8 + TH_NAME_MAX)

/* Checks whether a directory may have an entry of this name.  Returns 0, -EINVAL if the name is empty, "." or "..", or
 * contains '/' or NUL, or -ENAMETOOLONG. */
int th_fs_name_check(struct th_slice name);

/* A key in place, without allocation. */
struct th_fs_key {
	uint16_t size;
	uint8_t bytes[TH_FS_KEY_MAX];
};
static inline struct th_slice th_fs_key_slice(const struct th_fs_key *key)
{
	return (struct th_slice){ key->bytes, key->size };
}
/* Make the key of each kind.  A name has at most TH_NAME_MAX bytes.  th_fs_key_entry() with NULL and 0 for the name
 * makes the lower bound of all entries with this hash. */
struct th_fs_key th_fs_key_inode(uint64_t id);
struct th_fs_key th_fs_key_xattr(uint64_t id, const void *name, size_t size);
struct th_fs_key th_fs_key_link(uint64_t id, uint64_t parent, const void *name, size_t size);
struct th_fs_key th_fs_key_extent(uint64_t id, uint64_t block);
struct th_fs_key th_fs_key_entry(uint64_t directory, uint64_t hash, const void *name, size_t size);
struct th_fs_key th_fs_key_next_id(void);
struct th_fs_key th_fs_key_orphan(uint64_t id);
struct th_fs_key th_fs_key_atime(uint64_t id);
struct th_fs_key th_fs_key_receive(void);
struct th_fs_key th_fs_key_received_id(uint64_t id);
struct th_fs_key th_fs_key_name_key(void);
/* Returns the common prefix of the keys of a kind under an id, for ranges. */
struct th_fs_key th_fs_key_kind(uint64_t id, enum th_fs_key_kind kind);

/* The parts of a key.  name points into the key. */
struct th_fs_key_parts {
	uint64_t id;
	uint8_t kind;
	uint64_t number; /* depends on the kind: hash, parent id, block, or the inode of an orphan or time of access */
	struct th_slice name;
};
/* Returns 0, or -EUCLEAN if it is no key of a filesystem: the names in it are checked too. */
int th_fs_key_parse(struct th_slice key, struct th_fs_key_parts *ret);

#endif
