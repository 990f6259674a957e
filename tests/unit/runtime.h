/* SPDX-License-Identifier: ISC */
/*
 * runtime.h: so many workers, and one context that says how it went.
 */
#ifndef REAP_TESTS_UNIT_RUNTIME_H
#define REAP_TESTS_UNIT_RUNTIME_H

#include <errno.h>
#include <sched.h>

#include <reap/runtime.h>

#include "test.h"

static inline intptr_t
nothing(void *arg)
{
	return (intptr_t)arg;
}

static inline struct reap_runtime_options
workers(unsigned n)
{
	return (struct reap_runtime_options){ .size = sizeof(struct reap_runtime_options), .workers = n };
}

static inline void
run(unsigned n, reap_entry *entry, void *arg)
{
	struct reap_runtime_options options = workers(n);
	intptr_t status = -1;

	CHECK_EQ(reap_run(&options, entry, arg, &status), 0);
	CHECK_EQ(status, 42);
}

static inline struct reap_stats
stats_of(struct reap_domain *domain)
{
	struct reap_stats stats = { .size = sizeof(stats) };

	CHECK_EQ(reap_domain_stats(domain, &stats), 0);
	return stats;
}

#endif
