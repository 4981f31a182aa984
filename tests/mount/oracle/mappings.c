/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mappings that stay while their file is written, truncated, punched, overwritten by copies or unlinked.  Reads through
 * them return the data of the file, and an access past its last page raises SIGBUS.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/mount/oracle/actor.h"
#include "tests/mount/oracle/pick.h"
#include "tests/mount/oracle/watch.h"

#define PAGE 4096

static sigjmp_buf refused;

static void on_sigbus(int signal)
{
	(void)signal;
	siglongjmp(refused, 1);
}

static void mapping_end(struct actor_mapping *mapping)
{
	if (mapping->bytes) {
		munmap(mapping->bytes, mapping->size);
		close(mapping->fd);
	}
	*mapping = (struct actor_mapping){ .bytes = NULL };
}

void mappings_end(struct actor *actor)
{
	for (unsigned i = 0; i < ACTOR_MAPPINGS; i++)
		mapping_end(&actor->mappings[i]);
}

static struct actor_mapping *pick_mapping(struct actor *actor)
{
	unsigned at = below(actor, ACTOR_MAPPINGS);

	say(actor, " map%u", at);
	return &actor->mappings[at];
}

static void mapping_begin(struct actor *actor)
{
	struct actor_mapping *mapping = pick_mapping(actor);
	struct actor_file *file = pick_file(actor);
	int protection = percent(actor, 70) ? PROT_READ | PROT_WRITE : PROT_READ;
	size_t size = PAGE * (size_t)(1 + below(actor, percent(actor, 70) ? 4 : 40));
	off_t offset = pick_offset(actor) & ~(off_t)(PAGE - 1);
	struct stat stat;

	mapping_end(mapping);
	if (fstat(file->fd, &stat) || !S_ISREG(stat.st_mode))
		return;
	if (stat.st_size && percent(actor, 80))
		offset = offset % stat.st_size & ~(off_t)(PAGE - 1);
	say(actor, " @%jd+%zu %d", (intmax_t)offset, size, protection);
	void *bytes = mmap(NULL, size, protection, MAP_SHARED, file->fd, offset);

	say_result(actor, bytes == MAP_FAILED ? -1 : 0);
	if (bytes != MAP_FAILED)
		*mapping = (struct actor_mapping){ bytes, size, offset, protection & PROT_WRITE,
						   fcntl(file->fd, F_DUPFD_CLOEXEC, 0) };
}

/* Returns false on SIGBUS. */
static bool copy(void *to, const void *from, size_t size)
{
	if (sigsetjmp(refused, 1))
		return false;
	memcpy(to, from, size);
	return true;
}

/* Page by page, so that the transcript has the first missing page. */
static void mapping_read(struct actor *actor)
{
	struct actor_mapping *mapping = pick_mapping(actor);
	size_t pages = mapping->size / PAGE, from, count;

	if (!mapping->bytes)
		return;
	from = below(actor, (unsigned)pages);
	count = 1 + below(actor, (unsigned)(pages - from));
	say(actor, " page %zu+%zu", from, count);
	for (size_t i = 0; i < count; i++) {
		if (!copy(actor->buffer + i * PAGE, mapping->bytes + (from + i) * PAGE, PAGE)) {
			say(actor, " = SIGBUS at %zu", i);
			count = i;
		}
	}
	say_bytes(actor, actor->buffer, count * PAGE);
	say_file(actor, mapping->fd);
}

/* Returns how many of the bytes may be written: in the last page a write past the end of the file is lost at some
 * time. */
static size_t writable_part(const struct actor_mapping *mapping, size_t at, size_t size, off_t end)
{
	off_t from = mapping->offset + (off_t)at;

	if (from >= end)
		return end && from / PAGE == (end - 1) / PAGE ? 0 : size;
	return end - from < (off_t)size ? (size_t)(end - from) : size;
}

static void mapping_write(struct actor *actor)
{
	struct actor_mapping *mapping = pick_mapping(actor);
	size_t at, size = 1 + below(actor, PAGE);
	struct watch watch;

	if (!mapping->writable)
		return;
	at = below(actor, (unsigned)mapping->size);
	if (size > mapping->size - at)
		size = mapping->size - at;
	watch_file(&watch, mapping->fd);
	size = writable_part(mapping, at, size, watch.before.st_size);
	say(actor, " @%zu+%zu", at, size);
	th_random_fill(&actor->random, actor->buffer, size);
	if (!copy(mapping->bytes + at, actor->buffer, size))
		say(actor, " = SIGBUS");
	say_result(actor, msync(mapping->bytes, mapping->size, MS_SYNC));
	watch_say(actor, &watch);
}

void mappings_begin(void)
{
	struct sigaction action = { .sa_handler = on_sigbus };

	sigaction(SIGBUS, &action, NULL);
}

const struct operation mapping_operations[] = {
	{ "map", mapping_begin, 8 },
	{ "read mapping", mapping_read, 16 },
	{ "write mapping", mapping_write, 16 },
	{ NULL, NULL, 0 },
};
