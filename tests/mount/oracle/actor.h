/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An actor makes random operations on one filesystem and writes a transcript: a line an operation, with the results
 * that must be the same on every filesystem and nothing else.  Two actors with one seed on two filesystems write the
 * same lines, or one of the filesystems is wrong.
 *
 * An actor is a process whose root directory is the directory under test.  So absolute paths, symlinks and ".." stay
 * inside, descriptors have the same numbers on both sides, and a side that hangs does not block the other.
 *
 * The choices of an operation depend only on the seed and its number, never on results.  So the actors stay in step,
 * and any range of operations can be replayed on the tree that it began with.
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
	ACTOR_SNAPSHOTS = 1 << 1, /* this side has .snapshots (walk.h) */
};

/* An open file; several may be of one inode, which may have lost its names. */
struct actor_file {
	int fd; /* -1: none */
	bool direct; /* O_DIRECT: offsets and lengths must be aligned */
	bool nameless; /* opened without a name: its path in /proc depends on the filesystem */
};

/* A mapping of a part of a file, kept across operations */
struct actor_mapping {
	unsigned char *bytes; /* NULL: none */
	size_t size; /* whole pages */
	off_t offset;
	bool writable;
	int fd; /* its own */
};

/* A file handle, as an NFS server keeps it; the inode may be deleted by now. */
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
	unsigned user; /* index of the user */
	int descriptors; /* the directory /proc/self/fd, which paths cannot reach */
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

/* Makes the operations [from, to) in `directory`, and ends the process. */
struct actor_task {
	const char *directory;
	uint64_t seed;
	unsigned long from, to;
	unsigned long walk_every; /* operations */
	unsigned features;
	int transcript; /* descriptor */
};
_Noreturn void actor_run(const struct actor_task *task);

/* mappings.c: handles SIGBUS from truncated files; the second one removes all mappings. */
void mappings_begin(void);
void mappings_end(struct actor *actor);

/* --- for operations: the transcript --- */

__attribute__((format(printf, 2, 3))) void say(struct actor *actor, const char *format, ...);
/* Writes a path; long names, which repeat one letter, are abbreviated. */
void say_path(struct actor *actor, const char *path);
/* Writes the result of a system call, or its error.  Returns the result. */
long say_result(struct actor *actor, long result);
/* Writes a hash of these bytes. */
void say_bytes(struct actor *actor, const void *bytes, size_t size);
/* Writes the fields of stat that must agree. */
void say_stat(struct actor *actor, const struct stat *stat);
void say_file(struct actor *actor, int fd);
/* Writes that this side alone is wrong. */
__attribute__((format(printf, 2, 3))) void complain(struct actor *actor, const char *format, ...);

#endif
