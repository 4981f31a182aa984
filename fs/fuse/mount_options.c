/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/fuse/mount_options.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fs/dir/dir.h"
#include "journal/base/report.h"
#include "journal/base/size.h"
#include "journal/disk/disk.h"

/* --- the values of options --- */

typedef struct th_mount_parsed parsed_t;
typedef const struct th_mount_option option_t;

static int parse_ro(parsed_t *parsed, option_t *option, const char *value)
{
	(void)option;
	(void)value;
	parsed->fs.read_only = true;
	return 0;
}

static int parse_remount(parsed_t *parsed, option_t *option, const char *value)
{
	(void)option;
	(void)value;
	parsed->remount = true;
	return 0;
}

static int parse_fuseblk(parsed_t *parsed, option_t *option, const char *value)
{
	(void)option;
	parsed->block = strcmp(value, "off") != 0;
	return !parsed->block || !strcmp(value, "auto") ? 0 : -EINVAL;
}

static int parse_noseccomp(parsed_t *parsed, option_t *option, const char *value)
{
	(void)option;
	(void)value;
	parsed->no_seccomp = true;
	return 0;
}

static int parse_branch(parsed_t *parsed, option_t *option, const char *value)
{
	(void)option;
	parsed->fs.branch = value;
	return *value ? 0 : -EINVAL;
}

static int parse_snapshot(parsed_t *parsed, option_t *option, const char *value)
{
	(void)option;
	parsed->fs.snapshot = value;
	return *value ? 0 : -EINVAL;
}

static int parse_subdir(parsed_t *parsed, option_t *option, const char *value)
{
	(void)option;
	parsed->fs.subdir = value;
	return *value ? 0 : -EINVAL;
}

static int parse_cache(parsed_t *parsed, option_t *option, const char *value)
{
	uint64_t size;

	(void)option;
	if (th_size_parse(value, &size) || !size || size > SIZE_MAX)
		return -EINVAL;
	parsed->fs.cache_bytes = (size_t)size;
	return 0;
}

static int parse_commit(parsed_t *parsed, option_t *option, const char *value)
{
	char *end;
	double seconds = strtod(value, &end);

	(void)option;
	if (end == value || *end || !(seconds > 0 && seconds <= 3600))
		return -EINVAL;
	parsed->fs.checkpoint_interval_ms = (unsigned)(seconds * 1000);
	return parsed->fs.checkpoint_interval_ms ? 0 : -EINVAL;
}

static int parse_heartbeat(parsed_t *parsed, option_t *option, const char *value)
{
	char *end;
	double seconds = strtod(value, &end);

	(void)option;
	if (!strcmp(value, "off")) {
		parsed->fs.heartbeat_ms = TH_HEARTBEAT_OFF;
		return 0;
	}
	if (end == value || *end || !(seconds >= 0.1 && seconds <= 60))
		return -EINVAL;
	parsed->fs.heartbeat_ms = (unsigned)(seconds * 1000);
	return 0;
}

static int parse_snapdir(parsed_t *parsed, option_t *option, const char *value)
{
	static const char *const modes[] = {
		[TH_SNAPDIR_HIDDEN] = "hidden",
		[TH_SNAPDIR_ROOT] = "root",
		[TH_SNAPDIR_VISIBLE] = "visible",
		[TH_SNAPDIR_DISABLED] = "disabled",
	};

	(void)option;
	for (unsigned i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		if (!strcmp(value, modes[i])) {
			parsed->fs.snapdir = i;
			return 0;
		}
	}
	return -EINVAL;
}

static int parse_snapshots(parsed_t *parsed, option_t *option, const char *value)
{
	static const char *const modes[] = {
		[TH_SNAPSHOTS_ADMIN] = "admin",
		[TH_SNAPSHOTS_OWNER] = "owner",
		[TH_SNAPSHOTS_NONE] = "none",
	};

	(void)option;
	for (unsigned i = TH_SNAPSHOTS_ADMIN; i < sizeof(modes) / sizeof(modes[0]); i++) {
		if (!strcmp(value, modes[i])) {
			parsed->fs.snapshots = i;
			return 0;
		}
	}
	return -EINVAL;
}

static int parse_root_only(parsed_t *parsed, option_t *option, const char *value)
{
	(void)option;
	(void)value;
	parsed->fs.snapdir_root_only = true;
	return 0;
}

static int parse_snap_suid(parsed_t *parsed, option_t *option, const char *value)
{
	(void)option;
	(void)value;
	parsed->fs.snap_suid = true;
	return 0;
}

static int parse_snapdir_name(parsed_t *parsed, option_t *option, const char *value)
{
	(void)option;
	parsed->fs.snapdir_name = value;
	return th_dir_check_name((struct th_slice){ value, strlen(value) }) ? -EINVAL : 0;
}

static int parse_atime(parsed_t *parsed, option_t *option, const char *value)
{
	(void)value;
	parsed->fs.atime = (enum th_atime_mode)option->mode;
	return 0;
}

static int parse_dir_atime(parsed_t *parsed, option_t *option, const char *value)
{
	(void)value;
	parsed->fs.no_dir_atime = option->mode;
	return 0;
}

static int parse_discard(parsed_t *parsed, option_t *option, const char *value)
{
	(void)value;
	parsed->fs.discard = (enum th_discard)option->mode;
	return 0;
}

static int parse_export(parsed_t *parsed, option_t *option, const char *value)
{
	(void)value;
	parsed->exports = option->mode;
	return 0;
}

static int parse_ino32(parsed_t *parsed, option_t *option, const char *value)
{
	(void)option;
	(void)value;
	parsed->fs.narrow_numbers = true;
	return 0;
}

static int parse_truncate_log(parsed_t *parsed, option_t *option, const char *value)
{
	(void)option;
	(void)value;
	parsed->fs.truncate_log = true;
	return 0;
}

static int parse_rescue(parsed_t *parsed, option_t *option, const char *value)
{
	(void)option;
	(void)value;
	parsed->fs.rescue = parsed->fs.read_only = true;
	return 0;
}

static int parse_generation(parsed_t *parsed, option_t *option, const char *value)
{
	char *end;

	errno = 0;
	parsed->fs.generation = strtoull(value, &end, 10);
	if (errno || end == value || *end || *value == '-' || !parsed->fs.generation)
		return -EINVAL;
	return parse_rescue(parsed, option, value);
}

/* libfuse and the kernel read the number, too: so it has no unit. */
static int parse_max_read(parsed_t *parsed, option_t *option, const char *value)
{
	char *end;
	unsigned long size = strtoul(value, &end, 10);

	(void)option;
	if (end == value || *end || *value == '-' || size < 4096 || size > UINT_MAX)
		return -EINVAL;
	parsed->max_read = (unsigned)size;
	return 0;
}

/* --- the table --- */

#define NO_EFFECT(option_name)                                                                                         \
	{                                                                                                              \
		.name = option_name                                                                                    \
	}

const struct th_mount_option th_mount_option_table[] = {
	{ "ro", NULL, "mount read-only", .parse = parse_ro },
	{ "branch", "NAME", "mount that branch, and make it the current one", "a name", .parse = parse_branch },
	{ "snapshot", "NAME", "show that snapshot, read-only", "a name", .parse = parse_snapshot },
	{ "subdir", "PATH", "show that directory as the root", "a path", .parse = parse_subdir },
	{ "cache", "SIZE", "memory for nodes of the tree (256M)", "a size, such as 256M", .parse = parse_cache },
	{ "commit", "SECONDS", "how often changes are written as a checkpoint (5)", "seconds, above 0 and up to 3600",
	  .parse = parse_commit },
	{ "heartbeat", "SECONDS", "how often the image is marked as in use, for other machines; off (devices: 5)",
	  "off, or seconds from 0.1 to 60", .parse = parse_heartbeat },
	{ "snapdir", "MODE", "where .snapshots is listed: hidden, root, visible, disabled (hidden)",
	  "hidden, root, visible or disabled", .parse = parse_snapdir },
	{ "snapdirname", "NAME", "the name of .snapshots, where files have that name", "a name of up to 255 bytes",
	  .parse = parse_snapdir_name },
	{ "snapdir-root-only", NULL, "have .snapshots in the root directory only", .parse = parse_root_only },
	{ "snapsuid", NULL, "let set-id programs and devices in snapshots have effect", .parse = parse_snap_suid },
	{ "snapshots", "USERS", "which users may change snapshots: admin, owner, none (admin; with subdir none)",
	  "admin, owner or none", .parse = parse_snapshots },
	{ "relatime", NULL, "update access times after a change and once a day (the default)", .parse = parse_atime,
	  .mode = TH_ATIME_RELATIVE },
	{ "noatime", NULL, "never update access times", .parse = parse_atime, .mode = TH_ATIME_NEVER },
	{ "strictatime", NULL, "update access times with every read", .parse = parse_atime, .mode = TH_ATIME_STRICT },
	{ "nostrictatime", NULL, "the same as relatime", .parse = parse_atime, .mode = TH_ATIME_RELATIVE },
	{ "diratime", NULL, "update access times of directories, too (the default)", .parse = parse_dir_atime,
	  .mode = false },
	{ "nodiratime", NULL, "never update access times of directories", .parse = parse_dir_atime, .mode = true },
	{ "discard", NULL, "give freed space back to the file or device below (the default for files)",
	  .parse = parse_discard, .mode = TH_DISCARD_ON },
	{ "nodiscard", NULL, "keep freed space (the default for devices)", .parse = parse_discard,
	  .mode = TH_DISCARD_OFF },
	{ "export", NULL, "file handles outlive the kernel's caches, for NFS; not for overlayfs", .parse = parse_export,
	  .mode = true },
	{ "noexport", NULL, "the opposite of export (the default)", .parse = parse_export, .mode = false },
	{ "ino32", NULL, "inode numbers of at most 32 bits, which are not always unique", .parse = parse_ino32 },
	{ "truncate_log", NULL, "if the intent log is damaged, give up the changes after the damage",
	  .parse = parse_truncate_log },
	{ "rescue", NULL, "of a damaged image, show the newest state that has its roots; read-only",
	  .parse = parse_rescue },
	{ "generation", "N", "of a damaged image, show that generation; implies rescue", "a number above 0",
	  .parse = parse_generation },
	{ "max_read", "BYTES", "the largest read request of the kernel", "a number of bytes, from 4096",
	  .parse = parse_max_read, .for_fuse = true },
	{ "fuseblk", "MODE", "mount by a block device, so that sync(1) works: auto, off (auto)", "auto or off",
	  .parse = parse_fuseblk },
	{ "noseccomp", NULL, "do not restrict the system calls of the daemon", .parse = parse_noseccomp },
	{ "remount", NULL, "change ro, rw, nosuid, nodev, noexec and their opposites of a mount",
	  .parse = parse_remount },
	/* Options that mount(8) and systemd read in fstab and pass on. */
	NO_EFFECT("defaults"),
	NO_EFFECT("auto"),
	NO_EFFECT("noauto"),
	NO_EFFECT("user"),
	NO_EFFECT("nouser"),
	NO_EFFECT("users"),
	NO_EFFECT("nousers"),
	NO_EFFECT("owner"),
	NO_EFFECT("group"),
	NO_EFFECT("nofail"),
	NO_EFFECT("_netdev"),
	NO_EFFECT("loop"),
	NO_EFFECT("silent"),
	NO_EFFECT("loud"),
	/* Options that ask for the behaviour that this filesystem always has. */
	NO_EFFECT("rw"),
	NO_EFFECT("acl"),
	NO_EFFECT("user_xattr"),
	NO_EFFECT("lazytime"),
	NO_EFFECT("nolazytime"),
	NO_EFFECT("noiversion"),
	NO_EFFECT("nomand"),
	NO_EFFECT("symfollow"),
	{ 0 },
};

/* Returns whether the text is this option.  *ret_value is its value, or NULL if it takes none. */
static bool is_option(const struct th_mount_option *option, const char *text, const char **ret_value)
{
	size_t size = strlen(option->name);

	*ret_value = NULL;
	if (strncmp(text, option->name, size) != 0)
		return false;
	if (!option->argument)
		return !text[size];
	*ret_value = text + size + 1;
	return text[size] == '=';
}

/* Returns NULL if the text is none of the table's options. */
static const struct th_mount_option *find_option(const char *text, const char **ret_value)
{
	for (const struct th_mount_option *option = th_mount_option_table; option->name; option++) {
		if (is_option(option, text, ret_value))
			return option;
	}
	return NULL;
}

/* Comments of fstab, for other programs. */
static bool is_comment(const char *text)
{
	return !strncmp(text, "x-", 2) || !strncmp(text, "X-", 2) || !strncmp(text, "comment=", 8);
}

/* --- the options for libfuse --- */

static void add(FILE *fuse, const char *option)
{
	fprintf(fuse, "%s%s", ftell(fuse) ? "," : "", option);
}

/* libfuse removes a backslash, which stands before a character that would end the option. */
static void add_name(FILE *fuse, const char *name)
{
	add(fuse, "fsname=");
	for (; *name; name++) {
		if (*name == ',' || *name == '\\')
			putc('\\', fuse);
		putc(*name, fuse);
	}
}

/* Makes it behave as a filesystem on a disk does.  The user's options come later, and override these. */
static void add_defaults(FILE *fuse, const struct th_mount_options *options)
{
	const char *file = th_disk_url_path(options->image);
	char path[PATH_MAX];

	add(fuse, "default_permissions");
	add(fuse, "subtype=thunderhead");
	add_name(fuse, file && realpath(file, path) ? path : options->image);
	if (geteuid() == 0) {
		add(fuse, "allow_other");
		add(fuse, "suid");
		add(fuse, "dev");
	}
}

/* --- parsing --- */

static int parse_option(struct th_mount_parsed *parsed, const char *text, FILE *fuse)
{
	const char *value;
	const struct th_mount_option *option = find_option(text, &value);

	if (!option) {
		if (!is_comment(text))
			add(fuse, text);
		return 0;
	}
	if (option->parse && option->parse(parsed, option, value)) {
		th_report_print("mount option %s: expected %s", text, option->expects);
		return -EINVAL;
	}
	if (option->for_fuse)
		add(fuse, text);
	return 0;
}

static int parse_all(const struct th_mount_options *options, struct th_mount_parsed *parsed, FILE *fuse)
{
	char *save, *text;
	int err = 0;

	add_defaults(fuse, options);
	for (text = strtok_r(parsed->text, ",", &save); text && !err; text = strtok_r(NULL, ",", &save))
		err = parse_option(parsed, text, fuse);
	if (parsed->fs.read_only || parsed->fs.snapshot)
		add(fuse, "ro");
	if (parsed->fs.snapshot && !parsed->fs.snap_suid)
		add(fuse, "nosuid,nodev");
	if (parsed->fs.atime == TH_ATIME_NEVER)
		add(fuse, "noatime"); /* so that /proc/mounts shows it */
	return err;
}

int th_mount_parse(const struct th_mount_options *options, struct th_mount_parsed *ret)
{
	size_t size;
	FILE *fuse;
	int err = -ENOMEM;

	*ret = (struct th_mount_parsed){ .block = true };
	ret->text = strdup(options->options ? options->options : "");
	fuse = open_memstream(&ret->fuse, &size);
	if (ret->text && fuse)
		err = parse_all(options, ret, fuse);
	if (fuse && fclose(fuse) && !err)
		err = -ENOMEM;
	if (err)
		th_mount_parsed_release(ret);
	return err;
}

char *th_mount_device_options(const struct th_mount_parsed *parsed, const char *device)
{
	char *options = NULL;
	size_t size;
	FILE *fuse = open_memstream(&options, &size);

	if (!fuse)
		return NULL;
	add(fuse, parsed->fuse);
	add(fuse, "blkdev");
	add(fuse, "blksize=4096");
	add_name(fuse, device); /* replaces the image's */
	if (fclose(fuse)) {
		free(options);
		return NULL;
	}
	return options;
}

void th_mount_parsed_release(struct th_mount_parsed *parsed)
{
	free(parsed->text);
	free(parsed->fuse);
	*parsed = (struct th_mount_parsed){ 0 };
}
