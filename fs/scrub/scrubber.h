/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The thread that scrubs a filesystem while it is in use.
 *
 * It reads a part, and then waits as long as the rate demands, so that programs and checkpoints go on.  The superblock
 * has how far it is: a scrub that was neither paused nor stopped goes on with the next mount.
 */
#ifndef TH_FS_SCRUB_SCRUBBER_H
#define TH_FS_SCRUB_SCRUBBER_H

#include "fs/inode/context.h"
#include "tree/scrub/scrub.h"

/* Bytes per second by default: disks read some times as much, so that programs hardly notice. */
#define TH_SCRUB_RATE (UINT64_C(64) << 20)

struct th_scrubber;

struct th_scrubber_status {
	struct th_super_scrub scrub;
	bool running;
	uint64_t bytes_total; /* about what a whole scrub reads */
};

/* Makes one that does nothing yet.  Returns 0 or -ENOMEM. */
int th_scrubber_new(struct th_fs *fs, struct th_scrubber **ret);
/* Ends the thread; the next mount goes on.  NULL is ignored. */
void th_scrubber_free(struct th_scrubber *scrubber);
/* Begins a scrub, or goes on with one that is not complete.  rate: bytes per second; 0: as fast as possible.  Returns
 * 0,
 * -EALREADY if one is running, -ENOMEM, or an error of starting a thread. */
int th_scrubber_start(struct th_scrubber *scrubber, uint64_t rate);
/* Goes on with a scrub that is neither complete nor paused, for a new mount.  Returns as th_scrubber_start(). */
int th_scrubber_resume(struct th_scrubber *scrubber);
/* Pause a scrub, which th_scrubber_start() continues; or give it up.  Return 0, or -ESRCH if none is under way. */
int th_scrubber_pause(struct th_scrubber *scrubber);
int th_scrubber_stop(struct th_scrubber *scrubber);
void th_scrubber_status(struct th_scrubber *scrubber, struct th_scrubber_status *ret);

#endif
