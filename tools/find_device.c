/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/find_device.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "journal/super.h"
#include "tools/command.h"
#include "tools/error.h"

#define UUID_TAG "uuid="
#define LABEL_TAG "label="

static bool begins_with(const char *text, const char *tag)
{
	return strncasecmp(text, tag, strlen(tag)) == 0;
}

bool th_is_device_tag(const char *text)
{
	return begins_with(text, UUID_TAG) || begins_with(text, LABEL_TAG);
}

/* Returns whether the text is this UUID; dashes and the case of letters do not matter. */
static bool is_uuid(const char *text, const uint8_t uuid[16])
{
	static const char digits[] = "0123456789abcdef";
	size_t at = 0;

	for (; *text; text++) {
		if (*text == '-')
			continue;
		if (at == 32 || tolower((unsigned char)*text) != digits[uuid[at / 2] >> (at % 2 ? 0 : 4) & 15])
			return false;
		at++;
	}
	return at == 32;
}

static bool has_tag(const struct th_super *super, const char *tag)
{
	if (begins_with(tag, UUID_TAG))
		return is_uuid(tag + strlen(UUID_TAG), super->uuid);
	return super->label[0] && strcmp(tag + strlen(LABEL_TAG), super->label) == 0;
}

/* Returns whether /sys/class/block/NAME/ITEM has a text other than "0", or is a directory with entries. */
static bool sys_has(const char *name, const char *item)
{
	char path[PATH_MAX], text[16] = "";
	struct dirent *entry;
	bool found = false;
	FILE *file;
	DIR *dir;

	snprintf(path, sizeof(path), "/sys/class/block/%s/%s", name, item);
	dir = opendir(path);
	while (dir && !found && (entry = readdir(dir)))
		found = entry->d_name[0] != '.';
	if (dir) {
		closedir(dir);
		return found;
	}
	file = fopen(path, "re");
	found = file && fgets(text, sizeof(text), file) && strcmp(text, "0\n") != 0;
	if (file)
		fclose(file);
	return found;
}

static bool matches(const char *path, const char *tag)
{
	struct th_super super;
	struct th_disk *disk;
	bool match;

	if (th_disk_open(path, TH_DISK_READ_ONLY | TH_DISK_THREADS, &disk))
		return false;
	match = th_super_read(disk, &super) == 0 && has_tag(&super, tag);
	th_disk_close(disk);
	return match;
}

/* Looks at one device.  Returns 0, or TH_EXIT_FAILED after reporting that it is the second one. */
static int look_at(const char *name, const char *tag, char **found)
{
	char *path;

	if (!sys_has(name, "size") || sys_has(name, "holders"))
		return 0;
	if (asprintf(&path, "/dev/%s", name) < 0)
		return th_error(ENOMEM, "%s", tag);
	for (char *at = path; *at; at++)
		*at = *at == '!' ? '/' : *at; /* as sysfs writes a slash */
	if (!matches(path, tag)) {
		free(path);
		return 0;
	}
	if (!*found) {
		*found = path;
		return 0;
	}
	th_error_line("%s: both %s and %s have it; name one of them", tag, *found, path);
	free(path);
	return TH_EXIT_FAILED;
}

int th_find_device(const char *tag, char **ret)
{
	DIR *dir = opendir("/sys/class/block");
	struct dirent *entry;
	char *found = NULL;
	int err = 0;

	if (!dir)
		return th_error(errno, "/sys/class/block");
	while (!err && (entry = readdir(dir))) {
		if (entry->d_name[0] != '.')
			err = look_at(entry->d_name, tag, &found);
	}
	closedir(dir);
	if (!err && !found)
		err = th_error_line("%s: no block device has it, of those that are not in use", tag);
	if (err)
		free(found);
	else
		*ret = found;
	return err;
}
