/* SPDX-License-Identifier: ISC */
/*
 * keep.h: what a switch leaves alone, because most have no use for it, kept for each context by hosts that ask for it.
 *
 *	struct mine { struct reap_kept kept; ... };		zeroed, one for each context, in reap_context_user()
 *
 *	on_switch(worker, from, to)				of struct reap_host
 *	{
 *		reap_keep(REAP_KEEP_EXCEPTIONS, &user(from)->kept, &user(to)->kept);
 *	}
 *
 * Where libreap switches by ucontext(3), which keeps the first two by itself, they are left to it.
 */
#ifndef REAP_KEEP_H
#define REAP_KEEP_H

#include <fenv.h>

#include <reap/base.h>

REAP_BEGIN_DECLS

#define REAP_KEEP_FENV		0x1u	/* the floating-point environment, exception flags included; control words are kept anyhow */
#define REAP_KEEP_SIGMASK	0x2u	/* the signal mask: a system call a switch */
#define REAP_KEEP_EXCEPTIONS	0x4u	/* the C++ exceptions that are being handled: a switch within a catch block is allowed then */

/* All zero: what a new context begins with, which is the flags and the mask of who switches to it, and no exception. */
struct reap_kept {
	unsigned what;			/* of the following, what has been kept */
	void	*exceptions[2];		/* as the Itanium C++ ABI has it */
	uint64_t mask[16];		/* a sigset_t, which strict C11 does not know */
	fenv_t	 fenv;
};

/*
 * reap_keep -- keep what the thread has in *from, and give it what is in *to.
 *
 *   context    Before a switch, on the stack that is left: on_switch(), or around a machine switch of one's own.
 *   ownership  The caller's, both; from may be NULL, for one that ends.
 *   ordering   None: the thread's own.
 *   cost       fenv: some 50 ns on x86.  Signal mask: one system call.  Exceptions: a call and four words.
 *   returns    0; -ENOSYS: the program has no fegetenv(3), for want of -lm, or no C++ runtime; the rest is done.
 */
REAP_API int	reap_keep(unsigned what, struct reap_kept *from, const struct reap_kept *to);

REAP_END_DECLS

#endif
