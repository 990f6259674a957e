/* SPDX-License-Identifier: ISC */
/*
 * shim.h: included before everything else in the library's sources, so that the explorer sees all that they touch.
 *
 *	shared words	the macros of reap/atomic.h, defined here: each use is a site, known by file and line, whose memory
 *			order the explorer may weaken while it runs
 *	plain memory	the compiler's calls for ThreadSanitizer (-fsanitize=thread); their other end is engine.cpp, too
 *	memory, locks	malloc and its family, and mutexes
 */
#ifndef EXPLORE_SHIM_H
#define EXPLORE_SHIM_H

#define REAP_ATOMIC_H

/* sanitize.h shall tell nobody of switches: the explorer's threads are what is scheduled. */
#undef __SANITIZE_THREAD__

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

enum explore_order {
	EXPLORE_RELAXED,
	EXPLORE_ACQUIRE,
	EXPLORE_RELEASE,
	EXPLORE_ACQ_REL,
	EXPLORE_SEQ_CST
};

struct explore_site {
	const char	*file;
	int		 line;
	const char	*what;
	enum explore_order order;
	int		 id;		/* 0: not met yet */
};

uint64_t explore_load(const void *word, unsigned size, struct explore_site *);
void	 explore_store(void *word, unsigned size, uint64_t value, struct explore_site *);
uint64_t explore_exchange(void *word, unsigned size, uint64_t value, struct explore_site *);
bool	 explore_cas(void *word, unsigned size, uint64_t *expected, uint64_t value, struct explore_site *);
uint64_t explore_add(void *word, unsigned size, uint64_t n, struct explore_site *);	/* the new value */
void	 explore_fence(struct explore_site *);

#define EXPLORE_SITE(what, order)									\
	static struct explore_site explore_site = { __FILE__, __LINE__, what, EXPLORE_##order, 0 }
#define EXPLORE_LOAD(what, order, p) ({									\
	EXPLORE_SITE(what, order);									\
	(__typeof__(*(p)))explore_load((p), sizeof(*(p)), &explore_site);				\
})
#define EXPLORE_STORE(what, order, p, v) ({								\
	EXPLORE_SITE(what, order);									\
	explore_store((void *)(p), sizeof(*(p)), (uint64_t)(v), &explore_site);				\
})
#define EXPLORE_XCHG(what, order, p, v) ({								\
	EXPLORE_SITE(what, order);									\
	(__typeof__(*(p)))explore_exchange((p), sizeof(*(p)), (uint64_t)(v), &explore_site);		\
})
#define EXPLORE_CAS(what, order, p, e, v) ({								\
	EXPLORE_SITE(what, order);									\
	__typeof__(e) explore_e = (e);									\
	uint64_t explore_was = (uint64_t)*explore_e;							\
	bool explore_done = explore_cas((p), sizeof(*(p)), &explore_was, (uint64_t)(v), &explore_site);	\
	if (!explore_done)										\
		*explore_e = (__typeof__(*explore_e))explore_was;					\
	explore_done;											\
})
#define EXPLORE_ADD(what, order, p, n) ({								\
	EXPLORE_SITE(what, order);									\
	(__typeof__(*(p)))explore_add((p), sizeof(*(p)), (uint64_t)(n), &explore_site);			\
})

#define REAP_LOAD_RELAXED(p)		EXPLORE_LOAD("load", RELAXED, p)
#define REAP_LOAD_ACQUIRE(p)		EXPLORE_LOAD("load", ACQUIRE, p)
#define REAP_STORE_RELAXED(p, v)	EXPLORE_STORE("store", RELAXED, p, v)
#define REAP_STORE_RELEASE(p, v)	EXPLORE_STORE("store", RELEASE, p, v)
#define REAP_XCHG_ACQ_REL(p, v)		EXPLORE_XCHG("exchange", ACQ_REL, p, v)
#define REAP_XCHG_ACQUIRE(p, v)		EXPLORE_XCHG("exchange", ACQUIRE, p, v)
#define REAP_CAS_ACQ_REL(p, e, v)	EXPLORE_CAS("cas", ACQ_REL, p, e, v)
#define REAP_CAS_RELEASE(p, e, v)	EXPLORE_CAS("cas", RELEASE, p, e, v)
#define REAP_CAS_ACQUIRE(p, e, v)	EXPLORE_CAS("cas", ACQUIRE, p, e, v)
#define REAP_ADD_RELAXED(p, n)		EXPLORE_ADD("add", RELAXED, p, n)
#define REAP_ADD_ACQ_REL(p, n)		EXPLORE_ADD("add", ACQ_REL, p, n)
#define REAP_FENCE_SEQ_CST()		({ EXPLORE_SITE("fence", SEQ_CST); explore_fence(&explore_site); })

/* Fresh memory for every allocation of an iteration: what has been freed is never handed out again, and not to be touched. */
void	*explore_malloc(size_t size);
void	*explore_calloc(size_t n, size_t size);
void	*explore_aligned_alloc(size_t align, size_t size);
void	 explore_free(void *);
#define malloc		explore_malloc
#define calloc		explore_calloc
#define aligned_alloc	explore_aligned_alloc
#define free		explore_free

void	 explore_mutex_lock(void *);
void	 explore_mutex_unlock(void *);
#define pthread_mutex_init(m, a)	((void)(m), 0)
#define pthread_mutex_destroy(m)	((void)(m), 0)
#define pthread_mutex_lock(m)		(explore_mutex_lock(m), 0)
#define pthread_mutex_unlock(m)		(explore_mutex_unlock(m), 0)

/* Whose worker.c's `self' is. */
struct reap_worker;
struct reap_worker **explore_self(void);

#endif
