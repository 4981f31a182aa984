/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/node/large_value.h"

#include <errno.h>
#include <string.h>

#include "journal/base/array.h"
#include "journal/disk/disk.h"

int th_drops_add(struct th_drops *drops, const struct th_run *run)
{
	return th_append(drops->runs, drops->capacity, drops->count, *run);
}

int th_drops_append(struct th_drops *drops, const struct th_drops *more)
{
	if (more->count == 0)
		return 0;
	if (th_grow(drops->runs, drops->capacity, drops->count + more->count))
		return -ENOMEM;
	memcpy(drops->runs + drops->count, more->runs, more->count * sizeof(*more->runs));
	drops->count += more->count;
	return 0;
}

void th_drops_release(struct th_drops *drops)
{
	free(drops->runs);
	*drops = (struct th_drops){ 0 };
}

int th_large_value_unpack(struct th_slice descriptor, struct th_large_value *ret)
{
	struct th_large_value_disk header;
	uint64_t blocks = 0;

	if (descriptor.size < sizeof(header))
		return -EUCLEAN;
	memcpy(&header, descriptor.data, sizeof(header));
	ret->size = th_get_le32(header.size);
	ret->checksum = th_get_le64(header.checksum);
	ret->runs = th_get_le16(header.runs);
	if (ret->runs == 0 || ret->runs > TH_LARGE_VALUE_RUNS_MAX || ret->size > TH_VALUE_MAX ||
	    th_get_le16(header.reserved) ||
	    descriptor.size != sizeof(header) + ret->runs * sizeof(struct th_large_value_run_disk))
		return -EUCLEAN;
	for (unsigned i = 0; i < ret->runs; i++) {
		struct th_large_value_run_disk run;

		memcpy(&run, (const char *)descriptor.data + sizeof(header) + i * sizeof(run), sizeof(run));
		ret->run[i] = (struct th_run){ th_get_le64(run.addr), th_get_le64(run.birth), th_get_le32(run.blocks) };
		if (ret->run[i].addr == 0 || ret->run[i].blocks == 0 || ret->run[i].blocks > TH_RUN_MAX)
			return -EUCLEAN;
		blocks += ret->run[i].blocks;
	}
	return blocks == ((uint64_t)ret->size + TH_BLOCK_SIZE - 1) / TH_BLOCK_SIZE ? 0 : -EUCLEAN;
}

size_t th_large_value_pack(const struct th_large_value *value, void *to)
{
	struct th_large_value_disk header = {
		.size = th_le32(value->size),
		.runs = th_le16((uint16_t)value->runs),
		.checksum = th_le64(value->checksum),
	};
	uint8_t *out = to;

	memcpy(out, &header, sizeof(header));
	out += sizeof(header);
	for (unsigned i = 0; i < value->runs; i++) {
		struct th_large_value_run_disk run = {
			.addr = th_le64(value->run[i].addr),
			.birth = th_le64(value->run[i].birth),
			.blocks = th_le32(value->run[i].blocks),
		};

		memcpy(out, &run, sizeof(run));
		out += sizeof(run);
	}
	return (size_t)(out - (uint8_t *)to);
}

int th_large_value_drop(struct th_slice descriptor, struct th_drops *drops)
{
	struct th_large_value value;
	int err = th_large_value_unpack(descriptor, &value);

	for (unsigned i = 0; !err && i < value.runs; i++)
		err = th_drops_add(drops, &value.run[i]);
	return err;
}
