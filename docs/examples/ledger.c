/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A ledger: accounts, and transfers between them by several clerks at a time.  It shows how a program uses the store:
 * transactions under range locks, a cursor, a snapshot, what changed since, and a branch to try something on.
 *
 *   cc ledger.c $(pkg-config --cflags --libs thunderhead) -o ledger && ./ledger ledger.img
 *
 * Keys are "account/NAME" with the balance, and "transfer/CLERK/NUMBER".
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <thunderhead/disk.h>
#include <thunderhead/thunderhead.h>

#define IMAGE_BYTES (64 << 20)
#define CLERKS 4
#define TRANSFERS 100 /* of each clerk */

static const char *const names[] = { "ada", "bob", "cyd", "dee" };
#define ACCOUNTS (sizeof(names) / sizeof(names[0]))
#define OPENING_BALANCE 1000

static struct th_slice slice(const char *string)
{
	return (struct th_slice){ string, strlen(string) };
}

/* --- accounts --- */

static int64_t parse(const void *data, size_t size)
{
	char text[24] = "";

	memcpy(text, data, size < sizeof(text) ? size : sizeof(text) - 1); /* values do not end with a 0 */
	return strtoll(text, NULL, 10);
}

/* The balance of an account that nobody opened is 0. */
static int read_balance(struct th_txn *txn, struct th_slice key, int64_t *ret)
{
	struct th_value value;
	int r = th_txn_get(txn, key, &value);

	*ret = 0;
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	*ret = parse(value.data, value.size);
	th_value_release(&value);
	return 0;
}

/* Reads and writes one account.  The lock, which the transaction holds until its end, keeps other clerks from writing
 * in between; it is a range of one key: up to the next one possible, the same with a 0 behind it. */
static int add(struct th_txn *txn, const char *name, int64_t amount)
{
	char key[64], balance[24];
	int size = snprintf(key, sizeof(key), "account/%s", name);
	struct th_range range = { { key, (size_t)size }, { key, (size_t)size + 1 } };
	int64_t before;
	int r = th_txn_lock(txn, &range, TH_LOCK_EXCLUSIVE, TH_LOCK_WAIT);

	if (r == 0)
		r = read_balance(txn, range.from, &before);
	if (r < 0)
		return r;
	if (before + amount < 0)
		return -EDOM;
	snprintf(balance, sizeof(balance), "%" PRId64, before + amount);
	return th_txn_put(txn, range.from, slice(balance));
}

static int try_transfer(struct th_store *store, const char *id, const char *from, const char *to, int64_t amount)
{
	char key[64], text[80];
	struct th_txn *txn;
	int r = th_txn_begin(store, &txn);

	if (r < 0)
		return r;
	snprintf(key, sizeof(key), "transfer/%s", id);
	snprintf(text, sizeof(text), "%" PRId64 " from %s to %s", amount, from, to);
	r = add(txn, from, -amount);
	if (r == 0)
		r = add(txn, to, amount);
	if (r == 0)
		r = th_txn_put(txn, slice(key), slice(text));
	if (r == 0)
		return th_txn_commit(txn); /* which ends the transaction in any case */
	th_txn_rollback(txn);
	return r;
}

/* Two clerks may each hold what the other one waits for.  One is told so; it lets go of everything and begins anew. */
static int transfer(struct th_store *store, const char *id, const char *from, const char *to, int64_t amount)
{
	int r;

	do
		r = try_transfer(store, id, from, to, amount);
	while (r == -EDEADLK);
	return r;
}

static int open_accounts(struct th_store *store)
{
	struct th_txn *txn;
	int r = th_txn_begin(store, &txn);

	if (r < 0)
		return r;
	for (size_t i = 0; i < ACCOUNTS && r == 0; i++)
		r = add(txn, names[i], OPENING_BALANCE);
	if (r == 0)
		return th_txn_commit(txn);
	th_txn_rollback(txn);
	return r;
}

/* --- clerks --- */

struct clerk {
	pthread_t thread;
	struct th_store *store;
	unsigned number;
	int result;
};

static void *clerk_main(void *arg)
{
	struct clerk *clerk = arg;
	char id[32];

	for (unsigned i = 0; i < TRANSFERS && clerk->result == 0; i++) {
		unsigned from = (clerk->number + i) % ACCOUNTS, to = (from + 1 + i % (ACCOUNTS - 1)) % ACCOUNTS;

		snprintf(id, sizeof(id), "%u/%04u", clerk->number, i);
		clerk->result = transfer(clerk->store, id, names[from], names[to], 1 + i % 7);
	}
	return NULL;
}

static int let_clerks_work(struct th_store *store)
{
	struct clerk clerks[CLERKS];
	unsigned count = 0;
	int r = 0;

	for (; count < CLERKS && r == 0; count++) {
		clerks[count] = (struct clerk){ .store = store, .number = count };
		r = -pthread_create(&clerks[count].thread, NULL, clerk_main, &clerks[count]);
	}
	if (r < 0)
		count--;
	for (unsigned i = 0; i < count; i++) {
		pthread_join(clerks[i].thread, NULL);
		if (r == 0)
			r = clerks[i].result;
	}
	return r;
}

/* --- looking --- */

/* Prints how many there are, and what they have together. */
static int print_sum(struct th_view *view, const char *title)
{
	char space[16];
	struct th_range range = th_range_prefix(slice("account/"), space);
	struct th_cursor_entry entry;
	struct th_cursor *cursor;
	int64_t sum = 0;
	unsigned count = 0;
	int r = th_cursor_open(view, &range, &cursor);

	if (r < 0)
		return r;
	while ((r = th_cursor_next(cursor, &entry)) == 0) {
		sum += parse(entry.value.data, entry.value.size);
		count++;
	}
	th_cursor_close(cursor);
	if (r == 1) /* the end */
		printf("%s: %u accounts, %" PRId64 " together\n", title, count, sum);
	return r < 0 ? r : 0;
}

/* Prints the keys that differ.  Of accounts, by how much. */
static int print_changes(struct th_view *from, struct th_view *to)
{
	struct th_change c;
	struct th_diff *diff;
	int r = th_diff_open(from, to, NULL, &diff);

	if (r < 0)
		return r;
	while ((r = th_diff_next(diff, &c)) == 0) {
		printf("  %.*s: ", (int)c.key.size, (const char *)c.key.data);
		if (c.from.data && c.to.data)
			printf("%+" PRId64 "\n", parse(c.to.data, c.to.size) - parse(c.from.data, c.from.size));
		else
			printf("%s\n", c.to.data ? "new" : "gone");
	}
	th_diff_close(diff);
	return r < 0 ? r : 0;
}

/* What changed between a snapshot and the present. */
static int print_since(struct th_store *store, const char *name)
{
	struct th_view *then = NULL, *now = NULL;
	struct th_snapshot snapshot;
	int r = th_snapshot_find(store, name, &snapshot);

	if (r == 0)
		r = th_view_snapshot(store, snapshot.id, &then);
	if (r == 0)
		r = th_view_freeze(store, &now);
	if (r == 0)
		r = print_changes(then, now);
	th_view_close(then);
	th_view_close(now);
	return r;
}

/* --- the day --- */

static int first_session(struct th_store *store)
{
	int r = open_accounts(store);

	if (r == 0)
		r = let_clerks_work(store);
	if (r == 0)
		r = print_sum(th_view_live(store), "at closing time");
	if (r == 0)
		r = th_snapshot_create(store, "closing", NULL); /* durable from here on */
	if (r == 0)
		r = transfer(store, "late/0000", "ada", "bob", 50);
	if (r == 0)
		r = th_store_sync(store); /* and so is this */
	if (r < 0)
		return r;
	printf("since then:\n");
	r = print_since(store, "closing");
	if (r == 0)
		r = transfer(store, "late/0001", "ada", "bob", 1000000) == -EDOM ? 0 : -EPROTO;
	if (r == 0)
		r = th_branch_create(store, "what-if", "closing", NULL);
	return r;
}

/* On the branch it is closing time still; what is done here does not touch the main one. */
static int second_session(struct th_store *store)
{
	struct th_view *view;
	int r = transfer(store, "if/0000", "cyd", "dee", 10);

	if (r < 0)
		return r;
	printf("what if:\n");
	r = print_since(store, "closing");
	if (r == 0)
		r = th_view_branch(store, "main", &view);
	if (r < 0)
		return r;
	r = print_sum(view, "on the main branch");
	th_view_close(view);
	return r;
}

/* Opens the store on a branch (NULL: the current one), which is current from then on. */
static int open_store(const char *path, const char *branch, bool format, struct th_store **ret)
{
	struct th_store_options options = { .branch = branch };
	struct th_disk *disk;
	int r = th_disk_open(path, 0, &disk);

	if (r < 0)
		return r;
	if (format)
		r = th_store_format(disk, NULL);
	if (r == 0)
		r = th_store_open(disk, &options, ret);
	if (r < 0)
		th_disk_close(disk); /* else the store closes it */
	return r;
}

static int create_image(const char *path)
{
	int fd = open(path, O_CREAT | O_EXCL | O_WRONLY, 0666);
	int r = 0;

	if (fd < 0 || ftruncate(fd, IMAGE_BYTES) < 0)
		r = -errno;
	if (fd >= 0)
		close(fd);
	return r;
}

static int session(const char *path, const char *branch, bool format, int (*work)(struct th_store *store))
{
	struct th_store *store;
	int r = open_store(path, branch, format, &store), closed;

	if (r < 0)
		return r;
	r = work(store);
	closed = th_store_close(store);
	return r < 0 ? r : closed;
}

int main(int argc, char **argv)
{
	int r;

	if (argc != 2) {
		fprintf(stderr, "usage: ledger IMAGE\n");
		return 2;
	}
	r = create_image(argv[1]);
	if (r == 0)
		r = session(argv[1], NULL, true, first_session);
	if (r == 0)
		r = session(argv[1], "what-if", false, second_session);
	if (r < 0)
		fprintf(stderr, "ledger: %s: %s\n", argv[1], strerror(-r));
	return r < 0;
}
