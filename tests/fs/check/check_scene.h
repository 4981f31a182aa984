/* SPDX-License-Identifier: Apache-2.0 */
/* A small filesystem in memory for tests of the checker, with the problems that a check reports. */
#ifndef TH_TESTS_FS_CHECK_CHECK_SCENE_H
#define TH_TESTS_FS_CHECK_CHECK_SCENE_H

#include <stdint.h>

#include "fs/fs.h"

extern struct th_fs *check_fs;
extern struct th_disk *check_image; /* belongs to the filesystem */
extern uint64_t check_directory, check_file; /* ids of /d and of /d/f, which is also /l and has five blocks of data */
extern char check_report[4096]; /* the lines of the last check */

/* For tcase_add_checked_fixture. */
void check_scene_open(void);
void check_scene_close(void);

/* Makes a checkpoint and checks the filesystem, data too.  Returns the number of problems. */
uint64_t check_problems(void);
/* Expects a check to report a problem with these words. */
void check_expect(const char *words);

#endif
