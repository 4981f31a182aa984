/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/control/control.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/control/copy.h"
#include "fs/control/rollback.h"
#include "fs/diff/diff_session.h"
#include "fs/inode/dirty_list.h"
#include "fs/scrub/scrubber.h"
#include "fs/snapshot/branch.h"
#include "fs/snapshot/snapshot.h"
#include "fs/stream/send.h"
#include "journal/disk/disk.h"

struct th_control {
	struct th_fs *fs;
	struct th_diff_sessions *sessions;
	struct th_scrubber *scrubber;
	pthread_mutex_t rollback_lock; /* one rollback at a time */
};

/* --- names and paths in requests --- */

/* Returns whether the name is terminated. */
static bool name_is_valid(const struct th_control_name *name)
{
	return !name->text[TH_SNAPSHOT_NAME_MAX];
}

/* --- commands: the request has the right size and version, and the answer has room for that size --- */

static void pack_store_numbers(const struct th_store_info *info, struct th_control_info *answer)
{
	answer->block_size = th_le64(info->block_size);
	answer->blocks = th_le64(info->blocks);
	answer->blocks_data = th_le64(info->blocks_data);
	answer->blocks_metadata = th_le64(info->blocks_metadata);
	answer->blocks_snapshots = th_le64(info->blocks_snapshots);
	answer->blocks_waiting = th_le64(info->blocks_waiting);
	answer->blocks_free = th_le64(info->blocks_free);
	answer->blocks_reserved = th_le64(info->blocks_reserved);
	answer->blocks_emergency = th_le64(info->blocks_emergency);
	answer->blocks_available = th_le64(info->blocks_available);
	answer->shared_blocks = th_le64(info->shared_blocks);
	answer->generation = th_le64(info->generation);
	answer->sequence = th_le64(info->sequence);
	answer->created_ns = th_le64(info->created_ns);
	answer->checkpoint_ns = th_le64(info->checkpoint_ns);
	answer->snapshots = th_le64(info->snapshots);
	answer->branches = th_le64(info->branches);
	answer->height = th_le64(info->height);
	answer->cache_bytes = th_le64(info->cache_bytes);
	answer->cache_used = th_le64(info->cache_used);
	answer->dirty_bytes = th_le64(info->dirty_bytes);
}

static void pack_store_counters(const struct th_store_info *info, struct th_control_info *answer)
{
	answer->node_reads = th_le64(info->node_reads);
	answer->node_writes = th_le64(info->node_writes);
	answer->node_cache_hits = th_le64(info->node_cache_hits);
	answer->node_bytes_written = th_le64(info->node_bytes_written);
	answer->checkpoints = th_le64(info->checkpoints);
	answer->syncs = th_le64(info->syncs);
	answer->log_records = th_le64(info->log_records);
	answer->log_bytes = th_le64(info->log_bytes);
	answer->merges = th_le64(info->merges);
	answer->disk_reads = th_le64(info->disk_reads);
	answer->disk_bytes_read = th_le64(info->disk_bytes_read);
	answer->disk_writes = th_le64(info->disk_writes);
	answer->disk_bytes_written = th_le64(info->disk_bytes_written);
	answer->disk_flushes = th_le64(info->disk_flushes);
}

static int answer_info(struct th_control *control, const void *request, void *answer)
{
	struct th_control_info *info = answer;
	struct th_store_info numbers;

	(void)request;
	th_fs_info(control->fs, &numbers);
	info->read_only = control->fs->read_only || numbers.read_only;
	info->failure = th_le16((uint16_t)numbers.failure);
	info->unwritten_bytes = th_le64((uint64_t)th_dirty_pages(control->fs) * TH_BLOCK_SIZE);
	info->log_lost = numbers.log_lost;
	info->log_stranded = th_le64(numbers.log_stranded);
	memcpy(info->uuid, numbers.uuid, sizeof(info->uuid));
	if (numbers.label)
		strncpy(info->label, numbers.label, sizeof(info->label) - 1);
	memcpy(info->branch.text, numbers.branch, strlen(numbers.branch));
	pack_store_numbers(&numbers, info);
	pack_store_counters(&numbers, info);
	return 0;
}

static struct th_control_snapshot pack_snapshot(const struct th_snapshot *snapshot)
{
	struct th_control_snapshot packed = {
		.version = th_le32(TH_CONTROL_VERSION),
		.id = th_le64(snapshot->id),
		.generation = th_le64(snapshot->generation),
		.created_ns = th_le64(snapshot->created_ns),
		.branch = th_le64(snapshot->branch),
		.holds = th_le64(snapshot->holds),
	};

	memcpy(packed.identity, snapshot->identity, sizeof(packed.identity));
	memcpy(packed.name.text, snapshot->name, strnlen(snapshot->name, TH_SNAPSHOT_NAME_MAX));
	return packed;
}

static int answer_create(struct th_control *control, const void *request, void *answer)
{
	const struct th_control_snapshot *wanted = request;
	struct th_control_snapshot *created = answer;
	struct th_snapshot snapshot;
	int err = name_is_valid(&wanted->name) ? 0 : -EINVAL;

	if (!err)
		err = th_fs_snapshot_create(control->fs, wanted->name.text, &snapshot);
	if (!err)
		*created = pack_snapshot(&snapshot);
	return err;
}

static int answer_delete(struct th_control *control, const void *request, void *answer)
{
	const struct th_control_snapshot *wanted = request;

	(void)answer;
	if (!name_is_valid(&wanted->name))
		return -EINVAL;
	return th_fs_snapshot_delete(control->fs, wanted->name.text);
}

static int answer_rename(struct th_control *control, const void *request, void *answer)
{
	const struct th_control_rename *wanted = request;

	(void)answer;
	if (!name_is_valid(&wanted->from) || !name_is_valid(&wanted->to))
		return -EINVAL;
	return th_fs_snapshot_rename(control->fs, wanted->from.text, wanted->to.text);
}

static int answer_list(struct th_control *control, const void *request, void *answer)
{
	uint64_t after = th_get_le64(((const struct th_control_list *)request)->after);
	struct th_control_list *list = answer;
	struct th_snapshot snapshot = { .id = after };
	uint32_t listed = 0;

	while (listed < TH_CONTROL_LIST_MAX && !th_snapshot_next(control->fs->store, snapshot.id, &snapshot))
		list->list[listed++] = pack_snapshot(&snapshot);
	list->count = th_le32(listed);
	return 0;
}

static int answer_spaces(struct th_control *control, const void *request, void *answer)
{
	struct th_store *store = control->fs->store;
	struct th_control_spaces *list = answer;
	struct th_snapshot snapshot = { .id = th_get_le64(((const struct th_control_spaces *)request)->after) };
	uint32_t listed = 0;

	while (listed < TH_CONTROL_SPACES_MAX && !th_snapshot_next(store, snapshot.id, &snapshot)) {
		uint64_t bytes;
		int ret = th_snapshot_space(store, &snapshot.id, 1, &bytes);

		if (ret == -ENOENT)
			continue; /* deleted meanwhile */
		if (ret < 0)
			return ret;
		list->list[listed].id = th_le64(snapshot.id);
		list->list[listed++].bytes = th_le64(ret ? TH_CONTROL_SPACE_UNKNOWN : bytes);
	}
	list->count = th_le32(listed);
	return 0;
}

static int answer_space_of(struct th_control *control, const void *request, void *answer)
{
	const struct th_control_space_of *wanted = request;
	uint32_t count = th_get_le32(wanted->count);
	uint64_t ids[TH_CONTROL_SPACE_OF_MAX], bytes;
	int ret;

	if (count > TH_CONTROL_SPACE_OF_MAX)
		return -EINVAL;
	for (uint32_t i = 0; i < count; i++)
		ids[i] = th_get_le32(wanted->ids[i]);
	ret = th_snapshot_space(control->fs->store, ids, count, &bytes);
	if (ret < 0)
		return ret;
	((struct th_control_space_of *)answer)->bytes = th_le64(ret ? TH_CONTROL_SPACE_UNKNOWN : bytes);
	return 0;
}

static int answer_tag(struct th_control *control, const struct th_control_hold *wanted,
		      int (*act)(struct th_fs *fs, const char *name, const char *tag))
{
	if (!name_is_valid(&wanted->snapshot) || !name_is_valid(&wanted->tag))
		return -EINVAL;
	return act(control->fs, wanted->snapshot.text, wanted->tag.text);
}

static int answer_hold(struct th_control *control, const void *request, void *answer)
{
	(void)answer;
	return answer_tag(control, request, th_fs_snapshot_hold);
}

static int answer_release(struct th_control *control, const void *request, void *answer)
{
	(void)answer;
	return answer_tag(control, request, th_fs_snapshot_release);
}

static struct th_control_held pack_hold(const struct th_hold *hold)
{
	struct th_control_held packed = {
		.version = th_le32(TH_CONTROL_VERSION),
		.id = th_le64(hold->id),
		.snapshot = th_le64(hold->snapshot),
		.created_ns = th_le64(hold->created_ns),
	};

	memcpy(packed.tag.text, hold->tag, strnlen(hold->tag, TH_HOLD_TAG_MAX));
	return packed;
}

static int answer_hold_list(struct th_control *control, const void *request, void *answer)
{
	uint64_t after = th_get_le64(((const struct th_control_holds *)request)->after);
	struct th_control_holds *list = answer;
	struct th_hold *holds;
	size_t count;
	uint32_t listed = 0;
	int err = th_snapshot_holds(control->fs->store, NULL, &holds, &count);

	if (err)
		return err;
	for (size_t i = 0; i < count && listed < TH_CONTROL_HOLDS_MAX; i++) {
		if (holds[i].id > after)
			list->list[listed++] = pack_hold(&holds[i]);
	}
	list->count = th_le32(listed);
	free(holds);
	return 0;
}

static struct th_control_branch pack_branch(const struct th_branch *branch)
{
	struct th_control_branch packed = {
		.version = th_le32(TH_CONTROL_VERSION),
		.flags = th_le32((branch->current ? TH_CONTROL_BRANCH_CURRENT : 0) |
				 (branch->detached ? TH_CONTROL_BRANCH_DETACHED : 0)),
		.id = th_le64(branch->id),
		.origin = th_le64(branch->origin),
		.created_ns = th_le64(branch->created_ns),
		.snapshots = th_le64(branch->snapshots),
	};

	memcpy(packed.name.text, branch->name, strnlen(branch->name, TH_BRANCH_NAME_MAX));
	return packed;
}

static int answer_branch_create(struct th_control *control, const void *request, void *answer)
{
	const struct th_control_branch *wanted = request;
	struct th_control_branch *created = answer;
	struct th_branch branch;
	int err = -EINVAL;

	if (name_is_valid(&wanted->name) && name_is_valid(&wanted->from))
		err = th_fs_branch_create(control->fs, wanted->name.text,
					  wanted->from.text[0] ? wanted->from.text : NULL, &branch);
	if (!err)
		*created = pack_branch(&branch);
	return err;
}

static int answer_branch_delete(struct th_control *control, const void *request, void *answer)
{
	const struct th_control_branch *wanted = request;
	uint32_t flags = th_get_le32(wanted->flags);

	(void)answer;
	if (!name_is_valid(&wanted->name) || flags & ~TH_CONTROL_BRANCH_SNAPSHOTS)
		return -EINVAL;
	return th_fs_branch_delete(control->fs, wanted->name.text, flags & TH_CONTROL_BRANCH_SNAPSHOTS);
}

static int answer_branch_rename(struct th_control *control, const void *request, void *answer)
{
	const struct th_control_rename *wanted = request;

	(void)answer;
	if (!name_is_valid(&wanted->from) || !name_is_valid(&wanted->to))
		return -EINVAL;
	return th_fs_branch_rename(control->fs, wanted->from.text, wanted->to.text);
}

static int answer_branch_promote(struct th_control *control, const void *request, void *answer)
{
	const struct th_control_branch *wanted = request;

	(void)answer;
	return name_is_valid(&wanted->name) ? th_fs_branch_promote(control->fs, wanted->name.text) : -EINVAL;
}

static int answer_branch_list(struct th_control *control, const void *request, void *answer)
{
	uint64_t after = th_get_le64(((const struct th_control_branches *)request)->after);
	struct th_control_branches *list = answer;
	struct th_branch *branches;
	size_t count;
	uint32_t listed = 0;
	int err = th_branch_list(control->fs->store, &branches, &count);

	if (err)
		return err;
	for (size_t i = 0; i < count && listed < TH_CONTROL_BRANCHES_MAX; i++) {
		if (branches[i].id > after)
			list->list[listed++] = pack_branch(&branches[i]);
	}
	list->count = th_le32(listed);
	free(branches);
	return 0;
}

static int answer_rollback(struct th_control *control, const void *request, void *answer)
{
	const struct th_control_rollback *wanted = request;
	int err;

	(void)answer;
	if (!name_is_valid(&wanted->snapshot) || !name_is_valid(&wanted->keep))
		return -EINVAL;
	if (pthread_mutex_trylock(&control->rollback_lock))
		return -EBUSY;
	err = th_rollback_open(control->fs, control->sessions, wanted->snapshot.text,
			       wanted->keep.text[0] ? wanted->keep.text : NULL);
	pthread_mutex_unlock(&control->rollback_lock);
	return err;
}

static int answer_reclaim(struct th_control *control, const void *request, void *answer)
{
	int ret = th_fs_writable(control->fs);

	(void)request;
	if (!ret)
		ret = th_store_reclaim(control->fs->store);
	if (ret < 0)
		return ret;
	((struct th_control_reclaim *)answer)->done = th_le32((uint32_t)ret);
	return 0;
}

static int trim(struct th_control *control, uint64_t start, uint64_t length, uint64_t least, uint64_t *ret_bytes)
{
	int err = th_fs_writable(control->fs);

	return err ? err : th_store_trim(control->fs->store, start, length, least, ret_bytes);
}

static int answer_trim(struct th_control *control, const void *request, void *answer)
{
	const struct th_control_trim *wanted = request;
	uint64_t trimmed = 0;
	int err = trim(control, th_get_le64(wanted->start), th_get_le64(wanted->length), th_get_le64(wanted->least),
		       &trimmed);

	((struct th_control_trim *)answer)->trimmed = th_le64(trimmed);
	return err;
}

static int answer_resize(struct th_control *control, const void *request, void *answer)
{
	uint64_t bytes = th_get_le64(((const struct th_control_resize *)request)->bytes);
	struct th_control_resize *resized = answer;
	int ret = th_fs_writable(control->fs);

	if (!ret)
		ret = th_store_resize(control->fs->store, bytes, &bytes);
	if (ret < 0)
		return ret;
	resized->unchanged = th_le32((uint32_t)ret);
	resized->bytes = th_le64(bytes);
	return 0;
}

static int answer_diff_begin(struct th_control *control, const void *request, void *answer)
{
	const struct th_control_diff_begin *wanted = request;
	struct th_control_diff_begin *begun = answer;
	uint32_t flags = th_get_le32(wanted->flags);
	struct th_fs_diff_options options = {
		.from = wanted->from.text,
		.to = wanted->to.text[0] ? wanted->to.text : NULL,
		.path = wanted->path[0] ? wanted->path : NULL,
		.ranges = flags & TH_CONTROL_DIFF_RANGES,
	};
	struct th_fs_diff *diff = NULL;
	uint64_t id;
	int err;

	if (!name_is_valid(&wanted->from) || !name_is_valid(&wanted->to) || (flags & ~TH_CONTROL_DIFF_RANGES) ||
	    wanted->path[sizeof(wanted->path) - 1])
		return -EINVAL;
	err = th_fs_diff_open(control->fs, &options, &diff);
	if (!err)
		err = th_diff_session_begin(control->sessions, diff, &id);
	if (!err) {
		begun->session = th_le64(id);
		return 0;
	}
	th_fs_diff_close(diff);
	return err;
}

static int answer_diff_next(struct th_control *control, const void *request, void *answer)
{
	const struct th_control_diff_next *wanted = request;
	struct th_control_diff_next *next = answer;
	struct th_diff_session_piece piece;
	int err = th_diff_session_read(control->sessions, th_get_le64(wanted->session), next->stream,
				       sizeof(next->stream), &piece);

	if (err)
		return err;
	next->bytes = th_le32((uint32_t)piece.bytes);
	next->ended = th_le32(piece.ended);
	next->nodes_read = th_le64(piece.stats.nodes_read);
	next->entries_compared = th_le64(piece.stats.entries_compared);
	return 0;
}

static int answer_diff_end(struct th_control *control, const void *request, void *answer)
{
	(void)answer;
	return th_diff_session_end(control->sessions,
				   th_get_le64(((const struct th_control_diff_end *)request)->session));
}

static int answer_copy(struct th_control *control, const void *request, void *answer)
{
	const struct th_control_copy *wanted = request;
	struct th_control_copy *copied = answer;
	struct th_copy_request copy = {
		.from = wanted->from.text[0] ? wanted->from.text : NULL,
		.source = wanted->source,
		.target = wanted->target,
		.aside = wanted->aside.text[0] ? wanted->aside.text : NULL,
	};
	int err;

	if (!name_is_valid(&wanted->from) || !name_is_valid(&wanted->aside) ||
	    wanted->source[sizeof(wanted->source) - 1] || wanted->target[sizeof(wanted->target) - 1])
		return -EINVAL;
	err = th_copy_request(control->fs, &copy);
	copied->inodes = th_le64(copy.inodes);
	copied->replaced = th_le32(copy.replaced);
	return err;
}

/* --- streams --- */

/* Seconds: a reader may wait that long for a slow network. */
#define SEND_IDLE_SECONDS 3600

static int send_next(void *arg, struct th_slice *ret)
{
	int err = th_send_next(arg, ret);

	return !err && !ret->size ? -EAGAIN : err;
}

static void send_close(void *arg)
{
	th_send_close(arg);
}

static int answer_send_begin(struct th_control *control, const void *request, void *answer)
{
	const struct th_control_send_begin *wanted = request;
	struct th_control_send_begin *begun = answer;
	uint32_t flags = th_get_le32(wanted->flags);
	struct th_send_options options = {
		.snapshot = wanted->snapshot.text,
		.base = wanted->base.text[0] ? wanted->base.text : NULL,
		.resume = wanted->resume[0] ? wanted->resume : NULL,
		.compress = flags & TH_CONTROL_SEND_COMPRESS,
		.to_branch = flags & TH_CONTROL_SEND_BRANCH,
	};
	struct th_session_source source = {
		.next = send_next,
		.close = send_close,
		.idle_seconds = SEND_IDLE_SECONDS,
	};
	struct th_send *send;
	uint64_t id;
	int err;

	if (!name_is_valid(&wanted->snapshot) || !name_is_valid(&wanted->base) ||
	    (flags & ~(uint32_t)(TH_CONTROL_SEND_COMPRESS | TH_CONTROL_SEND_BRANCH)) ||
	    wanted->resume[sizeof(wanted->resume) - 1])
		return -EINVAL;
	err = th_send_open(control->fs, &options, &send);
	if (err)
		return err;
	source.arg = send;
	err = th_session_begin(control->sessions, &source, &id);
	if (err)
		th_send_close(send);
	else
		begun->session = th_le64(id);
	return err;
}

static enum th_control_scrub_state scrub_state(const struct th_scrubber_status *status)
{
	if (!status->scrub.generation)
		return TH_CONTROL_SCRUB_NONE;
	if (status->running)
		return TH_CONTROL_SCRUB_RUNNING;
	return status->scrub.paused ? TH_CONTROL_SCRUB_PAUSED : TH_CONTROL_SCRUB_ENDED;
}

static int scrub_act(struct th_control *control, uint32_t action, uint64_t rate)
{
	switch (action) {
	case TH_CONTROL_SCRUB_STATUS:
		return 0;
	case TH_CONTROL_SCRUB_START:
		return th_scrubber_start(control->scrubber, rate);
	case TH_CONTROL_SCRUB_PAUSE:
		return th_scrubber_pause(control->scrubber);
	case TH_CONTROL_SCRUB_STOP:
		return th_scrubber_stop(control->scrubber);
	default:
		return -EINVAL;
	}
}

static int answer_scrub(struct th_control *control, const void *request, void *answer)
{
	const struct th_control_scrub *wanted = request;
	struct th_control_scrub *scrub = answer;
	struct th_scrubber_status status;
	int err = scrub_act(control, th_get_le32(wanted->action), th_get_le64(wanted->rate));

	if (err)
		return err;
	th_scrubber_status(control->scrubber, &status);
	scrub->begun_ns = th_le64(status.scrub.begun_ns);
	scrub->ended_ns = th_le64(status.scrub.ended_ns);
	scrub->bytes = th_le64(status.scrub.bytes);
	scrub->bytes_total = th_le64(status.bytes_total);
	scrub->damaged = th_le32(status.scrub.damaged);
	scrub->healed = th_le32(status.scrub.healed);
	scrub->state = th_le32(scrub_state(&status));
	return 0;
}

int th_control_resume_scrub(struct th_control *control)
{
	return th_scrubber_resume(control->scrubber);
}

/* The right that a command needs. */
enum right {
	RIGHT_LIST,
	RIGHT_ADMIN,
	RIGHT_SEE_ALL, /* names in directories that the caller may not be able to read */
	RIGHT_SNAPSHOTS,
	RIGHT_BRANCHES,
};

static const struct command {
	unsigned cmd;
	enum right right;
	int (*answer)(struct th_control *control, const void *request, void *answer);
} commands[] = {
	{ TH_CONTROL_INFO, RIGHT_LIST, answer_info },
	{ TH_CONTROL_SNAPSHOT_CREATE, RIGHT_SNAPSHOTS, answer_create },
	{ TH_CONTROL_SNAPSHOT_DELETE, RIGHT_SNAPSHOTS, answer_delete },
	{ TH_CONTROL_SNAPSHOT_RENAME, RIGHT_SNAPSHOTS, answer_rename },
	{ TH_CONTROL_SNAPSHOT_LIST, RIGHT_LIST, answer_list },
	/* These delay checkpoints, so not every user may ask for them. */
	{ TH_CONTROL_SNAPSHOT_SPACES, RIGHT_SNAPSHOTS, answer_spaces },
	{ TH_CONTROL_SNAPSHOT_SPACE_OF, RIGHT_SNAPSHOTS, answer_space_of },
	{ TH_CONTROL_DIFF_BEGIN, RIGHT_SEE_ALL, answer_diff_begin },
	{ TH_CONTROL_DIFF_NEXT, RIGHT_SEE_ALL, answer_diff_next },
	{ TH_CONTROL_DIFF_END, RIGHT_SEE_ALL, answer_diff_end },
	{ TH_CONTROL_BRANCH_CREATE, RIGHT_BRANCHES, answer_branch_create },
	{ TH_CONTROL_BRANCH_DELETE, RIGHT_BRANCHES, answer_branch_delete },
	{ TH_CONTROL_BRANCH_RENAME, RIGHT_BRANCHES, answer_branch_rename },
	{ TH_CONTROL_BRANCH_LIST, RIGHT_LIST, answer_branch_list },
	{ TH_CONTROL_BRANCH_PROMOTE, RIGHT_BRANCHES, answer_branch_promote },
	{ TH_CONTROL_ROLLBACK, RIGHT_BRANCHES, answer_rollback },
	{ TH_CONTROL_RECLAIM, RIGHT_SNAPSHOTS, answer_reclaim },
	{ TH_CONTROL_SNAPSHOT_HOLD, RIGHT_BRANCHES, answer_hold },
	{ TH_CONTROL_SNAPSHOT_RELEASE, RIGHT_BRANCHES, answer_release },
	{ TH_CONTROL_HOLD_LIST, RIGHT_LIST, answer_hold_list },
	{ TH_CONTROL_COPY, RIGHT_ADMIN, answer_copy },
	{ TH_CONTROL_TRIM, RIGHT_ADMIN, answer_trim },
	{ TH_CONTROL_RESIZE, RIGHT_ADMIN, answer_resize },
	{ TH_CONTROL_SEND_BEGIN, RIGHT_SEE_ALL, answer_send_begin },
	{ TH_CONTROL_SCRUB, RIGHT_ADMIN, answer_scrub },
};

int th_control_new(struct th_fs *fs, struct th_control **ret)
{
	struct th_control *control = calloc(1, sizeof(*control));
	int err;

	if (!control)
		return -ENOMEM;
	control->fs = fs;
	pthread_mutex_init(&control->rollback_lock, NULL);
	err = th_diff_sessions_new(&control->sessions);
	if (!err)
		err = th_scrubber_new(fs, &control->scrubber);
	if (err)
		th_control_free(control);
	else
		*ret = control;
	return err;
}

void th_control_free(struct th_control *control)
{
	if (!control)
		return;
	th_scrubber_free(control->scrubber);
	th_diff_sessions_free(control->sessions);
	pthread_mutex_destroy(&control->rollback_lock);
	free(control);
}

static const struct command *find_command(unsigned cmd)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (commands[i].cmd == cmd)
			return &commands[i];
	}
	return NULL;
}

static bool has_right(const struct th_control *control, const struct th_caller *caller, enum right right)
{
	switch (right) {
	case RIGHT_LIST:
		return th_may_list_snapshots(control->fs, caller);
	case RIGHT_ADMIN:
	case RIGHT_SEE_ALL:
		return caller->admin;
	case RIGHT_SNAPSHOTS:
		return th_may_change_snapshots(control->fs, caller);
	case RIGHT_BRANCHES:
		return th_may_change_branches(control->fs, caller);
	}
	return false;
}

int th_control_fitrim(struct th_control *control, const struct th_caller *caller, uint64_t start, uint64_t length,
		      uint64_t least, uint64_t *ret_bytes)
{
	return has_right(control, caller, RIGHT_ADMIN) ? trim(control, start, length, least, ret_bytes) : -EPERM;
}

int th_control_ioctl(struct th_control *control, const struct th_caller *caller, unsigned cmd, const void *in,
		     size_t in_size, void *out, size_t out_max, size_t *ret_size)
{
	const struct command *command = find_command(cmd);
	size_t size = _IOC_SIZE(cmd), answer_size = _IOC_DIR(cmd) & _IOC_READ ? size : 0;
	struct th_le32 version;

	if (!command)
		return -ENOTTY;
	if (in_size < size || out_max < answer_size)
		return -EINVAL;
	if (!has_right(control, caller, command->right))
		return -EPERM;
	memcpy(&version, in, sizeof(version));
	if (th_get_le32(version) != TH_CONTROL_VERSION)
		return -EPROTO;
	if (answer_size) {
		memset(out, 0, answer_size);
		memcpy(out, &version, sizeof(version));
	}
	*ret_size = answer_size;
	return command->answer(control, in, out);
}
