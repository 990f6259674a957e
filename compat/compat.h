/* SPDX-License-Identifier: ISC */
/*
 * compat.h: what the parts of libreap-compat share.  Read docs/compat.md first.
 *
 *	ucontext.S	getcontext() setcontext() swapcontext(), and where a made context ends
 *	makecontext.c	makecontext()
 *	fcontext.S	make_fcontext() jump_fcontext() ontop_fcontext(), as Boost 1.74 has them
 *	coroutine.S	coroutine_transfer(), as Ruby 3.1 has it
 *	masks.c		who changes signal masks?
 *	report.c	the mode, the counters, what is said at exit
 *	versions.c	whose ABI is loaded?
 */
#ifndef REAP_COMPAT_H
#define REAP_COMPAT_H

#if !defined(__x86_64__) || defined(__ILP32__)
#error "libreap-compat is for x86-64 with 64-bit pointers"
#endif

/* Bits of reap__compat_mode: what a switch has to do besides.  0: nothing, after one comparison. */
#define REAP__COMPAT_KEEP	1	/* signal masks belong to contexts: a system call each */
#define REAP__COMPAT_COUNT	2	/* REAP_COMPAT_REPORT is set */

/* Indices of reap__compat_count. */
#define REAP__COMPAT_SWAPCONTEXT	0
#define REAP__COMPAT_SETCONTEXT		1
#define REAP__COMPAT_JUMP_FCONTEXT	2
#define REAP__COMPAT_ONTOP_FCONTEXT	3
#define REAP__COMPAT_COROUTINE		4
#define REAP__COMPAT_COUNTS		5

/* ucontext_t, as glibc has it on x86-64; makecontext.c asserts it. */
#define REAP__UC_LINK		8
#define REAP__UC_R8		40
#define REAP__UC_R9		48
#define REAP__UC_R12		72
#define REAP__UC_R13		80
#define REAP__UC_R14		88
#define REAP__UC_R15		96
#define REAP__UC_RDI		104
#define REAP__UC_RSI		112
#define REAP__UC_RBP		120
#define REAP__UC_RBX		128
#define REAP__UC_RDX		136
#define REAP__UC_RCX		152
#define REAP__UC_RSP		160
#define REAP__UC_RIP		168
#define REAP__UC_FPREGS		224
#define REAP__UC_SIGMASK	296
#define REAP__UC_FPMEM		424
#define REAP__FP_X87CW		0	/* within what UC_FPREGS points to: the layout of FXSAVE, too */
#define REAP__FP_MXCSR		24

#ifndef __ASSEMBLER__

#include <stdint.h>

#define REAP__COMPAT_HIDDEN	__attribute__((visibility("hidden")))
#define REAP__COMPAT_EXPORT	__attribute__((visibility("default")))

/* By the constructor; afterwards KEEP may be added, by any thread that is the first to need it.  KEEP until then. */
extern REAP__COMPAT_HIDDEN uint32_t reap__compat_mode;

/* The signal mask that the process began with, and all of it has as long as there is no KEEP.  By the constructor. */
extern REAP__COMPAT_HIDDEN uint64_t reap__compat_mask;

/* Any thread, by locked addition, if COUNT. */
extern REAP__COMPAT_HIDDEN uint64_t reap__compat_count[REAP__COMPAT_COUNTS];

/* From now on signal masks belong to contexts; `why' is the function that was called, a string constant. */
REAP__COMPAT_HIDDEN void	reap__compat_keep_masks(const char *why);

/* A made context comes here when its function returns; not to be called. */
REAP__COMPAT_HIDDEN void	reap__compat_ended(void);
REAP__COMPAT_HIDDEN _Noreturn void	reap__compat_end_thread(void);

/* Ends the process with a sentence if what is loaded has another ABI than the one that is served. */
REAP__COMPAT_HIDDEN void	reap__compat_check_boost(void);	/* twice; then it does nothing */
REAP__COMPAT_HIDDEN void	reap__compat_check_ruby(void);

/* Who has set KEEP; NULL. */
REAP__COMPAT_HIDDEN const char	*reap__compat_who_keeps(void);

#endif
#endif
