/* SPDX-License-Identifier: Apache-2.0 */
#include "xattr.h"

#include <errno.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

#include "update.h"

static const char *const namespaces[] = { "user.", "trusted.", "security." };

static int check_name(const char *name)
{
	size_t size = strlen(name);

	if (!size || size > TH_NAME_MAX)
		return -ERANGE;
	for (size_t i = 0; i < sizeof(namespaces) / sizeof(namespaces[0]); i++) {
		if (!strncmp(name, namespaces[i], strlen(namespaces[i])))
			return name[strlen(namespaces[i])] ? 0 : -EINVAL;
	}
	return -EOPNOTSUPP;
}

static int check_change(const struct th_inode *inode, const char *name)
{
	int r = check_name(name);

	if (r < 0)
		return r;
	if (inode->snapshot || th_inode_is_snapdir(inode))
		return -EROFS;
	return th_fs_writable(inode->fs);
}

/* inode->lock held. */
static int find(const struct th_inode *inode, const struct th_key *key, struct th_value *ret)
{
	if (inode->xattr_state == TH_XATTR_NONE)
		return -ENODATA;
	int r = th_get(th_inode_view(inode), th_key_slice(key), ret);

	return r == -ENOENT ? -ENODATA : r;
}

/* Most inodes have no extended attribute, and the kernel asks again and again: one look tells for all names. */
static int look(struct th_inode *inode)
{
	struct th_key prefix = th_key_kind(inode->id, TH_KEY_XATTR);
	uint8_t space[TH_FS_KEY_MAX];
	struct th_range range = th_range_prefix(th_key_slice(&prefix), space);
	struct th_cursor_entry at;
	struct th_cursor *cursor;
	int r = 0;

	pthread_rwlock_wrlock(&inode->lock);
	if (inode->xattr_state == TH_XATTR_UNKNOWN) {
		r = th_cursor_open(th_inode_view(inode), &range, &cursor);
		if (!r) {
			r = th_cursor_next(cursor, &at);
			th_cursor_close(cursor);
		}
		if (r >= 0)
			inode->xattr_state = r ? TH_XATTR_NONE : TH_XATTR_SOME;
	}
	pthread_rwlock_unlock(&inode->lock);
	return r < 0 ? r : 0;
}

int th_xattr_get(struct th_inode *inode, const char *name, struct th_value *ret)
{
	int r = th_inode_is_snapdir(inode) ? -ENODATA : check_name(name);

	if (r < 0)
		return r;
	struct th_key key = th_key_xattr(inode->id, name, strlen(name));

	pthread_rwlock_rdlock(&inode->lock);
	bool unknown = inode->xattr_state == TH_XATTR_UNKNOWN;

	pthread_rwlock_unlock(&inode->lock);
	if (unknown)
		r = look(inode);
	if (r < 0)
		return r;
	pthread_rwlock_rdlock(&inode->lock);
	r = find(inode, &key, ret);
	pthread_rwlock_unlock(&inode->lock);
	return r;
}

static int check_flags(const struct th_inode *inode, const struct th_key *key, int flags)
{
	struct th_value value;

	if (inode->attr.flags & (FS_IMMUTABLE_FL | FS_APPEND_FL))
		return -EPERM;
	if (!(flags & (XATTR_CREATE | XATTR_REPLACE)))
		return 0;
	int r = find(inode, key, &value);

	if (!r)
		th_value_release(&value);
	if (r && r != -ENODATA)
		return r;
	if (!r && (flags & XATTR_CREATE))
		return -EEXIST;
	return r && (flags & XATTR_REPLACE) ? -ENODATA : 0;
}

/* One key of the inode, and its ctime, change together.  value NULL: delete. */
static int change(struct th_inode *inode, const struct th_key *key, const struct th_slice *value)
{
	struct th_update update;
	int r = th_update_begin(&update, inode->fs);

	if (r < 0)
		return r;
	th_update_attr(&update, inode)->ctime = update.now;
	r = value ? th_txn_put(update.txn, th_key_slice(key), *value) : th_txn_delete(update.txn, th_key_slice(key));
	return th_update_end(&update, r);
}

int th_xattr_set(struct th_inode *inode, const char *name, struct th_slice value, int flags)
{
	int r = check_change(inode, name);

	if (r < 0)
		return r;
	if (value.size > TH_XATTR_SIZE_MAX)
		return -E2BIG;
	struct th_key key = th_key_xattr(inode->id, name, strlen(name));

	pthread_rwlock_wrlock(&inode->lock);
	r = inode->deleted ? -ENOENT : check_flags(inode, &key, flags);
	if (!r)
		r = change(inode, &key, &value);
	if (!r)
		inode->xattr_state = TH_XATTR_SOME;
	pthread_rwlock_unlock(&inode->lock);
	return r;
}

int th_xattr_remove(struct th_inode *inode, const char *name)
{
	int r = check_change(inode, name);

	if (r < 0)
		return r;
	struct th_key key = th_key_xattr(inode->id, name, strlen(name));

	pthread_rwlock_wrlock(&inode->lock);
	r = check_flags(inode, &key, XATTR_REPLACE);
	if (!r)
		r = change(inode, &key, NULL);
	pthread_rwlock_unlock(&inode->lock);
	return r;
}

static int list_add(char **list, size_t *size, size_t *room, struct th_slice name)
{
	if (*size + name.size + 1 > *room) {
		char *more = realloc(*list, *room * 2 + name.size + 1);

		if (!more)
			return -ENOMEM;
		*list = more;
		*room = *room * 2 + name.size + 1;
	}
	memcpy(*list + *size, name.data, name.size);
	(*list)[*size + name.size] = 0;
	*size += name.size + 1;
	return 0;
}

int th_xattr_list(struct th_inode *inode, char **ret, size_t *ret_size)
{
	struct th_key prefix = th_key_kind(inode->id, TH_KEY_XATTR);
	uint8_t space[TH_FS_KEY_MAX];
	struct th_range range = th_range_prefix(th_key_slice(&prefix), space);
	struct th_cursor_entry at;
	struct th_key_parts parts;
	struct th_cursor *cursor;
	size_t room = 0;
	int r;

	*ret = NULL;
	*ret_size = 0;
	if (th_inode_is_snapdir(inode))
		return 0;
	pthread_rwlock_rdlock(&inode->lock);
	r = th_cursor_open(th_inode_view(inode), &range, &cursor);
	if (!r) {
		while ((r = th_cursor_next(cursor, &at)) == 0) {
			r = th_key_parse(at.key, &parts);
			if (!r)
				r = list_add(ret, ret_size, &room, parts.name);
			if (r < 0)
				break;
		}
		th_cursor_close(cursor);
	}
	pthread_rwlock_unlock(&inode->lock);
	if (r < 0) {
		free(*ret);
		*ret = NULL;
		return r;
	}
	return 0;
}
