/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Block devices by the UUID or label of the image on them, for mount and fstab.
 *
 * mount(8) has tags of its own, UUID= and LABEL=, and asks libblkid, which does not know this format: it then stops
 * before it calls the helper.  It passes on tags in small letters, which stand in fstab.  docs/libblkid.md proposes a
 * probe.
 */
#ifndef TH_TOOLS_FIND_DEVICE_H
#define TH_TOOLS_FIND_DEVICE_H

#include <stdbool.h>

/* Returns whether the text is UUID=..., LABEL=..., or one of these in small letters. */
bool th_is_device_tag(const char *text);
/* Looks at all block devices that are not in use, and that no other device lies on, for the tag.  The caller frees
 * *ret, a path.  Returns 0, or TH_EXIT_FAILED after reporting that none or several have it. */
int th_find_device(const char *tag, char **ret);

#endif
