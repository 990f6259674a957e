/* SPDX-License-Identifier: ISC */
/*
 * count.h: words that one thread writes, and others may read at any time.  One instruction where there is one that cannot be torn.
 */
#ifndef REAP_LIB_COUNT_H
#define REAP_LIB_COUNT_H

#include <stdint.h>

#include <reap/atomic.h>

#include "sanitize.h"

#if defined(__x86_64__) && defined(__GNUC__) && !REAP__SAN_WATCHES_SWITCH
static inline void
reap__count_own(uint64_t *counter, uint64_t n)
{
	__asm__("addq %1, %0" : "+m" (*counter) : "er" (n) : "cc");
}

static inline void
reap__count_own32(uint32_t *counter, uint32_t n)
{
	__asm__("addl %1, %0" : "+m" (*counter) : "er" (n) : "cc");
}

static inline void
reap__set_own32(uint32_t *word, uint32_t bits)
{
	__asm__("orl %1, %0" : "+m" (*word) : "er" (bits) : "cc");
}
#else
static inline void
reap__count_own(uint64_t *counter, uint64_t n)
{
	REAP_STORE_RELAXED(counter, *counter + n);
}

static inline void
reap__count_own32(uint32_t *counter, uint32_t n)
{
	REAP_STORE_RELAXED(counter, *counter + n);
}

static inline void
reap__set_own32(uint32_t *word, uint32_t bits)
{
	REAP_STORE_RELAXED(word, *word | bits);
}
#endif

#endif
