/* SPDX-License-Identifier: Apache-2.0 */
/* Operations on permissions: access(), and access control lists */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "tests/mount/oracle/actor.h"
#include "tests/mount/oracle/pick.h"

static void rights_access(struct actor *actor)
{
	int flags = (percent(actor, 60) ? AT_EACCESS : 0) | (percent(actor, 20) ? AT_SYMLINK_NOFOLLOW : 0);
	int wanted = (int)below(actor, 8);
	struct place place;

	pick_place(actor, PICK_ANY, &place);
	say(actor, " %d %x", wanted, flags);
	say_result(actor, faccessat(place.dir, place.path, wanted, flags));
}

/* --- access control lists --- */

static const char *const list_names[] = { "system.posix_acl_access", "system.posix_acl_default" };

#define LIST_MAX 8

struct list {
	struct posix_acl_xattr_header header;
	struct posix_acl_xattr_entry entries[LIST_MAX];
};

static size_t list_add(struct actor *actor, struct list *list, size_t count, unsigned tag, unsigned id)
{
	unsigned rights = percent(actor, 60) ? 7 : below(actor, 8);

	list->entries[count] = (struct posix_acl_xattr_entry){ htole16(tag), htole16(rights), htole32(id) };
	say(actor, " %x:%d:%o", tag, (int)id, rights);
	return count + 1;
}

/* Makes a list, sometimes an invalid one with missing or duplicate entries.  Returns its size in bytes. */
static size_t pick_list(struct actor *actor, struct list *list)
{
	bool named = percent(actor, 60), grouped = percent(actor, 40);
	size_t count = 0;

	list->header.a_version = htole32(POSIX_ACL_XATTR_VERSION);
	count = list_add(actor, list, count, ACL_USER_OBJ, ACL_UNDEFINED_ID);
	if (named)
		count = list_add(actor, list, count, ACL_USER, 1001);
	if (named && percent(actor, 30))
		count = list_add(actor, list, count, ACL_USER, 1001 + below(actor, 2));
	count = list_add(actor, list, count, ACL_GROUP_OBJ, ACL_UNDEFINED_ID);
	if (grouped)
		count = list_add(actor, list, count, ACL_GROUP, 1003);
	if (percent(actor, named || grouped ? 95 : 30))
		count = list_add(actor, list, count, ACL_MASK, ACL_UNDEFINED_ID);
	if (percent(actor, 97))
		count = list_add(actor, list, count, ACL_OTHER, ACL_UNDEFINED_ID);
	return sizeof(list->header) + count * sizeof(list->entries[0]);
}

static void rights_list(struct actor *actor)
{
	enum pick_kind kind = percent(actor, 60) ? PICK_DIRECTORY : PICK_FILE;
	const char *name = list_names[below(actor, 2)];
	char path[PLACE_BYTES];
	struct stat stat;
	struct list list;

	pick_path(actor, kind, path);
	say(actor, " %s", name);
	if (percent(actor, 25)) {
		say_result(actor, removexattr(path, name));
	} else {
		size_t size = pick_list(actor, &list);

		say_result(actor, setxattr(path, name, &list, size, 0));
	}
	if (lstat(path, &stat) == 0)
		say_stat(actor, &stat);
}

static void rights_list_read(struct actor *actor)
{
	const char *name = list_names[below(actor, 2)];
	char path[PLACE_BYTES];

	pick_path(actor, PICK_ANY, path);
	ssize_t size = getxattr(path, name, actor->buffer, 65536);

	if (say_result(actor, size) > 0)
		say_bytes(actor, actor->buffer, (size_t)size);
}

const struct operation rights_operations[] = {
	{ "access", rights_access, 20 },
	{ "access list", rights_list, 14 },
	{ "read access list", rights_list_read, 6 },
	{ NULL, NULL, 0 },
};
