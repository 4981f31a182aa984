/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk of your own: it spreads blocks over two other disks, so that two devices work for one store.  It shows the
 * duties of a disk (thunderhead/disk.h): a table of operations, and futures that complete exactly once.
 *
 *   cc stripe.c $(pkg-config --cflags --libs thunderhead) -o stripe && ./stripe left.img right.img
 *
 * Blocks go to the halves in turns of STRIPE:
 *
 *   striped   0 ..... 63 | 64 .... 127 | 128 ... 191 | 192 ... 255
 *   left      0 ..... 63 |             |  64 ... 127 |
 *   right                |  0 ..... 63 |             |  64 ... 127
 */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <thunderhead/disk.h>
#include <thunderhead/thunderhead.h>
#include <thunderhead/transfer.h>

#define STRIPE 64 /* blocks */
#define HALF_BYTES (16 << 20)

struct stripe_disk {
	struct th_disk disk; /* the store uses this; the first member, so that both have one address */
	struct th_disk *half[2];
};

/* The part of a transfer that goes to one stripe of one half. */
struct part {
	struct th_future future;
	struct iovec *iov;
	int iovcnt;
};

/* One transfer of the striped disk.  It completes with the last of its parts. */
struct request {
	struct th_future *whole;
	atomic_uint left; /* parts under way, plus one while parts are being started */
	atomic_int result;
	struct part part[];
};

/* Ends one part, on a thread of either half. */
static void request_put(struct request *request, int result)
{
	struct th_future *whole = request->whole;

	if (result < 0)
		atomic_store(&request->result, result);
	if (atomic_fetch_sub(&request->left, 1) > 1)
		return;
	result = atomic_load(&request->result);
	free(request);
	th_future_complete(whole, result); /* last, since the waiting caller may free the whole */
}

static void part_done(struct th_future *future, void *request)
{
	request_put(request, future->result);
}

/* Allocates a request with its parts, and their buffers after them. */
static struct request *request_new(struct th_future *whole, size_t parts, size_t iovs)
{
	struct request *request;
	struct iovec *iov;

	request = malloc(sizeof(*request) + parts * sizeof(struct part) + iovs * sizeof(struct iovec));
	if (!request)
		return NULL;
	iov = (struct iovec *)&request->part[parts];
	request->whole = whole;
	atomic_init(&request->left, 1);
	atomic_init(&request->result, 0);
	if (parts)
		request->part[0].iov = iov;
	return request;
}

/* Cuts up to `size` bytes off the front of the buffers. */
static size_t cut(const struct iovec **from, size_t *skip, size_t size, struct iovec *to)
{
	size_t left = (*from)->iov_len - *skip, n = size < left ? size : left;

	*to = (struct iovec){ (char *)(*from)->iov_base + *skip, n };
	*skip += n;
	if (*skip == (*from)->iov_len) {
		++*from;
		*skip = 0;
	}
	return n;
}

static void start_part(struct stripe_disk *stripe, enum th_transfer_kind kind, uint64_t addr, struct part *part,
		       struct request *request)
{
	uint64_t turn = addr / STRIPE, at = turn / 2 * STRIPE + addr % STRIPE;
	struct th_disk *half = stripe->half[turn % 2];

	atomic_fetch_add(&request->left, 1);
	if (kind == TH_TRANSFER_GET)
		th_disk_get(half, at, (uint32_t)(part->iov->iov_len >> TH_BLOCK_SHIFT), part->iov->iov_base,
			    &part->future);
	else
		th_disk_save(half, at, part->iov, part->iovcnt, &part->future);
	th_future_then(&part->future, part_done, request);
}

/* Starts a get or a save.  A get has one buffer, and so has each of its parts. */
static void stripe_move(struct stripe_disk *stripe, const struct th_transfer *transfer, struct th_future *whole)
{
	int iovcnt;
	const struct iovec *from = th_transfer_iov(transfer, &iovcnt);
	size_t size = th_transfer_size(transfer), skip = 0;
	size_t parts = size / (STRIPE * TH_BLOCK_SIZE) + 2;
	struct request *request;
	struct iovec *iov;
	uint64_t addr = transfer->addr;

	th_future_init(whole, NULL, NULL); /* no drive: the halves complete futures with a continuation */
	request = request_new(whole, parts, parts + (size_t)iovcnt);
	if (!request) {
		th_future_complete(whole, -ENOMEM);
		return;
	}
	iov = request->part[0].iov;
	for (struct part *part = request->part; size > 0; part++) {
		size_t room = (STRIPE - addr % STRIPE) * TH_BLOCK_SIZE, want = size < room ? size : room;
		uint64_t next = addr + want / TH_BLOCK_SIZE;

		*part = (struct part){ .iov = iov };
		size -= want;
		for (; want > 0; part->iovcnt++)
			want -= cut(&from, &skip, want, iov++);
		start_part(stripe, transfer->kind, addr, part, request);
		addr = next;
	}
	request_put(request, 0);
}

static void stripe_get(struct th_disk *disk, uint64_t addr, uint32_t blocks, void *buf, struct th_future *future)
{
	struct th_transfer transfer = th_transfer_get(addr, blocks, buf);

	stripe_move((struct stripe_disk *)disk, &transfer, future);
}

static void stripe_save(struct th_disk *disk, uint64_t addr, const struct iovec *iov, int iovcnt,
			struct th_future *future)
{
	struct th_transfer transfer = th_transfer_save(addr, iov, iovcnt);

	stripe_move((struct stripe_disk *)disk, &transfer, future);
}

static void stripe_flush(struct th_disk *disk, struct th_future *whole)
{
	struct stripe_disk *stripe = (struct stripe_disk *)disk;
	struct request *request = request_new(whole, 2, 0);

	th_future_init(whole, NULL, NULL);
	if (!request) {
		th_future_complete(whole, -ENOMEM);
		return;
	}
	for (int i = 0; i < 2; i++) {
		atomic_fetch_add(&request->left, 1);
		th_disk_flush(stripe->half[i], &request->part[i].future);
		th_future_then(&request->part[i].future, part_done, request);
	}
	request_put(request, 0);
}

static void stripe_close(struct th_disk *disk)
{
	struct stripe_disk *stripe = (struct stripe_disk *)disk;

	th_disk_close(stripe->half[0]);
	th_disk_close(stripe->half[1]);
	free(stripe);
}

static const struct th_disk_ops stripe_ops = {
	.get = stripe_get,
	.save = stripe_save,
	.flush = stripe_flush,
	.close = stripe_close,
};

/* Makes the striped disk, which owns the halves on success. */
static int stripe_new(struct th_disk *left, struct th_disk *right, struct th_disk **ret)
{
	struct stripe_disk *stripe = calloc(1, sizeof(*stripe));
	uint64_t blocks = left->blocks < right->blocks ? left->blocks : right->blocks;

	if (!stripe)
		return -ENOMEM;
	stripe->half[0] = left;
	stripe->half[1] = right;
	stripe->disk.ops = &stripe_ops;
	stripe->disk.blocks = 2 * (blocks - blocks % STRIPE);
	stripe->disk.name = "stripe";
	*ret = &stripe->disk;
	return 0;
}

/* --- a store on it --- */

#define RECORDS 3000
#define RECORD_BYTES 2000

static int create_file(const char *path)
{
	int fd = open(path, O_CREAT | O_EXCL | O_WRONLY, 0666);
	int err = 0;

	if (fd < 0 || ftruncate(fd, HALF_BYTES) < 0)
		err = -errno;
	if (fd >= 0)
		close(fd);
	return err;
}

static int open_stripe(char **paths, struct th_disk **ret)
{
	struct th_disk *left = NULL, *right = NULL;
	int err = th_disk_open(paths[0], 0, &left);

	if (!err)
		err = th_disk_open(paths[1], 0, &right);
	if (!err)
		err = stripe_new(left, right, ret);
	if (err) {
		th_disk_close(left);
		th_disk_close(right);
	}
	return err;
}

static void make_record(uint32_t number, char *record)
{
	for (unsigned i = 0; i < RECORD_BYTES; i++)
		record[i] = (char)(number * 31 + i * 7);
}

static int write_records(struct th_store *store)
{
	char record[RECORD_BYTES];
	struct th_txn *txn;
	int err = th_txn_begin(store, &txn);

	if (err)
		return err;
	for (uint32_t i = 0; i < RECORDS && !err; i++) {
		make_record(i, record);
		err = th_txn_put(txn, (struct th_slice){ &i, sizeof(i) }, (struct th_slice){ record, sizeof(record) });
	}
	if (!err)
		return th_txn_commit(txn);
	th_txn_rollback(txn);
	return err;
}

static int read_records(struct th_store *store)
{
	char record[RECORD_BYTES];
	struct th_value value;
	int err = 0;

	for (uint32_t i = 0; i < RECORDS && !err; i++) {
		make_record(i, record);
		err = th_get(th_view_live(store), (struct th_slice){ &i, sizeof(i) }, &value);
		if (err)
			break;
		if (value.size != sizeof(record) || memcmp(value.data, record, sizeof(record)) != 0)
			err = -EPROTO;
		th_value_release(&value);
	}
	return err;
}

static int check(struct th_store *store)
{
	struct th_check_options options = { .read_data = true };
	struct th_check_result result;
	int err = th_store_check(store, &options, &result);

	if (!err)
		printf("%d records, %u problems\n", RECORDS, (unsigned)result.problems);
	return err;
}

/* Opens a store on both files, calls `work` and `more`, and closes it. */
static int session(char **paths, bool format, int (*work)(struct th_store *), int (*more)(struct th_store *))
{
	struct th_store *store;
	struct th_disk *disk;
	int err = open_stripe(paths, &disk), closed;

	if (err)
		return err;
	if (format)
		err = th_store_format(disk, NULL);
	if (!err)
		err = th_store_open(disk, NULL, &store);
	if (err) {
		th_disk_close(disk);
		return err;
	}
	err = work(store);
	if (!err)
		err = more(store);
	closed = th_store_close(store);
	return err ? err : closed;
}

int main(int argc, char **argv)
{
	int err = 0;

	if (argc != 3) {
		fprintf(stderr, "usage: stripe LEFT RIGHT\n");
		return 2;
	}
	for (int i = 1; i <= 2 && !err; i++)
		err = create_file(argv[i]);
	if (!err)
		err = session(argv + 1, true, write_records, th_store_checkpoint);
	if (!err)
		err = session(argv + 1, false, read_records, check);
	if (err)
		fprintf(stderr, "stripe: %s\n", strerror(-err));
	return err ? 1 : 0;
}
