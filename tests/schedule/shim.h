/* SPDX-License-Identifier: ISC */
/*
 * shim.h: included before everything else in the library's sources.
 *
 *	shared words	the macros of reap/atomic.h, each a step of the engine's
 *	switches	the hooks of lib/sanitize.h: just before and just after each machine switch others may go on; a stack that
 *			was given up faults until it is used again, be it in a cache
 *	memory, locks, threads	malloc and its family, mutexes, conditions; the reaper's thread is one more of the engine's
 */
#ifndef SCHEDULE_SHIM_H
#define SCHEDULE_SHIM_H

#define REAP_ATOMIC_H
#define REAP_SANITIZE_H

#include <pthread.h>
#include <stdlib.h>

#include "schedule.h"

/* The arguments come first: what they read may be old when the step is made. */
#define SCHEDULE_STEP(what, p)										\
	static const struct schedule_site schedule_site = { what, #p, __FILE__, __func__, __LINE__ };	\
	__typeof__(&*(p)) schedule_p = (p);								\
	const void *schedule_word = (const void *)(uintptr_t)schedule_p
#define SCHEDULE_DONE(was)										\
	schedule_after(&schedule_site, schedule_word, (uint64_t)(was), (uint64_t)*schedule_p)

#define SCHEDULE_LOAD(p) __extension__ ({								\
	SCHEDULE_STEP("load", p);									\
	schedule_before(&schedule_site, schedule_word);							\
	__auto_type schedule_was = *schedule_p;								\
	SCHEDULE_DONE(schedule_was);									\
	schedule_was;											\
})
#define SCHEDULE_STORE(p, v) __extension__ ({								\
	SCHEDULE_STEP("store", p);									\
	__typeof__(*schedule_p) schedule_v = (__typeof__(*schedule_p))(v), schedule_was;		\
	schedule_before(&schedule_site, schedule_word);							\
	schedule_was = *schedule_p;									\
	*schedule_p = schedule_v;									\
	SCHEDULE_DONE(schedule_was);									\
})
#define SCHEDULE_XCHG(p, v) __extension__ ({								\
	SCHEDULE_STEP("exchange", p);									\
	__typeof__(*schedule_p) schedule_v = (__typeof__(*schedule_p))(v), schedule_was;		\
	schedule_before(&schedule_site, schedule_word);							\
	schedule_was = *schedule_p;									\
	*schedule_p = schedule_v;									\
	SCHEDULE_DONE(schedule_was);									\
	schedule_was;											\
})
#define SCHEDULE_CAS(p, e, v) __extension__ ({								\
	SCHEDULE_STEP("cas", p);									\
	__typeof__(*schedule_p) schedule_v = (__typeof__(*schedule_p))(v), schedule_was, *schedule_e = (e);	\
	bool schedule_same;										\
	schedule_before(&schedule_site, schedule_word);							\
	schedule_was = *schedule_p;									\
	if ((schedule_same = schedule_was == *schedule_e))						\
		*schedule_p = schedule_v;								\
	else												\
		*schedule_e = schedule_was;								\
	SCHEDULE_DONE(schedule_was);									\
	schedule_same;											\
})
#define SCHEDULE_ADD(p, n) __extension__ ({								\
	SCHEDULE_STEP("add", p);									\
	__typeof__(*schedule_p) schedule_n = (__typeof__(*schedule_p))(n), schedule_was, schedule_is;	\
	schedule_before(&schedule_site, schedule_word);							\
	schedule_was = *schedule_p;									\
	schedule_is = *schedule_p = schedule_was + schedule_n;						\
	SCHEDULE_DONE(schedule_was);									\
	schedule_is;											\
})

#define REAP_LOAD_RELAXED(p)		SCHEDULE_LOAD(p)
#define REAP_LOAD_ACQUIRE(p)		SCHEDULE_LOAD(p)
#define REAP_STORE_RELAXED(p, v)	SCHEDULE_STORE(p, v)
#define REAP_STORE_RELEASE(p, v)	SCHEDULE_STORE(p, v)
#define REAP_XCHG_ACQ_REL(p, v)		SCHEDULE_XCHG(p, v)
#define REAP_XCHG_ACQUIRE(p, v)		SCHEDULE_XCHG(p, v)
#define REAP_CAS_ACQ_REL(p, e, v)	SCHEDULE_CAS(p, e, v)
#define REAP_CAS_RELEASE(p, e, v)	SCHEDULE_CAS(p, e, v)
#define REAP_CAS_ACQUIRE(p, e, v)	SCHEDULE_CAS(p, e, v)
#define REAP_ADD_RELAXED(p, n)		SCHEDULE_ADD(p, n)
#define REAP_ADD_ACQ_REL(p, n)		SCHEDULE_ADD(p, n)
#define REAP_FENCE_SEQ_CST()		((void)0)	/* all is in one order here */

/* -- what lib/sanitize.h tells of switches and stacks */

#ifdef __SANITIZE_ADDRESS__
#define REAP__ASAN	1
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define REAP__ASAN	1
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#endif
#ifndef REAP__ASAN
#define REAP__ASAN	0
#endif
#define REAP__SAN_ON	1
#define REAP__SAN_DESCRIPTORS	1
#define REAP__SAN_WATCHES_STACKS	REAP__ASAN	/* else a stack changes hands as it does in the library */
#define REAP__SAN_WATCHES_SWITCH	REAP__ASAN	/* else the assembly is to be what it is */

/* The switches that have no hook of these: inside.c puts a step before them.  The assembly does not include this. */
#define reap_md_switch	schedule_md_switch
#define reap_md_leave	schedule_md_leave
#define reap_md_launch	schedule_md_launch
#define reap_md_leave_launch	schedule_md_leave_launch

struct reap__san {
	const void	*lo;
	size_t		 size;
	void		*fake;
};
#define REAP__SAN_FIELD		struct reap__san reap__san;
#define REAP__SAN(owner)	(&(owner)->reap__san)
#define REAP__SAN_INLINE	static inline __attribute__((always_inline, unused))

REAP__SAN_INLINE bool
reap__san_watched(void)
{
	return true;
}

/* Nobody has to be asked, so that plain lives are plain. */
REAP__SAN_INLINE bool
reap__san_by_request(void)
{
	return false;
}

REAP__SAN_INLINE void
reap__san_stack_reuse(const void *lo, size_t size)
{
	schedule_unbar(lo, size);
#if REAP__ASAN
	__asan_unpoison_memory_region(lo, size);
#endif
}

/* Memory of the library's that lies on a free list.  Stacks are barred as a whole, by their life. */
REAP__SAN_INLINE void
reap__san_nobodys(const void *at, size_t size)
{
#if REAP__ASAN
	__asan_poison_memory_region(at, size);
#endif
	(void)at;
	(void)size;
}

REAP__SAN_INLINE void
reap__san_taken(const void *at, size_t size)
{
#if REAP__ASAN
	__asan_unpoison_memory_region(at, size);
#endif
	(void)at;
	(void)size;
}

REAP__SAN_INLINE void
reap__san_zeroed(const void *at, size_t size)
{
	reap__san_taken(at, size);
}

REAP__SAN_INLINE void
reap__san_root(const void *lo, size_t size, bool on)
{
	(void)lo;
	(void)size;
	(void)on;
}

REAP__SAN_INLINE void
reap__san_base_init(struct reap__san *self)
{
	schedule_stack(&self->lo, &self->size);
	self->fake = NULL;
}

REAP__SAN_INLINE void
reap__san_context_create(struct reap__san *self, const void *lo, size_t size)
{
	self->lo = lo;
	self->size = size;
	self->fake = NULL;
}

REAP__SAN_INLINE void
reap__san_context_destroy(struct reap__san *self)
{
	const void	*lo = self->lo;
	size_t		 size = self->size;

#if REAP__ASAN
	__asan_unpoison_memory_region(lo, size);
#endif
	schedule_bar(lo, size);
}

REAP__SAN_INLINE void
reap__san_before_switch(struct reap__san *from, struct reap__san *to, bool dying)
{
	schedule_point(dying ? "final switch" : "switch");
#if REAP__ASAN
	__sanitizer_start_switch_fiber(dying ? NULL : &from->fake, to->lo, to->size);
#endif
	(void)from;
	(void)to;
}

REAP__SAN_INLINE void
reap__san_landed(struct reap__san *self)
{
#if REAP__ASAN
	__sanitizer_finish_switch_fiber(self->fake, NULL, NULL);
	self->fake = NULL;
#endif
	(void)self;
	schedule_point("landed");
}

#define reap__san_plain_reuse	reap__san_stack_reuse
#define reap__san_plain_create	reap__san_context_create
#define reap__san_plain_destroy	reap__san_context_destroy

/* -- memory, locks, threads */

#define malloc(size)			schedule_alloc(size, false, __func__)
#define calloc(n, size)			schedule_alloc((n) * (size), true, __func__)
#define aligned_alloc(align, size)	((void)(align), schedule_alloc(size, false, __func__))	/* whole pages: aligned */
#define free				schedule_free	/* a field has this name, too */

#define pthread_mutex_init(m, a)	(*(uint32_t *)(void *)(m) = 0, 0)
#define pthread_mutex_destroy(m)	((void)(m), 0)
#define pthread_mutex_lock(m) __extension__ ({								\
	static const struct schedule_site schedule_site = { "lock", #m, __FILE__, __func__, __LINE__ };	\
	schedule_lock(&schedule_site, m);								\
	0;												\
})
#define pthread_mutex_unlock(m)		(schedule_unlock(m), 0)
#define pthread_cond_init(c, a)		((void)(c), 0)
#define pthread_cond_destroy(c)		((void)(c), 0)
#define pthread_cond_wait(c, m)		(schedule_cond_wait(c, m), 0)
#define pthread_cond_signal(c)		(schedule_cond_signal(c), 0)
#define pthread_create(t, a, fn, arg)	schedule_thread_create(t, fn, arg)
#define pthread_join(t, r)		(schedule_thread_join(t), 0)

/* -- descriptors: run puts calls of these into lib/worker.h, see EDITS in mutants.py */

struct reap_context;
struct reap_context *schedule_taken(struct reap_context *);	/* NULL: NULL */
void	schedule_freed(struct reap_context *);

/* Is this seeded error on? */
#define MUTANT(n)	(__builtin_expect(schedule_mutant == (n), 0))

#endif
