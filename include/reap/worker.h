/* SPDX-License-Identifier: ISC */
/*
 * worker.h: OS threads that run contexts, and the switches between contexts.
 *
 * A worker is passed, never cached: after a switch the caller may be on another one, so every call that switches returns
 * the worker it came back on.
 *
 *	switch  the host keeps the caller and knows when it may run again
 *	yield   the caller stays runnable: readied by the successor's landing, once it is off the CPU
 *	park    the caller sleeps: the landing publishes it where a waker will find it, once it is off the CPU
 *	exit    the caller is dead: the landing posts its completion (context.h)
 *
 * After anything that may suspend, errno, thread-local variables, the handlers of pthread_cleanup_push() and the C++ exceptions
 * that are being handled are those of the thread that the caller is on now.  So a context must not switch between
 * pthread_cleanup_push() and pthread_cleanup_pop(); nor inside a C++ catch block, nor in a destructor that an exception runs,
 * unless its host keeps what __cxa_get_globals() points to for each context, by on_switch().
 *
 * What ends more than a context, or leaves it in another way than by reap_exit():
 *	pthread_exit(),	end the thread.  Inside a context that aborts ("thread-exit"), after the context's own frames have been
 *	cancellation	unwound.  Elsewhere it aborts, as a return from the thread's first function does, unless reap_worker_stop()
 *			has been called when the destructors of the thread's keys have run ("stop-missing").  Inside a call of the
 *			library, idle() included, a thread must not be cancelled.
 *	exit()		ends the process, as anywhere: its handlers run on the stack of the context.
 *	C++ exceptions	that no handler of the context catches call std::terminate().
 *	longjmp()	within a context is as within a thread, whatever has been switched to and from in between.  Out of it is
 *			undefined, and found by "stop-from-base" or "thread-exit" if by nothing before.
 */
#ifndef REAP_WORKER_H
#define REAP_WORKER_H

#include <reap/base.h>
#include <reap/domain.h>

REAP_BEGIN_DECLS

/*
 * reap_worker_start -- the calling OS thread becomes a worker; what it runs now is the worker's base context.
 *
 *   context    An OS thread that is no worker.
 *   ownership  *worker is the thread's until reap_worker_stop(), without which it may not end.  `user' is the host's
 *              (reap_worker_user()).
 *   ordering   None.
 *   cost       Allocates.
 *   returns    0; -EINVAL; -EBUSY: this thread is a worker already; -ENOMEM: also if no key of pthread_key_create(3) is left.
 */
REAP_API int	reap_worker_start(struct reap_domain *domain, void *user, struct reap_worker **worker);

/*
 * reap_worker_stop -- the OS thread stops being a worker.
 *
 *   context    The worker's base context, after a landing.  From any other context it aborts ("stop-from-base").  Not with a
 *              lock held that the host's wake() takes.
 *   ownership  The worker is gone; its cached stacks, descriptors and credits go to the domain, the zombies and live
 *              children of the base context to the adopter.
 *   ordering   All that ran on the worker happens before what the adopter and depot hand out.
 *   cost       System calls may be made to trim.  Who is about to wake the worker, see reap_context_discard(), is awaited.
 *   returns    0; -EBUSY: a context that only this worker may run is still live: pinned, or not shared; nothing changed.
 */
REAP_API int	reap_worker_stop(struct reap_worker *worker);

/*
 * reap_worker_self, reap_worker_domain, reap_worker_user, reap_worker_current, reap_worker_base -- look about.
 *
 *   context    self, user, domain, base: any thread while the worker runs; current: on that worker.
 *   ownership  None.
 *   ordering   None.  Do not keep the result across a switch.
 *   cost       A load or two.
 *   returns    self: the calling thread's worker, or NULL.  current: who runs; base: the context the thread came with.
 */
REAP_API struct reap_worker	*reap_worker_self(void);
REAP_API struct reap_domain	*reap_worker_domain(const struct reap_worker *worker);
REAP_API void			*reap_worker_user(const struct reap_worker *worker);
REAP_API struct reap_context	*reap_worker_current(const struct reap_worker *worker);
REAP_API struct reap_context	*reap_worker_base(const struct reap_worker *worker);

/*
 * reap_switch -- run `to'; the caller goes on when somebody switches back.
 *
 *   context    A running context on `worker'.  `to' is suspended or new, off the CPU, and not queued anywhere else.
 *              To oneself it returns at once.  Switching to a dead or running context, or to one that another worker must
 *              run (reap_context_home()), aborts ("switch-to-dead", "switch-to-running", "pinned").  The caller must not become
 *              runnable on another worker before it is off the CPU: use yield or park where another worker can find it.
 *   ownership  The caller stays the host's to resume.
 *   ordering   Same thread.
 *   cost       The machine switch and a landing.  No lock, no allocation, no system call.
 *   returns    The worker that the caller came back on.
 */
REAP_API struct reap_worker	*reap_switch(struct reap_worker *worker, struct reap_context *to);

/*
 * reap_yield -- let others run.  The host's ready() gets the caller from the successor's landing.
 *
 *   context    A running context; on a base context it runs one runnable context, or returns.
 *   ownership  None.
 *   ordering   As ready().
 *   cost       As reap_switch() and one next().
 *   returns    The worker that the caller came back on; at once if nothing else is runnable.
 */
REAP_API struct reap_worker	*reap_yield(struct reap_worker *worker);

/*
 * reap_park -- sleep.  After the caller is off the CPU, publish(parked, arg) runs in the successor's landing and puts it where
 * its waker looks; if publish says false (the awaited thing has happened), the caller is readied at once.
 *
 *   context    A running context that is not a base context (aborts: "park-base").  publish may take a short lock of the
 *              host's, as next() and ready(); it must not block otherwise, nor allocate.
 *   ownership  From publish's `true' on, the context is its waker's, who hands it to ready() once.
 *   ordering   All that the caller did happens before publish.
 *   cost       As reap_switch() and one next().
 *   returns    The worker that the caller came back on.
 */
REAP_API struct reap_worker	*reap_park(struct reap_worker *worker,
				    bool (*publish)(struct reap_context *parked, void *arg), void *arg);

REAP_END_DECLS

#endif
