/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/format/name_hash.h"

#include <string.h>

#include "journal/base/format.h"

struct state {
	uint64_t a, b, c, d;
};

static uint64_t rotate(uint64_t x, int bits)
{
	return x << bits | x >> (64 - bits);
}

static uint64_t load(const uint8_t *bytes)
{
	struct th_le64 word;

	memcpy(&word, bytes, sizeof(word));
	return th_get_le64(word);
}

static void mix(struct state *s, int rounds)
{
	for (int i = 0; i < rounds; i++) {
		s->a += s->b;
		s->b = rotate(s->b, 13) ^ s->a;
		s->a = rotate(s->a, 32);
		s->c += s->d;
		s->d = rotate(s->d, 16) ^ s->c;
		s->a += s->d;
		s->d = rotate(s->d, 21) ^ s->a;
		s->c += s->b;
		s->b = rotate(s->b, 17) ^ s->c;
		s->c = rotate(s->c, 32);
	}
}

static void absorb(struct state *s, uint64_t word)
{
	s->d ^= word;
	mix(s, 2);
	s->a ^= word;
}

uint64_t th_name_hash(const struct th_name_key *key, const void *data, size_t size)
{
	uint64_t low = load(key->bytes), high = load(key->bytes + 8);
	/* The constants of the definition: "somepseudorandomlygeneratedbytes". */
	struct state s = { low ^ 0x736f6d6570736575, high ^ 0x646f72616e646f6d, low ^ 0x6c7967656e657261,
			   high ^ 0x7465646279746573 };
	const uint8_t *bytes = data;
	uint8_t last[8] = { 0 };
	size_t at = 0;

	for (; at + 8 <= size; at += 8)
		absorb(&s, load(bytes + at));
	if (at < size)
		memcpy(last, bytes + at, size - at);
	last[7] = (uint8_t)size;
	absorb(&s, load(last));
	s.c ^= 0xff;
	mix(&s, 4);
	return s.a ^ s.b ^ s.c ^ s.d;
}
