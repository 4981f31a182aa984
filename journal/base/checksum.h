/* SPDX-License-Identifier: Apache-2.0 */
/* The checksum of all that is on the disk: XXH3, 64 bits, without a seed. */
#ifndef TH_JOURNAL_BASE_CHECKSUM_H
#define TH_JOURNAL_BASE_CHECKSUM_H

#include <xxhash.h>

/* By the widest vectors that the processor has: four times as fast as what was compiled for every x86.  Weak, because
 * Debian's static library lacks it. */
#ifdef TH_XXH_DISPATCH
#pragma weak XXH3_64bits_dispatch
XXH64_hash_t XXH3_64bits_dispatch(const void *data, size_t size);
#endif

/* Who makes images to deceive makes the checksums right, too: a build for that (tests/tree/fuzz_image.c) has none. */
static inline uint64_t th_checksum(const void *data, size_t size)
{
#ifdef FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION
	return 0;
#endif
#ifdef TH_XXH_DISPATCH
	if (XXH3_64bits_dispatch)
		return XXH3_64bits_dispatch(data, size);
#endif
	return XXH3_64bits(data, size);
}

#endif
