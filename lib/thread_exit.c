/* SPDX-License-Identifier: ISC */
/*
 * thread_exit.c: an OS thread that ends while it is a worker.
 *
 * pthread_exit(), a cancellation and a return from the thread's first function all come by the destructors of its keys.  The
 * base context's frames are gone by then, and so are those of the context that this happened in: nobody could ever switch back
 * to the one, or post the other.  Whoever waits for what ran here would wait for ever.
 */
#include <errno.h>
#include <pthread.h>

#include "worker.h"

static pthread_key_t	key;		/* of a worker's thread: the worker; by `once' */
static int		key_error;
static pthread_once_t	once = PTHREAD_ONCE_INIT;

static void
thread_ends(void *arg)
{
	struct reap_worker *worker = arg;

	if (worker->current != worker->base)
		reap_misuse("thread-exit",
		    "a worker's thread ended inside a context: pthread_exit() or cancellation there, or a longjmp() out of it");
	/* Destructors run in no order, and again while there are values: one of the host's may be about to stop the worker. */
	if (!worker->ending) {
		worker->ending = true;
		if (pthread_setspecific(key, worker) == 0)
			return;
	}
	reap_misuse("stop-missing", "a worker's thread ended before reap_worker_stop()");
}

static void
key_make(void)
{
	key_error = pthread_key_create(&key, thread_ends);
}

/* The calling thread becomes a worker; or, with NULL, is none any more. */
int
reap__thread_watch(struct reap_worker *worker)
{
	int error = pthread_once(&once, key_make);

	if (error == 0)
		error = key_error != 0 ? key_error : pthread_setspecific(key, worker);
	return error == 0 ? 0 : -ENOMEM;	/* EAGAIN: no key is left in this process */
}
