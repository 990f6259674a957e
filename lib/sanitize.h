/* SPDX-License-Identifier: ISC */
/*
 * sanitize.h: tell AddressSanitizer, LeakSanitizer, MemorySanitizer, ThreadSanitizer and valgrind which stack runs.  In a
 * build without them: no code, and no byte in any structure.
 *
 * A structure that keeps the state of a context ends with REAP__SAN_FIELD; REAP__SAN(owner) is what the calls below take.
 * `owner' is not evaluated in a build without sanitizers.
 *
 *	reap__san_base_init	an OS thread becomes a worker: once, on its own stack
 *	reap__san_stack_reuse	before anything is written to the stack of a context to be: what is on it is void from then on
 *	reap__san_context_create  once the stack is the context's; its state may lie on that stack
 *	reap__san_before_switch	last before reap_md_swap() or reap_md_jump(), in the very function that calls it
 *	reap__san_landed	first after reap_md_swap(), and first in the entry function
 *	reap__san_root		what the library keeps for the embedder, an argument say, is no leak; nor is what a free descriptor
 *				still names
 *	reap__san_nobodys, reap__san_taken  the library's own memory goes onto a free list, and comes from there
 *	reap__san_context_destroy  off the CPU and never to run again: before the stack goes to anybody else, be it a cache,
 *				the system or the embedder.  What is on it, the state included, is void from then on
 *
 * The function that calls reap__san_before_switch() with `dying' must keep no variable whose address is taken: its frame may
 * lie in the fake stack, which that call frees.
 *
 * LeakSanitizer sees the stack of a stopped context, but not its fake stack (detect_stack_use_after_return): what is held by
 * nothing but a variable there is reported as a leak.
 */
#ifndef REAP_SANITIZE_H
#define REAP_SANITIZE_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __has_feature
#define REAP__HAS_FEATURE(x)	__has_feature(x)
#else
#define REAP__HAS_FEATURE(x)	0
#endif

#if defined(__SANITIZE_ADDRESS__) || REAP__HAS_FEATURE(address_sanitizer)
#define REAP__ASAN	1
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#else
#define REAP__ASAN	0
#endif

/* LeakSanitizer alone (-fsanitize=leak) is visible to no macro of the compiler's: the build says REAP_LSAN. */
#if REAP__ASAN || defined(REAP_LSAN)
#define REAP__LSAN	1
#include <sanitizer/lsan_interface.h>
#else
#define REAP__LSAN	0
#endif

#if defined(__SANITIZE_THREAD__) || REAP__HAS_FEATURE(thread_sanitizer)
#define REAP__TSAN	1
#include <sanitizer/tsan_interface.h>
#else
#define REAP__TSAN	0
#endif

#if REAP__HAS_FEATURE(memory_sanitizer)
#define REAP__MSAN	1
#include <sanitizer/msan_interface.h>
#else
#define REAP__MSAN	0
#endif

/* The build says REAP_VALGRIND when valgrind's headers are there and wanted. */
#if defined(REAP_VALGRIND) && !REAP__ASAN && !REAP__LSAN && !REAP__TSAN && !REAP__MSAN
#define REAP__VALGRIND	1
#include <valgrind/memcheck.h>
#else
#define REAP__VALGRIND	0
#endif

#ifndef REAP_CHECKS
#define REAP_CHECKS	0
#endif

/* Free descriptors are poisoned. */
#define REAP__SAN_DESCRIPTORS	(REAP__ASAN || (REAP__VALGRIND && REAP_CHECKS >= 2))
#define REAP__SAN_ON	(REAP__ASAN || REAP__LSAN || REAP__TSAN || REAP__MSAN || REAP__VALGRIND)
/* Must somebody be told when a stack gets another context?  Not valgrind: where that looks on nobody is born plain, see plain.h. */
#define REAP__SAN_WATCHES_STACKS	(REAP__ASAN || REAP__LSAN || REAP__TSAN || REAP__MSAN)
/* Must the swap stand in the very function that leaves? */
#define REAP__SAN_WATCHES_SWITCH	(REAP__ASAN || REAP__TSAN || REAP__MSAN)
#define REAP__SAN_INLINE	static inline __attribute__((always_inline, unused))

#if REAP__SAN_ON

/* All fields: by create or base_init, constant from there, unless said otherwise. */
struct reap__san {
	const void	*lo;		/* the stack, what its context may touch of it (no guard) */
	size_t		 size;
#if REAP__ASAN
	void		*fake;		/* the fake stack while the context is stopped: by itself, leaving and landing */
#endif
#if REAP__TSAN
	void		*fiber;
#endif
#if REAP__VALGRIND
	unsigned	 id;
#endif
};

#define REAP__SAN_FIELD		struct reap__san reap__san;
#define REAP__SAN(owner)	(&(owner)->reap__san)

#else

struct reap__san;
#define REAP__SAN_FIELD
#define REAP__SAN(owner)	((void)sizeof(owner), (struct reap__san *)0)

#endif

/* Is there anybody to tell?  Of valgrind this is known at run time only: asking is ten instructions, the answer is a load. */
REAP__SAN_INLINE bool
reap__san_watched(void)
{
#if REAP__VALGRIND
	static signed char known;	/* any thread; all store the same value, so no order is needed */
	signed char is = __atomic_load_n(&known, __ATOMIC_RELAXED);

	if (__builtin_expect(is == 0, 0)) {
		is = RUNNING_ON_VALGRIND ? 1 : -1;
		__atomic_store_n(&known, is, __ATOMIC_RELAXED);
	}
	return __builtin_expect(is > 0, 0);
#else
	return true;
#endif
}

/* Valgrind's requests are a dozen instructions each that keep registers busy: out of the way of those who do not make them. */
#if REAP__VALGRIND
#define REAP__SAN_COLD	static __attribute__((noinline, cold, unused))

REAP__SAN_COLD void
reap__san_vg_reuse(const void *lo, size_t size)
{
	(void)VALGRIND_MAKE_MEM_UNDEFINED(lo, size);
}

REAP__SAN_COLD void
reap__san_vg_create(struct reap__san *self, const void *lo, size_t size)
{
	self->lo = lo;
	self->size = size;
	self->id = VALGRIND_STACK_REGISTER(lo, (const char *)lo + size - 1);
}

REAP__SAN_COLD void
reap__san_vg_destroy(struct reap__san *self)
{
	const void *lo = self->lo;
	size_t size = self->size;

	VALGRIND_STACK_DEREGISTER(self->id);
	(void)VALGRIND_MAKE_MEM_UNDEFINED(lo, size);	/* last: the state may lie there */
}
#endif

/* What the dead left: poison between their variables, words that valgrind holds for popped. */
REAP__SAN_INLINE void
reap__san_stack_reuse(const void *lo, size_t size)
{
#if REAP__ASAN
	__asan_unpoison_memory_region(lo, size);
#elif REAP__MSAN
	__msan_allocated_memory(lo, size);
#elif REAP__VALGRIND
	if (reap__san_watched())
		reap__san_vg_reuse(lo, size);
#endif
	(void)lo;
	(void)size;
}

/*
 * Memory of the library's that is nobody's for now: a touch is an error until reap__san_taken().  For valgrind with checks=full
 * only, since the question whether it runs would be one more in every life.
 */
REAP__SAN_INLINE void
reap__san_nobodys(const void *at, size_t size)
{
#if REAP__ASAN
	__asan_poison_memory_region(at, size);
#elif REAP__VALGRIND && REAP_CHECKS >= 2
	if (reap__san_watched())
		(void)VALGRIND_MAKE_MEM_NOACCESS(at, size);
#endif
	(void)at;
	(void)size;
}

REAP__SAN_INLINE void
reap__san_taken(const void *at, size_t size)
{
#if REAP__ASAN
	__asan_unpoison_memory_region(at, size);
#elif REAP__VALGRIND && REAP_CHECKS >= 2
	if (reap__san_watched())
		(void)VALGRIND_MAKE_MEM_UNDEFINED(at, size);
#endif
	(void)at;
	(void)size;
}

/* The same, and it reads as zero by means that valgrind does not see. */
REAP__SAN_INLINE void
reap__san_zeroed(const void *at, size_t size)
{
	reap__san_taken(at, size);
#if REAP__VALGRIND && REAP_CHECKS >= 2
	if (reap__san_watched())
		(void)VALGRIND_MAKE_MEM_DEFINED(at, size);
#endif
}

REAP__SAN_INLINE void
reap__san_base_init(struct reap__san *self)
{
#if REAP__SAN_ON
	self->lo = NULL;
	self->size = 0;
#if REAP__ASAN
	/* A switch to nowhere and back: the first arrival tells the bounds of what was left, the second restores them. */
	__sanitizer_start_switch_fiber(&self->fake, NULL, 0);
	__sanitizer_finish_switch_fiber(self->fake, &self->lo, &self->size);
	__sanitizer_start_switch_fiber(&self->fake, self->lo, self->size);
	__sanitizer_finish_switch_fiber(self->fake, NULL, NULL);
	self->fake = NULL;
#elif REAP__MSAN
	__msan_start_switch_fiber(NULL, 0);
	__msan_finish_switch_fiber(&self->lo, &self->size);
	__msan_start_switch_fiber(self->lo, self->size);
	__msan_finish_switch_fiber(NULL, NULL);
#endif
#if REAP__TSAN
	self->fiber = __tsan_get_current_fiber();
#endif
#endif
	(void)self;
}

REAP__SAN_INLINE void
reap__san_context_create(struct reap__san *self, const void *lo, size_t size)
{
#if REAP__VALGRIND
	if (reap__san_watched())
		reap__san_vg_create(self, lo, size);
#elif REAP__SAN_ON
	self->lo = lo;
	self->size = size;
#if REAP__ASAN
	self->fake = NULL;
#endif
#if REAP__LSAN
	__lsan_register_root_region(lo, size);
#endif
#if REAP__TSAN
	self->fiber = __tsan_create_fiber(0);
#endif
#endif
	(void)self;
	(void)lo;
	(void)size;
}

/* The library's memory that holds words of the embedder's: to be looked into for what they point to.  On: from now on. */
REAP__SAN_INLINE void
reap__san_root(const void *lo, size_t size, bool on)
{
#if REAP__LSAN
	if (on)
		__lsan_register_root_region(lo, size);
	else
		__lsan_unregister_root_region(lo, size);
#endif
	(void)lo;
	(void)size;
	(void)on;
}

REAP__SAN_INLINE void
reap__san_context_destroy(struct reap__san *self)
{
#if REAP__VALGRIND
	if (reap__san_watched())
		reap__san_vg_destroy(self);
#elif REAP__SAN_ON
	const void *lo = self->lo;
	size_t size = self->size;

#if REAP__ASAN
	/* Stopped for ever, not dead: its fake stack goes by way of becoming the caller's for a moment. */
	if (self->fake != NULL) {
		const void *my_lo;
		size_t my_size;
		void *mine;

		__sanitizer_start_switch_fiber(&mine, lo, size);
		__sanitizer_finish_switch_fiber(self->fake, &my_lo, &my_size);
		__sanitizer_start_switch_fiber(NULL, my_lo, my_size);
		__sanitizer_finish_switch_fiber(mine, NULL, NULL);
		self->fake = NULL;
	}
#endif
#if REAP__LSAN
	__lsan_unregister_root_region(lo, size);
#endif
#if REAP__TSAN
	__tsan_destroy_fiber(self->fiber);
#endif
	reap__san_stack_reuse(lo, size);	/* last: the state may lie there */
#endif
	(void)self;
}

/* Always inline: ThreadSanitizer must see this function's caller leave and come back, not this function return elsewhere. */
REAP__SAN_INLINE void
reap__san_before_switch(struct reap__san *from, struct reap__san *to, bool dying)
{
#if REAP__ASAN
	__sanitizer_start_switch_fiber(dying ? NULL : &from->fake, to->lo, to->size);
#elif REAP__MSAN
	__msan_start_switch_fiber(to->lo, to->size);
#endif
#if REAP__TSAN
	__tsan_switch_to_fiber(to->fiber, 0);
#endif
	(void)from;
	(void)to;
	(void)dying;
}

REAP__SAN_INLINE void
reap__san_landed(struct reap__san *self)
{
#if REAP__ASAN
	__sanitizer_finish_switch_fiber(self->fake, NULL, NULL);
	self->fake = NULL;
#elif REAP__MSAN
	__msan_finish_switch_fiber(NULL, NULL);
#endif
	(void)self;
}

/*
 * The same for those who run only where nobody has to ask: where valgrind looks on, which is known at run time, they are not used.
 */
REAP__SAN_INLINE bool
reap__san_by_request(void)
{
	return REAP__VALGRIND && reap__san_watched();
}

#if REAP__VALGRIND
#define reap__san_plain_reuse(lo, size)		((void)0)
#define reap__san_plain_create(self, lo, size)	((void)0)
#define reap__san_plain_destroy(self)		((void)0)
#else
#define reap__san_plain_reuse			reap__san_stack_reuse
#define reap__san_plain_create			reap__san_context_create
#define reap__san_plain_destroy			reap__san_context_destroy
#endif

#endif
