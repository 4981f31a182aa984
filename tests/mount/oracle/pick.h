/* SPDX-License-Identifier: Apache-2.0 */
/* Random arguments of operations.  There are few names, so that operations collide.  Each choice goes to the
 * transcript. */
#ifndef TH_TESTS_MOUNT_ORACLE_PICK_H
#define TH_TESTS_MOUNT_ORACLE_PICK_H

#include <sys/types.h>
#include <time.h>

#include "tests/mount/oracle/actor.h"

#define PLACE_BYTES 1600

/* The first arguments of openat(2) and similar calls */
struct place {
	int dir;
	char path[PLACE_BYTES];
};

unsigned below(struct actor *actor, unsigned limit);
bool percent(struct actor *actor, unsigned part);

/* Most names are for one kind only, so that there are deep paths with files at their ends. */
enum pick_kind { PICK_ANY, PICK_DIRECTORY, PICK_FILE };

/* Picks a path, which may exist or not, relative to the root, the working directory or an open file. */
void pick_place(struct actor *actor, enum pick_kind kind, struct place *ret);
/* Picks a path without a directory descriptor. */
void pick_path(struct actor *actor, enum pick_kind kind, char path[PLACE_BYTES]);
void pick_name(struct actor *actor, enum pick_kind kind, char name[300]);
/* Returns an open file if there is one; else its fd is -1. */
struct actor_file *pick_file(struct actor *actor);
/* Returns one without O_DIRECT. */
struct actor_file *pick_buffered(struct actor *actor);
mode_t pick_mode(struct actor *actor);
/* Returns an offset near the beginning, sometimes terabytes away. */
off_t pick_offset(struct actor *actor);
/* Returns an offset below a million, for operations that allocate the blocks up to it. */
off_t pick_near_offset(struct actor *actor);
size_t pick_length(struct actor *actor);
/* Picks an offset and a length, aligned if the file needs it. */
void pick_span(struct actor *actor, const struct actor_file *file, off_t *ret_offset, size_t *ret_length);
/* Returns a time far from the present. */
struct timespec pick_time(struct actor *actor);

#endif
