/* SPDX-License-Identifier: Apache-2.0 */
/* Non-blocking reads, the store's side of th_nowait_begin() in thunderhead.h: the state of the calling thread. */
#ifndef TH_TREE_NODE_NOWAIT_H
#define TH_TREE_NODE_NOWAIT_H

#include "tree/node/cache.h"

/* Returns true if this thread must not wait for a node that has to be read; records the node for th_nowait_again(). */
bool th_nowait_note(struct th_cache *cache, const struct th_ptr *ptr, struct th_slice fence);

/* Lets this thread wait until th_nowait_resume(): for operations that cannot be undone halfway and retried.  Returns
 * the state to be passed to th_nowait_resume(). */
bool th_nowait_suspend(void);
void th_nowait_resume(bool was);

#endif
