/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an operation is done with.  There are few names, so that operations meet; what is picked is said.
 */
#ifndef TH_TESTS_MOUNT_ORACLE_PICK_H
#define TH_TESTS_MOUNT_ORACLE_PICK_H

#include <sys/types.h>
#include <time.h>

#include "tests/mount/oracle/actor.h"

#define PLACE_BYTES 1600

/* As the first arguments of openat(2) and its kin. */
struct place {
	int dir;
	char path[PLACE_BYTES];
};

unsigned below(struct actor *actor, unsigned limit);
bool percent(struct actor *actor, unsigned part);

/* Directories and files have names of their own, mostly: so that there are deep paths, and files at their ends. */
enum pick_kind { PICK_ANY, PICK_DIRECTORY, PICK_FILE };

/* A path that may or may not be there: from the root, from the working directory, or from an open file. */
void pick_place(struct actor *actor, enum pick_kind kind, struct place *ret);
/* One without a directory descriptor. */
void pick_path(struct actor *actor, enum pick_kind kind, char path[PLACE_BYTES]);
void pick_name(struct actor *actor, enum pick_kind kind, char name[300]);
/* An open file if there is one; its fd may be -1. */
struct actor_file *pick_file(struct actor *actor);
/* One that does not ask for alignment. */
struct actor_file *pick_buffered(struct actor *actor);
mode_t pick_mode(struct actor *actor);
/* Near the beginning mostly, sometimes terabytes away. */
off_t pick_offset(struct actor *actor);
/* Where blocks may be given to a file for good. */
off_t pick_near_offset(struct actor *actor);
size_t pick_length(struct actor *actor);
/* Offset and length as the file takes them. */
void pick_span(struct actor *actor, const struct actor_file *file, off_t *ret_offset, size_t *ret_length);
/* A time that cannot be taken for the present. */
struct timespec pick_time(struct actor *actor);

#endif
