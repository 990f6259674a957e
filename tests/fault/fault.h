/* SPDX-License-Identifier: ISC */
/*
 * fault.h: every call by which the library asks the system for something is made to fail in turn, and a ledger of what it got.
 *
 * Linked with -Wl,--wrap=NAME for each of the functions in fault.c: what the library calls, as a static one, and what the test
 * calls, comes by there.  A plan says which calls fail:
 *
 *	fault_plan(FAULT_MEMORY, 3, 1, 0)		the third call fails, all others are passed on
 *	fault_plan(FAULT_MEMORY, 3, FAULT_EVER, 0)	all from the third on fail
 *	fault_lift(), fault_resume()			between these nothing fails, and nothing is counted
 *	fault_relent()					before the last attempt: from here on nothing fails that was tried twice
 *
 *	ATTEMPT(reap_spawn(worker, entry, NULL, &context), -ENOMEM);
 *
 * is a call that may fail for a fault that was injected within it, with that error only.  Then all is as it was before; and the
 * same call, without faults, succeeds.
 *
 * fault_sweep() runs a scenario again and again: its first call fails, then its second, ... until a run had no failure; the same
 * with two in a row, for what an error path itself calls; and with all from the first on, from the second on, ... (EINTR and
 * EAGAIN: five).  After each run the ledger must be empty.  REAP_FAULT_TRACE=1 prints each fault to standard error.
 */
#ifndef REAP_TESTS_FAULT_H
#define REAP_TESTS_FAULT_H

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>

#include <reap.h>

#include "../unit/test.h"

#define FAULT_MAP	0x001u	/* mmap */
#define FAULT_UNMAP	0x002u	/* munmap */
#define FAULT_PROTECT	0x004u	/* mprotect */
#define FAULT_ADVISE	0x008u	/* madvise */
#define FAULT_ALLOC	0x010u	/* malloc, calloc, realloc, aligned_alloc, posix_memalign */
#define FAULT_THREAD	0x020u	/* pthread_create */
#define FAULT_INIT	0x040u	/* pthread_mutex_init, pthread_cond_init */
#define FAULT_FUTEX	0x080u	/* syscall(): futex */
#define FAULT_BARRIER	0x100u	/* syscall(): membarrier */
#define FAULT_COND	0x200u	/* pthread_cond_wait, pthread_cond_timedwait: these only return early */
#define FAULT_FILE	0x400u	/* open, pipe2, read, write, close */
#define FAULT_FREE	0x800u	/* free: counted, it cannot fail */
#define FAULT_LOCK	0x1000u	/* pthread_mutex_lock: counted, it does not fail */
#define FAULT_KINDS	13

#define FAULT_MEMORY	(FAULT_MAP | FAULT_UNMAP | FAULT_PROTECT | FAULT_ADVISE | FAULT_ALLOC)
#define FAULT_ALL	(FAULT_MEMORY | FAULT_THREAD | FAULT_INIT | FAULT_BARRIER)
#define FAULT_COUNTED	0x1fffu	/* every kind */

#define FAULT_EVER	LONG_MAX
#define FAULT_SPURIOUS	(-1)	/* as an error: futex says 0, though nobody woke it */

/* error 0: what each kind of call usually says. */
void	fault_plan(unsigned kinds, long first, long length, int error);
void	fault_lift(void);
void	fault_resume(void);
void	fault_relent(void);
bool	fault_stubborn(void);		/* is it a plan by which the second attempt may fail as the first did? */
bool	fault_endless(void);		/* ... and all others? */
bool	fault_passes(void);		/* is it advice that has only to be given again? */
long	fault_hits(void);		/* calls that have failed since the plan was made */
long	fault_seen(void);		/* calls of the plan's kinds since then, while it was not lifted */
long	fault_calls(unsigned kinds);	/* calls of these kinds since the program began, failed or not */
int	fault_held(void);		/* locks that the calling thread holds */

struct ledger {
	size_t	bytes;			/* private mappings, at addresses still to be unmapped */
	size_t	ranges;			/* pieces of these */
	long	blocks;			/* of malloc and its kin */
	long	files;
	long	threads;		/* created, not joined */
};

struct ledger ledger_read(void);
void	ledger_must_be_empty(void);
size_t	ledger_resident(void);		/* pages of the mappings that have memory behind them */
size_t	ledger_unmap_rest(void);	/* for real: bytes */

/* A scenario is run in a domain of its own, and ends it.  Returns how many calls the longest run had. */
long	fault_sweep(void (*scenario)(const void *), const void *arg, unsigned kinds, int error);

/* What a call that failed may not change. */
struct fault_before {
	struct reap_stats stats;
	size_t	children;
	long	blocks;
	long	hits;
};

void	fault_note(struct fault_before *, struct reap_domain *);
void	fault_compare(const struct fault_before *, struct reap_domain *, const char *file, int line, const char *what, int error,
	    int allowed);

/* domain: what is compared; NULL: there is none yet. */
#define ATTEMPT_IN(domain, call, allowed) do {								\
	struct fault_before	attempt_before_;							\
	int			attempt_error_;								\
													\
	fault_note(&attempt_before_, (domain));								\
	attempt_error_ = (call);									\
	CHECK_EQ(fault_held(), 0);									\
	if (attempt_error_ != 0) {									\
		fault_compare(&attempt_before_, (domain), __FILE__, __LINE__, #call, attempt_error_, (allowed));	\
		fault_lift();										\
		CHECK_EQ((call), 0);									\
		CHECK_EQ(fault_held(), 0);								\
		fault_resume();										\
	}												\
} while (0)
#define ATTEMPT(call, allowed)	ATTEMPT_IN(host_domain, call, allowed)

/*
 * A host of one worker, first in, first out, of which there is one at a time.  Other threads may ready contexts; idle() does not
 * sleep.
 */
extern struct reap_domain *host_domain;
extern struct reap_worker *host_worker;
extern const struct reap_host host_calls;

void	host_open(struct reap_domain_options options);	/* under the plan: domain and worker; .size and .host are filled in */
void	host_close(void);				/* under the plan, unless it would never end */
void	host_queue(struct reap_context *context);
void	host_run(void);					/* until nothing is runnable */
struct reap_stats host_stats(void);
intptr_t host_return(void *arg);			/* a body */

/* What a process under a sanitizer, or an emulator, cannot show. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define FAULT_SANITIZED	1
#elif defined(__has_feature)
#define FAULT_SANITIZED	(__has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer))
#else
#define FAULT_SANITIZED	0
#endif

#endif
