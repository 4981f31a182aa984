/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/mount/oracle/walk.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/mount/oracle/actor.h"

#define SNAPSHOT_PLACE "/.snapshots/"

static void say_entry(struct actor *actor, const struct tree_entry *entry, const struct tree_entry *first)
{
	say_path(actor, entry->path);
	say_stat(actor, &entry->stat);
	say(actor, " attributes %" PRIx64 " content %" PRIx64, entry->xattrs, entry->content);
	if (first != entry) {
		say(actor, " is ");
		say_path(actor, first->path);
	}
	say(actor, "\n");
}

/* --- snapshots --- */

static bool same_time(struct timespec a, struct timespec b)
{
	return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

static bool same_entry(const struct tree_entry *a, const struct tree_entry *b)
{
	const struct stat *x = &a->stat, *y = &b->stat;

	return !strcmp(a->path, b->path) && a->inode == b->inode && a->flags == b->flags && a->xattrs == b->xattrs &&
	       a->content == b->content && x->st_mode == y->st_mode && x->st_nlink == y->st_nlink &&
	       x->st_uid == y->st_uid && x->st_gid == y->st_gid && x->st_rdev == y->st_rdev &&
	       x->st_size == y->st_size && same_time(x->st_atim, y->st_atim) && same_time(x->st_mtim, y->st_mtim) &&
	       same_time(x->st_ctim, y->st_ctim);
}

static void say_exactly(struct actor *actor, const struct tree_entry *entry)
{
	const struct stat *stat = &entry->stat;

	say_path(actor, entry->path);
	say_stat(actor, stat);
	say(actor, " m=%jd.%09ld c=%jd.%09ld inode %" PRIu64 " flags %x attributes %" PRIx64 " content %" PRIx64,
	    (intmax_t)stat->st_mtim.tv_sec, stat->st_mtim.tv_nsec, (intmax_t)stat->st_ctim.tv_sec,
	    stat->st_ctim.tv_nsec, entry->inode, entry->flags, entry->xattrs, entry->content);
}

static void compare_trees(struct actor *actor, const char *name, const struct tree *kept, const struct tree *found)
{
	size_t at = 0;

	while (at < kept->count && at < found->count && same_entry(&kept->entries[at], &found->entries[at]))
		at++;
	if (at == kept->count && at == found->count)
		return;
	complain(actor, "snapshot %s is not as it was: ", name);
	if (at < kept->count)
		say_exactly(actor, &kept->entries[at]);
	say(actor, " has become ");
	if (at < found->count)
		say_exactly(actor, &found->entries[at]);
	say(actor, "\n");
}

static void snapshot_check(struct actor *actor, const struct walk_snapshot *snapshot)
{
	char path[64] = SNAPSHOT_PLACE;
	struct tree found;

	if (tree_read(strcat(path, snapshot->name), 0, &found)) {
		complain(actor, "snapshot %s cannot be read\n", snapshot->name);
		return;
	}
	compare_trees(actor, snapshot->name, &snapshot->tree, &found);
	tree_release(&found);
}

/* Verifies an old snapshot for the last time, and deletes it. */
static void snapshot_remove(struct actor *actor, struct walk_snapshot *snapshot)
{
	char path[64] = SNAPSHOT_PLACE;

	if (!*snapshot->name)
		return;
	snapshot_check(actor, snapshot);
	if (rmdir(strcat(path, snapshot->name)))
		complain(actor, "delete snapshot %s: %m\n", snapshot->name);
	tree_release(&snapshot->tree);
	*snapshot->name = 0;
}

/* Takes ownership of the tree. */
static void snapshot_take(struct actor *actor, struct tree *tree)
{
	struct walk *walk = &actor->walk;
	struct walk_snapshot *snapshot = &walk->kept[walk->next++ % WALK_SNAPSHOTS];
	char path[64] = SNAPSHOT_PLACE;

	snapshot_remove(actor, snapshot);
	snapshot->tree = *tree;
	snprintf(snapshot->name, sizeof(snapshot->name), "at-%lu-%u", actor->operation, walk->next);
	if (mkdir(strcat(path, snapshot->name), 0777))
		complain(actor, "take snapshot %s: %m\n", snapshot->name);
	else
		snapshot_check(actor, snapshot);
}

/* --- the walk --- */

void walk_run(struct actor *actor)
{
	const struct tree_entry **first;
	struct tree tree;

	say(actor, "%lu walk\n", actor->operation);
	if (tree_read("", actor->walk.count++ % 2 ? 0 : TREE_UNCACHED, &tree)) {
		complain(actor, "the tree cannot be read\n");
		return;
	}
	first = tree_first_names(&tree);
	for (size_t i = 0; first && i < tree.count; i++)
		say_entry(actor, &tree.entries[i], first[i]);
	free(first);
	if (actor->features & ACTOR_SNAPSHOTS)
		snapshot_take(actor, &tree);
	else
		tree_release(&tree);
}

void walk_finish(struct actor *actor)
{
	for (unsigned i = 0; i < WALK_SNAPSHOTS; i++)
		snapshot_remove(actor, &actor->walk.kept[i]);
}
