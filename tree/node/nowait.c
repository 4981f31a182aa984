/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/node/nowait.h"

#include <errno.h>

#include "tree/thunderhead.h"

/* A node may be evicted before the repeated section uses it.  After this many attempts the section waits for the
 * disk. */
#define ATTEMPTS_MAX 32

static _Thread_local struct {
	bool on;
	bool patient; /* this attempt waits for the disk, and reports damage, as outside of a section */
	unsigned attempts;
	struct th_cache *cache;
	struct th_ptr ptr;
	struct th_key fence;
} nowait;

void th_nowait_begin(void)
{
	nowait.on = !nowait.patient;
}

void th_nowait_end(void)
{
	nowait.on = false;
}

bool th_nowait_suspend(void)
{
	bool was = nowait.on;

	nowait.on = false;
	return was;
}

void th_nowait_resume(bool was)
{
	nowait.on = was;
}

bool th_nowait_note(struct th_cache *cache, const struct th_ptr *ptr, struct th_slice fence)
{
	if (!nowait.on)
		return false;
	nowait.cache = cache;
	nowait.ptr = *ptr;
	th_key_set(&nowait.fence, fence);
	return true;
}

/* Reads the node and looks it up again: a leaf that was used twice is evicted later. */
static bool load_noted(void)
{
	struct th_node *node, *again;

	if (!nowait.cache) /* this -EINPROGRESS does not come from the cache */
		return false;
	if (th_cache_load_quietly(nowait.cache, &nowait.ptr, th_key_slice(&nowait.fence), &node) < 0)
		return false;
	again = th_cache_get(nowait.cache, &nowait.ptr);
	th_node_unref(again);
	th_node_unref(node);
	return true;
}

bool th_nowait_again(int err)
{
	nowait.on = false;
	if (err != -EINPROGRESS) {
		nowait.attempts = 0;
		nowait.patient = false;
		return false;
	}
	nowait.patient = !load_noted() || ++nowait.attempts >= ATTEMPTS_MAX;
	nowait.cache = NULL;
	return true;
}
