/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzzers: functions that must cope with any bytes.  With -DTH_FUZZER and clang's -fsanitize=fuzzer they are libFuzzer
 * targets.  In the normal test run th_fuzz_main() feeds them a corpus of files, and random changes of these.
 */
#ifndef TH_TESTS_SUPPORT_FUZZ_H
#define TH_TESTS_SUPPORT_FUZZ_H

#include <stddef.h>
#include <stdint.h>

#define TH_FUZZ_INPUT_MAX 4096 /* bytes of an input that th_fuzz_main() makes */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Runs all files of the directory argv[1], and `rounds` changed ones (TH_TEST_ROUNDS).  A file instead of the directory
 * is run alone, to repeat a finding.  Returns the exit code of the program; a finding aborts it. */
int th_fuzz_main(int argc, char **argv, const char *name, unsigned rounds);

#endif
