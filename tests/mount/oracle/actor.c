/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/mount/oracle/actor.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>
#include <xxhash.h>

#include "tests/mount/oracle/pick.h"

/* --- the transcript --- */

void say(struct actor *actor, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vfprintf(actor->transcript, format, args);
	va_end(args);
}

void complain(struct actor *actor, const char *format, ...)
{
	va_list args;

	fputs(" WRONG: ", actor->transcript);
	va_start(args, format);
	vfprintf(actor->transcript, format, args);
	va_end(args);
}

void say_path(struct actor *actor, const char *path)
{
	for (size_t size; *path; path += size) {
		size = strspn(path, (char[]){ *path, 0 });
		if (size > 8)
			say(actor, "%c*%zu", *path, size);
		else
			say(actor, "%.*s", (int)size, path);
	}
}

long say_result(struct actor *actor, long result)
{
	if (result == -1)
		say(actor, " = %s", strerrorname_np(errno));
	else
		say(actor, " = %ld", result);
	return result;
}

void say_bytes(struct actor *actor, const void *bytes, size_t size)
{
	say(actor, " #%08" PRIx64, XXH3_64bits(bytes, size) >> 32);
}

/* Times that were set are far from the present (pick_time); any other is written as "now". */
static void say_time(struct actor *actor, char which, struct timespec time)
{
	if (time.tv_sec > 1000000000 && time.tv_sec < 4000000000)
		say(actor, " %c=now", which);
	else
		say(actor, " %c=%" PRId64 ".%09ld", which, (int64_t)time.tv_sec, time.tv_nsec);
}

void say_stat(struct actor *actor, const struct stat *stat)
{
	say(actor, " [%o %u:%u n%ju", stat->st_mode, stat->st_uid, stat->st_gid, (uintmax_t)stat->st_nlink);
	if (S_ISCHR(stat->st_mode) || S_ISBLK(stat->st_mode))
		say(actor, " %u:%u", major(stat->st_rdev), minor(stat->st_rdev));
	else if (!S_ISDIR(stat->st_mode))
		say(actor, " s%jd", (intmax_t)stat->st_size);
	say_time(actor, 'a', stat->st_atim);
	/* The kernel alone moves data through a fifo; for FUSE it does not update the times. */
	if (!S_ISFIFO(stat->st_mode))
		say_time(actor, 'm', stat->st_mtim);
	say_time(actor, 'c', stat->st_ctim);
	say(actor, "]");
}

void say_file(struct actor *actor, int fd)
{
	struct stat stat;

	if (fstat(fd, &stat))
		say_result(actor, -1);
	else
		say_stat(actor, &stat);
}

/* --- users --- */

static const struct {
	uid_t uid;
	gid_t gid;
	gid_t groups[2];
} users[] = {
	{ 0, 0, { 0, 0 } },
	{ 1001, 1001, { 1001, 1003 } },
	{ 1002, 1002, { 1001, 1002 } },
};

static void become(struct actor *actor, unsigned user)
{
	if (actor->user == user)
		return;
	actor->user = user;
	if (seteuid(0) || setgroups(2, users[user].groups) || setegid(users[user].gid) || seteuid(users[user].uid))
		complain(actor, "become %u: %m", users[user].uid);
}

/* --- acting --- */

static const struct operation *const tables[] = { name_operations,    file_operations,      data_operations,
						  mapping_operations, attribute_operations, rights_operations };

static const struct operation *pick_operation(struct actor *actor)
{
	unsigned total = 0, choice;

	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
		for (const struct operation *operation = tables[i]; operation->name; operation++)
			total += operation->weight;
	}
	choice = below(actor, total);
	for (size_t i = 0;; i++) {
		for (const struct operation *operation = tables[i]; operation->name; operation++) {
			if (choice < operation->weight)
				return operation;
			choice -= operation->weight;
		}
	}
}

static void act(struct actor *actor)
{
	const struct operation *operation;

	actor->random.state = actor->seed ^ actor->operation * UINT64_C(0xd1342543de82ef95);
	operation = pick_operation(actor);
	become(actor, percent(actor, 60) ? 0 : 1 + below(actor, 2));
	say(actor, "%lu u%u %s", actor->operation, users[actor->user].uid, operation->name);
	operation->run(actor);
	say(actor, "\n");
}

static void look(struct actor *actor)
{
	become(actor, 0);
	walk_run(actor);
}

static void enter(struct actor *actor, const struct actor_task *task)
{
	actor->transcript = fdopen(task->transcript, "w");
	actor->buffer = aligned_alloc(4096, ACTOR_BUFFER);
	actor->other = aligned_alloc(4096, ACTOR_BUFFER);
	actor->descriptors = open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (!actor->transcript || !actor->buffer || !actor->other || actor->descriptors < 0 || chdir(task->directory) ||
	    chroot(".")) {
		fprintf(stderr, "oracle: %s: %m\n", task->directory);
		exit(2);
	}
	/* Line by line, so that the transcript of a side that hangs ends with the operation. */
	setvbuf(actor->transcript, NULL, _IOLBF, 1 << 16);
	signal(SIGPIPE, SIG_IGN);
	mappings_begin();
	umask(0);
	for (unsigned i = 0; i < ACTOR_FILES; i++)
		actor->files[i].fd = -1;
}

void actor_run(const struct actor_task *task)
{
	struct actor actor = { .seed = task->seed, .features = task->features, .operation = task->from };

	enter(&actor, task);
	look(&actor);
	while (actor.operation < task->to && !ferror(actor.transcript)) {
		act(&actor);
		if (++actor.operation % task->walk_every == 0)
			look(&actor);
	}
	become(&actor, 0);
	mappings_end(&actor);
	for (unsigned i = 0; i < ACTOR_FILES; i++) {
		if (actor.files[i].fd >= 0)
			close(actor.files[i].fd);
	}
	walk_run(&actor);
	walk_finish(&actor);
	/* Without an orderly exit: a leak checker would need /proc, which this root directory does not have. */
	_exit(fclose(actor.transcript) ? 1 : 0);
}
