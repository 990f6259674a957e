/* SPDX-License-Identifier: ISC */
/*
 * waits.h: where this library and its runtime wait, for the benchmark's measuring build (meson -Dwaits=true).
 *
 * The compiler includes this file before every source file of that build; no other build reads it, and no source file knows of it.
 * So it costs nothing when it is off.  Each place that may wait gets a record of its own, named after the function it stands in
 * and the object it waits for, as written there:
 *
 *	futex		an OS thread sleeps: condition variables, and the raw futex
 *	futex wake	what waking one costs the waker
 *	mutex		locked by somebody else at the first try
 *	barrier spin	yields and pauses until another thread has done its part
 *	CAS retry	from a compare-and-swap that failed to the next one at the same place by the same thread; if that is more
 *			than RETRY_MAX away, the failure was an answer and not a retry
 *	run queue	a context, from being queued to being popped to run
 */
#ifndef REAP_LIB_WAITS_H
#define REAP_LIB_WAITS_H

#ifndef __ASSEMBLER__

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/syscall.h>
#endif

#include <reap/atomic.h>

enum { REAP__WAITS_WORKER, REAP__WAITS_THREAD, REAP__WAITS_ROLES };	/* a worker's thread; another: the reaper thread */

struct reap__wait {
	const char	*kind, *object;
	const char	*caller;			/* whoever comes first; always the same */
	uint64_t	 count[REAP__WAITS_ROLES], ns[REAP__WAITS_ROLES];	/* any thread, by addition */
	struct reap__wait *next;			/* constant once linked */
	uint32_t	 linked;			/* 1: on the list; by exchange */
};

/* waits.c */
uint64_t	 reap__waits_now(void);
void		 reap__waits_note(struct reap__wait *, const char *caller, uint64_t since);
void		 reap__waits_tried(struct reap__wait *, const char *caller, bool succeeded);
void		 reap__waits_queued(const void *context);
void		 reap__waits_popped(struct reap__wait *, const char *caller, const void *context);
/* Forget what has been counted.  A wait that has begun counts from here. */
void		 reap__waits_reset(void);
/* The first record; the others by `next'. */
struct reap__wait *reap__waits_first(void);

#ifndef REAP_WAITS_ITSELF

#define REAP__WAITS_AROUND(kind, object, type, call) __extension__ ({					\
	static struct reap__wait reap__this_wait = { kind, object, NULL, { 0, 0 }, { 0, 0 }, NULL, 0 };	\
	uint64_t reap__since = reap__waits_now();							\
	type reap__result = (call);									\
	reap__waits_note(&reap__this_wait, __func__, reap__since);						\
	reap__result; })

#define REAP__WAITS_CAS(p, try) __extension__ ({							\
	static struct reap__wait reap__this_wait = { "CAS retry", #p, NULL, { 0, 0 }, { 0, 0 }, NULL, 0 };	\
	bool reap__ok = (try);										\
	reap__waits_tried(&reap__this_wait, __func__, reap__ok);						\
	reap__ok; })

/* The orders of <reap/atomic.h>. */
#undef REAP_CAS_ACQ_REL
#undef REAP_CAS_RELEASE
#undef REAP_CAS_ACQUIRE
#define REAP_CAS_ACQ_REL(p, e, v)									\
	REAP__WAITS_CAS(p, __atomic_compare_exchange_n((p), (e), (v), 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))	/* pairs with: each use */
#define REAP_CAS_RELEASE(p, e, v)									\
	REAP__WAITS_CAS(p, __atomic_compare_exchange_n((p), (e), (v), 0, __ATOMIC_RELEASE, __ATOMIC_RELAXED))	/* pairs with: each use */
#define REAP_CAS_ACQUIRE(p, e, v)									\
	REAP__WAITS_CAS(p, __atomic_compare_exchange_n((p), (e), (v), 0, __ATOMIC_ACQUIRE, __ATOMIC_ACQUIRE))	/* pairs with: each use */

#define pthread_mutex_lock(m)										\
	(pthread_mutex_trylock(m) == 0 ? 0 : REAP__WAITS_AROUND("mutex", #m, int, (pthread_mutex_lock)(m)))
#define pthread_cond_wait(c, m)										\
	REAP__WAITS_AROUND("futex", #c, int, (pthread_cond_wait)((c), (m)))
#define pthread_cond_timedwait(c, m, t)									\
	REAP__WAITS_AROUND("futex", #c, int, (pthread_cond_timedwait)((c), (m), (t)))
#define pthread_cond_signal(c)										\
	REAP__WAITS_AROUND("futex wake", #c, int, (pthread_cond_signal)(c))
#define syscall(...)											\
	(__builtin_strcmp(__func__, "reap__os_wake") == 0 ?						\
	    REAP__WAITS_AROUND("futex wake", "the OS thread's word", long, (syscall)(__VA_ARGS__)) :	\
	    REAP__WAITS_AROUND("futex", "the OS thread's word", long, (syscall)(__VA_ARGS__)))

/* Defined as well as called under this name: `void' says which. */
#define reap__os_yield(parameters)	REAP__WAITS_YIELD_##parameters
#define REAP__WAITS_YIELD_void		(reap__os_yield)(void)
#define REAP__WAITS_YIELD_										\
	(void)REAP__WAITS_AROUND("barrier spin", "the other thread's post", int, ((reap__os_yield)(), 0))

#ifdef REAP_WAITS_RUNTIME
#include "queue.h"

#define queue_push(queue, context) __extension__ ({							\
	struct reap_context *reap__queued = (context);							\
	reap__waits_queued(reap__queued);								\
	(queue_push)((queue), reap__queued); })
#define stack_push(stack, context) __extension__ ({							\
	struct reap_context *reap__queued = (context);							\
	reap__waits_queued(reap__queued);								\
	(stack_push)((stack), reap__queued); })
#define REAP_RUNTIME_RUNS(chosen) do {									\
	static struct reap__wait reap__this_wait = { "run queue", "&w->local", NULL, { 0, 0 }, { 0, 0 }, NULL, 0 }; \
	reap__waits_popped(&reap__this_wait, __func__, chosen);						\
} while (0)
#endif

#endif
#endif
#endif
