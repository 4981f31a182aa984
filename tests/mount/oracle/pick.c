/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/mount/oracle/pick.h"

#include <fcntl.h>
#include <string.h>

unsigned below(struct actor *actor, unsigned limit)
{
	return th_random_below(&actor->random, limit);
}

bool percent(struct actor *actor, unsigned part)
{
	return th_random_percent(&actor->random, part);
}

/* --- paths --- */

void pick_name(struct actor *actor, enum pick_kind kind, char name[300])
{
	static const char letters[] = "abcdef";
	unsigned half = sizeof(letters) / 2, first = kind == PICK_FILE ? half : 0, size = 1;
	char letter =
		letters[percent(actor, 85) && kind != PICK_ANY ? first + below(actor, half) : below(actor, 2 * half)];

	/* The longest name that is allowed, and one that is too long */
	if (percent(actor, 3))
		size = 255 + percent(actor, 30);
	memset(name, letter, size);
	name[size] = 0;
}

static void add_part(struct actor *actor, enum pick_kind kind, char path[PLACE_BYTES])
{
	char name[300];

	if (percent(actor, 1))
		strcat(path, "./");
	if (percent(actor, 1))
		strcat(path, "../");
	pick_name(actor, kind, name);
	strcat(path, name);
}

void pick_path(struct actor *actor, enum pick_kind kind, char path[PLACE_BYTES])
{
	static const unsigned char depths[] = { 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 3, 3, 3, 4 };
	unsigned depth = depths[below(actor, sizeof(depths))];

	strcpy(path, percent(actor, 5) ? "" : "/");
	for (unsigned i = 0; i < depth; i++) {
		if (i)
			strcat(path, percent(actor, 1) ? "//" : "/");
		add_part(actor, i == depth - 1 ? kind : PICK_DIRECTORY, path);
	}
	if (percent(actor, 2))
		strcat(path, "/");
	else if (percent(actor, 1))
		strcpy(path, percent(actor, 50) ? "/" : percent(actor, 50) ? "." : "");
	say(actor, " ");
	say_path(actor, *path ? path : "''");
}

void pick_place(struct actor *actor, enum pick_kind kind, struct place *ret)
{
	ret->dir = AT_FDCWD;
	if (percent(actor, 8)) {
		ret->dir = pick_file(actor)->fd;
		pick_name(actor, kind, ret->path);
		say(actor, " ");
		say_path(actor, ret->path);
		return;
	}
	pick_path(actor, kind, ret->path);
}

/* --- files --- */

struct actor_file *pick_file(struct actor *actor)
{
	unsigned first = below(actor, ACTOR_FILES), at = first;

	/* Usually one that is open */
	while (actor->files[at].fd < 0 && first % 4) {
		at = (at + 1) % ACTOR_FILES;
		if (at == first)
			break;
	}
	say(actor, " fd%u", at);
	return &actor->files[at];
}

struct actor_file *pick_buffered(struct actor *actor)
{
	struct actor_file *file = pick_file(actor);

	if (!file->direct)
		return file;
	say(actor, " is direct, next");
	return &actor->files[(file - actor->files + 1) % ACTOR_FILES];
}

/* --- numbers --- */

mode_t pick_mode(struct actor *actor)
{
	static const mode_t modes[] = { 0777,  0777,  0777,  0777,  0777,  0777,  0777, 0777,  0777,  0777,
					0755,  0755,  0755,  0700,  0666,  0644,  0600, 0555,  0444,  01777,
					02775, 02777, 04755, 06777, 02711, 04711, 0070, 02666, 06767, 0 };
	mode_t mode = modes[below(actor, sizeof(modes) / sizeof(modes[0]))];

	say(actor, " %o", mode);
	return mode;
}

off_t pick_near_offset(struct actor *actor)
{
	unsigned kind = below(actor, 100);
	off_t offset = below(actor, kind < 40 ? 3000 : kind < 85 ? 100000 : 1000000);

	return percent(actor, 30) ? offset & ~(off_t)4095 : offset;
}

off_t pick_offset(struct actor *actor)
{
	off_t offset = pick_near_offset(actor);

	return percent(actor, 4) ? offset + ((off_t)1 << (20 + below(actor, 22))) : offset;
}

size_t pick_length(struct actor *actor)
{
	unsigned kind = below(actor, 100);

	if (kind < 3)
		return 0;
	return 1 + below(actor, kind < 50 ? 2000 : kind < 85 ? 20000 : kind < 98 ? 200000 : ACTOR_BUFFER);
}

void pick_span(struct actor *actor, const struct actor_file *file, off_t *ret_offset, size_t *ret_length)
{
	*ret_offset = pick_offset(actor);
	*ret_length = pick_length(actor);
	if (file->direct) {
		*ret_offset &= ~(off_t)4095;
		*ret_length &= ~(size_t)4095;
	}
	say(actor, " @%jd+%zu", (intmax_t)*ret_offset, *ret_length);
}

struct timespec pick_time(struct actor *actor)
{
	struct timespec time = { (time_t)below(actor, 1000000000), below(actor, 1000000000) };
	unsigned kind = below(actor, 10);

	if (kind == 0)
		time.tv_sec = -time.tv_sec;
	else if (kind == 1)
		time.tv_sec = 5000000000 + time.tv_sec * 9;
	return time;
}
