/* SPDX-License-Identifier: Apache-2.0 */
/* Change records, which a tool reads from a daemon: any bytes are records or an error, and a record that is packed
 * again has the same bytes. */
#include <stdlib.h>
#include <string.h>

#include "fs/format/change_record.h"
#include "tests/support/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct th_fs_change change;
	size_t used;

	while (th_fs_change_unpack(data, size, &change, &used) == 0) {
		if (!used || used > size || th_fs_change_packed_size(&change) != used)
			abort();
		uint8_t *again = malloc(used);

		th_fs_change_pack(&change, again);
		if (memcmp(again, data, used))
			abort();
		free(again);
		th_fs_change_release(&change);
		data += used;
		size -= used;
	}
	return 0;
}

#ifndef TH_FUZZER
int main(int argc, char **argv)
{
	return th_fuzz_main(argc, argv, "fuzz_change", 20000);
}
#endif
