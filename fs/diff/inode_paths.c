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
#define NAME_SPACE (1 + TH_NAME_MAX) /* a name, with the slash before it */
#define MARK_SPACE 32 /* "//...N..." for any N */

/* A directory: where it is. */
struct place {
	uint64_t id; /* 0: an empty slot of the cache */
	bool below; /* the root of the paths */
	bool inside; /* the scope */
	/* Its path.  If `omitted` names are left out, the first `cut` bytes are its beginning and the others its
	 * end. */
	char *text;
	size_t size, cut;
	uint64_t omitted;
};

/* A directory on the way up; its name is in struct th_inode_paths. */
struct step {
	uint64_t id;
	size_t name_at, name_size;
};

struct th_inode_paths {
	struct th_view *view;
	uint64_t root;
	uint64_t scope[TH_INODE_PATHS_SCOPE];
	uint64_t known; /* the last directory for which th_inode_paths_has answered ... */
	int known_has; /* ... and the answer */
	struct place cache[CACHE_SLOTS]; /* direct-mapped: a directory's slot is its id modulo the number of slots */
	/* Of the current walk. */
	struct step *steps; /* the lowest directory first */
	size_t nsteps, steps_capacity;
	char *names;
	size_t names_size, names_capacity;
	char text[PATH_MAX + NAME_SPACE]; /* of the place that is reached */
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

void th_inode_paths_free(struct th_inode_paths *paths)
{
	if (!paths)
		return;
	for (size_t i = 0; i < CACHE_SLOTS; i++)
		free(paths->cache[i].text);
	free(paths->names);
	free(paths->steps);
	free(paths);
}

void th_inode_paths_set_scope(struct th_inode_paths *paths, const uint64_t directories[TH_INODE_PATHS_SCOPE])
{
	memcpy(paths->scope, directories, sizeof(paths->scope));
}

static bool in_scope(const struct th_inode_paths *paths, uint64_t id)
{
	for (size_t i = 0; i < TH_INODE_PATHS_SCOPE; i++) {
		if (id && paths->scope[i] == id)
			return true;
	}
	return false;
}

/* --- the path of a place --- */

/* Removes whole names after the cut until the rest is short enough. */
static void shorten_end(struct place *place)
{
	while (place->size - place->cut > TH_INODE_PATHS_END) {
		char *end = place->text + place->cut, *next = strchr(end + 1, '/');

		place->size -= (size_t)(next - end);
		memmove(end, next, place->size - place->cut + 1);
		place->omitted++;
	}
}

/* Makes the cut: after as many whole names as fit in TH_INODE_PATHS_END bytes. */
static void cut_middle(struct place *place)
{
	size_t cut = TH_INODE_PATHS_END;

	while (place->text[cut] != '/')
		cut--;
	place->cut = cut;
}

/* Adds a name to the path, which has room for NAME_SPACE more bytes and a zero. */
static void add_name(struct place *place, const char *name, size_t size)
{
	char *end = place->text + place->size;

	*end = '/';
	memcpy(end + 1, name, size);
	end[1 + size] = 0;
	place->size += 1 + size;
	if (!place->omitted && place->size >= PATH_MAX)
		cut_middle(place);
	if (place->cut)
		shorten_end(place);
}

/* Returns the path as a string, or NULL. */
static char *place_string(const struct place *place)
{
	char *string = malloc(place->size + MARK_SPACE);
	int mark;

	if (!string)
		return NULL;
	memcpy(string, place->text, place->size + 1);
	if (!place->omitted)
		return string;
	mark = snprintf(string + place->cut, MARK_SPACE, "//...%llu.../", (unsigned long long)place->omitted);
	memcpy(string + place->cut + mark, place->text + place->cut, place->size - place->cut + 1);
	return string;
}

/* Makes paths->text the text of a copy of `from`. */
static struct place place_copy(struct th_inode_paths *paths, const struct place *from)
{
	struct place copy = *from;

	copy.text = paths->text;
	if (from->size)
		memcpy(copy.text, from->text, from->size);
	copy.text[copy.size] = 0;
	return copy;
}

static int cache_place(struct th_inode_paths *paths, const struct place *place)
{
	struct place *slot = &paths->cache[place->id % CACHE_SLOTS];
	char *text = malloc(place->size + 1);

	if (!text)
		return -ENOMEM;
	memcpy(text, place->text, place->size + 1);
	free(slot->text);
	*slot = *place;
	slot->text = text;
	return 0;
}

/* --- the walk --- */

static int push_step(struct th_inode_paths *paths, uint64_t id, const char *name, size_t size)
{
	if (th_grow(paths->steps, paths->steps_capacity, paths->nsteps + 1) ||
	    th_grow(paths->names, paths->names_capacity, paths->names_size + size))
		return -ENOMEM;
	if (size)
		memcpy(paths->names + paths->names_size, name, size);
	paths->steps[paths->nsteps++] = (struct step){ id, paths->names_size, size };
	paths->names_size += size;
	return 0;
}

/* Reads the attributes of a directory; the caller releases the value, in which their name is.  Returns 0, -ENOENT,
 * -EUCLEAN if it is no directory or has no name, or an error of the store. */
static int read_directory(struct th_inode_paths *paths, uint64_t id, struct th_value *ret_value, struct th_attr *ret)
{
	struct th_fs_key key = th_fs_key_inode(id);
	int err = th_get(paths->view, th_fs_key_slice(&key), ret_value);

	if (err)
		return err;
	err = th_inode_decode(ret_value->data, ret_value->size, ret_value->refs, ret);
	if (!err && (!S_ISDIR(ret->mode) || (!ret->parent && id != TH_ROOT_ID)))
		err = -EUCLEAN;
	if (err)
		th_value_release(ret_value);
	return err;
}

/* Walks one step up: records the directory's name and finds its parent, 0 for the root of the filesystem. */
static int step_up(struct th_inode_paths *paths, uint64_t id, uint64_t *ret_parent)
{
	struct th_value value;
	struct th_attr attr;
	int err = read_directory(paths, id, &value, &attr);

	if (err)
		return err == -ENOENT ? -EUCLEAN : err;
	err = push_step(paths, id, attr.name, attr.name_size);
	if (!err)
		*ret_parent = attr.parent;
	th_value_release(&value);
	return err;
}

/* Walks up from a directory to the root, the root of the filesystem, or a cached directory, and makes *ret that place.
 * A cycle is found as Brent does it: the walk meets a directory that it remembers, and it remembers another one each
 * time when its length has doubled. */
static int walk_up(struct th_inode_paths *paths, uint64_t id, struct place *ret)
{
	uint64_t remembered = 0;
	size_t next = 1;

	paths->nsteps = paths->names_size = 0;
	for (;;) {
		const struct place *slot = &paths->cache[id % CACHE_SLOTS];
		int err;

		if (id == paths->root || !id) {
			*ret = place_copy(paths, &(struct place){ .below = id, .inside = in_scope(paths, id) });
			return 0;
		}
		if (slot->id == id) {
			*ret = place_copy(paths, slot);
			return 0;
		}
		if (id == remembered)
			return -EUCLEAN;
		if (paths->nsteps == next) {
			remembered = id;
			next *= 2;
		}
		err = step_up(paths, id, &id);
		if (err)
			return err;
	}
}

/* Walks the steps down again from a place above them. */
static int walk_down(struct th_inode_paths *paths, struct place *place)
{
	int err = 0;

	while (paths->nsteps && !err) {
		const struct step *step = &paths->steps[--paths->nsteps];

		if (place->below)
			add_name(place, paths->names + step->name_at, step->name_size);
		place->id = step->id;
		place->inside |= in_scope(paths, step->id);
		err = cache_place(paths, place);
	}
	return err;
}

int th_inode_paths_join(struct th_inode_paths *paths, uint64_t directory, const char *name, char **ret,
			bool *ret_inside)
{
	struct place place;
	int err = walk_up(paths, directory, &place);

	if (!err)
		err = walk_down(paths, &place);
	if (err)
		return err;
	if (!place.below)
		return 1;
	add_name(&place, name, strlen(name));
	*ret = place_string(&place);
	*ret_inside = place.inside;
	return *ret ? 0 : -ENOMEM;
}

int th_inode_paths_has(struct th_inode_paths *paths, uint64_t directory)
{
	struct th_value value;
	struct th_attr attr;
	int err;

	if (paths->cache[directory % CACHE_SLOTS].id == directory)
		return 1;
	if (paths->known == directory)
		return paths->known_has;
	err = read_directory(paths, directory, &value, &attr);
	if (!err)
		th_value_release(&value);
	else if (err != -ENOENT && err != -EUCLEAN)
		return err;
	paths->known = directory;
	paths->known_has = !err;
	return paths->known_has;
}
