/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An actor carries out random operations on one filesystem and writes down what came of each: a line an operation, with
 * all that must be the same on every filesystem and nothing else.  Two actors with one seed on two filesystems write
 * the same lines, or one of the filesystems is wrong.
 *
 * An actor is a process of its own, whose root directory is the place that it works in: so absolute paths, symlinks and
 * ".." stay inside, descriptors have the same numbers on both sides, and a side that hangs does not hold up the other.
 *
 * What an operation chooses comes from the seed and its number only, never from what was found: the actors stay in step
 * whatever happens, and any stretch of operations can be played by itself on the tree that it began with.
 */
#ifndef TH_TESTS_MOUNT_ORACLE_ACTOR_H
#define TH_TESTS_MOUNT_ORACLE_ACTOR_H

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/stat.h>

#include "tests/mount/oracle/walk.h"
#include "tests/support/random.h"

#define ACTOR_FILES 10
#define ACTOR_MAPPINGS 3
#define ACTOR_HANDLES 4
#define ACTOR_BUFFER (2u << 20)

enum actor_features {
	ACTOR_TMPFILE = 1 << 0, /* O_TMPFILE works on both sides */
	ACTOR_SNAPSHOTS = 1 << 1, /* this side has .snapshots: see walk.h */
};

/* An open file; several may be of one inode, which may have no name any more. */
struct actor_file {
	int fd; /* -1: none */
	bool direct; /* O_DIRECT: what is read and written must be aligned */
	bool nameless; /* opened without a name: what /proc calls it is the filesystem's affair */
};

/* A part of a file in memory, which stays. */
struct actor_mapping {
	unsigned char *bytes; /* NULL: none */
	size_t size; /* whole pages */
	off_t offset;
	bool writable;
	int fd; /* its own */
};

/* An inode as an NFS server remembers it: it may be long gone. */
struct actor_handle {
	struct file_handle handle; /* handle_bytes 0: none */
	unsigned char bytes[MAX_HANDLE_SZ];
};

struct actor {
	FILE *transcript;
	uint64_t seed;
	unsigned features;
	unsigned long operation;
	struct th_random random; /* of this operation */
	unsigned user; /* index of who acts */
	int descriptors; /* the directory /proc/self/fd, which is out of reach for paths */
	struct actor_file files[ACTOR_FILES];
	struct actor_mapping mappings[ACTOR_MAPPINGS];
	struct actor_handle handles[ACTOR_HANDLES];
	unsigned char *buffer, *other; /* ACTOR_BUFFER bytes each, aligned for O_DIRECT */
	struct walk walk;
};

struct operation {
	const char *name; /* NULL ends a table */
	void (*run)(struct actor *actor);
	unsigned weight; /* how often, relative to the others */
};

extern const struct operation name_operations[], file_operations[], data_operations[], mapping_operations[],
	attribute_operations[], rights_operations[];

/* Carries out the operations [from, to) in `directory`, and ends the process. */
struct actor_task {
	const char *directory;
	uint64_t seed;
	unsigned long from, to;
	unsigned long walk_every; /* operations */
	unsigned features;
	int transcript; /* descriptor */
};
_Noreturn void actor_run(const struct actor_task *task);

/* mappings.c: a part of a file that is gone ends no actor; and all mappings end with him. */
void mappings_begin(void);
void mappings_end(struct actor *actor);

/* --- for operations: writing down --- */

__attribute__((format(printf, 2, 3))) void say(struct actor *actor, const char *format, ...);
/* A path; the long names in it, which are of one letter, are said in short. */
void say_path(struct actor *actor, const char *path);
/* What a system call returned: the number, or the error; hands it through. */
long say_result(struct actor *actor, long result);
/* The first bytes of actor->buffer. */
void say_bytes(struct actor *actor, const void *bytes, size_t size);
/* What stat tells and must agree. */
void say_stat(struct actor *actor, const struct stat *stat);
void say_file(struct actor *actor, int fd);
/* Not what was expected, on this side alone. */
__attribute__((format(printf, 2, 3))) void complain(struct actor *actor, const char *format, ...);

#endif
