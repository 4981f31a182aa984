/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/fuse/mount_options.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "journal/disk/disk.h"

/* A string that grows.  Without memory it stays NULL. */
struct text {
	char *bytes;
	size_t size;
	bool failed;
};

static void text_add(struct text *text, const char *string)
{
	size_t size = strlen(string);
	char *bytes = realloc(text->bytes, text->size + size + 2);

	if (!bytes) {
		text->failed = true;
		return;
	}
	text->bytes = bytes;
	if (text->size)
		bytes[text->size++] = ',';
	memcpy(bytes + text->size, string, size + 1);
	text->size += size;
}

/* libfuse takes a backslash before what would end an option. */
static void text_add_escaped(struct text *text, const char *key, const char *value)
{
	char *option = malloc(strlen(key) + 2 * strlen(value) + 1), *to = option;

	if (!option) {
		text->failed = true;
		return;
	}
	to = stpcpy(to, key);
	for (; *value; value++) {
		if (*value == ',' || *value == '\\')
			*to++ = '\\';
		*to++ = *value;
	}
	*to = 0;
	text_add(text, option);
	free(option);
}

static int parse_size(const char *value, size_t *ret)
{
	static const char units[] = "KMGT";
	char *end;

	errno = 0;
	unsigned long long size = strtoull(value, &end, 10);

	if (errno || end == value || *value == '-')
		return -EINVAL;
	if (*end) {
		const char *unit = strchr(units, *end & ~0x20);
		unsigned shift = unit ? (unsigned)(unit - units + 1) * 10 : 0;

		if (!unit || end[1] || size > SIZE_MAX >> shift)
			return -EINVAL;
		size <<= shift;
	}
	*ret = size;
	return size ? 0 : -EINVAL;
}

static int parse_cache(struct th_fs_options *fs, const char *value)
{
	return parse_size(value, &fs->cache_bytes);
}

static int parse_commit(struct th_fs_options *fs, const char *value)
{
	char *end;
	double seconds = strtod(value, &end);

	if (end == value || *end || !(seconds > 0 && seconds <= 3600))
		return -EINVAL;
	fs->checkpoint_interval_ms = (unsigned)(seconds * 1000);
	return fs->checkpoint_interval_ms ? 0 : -EINVAL;
}

static int parse_snapdir(struct th_fs_options *fs, const char *value)
{
	static const char *const modes[] = {
		[TH_SNAPDIR_ROOT] = "root",
		[TH_SNAPDIR_HIDDEN] = "hidden",
		[TH_SNAPDIR_VISIBLE] = "visible",
		[TH_SNAPDIR_DISABLED] = "disabled",
	};

	for (unsigned i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		if (!strcmp(value, modes[i])) {
			fs->snapdir = i;
			return 0;
		}
	}
	return -EINVAL;
}

static int parse_snapshot(struct th_fs_options *fs, const char *value)
{
	fs->snapshot = value;
	return *value ? 0 : -EINVAL;
}

static int parse_branch(struct th_fs_options *fs, const char *value)
{
	fs->branch = value;
	return *value ? 0 : -EINVAL;
}

static int parse_subdir(struct th_fs_options *fs, const char *value)
{
	fs->subdir = value;
	return *value ? 0 : -EINVAL;
}

static int parse_max_read(unsigned *ret, const char *value)
{
	char *end;
	unsigned long size = strtoul(value, &end, 10);

	if (end == value || *end || *value == '-' || size < 4096 || size > UINT_MAX) {
		fprintf(stderr, "thunderhead: mount option max_read=%s: not a valid value\n", value);
		return -EINVAL;
	}
	*ret = (unsigned)size;
	return 0;
}

static const struct {
	const char *key; /* with its '=' */
	int (*parse)(struct th_fs_options *fs, const char *value);
} ours[] = {
	{ "cache=", parse_cache },       { "commit=", parse_commit }, { "snapdir=", parse_snapdir },
	{ "snapshot=", parse_snapshot }, { "subdir=", parse_subdir }, { "branch=", parse_branch },
};

/* 1 if it was one of ours. */
static int parse_ours(struct th_fs_options *fs, const char *option)
{
	for (unsigned i = 0; i < sizeof(ours) / sizeof(ours[0]); i++) {
		size_t size = strlen(ours[i].key);

		if (!strncmp(option, ours[i].key, size)) {
			int err = ours[i].parse(fs, option + size);

			if (err < 0)
				fprintf(stderr, "thunderhead: mount option %s: not a valid value\n", option);
			return err < 0 ? err : 1;
		}
	}
	return 0;
}

/* What mount(8) and systemd read in fstab and pass on, and what asks for no more than there is. */
static bool is_for_others(const char *option)
{
	static const char *const names[] = { "defaults", "auto",     "noauto",     "user",     "nouser",
					     "users",    "nousers",  "owner",      "group",    "nofail",
					     "_netdev",  "rw",       "loop",       "acl",      "user_xattr",
					     "silent",   "loud",     "nolazytime", "lazytime", "noiversion",
					     "nomand",   "symfollow" };

	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (!strcmp(option, names[i]))
			return true;
	}
	return !strncmp(option, "x-", 2) || !strncmp(option, "X-", 2) || !strncmp(option, "comment=", 8);
}

/* 1 if it was one about times of access.  Of several that contradict each other the last one counts. */
static int parse_atime(struct th_fs_options *fs, const char *option)
{
	static const struct {
		const char *name;
		enum th_atime_mode mode;
	} modes[] = {
		{ "relatime", TH_ATIME_RELATIVE },
		{ "noatime", TH_ATIME_NEVER },
		{ "strictatime", TH_ATIME_STRICT },
		{ "nostrictatime", TH_ATIME_RELATIVE },
	};

	for (unsigned i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		if (!strcmp(option, modes[i].name)) {
			fs->atime = modes[i].mode;
			return 1;
		}
	}
	if (strcmp(option, "diratime") != 0 && strcmp(option, "nodiratime") != 0)
		return 0;
	fs->no_dir_atime = option[0] == 'n';
	return 1;
}

/* What a filesystem on a disk does by itself; what the user gives comes later, and wins. */
static void add_defaults(struct text *fuse, const struct th_mount_options *options)
{
	const char *file = th_disk_url_path(options->image);
	char path[PATH_MAX];

	text_add(fuse, "default_permissions");
	text_add(fuse, "subtype=thunderhead");
	text_add_escaped(fuse, "fsname=", file && realpath(file, path) ? path : options->image);
	if (geteuid() == 0) {
		text_add(fuse, "allow_other");
		text_add(fuse, "suid");
		text_add(fuse, "dev");
	}
}

int th_mount_parse(const struct th_mount_options *options, struct th_mount_parsed *ret)
{
	struct text fuse = { 0 };
	char *save, *option;
	int err = 0;

	*ret = (struct th_mount_parsed){ 0 };
	ret->text = strdup(options->options ? options->options : "");
	if (!ret->text)
		return -ENOMEM;
	add_defaults(&fuse, options);
	for (option = strtok_r(ret->text, ",", &save); option && err >= 0; option = strtok_r(NULL, ",", &save)) {
		err = parse_ours(&ret->fs, option);
		if (!err)
			err = parse_atime(&ret->fs, option);
		if (err || is_for_others(option))
			continue;
		if (!strncmp(option, "max_read=", 9))
			err = parse_max_read(&ret->max_read, option + 9);
		if (!strcmp(option, "ro"))
			ret->fs.read_only = true;
		else if (!strcmp(option, "remount"))
			ret->remount = true;
		else
			text_add(&fuse, option);
	}
	if (ret->fs.read_only || ret->fs.snapshot)
		text_add(&fuse, "ro");
	if (ret->fs.atime == TH_ATIME_NEVER)
		text_add(&fuse, "noatime"); /* so that the list of mounts shows it */
	ret->fuse = fuse.bytes;
	if (err >= 0 && fuse.failed)
		err = -ENOMEM;
	if (err < 0) {
		th_mount_parsed_release(ret);
		return err;
	}
	return 0;
}

void th_mount_parsed_release(struct th_mount_parsed *parsed)
{
	free(parsed->text);
	free(parsed->fuse);
	*parsed = (struct th_mount_parsed){ 0 };
}
