/* SPDX-License-Identifier: Apache-2.0 */
/* Builds access control lists as values of extended attributes, independently of fs/format/acl.c. */
#ifndef TH_TESTS_FS_ACL_LIST_H
#define TH_TESTS_FS_ACL_LIST_H

#include "tests/fs/scene.h"

#define TH_ACL_LIST_ENTRIES_MAX 16
#define TH_ACL_LIST_NO_ID UINT32_MAX

struct th_acl_list {
	uint8_t bytes[4 + 8 * TH_ACL_LIST_ENTRIES_MAX];
	size_t size;
};

struct th_acl_list_entry {
	unsigned tag, permissions;
	uint32_t id;
};

/* Builds a list of the entries up to one with tag 0, valid or not. */
struct th_acl_list th_acl_list_of(const struct th_acl_list_entry *entries);
#define TH_ACL_LIST(...) th_acl_list_of((const struct th_acl_list_entry[]){ __VA_ARGS__, { 0 } })
/* Returns a list of owner rwx, user 7 rw, group rx, this mask, others r. */
struct th_acl_list th_acl_list_full(unsigned mask);
/* Returns a list that a mode expresses: 0640. */
struct th_acl_list th_acl_list_minimal(void);
struct th_slice th_acl_list_slice(const struct th_acl_list *list);

/* Sets the list of the inode at `path`.  Returns as th_xattr_set. */
int th_acl_list_set(struct th_scene *scene, const char *path, const char *name, struct th_acl_list list);
/* These fail the test if the inode has another list, a list at all, or another mode. */
void th_acl_list_expect(struct th_scene *scene, const char *path, const char *name, struct th_acl_list list);
void th_acl_list_expect_none(struct th_scene *scene, const char *path, const char *name);
void th_acl_list_expect_mode(struct th_scene *scene, const char *path, uint32_t mode);
/* Creates an inode with a umask.  Returns as th_namei_create. */
int th_acl_list_create(struct th_scene *scene, const char *path, uint32_t mode, uint32_t umask);
/* Replaces the stored list by invalid bytes, without the filesystem's checks. */
void th_acl_list_damage(struct th_scene *scene, const char *path, const char *name);

#endif
