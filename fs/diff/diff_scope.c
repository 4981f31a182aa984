/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/diff/diff_scope.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/dir/dir.h"
#include "journal/base/array.h"

/* Finds the next name of a path, and advances *at to its end.  Returns false at the end of the path. */
static bool next_name(const char **at, struct th_slice *ret)
{
	do {
		*at += strspn(*at, "/");
		*ret = (struct th_slice){ *at, strcspn(*at, "/") };
		*at += ret->size;
	} while (ret->size == 1 && !memcmp(ret->data, ".", 1));
	return ret->size;
}

static int add_above(struct th_diff_scope *scope, uint64_t id)
{
	if (th_grow(scope->above, scope->capacity, scope->nabove + 1))
		return -ENOMEM;
	scope->above[scope->nabove++] = id;
	return 0;
}

/* Looks up the path in one view.  Returns 0, with *ret_directory 0 unless it is a directory; a path that does not exist
 * is not found, and no error. */
static int look_up(struct th_diff_scope *scope, struct th_fs *fs, struct th_view *view, const char *path,
		   struct th_diff_scope_side *ret, uint64_t *ret_directory)
{
	struct th_dirent entry = { .id = fs->root->id, .type = DT_DIR };
	uint64_t parent = 0;
	struct th_slice name;
	int err = 0;

	while (!err && next_name(&path, &name)) {
		if (entry.type != DT_DIR || name.size > TH_NAME_MAX)
			return 0;
		if (parent)
			err = add_above(scope, entry.id);
		parent = entry.id;
		if (!err)
			err = th_dir_find_in(fs, view, parent, name, &entry);
	}
	if (err)
		return err == -ENOENT ? 0 : err;
	*ret = (struct th_diff_scope_side){ true, entry.id, parent };
	*ret_directory = entry.type == DT_DIR ? entry.id : 0;
	return 0;
}

static int set_name(struct th_diff_scope *scope, const char *path)
{
	struct th_slice name, last = { NULL, 0 };

	while (next_name(&path, &name))
		last = name;
	if (!last.size)
		return 0;
	scope->limited = true;
	scope->name = strndup(last.data, last.size);
	return scope->name ? 0 : -ENOMEM;
}

int th_diff_scope_init(struct th_diff_scope *scope, struct th_fs *fs, struct th_view *from, struct th_view *to,
		       const char *path)
{
	int err;

	memset(scope, 0, sizeof(*scope));
	err = set_name(scope, path);
	if (err || !scope->limited)
		return err;
	err = look_up(scope, fs, from, path, &scope->from, &scope->directories[0]);
	if (!err)
		err = look_up(scope, fs, to, path, &scope->to, &scope->directories[1]);
	if (!err && !scope->from.found && !scope->to.found)
		err = -ENXIO;
	return err;
}

void th_diff_scope_release(struct th_diff_scope *scope)
{
	free(scope->name);
	free(scope->above);
	memset(scope, 0, sizeof(*scope));
}

bool th_diff_scope_has(const struct th_diff_scope *scope, const struct th_diff_scope_side *side, uint64_t id,
		       const struct th_inode_name *name, bool inside)
{
	if (!scope->limited || inside || id == scope->directories[0] || id == scope->directories[1])
		return true;
	return side->found && name->parent == side->parent && !strcmp(name->name, scope->name);
}

bool th_diff_scope_passes(const struct th_diff_scope *scope, uint64_t id)
{
	for (size_t i = 0; i < scope->nabove; i++) {
		if (scope->above[i] == id)
			return true;
	}
	return false;
}
