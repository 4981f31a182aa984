/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/image.h"

#include <errno.h>
#include <string.h>

#include "fs/data/extent.h"
#include "fs/format/error_text.h"
#include "journal/disk/disk.h"
#include "tools/error.h"

int th_image_error(const char *path, int result)
{
	char text[TH_EXPLAIN_MAX];

	th_error_line("%s: %s", path, th_error_text_image(path, result, text));
	return result;
}

void th_image_report(void *voice, const char *line)
{
	struct th_image_voice *image = voice;
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

/* Says why an image could not be opened, unless damage has been told where it was found, and better than an error
 * number could. */
static int say_unopened(const struct th_image_voice *voice, int result)
{
	if ((result == -EUCLEAN || result == -EBADMSG) && voice->lines)
		return result;
	return th_image_error(voice->path, result);
}

int th_image_open(struct th_image_voice *voice, bool read_only, const char *branch, struct th_fs **ret)
{
	struct th_fs_options options = {
		.read_only = read_only,
		.branch = branch,
		.report = th_image_report,
		.report_arg = voice,
	};
	struct th_disk *disk;
	int err = open_disk(voice->path, read_only, &disk);

	if (!err)
		err = th_fs_open(disk, &options, ret); /* takes the disk, whatever it answers */
	return err ? say_unopened(voice, err) : 0;
}

int th_image_open_store(struct th_image_voice *voice, bool read_only, struct th_store **ret)
{
	struct th_store_options options = {
		.read_only = read_only,
		.report = th_image_report,
		.arg = voice,
		.runs = th_extent_runs, /* where it holds a filesystem; other keys are none of its */
	};
	struct th_disk *disk;
	int err = open_disk(voice->path, read_only, &disk);

	if (!err) {
		err = th_store_open(disk, &options, ret);
		if (err)
			th_disk_close(disk);
	}
	return err ? say_unopened(voice, err) : 0;
}
