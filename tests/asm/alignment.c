/* SPDX-License-Identifier: ISC */
/*
 * alignment.c: entry gets the stack as the ABI has it, wherever the top is, and no register with something of the dead; making a
 * context touches what it may and no more.
 */
#include <stdalign.h>
#include <stddef.h>
#include <stdio.h>

#include "../check.h"
#include "sentinel.h"

#define STACK_SIZE	65536
#define CANARY		0xa5

static alignas(64) unsigned char stack[STACK_SIZE];
static void *base, *context;
static unsigned entered;

/* The compiler believes in the alignment of what it declares: hide the address before looking. */
static void
entry(void *pass)
{
	alignas(16) volatile char local[16];
	uintptr_t address = (uintptr_t)local;

	__asm__ volatile ("" : "+r" (address));
	CHECK_EQ(address % 16, 0);
	CHECK_EQ((uintptr_t)pass, 0x5eed + entered);
#ifdef __x86_64__
	__asm__ volatile ("movaps %%xmm0, %0" : : "m" (local));
	CHECK_EQ((sentinel_entry_sp + 8) % 16, 0);
#ifndef REAP_MD_UCONTEXT
	for (size_t i = 0; i < sizeof(sentinel_entry_reg) / sizeof(sentinel_entry_reg[0]); i++)
		CHECK_EQ(sentinel_entry_reg[i], 0);	/* nothing of the dead, and the end of a walk along frame pointers */
#endif
#endif
	entered++;
	reap_md_jump(base, &context);
}

int
main(void)
{
	void (*first)(void *) = entry;
	unsigned tops = 0;

#ifdef __x86_64__
	sentinel_entered = entry;
	first = sentinel_entry;
#endif
	for (size_t top = STACK_SIZE - 64; top > STACK_SIZE - 8192; top -= 16) {
		memset(stack, CANARY, sizeof(stack));
		context = reap_md_make(stack + top, first);
		CHECK((unsigned char *)context < stack + top);
		for (size_t i = top; i < sizeof(stack); i++)
			CHECK_EQ(stack[i], CANARY);
		for (size_t i = 0; i < top - REAP_MD_MIN_FRAME; i++)
			CHECK_EQ(stack[i], CANARY);
		CHECK(reap_md_swap(&base, context, (void *)(uintptr_t)(0x5eed + entered)) == &context);
		for (size_t i = top; i < sizeof(stack); i++)
			CHECK_EQ(stack[i], CANARY);
		CHECK_EQ(entered, ++tops);
	}
	printf("%u tops, 16 bytes apart: aligned at entry, nothing written above, at most REAP_MD_MIN_FRAME below\n", tops);
	return 0;
}
