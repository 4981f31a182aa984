/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Damage: each block of a small image in turn, metadata and data, zeroed and with one bit inverted.
 *
 * For each damaged block the filesystem is opened read-only, as the live tree and as each snapshot, and everything is
 * read.  It must hold that
 *
 *   - a read gives what was written, or an error;
 *   - a tree that does not use the block is complete;
 *   - the filesystem opens, so that the trees that are whole can be reached; a snapshot whose root is damaged, or whose
 *     entry in the catalogue, does not.
 *
 * The superblocks are left out (journal/test_super.c), and the free blocks.
 */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "fs/data/extent.h"
#include "fs/data/file.h"
#include "fs/dir/dir.h"
#include "fs/dir/namei.h"
#include "fs/fs.h"
#include "fs/snapshot/snapshot.h"
#include "journal/base/array.h"
#include "journal/disk/disk.h"
#include "tests/fs/scene.h"
#include "tests/support/suite.h"
#include "tree/chunk.h"
#include "tree/node/scatter.h"
#include "tree/state/state.h"

#define BLOCKS 4096u /* of the image */
#define FILES 400u
#define TREES 3u /* two snapshots and the live tree */

static const char *const snapshots[TREES] = { "one", "two", NULL };

/* One name and the hash of the state of its inode. */
struct name {
	char *path;
	uint64_t hash;
};

/* The names of one tree, by path. */
struct names {
	struct name *list;
	size_t count, capacity;
	unsigned errors; /* reads that failed */
};

struct sweep {
	struct th_disk *disk;
	struct names right[TREES];
	uint8_t used[TREES][BLOCKS]; /* the blocks that the tree needs: 1 node, 2 data */
	uint8_t catalogue[BLOCKS]; /* the nodes of the meta tree */
};

static void ignore(void *arg, const char *line)
{
	(void)arg;
	(void)line;
}

/* --- reading a tree --- */

struct walk {
	struct th_fs *fs;
	struct names *names;
	const char *path;
};

/* Adds the content of a file to the hash.  Returns 0 or an error. */
static int read_content(struct th_inode *inode, uint64_t *hash)
{
	struct th_file_data data;
	int err;

	uint64_t at = 0;

	while (at < inode->attr.size) {
		err = th_file_read(inode, at, inode->attr.size - at, &data);
		if (err)
			return err;
		*hash = XXH3_64bits_withSeed(data.data, data.size, *hash);
		at += data.size;
		th_file_data_release(&data);
	}
	return 0;
}

static int read_inode(struct walk *walk, uint64_t id, const char *path, uint64_t *ret_hash);

static int visit(void *arg, struct th_slice name, const struct th_dirent *entry, uint64_t next)
{
	struct walk *walk = arg;
	struct name found;

	(void)next;
	ck_assert_int_ge(asprintf(&found.path, "%s/%.*s", walk->path, (int)name.size, (const char *)name.data), 0);
	if (read_inode(walk, entry->id, found.path, &found.hash)) {
		walk->names->errors++;
		free(found.path);
		return 0;
	}
	ck_assert_int_eq(th_append(walk->names->list, walk->names->capacity, walk->names->count, found), 0);
	return 0;
}

static int read_inode(struct walk *walk, uint64_t id, const char *path, uint64_t *ret_hash)
{
	struct walk below = { walk->fs, walk->names, path };
	struct th_inode *inode;
	int err = th_inode_get(walk->fs, walk->fs->base, id, &inode);

	if (err)
		return err;
	*ret_hash = XXH3_64bits(&inode->attr.mode, sizeof(inode->attr.mode)) + inode->attr.size;
	if (S_ISREG(inode->attr.mode))
		err = read_content(inode, ret_hash);
	else if (S_ISDIR(inode->attr.mode) && th_dir_walk(inode, TH_DIR_COOKIE_MAX, visit, &below))
		walk->names->errors++;
	th_inode_put(inode);
	return err;
}

static int compare(const void *a, const void *b)
{
	return strcmp(((const struct name *)a)->path, ((const struct name *)b)->path);
}

static struct names read_tree(struct th_fs *fs)
{
	struct names names = { 0 };
	struct walk walk = { fs, &names, "" };
	uint64_t hash;

	if (read_inode(&walk, TH_ROOT_ID, "", &hash))
		names.errors++;
	if (names.count)
		qsort(names.list, names.count, sizeof(*names.list), compare);
	return names;
}

static void names_release(struct names *names)
{
	for (size_t i = 0; i < names->count; i++)
		free(names->list[i].path);
	free(names->list);
}

/* --- the image --- */

static int open_tree(struct sweep *sweep, const char *snapshot, bool read_only, struct th_fs **ret)
{
	struct th_fs_options options = { .read_only = read_only, .snapshot = snapshot, .report = ignore };
	struct th_disk *lent = th_disk_lend(sweep->disk);
	int err = th_fs_open(lent, &options, ret);

	if (err)
		th_disk_close(lent);
	return err;
}

static void write_file(struct th_inode *dir, unsigned number, unsigned version)
{
	static char content[3 * TH_BLOCK_SIZE];
	struct th_namei_new new = { .mode = S_IFREG | 0644 };
	struct th_inode *file;
	char name[32];
	size_t size = number % 8 == 0 ? sizeof(content) : 100;

	snprintf(name, sizeof(name), "file-%05u", number);
	if (th_namei_lookup(dir, th_scene_slice(name), &file))
		ck_assert_int_eq(th_namei_create(dir, th_scene_slice(name), &new, &file), 0);
	memset(content, (int)('a' + (number + version) % 26), size);
	ck_assert_int_eq(th_file_write(file, content, size, 0, 0), (ssize_t)size);
	th_inode_put(file);
}

/* A version of the tree: some files of each directory change, and there are more of them. */
static void write_version(struct th_fs *fs, unsigned version)
{
	struct th_namei_new new = { .mode = S_IFDIR | 0755 };

	for (unsigned d = 0; d < 3; d++) {
		struct th_inode *dir;
		char name[16];

		snprintf(name, sizeof(name), "dir-%u", d);
		if (th_namei_lookup(fs->root, th_scene_slice(name), &dir))
			ck_assert_int_eq(th_namei_create(fs->root, th_scene_slice(name), &new, &dir), 0);
		for (unsigned i = 0; i < FILES / 3; i++)
			if (version == 0 || (i % 3 == version && d < 2))
				write_file(dir, i, version);
		write_file(dir, 1000 + version, version);
		th_inode_put(dir);
	}
}

static void make_image(struct sweep *sweep)
{
	struct th_format_options format = { .metadata_copies = 1 };
	struct th_fs *fs;

	ck_assert_int_eq(th_disk_memory_new(BLOCKS, &sweep->disk), 0);
	ck_assert_int_eq(th_fs_format(sweep->disk, &format, 0, 0), 0);
	ck_assert_int_eq(open_tree(sweep, NULL, false, &fs), 0);
	for (unsigned version = 0; version < TREES; version++) {
		write_version(fs, version);
		if (snapshots[version])
			ck_assert_int_eq(th_fs_snapshot_create(fs, snapshots[version], NULL), 0);
	}
	ck_assert_int_eq(th_fs_close(fs), 0);
}

/* --- the blocks that a tree needs --- */

struct mark {
	uint8_t *used;
	uint8_t what;
};

static int mark_run(const struct th_run *run, void *arg)
{
	struct mark *mark = arg;

	memset(mark->used + run->addr, mark->what, run->blocks);
	return 0;
}

static void mark_nodes(struct th_store *store, const struct th_ptr *ptr, struct th_slice fence, uint8_t *used)
{
	struct mark mark = { used, 1 };
	struct th_node *node;

	if (!ptr->addr)
		return;
	ck_assert_int_eq(th_node_each_run(store->disk, ptr, mark_run, &mark), 0);
	ck_assert_int_eq(th_cache_load(store->cache, ptr, fence, &node), 0);
	for (unsigned i = 0; node->level > 0 && i < node->base.count; i++) {
		struct th_ptr child;
		struct th_key lo;

		ck_assert_int_eq(th_node_child_ptr(node, i, &child), 0);
		th_node_key(node, th_slab_entry(&node->base, i), &lo);
		mark_nodes(store, &child, th_key_slice(&lo), used);
	}
	th_node_unref(node);
}

static void mark_data(struct th_view *view, uint8_t *used)
{
	struct mark mark = { used, 2 };
	struct th_cursor_entry entry;
	struct th_cursor *cursor;
	int end;

	ck_assert_int_eq(th_cursor_open(view, NULL, &cursor), 0);
	while (!(end = th_cursor_next(cursor, &entry)))
		ck_assert_int_eq(th_extent_runs(entry.key, entry.value, mark_run, &mark), 0);
	ck_assert_int_eq(end, 1);
	th_cursor_close(cursor);
}

static void mark_root(struct th_store *store, const uint8_t *bytes, uint8_t *used)
{
	struct th_ptr_disk disk;
	struct th_ptr ptr;

	memcpy(&disk, bytes, sizeof(disk));
	ck_assert_int_eq(th_ptr_unpack(&disk, &ptr), 0);
	mark_nodes(store, &ptr, TH_SLICE_EMPTY, used);
}

static void learn(struct sweep *sweep)
{
	struct th_fs *fs;

	for (unsigned i = 0; i < TREES; i++) {
		ck_assert_int_eq(open_tree(sweep, snapshots[i], true, &fs), 0);
		sweep->right[i] = read_tree(fs);
		ck_assert_uint_eq(sweep->right[i].errors, 0);
		ck_assert_uint_gt(sweep->right[i].count, FILES / 3 * 3);
		mark_data(fs->base ? fs->base->view : fs->live, sweep->used[i]);
		if (snapshots[i])
			mark_nodes(fs->store, &fs->base->view->root->ptr, TH_SLICE_EMPTY, sweep->used[i]);
		else
			mark_root(fs->store, fs->store->super.live_root, sweep->used[i]);
		if (!i)
			mark_root(fs->store, fs->store->super.meta_root, sweep->catalogue);
		ck_assert_int_eq(th_fs_close(fs), 0);
	}
}

/* --- damage --- */

struct figures {
	unsigned opened, refused, whole, names, lost;
};

/* Fails the test unless each name and its state are right. */
static void expect_right(const struct names *found, const struct names *right, uint64_t block)
{
	for (size_t i = 0; i < found->count; i++) {
		const struct name *name = bsearch(&found->list[i], right->list, right->count, sizeof(*name), compare);

		ck_assert_msg(name, "block %llu: '%s' was never there", (unsigned long long)block, found->list[i].path);
		ck_assert_msg(name->hash == found->list[i].hash, "block %llu: '%s' is not as it was written",
			      (unsigned long long)block, found->list[i].path);
	}
}

/* Looks a name up, which needs the key of the hash of names. */
static bool finds_name(struct th_fs *fs)
{
	struct th_inode *inode;

	if (th_path_lookup(fs, fs->base, "dir-2/file-00005", &inode))
		return false;
	th_inode_put(inode);
	return true;
}

/* Reaches the snapshots through the live tree, whatever is left of it. */
static void expect_entrances(struct sweep *sweep, struct th_fs *fs, uint64_t block)
{
	struct th_inode *snapdir, *root, *dir;

	ck_assert_int_eq(th_namei_lookup(fs->root, th_scene_slice(".snapshots"), &snapdir), 0);
	for (unsigned tree = 0; snapshots[tree]; tree++) {
		if (sweep->catalogue[block] || sweep->used[tree][block])
			continue;
		ck_assert_int_eq(th_namei_lookup(snapdir, th_scene_slice(snapshots[tree]), &root), 0);
		ck_assert_int_eq(th_namei_lookup(root, th_scene_slice("dir-1"), &dir), 0);
		th_inode_put(dir);
		th_inode_put(root);
	}
	th_inode_put(snapdir);
}

/* Reads a tree of the damaged image. */
static void read_damaged(struct sweep *sweep, unsigned tree, uint64_t block, struct figures *figures)
{
	const struct names *right = &sweep->right[tree];
	struct names found;
	struct th_fs *fs;
	int err = open_tree(sweep, snapshots[tree], true, &fs);

	if (err) {
		figures->refused++;
		ck_assert_msg(snapshots[tree] && (sweep->catalogue[block] || sweep->used[tree][block]),
			      "block %llu: '%s' does not open: %d", (unsigned long long)block,
			      snapshots[tree] ? snapshots[tree] : "live tree", err);
		return;
	}
	figures->opened++;
	found = read_tree(fs);
	expect_right(&found, right, block);
	if (!sweep->used[tree][block])
		ck_assert_msg(!found.errors && found.count == right->count && finds_name(fs),
			      "block %llu is not used by '%s', of which %zu names of %zu can be read",
			      (unsigned long long)block, snapshots[tree] ? snapshots[tree] : "live tree", found.count,
			      right->count);
	if (!snapshots[tree])
		expect_entrances(sweep, fs, block);
	figures->whole += !found.errors && found.count == right->count;
	figures->names += (unsigned)found.count;
	figures->lost += (unsigned)(right->count - found.count);
	names_release(&found);
	ck_assert_int_eq(th_fs_close(fs), 0);
}

/* Damages a block, reads all trees, and repairs it.  bit: which to invert; -1: the block is zeroed. */
static void damage(struct sweep *sweep, uint64_t block, int bit, struct figures *figures)
{
	uint8_t *right = th_disk_buffer(TH_BLOCK_SIZE), *wrong = th_disk_buffer(TH_BLOCK_SIZE);

	ck_assert_int_eq(th_disk_read(sweep->disk, block, 1, right), 0);
	memcpy(wrong, right, TH_BLOCK_SIZE);
	if (bit < 0)
		memset(wrong, 0, TH_BLOCK_SIZE);
	else
		wrong[bit / 8] ^= (uint8_t)(1 << bit % 8);
	ck_assert_int_eq(th_disk_write(sweep->disk, block, 1, wrong), 0);
	for (unsigned tree = 0; tree < TREES; tree++)
		read_damaged(sweep, tree, block, figures);
	ck_assert_int_eq(th_disk_write(sweep->disk, block, 1, right), 0);
	free(right);
	free(wrong);
}

static void sweep_begin(struct sweep *sweep)
{
	make_image(sweep);
	learn(sweep);
}

static void sweep_end(struct sweep *sweep)
{
	for (unsigned i = 0; i < TREES; i++)
		names_release(&sweep->right[i]);
	th_disk_close(sweep->disk);
}

/* Returns whether the block is in use, and no superblock and not in the log. */
static bool is_used(const struct sweep *sweep, uint64_t block)
{
	const uint8_t *bytes;
	bool zero;
	void *buffer;

	if (block < TH_SUPER_FIRST_FREE || block >= BLOCKS - TH_SUPER_TAIL_BLOCKS)
		return false;
	buffer = th_disk_buffer(TH_BLOCK_SIZE);
	ck_assert_int_eq(th_disk_read(sweep->disk, block, 1, buffer), 0);
	bytes = buffer;
	zero = !bytes[0] && !memcmp(bytes, bytes + 1, TH_BLOCK_SIZE - 1);
	free(buffer);
	return !zero;
}

START_TEST(damage_costs_only_what_needs_the_block)
{
	static struct sweep sweep;
	struct figures figures = { 0 };
	const char *longer = getenv("TH_TEST_ROUNDS");
	unsigned step = longer ? 1 : 3, blocks = 0;

	sweep_begin(&sweep);
	for (uint64_t block = 0; block < BLOCKS; block++) {
		bool node = sweep.catalogue[block];

		for (unsigned i = 0; i < TREES; i++)
			node |= sweep.used[i][block] == 1;
		if (!is_used(&sweep, block) || (!node && block % step))
			continue;
		blocks++;
		damage(&sweep, block, -1, &figures);
		for (int bit = 5; longer && bit < (int)TH_BLOCK_SIZE * 8; bit += (int)TH_BLOCK_SIZE * 8 / atoi(longer))
			damage(&sweep, block, bit, &figures);
	}
	ck_assert_uint_gt(blocks, 100);
	printf("%u blocks damaged: %u trees opened, %u of them whole, %u refused; %u names read, %u lost\n", blocks,
	       figures.opened, figures.whole, figures.refused, figures.names, figures.lost);
	sweep_end(&sweep);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("damage_sweep");
	TCase *tcase = tcase_create("sweep");

	tcase_set_timeout(tcase, 0);
	tcase_add_test(tcase, damage_costs_only_what_needs_the_block);
	suite_add_tcase(suite, tcase);
	return th_suite_run(suite);
}
