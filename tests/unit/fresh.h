/* SPDX-License-Identifier: ISC */
/*
 * fresh.h: a host whose contexts are born plain, and have no stack of their own until they run.
 */
#ifndef REAP_TESTS_UNIT_FRESH_H
#define REAP_TESTS_UNIT_FRESH_H

#include "host.h"
#include "plain.h"

static inline void
open_fresh(struct host *h, struct reap_domain_options options)
{
	struct reap_host callbacks = options.host != NULL ? *options.host : host_alone;

	callbacks.shares = true;
	options.host = &callbacks;
	host_open(h, options);
}

/* Whether the worker's contexts are born plain, and have no stack until they run. */
static inline bool
promises(const struct host *h)
{
#ifdef REAP_MD_LAUNCH
	return h->worker->birth != 0;
#else
	(void)h;
	return false;
#endif
}

/* n lives at a time: so many stacks are in the cache, or in the depot, from then on. */
static inline void
warm(unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		(void)host_spawn(host_return, NULL);
	host_run();
	for (unsigned i = 0; i < n; i++)
		CHECK_EQ(reap_wait_any(0, NULL), 0);
}

static inline struct reap_context *
spawn_fresh(const struct host *h, reap_entry *entry, void *arg)
{
	struct reap_context *context = host_spawn(entry, arg);

	CHECK_EQ(reap__fresh(context), promises(h));
	return context;
}

static inline void
wait_for(struct reap_context *child, intptr_t status)
{
	struct reap_result result;

	CHECK_EQ(reap_wait(child, 0, &result), 0);
	CHECK_EQ(result.status, status);
}

static inline intptr_t
yields(void *arg)
{
	host_yield();
	return (intptr_t)arg;
}

#endif
