/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/stream/receive.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/check/check.h"
#include "fs/fs.h"
#include "fs/snapshot/branch.h"
#include "fs/snapshot/snapshot.h"
#include "fs/stream/apply.h"
#include "fs/stream/piece.h"
#include "fs/stream/target_branch.h"
#include "journal/base/array.h"
#include "journal/base/clock.h"
#include "journal/disk/disk.h"

/* Between checkpoints, after which a receiver that was killed need not repeat what came before. */
#define CHECKPOINT_NS (5 * TH_NS_PER_S)
/* No checkpoint comes between the last transaction of a receive and its snapshot: the receiver makes its own. */
#define NO_CHECKPOINTS_MS (24u * 3600 * 1000)

enum state {
	STATE_BETWEEN, /* before a stream, or after one */
	STATE_SKIP, /* in a stream that is not applied */
	STATE_APPLY,
	STATE_FAILED,
};

struct th_receive {
	struct th_receive_options options;
	char why[TH_RECEIVE_WHY_MAX];
	enum state state;
	bool any; /* a stream has begun */
	struct th_piece_reader reader;
	/* The piece that is coming. */
	uint8_t *piece;
	size_t have, want, capacity;
	/* The stream. */
	struct th_stream_info info;
	struct th_stream_totals totals;
	/* The image. */
	struct th_fs *fs;
	struct th_view *base;
	struct th_target_branch target;
	struct th_apply *apply;
	uint64_t checkpoint_ns; /* of th_monotonic_ns: when the last one was made */
	unsigned complaints; /* lines of the checker */
};

static int fail(struct th_receive *receive, int err, const char *format, ...) __attribute__((format(printf, 3, 4)));
static int fail(struct th_receive *receive, int err, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(receive->why, sizeof(receive->why), format, arguments);
	va_end(arguments);
	return err;
}

static void tell(struct th_receive *receive, enum th_receive_event event)
{
	const char *branch = event == TH_RECEIVE_KEPT ? receive->target.kept : receive->target.name;

	if (receive->options.event)
		receive->options.event(receive->options.arg, event, &receive->info, branch, &receive->totals);
}

/* --- the image --- */

static int open_image(const struct th_receive_options *options, bool read_only, const char *branch, struct th_fs **ret)
{
	struct th_fs_options fs_options = {
		.read_only = read_only,
		.branch = branch,
		.unfinished = true,
		.checkpoint_interval_ms = NO_CHECKPOINTS_MS,
		.report = options->report,
		.report_arg = options->arg,
	};
	struct th_disk *disk;
	int err = th_disk_open_url(options->image, read_only ? TH_DISK_READ_ONLY : 0, &disk);

	if (err)
		return err;
	err = th_fs_open(disk, &fs_options, ret);
	if (err)
		th_disk_close(disk);
	return err;
}

static int close_image(struct th_fs **fs)
{
	int err = *fs ? th_fs_close(*fs) : 0;

	*fs = NULL;
	return err;
}

/* Makes another branch the current one, unless it is. */
static int switch_branch(const struct th_receive_options *options, struct th_fs **fs, const char *branch)
{
	struct th_store_info info;
	int err;

	th_store_info((*fs)->store, &info);
	if (!strcmp(info.branch, branch))
		return 0;
	err = close_image(fs);
	return err ? err : open_image(options, false, branch, fs);
}

/* --- the beginning of a stream --- */

static void end_apply(struct th_receive *receive)
{
	if (receive->apply)
		th_apply_release(receive->apply);
	free(receive->apply);
	receive->apply = NULL;
	th_view_close(receive->base);
	receive->base = NULL;
}

static int begin_apply(struct th_receive *receive)
{
	int err = 0;

	if (receive->target.base.id)
		err = th_view_snapshot(receive->fs->store, receive->target.base.id, &receive->base);
	receive->apply = err ? NULL : malloc(sizeof(*receive->apply));
	if (!err && !receive->apply)
		err = -ENOMEM;
	if (!err)
		err = th_apply_init(receive->apply, receive->fs, receive->base, &receive->target.unfinished);
	if (!err && !receive->target.resumed)
		err = th_apply_commit(receive->apply); /* from here on the branch is marked */
	if (err)
		return err;
	receive->checkpoint_ns = th_monotonic_ns();
	receive->state = STATE_APPLY;
	tell(receive, receive->target.resumed ? TH_RECEIVE_RESUMED : TH_RECEIVE_BEGUN);
	return 0;
}

/* Finds the branch, and makes it the current one. */
static int choose_branch(struct th_receive *receive)
{
	struct th_target_branch *target = &receive->target;
	struct th_store_info info;
	int err = th_target_branch_prepare(receive->fs, &receive->info, receive->options.branch, receive->options.force,
					   target, receive->why);

	if (err)
		return err;
	if (*target->kept)
		tell(receive, TH_RECEIVE_KEPT);
	th_store_info(receive->fs->store, &info);
	if (!target->resumed && strcmp(info.branch, target->name) && strcmp(info.branch, target->kept))
		strcpy(target->unfinished.current, info.branch);
	return switch_branch(&receive->options, &receive->fs, target->name);
}

static int take_begin(struct th_receive *receive, struct th_slice content)
{
	struct th_snapshot present;
	int err = th_stream_begin_decode(content, &receive->info);

	if (err)
		return err == -EPROTONOSUPPORT ? fail(receive, err, "the stream was made by a newer version") : err;
	receive->any = true;
	receive->totals = (struct th_stream_totals){ 0 };
	receive->target = (struct th_target_branch){ 0 };
	receive->state = STATE_SKIP;
	if (!receive->options.image) {
		tell(receive, TH_RECEIVE_BEGUN);
		return 0;
	}
	err = receive->fs ? 0 : open_image(&receive->options, false, NULL, &receive->fs);
	if (!err && !th_snapshot_find_identity(receive->fs->store, receive->info.identity, &present)) {
		tell(receive, TH_RECEIVE_PRESENT);
		return 0;
	}
	if (!err)
		err = choose_branch(receive);
	return err ? err : begin_apply(receive);
}

/* --- records --- */

/* Makes the progress durable, from time to time. */
static int make_durable(struct th_receive *receive)
{
	int err;

	if (th_monotonic_ns() - receive->checkpoint_ns < CHECKPOINT_NS)
		return 0;
	err = th_apply_commit(receive->apply);
	if (!err)
		err = th_store_checkpoint(receive->fs->store);
	receive->checkpoint_ns = th_monotonic_ns();
	return err;
}

static int take_records(struct th_receive *receive, struct th_slice content)
{
	struct th_record record;
	size_t size;
	int err;

	while (!(err = th_record_decode(content, &record, &size))) {
		th_record_count(&record, &receive->totals);
		if (receive->state == STATE_APPLY)
			err = th_apply_record(receive->apply, &record);
		if (err == -EUCLEAN && receive->apply && receive->apply->why)
			return fail(receive, err, "the stream is not valid: inode %llu: %s",
				    (unsigned long long)record.inode, receive->apply->why);
		if (err)
			return err;
		content = (struct th_slice){ (const uint8_t *)content.data + size, content.size - size };
	}
	if (err < 0)
		return fail(receive, err, "the stream is not valid: a record is malformed");
	return receive->state == STATE_APPLY ? make_durable(receive) : 0;
}

/* --- the end of a stream --- */

static void complain(void *arg, const char *line)
{
	struct th_receive *receive = arg;

	if (!receive->complaints++)
		fail(receive, 0, "the stream is not valid: %s", line);
}

/* Checks that what was received is a filesystem. */
static int verify(struct th_receive *receive)
{
	const struct th_fs_check_options options = { .problem = complain, .arg = receive };
	uint64_t problems;
	int err = th_fs_check_changes(receive->fs, receive->base, &options, &problems);

	return err ? err : problems ? -EUCLEAN : 0;
}

static int end_unfinished(struct th_store *store)
{
	struct th_txn *txn;
	int err = th_txn_begin(store, &txn);

	if (err)
		return err;
	err = th_unfinished_delete(txn);
	if (err) {
		th_txn_rollback(txn);
		return err;
	}
	return th_txn_commit(txn);
}

static int make_snapshot(struct th_receive *receive)
{
	struct th_snapshot original = { .created_ns = receive->info.created_ns };
	struct th_store *store = receive->fs->store;
	int err = th_store_checkpoint(store);

	memcpy(original.identity, receive->info.identity, sizeof(original.identity));
	if (!err)
		err = end_unfinished(store); /* the checkpoint of the snapshot has it, too */
	if (!err)
		err = th_snapshot_create_copy(store, receive->info.name, &original, NULL);
	if (err == -EEXIST)
		return fail(receive, err, "it has another snapshot '%s'; rename that first", receive->info.name);
	return err;
}

static int finish(struct th_receive *receive)
{
	char current[TH_BRANCH_NAME_MAX + 1];
	int err = th_apply_commit(receive->apply);

	strcpy(current, receive->target.unfinished.current);
	if (!err)
		err = verify(receive);
	if (err)
		return err;
	end_apply(receive);
	err = make_snapshot(receive);
	if (!err && *current)
		err = switch_branch(&receive->options, &receive->fs, current);
	return err;
}

static int take_end(struct th_receive *receive, struct th_slice content)
{
	struct th_stream_totals totals;
	int err = th_stream_end_decode(content, &totals);

	if (!err && memcmp(&totals, &receive->totals, sizeof(totals)))
		err = fail(receive, -EUCLEAN,
			   "the stream is not valid: it does not have the records that its end counts");
	if (err)
		return err;
	if (receive->state == STATE_APPLY) {
		err = finish(receive);
		if (!err)
			tell(receive, TH_RECEIVE_DONE);
	} else if (!receive->options.image) {
		tell(receive, TH_RECEIVE_DONE);
	}
	receive->state = STATE_BETWEEN;
	return err;
}

/* --- pieces --- */

static int take_piece(struct th_receive *receive)
{
	bool between = receive->state == STATE_BETWEEN;
	enum th_piece_kind kind;
	struct th_slice content;
	int err = th_piece_read(&receive->reader, receive->piece, receive->have, &kind, &content);

	if (err == -EBADMSG)
		return fail(receive, err, "the stream is damaged: a checksum in it is wrong");
	if (err == -EUCLEAN)
		return fail(receive, err, "the stream is damaged: a piece of it is missing or malformed");
	if (err)
		return err;
	if (between != (kind == TH_PIECE_BEGIN))
		return fail(receive, -EUCLEAN, "the stream is not valid: it has no beginning, or no end");
	switch (kind) {
	case TH_PIECE_BEGIN:
		return take_begin(receive, content);
	case TH_PIECE_RECORDS:
		return take_records(receive, content);
	case TH_PIECE_END:
		return take_end(receive, content);
	}
	return -EUCLEAN;
}

/* Takes bytes up to the end of the head or of the piece.  Returns their number, or an error. */
static ssize_t take_bytes(struct th_receive *receive, const uint8_t *bytes, size_t size)
{
	size_t missing = receive->want - receive->have, stored;
	int err;

	if (size > missing)
		size = missing;
	err = th_grow(receive->piece, receive->capacity, receive->want);
	if (err)
		return err;
	memcpy(receive->piece + receive->have, bytes, size);
	receive->have += size;
	if (receive->have == sizeof(struct th_piece_head) && receive->want == receive->have) {
		if (th_piece_head_check((const struct th_piece_head *)receive->piece, &stored))
			return fail(receive, -EUCLEAN, "this is not a stream, or it is damaged");
		receive->want += stored;
	}
	return (ssize_t)size;
}

int th_receive_feed(struct th_receive *receive, const void *bytes, size_t size)
{
	const uint8_t *at = bytes, *end = at + size;
	int err = receive->state == STATE_FAILED ? -EINVAL : 0;

	while (at < end && !err) {
		ssize_t taken = take_bytes(receive, at, (size_t)(end - at));

		if (taken < 0)
			err = (int)taken;
		else
			at += taken;
		if (err || receive->have < receive->want || receive->have == sizeof(struct th_piece_head))
			continue;
		err = take_piece(receive);
		receive->have = 0;
		receive->want = sizeof(struct th_piece_head);
	}
	if (err)
		receive->state = STATE_FAILED;
	return err;
}

int th_receive_end(struct th_receive *receive)
{
	if (receive->state == STATE_BETWEEN && !receive->have && receive->any)
		return 0;
	if (!receive->any)
		return fail(receive, -ENODATA, "the stream is empty");
	return fail(receive, -ENODATA, "the stream ends before its end");
}

const char *th_receive_why(const struct th_receive *receive)
{
	return receive->why;
}

int th_receive_new(const struct th_receive_options *options, struct th_receive **ret)
{
	struct th_receive *receive = calloc(1, sizeof(*receive));

	if (!receive)
		return -ENOMEM;
	receive->options = *options;
	receive->want = sizeof(struct th_piece_head);
	*ret = receive;
	return 0;
}

int th_receive_close(struct th_receive *receive)
{
	int err = 0, closed;

	if (receive->apply && receive->apply->txn && receive->state == STATE_APPLY)
		err = th_apply_commit(receive->apply);
	end_apply(receive);
	closed = close_image(&receive->fs);
	th_piece_reader_release(&receive->reader);
	free(receive->piece);
	free(receive);
	return err ? err : closed;
}

/* --- an unfinished receive --- */

int th_receive_token(const struct th_receive_options *options, char ret[TH_STREAM_TOKEN_SIZE])
{
	struct th_stream_info info = { 0 };
	struct th_target_branch target;
	struct th_fs *fs;
	int err = open_image(options, true, NULL, &fs), closed;

	if (err)
		return err;
	err = th_target_branch_unfinished(fs, options->branch, &target);
	closed = close_image(&fs);
	if (err || closed)
		return err ? err : closed;
	memcpy(info.identity, target.unfinished.identity, sizeof(info.identity));
	memcpy(info.base, target.unfinished.base, sizeof(info.base));
	th_stream_token_format(&info, (struct th_position){ target.unfinished.inode, target.unfinished.block }, ret);
	return 0;
}

/* Undoes a receive into a branch that existed before, or was the current one. */
static int reset(const struct th_receive_options *options, struct th_fs **fs, const struct th_target_branch *target)
{
	int err = switch_branch(options, fs, target->name);

	if (!err)
		err = th_target_branch_reset(*fs, &target->unfinished);
	return err || !*target->unfinished.current ? err : switch_branch(options, fs, target->unfinished.current);
}

int th_receive_abort(const struct th_receive_options *options)
{
	struct th_target_branch target;
	struct th_fs *fs;
	int err = open_image(options, false, NULL, &fs), closed;

	if (err)
		return err;
	err = th_target_branch_unfinished(fs, options->branch, &target);
	if (!err && target.unfinished.created && *target.unfinished.current) {
		err = switch_branch(options, &fs, target.unfinished.current);
		if (!err)
			err = th_fs_branch_delete(fs, target.name, false);
	} else if (!err) {
		err = reset(options, &fs, &target);
	}
	closed = close_image(&fs);
	return err ? err : closed;
}
