/* SPDX-License-Identifier: ISC */
/*
 * stack.h: where the stacks of contexts come from, how long the dead ones are kept, and what a fault address belongs to.
 *
 * A dead stack goes into its worker's cache (last in, first out), from there by batches into the domain's depot, and from
 * the depot back to the operating system: above the depot's cap by whoever collects next (a landing may not enter the kernel),
 * after one to two `decay_ns' unused, or on trim.
 */
#ifndef REAP_STACK_H
#define REAP_STACK_H

#include <reap/base.h>

REAP_BEGIN_DECLS

struct reap_domain;
struct reap_context;

/*
 * Stacks from the embedder's own allocator.  alloc() stores the lowest address of `size' bytes (aligned to 16) in *base and
 * returns 0, or returns -errno and nothing has happened; free() gets back exactly what alloc() gave, once, on the reaping
 * side (never on the dead stack, never in a landing).  Such stacks are neither guarded, cached nor coloured by libreap.
 */
struct reap_stack_ops {
	int	(*alloc)(void *cookie, size_t size, void **base);
	void	(*free)(void *cookie, void *base, size_t size);
	void	*cookie;
};

#define REAP_STACK_SIZE_DEFAULT		((size_t)64 * 1024)	/* bytes, guard not counted; see docs/design.md, "Stacks" */
#define REAP_STACK_CACHE_DEFAULT	64u			/* dead stacks a worker keeps: two batches of 32 */
#define REAP_STACK_DEPOT_DEFAULT	1024u			/* dead stacks a domain keeps besides: 64 MiB of addresses */
#define REAP_STACK_DECAY_DEFAULT	UINT64_C(1000000000)	/* nanoseconds unused before a stack goes back: one second */

#define REAP_STACK_UNGUARDED		0x1u	/* no guard pages at all: an overflow corrupts its neighbour */
#define REAP_STACK_SCRUB		0x2u	/* a recycled stack reads as zero to its next owner; a system call a life */
#define REAP_STACK_NO_GUARD_INSTALL	0x4u	/* use mprotect(2) even where MADV_GUARD_INSTALL works: for tests */

/* Zero in any field means the default.  All counts are per domain unless said otherwise. */
struct reap_stack_options {
	size_t	 size;		/* bytes that a context may use; rounded up to whole pages */
	size_t	 guard;		/* bytes that fault below it; rounded up to whole pages; default one page */
	unsigned cache;		/* dead stacks of the default size kept per worker; at least 2 */
	unsigned depot;		/* dead stacks of the default size, or as many bytes of others, kept in the shared depot */
	unsigned maps;		/* mappings that guards by mprotect(2) may use up; default: 3/4 of vm.max_map_count */
	unsigned quarantine;	/* debug: this many freed stacks stay PROT_NONE, first in first out, before reuse; 0: none */
	unsigned flags;		/* REAP_STACK_UNGUARDED, ... */
	uint64_t decay_ns;	/* age at which an idle dead stack returns to the system; UINT64_MAX: never */
	const struct reap_stack_ops *ops;	/* copied; NULL: libreap's own mappings */
};

struct reap_stack_info {
	struct reap_context *context;	/* who runs on it, or ran on it last, until it is given up; NULL: the stack is free */
	const char *lo;			/* lowest usable byte */
	const char *hi;			/* one past the highest */
	bool	 guard;			/* the address lies in the guard below lo: an overflow */
};

/*
 * reap_stack_lookup -- which context does this address belong to?  Made for a SIGSEGV handler on an alternate stack.
 *
 *   context    Any thread, signal handlers included, as long as the domain lives.
 *   ownership  Fills *info; the context in it may end at any time unless the caller is what keeps it alive.
 *   ordering   None: a snapshot.
 *   cost       A walk over the domain's slabs of stacks; no lock, no allocation, no system call.
 *   returns    0; -ENOENT: no stack that libreap mapped holds this address.
 */
REAP_API int	reap_stack_lookup(const struct reap_domain *domain, const void *address, struct reap_stack_info *info);

/*
 * reap_stack_minimum -- the smallest `size' that reap_domain_create() and reap_context_create() accept on this machine.
 *
 *   context    Any thread.
 *   ownership  None.
 *   ordering   None.
 *   cost       A system call the first time.
 *   returns    Bytes: room for a signal frame (AT_MINSIGSTKSZ, or MINSIGSTKSZ) and for libreap's own frames.
 */
REAP_API size_t	reap_stack_minimum(void);

/*
 * reap_trim -- give cached memory back to the operating system now: the depot, the calling worker's cache, free
 * descriptors; other workers are asked for their stacks, and follow at their next create, or reap of a stack.
 *
 *   context    Any thread, or a running context.  Not from a switch hook or a signal handler.
 *   ownership  None: only memory of the dead is touched.
 *   ordering   None.
 *   cost       System calls, in proportion to what is given back.
 *   returns    The number of bytes of stack given back by this call.
 */
REAP_API size_t	reap_trim(struct reap_domain *domain);

/*
 * reap_trim_aged -- give back what has not been used for decay_ns, and say when to ask again.
 *
 *   context    As reap_trim().  The bundled runtime calls it from idle workers; other hosts call it when they like.
 *   ownership  None.
 *   ordering   None.
 *   cost       One clock reading when nothing is due.
 *   returns    The clock's value at which the next stack falls due, in nanoseconds; UINT64_MAX: nothing is cached.
 */
REAP_API uint64_t	reap_trim_aged(struct reap_domain *domain);

REAP_END_DECLS

#endif
