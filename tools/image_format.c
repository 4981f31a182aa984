/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/image_format.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/fs.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "journal/base/size.h"
#include "journal/disk/disk_lock.h"
#include "journal/super.h"
#include "tools/error.h"
#include "tools/image.h"

/* Bytes at the beginning that must be zero: other filesystems, partition tables and archives have their headers
 * there. */
#define LOOK_BYTES (1u << 20)

struct job {
	const char *path, *label;
	th_image_writer *writer;
	uint64_t size; /* 0: not given */
	unsigned metadata_copies; /* 0: not given */
	bool force;
	int fd;
	bool created;
	uint64_t old_size; /* of a file */
	bool extended;
};

/* Undoes the changes to the file after a failure. */
static void undo(struct job *job)
{
	if (job->created)
		unlink(job->path);
	else if (job->extended && ftruncate(job->fd, (off_t)job->old_size))
		th_error(errno, "%s: cannot be truncated to its former size", job->path);
}

static int open_file(struct job *job)
{
	int flags = O_RDWR | O_CLOEXEC;

	job->fd = open(job->path, flags);
	if (job->fd < 0 && errno == ENOENT && job->size) {
		job->fd = open(job->path, flags | O_CREAT | O_EXCL, 0600);
		job->created = job->fd >= 0;
	}
	if (job->fd >= 0)
		return 0;
	if (errno == ENOENT)
		return th_error_line("%s: there is no such %s", job->path,
				     job->size ? "directory" : "file; --size creates it");
	return th_error(errno, "%s", job->path);
}

/* Returns 1 if the beginning is not all zeros, 0 if it is, or -errno if it cannot be read. */
static int has_data(const struct job *job)
{
	unsigned char *bytes = malloc(LOOK_BYTES);
	ssize_t count = bytes ? pread(job->fd, bytes, LOOK_BYTES, 0) : -1;
	int found = count < 0 ? -errno : 0;

	if (count > 0)
		found = bytes[0] || memcmp(bytes, bytes + 1, (size_t)count - 1);
	free(bytes);
	return found;
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

/* Refuses to overwrite existing data.  Releases the lock, because opening a disk takes it.  Returns 0 or
 * TH_EXIT_FAILED. */
static int refuse_data(struct job *job, struct th_disk_lock *lock)
{
	int found = has_data(job);
	bool ours;

	if (found < 0)
		return th_error(found, "%s", job->path);
	th_disk_lock_release(lock);
	ours = is_thunderhead(job->path);
	if (ours || found)
		return th_error_line("%s: holds %s already; --force overwrites it", job->path,
				     ours ? "a Thunderhead image" : "other data");
	return 0;
}

static int check_size(const struct job *job, uint64_t size)
{
	char text[TH_SIZE_TEXT], minimum[TH_SIZE_TEXT];

	if (size >= TH_IMAGE_MIN)
		return 0;
	return th_error_line("%s: %s is too small: an image has at least %s", job->path, th_size_format(size, text),
			     th_size_format(TH_IMAGE_MIN, minimum));
}

static int size_device(const struct job *job)
{
	uint64_t size;

	if (job->size)
		return th_error_line("%s: is a block device, whose size is fixed: leave out --size", job->path);
	if (ioctl(job->fd, BLKGETSIZE64, &size))
		return th_error(errno, "%s", job->path);
	return check_size(job, size);
}

static int size_file(struct job *job)
{
	char text[TH_SIZE_TEXT];

	if (!job->size)
		return check_size(job, job->old_size);
	if (job->size < job->old_size)
		return th_error_line("%s: is larger than that already (%s), and is not truncated: remove it first",
				     job->path, th_size_format(job->old_size, text));
	if (job->size == job->old_size)
		return 0;
	job->extended = true;
	if (ftruncate(job->fd, (off_t)job->size))
		return th_error(errno, "%s: cannot be extended to that size", job->path);
	return 0;
}

static int prepare(struct job *job)
{
	struct th_disk_lock lock;
	struct stat status;
	int err;

	if (fstat(job->fd, &status))
		return th_error(errno, "%s", job->path);
	if (!S_ISBLK(status.st_mode) && !S_ISREG(status.st_mode))
		return th_error_line("%s: is neither a file nor a block device", job->path);
	job->old_size = (uint64_t)status.st_size;
	/* Refuses an image that is mounted, and a device that another filesystem uses. */
	err = th_disk_lock_take(&lock, job->fd, false, true);
	if (err) {
		th_image_error(job->path, err);
		return TH_EXIT_FAILED;
	}
	err = job->force ? 0 : refuse_data(job, &lock);
	if (!err)
		err = S_ISBLK(status.st_mode) ? size_device(job) : size_file(job);
	th_disk_lock_release(&lock);
	return err;
}

static int write_content(const struct job *job)
{
	struct th_format_options options = {
		.label = job->label,
		.force = job->force,
		.metadata_copies = job->metadata_copies,
	};
	struct th_image_reporter reporter = { .path = job->path };
	struct th_disk *disk;
	int err = th_disk_open(job->path, 0, &disk);

	if (!err) {
		disk->report = th_image_report;
		disk->report_arg = &reporter;
		err = job->writer(disk, &options);
		th_disk_close(disk);
	}
	if (!err)
		return TH_EXIT_DONE;
	th_image_error(job->path, err);
	return TH_EXIT_FAILED;
}

static int format(struct job *job)
{
	int status = job->size ? check_size(job, job->size) : TH_EXIT_DONE;

	if (!status)
		status = open_file(job);
	if (status)
		return status;
	status = prepare(job);
	if (!status)
		status = write_content(job);
	if (status)
		undo(job);
	close(job->fd);
	return status;
}

const struct th_option th_image_format_options[] = {
	{ 's', "size", "SIZE", "create the file, or extend it, to this size (512M, 10G)" },
	{ 'L', "label", "LABEL", "a name for it, up to 63 bytes" },
	{ 'c', "metadata-copies", "1|2",
	  "copies of all metadata; the second one is used, and heals the first, if that is damaged" },
	{ 'f', "force", NULL, "overwrite existing data in the image" },
	{ 0 },
};

int th_image_format_run(const struct th_command *command, th_image_writer *writer, int argc, char **argv)
{
	struct job job = { .writer = writer, .fd = -1 };
	int option, status;

	while ((option = th_command_option(command, argc, argv, &status)) > 0) {
		if (option == 's' && (th_size_parse(optarg, &job.size) || !job.size))
			return th_command_usage(command, "%s: not a size, such as 512M or 10G", optarg);
		if (option == 'L' && strlen(optarg) > TH_LABEL_MAX)
			return th_command_usage(command, "%s: a label has at most %d bytes", optarg, TH_LABEL_MAX);
		if (option == 'L')
			job.label = optarg;
		if (option == 'c' && strcmp(optarg, "1") != 0 && strcmp(optarg, "2") != 0)
			return th_command_usage(command, "%s: the number of copies is 1 or 2", optarg);
		if (option == 'c')
			job.metadata_copies = (unsigned)(optarg[0] - '0');
		if (option == 'f')
			job.force = true;
	}
	if (option < 0)
		return status;
	if (argc - optind != 1)
		return th_command_usage(command, "one image is needed");
	job.path = th_disk_url_path(argv[optind]);
	if (!job.path) {
		th_image_error(argv[optind], -EPFNOSUPPORT);
		return TH_EXIT_FAILED;
	}
	return format(&job);
}
