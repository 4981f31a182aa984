/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/snapshot/select.h"

#include <errno.h>
#include <fnmatch.h>
#include <string.h>

#define NONE SIZE_MAX

static size_t find(const struct th_select *list, size_t count, const char *name, size_t size)
{
	for (size_t i = 0; i < count; i++) {
		if (!strncmp(list[i].name, name, size) && !list[i].name[size])
			return i;
	}
	return NONE;
}

bool th_select_is_special(const char *term)
{
	return strpbrk(term, "*?[") || strstr(term, "..");
}

/* --- ranges --- */

/* Selects from list[first] to list[last]; NONE: there is no such end. */
static int select_between(struct th_select *list, size_t count, size_t first, size_t last)
{
	uint64_t branch = list[first != NONE ? first : last].branch;

	if (first != NONE && last != NONE && list[first].branch != list[last].branch)
		return -EXDEV;
	if (first != NONE && last != NONE && first > last)
		return -ERANGE;
	for (size_t i = first == NONE ? 0 : first; i < count && (last == NONE || i <= last); i++)
		list[i].selected |= list[i].branch == branch;
	return 0;
}

/* Selects a range.  The names of its ends may contain dots, so each ".." is tried as the one between them. */
static int select_range(struct th_select *list, size_t count, const char *term)
{
	for (const char *dots = strstr(term, ".."); dots; dots = strstr(dots + 1, "..")) {
		size_t before = (size_t)(dots - term);
		const char *after = dots + 2;
		size_t first = find(list, count, term, before), last = find(list, count, after, strlen(after));

		if ((before || *after) && (!before || first != NONE) && (!*after || last != NONE))
			return select_between(list, count, first, last);
	}
	return -ENOENT;
}

/* --- all terms --- */

static int select_pattern(struct th_select *list, size_t count, const char *pattern)
{
	int err = -ENOENT;

	for (size_t i = 0; i < count; i++) {
		if (fnmatch(pattern, list[i].name, 0) != 0)
			continue;
		list[i].selected = true;
		err = 0;
	}
	return err;
}

int th_select_term(struct th_select *list, size_t count, const char *term)
{
	size_t named = find(list, count, term, strlen(term));
	int err;

	if (named != NONE) {
		list[named].selected = list[named].by_name = true;
		return 0;
	}
	err = select_range(list, count, term);
	if (err == -ENOENT && strpbrk(term, "*?["))
		err = select_pattern(list, count, term);
	return err;
}

void th_select_all(struct th_select *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		list[i].selected = true;
}

void th_select_older(struct th_select *list, size_t count, uint64_t than_ns)
{
	for (size_t i = 0; i < count; i++)
		list[i].selected &= list[i].created_ns < than_ns;
}
