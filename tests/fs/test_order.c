/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Order in crashes: a crash leaves a state that the filesystem had, not older than the last sync that returned.
 *
 * A script is a sequence of operations, with a kind of sync or none after each (as the black-box crash tests of Mohan
 * et al., "Finding crash-consistency bugs with bounded black-box crash testing", OSDI 2018).  It runs once over the
 * recording disk, and a picture of the whole tree is taken after each operation: names, attributes, times, extended
 * attributes, contents.  Then disks are opened as a crash at any time may leave them: any subset of the writes that no
 * flush covers, whole or torn.  The tree must be the same as one of the pictures, from the last durable one to that of
 * the operation under way; snapshots must be as they were taken.
 *
 * The same oracle serves for failing disks: one transfer fails, once or with all after it, and the tree must be the one
 * of a picture that is not older than the last sync that returned success.
 *
 * Scripts of one and of two operations are enumerated; TH_TEST_ROUNDS is the number of those that a run takes, chosen
 * at random unless it is the number of all.  Longer scripts are random.
 */
#include <errno.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/attr/attr.h"
#include "fs/attr/xattr.h"
#include "fs/check/check.h"
#include "fs/data/copy.h"
#include "fs/data/fallocate.h"
#include "fs/data/file.h"
#include "journal/disk/disk.h"
#include "tests/fs/picture.h"
#include "tests/fs/scene.h"
#include "tests/support/random.h"
#include "tests/support/suite.h"

#define IMAGE_BLOCKS ((16u << 20) >> TH_BLOCK_SHIFT)
#define STEPS_MAX 40
#define IMAGES 20 /* of a script */
#define CHECK_EVERY 10 /* images, one of which is checked with the checker */

/* --- operations --- */

enum kind {
	CREAT,
	MKDIR,
	SYMLINK,
	WRITE,
	APPEND,
	TRUNCATE,
	FALLOCATE,
	LINK,
	UNLINK,
	RMDIR,
	RENAME,
	CHMOD,
	CHOWN,
	UTIMES,
	SETXATTR,
	REMOVEXATTR,
	COPY,
	SNAPSHOT,
};

/* An operation.  It changes nothing where it fails, as with names that an earlier one has not made. */
struct op {
	enum kind kind;
	const char *path; /* also what fsync(2) after it is for */
	const char *to;
	uint64_t at, size;
	int flags; /* of fallocate and rename */
};

#define OP(kind_, path_, ...)                                                                                          \
	{                                                                                                              \
		.kind = kind_, .path = path_, ##__VA_ARGS__                                                            \
	}
static const struct op ops[] = {
	OP(CREAT, "/A/new"),
	OP(CREAT, "/B/new"),
	OP(MKDIR, "/A/dir"),
	OP(MKDIR, "/B/dir"),
	OP(SYMLINK, "/A/symlink", .to = "/A/foo"),
	OP(WRITE, "/A/foo", .size = 4096),
	OP(WRITE, "/A/foo", .at = 100, .size = 200),
	OP(WRITE, "/A/foo", .size = 300000),
	OP(WRITE, "/A/foo", .at = 40000, .size = 5000),
	OP(WRITE, "/A/bar", .size = 300),
	OP(WRITE, "/A/bar", .size = 30000),
	OP(WRITE, "/A/new", .size = 9000),
	OP(WRITE, "/A/new", .size = 500),
	OP(APPEND, "/A/foo", .size = 5000),
	OP(APPEND, "/A/bar", .size = 100),
	OP(APPEND, "/B/baz", .size = 70000),
	OP(TRUNCATE, "/A/foo", .size = 0),
	OP(TRUNCATE, "/A/foo", .size = 3000),
	OP(TRUNCATE, "/A/foo", .size = 50000),
	OP(TRUNCATE, "/A/bar", .size = 10),
	OP(FALLOCATE, "/A/foo", .size = 60000),
	OP(FALLOCATE, "/A/foo", .at = 8192, .size = 60000, .flags = FALLOC_FL_KEEP_SIZE),
	OP(FALLOCATE, "/A/foo", .at = 4096, .size = 4096, .flags = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE),
	OP(FALLOCATE, "/A/foo", .at = 1000, .size = 6000, .flags = FALLOC_FL_ZERO_RANGE),
	OP(LINK, "/A/foo", .to = "/B/link"),
	OP(LINK, "/A/bar", .to = "/A/link"),
	OP(UNLINK, "/A/foo"),
	OP(UNLINK, "/A/bar"),
	OP(RMDIR, "/A/dir"),
	OP(RMDIR, "/C"),
	OP(RENAME, "/A/foo", .to = "/A/new"),
	OP(RENAME, "/A/foo", .to = "/B/foo"),
	OP(RENAME, "/A/foo", .to = "/A/bar"),
	OP(RENAME, "/A/bar", .to = "/A/foo"),
	OP(RENAME, "/A/new", .to = "/A/foo"),
	OP(RENAME, "/A/new", .to = "/B/baz"),
	OP(RENAME, "/A/foo", .to = "/B/baz", .flags = RENAME_EXCHANGE),
	OP(RENAME, "/C", .to = "/A/dir"),
	OP(RENAME, "/B", .to = "/C"),
	OP(CHMOD, "/A/foo", .size = 0600),
	OP(CHMOD, "/A/bar", .size = 0400),
	OP(CHMOD, "/A", .size = 0700),
	OP(CHOWN, "/A/bar", .size = 1000),
	OP(UTIMES, "/A/foo", .size = 1000000000),
	OP(SETXATTR, "/A/foo", .to = "user.new", .size = 40),
	OP(SETXATTR, "/A/bar", .to = "user.big", .size = 6000),
	OP(REMOVEXATTR, "/A/foo", .to = "user.old"),
	OP(COPY, "/A/foo", .to = "/A/bar", .size = 8192),
	OP(COPY, "/B/baz", .to = "/A/foo", .size = 300000),
	OP(SNAPSHOT, "/"),
};
#define OPS (sizeof(ops) / sizeof(ops[0]))

/* After an operation. */
enum sync {
	SYNC_NONE,
	SYNC_WRITEBACK, /* only of the file: it reaches the store early, as where memory is short */
	SYNC_FILE, /* fsync(2) */
	SYNC_DIRECTORY, /* fsync(2) of the directory */
	SYNC_ALL, /* sync(2) */
	SYNC_CHECKPOINT,
};
#define SYNCS 6

struct step {
	uint8_t op, sync;
};

/* --- the filesystem that a script runs on --- */

struct state {
	struct th_picture picture;
	uint64_t begun, durable; /* events on the disk, UINT64_MAX: not yet */
};

struct run {
	struct th_disk *disk;
	struct th_scene scene;
	struct th_random *random;
	struct step steps[STEPS_MAX];
	struct state states[STEPS_MAX + 1]; /* before the first step, and after each */
	unsigned count; /* of states */
	unsigned snapshot; /* the state that was taken; 0: none */

	enum th_fault_kind fault; /* while an operation or a sync runs */
	uint64_t left, before; /* transfers until the fault; those before it was armed */
	bool failed; /* it has happened */
};

static struct th_disk *base; /* the image from which each script starts */

static void ignore(void *arg, const char *line)
{
	(void)arg;
	(void)line;
}

static const struct th_fs_options options = { .checkpoint_interval_ms = 3600 * 1000, .report = ignore };

static void fill(uint8_t *to, uint64_t at, size_t size, unsigned stamp)
{
	for (size_t i = 0; i < size; i++)
		to[i] = (uint8_t)(1 + (stamp * 7919 + (at + i) * 31 + ((at + i) >> 12) * 101) % 255);
}

static int write_file(struct th_inode *inode, uint64_t at, size_t size, unsigned flags, unsigned stamp)
{
	uint8_t *data = malloc(size);
	ssize_t done;

	fill(data, at, size, stamp);
	done = th_file_write(inode, data, size, at, flags);
	free(data);
	if (done >= 0)
		ck_assert_int_eq(done, (ssize_t)size);
	return done < 0 ? (int)done : 0;
}

static int set_xattr(struct th_inode *inode, const char *name, size_t size, unsigned stamp)
{
	uint8_t value[8192];

	fill(value, 0, size, stamp);
	return th_xattr_set(inode, name, (struct th_slice){ value, size }, 0);
}

static int copy(struct th_scene *scene, struct th_inode *from, const struct op *op)
{
	struct th_inode *to;
	uint64_t copied;
	int err = th_scene_find(scene, op->to, &to);

	if (err)
		return err;
	if (S_ISREG(from->type) && S_ISREG(to->type))
		err = th_file_copy_range(from, 0, to, op->at, op->size, &copied);
	th_inode_put(to);
	return err;
}

/* An operation on an inode that exists. */
static int do_inode(struct run *run, const struct op *op, struct th_inode *inode, unsigned stamp)
{
	struct th_attr attr = { .mode = (uint32_t)op->size,
				.uid = (uint32_t)op->size,
				.gid = 5,
				.size = op->size,
				.mtime = { .seconds = (int64_t)op->size } };

	switch (op->kind) {
	case WRITE:
		return S_ISREG(inode->type) ? write_file(inode, op->at, op->size, 0, stamp) : -EISDIR;
	case APPEND:
		return S_ISREG(inode->type) ? write_file(inode, 0, op->size, TH_FILE_WRITE_APPEND, stamp) : -EISDIR;
	case TRUNCATE:
		return th_attr_set(inode, TH_ATTR_SIZE, &attr);
	case FALLOCATE:
		return S_ISREG(inode->type) ? th_file_fallocate(inode, op->flags, op->at, op->size) : -ENODEV;
	case CHMOD:
		return th_attr_set(inode, TH_ATTR_MODE, &attr);
	case CHOWN:
		return th_attr_set(inode, TH_ATTR_UID | TH_ATTR_GID, &attr);
	case UTIMES:
		return th_attr_set(inode, TH_ATTR_MTIME, &attr);
	case SETXATTR:
		return set_xattr(inode, op->to, op->size, stamp);
	case REMOVEXATTR:
		return th_xattr_remove(inode, op->to);
	case COPY:
		return copy(&run->scene, inode, op);
	default:
		abort();
	}
}

/* Does the directory of the path exist? */
static bool has_parent(struct th_scene *scene, const char *path)
{
	char *directory = strndup(path, (size_t)(strrchr(path, '/') - path));
	struct th_inode *inode;
	bool has = !th_scene_find(scene, directory, &inode);

	free(directory);
	if (has)
		th_inode_put(inode);
	return has;
}

/* An operation on names. */
static int do_names(struct run *run, const struct op *op)
{
	struct th_scene *scene = &run->scene;
	struct th_inode *inode;
	int err;

	if (!has_parent(scene, op->path) || (op->to && !has_parent(scene, op->to)))
		return -ENOENT;
	switch (op->kind) {
	case CREAT:
		return th_scene_make(scene, op->path, S_IFREG | 0644);
	case MKDIR:
		return th_scene_make(scene, op->path, S_IFDIR | 0755);
	case SYMLINK:
		return th_scene_symlink(scene, op->to, op->path);
	case LINK:
		err = th_scene_find(scene, op->path, &inode);
		if (err)
			return err;
		th_inode_put(inode);
		return th_scene_link(scene, op->path, op->to);
	case UNLINK:
		return th_scene_unlink(scene, op->path);
	case RMDIR:
		return th_scene_rmdir(scene, op->path);
	case RENAME:
		return th_scene_rename(scene, op->path, op->to, op->flags);
	default:
		abort();
	}
}

static bool is_of_names(enum kind kind)
{
	return kind == CREAT || kind == MKDIR || kind == SYMLINK || kind == LINK || kind == UNLINK || kind == RMDIR ||
	       kind == RENAME;
}

static int do_op(struct run *run, const struct op *op, unsigned stamp)
{
	struct th_inode *inode;
	int err;

	if (op->kind == SNAPSHOT)
		return th_snapshot_create(run->scene.fs->store, "s", NULL);
	if (is_of_names(op->kind))
		return do_names(run, op);
	err = th_scene_find(&run->scene, op->path, &inode);
	if (err)
		return err;
	err = do_inode(run, op, inode, stamp);
	th_inode_put(inode);
	return err;
}

/* --- faults: not while a picture is taken --- */

static uint64_t transfers(const struct run *run)
{
	const struct th_disk *disk = run->disk;
	uint64_t reads = run->fault == TH_FAULT_ERROR ? disk->reads : 0;

	return reads + disk->writes + disk->flushes;
}

static void fault_on(struct run *run)
{
	if (run->fault == TH_FAULT_NONE || (run->failed && run->fault == TH_FAULT_ERROR))
		return;
	run->before = transfers(run);
	th_disk_fault_arm(run->disk, run->fault, run->left);
}

static void fault_off(struct run *run)
{
	uint64_t used = transfers(run) - run->before;

	if (run->fault == TH_FAULT_NONE || (run->failed && run->fault == TH_FAULT_ERROR))
		return;
	run->failed |= used > run->left;
	run->left -= used < run->left ? used : run->left;
	th_disk_fault_arm(run->disk, TH_FAULT_NONE, 0);
}

/* Is this an error that a failing disk may cause? */
static bool is_clean(const struct run *run, int err)
{
	return err <= 0 && err != -EUCLEAN && err != -EBADMSG && (run->fault != TH_FAULT_NONE || err != -EIO);
}

/* --- steps --- */

/* Finds the inode to sync: of the operation's new name or old name, or of its directory. */
static bool find_synced(struct run *run, const struct op *op, bool directory, struct th_inode **ret)
{
	char *path = strdup(op->path);
	bool found;

	if (directory && strrchr(path, '/'))
		*strrchr(path, '/') = 0;
	found = (op->kind == RENAME && !directory && !th_scene_find(&run->scene, op->to, ret)) ||
		!th_scene_find(&run->scene, path, ret);
	free(path);
	return found;
}

/* Returns whether everything is durable now. */
static bool do_sync(struct run *run, const struct op *op, enum sync sync)
{
	struct th_fs *fs = run->scene.fs;
	struct th_inode *inode;

	if (sync == SYNC_NONE)
		return false;
	int err;

	if (sync == SYNC_ALL || sync == SYNC_CHECKPOINT) {
		err = sync == SYNC_ALL ? th_fs_sync(fs) : th_store_checkpoint(fs->store);
	} else if (!find_synced(run, op, sync == SYNC_DIRECTORY, &inode)) {
		return false;
	} else {
		err = sync == SYNC_WRITEBACK ? th_file_writeback(inode) : th_file_sync(inode);
		th_inode_put(inode);
	}
	ck_assert_msg(!err || (run->fault != TH_FAULT_NONE && is_clean(run, err)), "sync: %d", err);
	return !err && sync != SYNC_WRITEBACK;
}

static void add_state(struct run *run, uint64_t begun)
{
	struct state *state = &run->states[run->count++];

	*state = (struct state){ th_picture_take(run->scene.fs, NULL), begun, UINT64_MAX };
}

/* Marks the last state as durable, and so all before it. */
static void set_durable(struct run *run)
{
	run->states[run->count - 1].durable = th_disk_fault_events(run->disk);
}

static void do_step(struct run *run, unsigned i)
{
	const struct op *op = &ops[run->steps[i].op];
	uint64_t begun = th_disk_fault_events(run->disk);
	bool synced;

	fault_on(run);
	int err = do_op(run, op, i);

	fault_off(run);
	ck_assert_msg(is_clean(run, err), "step %u: %d", i, err);
	add_state(run, begun);
	if (op->kind == SNAPSHOT && !err) {
		run->snapshot = run->count - 1;
		set_durable(run);
	}
	fault_on(run);
	synced = do_sync(run, op, run->steps[i].sync);
	fault_off(run);
	if (synced)
		set_durable(run);
}

/* --- the image from which scripts start --- */

static void base_file(struct th_scene *scene, const char *path, size_t size)
{
	struct th_inode *inode;

	ck_assert_int_eq(th_scene_make(scene, path, S_IFREG | 0644), 0);
	inode = th_scene_get(scene, path);
	ck_assert_int_eq(write_file(inode, 0, size, 0, 100), 0);
	ck_assert_int_eq(set_xattr(inode, "user.old", 20, 100), 0);
	th_inode_put(inode);
}

static void make_base(void)
{
	struct th_format_options format = { .label = "order" };
	struct th_scene scene = { .fs = NULL };
	struct th_disk *memory;

	ck_assert_int_eq(th_disk_memory_new(IMAGE_BLOCKS, &memory), 0);
	ck_assert_int_eq(th_disk_fault_new(memory, &base), 0);
	ck_assert_int_eq(th_fs_format(base, &format, 0, 0), 0);
	struct th_disk *lent = th_disk_lend(base);

	ck_assert_int_eq(th_fs_open(lent, &options, &scene.fs), 0);
	ck_assert_int_eq(th_scene_make(&scene, "/A", S_IFDIR | 0755), 0);
	ck_assert_int_eq(th_scene_make(&scene, "/B", S_IFDIR | 0755), 0);
	ck_assert_int_eq(th_scene_make(&scene, "/C", S_IFDIR | 0755), 0);
	base_file(&scene, "/A/foo", 20000);
	base_file(&scene, "/A/bar", 500);
	base_file(&scene, "/B/baz", 9000);
	ck_assert_int_eq(th_fs_close(scene.fs), 0);
	ck_assert_int_eq(th_disk_fault_reset(base), 0);
}

/* --- a script and its crashes --- */

static void run_begin(struct run *run)
{
	struct th_disk *memory;

	run->count = run->snapshot = 0;
	run->failed = false;
	ck_assert_int_eq(th_disk_fault_crash_image(base, 0, 0, &memory), 0);
	ck_assert_int_eq(th_disk_fault_new(memory, &run->disk), 0);
	ck_assert_int_eq(th_fs_open(run->disk, &options, &run->scene.fs), 0);
	add_state(run, 0);
	set_durable(run);
}

/* The filesystem is not closed: the crashes happened while it was open. */
static void run_end(struct run *run)
{
	for (unsigned i = 0; i < run->count; i++)
		th_picture_release(&run->states[i].picture);
	int err = th_fs_close(run->scene.fs);

	ck_assert_msg(!err || run->failed, "close: %d", err);
}

static void print_steps(const struct run *run)
{
	static const char *const kinds[] = { "creat",     "mkdir",  "symlink",  "write",       "append", "truncate",
					     "fallocate", "link",   "unlink",   "rmdir",       "rename", "chmod",
					     "chown",     "utimes", "setxattr", "removexattr", "copy",   "snapshot" };
	static const char *const syncs[] = { "", "writeback", "fsync", "fsync of the directory", "sync", "checkpoint" };

	for (unsigned i = 0; i + 1 < run->count; i++) {
		const struct op *op = &ops[run->steps[i].op];

		fprintf(stderr, "  %u: %s %s %s %llu %llu; %s\n", i + 1, kinds[op->kind], op->path,
			op->to ? op->to : "", (unsigned long long)op->at, (unsigned long long)op->size,
			syncs[run->steps[i].sync]);
	}
}

/* Returns the number of the state that the picture shows, or fails. */
static unsigned find_state(const struct run *run, const struct th_picture *picture, uint64_t events, uint64_t seed)
{
	const char *path = NULL, *what = NULL;
	unsigned from = 0, to = 0;

	for (unsigned i = 0; i < run->count; i++) {
		if (run->states[i].durable <= events)
			from = i;
		if (run->states[i].begun < events || run->states[i].durable <= events)
			to = i;
	}
	for (unsigned i = to + 1; i-- > from;) {
		const char *differs, *at = th_picture_compare(&run->states[i].picture, picture, &differs);

		if (!at)
			return i;
		path = at;
		what = differs;
	}
	print_steps(run);
	ck_abort_msg(
		"crash after %llu events, seed %llu: no state from %u to %u is there; %s of %s differs from that of %u",
		(unsigned long long)events, (unsigned long long)seed, from, to, what, path, from);
}

static void check_snapshot(struct run *run, struct th_fs *crashed, uint64_t events)
{
	struct th_snapshot found;
	const struct state *state = &run->states[run->snapshot];
	const char *what;

	if (!run->snapshot)
		return;
	int err = th_snapshot_find(crashed->store, "s", &found);

	if (err == -ENOENT && state->durable > events)
		return;
	ck_assert_int_eq(err, 0);
	struct th_picture picture = th_picture_take(crashed, "s");
	const char *path = th_picture_compare(&state->picture, &picture, &what);

	if (path) {
		print_steps(run);
		ck_abort_msg("%s of %s differs in the snapshot", what, path);
	}
	th_picture_release(&picture);
}

static void problem(void *arg, const char *line)
{
	(void)arg;
	fprintf(stderr, "check: %s\n", line);
}

static void check_all(struct th_fs *crashed)
{
	struct th_fs_check_options check = { .read_data = true, .problem = problem };
	struct th_check_result result;

	ck_assert_int_eq(th_store_checkpoint(crashed->store), 0);
	ck_assert_int_eq(th_fs_check(crashed, &check, &result), 0);
	ck_assert_uint_eq(result.problems, 0);
}

static void check_crash(struct run *run, uint64_t events, bool all)
{
	uint64_t seed = th_random_next(run->random);
	struct th_picture picture;
	struct th_disk *image;
	struct th_fs *crashed;

	ck_assert_int_eq(th_disk_fault_crash_image(run->disk, events, seed, &image), 0);
	int err = th_fs_open(image, &options, &crashed);

	if (err)
		print_steps(run);
	ck_assert_msg(!err, "crash after %llu events, seed %llu: mount fails: %s", (unsigned long long)events,
		      (unsigned long long)seed, strerror(-err));
	picture = th_picture_take(crashed, NULL);
	find_state(run, &picture, events, seed);
	th_picture_release(&picture);
	check_snapshot(run, crashed, events);
	if (all)
		check_all(crashed);
	ck_assert_int_eq(th_fs_close(crashed), 0);
}

static unsigned images, scripts;

static void run_script(struct run *run, unsigned steps, unsigned crashes)
{
	run_begin(run);
	for (unsigned i = 0; i < steps; i++)
		do_step(run, i);
	uint64_t events = th_disk_fault_events(run->disk);

	for (unsigned i = 0; i < crashes; i++)
		check_crash(run, th_random_below(run->random, (uint32_t)events + 1), images++ % CHECK_EVERY == 0);
	run_end(run);
	scripts++;
}

static void report(void)
{
	printf("%u scripts, %u crash images\n", scripts, images);
	fflush(stdout);
}

/* Sets the steps to the nth sequence of one or two operations. */
static unsigned nth_steps(struct step *steps, uint32_t nth)
{
	const uint32_t each = OPS * SYNCS;
	unsigned count = nth < each ? 1 : 2;

	nth -= count == 2 ? each : 0;
	for (unsigned i = 0; i < count; i++, nth /= each)
		steps[i] = (struct step){ nth % each % OPS, nth % each / OPS };
	return count;
}

/* Finds the operation of this kind on these paths.  nth: of several, from 0. */
static uint8_t find_op(enum kind kind, const char *path, const char *to, unsigned nth)
{
	for (uint8_t i = 0; i < OPS; i++) {
		bool same_to = !to || (ops[i].to && !strcmp(ops[i].to, to));

		if (ops[i].kind == kind && !strcmp(ops[i].path, path) && same_to && !nth--)
			return i;
	}
	abort();
}

/* The new file is whole where it has the old one's name. */
START_TEST(rename_over_a_file_leaves_the_old_or_the_new_one)
{
	struct th_random random = { th_test_seed("order/rename") };
	struct run run = { .random = &random };
	const struct step steps[] = {
		{ find_op(CREAT, "/A/new", NULL, 0), SYNC_NONE },
		{ find_op(WRITE, "/A/new", NULL, 0), SYNC_NONE },
		{ find_op(RENAME, "/A/new", "/A/foo", 0), SYNC_NONE },
		{ find_op(CREAT, "/B/new", NULL, 0), SYNC_FILE },
	};

	make_base();
	memcpy(run.steps, steps, sizeof(steps));
	run_script(&run, 4, 10 * IMAGES);
	th_disk_close(base);
}
END_TEST

START_TEST(attributes_are_there_where_a_later_name_is)
{
	struct th_random random = { th_test_seed("order/attributes") };
	struct run run = { .random = &random };
	const struct step steps[] = {
		{ find_op(CHMOD, "/A/foo", NULL, 0), SYNC_NONE },
		{ find_op(CHOWN, "/A/bar", NULL, 0), SYNC_NONE },
		{ find_op(APPEND, "/B/baz", NULL, 0), SYNC_NONE },
		{ find_op(CREAT, "/B/new", NULL, 0), SYNC_FILE },
		{ find_op(CHMOD, "/A", NULL, 0), SYNC_NONE },
		{ find_op(UNLINK, "/A/bar", NULL, 0), SYNC_DIRECTORY },
	};

	make_base();
	memcpy(run.steps, steps, sizeof(steps));
	run_script(&run, 6, 10 * IMAGES);
	th_disk_close(base);
}
END_TEST

START_TEST(short_scripts_leave_a_state_that_was)
{
	const uint32_t all = OPS * SYNCS + OPS * SYNCS * OPS * SYNCS;
	struct th_random random = { th_test_seed("order/short") };
	struct run run = { .random = &random };
	uint32_t rounds = th_test_rounds(120);

	make_base();
	for (uint32_t i = 0; i < rounds; i++)
		run_script(&run, nth_steps(run.steps, rounds >= all ? i % all : th_random_below(&random, all)), IMAGES);
	th_disk_close(base);
	report();
}
END_TEST

START_TEST(long_scripts_leave_a_state_that_was)
{
	struct th_random random = { th_test_seed("order/long") };
	struct run run = { .random = &random };

	make_base();
	for (unsigned i = 0; i < th_test_rounds(120) / 10; i++) {
		unsigned steps = 3 + th_random_below(&random, STEPS_MAX - 2);

		for (unsigned at = 0; at < steps; at++)
			run.steps[at] = (struct step){ (uint8_t)th_random_below(&random, OPS),
						       th_random_percent(&random, 60)
							       ? SYNC_NONE
							       : (uint8_t)th_random_below(&random, SYNCS) };
		run_script(&run, steps, 5 * IMAGES);
	}
	th_disk_close(base);
	report();
}
END_TEST

/* --- failing disks --- */

#define FAULT_STEPS 12

/* Steps with every kind of sync, and operations that read, allocate and free. */
static void fault_steps(struct run *run)
{
	const struct step steps[FAULT_STEPS] = {
		{ find_op(WRITE, "/A/foo", NULL, 1), SYNC_NONE },
		{ find_op(CREAT, "/A/new", NULL, 0), SYNC_FILE },
		{ find_op(WRITE, "/A/new", NULL, 0), SYNC_WRITEBACK },
		{ find_op(APPEND, "/B/baz", NULL, 0), SYNC_ALL },
		{ find_op(RENAME, "/A/new", "/A/foo", 0), SYNC_NONE },
		{ find_op(SETXATTR, "/A/bar", NULL, 0), SYNC_CHECKPOINT },
		{ find_op(SNAPSHOT, "/", NULL, 0), SYNC_NONE },
		{ find_op(COPY, "/B/baz", NULL, 0), SYNC_DIRECTORY },
		{ find_op(TRUNCATE, "/A/foo", NULL, 1), SYNC_NONE },
		{ find_op(UNLINK, "/A/bar", NULL, 0), SYNC_FILE },
		{ find_op(FALLOCATE, "/A/foo", NULL, 0), SYNC_CHECKPOINT },
		{ find_op(CHMOD, "/A", NULL, 0), SYNC_ALL },
	};

	memcpy(run->steps, steps, sizeof(steps));
}

/* Returns whether the fault has happened. */
static bool run_faulty(struct run *run, enum th_fault_kind fault, uint64_t nth)
{
	run_begin(run);
	fault_steps(run);
	run->fault = fault;
	run->left = nth;
	for (unsigned i = 0; i < FAULT_STEPS && !th_store_failure(run->scene.fs->store); i++)
		do_step(run, i);
	for (unsigned i = 0; i < 3; i++)
		check_crash(run, th_disk_fault_events(run->disk), i == 0);
	images += 3;
	run_end(run);
	run->fault = TH_FAULT_NONE;
	return run->failed;
}

static void every_fault(enum th_fault_kind fault)
{
	struct th_random random = { th_test_seed("order/fault") };
	struct run run = { .random = &random };
	unsigned nth = 0;

	make_base();
	while (run_faulty(&run, fault, nth))
		nth++;
	th_disk_close(base);
	printf("%u transfers failed\n", nth);
	ck_assert_uint_gt(nth, FAULT_STEPS);
	report();
}

START_TEST(a_transfer_that_fails_once_leaves_a_state_that_was)
{
	every_fault(TH_FAULT_ERROR);
}
END_TEST

START_TEST(a_disk_that_fails_for_good_leaves_a_state_that_was)
{
	every_fault(TH_FAULT_CUT);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("order");
	TCase *cases = tcase_create("crashes");

	tcase_add_test(cases, rename_over_a_file_leaves_the_old_or_the_new_one);
	tcase_add_test(cases, attributes_are_there_where_a_later_name_is);
	tcase_add_test(cases, short_scripts_leave_a_state_that_was);
	tcase_add_test(cases, long_scripts_leave_a_state_that_was);
	tcase_add_test(cases, a_transfer_that_fails_once_leaves_a_state_that_was);
	tcase_add_test(cases, a_disk_that_fails_for_good_leaves_a_state_that_was);
	tcase_set_timeout(cases, 0);
	suite_add_tcase(suite, cases);
	return th_suite_run(suite);
}
