/* SPDX-License-Identifier: ISC */
/*
 * scenarios_runtime.c: short lives of the bundled runtime, whole: from reap_run() to its return.
 *
 * A body that waits here is a long one: its worker does not switch meanwhile.  Nobody may sleep then over what somebody could do,
 * and no time passes that would wake who does: see idle.c, A and B.
 */
#include <reap/runtime.h>

#include "explore.h"
#include "runtime/worker.h"

static struct reap_parking parking;

static void
setup(void)
{
	parking.reap__word = 0;
}

static void
finish(void)
{
}

static void
touch_stack(void)
{
	const void *lo, *sp, *hi;

	if (reap_context_stack(reap_worker_current(reap_worker_self()), &lo, &sp, &hi) == 0)
		explore_touch(lo);
}

static void
runs(unsigned workers, reap_entry *entry)
{
	struct reap_runtime_options options = { .size = sizeof(options), .workers = workers };
	intptr_t status = 0;

	EXPLORE_CHECK(reap_run(&options, entry, NULL, &status) == 0 && status == 7);
}

/* -- a thread unparks the only context, which is private to its worker (A1) or, once it has been named, anybody's (B1) */

static intptr_t
parks(void *arg)
{
	int before = 1;

	if (explore_variant == 1)
		(void)reap_context_handle(reap_worker_current(reap_worker_self()));
	explore_send(reap_runtime_self());
	EXPLORE_CHECK(reap_park_at(&parking) == 0);
	touch_stack();
	EXPLORE_CHECK(before == 1);
	(void)arg;
	return 7;
}

static void
runs_parking(void)
{
	runs(1, parks);
}

static void
unparks(void)
{
	(void)explore_receive();
	reap_unpark(&parking);
}

/* -- a thread lets a context run which unparks the first */

static intptr_t
unparks_first(void *arg)
{
	touch_stack();
	reap_unpark(&parking);
	(void)arg;
	return 9;
}

static void
goes(void)
{
	struct reap_context_options options = { .size = sizeof(options), .entry = unparks_first, .flags = REAP_CONTEXT_DETACHED };

	EXPLORE_CHECK(reap_runtime_go(explore_receive(), &options, NULL) == 0);
}

/* -- two workers: the end calls for one that may be falling asleep */

static intptr_t
ends(void *arg)
{
	(void)arg;
	return 7;
}

static void
runs_ending(void)
{
	runs(2, ends);
}

/* -- who pauses for a long body goes on elsewhere */

static intptr_t
waits_for_pauser(void *arg)
{
	/* If nobody was hungry at the pause, it stays behind this body: what is private runs at the next switch. */
	if (reap__self()->local.count == 0)
		explore_await(1);
	(void)arg;
	return 9;
}

static intptr_t
pauses(void *arg)
{
	struct reap_context *child;
	struct reap_result result;

	EXPLORE_CHECK(reap_go(waits_for_pauser, NULL, &child) == 0);
	/* Shared from here on, so that its parent may go elsewhere. */
	(void)reap_context_handle(child);
	reap_pause();
	touch_stack();
	explore_stage(1);
	EXPLORE_CHECK(reap_wait(child, 0, &result) == 0 && result.status == 9);
	(void)arg;
	return 7;
}

static void
runs_pausing(void)
{
	runs(2, pauses);
}

/* -- of two that are readied one after the other the first is long: who was searching leaves, and has to look for the second */

static intptr_t
parks_then_waits(void *arg)
{
	struct worker *w;

	(void)parks(arg);
	w = reap__self();
	/* It came along with us, and nobody was hungry: what is private runs at the next switch. */
	if (w->local.count > 0)
		return 7;
	if (REAP_LOAD_RELAXED(&w->offer) & OFFER_PATIENT)
		explore_time();		/* for the watch */
	explore_await(1);
	return 7;
}

static intptr_t
frees_first(void *arg)
{
	touch_stack();
	explore_stage(1);
	(void)arg;
	return 9;
}

static void
runs_long(void)
{
	runs(2, parks_then_waits);
}

static void
unparks_and_goes(void)
{
	struct reap_context_options options = { .size = sizeof(options), .entry = frees_first, .flags = REAP_CONTEXT_DETACHED };
	struct reap_runtime *rt = explore_receive();

	while (IDLE_OF(REAP_LOAD_RELAXED(&rt->hungry)) < 2)
		explore_yield();
	reap_unpark(&parking);
	EXPLORE_CHECK(reap_runtime_go(rt, &options, NULL) == 0);
}

static const struct explore_scenario scenarios[] = {
	{ "runtime: unpark", 2, 2, 1, 2, setup, { runs_parking, unparks }, finish },
	{ "runtime: go", 2, 1, 1, 2, setup, { runs_parking, goes }, finish },
	{ "runtime: end", 2, 1, 1, 2, setup, { runs_ending, explore_started }, finish },
	{ "runtime: pause", 2, 1, 0, 1, setup, { runs_pausing, explore_started }, finish },
	{ "runtime: last searcher", 3, 1, 0, 0, setup, { runs_long, explore_started, unparks_and_goes }, finish },
};
const struct explore_scenarios explore_runtime = { scenarios, sizeof(scenarios) / sizeof(scenarios[0]) };
