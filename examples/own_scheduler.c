/* SPDX-License-Identifier: ISC */
/*
 * own_scheduler.c: door 2, bring your own scheduler: next() and ready() of a FIFO, linked through the descriptors.  One OS
 * thread: neither idle() nor wake().  Its base context is the parent, which waits, and that runs the others.
 */
#include <stdio.h>

#include <reap.h>

static struct reap_context *first, **last = &first;
static char names[] = "ab";

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

static intptr_t
count(void *name)
{
	for (int i = 1; i <= 2; i++) {
		printf("%c %d\n", *(const char *)name, i);
		reap_yield(reap_worker_self());		/* comes back by way of ready() and next() */
	}
	return 0;
}

int
main(void)
{
	static const struct reap_host host = { .next = next, .ready = ready };
	struct reap_domain_options options = { .size = sizeof(options), .host = &host };
	struct reap_domain *domain;
	struct reap_worker *worker;
	struct reap_context *a, *b;

	if (reap_domain_create(&options, &domain) != 0 || reap_worker_start(domain, NULL, &worker) != 0 ||
	    reap_spawn(worker, count, &names[0], &a) != 0 || reap_spawn(worker, count, &names[1], &b) != 0)
		return 1;
	ready(a);
	ready(b);
	if (reap_wait(a, 0, NULL) == 0 && reap_wait(b, 0, NULL) == 0)
		puts("both reaped");
	return reap_worker_stop(worker) != 0 || reap_domain_destroy(domain, NULL, NULL) != 0;
}
