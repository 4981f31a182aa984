/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a shell cannot ask of a filesystem.  `posix PROBE...`, each in the working directory, which is on the mount; a
 * probe that finds something else than it must says what, and the exit code is 1.  77: cannot be had here.
 */
#include "tests/mount/posix.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CANNOT_BE_HAD 77

static const struct posix_probe *const lists[] = { posix_file_probes, posix_name_probes, posix_lock_probes };

static void report(const char *file, int line, const char *what)
{
	fprintf(stderr, "%s:%d: %s (errno: %s)\n", file, line, what, strerror(errno));
}

void posix_fail(const char *file, int line, const char *what)
{
	report(file, line, what);
	exit(1);
}

void posix_cannot(const char *file, int line, const char *what)
{
	report(file, line, what);
	exit(CANNOT_BE_HAD);
}

static const struct posix_probe *find(const char *name)
{
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		for (const struct posix_probe *probe = lists[i]; probe->name; probe++) {
			if (!strcmp(probe->name, name))
				return probe;
		}
	}
	return NULL;
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		const struct posix_probe *probe = find(argv[i]);

		if (!probe) {
			fprintf(stderr, "posix: no probe is called %s\n", argv[i]);
			return 2;
		}
		probe->run();
	}
	return argc > 1 ? 0 : 2;
}
