/* SPDX-License-Identifier: ISC */
/*
 * atomic.h: the one macro set through which libreap touches shared words.
 *
 * The words are plain integers and pointers (no _Atomic: C++17 compiles these headers), reached through the compiler's
 * builtins.  A checker that explores interleavings includes its own definitions of all these names first and defines
 * REAP_ATOMIC_H; nothing else in the library knows a memory order.
 *
 *   REAP_LOAD_RELAXED(p)         REAP_LOAD_ACQUIRE(p)
 *   REAP_STORE_RELAXED(p, v)     REAP_STORE_RELEASE(p, v)
 *   REAP_XCHG_ACQ_REL(p, v)      the old value
 *   REAP_XCHG_ACQUIRE(p, v)      the old value
 *   REAP_CAS_ACQ_REL(p, e, v)    bool; on failure *e is what was there, read with acquire
 *   REAP_CAS_RELEASE(p, e, v)    bool; on failure *e is what was there, relaxed
 *   REAP_CAS_ACQUIRE(p, e, v)    bool; on failure *e is what was there, read with acquire
 *   REAP_ADD_RELAXED(p, n)       REAP_ADD_ACQ_REL(p, n)     the new value
 *   REAP_FENCE_SEQ_CST()
 */
#ifndef REAP_ATOMIC_H
#define REAP_ATOMIC_H

#define REAP_LOAD_RELAXED(p)		__atomic_load_n((p), __ATOMIC_RELAXED)
#define REAP_LOAD_ACQUIRE(p)		__atomic_load_n((p), __ATOMIC_ACQUIRE)		/* pairs with: named at each use */
#define REAP_STORE_RELAXED(p, v)	__atomic_store_n((p), (v), __ATOMIC_RELAXED)
#define REAP_STORE_RELEASE(p, v)	__atomic_store_n((p), (v), __ATOMIC_RELEASE)	/* pairs with: named at each use */
#define REAP_XCHG_ACQ_REL(p, v)		__atomic_exchange_n((p), (v), __ATOMIC_ACQ_REL)	/* pairs with: named at each use */
#define REAP_XCHG_ACQUIRE(p, v)		__atomic_exchange_n((p), (v), __ATOMIC_ACQUIRE)	/* pairs with: named at each use */
#define REAP_CAS_ACQ_REL(p, e, v)									\
	__atomic_compare_exchange_n((p), (e), (v), 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE) /* pairs with: at each use */
#define REAP_CAS_RELEASE(p, e, v)									\
	__atomic_compare_exchange_n((p), (e), (v), 0, __ATOMIC_RELEASE, __ATOMIC_RELAXED) /* pairs with: at each use */
#define REAP_CAS_ACQUIRE(p, e, v)									\
	__atomic_compare_exchange_n((p), (e), (v), 0, __ATOMIC_ACQUIRE, __ATOMIC_ACQUIRE) /* pairs with: at each use */
#define REAP_ADD_RELAXED(p, n)		__atomic_add_fetch((p), (n), __ATOMIC_RELAXED)
#define REAP_ADD_ACQ_REL(p, n)		__atomic_add_fetch((p), (n), __ATOMIC_ACQ_REL)	/* pairs with: named at each use */
#define REAP_FENCE_SEQ_CST()		__atomic_thread_fence(__ATOMIC_SEQ_CST)		/* pairs with: named at each use */

#endif
