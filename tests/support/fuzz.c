/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/fuzz.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/random.h"

#define INPUT_SECONDS 300 /* an input takes milliseconds; one that takes longer than this hangs */
#define FILES_MAX 256

struct input {
	uint8_t bytes[TH_FUZZ_INPUT_MAX];
	size_t size;
};

static struct input corpus[FILES_MAX];
static size_t ncorpus;

static void run(const struct input *input)
{
	/* On the heap and exact, so that a sanitizer sees reads past the end. */
	uint8_t *copy = malloc(input->size ? input->size : 1);

	memcpy(copy, input->bytes, input->size);
	alarm(INPUT_SECONDS);
	LLVMFuzzerTestOneInput(copy, input->size);
	free(copy);
}

static int take_file(const char *path)
{
	struct input *input = &corpus[ncorpus];
	FILE *file = ncorpus < FILES_MAX ? fopen(path, "re") : NULL;

	if (!file) {
		fprintf(stderr, "%s: %s\n", path, ncorpus < FILES_MAX ? strerror(errno) : "too many files");
		return -1;
	}
	input->size = fread(input->bytes, 1, sizeof(input->bytes), file);
	fclose(file);
	ncorpus++;
	return 0;
}

static int take_all(const char *path)
{
	struct stat status;
	struct dirent **names;
	char file[4096];
	int err = 0;

	if (stat(path, &status) == 0 && S_ISREG(status.st_mode))
		return take_file(path);
	int count = scandir(path, &names, NULL, alphasort);

	for (int i = 0; i < count; i++) {
		snprintf(file, sizeof(file), "%s/%s", path, names[i]->d_name);
		if (!err && names[i]->d_name[0] != '.')
			err = take_file(file);
		free(names[i]);
	}
	if (count >= 0)
		free(names);
	if (!ncorpus)
		fprintf(stderr, "%s: no file\n", path);
	return ncorpus ? err : -1;
}

/* Makes one change to the input. */
static void change(struct th_random *random, struct input *input)
{
	static const uint8_t special[] = { 0, 1, 0x7f, 0x80, 0xff, '\n', '/', ' ' };
	const struct input *other = &corpus[th_random_below(random, (uint32_t)ncorpus)];
	size_t at = th_random_below(random, (uint32_t)input->size + 1), most = sizeof(input->bytes) - at, size;

	switch (th_random_below(random, 5)) {
	case 0: /* cuts the end off */
		input->size = at;
		break;
	case 1: /* overwrites from there with a part of another */
		size = th_random_below(random, (uint32_t)(other->size < most ? other->size : most) + 1);
		memcpy(input->bytes + at, other->bytes + (other->size - size), size);
		input->size = at + size > input->size ? at + size : input->size;
		break;
	case 2: /* moves a part to the front, over it */
		memmove(input->bytes, input->bytes + at, input->size - at);
		break;
	case 3:
		if (at < input->size)
			input->bytes[at] = special[th_random_below(random, sizeof(special))];
		break;
	default:
		if (at < input->size)
			input->bytes[at] ^= (uint8_t)(1u << th_random_below(random, 8));
	}
}

int th_fuzz_main(int argc, char **argv, const char *name, unsigned rounds)
{
	struct th_random random = { .state = th_test_seed(name) };
	struct input input;

	rounds = th_test_rounds(rounds);
	if (argc != 2 || take_all(argv[1]))
		return 1;
	for (size_t i = 0; i < ncorpus; i++)
		run(&corpus[i]);
	if (ncorpus == 1)
		return 0;
	for (unsigned i = 0; i < rounds; i++) {
		input = corpus[th_random_below(&random, (uint32_t)ncorpus)];
		for (uint32_t changes = th_random_between(&random, 1, 6); changes; changes--)
			change(&random, &input);
		run(&input);
	}
	printf("%s: %zu files, %u changed ones\n", name, ncorpus, rounds);
	return 0;
}
