/* SPDX-License-Identifier: ISC */
/*
 * shim.h: included before everything else in the library's sources, so that the explorer sees all that they touch.
 *
 *	shared words	the macros of reap/atomic.h, defined here: each use is a site, known by file and line, whose memory
 *			order the explorer may weaken while it runs
 *	plain memory	the compiler's calls for ThreadSanitizer (-fsanitize=thread); their other end is engine.cpp, too
 *	the rest	malloc and its family, mutexes, threads, what is thread-local
 */
#ifndef EXPLORE_SHIM_H
#define EXPLORE_SHIM_H

#define REAP_ATOMIC_H

/* sanitize.h shall tell nobody of switches: the explorer's threads are what is scheduled. */
#undef __SANITIZE_THREAD__

#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

enum explore_order {
	EXPLORE_RELAXED,
	EXPLORE_ACQUIRE,
	EXPLORE_RELEASE,
	EXPLORE_ACQ_REL,
	EXPLORE_SEQ_CST
};

struct explore_site {
	const char	*file, *function, *macro, *word, *value, *base;
	int		 line, counter;
	enum explore_order order;
	int		 id;		/* the engine's */
};

uint64_t explore_load(const void *word, unsigned size, struct explore_site *);
void	 explore_store(void *word, unsigned size, uint64_t value, struct explore_site *);
uint64_t explore_exchange(void *word, unsigned size, uint64_t value, struct explore_site *);
bool	 explore_cas(void *word, unsigned size, uint64_t *expected, uint64_t value, struct explore_site *);
uint64_t explore_add(void *word, unsigned size, uint64_t n, struct explore_site *);	/* the new value */
void	 explore_fence(struct explore_site *);

/*
 * A use of a macro of reap/atomic.h.  Its name is FILE:FUNCTION:MACRO(WORD, VALUE)#N, of WORD and VALUE the last name in each, the
 * Nth of these there: it stays when lines move, and mostly when others come and go.  The counter tells two of one line apart.
 */
#define EXPLORE_SITE(macro, order, p, v)								\
	static struct explore_site explore_site = {							\
	    __FILE__, __func__, macro, p, v, __BASE_FILE__, __LINE__, __COUNTER__, EXPLORE_##order, 0 };	\
	static struct explore_site *const explore_listed						\
	    __attribute__((section("explore_sites"), used)) = &explore_site
#define EXPLORE_LOAD(macro, order, word, p) ({								\
	EXPLORE_SITE(macro, order, word, "");								\
	(__typeof__(*(p)))explore_load((p), sizeof(*(p)), &explore_site);				\
})
#define EXPLORE_STORE(macro, order, word, value, p, v) ({							\
	EXPLORE_SITE(macro, order, word, value);								\
	explore_store((void *)(p), sizeof(*(p)), (uint64_t)(v), &explore_site);				\
})
#define EXPLORE_XCHG(macro, order, word, value, p, v) ({							\
	EXPLORE_SITE(macro, order, word, value);								\
	(__typeof__(*(p)))explore_exchange((p), sizeof(*(p)), (uint64_t)(v), &explore_site);		\
})
#define EXPLORE_CAS(macro, order, word, value, p, e, v) ({							\
	EXPLORE_SITE(macro, order, word, value);								\
	__typeof__(e) explore_e = (e);									\
	uint64_t explore_was = (uint64_t)*explore_e;							\
	bool explore_done = explore_cas((p), sizeof(*(p)), &explore_was, (uint64_t)(v), &explore_site);	\
	if (!explore_done)										\
		*explore_e = (__typeof__(*explore_e))explore_was;					\
	explore_done;											\
})
#define EXPLORE_ADD(macro, order, word, value, p, n) ({							\
	EXPLORE_SITE(macro, order, word, value);								\
	(__typeof__(*(p)))explore_add((p), sizeof(*(p)), (uint64_t)(n), &explore_site);			\
})

#define REAP_LOAD_RELAXED(p)		EXPLORE_LOAD("LOAD_RELAXED", RELAXED, #p, p)
#define REAP_LOAD_ACQUIRE(p)		EXPLORE_LOAD("LOAD_ACQUIRE", ACQUIRE, #p, p)
#define REAP_STORE_RELAXED(p, v)	EXPLORE_STORE("STORE_RELAXED", RELAXED, #p, #v, p, v)
#define REAP_STORE_RELEASE(p, v)	EXPLORE_STORE("STORE_RELEASE", RELEASE, #p, #v, p, v)
#define REAP_XCHG_ACQ_REL(p, v)		EXPLORE_XCHG("XCHG_ACQ_REL", ACQ_REL, #p, #v, p, v)
#define REAP_XCHG_ACQUIRE(p, v)		EXPLORE_XCHG("XCHG_ACQUIRE", ACQUIRE, #p, #v, p, v)
#define REAP_CAS_ACQ_REL(p, e, v)	EXPLORE_CAS("CAS_ACQ_REL", ACQ_REL, #p, #v, p, e, v)
#define REAP_CAS_RELEASE(p, e, v)	EXPLORE_CAS("CAS_RELEASE", RELEASE, #p, #v, p, e, v)
#define REAP_CAS_ACQUIRE(p, e, v)	EXPLORE_CAS("CAS_ACQUIRE", ACQUIRE, #p, #v, p, e, v)
#define REAP_ADD_RELAXED(p, n)		EXPLORE_ADD("ADD_RELAXED", RELAXED, #p, #n, p, n)
#define REAP_ADD_ACQ_REL(p, n)		EXPLORE_ADD("ADD_ACQ_REL", ACQ_REL, #p, #n, p, n)
#define REAP_FENCE_SEQ_CST()		({ EXPLORE_SITE("FENCE_SEQ_CST", SEQ_CST, "", ""); explore_fence(&explore_site); })

/* Fresh memory for every allocation of an iteration: what has been freed is never handed out again, and not to be touched. */
void	*explore_malloc(size_t size);
void	*explore_calloc(size_t n, size_t size);
void	*explore_aligned_alloc(size_t align, size_t size);
void	*explore_realloc(void *, size_t size);
void	 explore_free(void *);
#define malloc		explore_malloc
#define calloc		explore_calloc
#define aligned_alloc	explore_aligned_alloc
#define realloc		explore_realloc
#define free		explore_free

void	 explore_mutex_lock(void *);
void	 explore_mutex_unlock(void *);
#define pthread_mutex_init(m, a)	((void)(m), 0)
#define pthread_mutex_destroy(m)	((void)(m), 0)
#define pthread_mutex_lock(m)		(explore_mutex_lock(m), 0)
#define pthread_mutex_unlock(m)		(explore_mutex_unlock(m), 0)
void	 explore_condition_wait(void *, void *mutex);
void	 explore_condition_signal(void *);
int	 explore_condition_wait_timed(void *, void *mutex);
#define pthread_condattr_init(a)	((void)(a), 0)
#define pthread_condattr_setclock(a, c)	((void)(a), 0)
#define pthread_condattr_destroy(a)	((void)(a), 0)
#define pthread_cond_init(c, a)		((void)(c), (void)(a), 0)
#define pthread_cond_destroy(c)		((void)(c), 0)
#define pthread_cond_wait(c, m)		(explore_condition_wait((c), (m)), 0)
#define pthread_cond_timedwait(c, m, t)	((void)(t), explore_condition_wait_timed((c), (m)))
#define pthread_cond_signal(c)		(explore_condition_signal(c), 0)	/* wakes all: nobody may count on less */
#define pthread_cond_broadcast(c)	(explore_condition_signal(c), 0)

/* A tick later at each reading.  Who sleeps for some time: see explore_time(). */
int	 explore_clock(struct timespec *);
#define clock_gettime(clock, ts)	((void)(clock), explore_clock(ts))
#define sched_yield()			(explore_yield(), 0)
void	 explore_yield(void);

/* What is done once is done once in every schedule; the ends of threads are not watched. */
void	 explore_once(void *, void (*)(void));
#define pthread_once(once, f)		(explore_once((once), (f)), 0)
#define pthread_key_create(key, f)	((void)(key), (void)(f), 0)
#define pthread_setspecific(key, v)	((void)(key), (void)(v), 0)

/* One thread that the library starts: explore_started() runs it, in a scenario's. */
void	 explore_start(void *(*start)(void *), void *arg);
void	 explore_join(void);
#define pthread_create(t, a, start, arg)	((void)(t), explore_start((start), (arg)), 0)
#define pthread_join(t, r)			(explore_join(), 0)

/* Relacy's threads are fibers of one OS thread: the engine keeps what is thread-local for each of them, and swaps it. */
#define _Thread_local	__attribute__((section("explore_threads")))
#define __thread	_Thread_local
#define tls_model(model) unused

#endif
