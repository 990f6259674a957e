/* SPDX-License-Identifier: ISC */
/*
 * run_queue.h: the run queue of a host with one worker, linked through the contexts: first in, first out.
 */
#ifndef BENCH_RUN_QUEUE_H
#define BENCH_RUN_QUEUE_H

#include <reap.h>

static struct reap_context *first, **last = &first;

static struct reap_context *
next(struct reap_worker *worker)
{
	struct reap_context *context = first;

	(void)worker;
	if (context != NULL && (first = *reap_context_link(context)) == NULL)
		last = &first;
	return context;
}

static void
ready(struct reap_context *context)
{
	*last = context;
	last = reap_context_link(context);
	*last = NULL;
}

#endif
