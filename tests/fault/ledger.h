/* SPDX-License-Identifier: ISC */
/*
 * ledger.h: what fault.c, which stands in for the system's calls, tells the ledger.
 */
#ifndef REAP_TESTS_LEDGER_H
#define REAP_TESTS_LEDGER_H

#include "fault.h"

#define GET(x)		__atomic_load_n(&(x), __ATOMIC_RELAXED)
#define SET(x, v)	__atomic_store_n(&(x), (v), __ATOMIC_RELAXED)
#define ADD(x, n)	__atomic_add_fetch(&(x), (n), __ATOMIC_RELAXED)

/* By the calls themselves, in any thread: with ADD(). */
extern struct ledger_counts {
	long	blocks, files, threads;
} ledger_counts;

void	ledger_mapped(char *base, size_t size);
void	ledger_unmapped(char *lo, size_t size);

/* The system's own, which are neither counted nor fail. */
int	__real_munmap(void *, size_t);
int	__real_pthread_mutex_lock(pthread_mutex_t *);
int	__real_pthread_mutex_unlock(pthread_mutex_t *);

#endif
