/* SPDX-License-Identifier: Apache-2.0 */
/*
 * POSIX access control lists, as the values of two extended attributes: the form in which Linux gives and takes them
 * (docs/format.md, "Access control lists").  Who may do what is decided by the kernel; what is left to a filesystem is
 * here: what a list makes of the mode, what a mode makes of a list, and what a new inode gets from its directory.
 *
 * The bits of the mode and the entries of the list say the same: owner and others directly, the group's bits are the
 * mask's if there is one, else the group's.
 */
#ifndef TH_FS_FORMAT_ACL_H
#define TH_FS_FORMAT_ACL_H

#include <stdbool.h>
#include <stdint.h>

#include "tree/thunderhead.h"

#define TH_ACL_ACCESS "system.posix_acl_access"
#define TH_ACL_DEFAULT "system.posix_acl_default"

bool th_acl_is_name(const char *name);

/* Is the value an access control list?  The other functions expect one. */
bool th_acl_valid(struct th_slice value);
/* Has it no entry beyond what the mode can say?  Then it need not be kept. */
bool th_acl_is_minimal(struct th_slice value);
/* The mode, with the permissions that the list gives. */
uint32_t th_acl_to_mode(struct th_slice value, uint32_t mode);
/* Gives the list, in place, the permissions of the mode. */
void th_acl_from_mode(void *value, size_t size, uint32_t mode);
/* Makes a directory's default list, in place, the access list of a new inode that was asked for with this mode; each
 * limits the other.  Answers the mode. */
uint32_t th_acl_inherit(void *value, size_t size, uint32_t mode);

#endif
