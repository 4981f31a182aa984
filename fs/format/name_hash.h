/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The hash of names in directories: SipHash-2-4 with a secret key of the filesystem.
 *
 * The order of a directory and the cookies of readdir show hashes to each user.  So the hash must be one that a user
 * who chooses names and sees their hashes can neither predict nor make collide: a pseudorandom function.  Hashes made
 * for speed, as XXH3 with a seed, are none.  Their seed can be computed from a few hashes.
 */
#ifndef TH_FS_FORMAT_NAME_HASH_H
#define TH_FS_FORMAT_NAME_HASH_H

#include <stddef.h>
#include <stdint.h>

#define TH_NAME_KEY_BYTES 16

struct th_name_key {
	uint8_t bytes[TH_NAME_KEY_BYTES];
};

/* Returns the SipHash-2-4 of the bytes. */
uint64_t th_name_hash(const struct th_name_key *key, const void *data, size_t size);

#endif
