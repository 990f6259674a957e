/* SPDX-License-Identifier: ISC */
/*
 * hist.h: a log-linear histogram of nanoseconds, after HdrHistogram.
 *
 * Up to 63 ns each value has a bucket of its own; above, every power of two is cut into 32 buckets, so that a value read back
 * (the middle of its bucket) is off by at most 1/64, 1.6%.  The largest value is kept exactly.  2^40 ns (18 minutes) and more
 * fall into the last bucket.  Adding is a few instructions and one store; no histogram is shared between threads.
 */
#ifndef REPLAY_HIST_H
#define REPLAY_HIST_H

#include <stddef.h>
#include <stdint.h>

#define HIST_CUTS	32u
#define HIST_BITS	40u
#define HIST_BUCKETS	((HIST_BITS - 5 + 1) * HIST_CUTS)

struct hist {
	uint64_t count;
	uint64_t max;
	uint32_t bucket[HIST_BUCKETS];
};

static inline size_t
hist_index(uint64_t ns)
{
	unsigned shift;

	if (ns < 2 * HIST_CUTS)
		return (size_t)ns;
	if (ns >> HIST_BITS != 0)
		return HIST_BUCKETS - 1;
	shift = 63u - (unsigned)__builtin_clzll(ns) - 5u;
	return (size_t)shift * HIST_CUTS + (size_t)(ns >> shift);
}

static inline void
hist_add(struct hist *h, uint64_t ns)
{
	h->count++;
	if (ns > h->max)
		h->max = ns;
	h->bucket[hist_index(ns)]++;
}

/* The middle of a bucket: the inverse of hist_index(). */
uint64_t	hist_value(size_t bucket);
void		hist_merge(struct hist *into, const struct hist *from);
/* The value below which a share q (0 < q <= 1) of them lies, in ns; 0 if there is none.  q 1 is the exact maximum. */
uint64_t	hist_quantile(const struct hist *h, double q);

#endif
