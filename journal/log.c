/* SPDX-License-Identifier: Apache-2.0 */
/* The intent log: the ring, appending and replay. */
#include "journal/log.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>

#include "journal/base/checksum.h"

#define LOG_MAGIC UINT64_C(0x0a474f4c4e554854) /* "THUNLOG\n" */
#define TRANSFER_MAX (1u << (30 - TH_BLOCK_SHIFT)) /* blocks: 1 GiB; one system call moves less than 2 GiB */
#define LOG_BUFFER_KEPT (1u << 20) /* bytes; a larger buffer is freed after its record */
#define SCAN_BLOCKS 256u /* read at a time (1 MiB): fewer need more transfers, more need more memory */

/* docs/format.md, "Intent log".  Followed by the payload, and zeros up to a whole block. */
struct record_disk {
	struct th_le64 magic;
	struct th_le64 checksum; /* XXH3 of everything after this field, padding included */
	struct th_le64 identity;
	struct th_le64 sequence;
	struct th_le64 before; /* checksum of the record before */
	struct th_le64 size; /* of the payload, in bytes */
};
static_assert(sizeof(struct record_disk) == 48, "format.md: log record");

#define CHECKED_FROM offsetof(struct record_disk, identity)

/* Returns the blocks of a record with `size` bytes of payload. */
static uint64_t record_blocks(uint64_t size)
{
	return (sizeof(struct record_disk) + size + TH_BLOCK_SIZE - 1) >> TH_BLOCK_SHIFT;
}

/* Returns the largest payload of a record for which there are that many blocks. */
static uint64_t payload_max(uint64_t blocks)
{
	uint64_t most = record_blocks(TH_LOG_RECORD_MAX);

	if (blocks >= most)
		return TH_LOG_RECORD_MAX;
	return blocks ? (blocks << TH_BLOCK_SHIFT) - sizeof(struct record_disk) : 0;
}

static uint64_t record_checksum(const char *record, uint64_t blocks)
{
	return th_checksum(record + CHECKED_FROM, (blocks << TH_BLOCK_SHIFT) - CHECKED_FROM);
}

/* The blocks of the ring on the disk. */
struct ring {
	struct th_disk *disk;
	struct th_log_area area;
};

static bool blocks_fit(const struct th_disk *disk, uint64_t first, uint64_t blocks)
{
	return blocks > 0 && blocks <= disk->blocks && first <= disk->blocks - blocks;
}

static bool ring_fits(const struct ring *ring, struct th_log_position at)
{
	const struct th_log_area *area = &ring->area;

	return blocks_fit(ring->disk, area->first, area->blocks) &&
	       blocks_fit(ring->disk, area->mirror, area->blocks) && at.block < area->blocks;
}

static unsigned ring_copies(const struct ring *ring)
{
	return ring->area.mirror ? 2 : 1;
}

/* Returns the address of a block of the ring in one of the copies. */
static uint64_t ring_addr(const struct ring *ring, unsigned copy, uint64_t block)
{
	return (copy ? ring->area.mirror : ring->area.first) + block;
}

/* Returns the block that is `blocks` after `block`. */
static uint64_t ring_advance(const struct ring *ring, uint64_t block, uint64_t blocks)
{
	uint64_t left = ring->area.blocks - block;

	return blocks < left ? block + blocks : blocks - left;
}

/* Returns how many of `blocks` blocks are in one transfer: those up to the end of the ring. */
static uint32_t ring_part(const struct ring *ring, uint64_t block, uint64_t blocks)
{
	uint64_t part = ring->area.blocks - block < blocks ? ring->area.blocks - block : blocks;

	return (uint32_t)(part < TRANSFER_MAX ? part : TRANSFER_MAX);
}

/* Reads blocks from one of the copies: in two transfers if they wrap around the end of the ring. */
static int ring_read(const struct ring *ring, unsigned copy, uint64_t block, uint64_t blocks, char *buf)
{
	int err = 0;

	while (blocks && !err) {
		uint32_t part = ring_part(ring, block, blocks);

		err = th_disk_read(ring->disk, ring_addr(ring, copy, block), part, buf);
		buf += (size_t)part << TH_BLOCK_SHIFT;
		block = ring_advance(ring, block, part);
		blocks -= part;
	}
	return err;
}

/* Writes one part to all copies at the same time. */
static int write_part(const struct ring *ring, uint64_t block, uint32_t blocks, char *buf)
{
	struct iovec iov = { buf, (size_t)blocks << TH_BLOCK_SHIFT };
	struct th_future future[2];
	int err = 0;

	for (unsigned copy = 0; copy < ring_copies(ring); copy++)
		th_disk_save(ring->disk, ring_addr(ring, copy, block), &iov, 1, &future[copy]);
	for (unsigned copy = 0; copy < ring_copies(ring); copy++) {
		int one = th_future_wait(&future[copy]);

		err = err ? err : one;
	}
	return err;
}

static int ring_write(const struct ring *ring, uint64_t block, uint64_t blocks, char *buf)
{
	int err = 0;

	while (blocks && !err) {
		uint32_t part = ring_part(ring, block, blocks);

		err = write_part(ring, block, part, buf);
		buf += (size_t)part << TH_BLOCK_SHIFT;
		block = ring_advance(ring, block, part);
		blocks -= part;
	}
	return err;
}

/* --- appending --- */

struct th_log {
	struct ring ring;
	uint64_t identity;
	pthread_mutex_t lock; /* guards head, tail and used: one thread may trim while another appends */
	struct th_log_position head, tail;
	uint64_t used; /* blocks from tail to head */
	char *buf; /* owned; for the appending thread, kept from one record to the next */
	size_t buf_size;
};

int th_log_new(struct th_disk *disk, struct th_log_area area, uint64_t identity, struct th_log_position at,
	       struct th_log **ret)
{
	struct ring ring = { .disk = disk, .area = area };
	struct th_log *log;

	if (!ring_fits(&ring, at))
		return -EINVAL;
	log = calloc(1, sizeof(*log));
	if (!log)
		return -ENOMEM;
	pthread_mutex_init(&log->lock, NULL);
	log->ring = ring;
	log->identity = identity;
	log->head = log->tail = at;
	*ret = log;
	return 0;
}

void th_log_free(struct th_log *log)
{
	if (!log)
		return;
	pthread_mutex_destroy(&log->lock);
	free(log->buf);
	free(log);
}

static int need_buffer(struct th_log *log, size_t size)
{
	if (size <= log->buf_size)
		return 0;
	free(log->buf);
	log->buf = th_disk_buffer(size);
	log->buf_size = log->buf ? size : 0;
	return log->buf ? 0 : -ENOMEM;
}

static void drop_large_buffer(struct th_log *log)
{
	if (log->buf_size <= LOG_BUFFER_KEPT)
		return;
	free(log->buf);
	log->buf = NULL;
	log->buf_size = 0;
}

/* Builds the whole record in log->buf.  Returns its checksum. */
static uint64_t build_record(struct th_log *log, struct th_log_position at, const struct iovec *parts, int nparts,
			     uint64_t size, uint64_t blocks)
{
	struct record_disk *record = (struct record_disk *)log->buf;
	char *to = log->buf + sizeof(*record);
	uint64_t checksum;

	record->magic = th_le64(LOG_MAGIC);
	record->identity = th_le64(log->identity);
	record->sequence = th_le64(at.sequence);
	record->before = th_le64(at.checksum);
	record->size = th_le64(size);
	for (int i = 0; i < nparts; i++) {
		if (parts[i].iov_len)
			memcpy(to, parts[i].iov_base, parts[i].iov_len);
		to += parts[i].iov_len;
	}
	memset(to, 0, (size_t)(log->buf + (blocks << TH_BLOCK_SHIFT) - to));
	checksum = record_checksum(log->buf, blocks);
	record->checksum = th_le64(checksum);
	return checksum;
}

static int parts_size(const struct iovec *parts, int nparts, uint64_t *ret)
{
	uint64_t size = 0;

	for (int i = 0; i < nparts; i++) {
		if (__builtin_add_overflow(size, parts[i].iov_len, &size))
			return -EFBIG;
	}
	*ret = size;
	return 0;
}

static uint64_t blocks_left(struct th_log *log)
{
	uint64_t left;

	pthread_mutex_lock(&log->lock);
	left = log->ring.area.blocks - log->used;
	pthread_mutex_unlock(&log->lock);
	return left;
}

static void move_head(struct th_log *log, uint64_t blocks, uint64_t checksum)
{
	pthread_mutex_lock(&log->lock);
	log->head.block = ring_advance(&log->ring, log->head.block, blocks);
	log->head.sequence++;
	log->head.checksum = checksum;
	log->used += blocks;
	pthread_mutex_unlock(&log->lock);
}

int th_log_append(struct th_log *log, const struct iovec *parts, int nparts)
{
	struct th_log_position at = th_log_head(log);
	uint64_t size, blocks, checksum;
	int err;

	err = parts_size(parts, nparts, &size);
	if (err)
		return err;
	if (size > payload_max(log->ring.area.blocks))
		return -EFBIG;
	blocks = record_blocks(size);
	if (blocks > blocks_left(log))
		return -ENOSPC;
	err = need_buffer(log, blocks << TH_BLOCK_SHIFT);
	if (err)
		return err;
	checksum = build_record(log, at, parts, nparts, size, blocks);
	err = ring_write(&log->ring, at.block, blocks, log->buf);
	if (!err)
		move_head(log, blocks, checksum);
	drop_large_buffer(log);
	return err;
}

struct th_log_position th_log_head(const struct th_log *log)
{
	struct th_log *locked = (struct th_log *)log;
	struct th_log_position head;

	pthread_mutex_lock(&locked->lock);
	head = log->head;
	pthread_mutex_unlock(&locked->lock);
	return head;
}

/* A full and an empty log have the same blocks as head and tail; the sequences differ. */
void th_log_trim(struct th_log *log, struct th_log_position tail)
{
	pthread_mutex_lock(&log->lock);
	if (tail.sequence > log->tail.sequence && tail.sequence <= log->head.sequence) {
		log->tail = tail;
		if (tail.sequence == log->head.sequence)
			log->used = 0;
		else if (tail.block < log->head.block)
			log->used = log->head.block - tail.block;
		else
			log->used = log->ring.area.blocks - (tail.block - log->head.block);
	}
	pthread_mutex_unlock(&log->lock);
}

size_t th_log_room(const struct th_log *log)
{
	return (size_t)payload_max(blocks_left((struct th_log *)log));
}

/* --- replay --- */

/* A record that was read and matches. */
struct found {
	char *buf; /* owned; NULL: none */
	uint64_t size; /* of the payload */
	struct th_log_position end;
	uint64_t block; /* where it begins */
	unsigned copy; /* that it was read from */
};

/* Returns whether this is the header of the record expected at `at`. */
static bool header_fits(const struct record_disk *record, uint64_t identity, struct th_log_position at, uint64_t room)
{
	return th_get_le64(record->magic) == LOG_MAGIC && th_get_le64(record->identity) == identity &&
	       th_get_le64(record->sequence) == at.sequence && th_get_le64(record->before) == at.checksum &&
	       th_get_le64(record->size) <= payload_max(room);
}

static bool padding_is_zero(const char *from, const char *to)
{
	while (from < to) {
		if (*from++)
			return false;
	}
	return true;
}

/* Reads the rest of a record, whose first block is in *buf.  Replaces *buf by a larger buffer. */
static int read_rest(const struct ring *ring, unsigned copy, struct th_log_position at, uint64_t blocks, char **buf)
{
	char *whole;

	if (blocks == 1)
		return 0;
	whole = th_disk_buffer(blocks << TH_BLOCK_SHIFT);
	if (!whole)
		return -ENOMEM;
	memcpy(whole, *buf, TH_BLOCK_SIZE);
	free(*buf);
	*buf = whole;
	return ring_read(ring, copy, ring_advance(ring, at.block, 1), blocks - 1, whole + TH_BLOCK_SIZE);
}

/* Sets *ret to the record at `at` if it matches in this copy.  *ret then owns *buf, which becomes NULL. */
static int find_in(const struct ring *ring, unsigned copy, uint64_t identity, struct th_log_position at, uint64_t room,
		   char **buf, struct found *ret)
{
	const struct record_disk *record;
	uint64_t blocks, checksum, size;
	int err;

	err = ring_read(ring, copy, at.block, 1, *buf);
	if (err)
		return err;
	record = (const struct record_disk *)*buf;
	if (!header_fits(record, identity, at, room))
		return 0;
	size = th_get_le64(record->size);
	blocks = record_blocks(size);
	err = read_rest(ring, copy, at, blocks, buf);
	if (err)
		return err;
	record = (const struct record_disk *)*buf;
	checksum = record_checksum(*buf, blocks);
	if (checksum != th_get_le64(record->checksum) ||
	    !padding_is_zero(*buf + sizeof(*record) + size, *buf + (blocks << TH_BLOCK_SHIFT)))
		return 0;
	ret->size = size;
	ret->block = at.block;
	ret->copy = copy;
	ret->end = (struct th_log_position){ .block = ring_advance(ring, at.block, blocks),
					     .sequence = at.sequence + 1,
					     .checksum = checksum };
	ret->buf = *buf;
	*buf = NULL;
	return 0;
}

static int find_in_copy(const struct ring *ring, unsigned copy, uint64_t identity, struct th_log_position at,
			uint64_t room, struct found *ret)
{
	char *buf;
	int err;

	*ret = (struct found){ 0 };
	if (room == 0)
		return 0;
	buf = th_disk_buffer(TH_BLOCK_SIZE);
	if (!buf)
		return -ENOMEM;
	err = find_in(ring, copy, identity, at, room, &buf, ret);
	free(buf);
	return err;
}

/* Sets *ret to the record at `at`, if it matches in one of the copies and is within the `room` blocks that were not
 * read yet.  The caller frees its buf. */
static int find_record(const struct ring *ring, uint64_t identity, struct th_log_position at, uint64_t room,
		       struct found *ret)
{
	int err = find_in_copy(ring, 0, identity, at, room, ret), second;

	if (ret->buf || err == -ENOMEM || ring_copies(ring) == 1)
		return err;
	second = find_in_copy(ring, 1, identity, at, room, ret);
	return ret->buf ? 0 : err ? err : second;
}

/* Reports a record whose first copy does not match, though later records show that it was written. */
static void report_copy(const struct ring *ring, const struct found *found)
{
	if (found->copy > 0)
		th_disk_report(ring->disk,
			       "intent log record at block %" PRIu64 ": damaged; its copy at block %" PRIu64 " is used",
			       ring_addr(ring, 0, found->block), ring_addr(ring, found->copy, found->block));
}

/* --- stranded records --- */

struct scan {
	const struct ring *ring;
	unsigned copy;
	uint64_t identity;
	struct th_log_position end; /* of the records that match */
	uint64_t room; /* blocks from there on that were not read */
	char *buf; /* owned; SCAN_BLOCKS */
};

/* Reads blocks of the scan from number `from` on into its buffer.  Returns how many; those that cannot be read are
 * zeros. */
static uint64_t scan_read(const struct scan *scan, uint64_t from)
{
	uint64_t count = scan->room - from < SCAN_BLOCKS ? scan->room - from : SCAN_BLOCKS;
	uint64_t block = ring_advance(scan->ring, scan->end.block, from);

	if (ring_read(scan->ring, scan->copy, block, count, scan->buf) == 0)
		return count;
	for (uint64_t i = 0; i < count; i++) {
		char *to = scan->buf + (i << TH_BLOCK_SHIFT);

		if (ring_read(scan->ring, scan->copy, ring_advance(scan->ring, block, i), 1, to))
			memset(to, 0, TH_BLOCK_SIZE);
	}
	return count;
}

/* May this block begin a stranded record?  Records before the tail have lower numbers. */
static bool may_be_stranded(const struct scan *scan, const struct record_disk *record)
{
	return th_get_le64(record->magic) == LOG_MAGIC && th_get_le64(record->identity) == scan->identity &&
	       th_get_le64(record->sequence) > scan->end.sequence;
}

/* Counts the record at block number `from` of the scan, if it is whole.  *ret_blocks: its blocks, or 1. */
static int scan_record(const struct scan *scan, const struct record_disk *record, uint64_t from, uint64_t *stranded,
		       uint64_t *ret_blocks)
{
	struct th_log_position at = { .block = ring_advance(scan->ring, scan->end.block, from),
				      .sequence = th_get_le64(record->sequence),
				      .checksum = th_get_le64(record->before) };
	struct found found;
	int err = find_record(scan->ring, scan->identity, at, scan->room - from, &found);

	*ret_blocks = 1;
	if (err && err != -ENOMEM)
		return 0; /* cannot be read */
	if (found.buf) {
		*ret_blocks = record_blocks(found.size);
		++*stranded;
	}
	free(found.buf);
	return err;
}

/* Counts the whole records in one copy after the end of those that match. */
static int count_in_copy(const struct ring *ring, unsigned copy, uint64_t identity, struct th_log_position end,
			 uint64_t room, uint64_t *ret)
{
	struct scan scan = { ring, copy, identity, end, room, th_disk_buffer(SCAN_BLOCKS << TH_BLOCK_SHIFT) };
	uint64_t from = 0;
	int err = scan.buf ? 0 : -ENOMEM;

	*ret = 0;
	while (!err && from < room) {
		uint64_t count = scan_read(&scan, from), i = 0, blocks;

		while (!err && i < count) {
			struct record_disk record;

			memcpy(&record, scan.buf + (i << TH_BLOCK_SHIFT), sizeof(record));
			blocks = 1;
			if (may_be_stranded(&scan, &record))
				err = scan_record(&scan, &record, from + i, ret, &blocks);
			i += blocks;
		}
		from += i;
	}
	free(scan.buf);
	return err;
}

/* Counts the whole records after the end of those that match: those of the copy that has more. */
static int count_stranded(const struct ring *ring, uint64_t identity, struct th_log_position end, uint64_t room,
			  uint64_t *ret)
{
	uint64_t count;
	int err = 0;

	*ret = 0;
	for (unsigned copy = 0; copy < ring_copies(ring) && !err; copy++) {
		err = count_in_copy(ring, copy, identity, end, room, &count);
		*ret = count > *ret ? count : *ret;
	}
	return err;
}

/* --- the whole log --- */

int th_log_replay(struct th_disk *disk, struct th_log_area area, uint64_t identity, struct th_log_position at,
		  th_log_visit *visit, void *arg, struct th_log_end *ret_end)
{
	struct ring ring = { .disk = disk, .area = area };
	struct found record = { 0 }, next = { 0 };
	uint64_t room = area.blocks;
	int err, ret = 0;

	if (!ring_fits(&ring, at))
		return -EUCLEAN;
	*ret_end = (struct th_log_end){ .at = at };
	err = find_record(&ring, identity, at, room, &record);
	if (!err && !record.buf)
		err = count_stranded(&ring, identity, at, room, &ret_end->stranded);
	while (!err && record.buf) {
		room -= record_blocks(record.size);
		err = find_record(&ring, identity, record.end, room, &next);
		if (!err && !next.buf)
			err = count_stranded(&ring, identity, record.end, room, &ret_end->stranded);
		if (err)
			break;
		if (next.buf || ret_end->stranded)
			report_copy(&ring, &record);
		ret = visit(record.buf + sizeof(struct record_disk), (size_t)record.size,
			    !next.buf && !ret_end->stranded, arg);
		if (ret)
			break;
		ret_end->at = record.end;
		free(record.buf);
		record = next;
		next = (struct found){ 0 };
	}
	free(record.buf);
	free(next.buf);
	if (!err && ret < 0)
		err = ret;
	return err;
}
