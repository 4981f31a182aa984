/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/diff/inode_paths.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fs/format/key.h"
#include "fs/inode/inode.h"
#include "journal/base/array.h"

#define CACHE_SLOTS 4096
#define DEPTH_MAX 65536 /* directories; a longer walk up is a cycle */

struct step {
	uint64_t id;
	char *name;
};

struct th_inode_paths {
	struct th_view *view;
	uint64_t root;
	/* Direct-mapped: a directory's slot is its id modulo the number of slots. */
	struct {
		uint64_t id;
		char *path; /* NULL: not below the root */
	} cache[CACHE_SLOTS];
	struct step *steps; /* of the current walk, lowest directory first */
	size_t nsteps, capacity;
};

int th_inode_paths_new(struct th_view *view, uint64_t root, struct th_inode_paths **ret)
{
	struct th_inode_paths *paths = calloc(1, sizeof(*paths));

	if (!paths)
		return -ENOMEM;
	paths->view = view;
	paths->root = root;
	*ret = paths;
	return 0;
}

static void forget_steps(struct th_inode_paths *paths)
{
	while (paths->nsteps)
		free(paths->steps[--paths->nsteps].name);
}

void th_inode_paths_free(struct th_inode_paths *paths)
{
	if (!paths)
		return;
	forget_steps(paths);
	free(paths->steps);
	for (size_t i = 0; i < CACHE_SLOTS; i++)
		free(paths->cache[i].path);
	free(paths);
}

static int push_step(struct th_inode_paths *paths, uint64_t id, const char *name, size_t size)
{
	char *copy;

	if (paths->nsteps == DEPTH_MAX)
		return -EUCLEAN;
	if (th_grow(paths->steps, paths->capacity, paths->nsteps + 1))
		return -ENOMEM;
	copy = strndup(name, size);
	if (!copy)
		return -ENOMEM;
	paths->steps[paths->nsteps++] = (struct step){ id, copy };
	return 0;
}

/* Walks one step up: records the directory's name and finds its parent, 0 for the root of the filesystem. */
static int step_up(struct th_inode_paths *paths, uint64_t id, uint64_t *ret_parent)
{
	struct th_fs_key key = th_fs_key_inode(id);
	struct th_value value;
	struct th_attr attr;
	int err = th_get(paths->view, th_fs_key_slice(&key), &value);

	if (err)
		return err == -ENOENT ? -EUCLEAN : err;
	err = th_inode_decode(value.data, value.size, value.refs, &attr);
	if (!err && (!S_ISDIR(attr.mode) || (!attr.parent && id != TH_ROOT_ID)))
		err = -EUCLEAN;
	if (!err)
		err = push_step(paths, id, attr.name, attr.name_size);
	if (!err)
		*ret_parent = attr.parent;
	th_value_release(&value);
	return err;
}

/* Caches a copy of a directory's path (NULL: not below the root), unless it is very long. */
static int cache_path(struct th_inode_paths *paths, uint64_t id, const char *path)
{
	size_t slot = id % CACHE_SLOTS;
	char *copy = NULL;

	if (path && strlen(path) >= PATH_MAX)
		return 0;
	if (path) {
		copy = strdup(path);
		if (!copy)
			return -ENOMEM;
	}
	free(paths->cache[slot].path);
	paths->cache[slot].id = id;
	paths->cache[slot].path = copy;
	return 0;
}

/* Walks the steps down again, and appends a name to the path at each step. */
static int walk_down(struct th_inode_paths *paths, FILE *path_stream, char *const *path, bool inside)
{
	int err = 0;

	while (paths->nsteps && !err) {
		struct step *step = &paths->steps[--paths->nsteps];

		if (inside && (fprintf(path_stream, "/%s", step->name) < 0 || fflush(path_stream)))
			err = -ENOMEM;
		else
			err = cache_path(paths, step->id, inside ? *path : NULL);
		free(step->name);
	}
	return err;
}

/* Walks up from a directory to the root, or to a directory whose path is cached.  *ret_base: the path there, or NULL if
 * that is not below the root. */
static int walk_up(struct th_inode_paths *paths, uint64_t id, const char **ret_base)
{
	int err = 0;

	while (!err) {
		size_t slot = id % CACHE_SLOTS;

		if (id == paths->root || !id) {
			*ret_base = id ? "" : NULL;
			return 0;
		}
		if (paths->cache[slot].id == id) {
			*ret_base = paths->cache[slot].path;
			return 0;
		}
		err = step_up(paths, id, &id);
	}
	return err;
}

int th_inode_paths_join(struct th_inode_paths *paths, uint64_t directory, const char *name, char **ret)
{
	const char *base = NULL;
	char *path = NULL;
	size_t size;
	FILE *stream;
	int err = walk_up(paths, directory, &base);

	if (err) {
		forget_steps(paths);
		return err;
	}
	stream = open_memstream(&path, &size);
	if (!stream) {
		forget_steps(paths);
		return -ENOMEM;
	}
	if (fputs(base ? base : "", stream) < 0 || fflush(stream))
		err = -ENOMEM;
	if (!err)
		err = walk_down(paths, stream, &path, base);
	if (!err && fprintf(stream, "/%s", name) < 0)
		err = -ENOMEM;
	if (fclose(stream) && !err)
		err = -ENOMEM;
	forget_steps(paths);
	if (!err && base)
		*ret = path;
	else
		free(path);
	return err ? err : !base;
}
