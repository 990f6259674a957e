/* SPDX-License-Identifier: ISC */
/*
 * burn.h: time.  Reading it, and spending it without reading it.
 */
#ifndef REPLAY_BURN_H
#define REPLAY_BURN_H

#include <stdint.h>
#include <time.h>

/* Nanoseconds of a clock that never falls.  A vdso call of some 25 ns on Linux; burn_clock_cost() measures it. */
static inline uint64_t
clock_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
}

static inline uint64_t
now_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

/* A chain of dependent multiplications: neither memory nor other contexts change how long one loop takes. */
void	burn(uint64_t loops);

/* Write one byte into each of the topmost `pages' pages of the calling context's stack, the current one included. */
void	burn_touch_stack(unsigned pages);

/* How many loops of burn() take a microsecond?  How many nanoseconds does a clock reading take?  The best of several tries. */
double	burn_loops_per_us(void);
double	burn_clock_cost(void);

#endif
