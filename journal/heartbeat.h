/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The heartbeat: one block that a writer writes at an interval, so that a second machine does not write to a shared
 * disk.
 *
 * The block names the writer: its host, the host's boot, its process.  A writer that finds the block of another one
 * watches it for a little more than two intervals.  If the block changes, the disk is in use.  It does not wait where
 * the other one cannot be alive: the disk was closed, the process on this boot of this host has ended, or this host was
 * booted since.  Two writers that take a free disk at the same moment are told apart by a second look a moment later,
 * before either writes anything else.
 *
 * A writer looks at its block before each beat, and before a write if the last beat is two intervals old: after a
 * pause, such as that of a suspended machine, another writer may have the disk.  If the block is no longer its own, the
 * disk is lost, and it writes no more.
 *
 * Hosts are told apart by machine ID, hardware UUID and name together, so that clones of a virtual machine differ.
 */
#ifndef TH_JOURNAL_HEARTBEAT_H
#define TH_JOURNAL_HEARTBEAT_H

#include <stdbool.h>

#include "journal/disk/disk.h"

#define TH_HEARTBEAT_NAME_MAX 64 /* bytes, with a zero at the end */
#define TH_HEARTBEAT_DEFAULT_MS 5000

struct th_heartbeat;

struct th_heartbeat_host {
	uint64_t host, boot; /* 0: unknown */
	uint64_t pid, started, namespace; /* of the process; its start in clock ticks; its pid namespace */
	char name[TH_HEARTBEAT_NAME_MAX]; /* for messages */
};

/* Fills in this process on this host. */
void th_heartbeat_here(struct th_heartbeat_host *ret);

/* Takes the disk for this writer, and starts a thread that writes the block.  May wait, after a report.
 *
 * here: copied.  interval_ms: 0: the block is marked free and no thread is started, so other machines see no writer.
 * *ret: the heartbeat, for th_heartbeat_stop(); NULL if interval_ms is 0.
 * Returns 0, -EADDRINUSE after a report if another host uses the disk, -ENOMEM, or a read or write error. */
int th_heartbeat_start(struct th_disk *disk, const struct th_heartbeat_host *here, unsigned interval_ms,
		       struct th_heartbeat **ret);
/* Ends the thread.  release: marks the block free, so that the next writer need not wait.  NULL is ignored. */
void th_heartbeat_stop(struct th_heartbeat *heartbeat, bool release);

/* Returns 0 if the disk is this writer's, -EBUSY if it is lost, or a read or write error.  Cheap unless the last beat
 * is two intervals old; then it beats.  NULL: there is no heartbeat, and it returns 0. */
int th_heartbeat_check(struct th_heartbeat *heartbeat);
/* Returns whether the disk is lost, as far as is known. */
bool th_heartbeat_is_lost(const struct th_heartbeat *heartbeat);

/* Writes a block that names no writer, as on a new disk.  Returns 0, -ENOMEM or a write error. */
int th_heartbeat_erase(struct th_disk *disk);

#endif
