/* SPDX-License-Identifier: Apache-2.0 */
/*
 * posix PROBE...: system calls that a shell cannot make, in the working directory, which is on the mount.  A probe that
 * fails prints the condition.  Exit codes: 0, 1 if a probe failed, 2 for an unknown probe, 77 if the kernel or the
 * filesystem does not provide the call.
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
			fprintf(stderr, "posix: %s: no such probe\n", argv[i]);
			return 2;
		}
		probe->run();
	}
	return argc > 1 ? 0 : 2;
}
