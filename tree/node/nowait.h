/* SPDX-License-Identifier: Apache-2.0 */
/* Threads that do not wait for nodes: th_nowait_begin and its like in thunderhead.h, as the store sees them. */
#ifndef TH_TREE_NODE_NOWAIT_H
#define TH_TREE_NODE_NOWAIT_H

#include "tree/node/cache.h"

/* Would this thread rather do without a node that must be read?  If so, it is noted which. */
bool th_nowait_note(struct th_cache *cache, const struct th_ptr *ptr, struct th_slice fence);

/* For what cannot be begun anew: until it is resumed, this thread waits.  Returns what is to be resumed. */
bool th_nowait_suspend(void);
void th_nowait_resume(bool was);

#endif
