/* SPDX-License-Identifier: ISC */
/*
 * count.h: words that one thread writes, and others may read at any time.
 */
#ifndef REAP_LIB_COUNT_H
#define REAP_LIB_COUNT_H

#include <stdint.h>

#include <reap/atomic.h>

#include "sanitize.h"

/* One instruction where there is one that cannot be torn. */
static inline void
reap__count_own(uint64_t *counter, uint64_t n)
{
#if defined(__x86_64__) && defined(__GNUC__) && !REAP__SAN_WATCHES_SWITCH
	__asm__("addq %1, %0" : "+m" (*counter) : "er" (n) : "cc");
#else
	REAP_STORE_RELAXED(counter, *counter + n);
#endif
}

static inline void
reap__count_own32(uint32_t *counter, uint32_t n)
{
#if defined(__x86_64__) && defined(__GNUC__) && !REAP__SAN_WATCHES_SWITCH
	__asm__("addl %1, %0" : "+m" (*counter) : "er" (n) : "cc");
#else
	REAP_STORE_RELAXED(counter, *counter + n);
#endif
}

#endif
