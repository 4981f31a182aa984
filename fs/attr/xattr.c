/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/attr/xattr.h"

#include <errno.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

#include "fs/format/acl.h"
#include "fs/inode/dirty_list.h"
#include "fs/inode/moment.h"
#include "fs/inode/retry.h"
#include "fs/inode/update.h"
#include "journal/base/array.h"

static const char *const namespaces[] = { "user.", "trusted.", "security." };

static int check_name(const char *name)
{
	size_t size = strlen(name);

	if (!size || size > TH_NAME_MAX)
		return -ERANGE;
	if (th_acl_is_name(name))
		return 0;
	for (size_t i = 0; i < sizeof(namespaces) / sizeof(namespaces[0]); i++) {
		if (!strncmp(name, namespaces[i], strlen(namespaces[i])))
			return name[strlen(namespaces[i])] ? 0 : -EINVAL;
	}
	return -EOPNOTSUPP;
}

static int check_change(const struct th_inode *inode, const char *name)
{
	int err = check_name(name);

	if (err)
		return err;
	if (inode->snapshot || th_inode_is_snapdir(inode))
		return -EROFS;
	return th_fs_writable(inode->fs);
}

static struct th_fs_key key_of(const struct th_inode *inode, const char *name)
{
	return th_fs_key_xattr(inode->id, name, strlen(name));
}

/* inode->lock held. */
static int find(const struct th_inode *inode, const char *name, struct th_value *ret)
{
	struct th_fs_key key = key_of(inode, name);

	if (inode->xattr_state == TH_XATTR_NONE)
		return -ENODATA;
	int err = th_get(th_inode_view(inode), th_fs_key_slice(&key), ret);

	return err == -ENOENT ? -ENODATA : err;
}

/* Opens a cursor over the attributes. */
static int open_list(const struct th_inode *inode, struct th_cursor **ret)
{
	struct th_fs_key prefix = th_fs_key_kind(inode->id, TH_FS_KEY_XATTR);
	uint8_t space[TH_FS_KEY_MAX];
	struct th_range range = th_range_prefix(th_fs_key_slice(&prefix), space);

	return th_cursor_open(th_inode_view(inode), &range, ret);
}

/* Determines xattr_state.  Most inodes have no extended attribute and the kernel asks often: one read of the store
 * answers for all names.  inode->lock held for writing. */
static int load_state(struct th_inode *inode)
{
	struct th_cursor_entry at;
	struct th_cursor *cursor;

	if (inode->xattr_state != TH_XATTR_UNKNOWN)
		return 0;
	int err = open_list(inode, &cursor);

	if (err)
		return err;
	int end = th_cursor_next(cursor, &at);

	th_cursor_close(cursor);
	if (end < 0)
		return end;
	inode->xattr_state = end ? TH_XATTR_NONE : TH_XATTR_SOME;
	return 0;
}

/* Locks the inode, for reading if xattr_state is known, otherwise for writing, and determines it.  The lock is held in
 * either case. */
static int lock_with_state(struct th_inode *inode)
{
	pthread_rwlock_rdlock(&inode->lock);
	if (inode->xattr_state != TH_XATTR_UNKNOWN)
		return 0;
	pthread_rwlock_unlock(&inode->lock);
	pthread_rwlock_wrlock(&inode->lock);
	return load_state(inode);
}

static int get_locking(struct th_inode *inode, const char *name, struct th_value *ret)
{
	int err = lock_with_state(inode);

	return err ? err : find(inode, name, ret);
}

static int try_get(struct th_inode *inode, const char *name, struct th_value *ret)
{
	int err = TH_NOWAIT(get_locking(inode, name, ret));

	pthread_rwlock_unlock(&inode->lock);
	return err;
}

int th_xattr_get(struct th_inode *inode, const char *name, struct th_value *ret)
{
	int err = th_inode_is_snapdir(inode) ? -ENODATA : check_name(name);

	return err ? err : TH_RETRY(try_get(inode, name, ret));
}

int th_xattr_find(struct th_inode *inode, const char *name, struct th_value *ret)
{
	int err = load_state(inode);

	if (!err)
		err = find(inode, name, ret);
	if (err || !th_acl_is_name(name) || th_acl_valid((struct th_slice){ ret->data, ret->size }))
		return err;
	th_fs_report(inode->fs, "inode %llu: its %s is not an access control list; run 'thunderhead check'",
		     (unsigned long long)inode->id, name);
	th_value_release(ret);
	return -EUCLEAN;
}

/* --- changing --- */

static int check_flags(struct th_inode *inode, const char *name, int flags)
{
	struct th_value value;

	if (inode->attr.flags & (FS_IMMUTABLE_FL | FS_APPEND_FL))
		return -EPERM;
	if (!(flags & (XATTR_CREATE | XATTR_REPLACE)))
		return 0;
	int err = find(inode, name, &value);

	if (!err)
		th_value_release(&value);
	if (err && err != -ENODATA)
		return err;
	if (!err && (flags & XATTR_CREATE))
		return -EEXIST;
	return err && (flags & XATTR_REPLACE) ? -ENODATA : 0;
}

int th_xattr_stage(struct th_txn *txn, const struct th_inode *inode, const char *name, const struct th_slice *value)
{
	struct th_fs_key key = key_of(inode, name);

	return value ? th_txn_put(txn, th_fs_key_slice(&key), *value) : th_txn_delete(txn, th_fs_key_slice(&key));
}

static bool is_user(const char *name)
{
	return !strncmp(name, "user.", strlen("user."));
}

/* Determines xattr_list_bytes, up to a name past the limit. */
static int measure_list(struct th_inode *inode)
{
	struct th_cursor_entry at;
	struct th_cursor *cursor;
	uint32_t size = 0;
	int err = open_list(inode, &cursor), end = 0;

	if (err)
		return err;
	while (size <= TH_XATTR_LIST_MAX && !(end = th_cursor_next(cursor, &at)))
		size += (uint32_t)(at.key.size - TH_FS_KEY_HEAD + 1);
	th_cursor_close(cursor);
	if (end >= 0)
		inode->xattr_list_bytes = size;
	return end < 0 ? end : 0;
}

/* Checks that the list of names has room for this name.  *ret_more: bytes by which the list grows. */
static int check_room(struct th_inode *inode, const char *name, uint32_t *ret_more)
{
	uint32_t limit = is_user(name) ? TH_XATTR_LIST_MAX_USER : TH_XATTR_LIST_MAX;
	struct th_value value;
	int err = load_state(inode);

	*ret_more = 0;
	if (!err)
		err = find(inode, name, &value);
	if (!err)
		th_value_release(&value);
	if (err != -ENODATA)
		return err;
	err = inode->xattr_state == TH_XATTR_SOME && !inode->xattr_list_bytes ? measure_list(inode) : 0;
	*ret_more = (uint32_t)strlen(name) + 1;
	return !err && inode->xattr_list_bytes + *ret_more > limit ? -ENOSPC : err;
}

/* Changes an attribute, the mode and the ctime in one transaction.  A NULL value deletes the attribute. */
static int change(struct th_inode *inode, const char *name, const struct th_slice *value, uint32_t mode)
{
	struct th_update update;
	uint32_t more = 0;
	int err = value ? check_room(inode, name, &more) : 0;

	if (!err)
		err = th_update_begin(&update, inode->fs);
	if (err)
		return err;
	struct th_attr *attr = th_update_attr(&update, inode);

	attr->mode = mode;
	attr->ctime = update.now;
	err = th_update_end(&update, th_xattr_stage(update.txn, inode, name, value));
	if (err)
		return err;
	if (value)
		inode->xattr_state = TH_XATTR_SOME;
	inode->xattr_list_bytes = value ? inode->xattr_list_bytes + more : 0;
	return 0;
}

/* Sets the access list: its permission bits go to the mode; it is stored only if the mode does not express it. */
static int change_access(struct th_inode *inode, struct th_slice value, int flags)
{
	uint32_t mode = th_acl_to_mode(value, inode->attr.mode);

	if (flags & TH_XATTR_KILL_SGID)
		mode &= ~(uint32_t)S_ISGID;
	/* Copying programs set such a list on every file: it is a chmod(2), and stays in memory like one. */
	if (th_acl_is_minimal(value) && inode->xattr_state == TH_XATTR_NONE) {
		inode->attr.mode = mode;
		inode->attr.ctime = th_time_now();
		th_inode_mark_dirty(inode);
		return 0;
	}
	return change(inode, TH_ACL_ACCESS, th_acl_is_minimal(value) ? NULL : &value, mode);
}

static int check_acl(const struct th_inode *inode, const char *name, struct th_slice value)
{
	if (S_ISLNK(inode->type))
		return -EOPNOTSUPP;
	if (!th_acl_valid(value))
		return -EINVAL;
	return strcmp(name, TH_ACL_DEFAULT) || th_inode_is_dir(inode) ? 0 : -EACCES;
}

static int set_locked(struct th_inode *inode, const char *name, struct th_slice value, int flags)
{
	int err = inode->deleted ? -ENOENT : check_flags(inode, name, flags);

	if (err)
		return err;
	if (!strcmp(name, TH_ACL_ACCESS))
		return change_access(inode, value, flags);
	return change(inode, name, &value, inode->attr.mode);
}

/* An access list may be a delayed change (change_access). */
static int try_set(struct th_inode *inode, const char *name, struct th_slice value, int flags)
{
	th_moment_enter(inode->fs);
	pthread_rwlock_wrlock(&inode->lock);
	int err = TH_NOWAIT(set_locked(inode, name, value, flags));

	pthread_rwlock_unlock(&inode->lock);
	th_moment_leave(inode->fs);
	return err;
}

int th_xattr_set(struct th_inode *inode, const char *name, struct th_slice value, int flags)
{
	int err = check_change(inode, name);

	if (err)
		return err;
	if (value.size > TH_XATTR_SIZE_MAX)
		return -E2BIG;
	if (th_acl_is_name(name))
		err = check_acl(inode, name, value);
	return err ? err : TH_RETRY(try_set(inode, name, value, flags));
}

static int remove_locked(struct th_inode *inode, const char *name)
{
	int err = check_flags(inode, name, XATTR_REPLACE);

	return err ? err : change(inode, name, NULL, inode->attr.mode);
}

int th_xattr_remove(struct th_inode *inode, const char *name)
{
	int err = check_change(inode, name);

	if (err)
		return err;
	err = TH_RETRY_LOCKED(inode, remove_locked(inode, name));
	/* An inode without a list already has the state that removal produces. */
	return err == -ENODATA && th_acl_is_name(name) ? 0 : err;
}

/* --- listing --- */

static bool is_trusted(struct th_slice name)
{
	static const char prefix[] = "trusted.";

	return name.size >= strlen(prefix) && !memcmp(name.data, prefix, strlen(prefix));
}

/* Names, each with its NUL. */
struct name_list {
	char *names;
	size_t size, capacity;
};

static int list_add(struct name_list *list, struct th_slice name)
{
	if (list->size + name.size + 1 > TH_XATTR_LIST_MAX)
		return -E2BIG;
	int err = th_grow(list->names, list->capacity, list->size + name.size + 1);

	if (err)
		return err;
	memcpy(list->names + list->size, name.data, name.size);
	list->names[list->size + name.size] = 0;
	list->size += name.size + 1;
	return 0;
}

static int list_fill(struct name_list *list, struct th_cursor *cursor, bool privileged)
{
	struct th_fs_key_parts parts;
	struct th_cursor_entry at;
	int end;

	while (!(end = th_cursor_next(cursor, &at))) {
		int err = th_fs_key_parse(at.key, &parts);

		if (!err && (privileged || !is_trusted(parts.name)))
			err = list_add(list, parts.name);
		if (err)
			return err;
	}
	return end < 0 ? end : 0;
}

static int list_locking(struct th_inode *inode, struct name_list *list, bool privileged)
{
	struct th_cursor *cursor;
	int err = lock_with_state(inode);

	if (err || inode->xattr_state != TH_XATTR_SOME)
		return err;
	err = open_list(inode, &cursor);
	if (err)
		return err;
	err = list_fill(list, cursor, privileged);
	th_cursor_close(cursor);
	return err;
}

static int try_list(struct th_inode *inode, struct name_list *list, bool privileged)
{
	list->size = 0;
	int err = TH_NOWAIT(list_locking(inode, list, privileged));

	pthread_rwlock_unlock(&inode->lock);
	return err;
}

int th_xattr_list(struct th_inode *inode, bool privileged, char **ret, size_t *ret_size)
{
	struct name_list list = { 0 };
	int err = th_inode_is_snapdir(inode) ? 0 : TH_RETRY(try_list(inode, &list, privileged));

	if (err) {
		free(list.names);
		list = (struct name_list){ 0 };
	}
	*ret = list.names;
	*ret_size = list.size;
	return err;
}
