/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/diff/diff.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fs/data/file.h"
#include "fs/data/writeback_list.h"
#include "fs/diff/diff_content.h"
#include "fs/diff/diff_scope.h"
#include "fs/diff/inode_names.h"
#include "fs/diff/inode_paths.h"
#include "journal/base/array.h"

/* Inodes that one call visits at most, so that it does not occupy a worker of the daemon for long. */
#define INODES_AT_A_TIME 1024

/* One of the two views, and the current inode in it. */
struct side {
	struct th_view *view;
	struct th_inode_paths *paths;
	bool present;
	struct th_attr attr; /* its name is in `name` */
	int32_t refs;
	char name[TH_NAME_MAX + 1];
};

/* A name of the current inode that is to be reported. */
struct found_name {
	char *path; /* NULL: it is not below the root */
	bool in_scope;
};

struct th_fs_diff {
	struct th_fs *fs;
	struct th_diff *keys;
	bool ranges;
	struct side from, to;
	struct th_diff_scope scope;
	/* The next key, if it has been read. */
	bool have_key;
	struct th_change change;
	struct th_fs_key_parts key;
	/* The current inode. */
	uint64_t id;
	uint32_t what;
	struct th_diff_content content;
	/* Its changes, not yet returned from `taken` on. */
	struct th_fs_change *queue;
	size_t taken, queued, capacity;
};

/* --- the keys of an inode --- */

/* Makes `change` and `key` the next key of an inode.  Returns 0, 1 if there is none, or an error. */
static int peek_key(struct th_fs_diff *diff)
{
	int err;

	if (diff->have_key)
		return 0;
	err = th_diff_next(diff->keys, &diff->change);
	if (err)
		return err;
	err = th_fs_key_parse(diff->change.key, &diff->key);
	if (err)
		th_fs_report(diff->fs, "diff: a key of %zu bytes does not belong to a filesystem",
			     diff->change.key.size);
	else
		diff->have_key = true;
	return err;
}

/* Decodes the inode's value.  An inode without a value or without names is not present. */
static int side_decode(struct th_fs_diff *diff, struct side *side, struct th_slice value, int32_t refs)
{
	int err;

	side->present = value.data && (refs > 0 || diff->id == TH_ROOT_ID);
	if (!side->present) {
		memset(&side->attr, 0, sizeof(side->attr));
		return 0;
	}
	err = th_inode_decode(value.data, value.size, refs, &side->attr);
	if (err) {
		th_fs_report(diff->fs, "diff: inode %llu: malformed value", (unsigned long long)diff->id);
		return err;
	}
	side->refs = refs;
	memcpy(side->name, side->attr.name, side->attr.name_size);
	side->name[side->attr.name_size] = 0;
	side->attr.name = side->name;
	return 0;
}

static int side_read(struct th_fs_diff *diff, struct side *side)
{
	struct th_fs_key key = th_fs_key_inode(diff->id);
	struct th_value value;
	int err = th_get(side->view, th_fs_key_slice(&key), &value);

	if (err == -ENOENT)
		return side_decode(diff, side, (struct th_slice){ NULL, 0 }, 0);
	if (err)
		return err;
	err = side_decode(diff, side, (struct th_slice){ value.data, value.size }, value.refs);
	th_value_release(&value);
	return err;
}

/* Begins the inode of the next key.  If the inode's value differs, it is the first of its keys. */
static int begin_inode(struct th_fs_diff *diff)
{
	int err;

	diff->id = diff->key.id;
	diff->what = 0;
	if (diff->key.kind == TH_FS_KEY_INODE) {
		err = side_decode(diff, &diff->from, diff->change.from, diff->change.from_refs);
		if (!err)
			err = side_decode(diff, &diff->to, diff->change.to, diff->change.to_refs);
	} else {
		err = side_read(diff, &diff->from);
		if (!err)
			err = side_read(diff, &diff->to);
	}
	th_diff_content_begin(&diff->content, diff->to.attr.size);
	return err;
}

static int take_extent(struct th_fs_diff *diff)
{
	const char *why;
	int err;

	if (!diff->from.present || !diff->to.present || !S_ISREG(diff->to.attr.mode))
		return 0;
	err = th_diff_content_add(&diff->content, diff->key.number, diff->change.from, diff->change.to, &why);
	if (err)
		th_fs_report(diff->fs, "diff: inode %llu, block %llu: %s", (unsigned long long)diff->id,
			     (unsigned long long)diff->key.number, why);
	return err;
}

/* Processes all differing keys of the inode.  Names and directory entries are skipped: the inode's value reflects
 * them. */
static int take_keys(struct th_fs_diff *diff)
{
	int err;

	while (!(err = peek_key(diff)) && diff->key.id == diff->id) {
		if (diff->key.kind == TH_FS_KEY_XATTR)
			diff->what |= TH_CHANGED_XATTR;
		else if (diff->key.kind == TH_FS_KEY_EXTENT)
			err = take_extent(diff);
		if (err)
			return err;
		diff->have_key = false;
	}
	return err < 0 ? err : 0;
}

static bool time_differs(struct th_time a, struct th_time b)
{
	return a.seconds != b.seconds || a.nanoseconds != b.nanoseconds;
}

static uint32_t compare_attributes(const struct th_attr *a, const struct th_attr *b)
{
	return (a->size != b->size ? TH_CHANGED_SIZE : 0) | (a->mode != b->mode ? TH_CHANGED_MODE : 0) |
	       (a->uid != b->uid || a->gid != b->gid ? TH_CHANGED_OWNER : 0) |
	       (time_differs(a->mtime, b->mtime) ? TH_CHANGED_MTIME : 0) |
	       (a->nlink != b->nlink ? TH_CHANGED_LINKS : 0) | (a->flags != b->flags ? TH_CHANGED_FLAGS : 0) |
	       (a->rdev != b->rdev ? TH_CHANGED_DEVICE : 0);
}

/* Compares the two sides of the inode, after all of its keys. */
static int compare_inode(struct th_fs_diff *diff)
{
	int err;

	if (diff->from.present && diff->to.present) {
		err = th_diff_content_end(&diff->content);
		diff->what |= compare_attributes(&diff->from.attr, &diff->to.attr);
		diff->what |= diff->content.differs ? TH_CHANGED_CONTENT : 0;
		return err;
	}
	diff->what = 0;
	if (diff->to.present && diff->ranges && S_ISREG(diff->to.attr.mode))
		return th_diff_content_read(&diff->content, diff->fs, diff->to.view, diff->id);
	return 0;
}

/* --- from inodes to names --- */

static struct th_fs_change_side change_side(const struct side *side)
{
	return (struct th_fs_change_side){
		.mode = side->attr.mode,
		.uid = side->attr.uid,
		.gid = side->attr.gid,
		.links = side->attr.nlink,
		.size = side->attr.size,
		.mtime_seconds = side->attr.mtime.seconds,
		.mtime_nanoseconds = side->attr.mtime.nanoseconds,
	};
}

static int copy_ranges(const struct th_fs_diff *diff, struct th_fs_change *change)
{
	size_t size = diff->content.nranges * sizeof(*change->ranges);

	if (!size || change->kind == TH_CHANGE_REMOVED)
		return 0;
	change->ranges = malloc(size);
	if (!change->ranges)
		return -ENOMEM;
	memcpy(change->ranges, diff->content.ranges, size);
	change->nranges = diff->content.nranges;
	change->rough = diff->content.rough;
	return 0;
}

/* Queues a change.  Takes ownership of the paths, after an error too. */
static int queue_change(struct th_fs_diff *diff, enum th_fs_change_kind kind, char *path, char *old_path)
{
	struct th_fs_change *change;

	if (th_grow(diff->queue, diff->capacity, diff->queued + 1)) {
		free(path);
		free(old_path);
		return -ENOMEM;
	}
	change = &diff->queue[diff->queued++];
	*change = (struct th_fs_change){
		.kind = kind,
		.what = diff->what,
		.inode = diff->id,
		.from = change_side(&diff->from),
		.to = change_side(&diff->to),
		.path = path,
		.old_path = old_path,
	};
	return copy_ranges(diff, change);
}

static const struct th_diff_scope_side *scope_side(const struct th_fs_diff *diff, const struct side *side)
{
	return side == &diff->from ? &diff->scope.from : &diff->scope.to;
}

/* Finds the path of a name.  The caller frees ret->path. */
static int find_name(struct th_fs_diff *diff, struct side *side, const struct th_inode_name *name,
		     struct found_name *ret)
{
	bool inside = false;
	int err;

	*ret = (struct found_name){ NULL, false };
	if (diff->id == diff->fs->root->id) {
		ret->path = strdup("/");
		ret->in_scope = !diff->scope.limited;
		return ret->path ? 0 : -ENOMEM;
	}
	err = name->parent ? th_inode_paths_join(side->paths, name->parent, name->name, &ret->path, &inside) : 1;
	if (err == -EUCLEAN)
		th_fs_report(diff->fs, "diff: inode %llu: its parent directories do not lead to the root",
			     (unsigned long long)diff->id);
	ret->in_scope = !err && th_diff_scope_has(&diff->scope, scope_side(diff, side), diff->id, name, inside);
	return err < 0 ? err : 0;
}

static char *take(char **path)
{
	char *taken = *path;

	*path = NULL;
	return taken;
}

/* Queues the change of a name that both views have.  If a directory above it was moved, the path may have come from
 * outside the root, or left it. */
static int queue_kept(struct th_fs_diff *diff, struct found_name *from, struct found_name *to)
{
	if (!to->path)
		return queue_change(diff, TH_CHANGE_REMOVED, take(&from->path), NULL);
	if (!from->path)
		return queue_change(diff, TH_CHANGE_ADDED, take(&to->path), NULL);
	char *old_path = strcmp(to->path, from->path) ? take(&from->path) : NULL;

	return queue_change(diff, TH_CHANGE_MODIFIED, take(&to->path), old_path);
}

/* Reports a name that both views have, if the inode differs. */
static int report_kept(struct th_fs_diff *diff, const struct th_inode_name *name)
{
	struct found_name from = { 0 }, to = { 0 };
	int err;

	if (!diff->what)
		return 0;
	err = find_name(diff, &diff->to, name, &to);
	if (!err)
		err = find_name(diff, &diff->from, name, &from);
	if (!err && (from.in_scope || to.in_scope))
		err = queue_kept(diff, &from, &to);
	free(from.path);
	free(to.path);
	return err;
}

/* Names below the root that only one side has. */
struct name_list {
	struct found_name *list;
	const struct th_inode_name **names;
	size_t count;
};

static int name_list_init(struct name_list *names, size_t max)
{
	names->list = calloc(max + 1, sizeof(*names->list));
	names->names = calloc(max + 1, sizeof(*names->names));
	return names->list && names->names ? 0 : -ENOMEM;
}

static void name_list_release(struct name_list *names)
{
	for (size_t i = 0; i < names->count; i++)
		free(names->list[i].path);
	free(names->list);
	free(names->names);
}

static int name_list_add(struct th_fs_diff *diff, struct name_list *names, struct side *side,
			 const struct th_inode_name *name)
{
	struct found_name found;
	int err = find_name(diff, side, name, &found);

	if (err || !found.path)
		return err;
	names->list[names->count] = found;
	names->names[names->count++] = name;
	return 0;
}

/* Merges both sorted lists of names: reports those of both sides, and collects those of one side. */
static int merge_names(struct th_fs_diff *diff, const struct th_inode_names *from, const struct th_inode_names *to,
		       struct name_list *ret_removed, struct name_list *ret_added)
{
	size_t f = 0, t = 0;
	int err = 0;

	while (!err && (f < from->count || t < to->count)) {
		int order = f == from->count ? 1
			    : t == to->count ? -1
					     : th_inode_name_compare(&from->list[f], &to->list[t]);

		if (!order)
			err = report_kept(diff, &to->list[t]);
		else if (order < 0)
			err = name_list_add(diff, ret_removed, &diff->from, &from->list[f]);
		else
			err = name_list_add(diff, ret_added, &diff->to, &to->list[t]);
		f += order <= 0;
		t += order >= 0;
	}
	return err;
}

/* Reports a removed and an added name of the inode as one that was renamed. */
static int report_renamed(struct th_fs_diff *diff, struct found_name *from, struct found_name *to)
{
	if (!from->in_scope && !to->in_scope && !th_diff_scope_passes(&diff->scope, diff->id))
		return 0;
	return queue_change(diff, TH_CHANGE_RENAMED, take(&to->path), take(&from->path));
}

static int report_removed(struct th_fs_diff *diff, struct found_name *found)
{
	return found->in_scope ? queue_change(diff, TH_CHANGE_REMOVED, take(&found->path), NULL) : 0;
}

/* Reports an added name, with the path that it would have had in the older view. */
static int report_added(struct th_fs_diff *diff, struct found_name *found, const struct th_inode_name *name)
{
	struct found_name before = { 0 };
	int has, err = 0;

	if (!found->in_scope)
		return 0;
	has = th_inode_paths_has(diff->from.paths, name->parent);
	if (has > 0)
		err = find_name(diff, &diff->from, name, &before);
	if (has < 0 || err)
		return has < 0 ? has : err;
	if (before.path && !strcmp(before.path, found->path))
		free(take(&before.path));
	return queue_change(diff, TH_CHANGE_ADDED, take(&found->path), before.path);
}

/* Pairs removed and added names as renamed; reports the rest as removed or added. */
static int report_moved(struct th_fs_diff *diff, struct name_list *removed, struct name_list *added)
{
	int err = 0;

	for (size_t i = 0; !err && (i < removed->count || i < added->count); i++) {
		if (i >= added->count)
			err = report_removed(diff, &removed->list[i]);
		else if (i >= removed->count)
			err = report_added(diff, &added->list[i], added->names[i]);
		else
			err = report_renamed(diff, &removed->list[i], &added->list[i]);
	}
	return err;
}

static int read_names(struct th_fs_diff *diff, const struct side *side, struct th_inode_names *ret)
{
	int err;

	if (!side->present)
		return 0;
	err = th_inode_names_read(side->view, diff->id, &side->attr, side->refs, ret);
	if (err == -EUCLEAN)
		th_fs_report(diff->fs, "diff: inode %llu: its names are not valid", (unsigned long long)diff->id);
	return err;
}

static int report_names(struct th_fs_diff *diff)
{
	struct th_inode_names from = { 0 }, to = { 0 };
	struct name_list removed = { 0 }, added = { 0 };
	int err = read_names(diff, &diff->from, &from);

	if (!err)
		err = read_names(diff, &diff->to, &to);
	if (!err)
		err = name_list_init(&removed, from.count);
	if (!err)
		err = name_list_init(&added, to.count);
	if (!err)
		err = merge_names(diff, &from, &to, &removed, &added);
	if (!err)
		err = report_moved(diff, &removed, &added);
	name_list_release(&removed);
	name_list_release(&added);
	th_inode_names_release(&from);
	th_inode_names_release(&to);
	return err;
}

/* --- the public functions --- */

/* Queues the changes, if any, of the next inode that has a differing key.  Returns 0, 1 after the last inode, or an
 * error. */
static int next_inode(struct th_fs_diff *diff)
{
	int err = peek_key(diff);

	if (!err)
		err = begin_inode(diff);
	if (!err)
		err = take_keys(diff);
	if (!err)
		err = compare_inode(diff);
	if (!err)
		err = report_names(diff);
	return err;
}

int th_fs_diff_next(struct th_fs_diff *diff, struct th_fs_change *ret)
{
	for (unsigned visited = 0; diff->taken == diff->queued; visited++) {
		int err;

		if (visited == INODES_AT_A_TIME)
			return -EAGAIN;
		diff->taken = diff->queued = 0;
		err = next_inode(diff);
		if (err)
			return err;
	}
	*ret = diff->queue[diff->taken++];
	return 0;
}

void th_fs_diff_stats(const struct th_fs_diff *diff, struct th_diff_stats *ret)
{
	th_diff_stats(diff->keys, ret);
}

static int side_open(struct th_fs *fs, struct side *side, const char *name)
{
	struct th_snapshot snapshot;
	int err = name ? th_snapshot_find(fs->store, name, &snapshot) : -ENOENT;

	if (!err) {
		err = th_view_snapshot(fs->store, snapshot.id, &side->view);
	} else if (err == -ENOENT) { /* a branch, maybe the live one */
		err = th_writeback_all(fs);
		if (!err && name)
			err = th_view_branch(fs->store, name, &side->view);
		else if (!err)
			err = th_view_freeze(fs->store, &side->view);
	}
	return err ? err : th_inode_paths_new(side->view, fs->root->id, &side->paths);
}

/* The keys of inodes: those before them, as the times of access, are no changes and are not visited. */
static int open_keys(struct th_fs_diff *diff)
{
	struct th_fs_key first = th_fs_key_inode(TH_ROOT_ID);
	struct th_range range = { .from = th_fs_key_slice(&first) };

	return th_diff_open(diff->from.view, diff->to.view, &range, &diff->keys);
}

int th_fs_diff_open(struct th_fs *fs, const struct th_fs_diff_options *options, struct th_fs_diff **ret)
{
	struct th_fs_diff *diff = calloc(1, sizeof(*diff));
	int err;

	if (!diff)
		return -ENOMEM;
	diff->fs = fs;
	diff->ranges = options->ranges;
	th_diff_content_init(&diff->content, options->ranges);
	err = side_open(fs, &diff->from, options->from);
	if (!err)
		err = side_open(fs, &diff->to, options->to);
	if (!err && options->path)
		err = th_diff_scope_init(&diff->scope, fs, diff->from.view, diff->to.view, options->path);
	if (!err) {
		th_inode_paths_set_scope(diff->from.paths, diff->scope.directories);
		th_inode_paths_set_scope(diff->to.paths, diff->scope.directories);
		err = open_keys(diff);
	}
	if (err)
		th_fs_diff_close(diff);
	else
		*ret = diff;
	return err;
}

static void side_close(struct side *side)
{
	th_inode_paths_free(side->paths);
	if (side->view)
		th_view_close(side->view);
}

void th_fs_diff_close(struct th_fs_diff *diff)
{
	if (!diff)
		return;
	if (diff->keys)
		th_diff_close(diff->keys);
	for (; diff->taken < diff->queued; diff->taken++)
		th_fs_change_release(&diff->queue[diff->taken]);
	free(diff->queue);
	th_diff_content_release(&diff->content);
	th_diff_scope_release(&diff->scope);
	side_close(&diff->from);
	side_close(&diff->to);
	free(diff);
}
