/* SPDX-License-Identifier: Apache-2.0 */
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

#include "command.h"
#include "error.h"
#include "fs/fs.h"
#include "image.h"
#include "journal/disk.h"
#include "journal/super.h"
#include "size.h"

/* What somebody else would have begun with lies within this. */
#define LOOK_BYTES (1u << 20)

struct mkfs {
	const char *path, *label;
	uint64_t size; /* 0: not given */
	bool force;
	int fd;
	bool created;
	uint64_t old_size; /* of a file */
	bool grown;
};

/* What was changed of the file by a mkfs that failed is undone. */
static void undo(struct mkfs *mkfs)
{
	if (mkfs->created)
		unlink(mkfs->path);
	else if (mkfs->grown && ftruncate(mkfs->fd, (off_t)mkfs->old_size))
		th_error(errno, "%s: cannot be made as short again as it was", mkfs->path);
}

static int open_file(struct mkfs *mkfs)
{
	int flags = O_RDWR | O_CLOEXEC;

	mkfs->fd = open(mkfs->path, flags);
	if (mkfs->fd < 0 && errno == ENOENT && mkfs->size) {
		mkfs->fd = open(mkfs->path, flags | O_CREAT | O_EXCL, 0600);
		mkfs->created = mkfs->fd >= 0;
	}
	if (mkfs->fd >= 0)
		return 0;
	if (errno == ENOENT)
		return th_error_line("%s: there is no such %s", mkfs->path,
				     mkfs->size ? "directory" : "file; --size creates it");
	return th_error(errno, "%s", mkfs->path);
}

/* Nobody else may use it: no mount of ours (they hold a lock), and of a device no other file system either. */
static int refuse_used(struct mkfs *mkfs, const struct stat *status)
{
	int fd;

	if (flock(mkfs->fd, LOCK_EX | LOCK_NB)) {
		th_image_error(mkfs->path, -errno);
		return TH_EXIT_FAILED;
	}
	if (!S_ISBLK(status->st_mode))
		return 0;
	fd = open(mkfs->path, O_RDONLY | O_EXCL | O_CLOEXEC);
	if (fd < 0)
		return th_error(errno, "%s: is in use, or mounted", mkfs->path);
	close(fd);
	return 0;
}

/* 1 if the beginning is not all zeros, -errno if it cannot be read. */
static int holds_something(const struct mkfs *mkfs)
{
	unsigned char *bytes = malloc(LOOK_BYTES);
	ssize_t count = bytes ? pread(mkfs->fd, bytes, LOOK_BYTES, 0) : -1;
	int result = count < 0 ? -errno : 0;

	if (count > 0)
		result = bytes[0] || memcmp(bytes, bytes + 1, (size_t)count - 1);
	free(bytes);
	return result;
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
static int refuse_content(struct mkfs *mkfs)
{
	int found = holds_something(mkfs);
	bool ours;

	if (found < 0)
		return th_error(found, "%s", mkfs->path);
	flock(mkfs->fd, LOCK_UN);
	ours = is_thunderhead(mkfs->path);
	if (ours || found)
		return th_error_line("%s: holds %s already; --force overwrites it", mkfs->path,
				     ours ? "a Thunderhead filesystem" : "something");
	return 0;
}

static int check_size(const struct mkfs *mkfs, uint64_t size)
{
	char text[TH_SIZE_TEXT], minimum[TH_SIZE_TEXT];

	if (size >= TH_IMAGE_MIN)
		return 0;
	return th_error_line("%s: %s is too small, an image has at least %s", mkfs->path, th_size_format(size, text),
			     th_size_format(TH_IMAGE_MIN, minimum));
}

static int size_device(const struct mkfs *mkfs)
{
	uint64_t size;

	if (mkfs->size)
		return th_error_line("%s: is a device, whose size --size cannot change", mkfs->path);
	if (ioctl(mkfs->fd, BLKGETSIZE64, &size))
		return th_error(errno, "%s", mkfs->path);
	return check_size(mkfs, size);
}

static int size_file(struct mkfs *mkfs)
{
	char text[TH_SIZE_TEXT];

	if (!mkfs->size)
		return check_size(mkfs, mkfs->old_size);
	if (mkfs->size < mkfs->old_size)
		return th_error_line("%s: is larger than that already (%s); nothing is cut off", mkfs->path,
				     th_size_format(mkfs->old_size, text));
	if (mkfs->size == mkfs->old_size)
		return 0;
	mkfs->grown = true;
	if (ftruncate(mkfs->fd, (off_t)mkfs->size))
		return th_error(errno, "%s: cannot be made that large", mkfs->path);
	return 0;
}

static int prepare(struct mkfs *mkfs)
{
	struct stat status;
	int result;

	if (fstat(mkfs->fd, &status))
		return th_error(errno, "%s", mkfs->path);
	if (!S_ISBLK(status.st_mode) && !S_ISREG(status.st_mode))
		return th_error_line("%s: is neither a file nor a block device", mkfs->path);
	mkfs->old_size = (uint64_t)status.st_size;
	result = refuse_used(mkfs, &status);
	if (!result && !mkfs->force)
		result = refuse_content(mkfs);
	if (!result)
		result = S_ISBLK(status.st_mode) ? size_device(mkfs) : size_file(mkfs);
	flock(mkfs->fd, LOCK_UN);
	return result;
}

static int format(const struct mkfs *mkfs)
{
	struct th_format_options options = { .label = mkfs->label, .force = mkfs->force };
	struct th_disk *disk;
	int result = th_disk_open(mkfs->path, 0, &disk);

	if (!result) {
		result = th_fs_format(disk, &options, geteuid(), getegid());
		th_disk_close(disk);
	}
	if (!result)
		return TH_EXIT_DONE;
	th_image_error(mkfs->path, result);
	return TH_EXIT_FAILED;
}

static int make(struct mkfs *mkfs)
{
	int status = mkfs->size ? check_size(mkfs, mkfs->size) : TH_EXIT_DONE;

	if (!status)
		status = open_file(mkfs);
	if (status)
		return status;
	status = prepare(mkfs);
	if (!status)
		status = format(mkfs);
	if (status)
		undo(mkfs);
	close(mkfs->fd);
	return status;
}

static int run(const struct th_command *command, int argc, char **argv)
{
	static const struct option options[] = {
		{ "size", required_argument, NULL, 's' },
		{ "label", required_argument, NULL, 'L' },
		{ "force", no_argument, NULL, 'f' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	struct mkfs mkfs = { .fd = -1 };
	int option;

	while ((option = getopt_long(argc, argv, ":s:L:fh", options, NULL)) != -1) {
		switch (option) {
		case 's':
			if (th_size_parse(optarg, &mkfs.size) || !mkfs.size)
				return th_command_usage(command, "%s: not a size, such as 512M or 10G", optarg);
			break;
		case 'L':
			if (strlen(optarg) > TH_LABEL_MAX)
				return th_command_usage(command, "%s: a label has at most %d bytes", optarg,
							TH_LABEL_MAX);
			mkfs.label = optarg;
			break;
		case 'f':
			mkfs.force = true;
			break;
		case 'h':
			return th_command_help(command);
		default:
			return th_command_bad_option(command, option, argv);
		}
	}
	if (argc - optind != 1)
		return th_command_usage(command, "one image is needed");
	mkfs.path = argv[optind];
	return make(&mkfs);
}

const struct th_command th_cmd_mkfs = {
	.name = "mkfs",
	.arguments = "[--size SIZE] [--label LABEL] [--force] IMAGE",
	.summary = "make an empty filesystem in a file or on a block device",
	.help = "  -s, --size SIZE    create the file, or let it grow, to that size (512M, 10G)\n"
		"  -L, --label LABEL  a name for the filesystem, up to 63 bytes\n"
		"  -f, --force        overwrite what the image holds\n",
	.run = run,
};
