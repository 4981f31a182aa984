/* SPDX-License-Identifier: Apache-2.0 */
/* The probes of posix.c, and their assertions */
#ifndef TH_TESTS_MOUNT_POSIX_H
#define TH_TESTS_MOUNT_POSIX_H

struct posix_probe {
	const char *name; /* NULL: end of a list */
	void (*run)(void);
};

extern const struct posix_probe posix_file_probes[], posix_name_probes[], posix_lock_probes[];

void posix_fail(const char *file, int line, const char *what) __attribute__((noreturn));
void posix_cannot(const char *file, int line, const char *what) __attribute__((noreturn));

#define must(condition) ((condition) ? (void)0 : posix_fail(__FILE__, __LINE__, #condition))
/* The call must fail with this errno. */
#define must_fail(error, call) (errno = 0, must((call) < 0), must(errno == (error)))
/* If the call fails with EOPNOTSUPP, the rest of the probe is skipped. */
#define must_or_cannot(condition)                                                                                      \
	((condition)           ? (void)0                                                                               \
	 : errno == EOPNOTSUPP ? posix_cannot(__FILE__, __LINE__, #condition)                                          \
			       : posix_fail(__FILE__, __LINE__, #condition))

#endif
