/* SPDX-License-Identifier: ISC */
#include "burn.h"

void
burn(uint64_t loops)
{
	uint64_t x = loops;

	while (loops-- > 0) {
		x = x * UINT64_C(6364136223846793005) + 1;
		__asm__ volatile("" : "+r"(x));		/* the chain may not be shortened */
	}
}

#define PAGE	4096

/* One frame of a page each: the call is not a tail call, for the frame is used after it. */
__attribute__((noinline)) void
burn_touch_stack(unsigned pages)
{
	volatile unsigned char page[PAGE];

	if (pages <= 1)
		return;
	page[0] = (unsigned char)pages;
	burn_touch_stack(pages - 1);
	page[0]++;
}

double
burn_loops_per_us(void)
{
	const uint64_t loops = 500000;
	uint64_t start, took, best = UINT64_MAX;
	int i;

	for (i = 0; i < 20; i++) {
		start = now_ns();
		burn(loops);
		took = now_ns() - start;
		if (took < best)
			best = took;
	}
	return (double)loops * 1000 / (double)(best == 0 ? 1 : best);
}

double
burn_clock_cost(void)
{
	const int readings = 10000;
	uint64_t start, took, best = UINT64_MAX;
	int i, j;

	for (i = 0; i < 10; i++) {
		start = now_ns();
		for (j = 0; j < readings; j++)
			(void)now_ns();
		took = now_ns() - start;
		if (took < best)
			best = took;
	}
	return (double)best / readings;
}
