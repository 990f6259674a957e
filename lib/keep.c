/* SPDX-License-Identifier: ISC */
/*
 * keep.c: state of a thread that a host wants to be a context's.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>

#include <reap/keep.h>

/* Of the C++ runtime and of libm, which libreap itself has no use for. */
extern void *__cxa_get_globals(void) __attribute__((weak));	/* two words for each thread */
#pragma weak fegetenv
#pragma weak fesetenv

_Static_assert(sizeof(sigset_t) <= sizeof(((struct reap_kept *)0)->mask), "keep.h has no room for a signal mask");

int
reap_keep(unsigned what, struct reap_kept *from, const struct reap_kept *to)
{
	int error = 0;

	if (what & REAP_KEEP_FENV && (fegetenv == NULL || fesetenv == NULL)) {
		what &= ~REAP_KEEP_FENV;
		error = -ENOSYS;
	}
	if (what & REAP_KEEP_EXCEPTIONS && __cxa_get_globals == NULL) {
		what &= ~REAP_KEEP_EXCEPTIONS;
		error = -ENOSYS;
	}
#ifndef REAP_MD_UCONTEXT	/* swapcontext(3) keeps both, and would take what is set here for that of who leaves */
	if (what & REAP_KEEP_FENV) {
		if (from != NULL)
			(void)fegetenv(&from->fenv);
		if (to->what & REAP_KEEP_FENV)
			(void)fesetenv(&to->fenv);
	}
	if (what & REAP_KEEP_SIGMASK)
		(void)pthread_sigmask(SIG_SETMASK, to->what & REAP_KEEP_SIGMASK ? (const sigset_t *)to->mask : NULL,
		    from != NULL ? (sigset_t *)from->mask : NULL);
#endif
	if (what & REAP_KEEP_EXCEPTIONS) {
		void *globals = __cxa_get_globals();

		if (from != NULL)
			memcpy(from->exceptions, globals, sizeof(from->exceptions));
		memcpy(globals, to->exceptions, sizeof(to->exceptions));
	}
	if (from != NULL)
		from->what |= what;
	return error;
}
