/* SPDX-License-Identifier: Apache-2.0 */
/* Requests for files: open, data, holes and copies, with their effect on set-id bits, cached pages and snapshots. */
#include "tests/fs/fuse/fuse_fixture.h"

#include <fcntl.h>
#include <unistd.h>

#include "fs/snapshot/snapshot.h"
#include "journal/disk/disk.h"

static const struct th_fake_message *read_at(uint64_t node, uint64_t off, uint32_t size, uint32_t flags)
{
	struct fuse_read_in in = { .offset = off, .size = size, .flags = flags };

	return th_fake_kernel_send(FUSE_READ, node, &in, sizeof(in));
}

static const struct th_fake_message *write_at(uint64_t node, uint64_t off, const char *text, struct fuse_write_in in)
{
	struct {
		struct fuse_write_in in;
		char data[256];
	} argument = { .in = in };

	argument.in.offset = off;
	argument.in.size = (uint32_t)strlen(text);
	memcpy(argument.data, text, strlen(text));
	return th_fake_kernel_send(FUSE_WRITE, node, &argument, sizeof(argument.in) + strlen(text));
}

static uint64_t node_in_snapshot(void)
{
	uint64_t snapdir, snapshot, found;

	ck_assert_int_eq(th_fs_snapshot_create(scene.fs, "s", NULL), 0);
	snapdir = th_fake_kernel_lookup(FUSE_ROOT_ID, ".snapshots");
	snapshot = th_fake_kernel_lookup(snapdir, "s");
	found = th_fake_kernel_lookup(snapshot, "f");
	ck_assert_uint_ne(found, 0);
	return found;
}

static void set_mode(uint32_t mode)
{
	ck_assert_int_eq(th_attr_set(file, TH_ATTR_MODE, &(struct th_attr){ .mode = S_IFREG | mode }), 0);
}

START_TEST(data_that_is_written_is_read)
{
	const struct th_fake_message *reply;
	struct fuse_write_out out;

	reply = write_at(f, 3, "hello", (struct fuse_write_in){ 0 });
	ck_assert_int_eq(reply->error, 0);
	memcpy(&out, reply->data, sizeof(out));
	ck_assert_uint_eq(out.size, 5);
	reply = read_at(f, 0, 100, 0);
	ck_assert_uint_eq(reply->size, 8);
	ck_assert_mem_eq(reply->data, "\0\0\0hello", 8);
	ck_assert_uint_eq(read_at(f, 8, 100, 0)->size, 0);
}
END_TEST

START_TEST(open_truncates_and_clears_set_id_bits_where_asked)
{
	struct fuse_open_in in = { .flags = O_WRONLY | O_TRUNC };

	write_at(f, 0, "hello", (struct fuse_write_in){ 0 });
	set_mode(06755);
	ck_assert_int_eq(send_argument(FUSE_OPEN, f, (struct fuse_open_in){ .flags = O_WRONLY }), 0);
	ck_assert_uint_eq(file->attr.size, 5);
	ck_assert_int_eq(send_argument(FUSE_OPEN, f, in), 0);
	ck_assert_uint_eq(file->attr.size, 0);
	ck_assert_uint_eq(file->attr.mode & 07777, 06755); /* the caller has CAP_FSETID */
	in.open_flags = FUSE_OPEN_KILL_SUIDGID;
	ck_assert_int_eq(send_argument(FUSE_OPEN, f, in), 0);
	ck_assert_uint_eq(file->attr.mode & 07777, 0755);
}
END_TEST

START_TEST(a_write_clears_set_id_bits_where_asked)
{
	set_mode(06755);
	write_at(f, 0, "x", (struct fuse_write_in){ 0 });
	ck_assert_uint_eq(file->attr.mode & 07777, 06755);
	write_at(f, 0, "x", (struct fuse_write_in){ .write_flags = FUSE_WRITE_KILL_SUIDGID });
	ck_assert_uint_eq(file->attr.mode & 07777, 0755);
}
END_TEST

/* For these the kernel sends no flag, so that the user decides. */
START_TEST(an_allocation_by_a_user_clears_set_id_bits)
{
	const struct fuse_fallocate_in in = { .length = 5000 };

	set_mode(06755);
	th_fake_kernel_caller(0, 0);
	ck_assert_int_eq(send_argument(FUSE_FALLOCATE, f, in), 0);
	ck_assert_uint_eq(file->attr.mode & 07777, 06755);
	ck_assert_uint_eq(file->attr.size, 5000);
	th_fake_kernel_caller(TH_FAKE_USER, 0);
	ck_assert_int_eq(send_argument(FUSE_FALLOCATE, f, in), 0);
	ck_assert_uint_eq(file->attr.mode & 07777, 0755);
}
END_TEST

/* After ENOSYS the kernel asks no more. */
START_TEST(close_needs_no_request)
{
	ck_assert_int_eq(send_argument(FUSE_FLUSH, f, (struct fuse_flush_in){ 0 }), -ENOSYS);
}
END_TEST

START_TEST(reads_update_the_time_of_access_unless_the_file_was_opened_otherwise)
{
	ck_assert_int_eq(th_attr_set(file, TH_ATTR_ATIME, &(struct th_attr){ .atime = { 1, 0 } }), 0);
	write_at(f, 0, "x", (struct fuse_write_in){ 0 });
	read_at(f, 0, 1, O_NOATIME);
	ck_assert_int_eq(file->attr.atime.seconds, 1);
	read_at(f, 0, 1, 0);
	ck_assert_int_gt(file->attr.atime.seconds, 1);
}
END_TEST

/* A direct write beside cached pages: the kernel must drop what it read before. */
START_TEST(a_direct_write_drops_pages_that_were_read_before)
{
	const struct fuse_write_in direct = { .flags = O_DIRECT };
	const struct th_fake_message *notification;
	struct fuse_notify_inval_inode_out inval;

	ck_assert_int_eq(write_at(f, 0, "old", direct)->error, 0);
	read_at(f, 0, 3, O_DIRECT);
	ck_assert_int_eq(write_at(f, 0, "new", direct)->error, 0);
	ck_assert_uint_eq(th_fake_kernel_pending(), 0); /* there are no pages */
	read_at(f, 0, 3, 0);
	ck_assert_int_eq(write_at(f, 0, "NEW", direct)->error, 0);
	notification = th_fake_kernel_notification();
	ck_assert_int_eq(notification->error, FUSE_NOTIFY_INVAL_INODE);
	memcpy(&inval, notification->data, sizeof(inval));
	ck_assert_uint_eq(inval.ino, f);
	ck_assert_int_eq(inval.off, 0);
	ck_assert_int_eq(inval.len, 3);
}
END_TEST

START_TEST(a_file_in_a_snapshot_is_read_only)
{
	uint64_t node;

	write_at(f, 0, "then", (struct fuse_write_in){ 0 });
	node = node_in_snapshot();
	write_at(f, 0, "now!", (struct fuse_write_in){ 0 });
	ck_assert_int_eq(write_at(node, 0, "x", (struct fuse_write_in){ 0 })->error, -EROFS);
	ck_assert_int_eq(send_argument(FUSE_FALLOCATE, node, (struct fuse_fallocate_in){ .length = 1 }), -EROFS);
	ck_assert_int_eq(send_argument(FUSE_FSYNC, node, (struct fuse_fsync_in){ 0 }), 0);
	ck_assert_mem_eq(read_at(node, 0, 4, 0)->data, "then", 4);
	ck_assert_int_eq(send_argument(FUSE_COPY_FILE_RANGE, f,
				       ((struct fuse_copy_file_range_in){ .nodeid_out = node, .len = 4 })),
			 -EROFS);
}
END_TEST

START_TEST(data_and_holes_are_found)
{
	const struct th_fake_message *reply;
	struct fuse_lseek_in in = { .whence = SEEK_DATA };
	struct fuse_lseek_out out;

	write_at(f, 100000, "x", (struct fuse_write_in){ 0 });
	reply = th_fake_kernel_send(FUSE_LSEEK, f, &in, sizeof(in));
	ck_assert_int_eq(reply->error, 0);
	memcpy(&out, reply->data, sizeof(out));
	ck_assert_uint_eq(out.offset, 100000 / TH_BLOCK_SIZE * TH_BLOCK_SIZE);
	in.offset = 100001;
	ck_assert_int_eq(send_argument(FUSE_LSEEK, f, in), -ENXIO);
}
END_TEST

START_TEST(a_range_is_copied_within_the_filesystem)
{
	struct fuse_copy_file_range_in in = { .len = UINT64_MAX };
	const struct th_fake_message *reply;
	struct fuse_write_out out;
	uint64_t g;

	write_at(f, 0, "content", (struct fuse_write_in){ 0 });
	ck_assert_int_eq(th_scene_make(&scene, "/g", S_IFREG | 0644), 0);
	g = th_fake_kernel_lookup(FUSE_ROOT_ID, "g");
	in.nodeid_out = g;
	reply = th_fake_kernel_send(FUSE_COPY_FILE_RANGE, f, &in, sizeof(in));
	ck_assert_int_eq(reply->error, 0);
	memcpy(&out, reply->data, sizeof(out));
	ck_assert_uint_eq(out.size, 7);
	ck_assert_mem_eq(read_at(g, 0, 100, 0)->data, "content", 7);
	in.flags = 1;
	ck_assert_int_eq(send_argument(FUSE_COPY_FILE_RANGE, f, in), -EINVAL);
	in.flags = 0;
	in.nodeid_out = 99999;
	ck_assert_int_eq(send_argument(FUSE_COPY_FILE_RANGE, f, in), -ESTALE);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = { data_that_is_written_is_read,
				       open_truncates_and_clears_set_id_bits_where_asked,
				       a_write_clears_set_id_bits_where_asked,
				       an_allocation_by_a_user_clears_set_id_bits,
				       close_needs_no_request,
				       reads_update_the_time_of_access_unless_the_file_was_opened_otherwise,
				       a_direct_write_drops_pages_that_were_read_before,
				       a_file_in_a_snapshot_is_read_only,
				       data_and_holes_are_found,
				       a_range_is_copied_within_the_filesystem };

	return run_handler_tests("fuse_file", tests, sizeof(tests) / sizeof(tests[0]));
}
