/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A ledger: accounts, and transfers between them by several clerks at the same time.  It shows how a program uses the
 * store: transactions under range locks, a cursor, a snapshot, a diff against it, and a branch for an experiment.
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

/* Reads a balance, which is 0 if the account does not exist. */
static int read_balance(struct th_txn *txn, struct th_slice key, int64_t *ret)
{
	struct th_value value;
	int err = th_txn_get(txn, key, &value);

	*ret = 0;
	if (err)
		return err == -ENOENT ? 0 : err;
	*ret = parse(value.data, value.size);
	th_value_release(&value);
	return 0;
}

/* Reads and writes one account.  The lock keeps other clerks from writing in between; the transaction holds it until
 * its end.  Its range has one key: it ends at the next possible key, which is the same with a 0 byte appended. */
static int add(struct th_txn *txn, const char *name, int64_t amount)
{
	char key[64], balance[24];
	int size = snprintf(key, sizeof(key), "account/%s", name);
	struct th_range range = { { key, (size_t)size }, { key, (size_t)size + 1 } };
	int64_t before;
	int err = th_txn_lock(txn, &range, TH_LOCK_EXCLUSIVE, TH_LOCK_WAIT);

	if (!err)
		err = read_balance(txn, range.from, &before);
	if (err)
		return err;
	if (before + amount < 0)
		return -EDOM;
	snprintf(balance, sizeof(balance), "%" PRId64, before + amount);
	return th_txn_put(txn, range.from, slice(balance));
}

static int try_transfer(struct th_store *store, const char *id, const char *from, const char *to, int64_t amount)
{
	char key[64], text[80];
	struct th_txn *txn;
	int err = th_txn_begin(store, &txn);

	if (err)
		return err;
	snprintf(key, sizeof(key), "transfer/%s", id);
	snprintf(text, sizeof(text), "%" PRId64 " from %s to %s", amount, from, to);
	err = add(txn, from, -amount);
	if (!err)
		err = add(txn, to, amount);
	if (!err)
		err = th_txn_put(txn, slice(key), slice(text));
	if (!err)
		return th_txn_commit(txn); /* ends the transaction in any case */
	th_txn_rollback(txn);
	return err;
}

/* Retries after a deadlock, when each of two clerks holds the account that the other one waits for.  The rollback has
 * unlocked both accounts of this clerk, so that the other one can go on. */
static int transfer(struct th_store *store, const char *id, const char *from, const char *to, int64_t amount)
{
	int err;

	do
		err = try_transfer(store, id, from, to, amount);
	while (err == -EDEADLK);
	return err;
}

static int open_accounts(struct th_store *store)
{
	struct th_txn *txn;
	int err = th_txn_begin(store, &txn);

	if (err)
		return err;
	for (size_t i = 0; i < ACCOUNTS && !err; i++)
		err = add(txn, names[i], OPENING_BALANCE);
	if (!err)
		return th_txn_commit(txn);
	th_txn_rollback(txn);
	return err;
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
	int err = 0;

	for (; count < CLERKS && !err; count++) {
		clerks[count] = (struct clerk){ .store = store, .number = count };
		err = -pthread_create(&clerks[count].thread, NULL, clerk_main, &clerks[count]);
	}
	if (err)
		count--;
	for (unsigned i = 0; i < count; i++) {
		pthread_join(clerks[i].thread, NULL);
		if (!err)
			err = clerks[i].result;
	}
	return err;
}

/* --- reading --- */

/* Prints the number of accounts and the sum of their balances. */
static int print_sum(struct th_view *view, const char *title)
{
	char space[16];
	struct th_range range = th_range_prefix(slice("account/"), space);
	struct th_cursor_entry entry;
	struct th_cursor *cursor;
	int64_t sum = 0;
	unsigned count = 0;
	int end, err = th_cursor_open(view, &range, &cursor);

	if (err)
		return err;
	while ((end = th_cursor_next(cursor, &entry)) == 0) {
		sum += parse(entry.value.data, entry.value.size);
		count++;
	}
	th_cursor_close(cursor);
	if (end == 1) /* not an error */
		printf("%s: %u accounts, %" PRId64 " together\n", title, count, sum);
	return end < 0 ? end : 0;
}

/* Prints the keys that differ, and by how much a balance changed. */
static int print_changes(struct th_view *from, struct th_view *to)
{
	struct th_change c;
	struct th_diff *diff;
	int end, err = th_diff_open(from, to, NULL, &diff);

	if (err)
		return err;
	while ((end = th_diff_next(diff, &c)) == 0) {
		printf("  %.*s: ", (int)c.key.size, (const char *)c.key.data);
		if (c.from.data && c.to.data)
			printf("%+" PRId64 "\n", parse(c.to.data, c.to.size) - parse(c.from.data, c.from.size));
		else
			printf("%s\n", c.to.data ? "new" : "gone");
	}
	th_diff_close(diff);
	return end < 0 ? end : 0;
}

/* Prints the changes since a snapshot. */
static int print_since(struct th_store *store, const char *name)
{
	struct th_view *then = NULL, *now = NULL;
	struct th_snapshot snapshot;
	int err = th_snapshot_find(store, name, &snapshot);

	if (!err)
		err = th_view_snapshot(store, snapshot.id, &then);
	if (!err)
		err = th_view_freeze(store, &now);
	if (!err)
		err = print_changes(then, now);
	th_view_close(then);
	th_view_close(now);
	return err;
}

/* --- the day --- */

static int first_session(struct th_store *store)
{
	int err = open_accounts(store);

	if (!err)
		err = let_clerks_work(store);
	if (!err)
		err = print_sum(th_view_live(store), "at closing time");
	if (!err)
		err = th_snapshot_create(store, "closing", NULL); /* durable when it returns */
	if (!err)
		err = transfer(store, "late/0000", "ada", "bob", 50);
	if (!err)
		err = th_store_sync(store); /* makes the transfer durable */
	if (err)
		return err;
	printf("since then:\n");
	err = print_since(store, "closing");
	if (!err)
		err = transfer(store, "late/0001", "ada", "bob", 1000000) == -EDOM ? 0 : -EPROTO;
	if (!err)
		err = th_branch_create(store, "what-if", "closing", NULL);
	return err;
}

/* Runs on the branch, which begins at closing time; its transfer does not change the main branch. */
static int second_session(struct th_store *store)
{
	struct th_view *view;
	int err = transfer(store, "if/0000", "cyd", "dee", 10);

	if (err)
		return err;
	printf("what if:\n");
	err = print_since(store, "closing");
	if (!err)
		err = th_view_branch(store, "main", &view);
	if (err)
		return err;
	err = print_sum(view, "on the main branch");
	th_view_close(view);
	return err;
}

/* Opens the store and makes a branch the current one; NULL: keeps the current one. */
static int open_store(const char *path, const char *branch, bool format, struct th_store **ret)
{
	struct th_store_options options = { .branch = branch };
	struct th_disk *disk;
	int err = th_disk_open(path, 0, &disk);

	if (err)
		return err;
	if (format)
		err = th_store_format(disk, NULL);
	if (!err)
		err = th_store_open(disk, &options, ret);
	if (err)
		th_disk_close(disk); /* after success the store closes it */
	return err;
}

static int create_image(const char *path)
{
	int fd = open(path, O_CREAT | O_EXCL | O_WRONLY, 0666);
	int err = 0;

	if (fd < 0 || ftruncate(fd, IMAGE_BYTES) < 0)
		err = -errno;
	if (fd >= 0)
		close(fd);
	return err;
}

static int session(const char *path, const char *branch, bool format, int (*work)(struct th_store *store))
{
	struct th_store *store;
	int err = open_store(path, branch, format, &store), closed;

	if (err)
		return err;
	err = work(store);
	closed = th_store_close(store);
	return err ? err : closed;
}

int main(int argc, char **argv)
{
	int err;

	if (argc != 2) {
		fprintf(stderr, "usage: ledger IMAGE\n");
		return 2;
	}
	err = create_image(argv[1]);
	if (!err)
		err = session(argv[1], NULL, true, first_session);
	if (!err)
		err = session(argv[1], "what-if", false, second_session);
	if (err)
		fprintf(stderr, "ledger: %s: %s\n", argv[1], strerror(-err));
	return err ? 1 : 0;
}
