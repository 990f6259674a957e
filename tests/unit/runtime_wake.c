/* SPDX-License-Identifier: ISC */
/*
 * runtime_wake.c: who is woken by whom in the bundled runtime: parking places, events from outside, other threads, other runtimes.
 */
#include <pthread.h>
#include <time.h>

#include "runtime.h"

/* ---- parking */

struct places {
	struct reap_parking	here, there;
	int			came;		/* by contexts of one worker */
};

static intptr_t
parks_too(void *arg)
{
	struct places *places = arg;

	CHECK_EQ(reap_park_at(&places->here), -EBUSY);
	places->came++;
	reap_unpark(&places->here);
	return 0;
}

static intptr_t
parks(void *arg)
{
	struct places		places = { .came = 0 };
	struct reap_context	*child;

	(void)arg;
	reap_unpark(&places.here);
	reap_unpark(&places.here);
	CHECK_EQ(reap_park_at(&places.here), 0);	/* remembered ... */
	CHECK_EQ(reap_go(parks_too, &places, &child), 0);
	CHECK_EQ(places.came, 0);
	CHECK_EQ(reap_park_at(&places.here), 0);	/* ... once: this one sleeps until the child has found the place taken */
	CHECK_EQ(places.came, 1);
	CHECK_EQ(reap_wait(child, 0, NULL), 0);
	reap_unpark(&places.here);
	CHECK_EQ(reap_park_at(&places.here), 0);
	return 42;
}

TEST(runtime, an_unpark_that_comes_first_is_remembered_once)
{
	run(1, parks, NULL);
}

/* ---- events from outside */

struct events {
	pthread_mutex_t		lock;
	pthread_cond_t		cond;
	struct reap_parking	*due[4];
	unsigned		ndue, asleep;
	bool			woken;
	unsigned		looks, sleeps;		/* so many calls of each kind; by the macros of atomic.h */
};

static void
poll_events(void *arg, uint64_t wait)
{
	struct events		*events = arg;
	struct reap_parking	*due[4];
	unsigned		n;

	(void)REAP_ADD_RELAXED(wait == 0 ? &events->looks : &events->sleeps, 1);
	pthread_mutex_lock(&events->lock);
	if (wait != 0) {
		struct timespec until;

		clock_gettime(CLOCK_REALTIME, &until);
		wait = wait < 3600 * UINT64_C(1000000000) ? wait : 3600 * UINT64_C(1000000000);
		wait += (uint64_t)until.tv_nsec;
		until.tv_sec += (time_t)(wait / 1000000000);
		until.tv_nsec = (long)(wait % 1000000000);
		CHECK_EQ(events->asleep++, 0);		/* one at a time */
		for (int err = 0; err == 0 && events->ndue == 0 && !events->woken;)
			err = pthread_cond_timedwait(&events->cond, &events->lock, &until);
		events->asleep--;
		events->woken = false;
	}
	for (n = 0; n < events->ndue; n++)
		due[n] = events->due[n];
	events->ndue = 0;
	pthread_mutex_unlock(&events->lock);
	while (n > 0)
		reap_unpark(due[--n]);
}

static void
wake_poller(void *arg)
{
	struct events *events = arg;

	pthread_mutex_lock(&events->lock);
	events->woken = true;
	pthread_cond_signal(&events->cond);
	pthread_mutex_unlock(&events->lock);
}

/* Without a word to the runtime: only poll_events() finds it. */
static void
event_for(struct events *events, struct reap_parking *parking)
{
	pthread_mutex_lock(&events->lock);
	events->due[events->ndue++] = parking;
	pthread_cond_signal(&events->cond);
	pthread_mutex_unlock(&events->lock);
}

static struct reap_runtime_options
with_events(unsigned n, struct events *events)
{
	struct reap_runtime_options options = workers(n);

	*events = (struct events){ .lock = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER };
	options.poller = (struct reap_poller){ poll_events, wake_poller, events };
	return options;
}

static intptr_t
awaits(void *arg)
{
	return reap_park_at(arg);
}

/* The workers sleep in poll(): what comes from outside by other ways reaches them there, and so does their end. */
static void
is_reached(unsigned n)
{
	struct reap_context_options	go = { .size = sizeof(go), .entry = awaits };
	struct reap_runtime_options	options;
	struct reap_parking		place = { 0 };
	struct reap_runtime		*rt;
	struct reap_handle		name;
	struct events			events;

	options = with_events(n, &events);
	go.arg = &place;
	CHECK_EQ(reap_runtime_create(&options, &rt), 0);
	for (int i = 0; i < 10; i++) {
		CHECK_EQ(reap_runtime_go(rt, &go, &name), 0);
		while (REAP_LOAD_RELAXED(&events.sleeps) == 0)
			(void)sched_yield();
		if (i % 2 == 0)
			event_for(&events, &place);
		else
			reap_unpark(&place);
		CHECK_EQ(reap_join(name, 0, NULL), 0);
	}
	CHECK_EQ(reap_runtime_destroy(rt), 0);
}

TEST(runtime, who_sleeps_in_the_poller_is_reached)
{
	is_reached(1);
	is_reached(3);
}

/* It says that it runs, and keeps the worker until it is told. */
struct occupant {
	struct reap_parking	place;
	unsigned		here, go, pausing;
};

static intptr_t
occupies(void *arg)
{
	struct occupant *occupant = arg;

	CHECK_EQ(reap_park_at(&occupant->place), 0);
	REAP_STORE_RELEASE(&occupant->here, 1);
	while (REAP_LOAD_ACQUIRE(&occupant->go) == 0)
		(void)sched_yield();
	return 0;
}

/* Two of these, and their worker is never idle. */
static intptr_t
pauses_until_another_runs(void *arg)
{
	struct occupant *occupant = arg;

	(void)REAP_ADD_RELAXED(&occupant->pausing, 1);
	while (REAP_LOAD_RELAXED(&occupant->here) == 0)
		reap_pause();
	return 0;
}

/* Its waker is held, for some milliseconds, when it has woken the only worker; that is the end of all meanwhile. */
struct farewell {
	struct events		events;		/* first: poll_events() knows these */
	struct reap_parking	place;
	uint32_t		over, early;	/* by the macros of atomic.h */
};

static void
wake_and_linger(void *arg)
{
	static const struct timespec	pause = { 0, 100 * 1000 };
	struct farewell			*f = arg;

	wake_poller(&f->events);
	for (int i = 0; i < 200 && REAP_LOAD_RELAXED(&f->over) == 0; i++)
		nanosleep(&pause, NULL);
	REAP_STORE_RELAXED(&f->early, REAP_LOAD_RELAXED(&f->over));
}

static void *
lets_it_end(void *arg)
{
	struct farewell *f = arg;

	while (REAP_LOAD_RELAXED(&f->events.sleeps) == 0)
		(void)sched_yield();
	reap_unpark(&f->place);
	return NULL;
}

TEST(runtime, waits_for_the_unpark_that_lets_it_end)
{
	struct reap_runtime_options	options;
	struct farewell			f = { .over = 0 };
	pthread_t			thread;

	options = with_events(1, &f.events);
	options.poller.wake = wake_and_linger;
	options.poller.arg = &f;
	CHECK_EQ(pthread_create(&thread, NULL, lets_it_end, &f), 0);
	CHECK_EQ(reap_run(&options, awaits, &f.place, NULL), 0);
	REAP_STORE_RELAXED(&f.over, 1);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	CHECK_EQ(f.early, 0);
}

TEST(runtime, a_busy_worker_looks_for_events)
{
	struct reap_context_options	go = { .size = sizeof(go), .entry = occupies };
	struct occupant			occupant = { .go = 1 };
	struct reap_runtime_options	options;
	struct reap_runtime		*rt;
	struct reap_handle		names[3];
	struct events			events;

	options = with_events(1, &events);
	CHECK_EQ(reap_runtime_create(&options, &rt), 0);
	go.arg = &occupant;
	CHECK_EQ(reap_runtime_go(rt, &go, &names[0]), 0);
	go.entry = pauses_until_another_runs;
	CHECK_EQ(reap_runtime_go(rt, &go, &names[1]), 0);
	CHECK_EQ(reap_runtime_go(rt, &go, &names[2]), 0);
	while (REAP_LOAD_RELAXED(&occupant.pausing) < 2)
		(void)sched_yield();
	event_for(&events, &occupant.place);
	for (int i = 0; i < 3; i++)
		CHECK_EQ(reap_join(names[i], 0, NULL), 0);
	CHECK(REAP_LOAD_RELAXED(&events.looks) > 0);
	CHECK_EQ(reap_runtime_destroy(rt), 0);
}

/* The same without events: what other threads wake is not left out while there is something else to run. */
TEST(runtime, a_busy_worker_looks_for_what_came_from_outside)
{
	struct reap_context_options	go = { .size = sizeof(go), .entry = occupies };
	struct reap_runtime_options	one = workers(1);
	struct occupant			occupant = { .go = 1 };
	struct reap_runtime		*rt;
	struct reap_handle		names[3];

	CHECK_EQ(reap_runtime_create(&one, &rt), 0);
	go.arg = &occupant;
	CHECK_EQ(reap_runtime_go(rt, &go, &names[0]), 0);
	while (REAP_LOAD_RELAXED(&occupant.place.reap__word) == 0)
		(void)sched_yield();
	go.entry = pauses_until_another_runs;
	CHECK_EQ(reap_runtime_go(rt, &go, &names[1]), 0);
	CHECK_EQ(reap_runtime_go(rt, &go, &names[2]), 0);
	while (REAP_LOAD_RELAXED(&occupant.pausing) < 2)
		(void)sched_yield();
	reap_unpark(&occupant.place);
	for (int i = 0; i < 3; i++)
		CHECK_EQ(reap_join(names[i], 0, NULL), 0);
	CHECK_EQ(reap_runtime_destroy(rt), 0);
}

struct abroad {
	struct reap_parking	place;
	struct reap_runtime	*home;
	unsigned		back;		/* any thread */
};

static intptr_t
comes_back_home(void *arg)
{
	struct abroad *abroad = arg;

	CHECK_EQ(reap_park_at(&abroad->place), 0);
	CHECK(reap_runtime_self() == abroad->home);
	REAP_STORE_RELEASE(&abroad->back, 1);
	return 0;
}

static intptr_t
calls_abroad(void *arg)
{
	struct abroad *abroad = arg;

	CHECK(reap_runtime_self() != abroad->home);
	reap_unpark(&abroad->place);
	while (REAP_LOAD_ACQUIRE(&abroad->back) == 0)
		reap_pause();
	return 42;
}

/* A context is run by its own runtime, whoever wakes it. */
TEST(runtime, is_woken_from_another_runtime)
{
	struct reap_context_options	go = { .size = sizeof(go), .entry = comes_back_home };
	struct reap_runtime_options	one = workers(1);
	struct abroad			abroad = { .back = 0 };
	struct reap_handle		name;

	CHECK_EQ(reap_runtime_create(&one, &abroad.home), 0);
	go.arg = &abroad;
	CHECK_EQ(reap_runtime_go(abroad.home, &go, &name), 0);
	while (REAP_LOAD_RELAXED(&abroad.place.reap__word) == 0)
		(void)sched_yield();
	run(1, calls_abroad, &abroad);
	CHECK_EQ(reap_join(name, 0, NULL), 0);
	CHECK_EQ(reap_runtime_destroy(abroad.home), 0);
}

/* The first event's context keeps the worker that slept over the events; the second one is for another worker to see. */
TEST(runtime, somebody_else_sleeps_over_the_events_then)
{
	for (int i = 0; i < 40; i++) {
		struct reap_context_options	go = { .size = sizeof(go), .entry = occupies };
		struct occupant			first = { .go = 0 }, second = { .go = 1 };
		struct reap_runtime_options	options;
		struct reap_runtime		*rt;
		struct reap_handle		names[2];
		struct events			events;

		options = with_events(2, &events);
		CHECK_EQ(reap_runtime_create(&options, &rt), 0);
		go.arg = &first;
		CHECK_EQ(reap_runtime_go(rt, &go, &names[0]), 0);
		go.arg = &second;
		CHECK_EQ(reap_runtime_go(rt, &go, &names[1]), 0);
		/* Both are parked: what is runnable would have to wait for its worker. */
		while (REAP_LOAD_RELAXED(&first.place.reap__word) == 0 || REAP_LOAD_RELAXED(&second.place.reap__word) == 0)
			(void)sched_yield();
		event_for(&events, &first.place);
		while (REAP_LOAD_ACQUIRE(&first.here) == 0)
			(void)sched_yield();
		event_for(&events, &second.place);
		CHECK_EQ(reap_join(names[1], 0, NULL), 0);
		REAP_STORE_RELEASE(&first.go, 1);
		CHECK_EQ(reap_join(names[0], 0, NULL), 0);
		CHECK_EQ(reap_runtime_destroy(rt), 0);
	}
}

/* poll() is told to return in time for sleepers, who sleep for so long that there is time to get there. */
static uint64_t moment = 2000000;

static intptr_t
sleeps_a_moment(void *arg)
{
	struct timespec ts;
	uint64_t	when;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	when = (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec + moment;
	CHECK_EQ(reap_park_until(arg, when), -ETIMEDOUT);
	return 42;
}

TEST(runtime, who_sleeps_in_the_poller_wakes_in_time_for_the_sleepers)
{
	struct reap_runtime_options	options;
	struct reap_parking		place = { 0 };
	struct events			events;
	intptr_t			status;

	do {
		options = with_events(1, &events);
		CHECK_EQ(reap_run(&options, sleeps_a_moment, &place, &status), 0);
		CHECK_EQ(status, 42);
		moment *= 2;
	} while (REAP_LOAD_RELAXED(&events.sleeps) == 0);	/* a machine may be too slow for two milliseconds; never for all */
}
