/* SPDX-License-Identifier: ISC */
/*
 * masks.c: who changes signal masks?
 *
 * As long as nobody in the process has set a mask, or a handler (in which there is another mask), all masks are what they were at
 * the start, and to save and restore them is to do nothing.  So whatever sets one is called by way of here, and the first call
 * makes masks belong to contexts, for good.  What was saved before that holds the mask of then, which is right.
 *
 * Not seen: raw system calls, and posix_spawn()'s mask, which is another process's.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "compat.h"

#pragma GCC diagnostic ignored "-Wdeprecated-declarations"	/* what is deprecated is called nevertheless */

/*
 * The next definition of `name', the C library's.  All are looked up by the constructor: dlsym() is not for signal handlers, where
 * most of these may be called, and forgets what dlerror() would have said.
 */
#define PASSED_ON(X)											\
	X(sigprocmask) X(pthread_sigmask) X(pthread_attr_setsigmask_np) X(sigaction) X(__sigaction) X(signal)	\
	X(bsd_signal) X(ssignal) X(sysv_signal) X(__sysv_signal) X(sigset) X(sighold) X(sigrelse) X(sigblock) X(sigsetmask)

#define INDEX(name)	NEXT_##name,
enum { PASSED_ON(INDEX) NEXT_COUNT };
#define NAME(name)	#name,
static const char *const names[NEXT_COUNT] = { PASSED_ON(NAME) };
static void *symbols[NEXT_COUNT];	/* any thread, by atomics: the same each time */

#define NEXT(name)	((__typeof__(&name))next(NEXT_##name))

static void *
find(int i)
{
	void *symbol = __atomic_load_n(&symbols[i], __ATOMIC_RELAXED);

	if (symbol == NULL) {
		symbol = dlsym(RTLD_NEXT, names[i]);
		__atomic_store_n(&symbols[i], symbol, __ATOMIC_RELAXED);
	}
	return symbol;
}

static void __attribute__((constructor))
find_all(void)
{
	for (int i = 0; i < NEXT_COUNT; i++)
		(void)find(i);
}

static void
(*next(int i))(void)
{
	void *symbol = find(i);
	void (*function)(void);

	if (symbol == NULL) {
		static const char message[] = "libreap-compat: this C library lacks a function to set signal masks or handlers\n";

		_exit(write(STDERR_FILENO, message, sizeof(message) - 1) < 0 ? 126 : 127);
	}
	memcpy(&function, &symbol, sizeof(function));		/* C knows no conversion */
	return function;
}

#define IS_HANDLER(f)	((f) != SIG_DFL && (f) != SIG_IGN)

#define EXPORT_MASK(name)										\
REAP__COMPAT_EXPORT int											\
name(int how, const sigset_t *set, sigset_t *old)							\
{													\
	if (set != NULL)										\
		reap__compat_keep_masks(#name);								\
	return NEXT(name)(how, set, old);								\
}

EXPORT_MASK(sigprocmask)
EXPORT_MASK(pthread_sigmask)

REAP__COMPAT_EXPORT int
pthread_attr_setsigmask_np(pthread_attr_t *attributes, const sigset_t *set)
{
	reap__compat_keep_masks("pthread_attr_setsigmask_np");
	return NEXT(pthread_attr_setsigmask_np)(attributes, set);
}

#define EXPORT_ACTION(name)										\
int	name(int number, const struct sigaction *action, struct sigaction *old);			\
REAP__COMPAT_EXPORT int											\
name(int number, const struct sigaction *action, struct sigaction *old)					\
{													\
	if (action != NULL && ((action->sa_flags & SA_SIGINFO) != 0 || IS_HANDLER(action->sa_handler)))	\
		reap__compat_keep_masks("sigaction");							\
	return NEXT(name)(number, action, old);								\
}

EXPORT_ACTION(sigaction)
EXPORT_ACTION(__sigaction)

typedef void (*handler)(int);		/* the C library's names for it are of several standards */

#define EXPORT_SIGNAL(name)										\
handler	name(int number, handler what);									\
REAP__COMPAT_EXPORT handler										\
name(int number, handler what)										\
{													\
	if (IS_HANDLER(what))										\
		reap__compat_keep_masks("signal");							\
	return NEXT(name)(number, what);								\
}

EXPORT_SIGNAL(signal)
EXPORT_SIGNAL(bsd_signal)
EXPORT_SIGNAL(ssignal)
EXPORT_SIGNAL(sysv_signal)
EXPORT_SIGNAL(__sysv_signal)
EXPORT_SIGNAL(sigset)			/* SIG_HOLD blocks, and is no SIG_DFL either */

#define EXPORT_INT(name)										\
int	name(int what);											\
REAP__COMPAT_EXPORT int											\
name(int what)												\
{													\
	reap__compat_keep_masks(#name);									\
	return NEXT(name)(what);									\
}

EXPORT_INT(sighold)
EXPORT_INT(sigrelse)
EXPORT_INT(sigblock)
EXPORT_INT(sigsetmask)
