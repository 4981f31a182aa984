/* SPDX-License-Identifier: Apache-2.0 */
/* Requests to a mounted filesystem: their answers, which users may send them, and that no bytes from outside do
 * harm. */
#include "fs/control/control.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fs/diff/diff_session.h"
#include "fs/dir/namei.h"
#include "fs/format/change_record.h"
#include "journal/disk/disk.h"
#include "tests/support/random.h"
#include "tests/support/suite.h"
#include "tree/state/state.h"

#define OWNER 1000
#define STRANGER 1001

static struct th_fs *fs;
static struct th_control *control;

static void open_all(void)
{
	struct th_format_options format = { .label = "a label" };
	struct th_fs_options options = { 0 };
	struct th_disk *disk;

	ck_assert_int_eq(th_disk_memory_new((64u << 20) / TH_BLOCK_SIZE, &disk), 0);
	ck_assert_int_eq(th_fs_format(disk, &format, 0, 0), 0);
	ck_assert_int_eq(th_fs_open(disk, &options, &fs), 0);
	ck_assert_int_eq(th_control_new(fs, &control), 0);
}

static void close_all(void)
{
	th_control_free(control);
	ck_assert_int_eq(th_fs_close(fs), 0);
}

/* Sends a request as the kernel does. */
static int ask_as(uid_t uid, unsigned cmd, void *data)
{
	struct th_le32 version = th_le32(TH_CONTROL_VERSION);
	const struct th_caller caller = { .uid = uid, .admin = uid != STRANGER, .reads_root = true };
	size_t size = _IOC_SIZE(cmd), answered = 0;
	void *answer = malloc(size);
	int err;

	memcpy(data, &version, sizeof(version));
	err = th_control_ioctl(control, &caller, cmd, data, size, answer, size, &answered);
	ck_assert_uint_le(answered, size);
	if (!err)
		memcpy(data, answer, answered);
	free(answer);
	return err;
}

static int create(uid_t uid, const char *name)
{
	struct th_control_snapshot request = { 0 };

	snprintf(request.name.text, sizeof(request.name.text), "%s", name);
	return ask_as(uid, TH_CONTROL_SNAPSHOT_CREATE, &request);
}

static int begin(uid_t uid, const char *from, const char *to, struct th_le64 *ret_session)
{
	struct th_control_diff_begin request = { 0 };
	int err;

	snprintf(request.from.text, sizeof(request.from.text), "%s", from);
	snprintf(request.to.text, sizeof(request.to.text), "%s", to);
	err = ask_as(uid, TH_CONTROL_DIFF_BEGIN, &request);
	*ret_session = request.session;
	return err;
}

static int end(struct th_le64 session)
{
	struct th_control_diff_end request = { .session = session };

	return ask_as(0, TH_CONTROL_DIFF_END, &request);
}

static void make_files(unsigned count)
{
	struct th_namei_new what = { .mode = S_IFREG | 0644 };
	struct th_inode *inode;
	char name[128];

	for (unsigned i = 0; i < count; i++) {
		int size = snprintf(name, sizeof(name), "a file with quite a long name, number %u", i);

		ck_assert_int_eq(th_namei_create(fs->root, (struct th_slice){ name, (size_t)size }, &what, &inode), 0);
		th_inode_put(inode);
	}
}

static int branch(uid_t uid, const char *name, const char *from)
{
	struct th_control_branch request = { 0 };

	snprintf(request.name.text, sizeof(request.name.text), "%s", name);
	snprintf(request.from.text, sizeof(request.from.text), "%s", from);
	return ask_as(uid, TH_CONTROL_BRANCH_CREATE, &request);
}

START_TEST(branches_are_created_renamed_deleted_and_listed)
{
	struct th_control_rename rename = { .from = { "b7" }, .to = { "another" } };
	struct th_control_branch delete = { .name = { "b8" } }, promote = { .name = { "main" } };
	struct th_control_branches list = { 0 };
	unsigned seen = 0;
	char name[32];

	ck_assert_int_eq(create(0, "s"), 0);
	for (unsigned i = 0; i < 2 * TH_CONTROL_BRANCHES_MAX + 1; i++) {
		snprintf(name, sizeof(name), "b%u", i);
		ck_assert_int_eq(branch(OWNER, name, "s"), 0);
	}
	ck_assert_int_eq(branch(STRANGER, "c", "s"), -EPERM);
	ck_assert_int_eq(branch(OWNER, "c", "none"), -ENOENT);
	ck_assert_int_eq(branch(OWNER, "b1", "s"), -EEXIST);
	ck_assert_int_eq(branch(OWNER, "", ""), -EINVAL);
	ck_assert_int_eq(branch(OWNER, "a/b", "s"), -EINVAL);
	ck_assert_int_eq(ask_as(STRANGER, TH_CONTROL_BRANCH_RENAME, &rename), -EPERM);
	ck_assert_int_eq(ask_as(OWNER, TH_CONTROL_BRANCH_RENAME, &rename), 0);
	ck_assert_int_eq(ask_as(OWNER, TH_CONTROL_BRANCH_RENAME, &rename), -ENOENT);
	ck_assert_int_eq(ask_as(STRANGER, TH_CONTROL_BRANCH_PROMOTE, &promote), -EPERM);
	ck_assert_int_eq(ask_as(OWNER, TH_CONTROL_BRANCH_PROMOTE, &promote), -ENOLINK);
	ck_assert_int_eq(ask_as(STRANGER, TH_CONTROL_BRANCH_DELETE, &delete), -EPERM);
	ck_assert_int_eq(ask_as(OWNER, TH_CONTROL_BRANCH_DELETE, &delete), 0);
	ck_assert_int_eq(ask_as(OWNER, TH_CONTROL_BRANCH_DELETE, &delete), -ENOENT);
	delete.flags = th_le32(128);
	ck_assert_int_eq(ask_as(OWNER, TH_CONTROL_BRANCH_DELETE, &delete), -EINVAL);
	do {
		ck_assert_int_eq(ask_as(STRANGER, TH_CONTROL_BRANCH_LIST, &list), 0);
		for (unsigned i = 0; i < th_get_le32(list.count); i++) {
			bool main_branch = !strcmp(list.list[i].name.text, "main");

			list.after = list.list[i].id;
			ck_assert_uint_eq(th_get_le32(list.list[i].flags) & TH_CONTROL_BRANCH_CURRENT, main_branch);
			ck_assert_uint_eq(th_get_le64(list.list[i].snapshots), main_branch);
			seen++;
		}
	} while (th_get_le32(list.count));
	ck_assert_uint_eq(seen, 2 * TH_CONTROL_BRANCHES_MAX + 1);
}
END_TEST

START_TEST(any_user_gets_information)
{
	struct th_control_info info = { 0 };

	ck_assert_int_eq(create(0, "one"), 0);
	ck_assert_int_eq(ask_as(STRANGER, TH_CONTROL_INFO, &info), 0);
	ck_assert_str_eq(info.label, "a label");
	ck_assert_uint_eq(th_get_le64(info.blocks), (64u << 20) / TH_BLOCK_SIZE);
	ck_assert_uint_eq(th_get_le64(info.snapshots), 1);
	ck_assert_uint_eq(th_get_le64(info.branches), 1);
	ck_assert_str_eq(info.branch.text, "main");
	ck_assert_uint_eq(info.read_only, 0);
}
END_TEST

START_TEST(snapshots_are_created_renamed_deleted_and_listed)
{
	struct th_control_rename rename = { .from = { "s7" }, .to = { "s99" } };
	struct th_control_snapshot delete = { .name = { "s8" } };
	struct th_control_list list = { 0 };
	unsigned seen = 0;
	char name[8];

	for (unsigned i = 0; i < 2 * TH_CONTROL_LIST_MAX + 1; i++) {
		snprintf(name, sizeof(name), "s%u", i + 100);
		ck_assert_int_eq(create(OWNER, name), 0);
	}
	ck_assert_int_eq(create(OWNER, "s100"), -EEXIST);
	ck_assert_int_eq(create(OWNER, ""), -EINVAL);
	ck_assert_int_eq(create(OWNER, "s7"), 0);
	ck_assert_int_eq(create(OWNER, "s8"), 0);
	ck_assert_int_eq(ask_as(OWNER, TH_CONTROL_SNAPSHOT_RENAME, &rename), 0);
	ck_assert_int_eq(ask_as(OWNER, TH_CONTROL_SNAPSHOT_RENAME, &rename), -ENOENT);
	ck_assert_int_eq(ask_as(OWNER, TH_CONTROL_SNAPSHOT_DELETE, &delete), 0);
	ck_assert_int_eq(ask_as(OWNER, TH_CONTROL_SNAPSHOT_DELETE, &delete), -ENOENT);
	do {
		ck_assert_int_eq(ask_as(STRANGER, TH_CONTROL_SNAPSHOT_LIST, &list), 0);
		seen += th_get_le32(list.count);
		if (th_get_le32(list.count)) {
			list.after = list.list[th_get_le32(list.count) - 1].id;
			strcpy(name, list.list[th_get_le32(list.count) - 1].name.text);
		}
	} while (th_get_le32(list.count));
	ck_assert_uint_eq(seen, 2 * TH_CONTROL_LIST_MAX + 2);
	ck_assert_str_eq(name, "s99");
}
END_TEST

static int hold_as(uid_t uid, unsigned cmd, const char *snapshot, const char *tag)
{
	struct th_control_hold request = { 0 };

	snprintf(request.snapshot.text, sizeof(request.snapshot.text), "%s", snapshot);
	snprintf(request.tag.text, sizeof(request.tag.text), "%s", tag);
	return ask_as(uid, cmd, &request);
}

START_TEST(holds_are_added_listed_and_released)
{
	struct th_control_snapshot delete = { .name = { "s" } };
	struct th_control_holds list = { 0 };
	struct th_control_list listed = { 0 };
	unsigned seen = 0;
	char tag[32];

	ck_assert_int_eq(create(OWNER, "s"), 0);
	ck_assert_int_eq(hold_as(STRANGER, TH_CONTROL_SNAPSHOT_HOLD, "s", "t"), -EPERM);
	ck_assert_int_eq(hold_as(OWNER, TH_CONTROL_SNAPSHOT_HOLD, "none", "t"), -ENOENT);
	ck_assert_int_eq(hold_as(OWNER, TH_CONTROL_SNAPSHOT_HOLD, "s", ""), -EINVAL);
	for (unsigned i = 0; i < 2 * TH_CONTROL_HOLDS_MAX + 1; i++) {
		snprintf(tag, sizeof(tag), "tag %u", i);
		ck_assert_int_eq(hold_as(i % 2 ? OWNER : 0, TH_CONTROL_SNAPSHOT_HOLD, "s", tag), 0);
	}
	ck_assert_int_eq(hold_as(OWNER, TH_CONTROL_SNAPSHOT_HOLD, "s", "tag 7"), -EEXIST);
	ck_assert_int_eq(ask_as(OWNER, TH_CONTROL_SNAPSHOT_DELETE, &delete), -EBUSY);
	ck_assert_int_eq(ask_as(STRANGER, TH_CONTROL_SNAPSHOT_LIST, &listed), 0);
	ck_assert_uint_eq(th_get_le64(listed.list[0].holds), 2 * TH_CONTROL_HOLDS_MAX + 1);
	do {
		ck_assert_int_eq(ask_as(STRANGER, TH_CONTROL_HOLD_LIST, &list), 0);
		for (unsigned i = 0; i < th_get_le32(list.count); i++) {
			list.after = list.list[i].id;
			snprintf(tag, sizeof(tag), "tag %u", seen++);
			ck_assert_str_eq(list.list[i].tag.text, tag);
			ck_assert_uint_eq(th_get_le64(list.list[i].snapshot), th_get_le64(listed.list[0].id));
			ck_assert_uint_gt(th_get_le64(list.list[i].created_ns), 0);
			ck_assert_int_eq(hold_as(STRANGER, TH_CONTROL_SNAPSHOT_RELEASE, "s", tag), -EPERM);
			ck_assert_int_eq(hold_as(OWNER, TH_CONTROL_SNAPSHOT_RELEASE, "s", tag), 0);
			ck_assert_int_eq(hold_as(OWNER, TH_CONTROL_SNAPSHOT_RELEASE, "s", tag), -ENOENT);
		}
	} while (th_get_le32(list.count));
	ck_assert_uint_eq(seen, 2 * TH_CONTROL_HOLDS_MAX + 1);
	ck_assert_int_eq(ask_as(OWNER, TH_CONTROL_SNAPSHOT_DELETE, &delete), 0);
}
END_TEST

START_TEST(other_users_may_not_change_or_diff)
{
	struct th_control_diff_next next = { 0 };
	struct th_le64 session;

	ck_assert_int_eq(create(STRANGER, "one"), -EPERM);
	ck_assert_int_eq(create(OWNER, "one"), 0);
	ck_assert_int_eq(begin(STRANGER, "one", "", &session), -EPERM);
	ck_assert_int_eq(begin(OWNER, "one", "", &session), 0);
	next.session = session;
	ck_assert_int_eq(ask_as(STRANGER, TH_CONTROL_DIFF_NEXT, &next), -EPERM);
	ck_assert_int_eq(end(session), 0);
}
END_TEST

START_TEST(a_diff_is_read_in_pieces)
{
	struct th_control_diff_next next = { 0 };
	uint8_t *stream = NULL;
	size_t size = 0, taken, changes = 0;
	struct th_fs_change change;
	struct th_le64 session;

	ck_assert_int_eq(create(0, "one"), 0);
	make_files(500);
	ck_assert_int_eq(begin(0, "one", "", &session), 0);
	while (!th_get_le32(next.ended)) {
		next.session = session;
		ck_assert_int_eq(ask_as(0, TH_CONTROL_DIFF_NEXT, &next), 0);
		stream = realloc(stream, size + sizeof(next.stream));
		memcpy(stream + size, next.stream, th_get_le32(next.bytes));
		size += th_get_le32(next.bytes);
	}
	for (size_t at = 0; at < size; at += taken, changes++) {
		ck_assert_int_eq(th_fs_change_unpack(stream + at, size - at, &change, &taken), 0);
		th_fs_change_release(&change);
	}
	ck_assert_uint_eq(changes, 501); /* the root too */
	ck_assert_uint_gt(size, sizeof(next.stream));
	free(stream);
	ck_assert_int_eq(end(session), 0);
	ck_assert_int_eq(end(session), -ESTALE);
	next.session = session;
	ck_assert_int_eq(ask_as(0, TH_CONTROL_DIFF_NEXT, &next), -ESTALE);
}
END_TEST

START_TEST(the_number_of_diffs_is_limited)
{
	struct th_le64 sessions[TH_DIFF_SESSIONS_MAX], more;

	ck_assert_int_eq(create(0, "one"), 0);
	ck_assert_int_eq(begin(0, "none", "", &more), -ENOENT);
	ck_assert_int_eq(begin(0, "one", "none", &more), -ENOENT);
	for (unsigned i = 0; i < TH_DIFF_SESSIONS_MAX; i++)
		ck_assert_int_eq(begin(0, "one", "", &sessions[i]), 0);
	ck_assert_int_eq(begin(0, "one", "", &more), -EMFILE);
	ck_assert_int_eq(end(sessions[3]), 0);
	ck_assert_int_eq(begin(0, "one", "", &more), 0);
	/* th_control_free ends the other sessions. */
}
END_TEST

START_TEST(owner_of_the_root_changes_snapshots_only_where_that_is_delegated)
{
	struct th_control_snapshot delete = { .name = { "two" } };
	struct th_control_rename rename = { .from = { "one" }, .to = { "two" } };
	struct th_control_rollback rollback = { .snapshot = { "two" } };
	struct th_control_reclaim reclaim = { 0 };
	struct th_le64 session;

	fs->root->attr.uid = STRANGER;
	ck_assert_int_eq(create(STRANGER, "one"), -EPERM);
	fs->options.snapshots = TH_SNAPSHOTS_OWNER;
	ck_assert_int_eq(create(STRANGER, "one"), 0);
	ck_assert_int_eq(ask_as(STRANGER, TH_CONTROL_SNAPSHOT_RENAME, &rename), 0);
	ck_assert_int_eq(begin(STRANGER, "two", "", &session), -EPERM);
	ck_assert_int_eq(hold_as(STRANGER, TH_CONTROL_SNAPSHOT_HOLD, "two", "t"), -EPERM);
	ck_assert_int_eq(branch(STRANGER, "b", "two"), -EPERM);
	ck_assert_int_eq(ask_as(STRANGER, TH_CONTROL_ROLLBACK, &rollback), -EPERM);
	ck_assert_int_eq(ask_as(STRANGER, TH_CONTROL_SNAPSHOT_DELETE, &delete), 0);
	ck_assert_int_eq(ask_as(STRANGER, TH_CONTROL_RECLAIM, &reclaim), 0);
	fs->options.snapshots = TH_SNAPSHOTS_NONE;
	ck_assert_int_eq(create(OWNER, "one"), -EPERM);
	ck_assert_int_eq(branch(OWNER, "b", ""), -EPERM);
}
END_TEST

START_TEST(malformed_requests_are_refused)
{
	struct th_control_diff_begin request = { .version = th_le32(TH_CONTROL_VERSION), .from = { "one" } };
	struct th_control_snapshot name = { .version = th_le32(TH_CONTROL_VERSION) };
	struct th_control_hold hold = { .snapshot = { "one" } };
	const struct th_caller root = { .uid = 0, .admin = true };
	uint8_t answer[16384];
	size_t size;

	ck_assert_int_eq(create(0, "one"), 0);
	ck_assert_int_eq(th_control_ioctl(control, &root, _IO(TH_CONTROL_TYPE, 99), NULL, 0, NULL, 0, &size), -ENOTTY);
	ck_assert_int_eq(
		th_control_ioctl(control, &root, TH_CONTROL_DIFF_BEGIN, &request, 100, answer, sizeof(answer), &size),
		-EINVAL);
	ck_assert_int_eq(
		th_control_ioctl(control, &root, TH_CONTROL_DIFF_BEGIN, &request, sizeof(request), answer, 100, &size),
		-EINVAL);
	request.version = th_le32(TH_CONTROL_VERSION + 1);
	ck_assert_int_eq(th_control_ioctl(control, &root, TH_CONTROL_DIFF_BEGIN, &request, sizeof(request), answer,
					  sizeof(answer), &size),
			 -EPROTO);
	memset(name.name.text, 'x', sizeof(name.name.text));
	ck_assert_int_eq(ask_as(0, TH_CONTROL_SNAPSHOT_CREATE, &name), -EINVAL);
	ck_assert_int_eq(ask_as(0, TH_CONTROL_SNAPSHOT_DELETE, &name), -EINVAL);
	memset(hold.tag.text, 'x', sizeof(hold.tag.text));
	ck_assert_int_eq(ask_as(0, TH_CONTROL_SNAPSHOT_HOLD, &hold), -EINVAL);
	ck_assert_int_eq(ask_as(0, TH_CONTROL_SNAPSHOT_RELEASE, &hold), -EINVAL);
	memset(request.path, '/', sizeof(request.path));
	ck_assert_int_eq(ask_as(0, TH_CONTROL_DIFF_BEGIN, &request), -EINVAL);
	strcpy(request.path, "no slash");
	ck_assert_int_eq(ask_as(0, TH_CONTROL_DIFF_BEGIN, &request), -EINVAL);
}
END_TEST

START_TEST(trim_discards_free_space_for_administrators)
{
	const struct th_caller owner = { .uid = OWNER, .admin = true }, stranger = { .uid = STRANGER };
	struct th_control_trim request = { .length = th_le64(UINT64_MAX) };
	uint64_t bytes = 1;

	ck_assert_int_eq(ask_as(STRANGER, TH_CONTROL_TRIM, &request), -EPERM);
	ck_assert_int_eq(th_control_fitrim(control, &stranger, 0, UINT64_MAX, 0, &bytes), -EPERM);
	ck_assert_int_eq(ask_as(OWNER, TH_CONTROL_TRIM, &request), 0);
	ck_assert_uint_ge(th_get_le64(request.trimmed), 50 << 20);
	ck_assert_int_eq(th_control_fitrim(control, &owner, 40 << 20, 1 << 20, 0, &bytes), 0);
	ck_assert_uint_eq(bytes, 1 << 20);
}
END_TEST

START_TEST(resize_is_for_administrators)
{
	struct th_control_resize request = { .bytes = th_le64(80 << 20) };
	struct statvfs stat;

	ck_assert_int_eq(ask_as(STRANGER, TH_CONTROL_RESIZE, &request), -EPERM);
	ck_assert_int_eq(ask_as(OWNER, TH_CONTROL_RESIZE, &request), 0);
	ck_assert_uint_eq(th_get_le64(request.bytes), 80 << 20);
	ck_assert_uint_eq(th_get_le32(request.unchanged), 0);
	ck_assert_int_eq(th_fs_statfs(fs, &stat), 0);
	ck_assert_uint_eq(stat.f_blocks * stat.f_frsize, 80 << 20);
	ck_assert_int_eq(ask_as(OWNER, TH_CONTROL_RESIZE, &request), 0);
	ck_assert_uint_eq(th_get_le32(request.unchanged), 1);
	request.bytes = th_le64(64 << 20);
	ck_assert_int_eq(ask_as(OWNER, TH_CONTROL_RESIZE, &request), -EINVAL);
}
END_TEST

START_TEST(space_of_snapshots_is_listed_and_added_up)
{
	struct th_control_spaces list = { 0 };
	struct th_control_space_of sum = { .count = th_le32(2), .ids = { th_le32(2), th_le32(1) } };
	unsigned seen = 0;
	char name[32];

	for (unsigned i = 0; i < TH_CONTROL_SPACES_MAX + 3; i++) {
		snprintf(name, sizeof(name), "s%u", i);
		ck_assert_int_eq(create(0, name), 0);
	}
	ck_assert_int_eq(branch(OWNER, "b", "s1"), 0);
	do {
		ck_assert_int_eq(ask_as(OWNER, TH_CONTROL_SNAPSHOT_SPACES, &list), 0);
		for (unsigned i = 0; i < th_get_le32(list.count); i++) {
			list.after = list.list[i].id;
			ck_assert_uint_eq(th_get_le64(list.after), ++seen);
			ck_assert_uint_eq(th_get_le64(list.list[i].bytes) == TH_CONTROL_SPACE_UNKNOWN, seen == 2);
		}
	} while (th_get_le32(list.count));
	ck_assert_uint_eq(seen, TH_CONTROL_SPACES_MAX + 3);
	ck_assert_int_eq(ask_as(STRANGER, TH_CONTROL_SNAPSHOT_SPACES, &list), -EPERM);

	ck_assert_int_eq(ask_as(OWNER, TH_CONTROL_SNAPSHOT_SPACE_OF, &sum), 0);
	ck_assert_uint_eq(th_get_le64(sum.bytes), TH_CONTROL_SPACE_UNKNOWN);
	sum.count = th_le32(2);
	sum.ids[0] = th_le32(3);
	sum.ids[1] = th_le32(1);
	ck_assert_int_eq(ask_as(OWNER, TH_CONTROL_SNAPSHOT_SPACE_OF, &sum), 0);
	ck_assert_uint_lt(th_get_le64(sum.bytes), 1 << 20);
	sum.count = th_le32(TH_CONTROL_SPACE_OF_MAX + 1);
	ck_assert_int_eq(ask_as(OWNER, TH_CONTROL_SNAPSHOT_SPACE_OF, &sum), -EINVAL);
	sum.count = th_le32(1);
	sum.ids[0] = th_le32(1000);
	ck_assert_int_eq(ask_as(OWNER, TH_CONTROL_SNAPSHOT_SPACE_OF, &sum), -ENOENT);
	ck_assert_int_eq(ask_as(STRANGER, TH_CONTROL_SNAPSHOT_SPACE_OF, &sum), -EPERM);
}
END_TEST

START_TEST(trees_are_copied_for_administrators)
{
	struct th_control_copy request = { .source = "/", .target = "/all" }, wrong;

	make_files(3);
	ck_assert_int_eq(ask_as(OWNER, TH_CONTROL_COPY, &request), 0);
	ck_assert_uint_eq(th_get_le64(request.inodes), 4);
	request = (struct th_control_copy){ .source = "/", .target = "/all" };
	ck_assert_int_eq(ask_as(OWNER, TH_CONTROL_COPY, &request), -EEXIST);
	ck_assert_int_eq(ask_as(STRANGER, TH_CONTROL_COPY, &request), -EPERM);
	wrong = (struct th_control_copy){ .source = "/none", .target = "/x" };
	ck_assert_int_eq(ask_as(OWNER, TH_CONTROL_COPY, &wrong), -ENXIO);
	wrong = (struct th_control_copy){ .source = "/all", .target = "/none/x" };
	ck_assert_int_eq(ask_as(OWNER, TH_CONTROL_COPY, &wrong), -ENOENT);
	wrong = (struct th_control_copy){ .source = "/all", .target = "/", .aside = { "x" } };
	ck_assert_int_eq(ask_as(OWNER, TH_CONTROL_COPY, &wrong), -EINVAL);
	wrong = (struct th_control_copy){ .source = "/../all", .target = "/x" };
	ck_assert_int_eq(ask_as(OWNER, TH_CONTROL_COPY, &wrong), -EINVAL);
	wrong = (struct th_control_copy){ .source = "/all", .target = "/x", .from = { "none" } };
	ck_assert_int_eq(ask_as(OWNER, TH_CONTROL_COPY, &wrong), -ESRCH);
	memset(wrong.source, 'x', sizeof(wrong.source));
	ck_assert_int_eq(ask_as(OWNER, TH_CONTROL_COPY, &wrong), -EINVAL);
	ck_assert_int_eq(create(0, "copy"), 0); /* none of these has left a snapshot */
	struct th_control_list list = { 0 };

	ck_assert_int_eq(ask_as(OWNER, TH_CONTROL_SNAPSHOT_LIST, &list), 0);
	ck_assert_uint_eq(th_get_le32(list.count), 1);
}
END_TEST

START_TEST(random_bytes_do_no_harm)
{
	static const unsigned cmds[] = { TH_CONTROL_INFO,
					 TH_CONTROL_SNAPSHOT_CREATE,
					 TH_CONTROL_SNAPSHOT_DELETE,
					 TH_CONTROL_SNAPSHOT_RENAME,
					 TH_CONTROL_SNAPSHOT_LIST,
					 TH_CONTROL_DIFF_BEGIN,
					 TH_CONTROL_DIFF_NEXT,
					 TH_CONTROL_DIFF_END,
					 TH_CONTROL_BRANCH_CREATE,
					 TH_CONTROL_BRANCH_DELETE,
					 TH_CONTROL_BRANCH_RENAME,
					 TH_CONTROL_BRANCH_LIST,
					 TH_CONTROL_BRANCH_PROMOTE,
					 TH_CONTROL_ROLLBACK,
					 TH_CONTROL_SNAPSHOT_HOLD,
					 TH_CONTROL_SNAPSHOT_RELEASE,
					 TH_CONTROL_HOLD_LIST,
					 TH_CONTROL_RECLAIM,
					 TH_CONTROL_TRIM,
					 TH_CONTROL_SNAPSHOT_SPACES,
					 TH_CONTROL_SNAPSHOT_SPACE_OF,
					 TH_CONTROL_COPY };
	struct th_random random = { th_test_seed("test_control") };
	unsigned rounds = th_test_rounds(500);
	uint8_t *data = malloc(16384);

	for (unsigned i = 0; i < rounds; i++) {
		th_random_fill(&random, data, 16384);
		for (unsigned n = th_random_below(&random, 40); n; n--) /* most names and paths are terminated */
			data[th_random_below(&random, 400)] = 0;
		ask_as(0, cmds[th_random_below(&random, sizeof(cmds) / sizeof(cmds[0]))], data);
	}
	free(data);
}
END_TEST

START_TEST(information_names_the_failure_after_which_changes_are_refused)
{
	struct th_control_info info = { 0 };

	ck_assert_int_eq(ask_as(STRANGER, TH_CONTROL_INFO, &info), 0);
	ck_assert_uint_eq(th_get_le16(info.failure), 0);
	atomic_store(&fs->store->failed, ENOSPC);
	ck_assert_int_eq(ask_as(STRANGER, TH_CONTROL_INFO, &info), 0);
	atomic_store(&fs->store->failed, 0);
	ck_assert_uint_eq(th_get_le16(info.failure), ENOSPC);
	ck_assert(info.read_only);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("control");
	TCase *tc = tcase_create("control");

	tcase_add_checked_fixture(tc, open_all, close_all);
	tcase_set_timeout(tc, 300);
	tcase_add_test(tc, branches_are_created_renamed_deleted_and_listed);
	tcase_add_test(tc, any_user_gets_information);
	tcase_add_test(tc, snapshots_are_created_renamed_deleted_and_listed);
	tcase_add_test(tc, holds_are_added_listed_and_released);
	tcase_add_test(tc, other_users_may_not_change_or_diff);
	tcase_add_test(tc, a_diff_is_read_in_pieces);
	tcase_add_test(tc, the_number_of_diffs_is_limited);
	tcase_add_test(tc, owner_of_the_root_changes_snapshots_only_where_that_is_delegated);
	tcase_add_test(tc, malformed_requests_are_refused);
	tcase_add_test(tc, trim_discards_free_space_for_administrators);
	tcase_add_test(tc, information_names_the_failure_after_which_changes_are_refused);
	tcase_add_test(tc, resize_is_for_administrators);
	tcase_add_test(tc, space_of_snapshots_is_listed_and_added_up);
	tcase_add_test(tc, trees_are_copied_for_administrators);
	tcase_add_test(tc, random_bytes_do_no_harm);
	suite_add_tcase(suite, tc);
	return th_suite_run(suite);
}
