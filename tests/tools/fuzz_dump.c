/* SPDX-License-Identifier: Apache-2.0 */
/* Dumps for `kv load`: any text is a dump or an error, and a dump that is written again has the same records. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/fuzz.h"
#include "tools/dump.h"

/* Reads a dump and writes its records in the given form.  Returns their text if the dump is complete, else NULL. */
static char *rewrite(const void *data, size_t size, enum th_record_form form, size_t *ret_size)
{
	FILE *in = fmemopen((void *)(uintptr_t)data, size, "r"), *out;
	struct th_slice key, value;
	struct th_dump dump;
	char *text = NULL;

	out = open_memstream(&text, ret_size);
	if (!in || !out)
		abort();
	int ret = th_dump_open(&dump, in);

	th_dump_begin(out, form);
	while (!ret && !(ret = th_dump_next(&dump, &key, &value))) {
		fputc(' ', out);
		th_record_write(out, key, form);
		fputs("\n ", out);
		th_record_write(out, value, form);
		fputc('\n', out);
	}
	th_dump_end(out);
	if (ret < 0 && !dump.fault)
		abort(); /* an error of reading, which memory has not */
	th_dump_release(&dump);
	fclose(in);
	fclose(out);
	if (ret == 1)
		return text;
	free(text);
	return NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const enum th_record_form forms[] = { TH_RECORD_PRINT, TH_RECORD_BYTES };

	for (int i = 0; size && i < 2; i++) {
		size_t first_size, second_size;
		char *first = rewrite(data, size, forms[i], &first_size);

		if (!first)
			break;
		char *second = rewrite(first, first_size, forms[i], &second_size);

		if (!second || first_size != second_size || memcmp(first, second, first_size))
			abort();
		free(first);
		free(second);
	}
	return 0;
}

#ifndef TH_FUZZER
int main(int argc, char **argv)
{
	return th_fuzz_main(argc, argv, "fuzz_dump", 20000);
}
#endif
