/* SPDX-License-Identifier: ISC */
/*
 * scenarios.h: short lives in which threads meet at one word or another of the library's: their host, and what they all do.
 *
 * A context touches its stack first of all when it begins and last of all before its final switch, and so does whoever may
 * when it is reaped: if these accesses were not ordered, somebody would use a stack that is still in use.
 */
#ifndef EXPLORE_SCENARIOS_H
#define EXPLORE_SCENARIOS_H

#include <errno.h>
#include <string.h>

#include <reap/adopter.h>
#include <reap/completion.h>
#include <reap/context.h>
#include <reap/domain.h>
#include <reap/group.h>
#include <reap/resume.h>
#include <reap/stats.h>
#include <reap/wait.h>
#include <reap/worker.h>

#include "explore.h"
#include "os/os.h"
#include "stack/depot.h"
#include "stack/slab.h"
#include "worker.h"

static struct reap_domain *domain;

/* -- the host */

/* What is different in this scenario's domain. */
static struct how {
	bool		direct, told;
	bool		shares;		/* contexts are born private */
	bool		plain;		/* and with nothing uncommon, not even before_final_switch() */
	bool		busy;		/* no idle() */
	bool		discarded;	/* by a thread that is not the worker's */
	unsigned	thread;		/* 1: a reaper thread; more: one that does so much at a time */
	bool		marks;		/* the last that a context does is to write where its user pointer says */
	uint64_t	limit;
} how;

static inline struct reap_context *
next(struct reap_worker *worker)
{
	(void)worker;
	return explore_next();
}

static inline void
ready(struct reap_context *context)
{
	/* What is private goes home. */
	explore_ready(context, how.shares ? reap_context_home(context) : NULL);
}

static inline void
idle(struct reap_worker *worker)
{
	(void)worker;
	explore_idle(false);
}

static char waker;			/* stands for what wake() reads of the worker's */

static inline void
wake(struct reap_worker *worker)
{
	explore_wake(worker);
	if (how.discarded)
		explore_touch(&waker);
}

static inline void
touch_stack(struct reap_context *context)
{
	const void *lo, *sp, *hi;

	if (reap_context_stack(context, &lo, &sp, &hi) == 0)
		explore_touch(lo);
}

static inline void
last_touch(struct reap_context *dying)
{
	touch_stack(dying);
	if (how.marks && reap_context_user(dying) != NULL)
		*(int *)reap_context_user(dying) = 1;
	explore_left(-1);
}

static inline void
reaped(struct reap_context *context, intptr_t status)
{
	EXPLORE_CHECK(status == 7 || status == 9);
	touch_stack(context);
}

static const struct {
	enum reap_policy policy;
	enum reap_notify notify;
} variants[] = {
	{ REAP_POLICY_ADAPTIVE, REAP_NOTIFY_LATE },
	{ REAP_POLICY_PARENT, REAP_NOTIFY_EARLY },
	{ REAP_POLICY_SUCCESSOR, REAP_NOTIFY_LATE },
	{ REAP_POLICY_PARENT, REAP_NOTIFY_LATE },
	{ REAP_POLICY_ADOPTER, REAP_NOTIFY_EARLY },
};

static inline void
child_exited(struct reap_context *parent, struct reap_context *child)
{
	EXPLORE_CHECK(reap_context_parent(child) == parent);
	/* No stranger that has the descriptor of the parent that was. */
	EXPLORE_CHECK(reap_context_user(child) == NULL || reap_context_user(child) == reap_context_user(parent));
}

static inline void
make_domain(void)
{
	const struct reap_host host = { .next = next, .ready = ready, .idle = how.busy ? NULL : idle, .wake = wake,
	    .direct = how.direct, .shares = how.shares, .child_exited = how.told ? child_exited : NULL };
	struct reap_domain_options options = { .size = sizeof(options), .host = &host,
	    .before_final_switch = how.plain ? NULL : last_touch,
	    .policy = how.thread != 0 ? REAP_POLICY_THREAD : variants[explore_variant].policy,
	    .notify = variants[explore_variant].notify };

	options.stack.cache = 2;
	options.limit = how.limit;
	EXPLORE_CHECK(reap_domain_create(&options, &domain) == 0);
}

#define SETUP(name, ...)				\
static inline void					\
name(void)						\
{							\
	how = (struct how){ __VA_ARGS__ };		\
	make_domain();					\
}
SETUP(setup, 0)
SETUP(direct_setup, .direct = true)
SETUP(told_setup, .told = true)
SETUP(shares_setup, .shares = true)
SETUP(plain_setup, .shares = true, .plain = true)
SETUP(busy_setup, .busy = true)

static inline void
unexpected(struct reap_context *context, void *arg)
{
	(void)context;
	(void)arg;
	explore_fail("a context was never collected");
}

/* No reference is left: every descriptor that was ever given out is free. */
static inline void
check_descriptors(void)
{
	size_t carved = 0, nfree = domain->ndescriptors;

	for (struct reap__descriptors *slab = domain->slabs; slab != NULL; slab = slab->next)
		carved += slab->carved;
	for (struct reap_context *c = domain->returned; c != NULL; c = c->next)
		nfree++;
	EXPLORE_CHECK(nfree == carved);
}

static inline void
finish(void)
{
	struct reap_stats stats = { .size = sizeof(stats) };
	struct reap__stack_counts counts;

	while (reap_adopter_drain(reap_adopter_default(domain), 100) > 0)
		continue;
	reap__depot_stats(&domain->depot, &counts);
	EXPLORE_CHECK(counts.live == 0);
	EXPLORE_CHECK(reap_domain_stats(domain, &stats) == 0 && stats.created == stats.reaped);
	check_descriptors();
	EXPLORE_CHECK(reap_domain_destroy(domain, unexpected, NULL) == 0);
}

/* -- contexts */

static inline intptr_t
body(void *arg)
{
	touch_stack(reap_worker_current(reap_worker_self()));
	if (arg != NULL)
		*(int *)arg = 1;
	if (how.plain)
		last_touch(reap_worker_current(reap_worker_self()));
	return 7;
}

/* Of another life, in which nobody who asks for the first one may be told anything. */
static inline intptr_t
next_body(void *arg)
{
	(void)body(arg);
	return 9;
}

static inline struct reap_context *
make(reap_entry *entry, void *arg, unsigned flags)
{
	struct reap_context_options options = { .size = sizeof(options), .entry = entry, .arg = arg, .flags = flags,
	    .off_cpu = reaped };
	struct reap_context *context;

	EXPLORE_CHECK(reap_context_create(domain, &options, &context) == 0);
	return context;
}

static inline void
start(void)
{
	struct reap_worker *worker;

	EXPLORE_CHECK(reap_worker_start(domain, NULL, &worker) == 0);
	explore_is(worker);
}

static inline void
stop(void)
{
	EXPLORE_CHECK(reap_worker_stop(reap_worker_self()) == 0);
}

/* A worker that has nothing else to do. */
static inline void
serve(void)
{
	while (!explore_over()) {
		struct reap_context *context = explore_next();

		if (context != NULL)
			(void)reap_switch(reap_worker_self(), context);
		else
			explore_idle(true);
	}
}

static inline void
serving(void)
{
	start();
	serve();
	stop();
}

#endif
