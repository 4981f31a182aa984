/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The two numbers of an inode outside of the store: its node id, by which the kernel's requests name it, and its inode
 * number, which programs see as st_ino.  Both follow from the snapshot and the inode's id alone, so they are the same
 * after each mount, and a file handle that a program keeps can be resolved when the kernel has forgotten the inode.
 *
 * Node ids.  A directory must have one place only, or the kernel would move its name from one place to the other.  But
 * D/.snapshots/S and .snapshots/S/D are the same directory of S.  So the node id of a directory also has the depth in S
 * of the directory through which S was entered: here that of D, and 0.  A file may have several places, as hard links
 * do, and has no depth.
 *
 *    0 snapshot(23) id(40)            snapshot 0: the tree that the mount shows
 *    1 snapshot(23) depth(8) id(32)   a directory entered at depth 1 to 255
 *
 * A directory entered deeper, or with a larger id, has the node id without a depth.  Then the kernel moves its name
 * when the other place is looked up, which shows in getcwd(3).
 *
 * Inode numbers.  32-bit programs without large file support cannot list a directory that has an inode number of more
 * than 32 bits.
 *
 *    below 2^31                  an inode of the tree that the mount shows: its id
 *    1 split(2) snapshot, id     32 bits: in a snapshot, as long as both numbers are small (see the table of splits);
 *                                snapshot 0: the virtual .snapshots of the directory `id`
 *    snapshot(24) id(40)         64 bits: all others
 */
#ifndef TH_FS_INODE_INODE_NUMBER_H
#define TH_FS_INODE_INODE_NUMBER_H

#include <stdbool.h>
#include <stdint.h>

#include "fs/format/format.h"

/* In the place of a snapshot's id: a virtual .snapshots.  No snapshot has this id. */
#define TH_SNAPDIR_SNAPSHOT 0x7fffffu

#define TH_NODE_DEPTH_MAX 255

struct th_node_parts {
	uint64_t snapshot; /* 0: the tree that the mount shows; TH_SNAPDIR_SNAPSHOT: the virtual .snapshots of the id */
	unsigned depth; /* of the directory through which the snapshot was entered; 0: the root, or no directory */
	uint64_t id;
};

/* Returns the node id.  A depth that it has no room for becomes 0. */
uint64_t th_node_id(struct th_node_parts parts);
struct th_node_parts th_node_id_parse(uint64_t node);

/* Returns st_ino of an inode of a snapshot (0, TH_SNAPDIR_SNAPSHOT: as in struct th_node_parts).  narrow: it has at
 * most 32 bits always; then two inodes may have the same number, unless their numbers have 32 bits anyway. */
uint64_t th_inode_number(uint64_t snapshot, uint64_t id, bool narrow);

#endif
