/* SPDX-License-Identifier: ISC */
/*
 * os.h: the little that libreap needs of an operating system.
 *
 *	unix.c		what every Unix does alike: mappings, clock, yield
 *	linux.c		guards without mappings of their own, futex, the mapping limit
 *	posix.c		the same contract where there is nothing but POSIX
 *
 * Functions that can fail return 0 or -errno.  Sizes and addresses are multiples of the page size.
 */
#ifndef REAP_LIB_OS_H
#define REAP_LIB_OS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes; a power of two. */
size_t	reap__os_page(void);

/* Zeroed memory, private, without huge pages, not backed before it is touched. */
int	reap__os_map(size_t size, void **base);

/* -ENOMEM when it would split a mapping and there may be no more of them: then nothing has changed. */
int	reap__os_unmap(void *base, size_t size);

/* Give the pages back and keep the addresses.  The range may contain guards of either kind; they stay. */
int	reap__os_decommit(void *base, size_t size);

/* Does memory that was decommitted read as zero?  If not, the system takes the pages when it wants them. */
bool	reap__os_decommit_zeroes(void);

/*
 * Two ways to make a range fault on every access.  A marker lives in the page tables: no mapping is split, and what the
 * range held is gone.  Protection splits mappings: at worst two more for each range; it does not touch the contents.
 */
enum reap__os_guard {
	REAP__OS_MARKER,
	REAP__OS_PROTECTION
};

/* True if this kernel's markers were seen to fault; asked once per process.  The answer may be "no" for want of a pipe. */
bool	reap__os_marker_works(void);

int	reap__os_guard(enum reap__os_guard, void *base, size_t size);
int	reap__os_unguard(enum reap__os_guard, void *base, size_t size);

/* How many mappings a process may have; SIZE_MAX where no such limit is known. */
size_t	reap__os_max_maps(void);

/* Bytes that the kernel may push on a stack to deliver a signal. */
size_t	reap__os_signal_frame(void);

/* Monotonic, nanoseconds.  The argument is not used: the signature is that of an injected clock. */
uint64_t reap__os_clock(void *);

/*
 * Sleep while *word == expected.  May return at any time: look again.  The comparison and the falling asleep are one step
 * with respect to reap__os_wake() on the same address.
 */
void	reap__os_wait(const uint32_t *word, uint32_t expected);

/* Wake all that sleep on the address `word', after changing what is there.  The word itself is not read: it may be gone. */
void	reap__os_wake(const uint32_t *word);

void	reap__os_yield(void);

/* One turn of a short spin: lets the other hardware thread run. */
static inline void
reap__os_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__) || defined(__arm__)
	__asm__ volatile("yield");
#endif
}

#endif
