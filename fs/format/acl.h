/* SPDX-License-Identifier: Apache-2.0 */
/*
 * POSIX access control lists, as Linux passes them: the values of two extended attributes (docs/format.md, "Access
 * control lists").
 *
 * The kernel checks permissions.  The filesystem keeps the list and the mode consistent, and derives the list of a new
 * inode from the default list of its directory.  The mode bits of owner and others equal the list's entries.  The group
 * bits equal the mask entry if there is one, otherwise the group entry.
 */
#ifndef TH_FS_FORMAT_ACL_H
#define TH_FS_FORMAT_ACL_H

#include <stdbool.h>
#include <stdint.h>

#include "tree/thunderhead.h"

#define TH_ACL_ACCESS "system.posix_acl_access"
#define TH_ACL_DEFAULT "system.posix_acl_default"

/* Returns true for the names of the two attributes. */
bool th_acl_is_name(const char *name);

/* Returns true if the value is a valid access control list.  The functions below are for valid lists only. */
bool th_acl_valid(struct th_slice value);
/* Returns true if the mode expresses the whole list, which then need not be stored. */
bool th_acl_is_minimal(struct th_slice value);
/* Returns the mode with the permission bits of the list. */
uint32_t th_acl_to_mode(struct th_slice value, uint32_t mode);
/* Sets the list's entries, in place, to the permission bits of the mode. */
void th_acl_from_mode(void *value, size_t size, uint32_t mode);
/* Turns a directory's default list, in place, into the access list of a new inode that is created with this mode.
 * Permissions are those that both list and mode grant.  Returns the resulting mode. */
uint32_t th_acl_inherit(void *value, size_t size, uint32_t mode);

#endif
