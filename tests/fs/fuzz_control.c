/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Control messages, which any user who can open a directory of a mount may send: whatever they are, the filesystem
 * stays sound.
 *
 * The input is a list of messages: a byte for the command and the caller, two for the size (little-endian), and the
 * bytes of the request; bytes that are missing are zeros.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fs/check/check.h"
#include "fs/control/control.h"
#include "fs/dir/namei.h"
#include "journal/disk/disk.h"
#include "tests/support/fuzz.h"

#define ANSWER_MAX 16384
#define MESSAGES_MAX 32

static const unsigned commands[] = {
	TH_CONTROL_INFO,
	TH_CONTROL_SNAPSHOT_CREATE,
	TH_CONTROL_SNAPSHOT_DELETE,
	TH_CONTROL_SNAPSHOT_RENAME,
	TH_CONTROL_SNAPSHOT_LIST,
	TH_CONTROL_DIFF_BEGIN,
	TH_CONTROL_DIFF_NEXT,
	TH_CONTROL_DIFF_END,
	TH_CONTROL_BRANCH_CREATE,
	TH_CONTROL_BRANCH_DELETE,
	TH_CONTROL_BRANCH_RENAME,
	TH_CONTROL_BRANCH_LIST,
	TH_CONTROL_RECLAIM,
	TH_CONTROL_SNAPSHOT_HOLD,
	TH_CONTROL_SNAPSHOT_RELEASE,
	TH_CONTROL_HOLD_LIST,
	TH_CONTROL_TRIM,
	TH_CONTROL_RESIZE,
	TH_CONTROL_BRANCH_PROMOTE,
	TH_CONTROL_ROLLBACK,
	TH_CONTROL_SNAPSHOT_SPACES,
	TH_CONTROL_SNAPSHOT_SPACE_OF,
	TH_CONTROL_COPY,
};

static void ignore(void *arg, const char *line)
{
	(void)arg;
	(void)line;
}

static void must(int err)
{
	if (err >= 0)
		return;
	fprintf(stderr, "fuzz_control: %s\n", strerror(-err));
	abort();
}

/* A filesystem with a file, and a snapshot without it. */
static struct th_fs *open_filesystem(void)
{
	struct th_format_options format = { 0 };
	struct th_fs_options options = { .report = ignore, .checkpoint_interval_ms = 3600 * 1000 };
	struct th_namei_new new = { .mode = S_IFREG | 0644 };
	struct th_snapshot snapshot;
	struct th_inode *inode;
	struct th_disk *disk;
	struct th_fs *fs;

	must(th_disk_memory_new(TH_IMAGE_MIN / TH_BLOCK_SIZE, &disk));
	must(th_fs_format(disk, &format, 0, 0));
	must(th_fs_open(disk, &options, &fs));
	must(th_snapshot_create(fs->store, "s", &snapshot));
	must(th_namei_create(fs->root, (struct th_slice){ "file", 4 }, &new, &inode));
	th_inode_put(inode);
	return fs;
}

/* Sends the message at the beginning of the input.  Returns its size. */
static size_t send(struct th_control *control, const uint8_t *data, size_t size)
{
	const struct th_caller caller = { .uid = data[0] & 0x80 ? 1000 : 0, .admin = !(data[0] & 0x80) };
	unsigned cmd = commands[(data[0] & 0x7f) % (sizeof(commands) / sizeof(commands[0]))];
	size_t wanted = (data[1] | (size_t)data[2] << 8) % (_IOC_SIZE(cmd) + 1), given = size - 3, answered = 0;
	uint8_t *in = calloc(1, wanted + 1), *out = malloc(ANSWER_MAX);

	if (given > wanted)
		given = wanted;
	memcpy(in, data + 3, given);
	if (th_control_ioctl(control, &caller, cmd, in, wanted, out, _IOC_SIZE(cmd), &answered) == 0 &&
	    answered > _IOC_SIZE(cmd))
		abort();
	free(out);
	free(in);
	return 3 + given;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct th_fs_check_options check = { .problem = ignore };
	struct th_check_result result;
	struct th_control *control;
	struct th_fs *fs = open_filesystem();

	must(th_control_new(fs, &control));
	for (unsigned i = 0; size >= 3 && i < MESSAGES_MAX; i++) {
		size_t used = send(control, data, size);

		data += used;
		size -= used;
	}
	th_control_free(control);
	must(th_store_checkpoint(fs->store));
	must(th_fs_check(fs, &check, &result));
	if (result.problems)
		abort();
	must(th_fs_close(fs));
	return 0;
}

#ifndef TH_FUZZER
int main(int argc, char **argv)
{
	return th_fuzz_main(argc, argv, "fuzz_control", 200);
}
#endif
