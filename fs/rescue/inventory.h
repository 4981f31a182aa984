/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inventory of a damaged tree: every inode and every name in it that can be read.
 *
 * One scan of all keys, which skips those that cannot be read.  A name is known from three places: the entry of its
 * directory, the inode (its first name) and the link keys (further names).  So the loss of one of them loses no name,
 * and a directory is found although the node with its inode is lost.
 */
#ifndef TH_FS_RESCUE_INVENTORY_H
#define TH_FS_RESCUE_INVENTORY_H

#include "fs/format/inode_record.h"
#include "fs/format/key.h"

struct th_found_inode {
	uint64_t id;
	struct th_attr attr; /* without its name */
	char *path; /* the first one that it was written to; NULL: none yet.  Owned */
};

struct th_found_name {
	uint64_t parent, id;
	uint8_t type; /* DT_*, or DT_UNKNOWN */
	char *name; /* owned */
};

/* Inodes whose keys cannot be read: some or all of those from one id to the other. */
struct th_found_hole {
	uint64_t from, to;
};

struct th_inventory {
	struct th_found_inode *inodes; /* by id */
	size_t inodes_count, inodes_capacity;
	struct th_found_name *names; /* by parent and name, each once */
	size_t names_count, names_capacity;
	struct th_found_hole *holes;
	size_t holes_count, holes_capacity;
	uint64_t malformed; /* keys and values that are none of a filesystem */
};

/* Scans a view.  The caller releases *ret, also after an error.  Returns 0, -ENOMEM, or an error after which no key can
 * be read. */
int th_inventory_take(struct th_view *view, struct th_inventory *ret);
void th_inventory_release(struct th_inventory *inventory);

/* Returns the inode with an id, or NULL. */
struct th_found_inode *th_inventory_inode(const struct th_inventory *inventory, uint64_t id);
/* Returns the names in a directory. */
struct th_found_name *th_inventory_names(const struct th_inventory *inventory, uint64_t directory, size_t *ret_count);
/* Returns true if the id may be that of an inode in a hole. */
bool th_inventory_in_hole(const struct th_inventory *inventory, uint64_t id);

#endif
