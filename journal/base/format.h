/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Integers as stored on disk: little-endian byte arrays.  They need no alignment and cannot be mixed with host integers
 * by accident.  Every structure of docs/format.md consists of these.
 */
#ifndef TH_JOURNAL_BASE_FORMAT_H
#define TH_JOURNAL_BASE_FORMAT_H

#include <assert.h>
#include <stdint.h>
#include <string.h>

struct th_le16 {
	uint8_t b[2];
};
struct th_le32 {
	uint8_t b[4];
};
struct th_le64 {
	uint8_t b[8];
};

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define TH_LE_SWAP(bits, x) (x)
#else
#define TH_LE_SWAP(bits, x) __builtin_bswap##bits(x)
#endif

#define TH_DEFINE_LE(bits)                                                                                             \
	static inline uint##bits##_t th_get_le##bits(struct th_le##bits v)                                             \
	{                                                                                                              \
		uint##bits##_t x;                                                                                      \
		memcpy(&x, v.b, sizeof(x));                                                                            \
		return TH_LE_SWAP(bits, x);                                                                            \
	}                                                                                                              \
	static inline struct th_le##bits th_le##bits(uint##bits##_t x)                                                 \
	{                                                                                                              \
		struct th_le##bits v;                                                                                  \
		x = TH_LE_SWAP(bits, x);                                                                               \
		memcpy(v.b, &x, sizeof(x));                                                                            \
		return v;                                                                                              \
	}
TH_DEFINE_LE(16)
TH_DEFINE_LE(32)
TH_DEFINE_LE(64)

#endif
