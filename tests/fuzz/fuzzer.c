/* SPDX-License-Identifier: ISC */
/* fuzzer.c: libFuzzer's door. */
#include "machine.h"

int	LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	static struct program program;

	program_decode(&program, bytes, n);
	machine_run(&program);
	return 0;
}
