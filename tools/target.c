/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/target.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "journal/base/array.h"
#include "journal/disk/disk.h"
#include "tools/error.h"
#include "tools/image.h"

struct th_target {
	const char *path; /* the caller's */
	int fd; /* of the mounted directory, else -1 */
	struct th_image_reporter reporter; /* of an image */
	struct th_fs *fs; /* of an image */
	struct th_control *control;
};

/* Returns whether a directory is the root of what is mounted there.  An older kernel does not tell: then false. */
static bool is_mount_root(int fd)
{
	struct statx status;

	return !statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_INO, &status) &&
	       (status.stx_attributes_mask & status.stx_attributes & STATX_ATTR_MOUNT_ROOT);
}

/* Opens the root of the mount that a directory is in, since a user who is not root needs a descriptor of it to list
 * snapshots.  Returns the directory itself if the root cannot be found or opened. */
static int open_mount_root(int directory)
{
	int at = dup(directory), up, root;

	for (unsigned steps = 0; at >= 0 && !is_mount_root(at) && steps < PATH_MAX; steps++) {
		up = openat(at, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
		close(at);
		at = up;
	}
	root = at < 0 ? -1 : openat(at, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (at >= 0)
		close(at);
	if (root < 0)
		return directory;
	close(directory);
	return root;
}

static int open_directory(struct th_target *target)
{
	struct th_control_info info;
	int err = 0;

	target->fd = open(target->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (target->fd < 0) {
		err = -errno;
	} else {
		target->fd = open_mount_root(target->fd);
		err = th_target_ask(target, TH_CONTROL_INFO, &info);
	}
	if (err == -EPERM)
		return 0; /* a mounted Thunderhead: the user may lack this right, and have another one */
	if (err == -ENOTTY || err == -EINVAL || err == -EOPNOTSUPP)
		th_error_line("%s: not a directory of a mounted Thunderhead; name one, or an image that is not mounted",
			      target->path);
	else if (err == -EPROTO)
		th_error_line(
			"%s: is mounted by another version of this program; unmount it and mount it with this one",
			target->path);
	else if (err)
		th_error(err, "%s", target->path);
	return err;
}

static int open_image(struct th_target *target, bool read_only)
{
	int err;

	target->reporter.path = target->path;
	err = th_image_open(&target->reporter, read_only, NULL, &target->fs);
	if (err)
		return err;
	err = th_control_new(target->fs, &target->control);
	if (err)
		th_error(err, "%s", target->path);
	return err;
}

int th_target_open(const char *path, bool read_only, struct th_target **ret)
{
	const char *file = th_disk_url_path(path); /* NULL: only an image can have this name */
	struct stat status = { 0 };
	struct th_target *target;
	int err;

	if (file && stat(file, &status)) {
		err = -errno;
		th_error(err, "%s", path);
		return err;
	}
	target = calloc(1, sizeof(*target));
	if (!target) {
		th_error(ENOMEM, "%s", path);
		return -ENOMEM;
	}
	target->path = path;
	target->fd = -1;
	err = S_ISDIR(status.st_mode) ? open_directory(target) : open_image(target, read_only);
	if (err)
		th_target_close(target);
	else
		*ret = target;
	return err;
}

int th_target_close(struct th_target *target)
{
	int err = 0;

	if (!target)
		return 0;
	th_control_free(target->control);
	if (target->fs)
		err = th_fs_close(target->fs);
	if (err)
		th_error(err, "%s", target->path);
	if (target->fd >= 0)
		close(target->fd);
	free(target);
	return err;
}

const char *th_target_path(const struct th_target *target)
{
	return target->path;
}

bool th_target_mounted(const struct th_target *target)
{
	return target->fd >= 0;
}

int th_target_sync(struct th_target *target)
{
	int err = 0;

	if (target->fd >= 0 && syncfs(target->fd)) {
		err = -errno;
		th_error(err, "%s: cannot write back cached changes", target->path);
	}
	return err;
}

/* Answers a request in this process.  As the kernel does, it copies in and out. */
static int ask_here(struct th_target *target, unsigned cmd, void *data)
{
	/* A user who can open the image can change everything in it. */
	const struct th_caller caller = { .uid = geteuid(), .admin = true };
	size_t size = _IOC_SIZE(cmd), answered = 0;
	void *answer = malloc(size);
	int err;

	if (!answer)
		return -ENOMEM;
	err = th_control_ioctl(target->control, &caller, cmd, data, size, answer, size, &answered);
	if (!err)
		memcpy(data, answer, answered);
	free(answer);
	return err;
}

int th_target_ask(struct th_target *target, unsigned cmd, void *data)
{
	struct th_le32 version = th_le32(TH_CONTROL_VERSION);

	memcpy(data, &version, sizeof(version)); /* every request begins with it */
	if (target->fd < 0)
		return ask_here(target, cmd, data);
	return ioctl(target->fd, cmd, data) < 0 ? -errno : 0;
}

int th_target_name(const char *name, struct th_control_name *ret)
{
	size_t size = strlen(name);

	if (size > TH_SNAPSHOT_NAME_MAX)
		return -ENAMETOOLONG;
	memset(ret, 0, sizeof(*ret));
	memcpy(ret->text, name, size);
	return 0;
}

/* The common beginnings of the lists of snapshots, holds and branches, and of their items. */
struct list_head {
	struct th_le32 version, count;
	struct th_le64 after;
};
struct item_head {
	struct th_le32 version, unused;
	struct th_le64 id;
};
static_assert(offsetof(struct th_control_list, list) == sizeof(struct list_head) &&
		      offsetof(struct th_control_holds, list) == sizeof(struct list_head) &&
		      offsetof(struct th_control_branches, list) == sizeof(struct list_head),
	      "items follow the head");
static_assert(offsetof(struct th_control_snapshot, id) == offsetof(struct item_head, id) &&
		      offsetof(struct th_control_held, id) == offsetof(struct item_head, id) &&
		      offsetof(struct th_control_branch, id) == offsetof(struct item_head, id),
	      "an item's id");

/* Repeats the request until the list is complete.  The caller frees *ret.  Returns 0 or -errno. */
static int ask_list(struct th_target *target, unsigned cmd, size_t item_size, size_t most, void **ret,
		    size_t *ret_count)
{
	struct list_head *request = calloc(1, sizeof(*request) + most * item_size);
	char *list = NULL;
	size_t count = 0, capacity = 0, more = most;
	int err = request ? 0 : -ENOMEM;

	while (!err && more == most) {
		const struct item_head *last = count ? (void *)(list + (count - 1) * item_size) : NULL;

		request->after = last ? last->id : th_le64(0);
		err = th_target_ask(target, cmd, request);
		more = err ? 0 : th_get_le32(request->count);
		if (more > most)
			err = -EPROTO;
		if (err || !more)
			break;
		err = th_grow(list, capacity, (count + more) * item_size);
		if (err)
			break;
		memcpy(list + count * item_size, request + 1, more * item_size);
		count += more;
	}
	free(request);
	if (err) {
		free(list);
		return err;
	}
	*ret = list;
	*ret_count = count;
	return 0;
}

int th_target_snapshots(struct th_target *target, struct th_control_snapshot **ret, size_t *ret_count)
{
	void *list;
	int err = ask_list(target, TH_CONTROL_SNAPSHOT_LIST, sizeof(**ret), TH_CONTROL_LIST_MAX, &list, ret_count);

	if (err)
		return err;
	*ret = list;
	for (size_t i = 0; i < *ret_count; i++)
		(*ret)[i].name.text[TH_SNAPSHOT_NAME_MAX] = 0;
	return 0;
}

int th_target_holds(struct th_target *target, struct th_control_held **ret, size_t *ret_count)
{
	void *list;
	int err = ask_list(target, TH_CONTROL_HOLD_LIST, sizeof(**ret), TH_CONTROL_HOLDS_MAX, &list, ret_count);

	if (err)
		return err;
	*ret = list;
	for (size_t i = 0; i < *ret_count; i++)
		(*ret)[i].tag.text[TH_HOLD_TAG_MAX] = 0;
	return 0;
}

int th_target_branches(struct th_target *target, struct th_control_branch **ret, size_t *ret_count)
{
	void *list;
	int err = ask_list(target, TH_CONTROL_BRANCH_LIST, sizeof(**ret), TH_CONTROL_BRANCHES_MAX, &list, ret_count);

	if (err)
		return err;
	*ret = list;
	for (size_t i = 0; i < *ret_count; i++)
		(*ret)[i].name.text[TH_BRANCH_NAME_MAX] = 0;
	return 0;
}
