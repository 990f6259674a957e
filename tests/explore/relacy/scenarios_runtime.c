/* SPDX-License-Identifier: ISC */
/*
 * scenarios_runtime.c: short lives of the bundled runtime, whole: from reap_run() to its return.
 *
 * A body that waits here is a long one: its worker does not switch meanwhile.  Nobody may sleep then over what somebody could do,
 * and no time passes that would wake who does: see idle.c, A and B.
 */
#include <errno.h>

#include <reap/runtime.h>

#include "explore.h"
#include "runtime/worker.h"

#define LIMIT	6		/* readings of the clock */

static struct reap_parking parking, other;
static struct reap_poller poller;
static int *told;			/* what comes before an unpark; on memory that is watched */

static void
setup(void)
{
	parking.reap__word = other.reap__word = 0;
	told = malloc(sizeof(*told));
	poller = (struct reap_poller){ NULL, NULL, NULL };
}

static void
finish(void)
{
}

/* -- a poller that knows of one event: `other' is to be unparked */

static pthread_mutex_t lock;
static pthread_cond_t happened;
static bool event, kicked;
static char *slept;

static void
poll(void *arg, uint64_t wait)
{
	bool came, late = wait == 0;

	pthread_mutex_lock(&lock);
	while (!late && !event && !kicked)
		if (wait == UINT64_MAX)
			(void)pthread_cond_wait(&happened, &lock);
		else
			late = pthread_cond_timedwait(&happened, &lock, NULL) != 0;
	came = event;
	event = false;
	if (wait != 0)
		kicked = false;
	pthread_mutex_unlock(&lock);
	if (wait != 0)
		explore_touch(slept);		/* one worker at a time */
	if (came)
		reap_unpark(&other);
	(void)arg;
}

static void
happens(bool *what)
{
	pthread_mutex_lock(&lock);
	*what = true;
	pthread_cond_signal(&happened);
	pthread_mutex_unlock(&lock);
}

static void
kick(void *arg)
{
	happens(&kicked);
	(void)arg;
}

static void
poller_setup(void)
{
	setup();
	poller = (struct reap_poller){ poll, kick, NULL };
	event = kicked = false;
	slept = malloc(1);
}

static void
touch_stack(void)
{
	const void *lo, *sp, *hi;

	if (reap_context_stack(reap_worker_current(reap_worker_self()), &lo, &sp, &hi) == 0)
		explore_touch(lo);
}

/* The running context may go on anywhere. */
static void
shared(void)
{
	EXPLORE_CHECK(reap_context_share(reap_worker_current(reap_worker_self())) == 0);
}

static void
runs(unsigned workers, reap_entry *entry)
{
	struct reap_runtime_options options = { .size = sizeof(options), .workers = workers, .poller = poller };
	intptr_t status = 0;

	EXPLORE_CHECK(reap_run(&options, entry, NULL, &status) == 0 && status == 7);
}

/* -- a thread unparks the only context, which is private to its worker (A1) or, once it is shared, anybody's (B1) */

static intptr_t
parks(void *arg)
{
	int before = 1;

	if (explore_variant == 1)
		shared();
	explore_send(reap_runtime_self());
	EXPLORE_CHECK(reap_park_at(&parking) == 0);
	EXPLORE_CHECK(*told == 1);
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
	*told = 1;
	reap_unpark(&parking);
}

/* -- a thread lets a context run which unparks the first */

static intptr_t
unparks_first(void *arg)
{
	touch_stack();
	*told = 1;
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

/* In a body that waits until another one has run. */
static void
is_long(void)
{
	struct worker *w = reap__self();

	/* It came along with us, and nobody was hungry: what is private runs at the next switch. */
	if (w->local.count > 0)
		return;
	if (REAP_LOAD_RELAXED(&w->offer) & OFFER_PATIENT)
		explore_time();		/* for the watch */
	explore_await(1);
}

static intptr_t
parks_then_waits(void *arg)
{
	(void)parks(arg);
	is_long();
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
all_idle(struct reap_runtime *rt)
{
	while (IDLE_OF(REAP_LOAD_RELAXED(&rt->hungry)) < rt->nworkers)
		explore_yield();
}

static void
unparks_and_goes(void)
{
	struct reap_context_options options = { .size = sizeof(options), .entry = frees_first, .flags = REAP_CONTEXT_DETACHED };
	struct reap_runtime *rt = explore_receive();

	all_idle(rt);
	*told = 1;
	reap_unpark(&parking);
	EXPLORE_CHECK(reap_runtime_go(rt, &options, NULL) == 0);
}

/* -- one of two workers unparks who parked on the other, and who gives up after some time, or not */

static int
park_for_a_while(struct reap_parking *where)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return reap_park_until(where, (uint64_t)now.tv_nsec + LIMIT * EXPLORE_TICK);
}

static intptr_t
gives_up(void *arg)
{
	EXPLORE_CHECK(park_for_a_while(&other) == -ETIMEDOUT);
	(void)arg;
	return 9;
}

static intptr_t
meets_child(void *arg)
{
	struct reap_context *child, *sleeper = NULL;
	struct reap_result result;
	int before = 1, error;

	EXPLORE_CHECK(reap_go(unparks_first, NULL, &child) == 0);
	(void)reap_context_handle(child);
	if (explore_variant == 2) {
		EXPLORE_CHECK(reap_go(gives_up, NULL, &sleeper) == 0);
		(void)reap_context_handle(sleeper);
	}
	shared();
	error = explore_variant == 0 ? reap_park_at(&parking) : park_for_a_while(&parking);
	touch_stack();
	EXPLORE_CHECK(before == 1);
	EXPLORE_CHECK(error == 0 ? *told == 1 : explore_variant != 0 && error == -ETIMEDOUT);
	EXPLORE_CHECK(reap_wait(child, 0, &result) == 0 && result.status == 9);
	if (sleeper != NULL) {
		explore_time();
		EXPLORE_CHECK(reap_wait(sleeper, 0, &result) == 0 && result.status == 9);
	}
	(void)arg;
	return 7;
}

static void
runs_meeting(void)
{
	runs(2, meets_child);
}

/* -- who sleeps in the poller is called away to a long body: the other one has to take its place */

static intptr_t
waits_for_event(void *arg)
{
	shared();
	EXPLORE_CHECK(reap_park_at(&other) == 0);
	explore_stage(1);
	(void)arg;
	return 9;
}

static intptr_t
parks_beside(void *arg)
{
	struct reap_context *child;

	EXPLORE_CHECK(reap_go(waits_for_event, NULL, &child) == 0);
	(void)reap_context_handle(child);
	(void)parks_then_waits(arg);
	EXPLORE_CHECK(reap_wait(child, 0, NULL) == 0);
	return 7;
}

static void
runs_polling(void)
{
	runs(2, parks_beside);
}

static void
unparks_before_event(void)
{
	struct reap_runtime *rt = explore_receive();

	if (explore_variant == 0)
		all_idle(rt);
	*told = 1;
	reap_unpark(&parking);
	happens(&event);
}

static const struct explore_scenario scenarios[] = {
	{ "runtime: unpark", 2, 2, 1, 2, setup, { runs_parking, unparks }, finish },
	{ "runtime: go", 2, 1, 1, 2, setup, { runs_parking, goes }, finish },
	{ "runtime: end", 2, 1, 0, 1, setup, { runs_ending, explore_started }, finish },
	{ "runtime: pause", 2, 1, 0, 0, setup, { runs_pausing, explore_started }, finish },
	{ "runtime: last searcher", 3, 1, 0, 0, setup, { runs_long, explore_started, unparks_and_goes }, finish },
	{ "runtime: unpark elsewhere", 2, 3, 0, 0, setup, { runs_meeting, explore_started }, finish },
	{ "runtime: poller", 3, 2, 0, 0, poller_setup, { runs_polling, explore_started, unparks_before_event }, finish },
};
const struct explore_scenarios explore_runtime = { scenarios, sizeof(scenarios) / sizeof(scenarios[0]) };
