/* SPDX-License-Identifier: Apache-2.0 */
/* The data of one file in a stream: walks its extents in both snapshots, and appends records of the blocks that
 * differ. */
#ifndef TH_FS_STREAM_SEND_DATA_H
#define TH_FS_STREAM_SEND_DATA_H

#include "fs/data/read_batch.h"
#include "fs/stream/record.h"
#include "fs/stream/sent_runs.h"

/* The extents of a file in one snapshot. */
struct th_send_extents {
	struct th_extents extents;
	bool open;
	bool present; /* `now` is the extent at the place of the walk, or the next one after it */
	struct th_extent now;
};

/* Shared data is worth a search of the base when 1/64 of the store's data has come as new: the search reads the
 * metadata of the base, usually less than 1/256 of its data.  So it costs at most a quarter of the data that was read
 * anyway.  A larger share finds less shared data, a smaller one makes small streams more expensive. */
#define TH_SEND_SEARCH_SHARE 64

/* The caller sets fs, records and totals, with a base also base, bind and search_after, and zeros the rest. */
struct th_send_data {
	struct th_fs *fs;
	struct th_records *records;
	struct th_stream_totals *totals;
	struct th_sent_runs sent;
	/* the walk */
	bool active;
	uint64_t id, size; /* size: of the file in bytes */
	uint64_t at, end; /* blocks */
	struct th_send_extents to, from;
	/* blocks that are being gathered for one record */
	struct th_read_batch batch;
	/* The search of the base for blocks that new files share with it. */
	struct th_view *base; /* NULL: there is none */
	int (*bind)(void *arg, uint64_t inode); /* sends the place of an inode of the base, unless it was sent */
	void *bind_arg;
	uint64_t search_after; /* blocks of new data after which the base is searched */
	uint64_t fresh; /* blocks of new data so far */
	struct th_cursor *search; /* NULL: not under way */
	uint64_t search_id; /* the inode at the cursor; 0: it has no name */
	uint64_t batch_block;
	uint8_t *buffer;
};

/* Begins a walk of the blocks [at, end) of a file.  from: NULL if the base does not have the file.  Returns 0 or an
 * error of the store. */
int th_send_data_begin(struct th_send_data *data, struct th_view *to, struct th_view *from, uint64_t id, uint64_t size,
		       uint64_t at, uint64_t end);
/* Goes on, up to about one record of data; `active` is false at the end.  Returns 0 or a read error. */
int th_send_data_step(struct th_send_data *data);
void th_send_data_release(struct th_send_data *data);

/* Appends a record and counts it.  Returns 0 or -ENOMEM. */
int th_send_record(struct th_send_data *data, const struct th_record *record);

#endif
