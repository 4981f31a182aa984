/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/stream/send.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fs/diff/inode_names.h"
#include "fs/stream/piece.h"
#include "fs/stream/send_data.h"
#include "journal/base/array.h"

/* Keys that one call visits at most without sending anything, so that it does not occupy a worker of the daemon for
 * long. */
#define KEYS_AT_A_TIME 4096
/* Inodes of the base whose BIND was sent, that are remembered.  Another one may be sent twice. */
#define BOUND_SLOTS 8192u

enum phase { PHASE_BEGIN, PHASE_ATIMES, PHASE_INODES, PHASE_END, PHASE_DONE };

/* One of the two snapshots, and the current inode in it. */
struct side {
	struct th_view *view; /* of the base: NULL if there is none */
	bool exists, present; /* it has a value; it also has a name */
	struct th_attr attr; /* its name is in `name` */
	int32_t refs;
	char name[TH_NAME_MAX + 1];
};

struct th_send {
	struct th_fs *fs;
	struct th_stream_info info;
	struct th_stream_totals totals;
	struct th_piece_writer writer;
	struct th_records records;
	size_t sent; /* bytes of the records that were sent */
	enum phase phase;
	struct side to, from;
	/* The keys that differ; without a base all keys. */
	struct th_diff *diff;
	struct th_cursor *cursor;
	/* All keys of the current inode, if the base has it without a name: the receiver does not have that inode. */
	struct th_cursor *whole;
	bool have_key;
	struct th_fs_key_parts key;
	struct th_slice value, base_value; /* NULL data: none */
	uint8_t key_bytes[TH_FS_KEY_MAX];
	/* The current inode. */
	uint64_t id; /* 0: none yet */
	bool skip; /* its other keys do not matter */
	uint64_t range_at, range_end; /* blocks that may differ, not yet walked */
	struct th_send_data data;
	uint64_t bound[BOUND_SLOTS];
};

/* --- keys --- */

static int cursor_key(struct th_cursor *cursor, struct th_change *ret)
{
	struct th_cursor_entry entry;
	int err = th_cursor_next(cursor, &entry);

	if (!err)
		*ret = (struct th_change){ .key = entry.key, .to = entry.value, .to_refs = entry.refs };
	return err;
}

static int next_change(struct th_send *send, struct th_change *ret)
{
	int err;

	if (send->whole) {
		err = cursor_key(send->whole, ret);
		if (err != 1)
			return err;
		th_cursor_close(send->whole);
		send->whole = NULL;
		send->skip = true; /* the diff lists the keys of this inode, too */
	}
	return send->diff ? th_diff_next(send->diff, ret) : cursor_key(send->cursor, ret);
}

/* Makes `key` the next key, and `value` its value.  Returns 0, 1 if there is none, or an error. */
static int peek_key(struct th_send *send)
{
	struct th_change change;
	int err;

	if (send->have_key)
		return 0;
	err = next_change(send, &change);
	if (err)
		return err;
	err = th_fs_key_parse(change.key, &send->key);
	if (err) {
		th_fs_report(send->fs, "send: a key of %zu bytes does not belong to a filesystem", change.key.size);
		return err;
	}
	/* The bytes of the key are valid until the next call only. */
	memcpy(send->key_bytes, change.key.data, change.key.size);
	send->key.name.data = send->key_bytes + (change.key.size - send->key.name.size);
	send->value = change.to;
	send->base_value = change.from;
	send->have_key = true;
	return 0;
}

/* --- inodes --- */

static int side_read(struct th_send *send, struct side *side, uint64_t id)
{
	struct th_fs_key key = th_fs_key_inode(id);
	struct th_value value;
	int err;

	side->exists = side->present = false;
	if (!side->view)
		return 0;
	err = th_get(side->view, th_fs_key_slice(&key), &value);
	if (err)
		return err == -ENOENT ? 0 : err;
	err = th_inode_decode(value.data, value.size, value.refs, &side->attr);
	if (!err) {
		memcpy(side->name, side->attr.name, side->attr.name_size);
		side->name[side->attr.name_size] = 0;
		side->attr.name = side->name;
		side->refs = value.refs;
		side->exists = true;
		side->present = value.refs > 0 || id == TH_ROOT_ID;
	} else {
		th_fs_report(send->fs, "send: inode %llu: malformed value", (unsigned long long)id);
	}
	th_value_release(&value);
	return err;
}

static bool is_before(struct th_time a, struct th_time b)
{
	return a.seconds != b.seconds ? a.seconds < b.seconds : a.nanoseconds < b.nanoseconds;
}

/* Sets the time of access of the inode in the newer snapshot: that of its record, if it counts (atime_record.h).
 * Returns 0, 1 if it has none that counts, or an error. */
static int read_atime(struct th_send *send, uint64_t id)
{
	struct th_fs_key key = th_fs_key_atime(id);
	struct th_value value;
	struct th_time time;
	int err = th_get(send->to.view, th_fs_key_slice(&key), &value);

	if (err)
		return err == -ENOENT ? 1 : err;
	err = th_atime_decode((struct th_slice){ value.data, value.size }, &time);
	th_value_release(&value);
	if (err || is_before(time, send->to.attr.ctime))
		return 1;
	send->to.attr.atime = time;
	return 0;
}

/* --- places in the base --- */

static uint64_t *bound_slot(struct th_send *send, uint64_t id)
{
	return &send->bound[id % BOUND_SLOTS];
}

/* A directory or file of the base, whose place is to be sent. */
struct place {
	uint64_t id, parent;
	uint8_t size;
	char name[TH_NAME_MAX];
};

/* Reads where the base has an inode.  Returns 0, 1 if it is not there, or an error. */
static int read_place(struct th_send *send, uint64_t id, struct place *ret)
{
	struct th_fs_key key = th_fs_key_inode(id);
	struct th_value value;
	struct th_attr attr;
	int err = th_get(send->from.view, th_fs_key_slice(&key), &value);

	if (err)
		return err == -ENOENT ? 1 : err;
	err = th_inode_decode(value.data, value.size, value.refs, &attr);
	if (!err && (value.refs <= 0 || !attr.parent))
		err = 1;
	if (!err) {
		*ret = (struct place){ .id = id, .parent = attr.parent, .size = (uint8_t)attr.name_size };
		memcpy(ret->name, attr.name, attr.name_size);
	}
	th_value_release(&value);
	return err;
}

static int send_places(struct th_send *send, const struct place *places, size_t count)
{
	int err = 0;

	while (count-- && !err) {
		struct th_record record = { .kind = TH_RECORD_BIND,
					    .inode = places[count].id,
					    .parent = places[count].parent,
					    .name = { places[count].name, places[count].size } };

		err = th_send_record(&send->data, &record);
		*bound_slot(send, places[count].id) = places[count].id;
	}
	return err;
}

/* Sends the place of an inode that the base has, after those of the directories above it.  An inode that the base does
 * not have is new: its number means nothing to the receiver yet. */
static int bind(struct th_send *send, uint64_t id)
{
	struct place *places = NULL;
	size_t count = 0, capacity = 0;
	int err = 0;

	while (send->from.view && id != TH_ROOT_ID && *bound_slot(send, id) != id) {
		err = th_grow(places, capacity, count + 1);
		if (!err)
			err = read_place(send, id, &places[count]);
		if (err)
			break;
		id = places[count++].parent;
		if (count > 1u << 20)
			err = -EUCLEAN; /* the directories form a circle */
	}
	if (err == 1)
		err = count ? -EUCLEAN : 0; /* a directory above it is missing */
	if (!err)
		err = send_places(send, places, count);
	free(places);
	return err;
}

/* --- an inode and its names --- */

static int name_send(struct th_send *send, enum th_record_kind kind, const struct th_inode_name *name)
{
	struct th_record record = {
		.kind = kind, .inode = send->id, .parent = name->parent, .name = { name->name, strlen(name->name) }
	};
	int err = bind(send, name->parent);

	return err ? err : th_send_record(&send->data, &record);
}

/* Sends the names that only one of the two sorted lists has: those that are gone, or those that are new. */
static int names_send(struct th_send *send, enum th_record_kind kind, const struct th_inode_names *list,
		      const struct th_inode_names *other)
{
	size_t at = 0;
	int err = 0;

	for (size_t i = 0; i < list->count && !err; i++) {
		int order = -1;

		while (at < other->count && (order = th_inode_name_compare(&other->list[at], &list->list[i])) < 0)
			at++;
		if (at == other->count || order)
			err = name_send(send, kind, &list->list[i]);
	}
	return err;
}

static int read_names(struct th_send *send, const struct side *side, struct th_inode_names *ret)
{
	return side->present && send->id != TH_ROOT_ID
		       ? th_inode_names_read(side->view, send->id, &side->attr, side->refs, ret)
		       : 0;
}

static int send_names(struct th_send *send)
{
	struct th_inode_names from = { 0 }, to = { 0 };
	int err = read_names(send, &send->from, &from);

	if (!err)
		err = read_names(send, &send->to, &to);
	if (!err)
		err = names_send(send, TH_RECORD_UNLINK, &from, &to);
	if (!err)
		err = names_send(send, TH_RECORD_LINK, &to, &from);
	th_inode_names_release(&from);
	th_inode_names_release(&to);
	return err;
}

static int send_attributes(struct th_send *send)
{
	struct th_record record = { .kind = TH_RECORD_INODE, .inode = send->id };
	int err = send->to.attr.parent ? bind(send, send->to.attr.parent) : 0;

	if (!err)
		err = read_atime(send, send->id);
	if (err < 0)
		return err;
	record.attr = send->to.attr;
	record.links = (uint32_t)send->to.refs;
	return th_send_record(&send->data, &record);
}

static int send_gone(struct th_send *send)
{
	struct th_record record = { .kind = TH_RECORD_GONE, .inode = send->id };

	return th_send_record(&send->data, &record);
}

/* Reads all keys of the current inode from the newer snapshot in place of those that differ. */
static int begin_whole(struct th_send *send)
{
	struct th_fs_key first = th_fs_key_kind(send->id, TH_FS_KEY_XATTR);
	struct th_fs_key end = th_fs_key_inode(send->id + 1);
	struct th_range range = { th_fs_key_slice(&first), th_fs_key_slice(&end) };

	send->have_key = false;
	return th_cursor_open(send->to.view, &range, &send->whole);
}

/* Begins the inode of the next key: sends its attributes and the names that differ. */
static int begin_inode(struct th_send *send)
{
	int err;

	send->id = send->key.id;
	send->skip = false;
	send->range_at = send->range_end = 0;
	err = side_read(send, &send->to, send->id);
	if (!err)
		err = side_read(send, &send->from, send->id);
	if (err)
		return err;
	send->skip = !send->to.present;
	if (send->from.present)
		err = bind(send, send->id);
	if (!err && send->to.present)
		err = send_attributes(send);
	else if (!err && send->from.present)
		err = send_gone(send);
	if (!err)
		err = send_names(send);
	if (!err && send->to.present && send->from.exists && !send->from.present)
		err = begin_whole(send);
	return err;
}

/* --- the other keys of an inode --- */

static int take_xattr(struct th_send *send)
{
	struct th_record record = { .kind = send->value.data ? TH_RECORD_XATTR : TH_RECORD_XATTR_GONE,
				    .inode = send->id,
				    .name = send->key.name };

	if (send->value.data)
		record.bytes = send->value;
	return th_send_record(&send->data, &record);
}

/* Walks the blocks that may differ. */
static int begin_walk(struct th_send *send)
{
	uint64_t at = send->range_at, end = send->range_end;

	send->range_at = send->range_end = 0;
	if (send->id == send->info.position.inode && at < send->info.position.block)
		at = send->info.position.block;
	if (at >= end)
		return 0;
	return th_send_data_begin(&send->data, send->to.view, send->from.present ? send->from.view : NULL, send->id,
				  send->to.attr.size, at, end);
}

/* Returns the end of the extent of a key in blocks; 0: there is none. */
static int extent_end(struct th_send *send, struct th_slice value, uint64_t *ret)
{
	struct th_extent extent;
	const char *why;
	int err;

	*ret = 0;
	if (!value.data)
		return 0;
	err = th_extent_decode(send->key.number, value, &extent, &why);
	if (err)
		th_fs_report(send->fs, "send: inode %llu, block %llu: %s", (unsigned long long)send->id,
			     (unsigned long long)send->key.number, why);
	else
		*ret = extent.block + extent.blocks;
	return err;
}

/* Adds the blocks of an extent to the range that may differ.  Begins the walk of the range before it, if they are not
 * adjacent: then the key remains.  Returns 0 or an error. */
static int take_extent(struct th_send *send, bool *ret_taken)
{
	uint64_t end, base_end;
	int err;

	*ret_taken = send->range_at == send->range_end || send->key.number <= send->range_end;
	if (!*ret_taken)
		return begin_walk(send);
	err = extent_end(send, send->value, &end);
	if (!err)
		err = extent_end(send, send->base_value, &base_end);
	if (err)
		return err;
	if (send->range_at == send->range_end)
		send->range_at = send->key.number;
	end = end > base_end ? end : base_end;
	send->range_end = end > send->range_end ? end : send->range_end;
	return 0;
}

static int take_key(struct th_send *send)
{
	bool taken = true;
	int err = 0;

	if (send->skip)
		err = 0;
	else if (send->key.kind == TH_FS_KEY_XATTR)
		err = take_xattr(send);
	else if (send->key.kind == TH_FS_KEY_EXTENT)
		err = take_extent(send, &taken);
	if (taken)
		send->have_key = false;
	return err;
}

/* --- the phases --- */

static struct th_fs_key first_key(const struct th_send *send)
{
	return th_fs_key_inode(send->info.position.inode ? send->info.position.inode : TH_ROOT_ID);
}

static int begin_inodes(struct th_send *send)
{
	struct th_fs_key first = first_key(send);
	struct th_range range = { .from = th_fs_key_slice(&first) };

	th_diff_close(send->diff);
	send->diff = NULL;
	send->have_key = false;
	send->phase = PHASE_INODES;
	if (send->from.view)
		return th_diff_open(send->from.view, send->to.view, &range, &send->diff);
	return th_cursor_open(send->to.view, &range, &send->cursor);
}

static int begin_atimes(struct th_send *send)
{
	struct th_fs_key prefix = th_fs_key_kind(0, TH_FS_KEY_ATIME);
	uint8_t space[TH_FS_KEY_MAX];
	struct th_range range = th_range_prefix(th_fs_key_slice(&prefix), space);

	if (!send->from.view || send->info.position.inode)
		return begin_inodes(send);
	send->phase = PHASE_ATIMES;
	return th_diff_open(send->from.view, send->to.view, &range, &send->diff);
}

/* Sends a time of access, for an inode that both snapshots have. */
static int step_atime(struct th_send *send)
{
	struct th_record record = { .kind = TH_RECORD_ATIME };
	int err = peek_key(send);

	if (err == 1)
		return begin_inodes(send);
	if (err)
		return err;
	send->have_key = false;
	record.inode = send->key.number;
	err = side_read(send, &send->from, record.inode);
	if (!err)
		err = side_read(send, &send->to, record.inode);
	if (err || !send->from.present || !send->to.present)
		return err;
	err = read_atime(send, record.inode);
	if (err)
		return err < 0 ? err : 0;
	err = bind(send, record.inode);
	record.attr.atime = send->to.attr.atime;
	return err ? err : th_send_record(&send->data, &record);
}

static int step_inode(struct th_send *send)
{
	bool ranges = send->range_at < send->range_end;
	int err;

	if (send->data.active)
		return th_send_data_step(&send->data);
	err = peek_key(send);
	if (err < 0)
		return err;
	if (ranges && (err || send->key.id != send->id))
		return begin_walk(send);
	if (err) {
		send->phase = PHASE_END;
		return 0;
	}
	return send->key.id == send->id ? take_key(send) : begin_inode(send);
}

static int step(struct th_send *send)
{
	return send->phase == PHASE_ATIMES ? step_atime(send) : step_inode(send);
}

/* --- pieces --- */

static int send_begin(struct th_send *send)
{
	uint8_t content[TH_STREAM_BEGIN_MAX];
	size_t size = th_stream_begin_encode(&send->info, content);
	int err = begin_atimes(send);

	return err ? err : th_piece_write(&send->writer, TH_PIECE_BEGIN, content, size);
}

static int send_end(struct th_send *send)
{
	struct th_stream_end end = th_stream_end_encode(&send->totals);

	send->phase = PHASE_DONE;
	return th_piece_write(&send->writer, TH_PIECE_END, &end, sizeof(end));
}

/* Makes records for about one piece.  Those that were sent are dropped. */
static int gather(struct th_send *send)
{
	unsigned steps = 0;
	int err = 0;

	if (send->sent == send->records.size)
		send->sent = send->records.size = 0;
	while (!err && (send->phase == PHASE_ATIMES || send->phase == PHASE_INODES) &&
	       send->records.size - send->sent < TH_RECORD_DATA_MAX / 2 && steps++ < KEYS_AT_A_TIME)
		err = step(send);
	return err;
}

int th_send_next(struct th_send *send, struct th_slice *ret)
{
	size_t size;
	int err = 0;

	*ret = (struct th_slice){ NULL, 0 };
	if (send->phase == PHASE_DONE)
		return 1;
	if (send->phase == PHASE_BEGIN) {
		err = send_begin(send);
	} else {
		err = gather(send);
		size = err ? 0 : th_records_fit(&send->records, send->sent);
		if (!err && size)
			err = th_piece_write(&send->writer, TH_PIECE_RECORDS, send->records.bytes + send->sent, size);
		else if (!err && send->phase == PHASE_END)
			err = send_end(send);
		else
			return err;
		send->sent += size;
	}
	if (!err)
		*ret = (struct th_slice){ send->writer.bytes, send->writer.size };
	return err;
}

/* --- opening --- */

static bool is_zero(const uint8_t *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		if (bytes[i])
			return false;
	}
	return true;
}

static int find(struct th_store *store, const char *name, const uint8_t *identity, struct th_snapshot *ret)
{
	return name ? th_snapshot_find(store, name, ret) : th_snapshot_find_identity(store, identity, ret);
}

/* Finds both snapshots, by name or, in a resumed stream, by the token. */
static int find_snapshots(struct th_fs *fs, const struct th_send_options *options, struct th_stream_info *info,
			  struct th_snapshot *ret, struct th_snapshot *ret_base, bool *ret_has_base)
{
	int err = options->resume ? th_stream_token_parse(options->resume, info) : 0;

	if (!err && !options->resume && !options->snapshot)
		err = -EINVAL;
	if (!err)
		err = find(fs->store, options->resume ? NULL : options->snapshot, info->identity, ret);
	*ret_has_base = options->resume ? !is_zero(info->base, sizeof(info->base)) : options->base != NULL;
	if (err || !*ret_has_base)
		return err;
	err = find(fs->store, options->resume ? NULL : options->base, info->base, ret_base);
	if (err == -ENOENT)
		return -ENXIO;
	return err ? err : ret->id == ret_base->id ? -EINVAL : 0;
}

/* Names the branch of the snapshot. */
static int name_branch(struct th_store *store, uint64_t id, char *ret)
{
	struct th_branch *list;
	size_t count;
	int err = th_branch_list(store, &list, &count);

	for (size_t i = 0; !err && i < count; i++) {
		if (list[i].id == id)
			strcpy(ret, list[i].name);
	}
	if (!err)
		free(list);
	return err;
}

static int describe(struct th_send *send, const struct th_send_options *options, const struct th_snapshot *snapshot,
		    const struct th_snapshot *base)
{
	struct th_stream_info *info = &send->info;
	struct th_store_info store;

	th_store_info(send->fs->store, &store);
	memcpy(info->source, store.uuid, sizeof(info->source));
	memcpy(info->identity, snapshot->identity, sizeof(info->identity));
	info->created_ns = snapshot->created_ns;
	strcpy(info->name, snapshot->name);
	if (base) {
		info->flags |= TH_STREAM_INCREMENTAL;
		memcpy(info->base, base->identity, sizeof(info->base));
		strcpy(info->base_name, base->name);
	}
	info->flags |= options->resume ? TH_STREAM_RESUMED : 0;
	info->flags |= options->to_branch ? TH_STREAM_BRANCH : 0;
	return name_branch(send->fs->store, snapshot->branch, info->branch);
}

static int bind_for_data(void *arg, uint64_t id)
{
	return bind(arg, id);
}

/* Prepares the search of the base; without shared blocks in the store there is nothing to find. */
static void prepare_search(struct th_send *send)
{
	struct th_store_info info;

	th_store_info(send->fs->store, &info);
	send->data.base = send->from.view;
	send->data.bind = bind_for_data;
	send->data.bind_arg = send;
	send->data.search_after =
		send->from.view && info.shared_blocks ? info.blocks_data / TH_SEND_SEARCH_SHARE : UINT64_MAX;
}

int th_send_open(struct th_fs *fs, const struct th_send_options *options, struct th_send **ret)
{
	struct th_send *send = calloc(1, sizeof(*send));
	struct th_snapshot snapshot, base;
	bool has_base;
	int err;

	if (!send)
		return -ENOMEM;
	send->fs = send->data.fs = fs;
	send->data.records = &send->records;
	send->data.totals = &send->totals;
	send->writer.compress = options->compress;
	err = find_snapshots(fs, options, &send->info, &snapshot, &base, &has_base);
	if (!err)
		err = describe(send, options, &snapshot, has_base ? &base : NULL);
	if (!err)
		err = th_view_snapshot(fs->store, snapshot.id, &send->to.view);
	if (!err && has_base)
		err = th_view_snapshot(fs->store, base.id, &send->from.view);
	if (!err)
		prepare_search(send);
	if (err)
		th_send_close(send);
	else
		*ret = send;
	return err;
}

const struct th_stream_info *th_send_info(const struct th_send *send)
{
	return &send->info;
}

const struct th_stream_totals *th_send_totals(const struct th_send *send)
{
	return &send->totals;
}

void th_send_close(struct th_send *send)
{
	if (!send)
		return;
	th_send_data_release(&send->data);
	th_cursor_close(send->whole);
	th_cursor_close(send->cursor);
	th_diff_close(send->diff);
	th_view_close(send->to.view);
	th_view_close(send->from.view);
	th_piece_writer_release(&send->writer);
	free(send->records.bytes);
	free(send);
}
