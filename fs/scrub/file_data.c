/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/scrub/file_data.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "fs/data/extent.h"
#include "fs/diff/inode_paths.h"
#include "fs/format/inode_record.h"
#include "fs/format/key.h"

/* An extent that is being verified. */
struct extent_at {
	struct th_fs *fs;
	const char *tree;
	uint64_t id; /* of its inode */
	const struct th_extent *extent;
};

/* Finds the path of the primary name of an inode in the live tree.  Returns NULL if it has none there; the caller frees
 * it. */
static char *path_now(struct th_fs *fs, uint64_t id)
{
	struct th_fs_key key = th_fs_key_inode(id);
	char name[TH_NAME_MAX + 1], *path = NULL;
	struct th_inode_paths *paths;
	struct th_value value;
	struct th_attr attr;
	bool inside;

	if (th_get(fs->live, th_fs_key_slice(&key), &value))
		return NULL;
	if (th_inode_decode(value.data, value.size, value.refs, &attr) || !attr.parent) {
		th_value_release(&value);
		return NULL;
	}
	memcpy(name, attr.name, attr.name_size);
	name[attr.name_size] = 0;
	th_value_release(&value);
	if (th_inode_paths_new(fs->live, TH_ROOT_ID, &paths))
		return NULL;
	if (th_inode_paths_join(paths, attr.parent, name, &path, &inside))
		path = NULL;
	th_inode_paths_free(paths);
	return path;
}

static void block_damaged(void *arg, uint32_t block, int err)
{
	const struct extent_at *at = arg;
	char *path = path_now(at->fs, at->id);

	th_fs_report(at->fs, "scrub: %s: inode %" PRIu64 " (%s), offset %" PRIu64 ": data at block %" PRIu64 " %s",
		     at->tree, at->id, path ? path : "no path now", (at->extent->block + block) * TH_BLOCK_SIZE,
		     at->extent->run.addr + block, err == -EBADMSG ? "has a wrong checksum" : "cannot be read");
	free(path);
}

int th_scrub_file_value(void *arg, const char *tree, struct th_slice key, struct th_slice value)
{
	const struct th_scrub_file_data *data = arg;
	uint64_t checksums[TH_RUN_MAX];
	struct th_fs_key_parts parts;
	struct th_extent extent;
	struct extent_at at = { .fs = data->fs, .tree = tree, .extent = &extent };
	const char *why;

	/* Malformed keys and values are for the checker. */
	if (th_fs_key_parse(key, &parts) || parts.kind != TH_FS_KEY_EXTENT ||
	    th_extent_decode(parts.number, value, &extent, &why) || extent.kind != TH_EXTENT_RUN)
		return 0;
	at.id = parts.id;
	th_extent_checksums(&extent, 0, extent.blocks, checksums);
	th_scrub_run(data->scrub, extent.run.addr, extent.blocks, checksums, block_damaged, &at);
	return 0;
}
