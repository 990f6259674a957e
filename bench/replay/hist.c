/* SPDX-License-Identifier: ISC */
#include "hist.h"

void
hist_merge(struct hist *into, const struct hist *from)
{
	size_t i;

	into->count += from->count;
	if (from->max > into->max)
		into->max = from->max;
	for (i = 0; i < HIST_BUCKETS; i++)
		into->bucket[i] += from->bucket[i];
}

uint64_t
hist_value(size_t i)
{
	unsigned shift;

	if (i < 2 * HIST_CUTS)
		return i;
	shift = (unsigned)(i / HIST_CUTS) - 1;
	return ((uint64_t)(i % HIST_CUTS + HIST_CUTS) << shift) + (UINT64_C(1) << shift) / 2;
}

uint64_t
hist_quantile(const struct hist *h, double q)
{
	uint64_t rank = (uint64_t)(q * (double)h->count), seen = 0, value;
	size_t i;

	if (h->count == 0)
		return 0;
	if ((double)rank < q * (double)h->count)
		rank++;
	if (rank >= h->count)
		return h->max;
	for (i = 0; i < HIST_BUCKETS; i++) {
		seen += h->bucket[i];
		if (seen >= rank)
			break;
	}
	value = hist_value(i);
	return value < h->max ? value : h->max;
}
