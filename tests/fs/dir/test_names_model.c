/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random operations on names against a model: a table of inodes with their names.  The model predicts the error of each
 * operation.  The whole tree is compared with it again and again, after reopening, and in snapshots.
 */
#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/dir/dir.h"
#include "fs/dir/namei.h"
#include "fs/dir/snapdir.h"
#include "fs/snapshot/snapshot.h"
#include "tests/fs/scene.h"
#include "tests/support/random.h"
#include "tests/support/suite.h"

#define NODES 64 /* inodes alive at one time, the root first */
#define LETTERS 10 /* names in a directory */

struct node {
	bool used, is_dir;
	uint64_t id;
	unsigned nlink; /* names, of a file */
	int names[LETTERS]; /* of a directory: nodes, or -1 */
};

static struct th_scene scene;
static struct node nodes[NODES];

static uint64_t poor_hash(const void *name, size_t size)
{
	return size ? (uint64_t)(((const uint8_t *)name)[0] & 1) << 63 : 0;
}

static int node_new(bool is_dir)
{
	for (int i = 0; i < NODES; i++) {
		if (nodes[i].used)
			continue;
		nodes[i] = (struct node){ .used = true, .is_dir = is_dir };
		for (int j = 0; j < LETTERS; j++)
			nodes[i].names[j] = -1;
		return i;
	}
	return -1;
}

static unsigned entries(int node)
{
	unsigned count = 0;

	for (int i = 0; i < LETTERS; i++)
		count += nodes[node].names[i] >= 0;
	return count;
}

static unsigned subdirs(int node)
{
	unsigned count = 0;

	for (int i = 0; i < LETTERS; i++)
		count += nodes[node].names[i] >= 0 && nodes[nodes[node].names[i]].is_dir;
	return count;
}

static bool is_below(int node, int above)
{
	if (node == above)
		return true;
	for (int i = 0; i < LETTERS; i++) {
		int child = nodes[above].names[i];

		if (child >= 0 && nodes[child].is_dir && is_below(node, child))
			return true;
	}
	return false;
}

static int random_node(struct th_random *random, bool is_dir)
{
	int node;

	for (unsigned tries = 0; tries < 1000; tries++) {
		node = (int)th_random_below(random, NODES);
		if (nodes[node].used && nodes[node].is_dir == is_dir)
			return node;
	}
	return is_dir ? 0 : -1;
}

static struct th_slice letter_name(const char *letter)
{
	return (struct th_slice){ letter, 1 };
}

static struct th_inode *inode_of(int node)
{
	struct th_inode *inode;

	ck_assert_int_eq(th_inode_get(scene.fs, NULL, nodes[node].id, &inode), 0);
	return inode;
}

/* A node has lost a name. */
static void node_drop(int node)
{
	if (nodes[node].is_dir || !--nodes[node].nlink)
		nodes[node].used = false;
}

/* --- operations: predicted in the model, then carried out --- */

static void do_create(struct th_random *random, int dir, int letter)
{
	bool is_dir = th_random_percent(random, 40);
	struct th_namei_new new = { .mode = is_dir ? S_IFDIR | 0755 : S_IFREG | 0644 };
	char name = (char)('a' + letter);
	struct th_inode *parent = inode_of(dir), *inode;
	int expected = nodes[dir].names[letter] >= 0 ? -EEXIST : 0;
	int node = expected ? -1 : node_new(is_dir);

	if (expected || node >= 0)
		ck_assert_int_eq(th_namei_create(parent, letter_name(&name), &new, &inode), expected);
	if (node >= 0) {
		nodes[node].id = inode->id;
		nodes[node].nlink = 1;
		nodes[dir].names[letter] = node;
		th_inode_put(inode);
	}
	th_inode_put(parent);
}

static void do_link(struct th_random *random, int dir, int letter)
{
	int node = random_node(random, th_random_percent(random, 10));
	char name = (char)('a' + letter);

	if (node < 0)
		return;
	struct th_inode *parent = inode_of(dir), *inode = inode_of(node);
	int expected = nodes[node].is_dir ? -EPERM : nodes[dir].names[letter] >= 0 ? -EEXIST : 0;

	ck_assert_int_eq(th_namei_link(inode, parent, letter_name(&name)), expected);
	if (!expected) {
		nodes[node].nlink++;
		nodes[dir].names[letter] = node;
	}
	th_inode_put(inode);
	th_inode_put(parent);
}

static int predict_remove(int node, bool directory)
{
	if (node < 0)
		return -ENOENT;
	if (nodes[node].is_dir != directory)
		return directory ? -ENOTDIR : -EISDIR;
	return directory && entries(node) ? -ENOTEMPTY : 0;
}

static void do_remove(struct th_random *random, int dir, int letter)
{
	bool directory = th_random_percent(random, 30);
	int node = nodes[dir].names[letter], expected = predict_remove(node, directory);
	char name = (char)('a' + letter);
	struct th_inode *parent = inode_of(dir);
	int err = directory ? th_namei_rmdir(parent, letter_name(&name)) : th_namei_unlink(parent, letter_name(&name));

	ck_assert_int_eq(err, expected);
	if (!expected) {
		nodes[dir].names[letter] = -1;
		node_drop(node);
	}
	th_inode_put(parent);
}

static int predict_rename(int from_dir, int from, int to_dir, int to, unsigned flags)
{
	bool exchange = flags & RENAME_EXCHANGE;

	if (from < 0 || (exchange && to < 0))
		return -ENOENT;
	if (to >= 0 && (flags & RENAME_NOREPLACE))
		return -EEXIST;
	if (from == to)
		return 0;
	if (nodes[from].is_dir && is_below(to_dir, from))
		return -EINVAL;
	if (to >= 0 && nodes[to].is_dir && is_below(from_dir, to))
		return exchange ? -EINVAL : -ENOTEMPTY;
	if (to < 0 || exchange)
		return 0;
	if (nodes[from].is_dir != nodes[to].is_dir)
		return nodes[from].is_dir ? -ENOTDIR : -EISDIR;
	return nodes[to].is_dir && entries(to) ? -ENOTEMPTY : 0;
}

/* Adds the whiteout that got the old name to the model. */
static int whiteout_of(struct th_inode *dir, const char *letter)
{
	int node = node_new(false);
	struct th_inode *inode;

	ck_assert_int_eq(th_namei_lookup(dir, letter_name(letter), &inode), 0);
	ck_assert_uint_eq(inode->attr.mode, S_IFCHR);
	nodes[node].id = inode->id;
	nodes[node].nlink = 1;
	th_inode_put(inode);
	return node;
}

static bool has_room(void)
{
	for (int i = 0; i < NODES; i++) {
		if (!nodes[i].used)
			return true;
	}
	return false;
}

static void do_rename(struct th_random *random, int from_dir, int from_letter)
{
	static const unsigned kinds[] = { 0, 0, RENAME_NOREPLACE, RENAME_EXCHANGE, RENAME_WHITEOUT };
	unsigned flags = kinds[th_random_below(random, has_room() ? 5 : 4)];
	int to_dir = th_random_percent(random, 40) ? from_dir : random_node(random, true);
	int to_letter = (int)th_random_below(random, LETTERS);
	int *from = &nodes[from_dir].names[from_letter], *to = &nodes[to_dir].names[to_letter];
	int expected = predict_rename(from_dir, *from, to_dir, *to, flags);
	char from_name = (char)('a' + from_letter), to_name = (char)('a' + to_letter);
	struct th_inode *from_inode = inode_of(from_dir), *to_inode = inode_of(to_dir);

	ck_assert_int_eq(th_namei_rename(from_inode, letter_name(&from_name), to_inode, letter_name(&to_name), flags),
			 expected);
	if (!expected && *from != *to) {
		int old = *to;

		*to = *from;
		*from = flags & RENAME_EXCHANGE ? old : -1;
		if (flags & RENAME_WHITEOUT)
			*from = whiteout_of(from_inode, &from_name);
		if (old >= 0 && !(flags & RENAME_EXCHANGE))
			node_drop(old);
	}
	th_inode_put(to_inode);
	th_inode_put(from_inode);
}

static void step(struct th_random *random)
{
	int dir = random_node(random, true), letter = (int)th_random_below(random, LETTERS);
	unsigned choice = th_random_below(random, 100);

	if (choice < 35)
		do_create(random, dir, letter);
	else if (choice < 50)
		do_link(random, dir, letter);
	else if (choice < 65)
		do_remove(random, dir, letter);
	else
		do_rename(random, dir, letter);
}

/* --- comparing --- */

struct found {
	uint64_t ids[LETTERS];
	unsigned count;
};

static int find_one(void *arg, struct th_slice name, const struct th_dirent *entry, uint64_t next)
{
	struct found *found = arg;
	int letter = ((const char *)name.data)[0] - 'a';

	(void)next;
	ck_assert_uint_eq(name.size, 1);
	ck_assert(letter >= 0 && letter < LETTERS && !found->ids[letter]);
	found->ids[letter] = entry->id;
	found->count++;
	return 0;
}

/* Checks that the primary name is one in the model. */
static void compare_name(const struct th_attr *attr, int node)
{
	int dir = 0;

	while (dir < NODES && !(nodes[dir].used && nodes[dir].id == attr->parent))
		dir++;
	ck_assert_int_lt(dir, NODES);
	ck_assert_uint_eq(attr->name_size, 1);
	ck_assert_int_eq(nodes[dir].names[attr->name[0] - 'a'], node);
}

static void compare_node(struct th_entered_snapshot *snapshot, int node)
{
	struct th_inode *inode;
	struct found found = { 0 };

	ck_assert_int_eq(th_inode_get(scene.fs, snapshot, nodes[node].id, &inode), 0);
	if (node)
		compare_name(&inode->attr, node);
	if (nodes[node].is_dir) {
		ck_assert_uint_eq(inode->attr.nlink, 2 + subdirs(node));
		ck_assert_uint_eq(inode->attr.size, entries(node));
		ck_assert_int_eq(th_dir_walk(inode, 0, find_one, &found), 0);
		ck_assert_uint_eq(found.count, entries(node));
		for (int i = 0; i < LETTERS; i++) {
			int child = nodes[node].names[i];

			ck_assert_uint_eq(found.ids[i], child < 0 ? 0 : nodes[child].id);
		}
	} else {
		ck_assert_uint_eq(inode->attr.nlink, nodes[node].nlink);
	}
	th_inode_put(inode);
}

static void compare(struct th_entered_snapshot *snapshot)
{
	for (int i = 0; i < NODES; i++) {
		if (nodes[i].used)
			compare_node(snapshot, i);
	}
}

/* Takes a snapshot, and compares it with its model after more operations. */
static void round_with_snapshot(struct th_random *random)
{
	struct th_snapshot taken;
	struct th_entered_snapshot *snapshot;
	struct node kept[NODES], now[NODES];

	ck_assert_int_eq(th_fs_snapshot_create(scene.fs, "s", &taken), 0);
	memcpy(kept, nodes, sizeof(nodes));
	for (unsigned i = 0; i < 300; i++)
		step(random);
	memcpy(now, nodes, sizeof(nodes));
	memcpy(nodes, kept, sizeof(nodes));
	ck_assert_int_eq(th_entered_snapshot_get(scene.fs, taken.id, &snapshot), 0);
	compare(snapshot);
	th_entered_snapshot_put(scene.fs, snapshot);
	memcpy(nodes, now, sizeof(nodes));
	compare(NULL);
	ck_assert_int_eq(th_fs_snapshot_delete(scene.fs, "s"), 0);
}

START_TEST(random_operations_match_the_model)
{
	struct th_random random = { th_test_seed("names_model") };
	unsigned rounds = th_test_rounds(12);

	th_scene_open(&scene,
		      &(struct th_fs_options){ .cache_bytes = _i ? 64 << 10 : 0, .name_hash = _i ? poor_hash : NULL });
	memset(nodes, 0, sizeof(nodes));
	node_new(true);
	nodes[0].id = TH_ROOT_ID;
	for (unsigned i = 0; i < rounds; i++) {
		for (unsigned j = 0; j < 300; j++)
			step(&random);
		compare(NULL);
		round_with_snapshot(&random);
		if (i % 3 == 0)
			th_scene_reopen(&scene);
		compare(NULL);
	}
	th_scene_close(&scene);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("names_model");
	TCase *tcase = tcase_create("random");

	tcase_set_timeout(tcase, 0);
	tcase_add_loop_test(tcase, random_operations_match_the_model, 0, 2);
	suite_add_tcase(suite, tcase);
	return th_suite_run(suite);
}
