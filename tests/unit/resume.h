/* SPDX-License-Identifier: ISC */
/*
 * resume.h: owned contexts, made by the one way or the other.
 */
#ifndef REAP_TESTS_UNIT_RESUME_H
#define REAP_TESTS_UNIT_RESUME_H

#include "host.h"

static inline struct reap_context *
owned(struct host *h, reap_entry *entry, void *arg)
{
	struct reap_context_options options = {
		.size = sizeof(options), .entry = entry, .arg = arg, .flags = REAP_CONTEXT_OWNED,
	};
	struct reap_context *context = NULL;

	if (host_private())
		CHECK_EQ(reap_spawn_owned(reap_worker_self(), entry, arg, &context), 0);	/* the fast path, if it is one */
	else
		CHECK_EQ(reap_context_create(h->domain, &options, &context), 0);
	return context;
}

static inline struct reap_context *
self(void)
{
	return reap_worker_current(reap_worker_self());
}

/* A simple one, as reap_spawn_owned() makes them where memory is at hand: it has no stack until it runs. */
static inline struct reap_context *
fresh(struct host *h, reap_entry *entry, void *arg)
{
	struct reap_passed p = { .word = 7 };

	/* What has ended leaves its stack and its descriptor to the next one, and its word. */
	CHECK_EQ(reap_resume(owned(h, host_return, NULL), 0, &p), REAP_ENDED);
	return owned(h, entry, arg);
}

#endif
