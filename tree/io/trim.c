/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/io/trim.h"

#include <errno.h>

/* Discards between two looks at whether a checkpoint is wanted: some milliseconds. */
#define TRIM_BATCH 64

void th_trim_start(struct th_store *store)
{
	enum th_discard discard = store->options.discard;

	if (!store->read_only && (discard == TH_DISCARD_ON || (discard == TH_DISCARD_DEFAULT && store->disk->sparse)))
		th_space_trim_enable(store->space, true);
}

static bool trim(struct th_store *store, unsigned most)
{
	int ret = th_space_trim_freed(store->space, store->disk, most);

	if (ret >= 0)
		return ret;
	th_space_trim_enable(store->space, false);
	if (ret != -EOPNOTSUPP)
		th_store_report(store, "%s: unused space cannot be discarded: %s; it is kept until the next mount",
				store->disk->name, strerror(-ret));
	return false;
}

bool th_trim_freed(struct th_store *store)
{
	return trim(store, TRIM_BATCH);
}

void th_trim_finish(struct th_store *store)
{
	trim(store, UINT32_MAX); /* the due ones; if there were none, makes the rest due */
	trim(store, UINT32_MAX);
	trim(store, UINT32_MAX);
}
