/* SPDX-License-Identifier: Apache-2.0 */
/* Transactions as they lie in a record of the intent log: docs/format.md, "Log record". */
#ifndef TH_TREE_CHECKPOINT_LOG_FORMAT_H
#define TH_TREE_CHECKPOINT_LOG_FORMAT_H

#include "journal/base/format.h"

struct th_log_txn_disk {
	struct th_le64 seq;
	struct th_le32 size; /* of the transaction, this header included */
	struct th_le32 messages, allocs, drops, shares;
	/* allocs x th_log_alloc_disk, drops and shares x th_log_run_disk, messages packed entries with whole keys */
};
static_assert(sizeof(struct th_log_txn_disk) == 28, "format.md: log record");

struct th_log_alloc_disk {
	struct th_le64 addr, birth;
	struct th_le32 blocks, written;
	struct th_le64 digest; /* XXH3 over the le64 checksums of its blocks, if written */
};
static_assert(sizeof(struct th_log_alloc_disk) == 32, "format.md: log record, allocation");

struct th_log_run_disk {
	struct th_le64 addr, birth;
	struct th_le32 blocks;
};
static_assert(sizeof(struct th_log_run_disk) == 20, "format.md: log record, run");

#endif
