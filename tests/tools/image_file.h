/* SPDX-License-Identifier: Apache-2.0 */
/* A file with an empty filesystem, for tests that open images by name. */
#ifndef TH_TESTS_TOOLS_IMAGE_FILE_H
#define TH_TESTS_TOOLS_IMAGE_FILE_H

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fs/fs.h"
#include "journal/disk/disk.h"

#define TH_IMAGE_FILE_BYTES (16 << 20)

/* Creates the file; path must have room for 64 bytes.  The caller unlinks it. */
static inline void th_image_file_create(char *path)
{
	struct th_format_options options = { 0 };
	struct th_disk *disk;
	int fd;

	strcpy(path, "/tmp/th-tools-XXXXXX");
	fd = mkstemp(path);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, TH_IMAGE_FILE_BYTES), 0);
	close(fd);
	ck_assert_int_eq(th_disk_open(path, 0, &disk), 0);
	ck_assert_int_eq(th_fs_format(disk, &options, 0, 0), 0);
	th_disk_close(disk);
}

#endif
