/* SPDX-License-Identifier: ISC */
/*
 * swap.c: the least program that lives on swapcontext(3): two contexts, a number of switches, a sum that both have a part in.
 */
#include <stdio.h>
#include <stdlib.h>
#include <ucontext.h>

static ucontext_t base, other;
static unsigned long sum;

static void
play(void)
{
	for (;;) {
		sum = sum * 3 + 1;
		swapcontext(&other, &base);
	}
}

int
main(int argc, char **argv)
{
	static char stack[65536];
	unsigned long switches = argc > 1 ? strtoul(argv[1], NULL, 10) : 1000000;

	getcontext(&other);
	other.uc_stack.ss_sp = stack;
	other.uc_stack.ss_size = sizeof(stack);
	makecontext(&other, play, 0);
	for (unsigned long i = 0; i < switches; i += 2) {
		swapcontext(&base, &other);
		sum = sum * 5 + i;
	}
	printf("%lu\n", sum);
	return 0;
}
