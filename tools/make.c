/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/make.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/fs.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "journal/disk/disk.h"
#include "journal/super.h"
#include "tools/error.h"
#include "tools/image.h"
#include "tools/size.h"

/* What somebody else would have begun with lies within this. */
#define LOOK_BYTES (1u << 20)

struct making {
	const char *path, *label;
	th_make_format *format;
	uint64_t size; /* 0: not given */
	bool force;
	int fd;
	bool created;
	uint64_t old_size; /* of a file */
	bool grown;
};

/* What was changed of the file by a making that failed is undone. */
static void undo(struct making *making)
{
	if (making->created)
		unlink(making->path);
	else if (making->grown && ftruncate(making->fd, (off_t)making->old_size))
		th_error(errno, "%s: cannot be made as short again as it was", making->path);
}

static int open_file(struct making *making)
{
	int flags = O_RDWR | O_CLOEXEC;

	making->fd = open(making->path, flags);
	if (making->fd < 0 && errno == ENOENT && making->size) {
		making->fd = open(making->path, flags | O_CREAT | O_EXCL, 0600);
		making->created = making->fd >= 0;
	}
	if (making->fd >= 0)
		return 0;
	if (errno == ENOENT)
		return th_error_line("%s: there is no such %s", making->path,
				     making->size ? "directory" : "file; --size creates it");
	return th_error(errno, "%s", making->path);
}

/* Nobody else may use it: no mount of ours (they hold a lock), and of a device no other file system either. */
static int refuse_used(struct making *making, const struct stat *status)
{
	int fd;

	if (flock(making->fd, LOCK_EX | LOCK_NB)) {
		th_image_error(making->path, -errno);
		return TH_EXIT_FAILED;
	}
	if (!S_ISBLK(status->st_mode))
		return 0;
	fd = open(making->path, O_RDONLY | O_EXCL | O_CLOEXEC);
	if (fd < 0)
		return th_error(errno, "%s: is in use, or mounted", making->path);
	close(fd);
	return 0;
}

/* 1 if the beginning is not all zeros, -errno if it cannot be read. */
static int holds_something(const struct making *making)
{
	unsigned char *bytes = malloc(LOOK_BYTES);
	ssize_t count = bytes ? pread(making->fd, bytes, LOOK_BYTES, 0) : -1;
	int err = count < 0 ? -errno : 0;

	if (count > 0)
		err = bytes[0] || memcmp(bytes, bytes + 1, (size_t)count - 1);
	free(bytes);
	return err;
}

static bool is_thunderhead(const char *path)
{
	struct th_disk *disk;
	bool present;

	if (th_disk_open(path, TH_DISK_READ_ONLY, &disk))
		return false;
	present = th_super_present(disk);
	th_disk_close(disk);
	return present;
}

/* Refuses to overwrite what may be dear to somebody.  This gives up our lock for a moment: disks take their own. */
static int refuse_content(struct making *making)
{
	int found = holds_something(making);
	bool ours;

	if (found < 0)
		return th_error(found, "%s", making->path);
	flock(making->fd, LOCK_UN);
	ours = is_thunderhead(making->path);
	if (ours || found)
		return th_error_line("%s: holds %s already; --force overwrites it", making->path,
				     ours ? "a Thunderhead image" : "something");
	return 0;
}

static int check_size(const struct making *making, uint64_t size)
{
	char text[TH_SIZE_TEXT], minimum[TH_SIZE_TEXT];

	if (size >= TH_IMAGE_MIN)
		return 0;
	return th_error_line("%s: %s is too small, an image has at least %s", making->path, th_size_format(size, text),
			     th_size_format(TH_IMAGE_MIN, minimum));
}

static int size_device(const struct making *making)
{
	uint64_t size;

	if (making->size)
		return th_error_line("%s: is a device, whose size --size cannot change", making->path);
	if (ioctl(making->fd, BLKGETSIZE64, &size))
		return th_error(errno, "%s", making->path);
	return check_size(making, size);
}

static int size_file(struct making *making)
{
	char text[TH_SIZE_TEXT];

	if (!making->size)
		return check_size(making, making->old_size);
	if (making->size < making->old_size)
		return th_error_line("%s: is larger than that already (%s); nothing is cut off", making->path,
				     th_size_format(making->old_size, text));
	if (making->size == making->old_size)
		return 0;
	making->grown = true;
	if (ftruncate(making->fd, (off_t)making->size))
		return th_error(errno, "%s: cannot be made that large", making->path);
	return 0;
}

static int prepare(struct making *making)
{
	struct stat status;
	int err;

	if (fstat(making->fd, &status))
		return th_error(errno, "%s", making->path);
	if (!S_ISBLK(status.st_mode) && !S_ISREG(status.st_mode))
		return th_error_line("%s: is neither a file nor a block device", making->path);
	making->old_size = (uint64_t)status.st_size;
	err = refuse_used(making, &status);
	if (!err && !making->force)
		err = refuse_content(making);
	if (!err)
		err = S_ISBLK(status.st_mode) ? size_device(making) : size_file(making);
	flock(making->fd, LOCK_UN);
	return err;
}

static int format(const struct making *making)
{
	struct th_format_options options = { .label = making->label, .force = making->force };
	struct th_disk *disk;
	int err = th_disk_open(making->path, 0, &disk);

	if (!err) {
		err = making->format(disk, &options);
		th_disk_close(disk);
	}
	if (!err)
		return TH_EXIT_DONE;
	th_image_error(making->path, err);
	return TH_EXIT_FAILED;
}

static int make(struct making *making)
{
	int status = making->size ? check_size(making, making->size) : TH_EXIT_DONE;

	if (!status)
		status = open_file(making);
	if (status)
		return status;
	status = prepare(making);
	if (!status)
		status = format(making);
	if (status)
		undo(making);
	close(making->fd);
	return status;
}

int th_make_run(const struct th_command *command, th_make_format *format_disk, int argc, char **argv)
{
	static const struct option options[] = {
		{ "size", required_argument, NULL, 's' },
		{ "label", required_argument, NULL, 'L' },
		{ "force", no_argument, NULL, 'f' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	struct making making = { .format = format_disk, .fd = -1 };
	int option;

	while ((option = getopt_long(argc, argv, ":s:L:fh", options, NULL)) != -1) {
		switch (option) {
		case 's':
			if (th_size_parse(optarg, &making.size) || !making.size)
				return th_command_usage(command, "%s: not a size, such as 512M or 10G", optarg);
			break;
		case 'L':
			if (strlen(optarg) > TH_LABEL_MAX)
				return th_command_usage(command, "%s: a label has at most %d bytes", optarg,
							TH_LABEL_MAX);
			making.label = optarg;
			break;
		case 'f':
			making.force = true;
			break;
		case 'h':
			return th_command_help(command);
		default:
			return th_command_bad_option(command, option, argv);
		}
	}
	if (argc - optind != 1)
		return th_command_usage(command, "one image is needed");
	making.path = th_disk_url_path(argv[optind]);
	if (!making.path) {
		th_image_error(argv[optind], -EPFNOSUPPORT);
		return TH_EXIT_FAILED;
	}
	return make(&making);
}
