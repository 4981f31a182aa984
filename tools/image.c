/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/image.h"

#include <errno.h>
#include <string.h>

#include "fs/data/extent.h"
#include "fs/format/error_text.h"
#include "journal/disk/disk.h"
#include "tools/error.h"

int th_image_error(const char *path, int err)
{
	char text[TH_ERROR_TEXT_MAX];

	th_error_line("%s: %s", path, th_error_text_image(path, err, text));
	return err;
}

void th_image_report(void *reporter, const char *line)
{
	struct th_image_reporter *image = reporter;
	size_t size = strlen(image->path);

	image->lines++;
	if (!strncmp(line, image->path, size) && line[size] == ':')
		th_error_line("%s", line); /* it begins with the path already */
	else
		th_error_line("%s: %s", image->path, line);
}

static int open_disk(const char *path, bool read_only, struct th_disk **ret)
{
	return th_disk_open_url(path, read_only ? TH_DISK_READ_ONLY : 0, ret);
}

/* Reports why an image could not be opened, unless damage was reported where it was found, in more detail than an error
 * number has.  Returns err. */
static int report_unopened(const struct th_image_reporter *reporter, int err)
{
	if ((err == -EUCLEAN || err == -EBADMSG) && reporter->lines)
		return err;
	return th_image_error(reporter->path, err);
}

static int open_fs(struct th_image_reporter *reporter, struct th_fs_options *options, struct th_fs **ret)
{
	struct th_disk *disk;
	int err = open_disk(reporter->path, options->read_only, &disk);

	options->unfinished = true;
	options->report = th_image_report;
	options->report_arg = reporter;
	if (!err) {
		err = th_fs_open(disk, options, ret);
		if (err)
			th_disk_close(disk);
	}
	return err ? report_unopened(reporter, err) : 0;
}

int th_image_open(struct th_image_reporter *reporter, bool read_only, const char *branch, struct th_fs **ret)
{
	struct th_fs_options options = { .read_only = read_only, .branch = branch };

	return open_fs(reporter, &options, ret);
}

int th_image_open_rescue(struct th_image_reporter *reporter, uint64_t generation, struct th_fs **ret)
{
	struct th_fs_options options = { .read_only = true, .rescue = true, .generation = generation };

	return open_fs(reporter, &options, ret);
}

int th_image_open_store(struct th_image_reporter *reporter, bool read_only, struct th_store **ret)
{
	struct th_store_options options = {
		.read_only = read_only,
		.report = th_image_report,
		.arg = reporter,
		.runs = th_extent_runs, /* for the values of a filesystem; it ignores other keys */
	};
	struct th_disk *disk;
	int err = open_disk(reporter->path, read_only, &disk);

	if (!err) {
		err = th_store_open(disk, &options, ret);
		if (err)
			th_disk_close(disk);
	}
	return err ? report_unopened(reporter, err) : 0;
}
