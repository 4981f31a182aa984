/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/tree/large_txn.h"

#include <stdio.h>

static void ignore_report(void *arg, const char *line)
{
	(void)arg;
	(void)line;
}

const struct th_store_options th_large_options = {
	.cache_bytes = 256 << 10, .txn_bytes = 2000, .checkpoint_interval_ms = 3600 * 1000, .report = ignore_report
};

struct th_store_info th_large_info(struct th_store *store)
{
	struct th_store_info info;

	th_store_info(store, &info);
	return info;
}

uint64_t th_large_blocks_left(struct th_store *store)
{
	for (int i = 0; i < 3; i++)
		th_ok(th_store_checkpoint(store));
	return th_large_info(store).blocks_free + th_large_info(store).blocks_waiting;
}

struct th_slice th_large_key(uint32_t number, char *space)
{
	snprintf(space, 32, "record %08x", number * UINT32_C(0x9e3779b9));
	return th_slice_of(space);
}

int th_large_put(struct th_txn *txn, struct th_model *model, uint32_t number, size_t size, uint64_t stamp)
{
	static uint8_t bytes[30000];
	char space[32];
	struct th_slice key = th_large_key(number, space), value = { bytes, size };
	int err;

	th_value_make(bytes, size, key, stamp);
	err = th_txn_put(txn, key, value);
	if (!err && model)
		th_model_put(model, key, value);
	return err;
}

void th_large_write(struct th_txn *txn, struct th_model *model, struct th_random *random, unsigned count)
{
	char from[32], to[32];

	while (count--) {
		uint32_t number = th_random_below(random, TH_LARGE_RECORDS), what = th_random_below(random, 1000);
		struct th_slice key = th_large_key(number, from);

		if (what < 900) {
			th_ok(th_large_put(txn, model, number, what < 20 ? TH_INLINE_MAX + 1 + 10 * what : what / 4,
					   th_random_next(random)));
		} else if (what < 950) {
			th_ok(th_txn_delete(txn, key));
			th_model_delete(model, key);
		} else if (what < 998) {
			th_ok(th_txn_ref(txn, key, 3));
			th_model_ref(model, key, 3);
		} else {
			struct th_range range = { key, th_large_key(th_random_below(random, TH_LARGE_RECORDS), to) };

			if (th_model_compare(range.from, range.to) > 0)
				range = (struct th_range){ range.to, range.from };
			th_ok(th_txn_delete_range(txn, range));
			th_model_delete_range(model, range);
		}
	}
}

void th_large_verify(struct th_txn *txn, const struct th_model *model)
{
	struct th_cursor *cursor;
	char space[32];

	for (uint32_t i = 0; i < TH_LARGE_RECORDS; i += 7)
		th_verify_txn_get(txn, model, th_large_key(i, space));
	th_ok(th_txn_cursor(txn, NULL, &cursor));
	th_verify_cursor(cursor, model, NULL);
	th_cursor_close(cursor);
}
