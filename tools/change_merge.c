/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/change_merge.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Returns the path of a change in the older view; of an added name, the one that it would have had. */
static const char *older_path(const struct th_fs_change *change)
{
	return change->old_path ? change->old_path : change->path;
}

static int rank(const struct th_fs_change *change)
{
	return change->kind == TH_CHANGE_REMOVED ? 0 : change->kind == TH_CHANGE_ADDED ? 1 : 2;
}

/* Orders so that a removed name is followed by an added one that replaces it. */
static int compare_older(const void *a, const void *b)
{
	const struct th_fs_change *x = a, *y = b;
	int order = strcmp(older_path(x), older_path(y));

	return order ? order : rank(x) - rank(y);
}

static int compare_newer(const void *a, const void *b)
{
	const struct th_fs_change *x = a, *y = b;
	int order = strcmp(x->path, y->path);

	return order ? order : rank(x) - rank(y);
}

/* Paths that are abbreviated (two slashes in a row) may be equal without being the same. */
static bool replaces(const struct th_fs_change *removed, const struct th_fs_change *added)
{
	return removed->kind == TH_CHANGE_REMOVED && added->kind == TH_CHANGE_ADDED &&
	       !((removed->from.mode ^ added->to.mode) & S_IFMT) && !strcmp(removed->path, older_path(added)) &&
	       !strstr(removed->path, "//") && !strstr(added->path, "//");
}

static uint32_t compare_sides(const struct th_fs_change_side *a, const struct th_fs_change_side *b)
{
	uint32_t what = S_ISREG(b->mode) || S_ISLNK(b->mode) ? TH_CHANGED_CONTENT : 0;

	return what | (a->size != b->size ? TH_CHANGED_SIZE : 0) | (a->mode != b->mode ? TH_CHANGED_MODE : 0) |
	       (a->uid != b->uid || a->gid != b->gid ? TH_CHANGED_OWNER : 0) |
	       (a->mtime_seconds != b->mtime_seconds || a->mtime_nanoseconds != b->mtime_nanoseconds ? TH_CHANGED_MTIME
												     : 0) |
	       (a->links != b->links ? TH_CHANGED_LINKS : 0);
}

/* Makes the added name the modified one that has replaced `removed`, which is released. */
static void merge(struct th_fs_change *removed, struct th_fs_change *added)
{
	added->kind = TH_CHANGE_MODIFIED;
	added->replaced = removed->inode;
	added->from = removed->from;
	added->what = compare_sides(&added->from, &added->to);
	if (added->nranges) {
		added->ranges[0] = (struct th_fs_change_range){ 0, added->to.size };
		added->nranges = 1;
		added->rough = true;
	}
	th_fs_change_release(removed);
}

void th_changes_merge(struct th_fs_change *changes, size_t *count)
{
	size_t kept = 0;

	if (*count)
		qsort(changes, *count, sizeof(*changes), compare_older);
	for (size_t i = 0; i < *count; i++) {
		if (i + 1 < *count && replaces(&changes[i], &changes[i + 1])) {
			merge(&changes[i], &changes[i + 1]);
			i++;
		}
		changes[kept++] = changes[i];
	}
	*count = kept;
}

void th_changes_sort(struct th_fs_change *changes, size_t count)
{
	if (count)
		qsort(changes, count, sizeof(*changes), compare_newer);
}
