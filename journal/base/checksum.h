/* SPDX-License-Identifier: Apache-2.0 */
/* The checksum of everything on disk: XXH3, 64 bits, no seed. */
#ifndef TH_JOURNAL_BASE_CHECKSUM_H
#define TH_JOURNAL_BASE_CHECKSUM_H

#include <xxhash.h>

/* Chooses the widest vectors of the processor at run time: four times as fast as code compiled for every x86.  Weak,
 * because Debian's static library lacks it. */
#ifdef TH_XXH_DISPATCH
#pragma weak XXH3_64bits_dispatch
XXH64_hash_t XXH3_64bits_dispatch(const void *data, size_t size);
#endif

/* Returns the checksum of `size` bytes.  In the build that fuzzes the checks after it (tests/tree/fuzz_image.c) every
 * checksum is 0, so that random damage gets past this one. */
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
