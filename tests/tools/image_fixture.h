/* SPDX-License-Identifier: Apache-2.0 */
/* For tests that open an image by name, and read the messages: the image, and the fixture's functions. */
#ifndef TH_TESTS_TOOLS_IMAGE_FIXTURE_H
#define TH_TESTS_TOOLS_IMAGE_FIXTURE_H

#include "tests/tools/capture.h"
#include "tests/tools/image_file.h"

static char path[64];
static struct th_capture capture;

static inline void setup(void)
{
	th_image_file_create(path);
}

static inline void teardown(void)
{
	unlink(path);
}

#endif
