/* SPDX-License-Identifier: ISC */
/*
 * wake_vs_sleep.c: a worker goes to sleep at the moment when somebody hands it work.  One lost wakeup and nothing moves any
 * more: the alarm ends the program.
 *
 *	pairs	contexts that unpark each other, with more workers than work, so that workers sleep and wake all the time
 *	pinned	the same, each bound to a worker of its own: only that one can be woken
 *	outside	OS threads that send contexts in and wait for them in the kernel, while all workers sleep in between
 *	knock	an OS thread that unparks a pinned context again and again
 *	rivals	an OS thread wakes the only worker, and is held before it has counted it as awake; meanwhile that one works, sleeps
 *		again, and another thread has work for it
 *	door	the only worker has said that it sleeps, and is held on its way into the poller; meanwhile it is woken
 *	stop	runtimes that end as their workers fall asleep for the first time
 *	events	what unparks comes by the poller, which nobody wakes for it
 *
 * All but rivals, door and the last is done twice, the second time with workers that sleep in a poller.  Those with OS threads,
 * but for the first two, wait between their rounds, a little longer each time, then from none again: so that some rounds hit the
 * moment at which the last worker goes to sleep, some tens of microseconds after it ran dry.  This program's runtime is built to
 * take some microseconds for that moment.
 */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <reap/runtime.h>

#include "../check.h"

#define WORKERS		3
#define SECONDS		120		/* enough under any sanitizer */

static long rounds = 8000;

static void
lost(int signo)
{
	static const char message[] = "wake_vs_sleep: nothing moves any more, a wakeup was lost\n";

	(void)signo;
	_exit(write(STDERR_FILENO, message, sizeof(message) - 1) < 0 ? 2 : 1);
}

struct pair {
	struct reap_parking side[2];
	long turns;			/* handed over with the turn: a plain counter */
};

static intptr_t
play(struct pair *pair, int me)
{
	for (long i = 0; i < rounds; i++) {
		CHECK_EQ(reap_park_at(&pair->side[me]), 0);
		CHECK_EQ(pair->turns, 2 * i + me);
		pair->turns++;
		reap_unpark(&pair->side[!me]);
	}
	return 0;
}

static intptr_t
left(void *arg)
{
	return play(arg, 0);
}

static intptr_t
right(void *arg)
{
	return play(arg, 1);
}

static intptr_t
pairs(void *arg)
{
	struct pair *pair = arg;
	struct reap_context *child;
	int i;

	for (i = 0; i < 2; i++) {
		CHECK_EQ(reap_go(left, &pair[i], &child), 0);
		CHECK_EQ(reap_go(right, &pair[i], &child), 0);
		reap_unpark(&pair[i].side[0]);
	}
	while (reap_wait_any(0, NULL) == 0)
		;
	CHECK_EQ(pair[0].turns, 2 * rounds);
	CHECK_EQ(pair[1].turns, 2 * rounds);
	return 0;
}

static unsigned taken[2];		/* seats: by index of the worker; any thread, by the macros of atomic.h */
static unsigned seated;

/* Wander until both workers have their side of the pair, made there and pinned there. */
static intptr_t
settle(void *arg)
{
	struct reap_context *child;
	struct reap_result result;

	while (REAP_LOAD_RELAXED(&seated) < 2) {
		unsigned nobody = 0;

		if (REAP_CAS_ACQUIRE(&taken[reap_runtime_worker_index()], &nobody, 1)) {
			struct reap_context_options options = {
				.size = sizeof(options),
				.entry = REAP_ADD_ACQ_REL(&seated, 1) == 1 ? left : right,
				.arg = arg,
				.flags = REAP_CONTEXT_PINNED
			};

			CHECK_EQ(reap_go_with(&options, &child), 0);
		}
		reap_pause();
	}
	while (reap_wait_any(0, &result) == 0)
		CHECK_EQ(result.status, 0);
	return 0;
}

static intptr_t
pinned(void *arg)
{
	struct pair *pair = arg;
	struct reap_context *child;

	CHECK_EQ(reap_go(settle, pair, &child), 0);
	CHECK_EQ(reap_go(settle, pair, &child), 0);
	reap_unpark(&pair->side[0]);
	while (reap_wait_any(0, NULL) == 0)
		;
	CHECK_EQ(pair->turns, 2 * rounds);
	return 0;
}

#define STEPS		1024		/* of a wait, ... */
#define STEP		128		/* ... each so many turns of an empty loop, some 50 ns */

static void
linger(long i)
{
	for (i = i * 37 % STEPS * STEP; i > 0; i--)
		__asm__ volatile("");
}

static intptr_t
increment(void *arg)
{
	return (intptr_t)arg + 1;
}

static void *
outside(void *arg)
{
	struct reap_context_options options = { .size = sizeof(options), .entry = increment };
	struct reap_result result;
	struct reap_handle handle;
	intptr_t i;

	for (i = 0; i < rounds / 2; i++) {
		linger(i);
		options.arg = (void *)i;
		CHECK_EQ(reap_runtime_go(arg, &options, &handle), 0);
		CHECK_EQ(reap_join(handle, 0, &result), 0);
		CHECK_EQ(result.status, i + 1);
	}
	return NULL;
}

static struct reap_parking door;
static long knocks;			/* answered; any thread, by the macros of atomic.h */

static intptr_t
answer(void *arg)
{
	for (long i = 0; i < rounds / 2; i++) {
		CHECK_EQ(reap_park_at(&door), 0);
		(void)REAP_ADD_RELAXED(&knocks, 1);
	}
	return (intptr_t)arg;
}

static intptr_t
porter(void *arg)
{
	struct reap_context_options options = { .size = sizeof(options), .entry = answer, .arg = arg, .flags = REAP_CONTEXT_PINNED };
	struct reap_context *child;

	CHECK_EQ(reap_go_with(&options, &child), 0);
	return reap_wait(child, 0, NULL);
}

static void
stop(const struct reap_runtime_options *options)
{
	struct reap_runtime *runtime;

	for (long i = 0; i < rounds / 8; i++) {
		CHECK_EQ(reap_runtime_create(options, &runtime), 0);
		linger(i);
		CHECK_EQ(reap_runtime_destroy(runtime), 0);
	}
}

static void
knock(struct reap_runtime *runtime)
{
	struct reap_context_options options = { .size = sizeof(options), .entry = porter };
	struct reap_handle handle;

	CHECK_EQ(reap_runtime_go(runtime, &options, &handle), 0);
	for (long i = 0; i < rounds / 2; i++) {
		linger(i);
		reap_unpark(&door);
		while (REAP_LOAD_RELAXED(&knocks) == i)
			sched_yield();
	}
	CHECK_EQ(reap_join(handle, 0, NULL), 0);
}

/* ---- a poller with two kinds of news: an event, and that it is to return */

static pthread_mutex_t poll_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t poll_cond = PTHREAD_COND_INITIALIZER;
static bool poll_woken, poll_event;	/* under the lock */

static void
poll_events(void *arg, uint64_t wait)
{
	struct timespec until;
	bool event;
	int err = 0;

	(void)arg;
	if (wait != 0) {
		clock_gettime(CLOCK_REALTIME, &until);
		wait = (wait < 1000 * UINT64_C(1000000000) ? wait : 1000 * UINT64_C(1000000000)) + (uint64_t)until.tv_nsec;
		until.tv_sec += (time_t)(wait / 1000000000);
		until.tv_nsec = (long)(wait % 1000000000);
	}
	pthread_mutex_lock(&poll_lock);
	while (wait != 0 && err == 0 && !poll_woken && !poll_event)
		err = pthread_cond_timedwait(&poll_cond, &poll_lock, &until);
	if (wait != 0)
		poll_woken = false;
	event = poll_event;
	poll_event = false;
	pthread_mutex_unlock(&poll_lock);
	if (event)
		reap_unpark(&door);
}

static void
tell(bool *what)
{
	pthread_mutex_lock(&poll_lock);
	*what = true;
	pthread_cond_signal(&poll_cond);
	pthread_mutex_unlock(&poll_lock);
}

static void
wake_poller(void *arg)
{
	(void)arg;
	tell(&poll_woken);
}

static void
events(struct reap_runtime *runtime)
{
	struct reap_context_options options = { .size = sizeof(options), .entry = answer };
	struct reap_handle handle;

	REAP_STORE_RELAXED(&knocks, 0);
	CHECK_EQ(reap_runtime_go(runtime, &options, &handle), 0);
	for (long i = 0; i < rounds / 2; i++) {
		linger(i);
		tell(&poll_event);
		while (REAP_LOAD_RELAXED(&knocks) == i)
			sched_yield();
	}
	CHECK_EQ(reap_join(handle, 0, NULL), 0);
}

/* ---- who wakes, or goes to sleep, is held in the middle of it */

static __thread bool slow;
static uint32_t held, released;		/* by the macros of atomic.h */
static uint64_t shown;			/* by the clock; likewise */
static struct reap_parking doors[2];

void	before_count(void);

void
before_count(void)			/* the runtime calls it, see meson.build */
{
	if (!slow)
		return;
	slow = false;
	REAP_STORE_RELEASE(&held, 1);
	while (REAP_LOAD_ACQUIRE(&released) == 0)
		sched_yield();
}

static int sleeps_to_hold;		/* 1: hold the next one on its way to sleep; the worker's thread */

void	before_sleep(void);

void
before_sleep(void)			/* likewise: before a worker says that it sleeps, and again before it sleeps in the poller */
{
	for (volatile int i = 0; i < 10000; i++)
		continue;
	if (sleeps_to_hold == 0 || --sleeps_to_hold != 0)
		return;
	REAP_STORE_RELEASE(&held, 1);
	while (REAP_LOAD_ACQUIRE(&released) == 0)
		sched_yield();
}

static uint64_t
show(void *arg)
{
	(void)arg;
	return REAP_LOAD_RELAXED(&shown);
}

static intptr_t
oversleep(void *arg)
{
	CHECK_EQ(reap_sleep_until(1000), 0);
	(void)REAP_ADD_RELAXED(&knocks, 1);
	return (intptr_t)arg;
}

static intptr_t
answer_once(void *arg)
{
	CHECK_EQ(reap_park_at(arg), 0);
	(void)REAP_ADD_RELAXED(&knocks, 1);
	return 0;
}

static void *
wakes_slowly(void *arg)
{
	slow = true;
	reap_unpark(arg);
	REAP_STORE_RELEASE(&held, 1);	/* if nobody needed to be woken */
	return NULL;
}

/* Some milliseconds, however many others want the processors, if it does not come to that: it need not. */
static void
await_knocks(long n)
{
	static const struct timespec pause = { 0, 50 * 1000 };

	for (int i = 0; i < 100 && REAP_LOAD_RELAXED(&knocks) < n; i++)
		nanosleep(&pause, NULL);
}

static void
rivals(void)
{
	struct reap_context_options sleeper = { .size = sizeof(sleeper), .entry = oversleep }, go = sleeper;
	struct reap_domain_options domain = { .size = sizeof(domain), .clock = show, .stack = { .decay_ns = UINT64_MAX } };
	struct reap_runtime_options options = { .size = sizeof(options), .workers = 1, .domain = &domain };
	struct reap_runtime *runtime;
	struct reap_handle handle[3];
	pthread_t thread;
	int i, j;

	go.entry = answer_once;
	for (i = 0; i < 8; i++) {
		REAP_STORE_RELAXED(&knocks, 0);
		REAP_STORE_RELAXED(&held, 0);
		REAP_STORE_RELAXED(&released, 0);
		REAP_STORE_RELAXED(&shown, 0);
		CHECK_EQ(reap_runtime_create(&options, &runtime), 0);
		CHECK_EQ(reap_runtime_go(runtime, &sleeper, &handle[2]), 0);
		for (j = 0; j < 2; j++) {
			go.arg = &doors[j];
			CHECK_EQ(reap_runtime_go(runtime, &go, &handle[j]), 0);
		}
		while (REAP_LOAD_RELAXED(&doors[0].reap__word) == 0 || REAP_LOAD_RELAXED(&doors[1].reap__word) == 0)
			sched_yield();
		/* The sleeper makes its worker look at the clock now and then: it wakes by itself. */
		CHECK_EQ(pthread_create(&thread, NULL, wakes_slowly, &doors[0]), 0);
		while (REAP_LOAD_ACQUIRE(&held) == 0)
			sched_yield();
		await_knocks(1);
		REAP_STORE_RELAXED(&shown, 2000);
		await_knocks(2);
		await_knocks(3);		/* it will not be: time to fall asleep */
		reap_unpark(&doors[1]);
		REAP_STORE_RELEASE(&released, 1);
		CHECK_EQ(pthread_join(thread, NULL), 0);
		for (j = 0; j < 3; j++)
			CHECK_EQ(reap_join(handle[j], 0, NULL), 0);
		CHECK_EQ(reap_runtime_destroy(runtime), 0);
	}
}

static intptr_t
answer_at_the_door(void *arg)
{
	sleeps_to_hold = 2;
	return answer_once(arg);
}

static void
at_the_door(struct reap_poller poller)
{
	struct reap_context_options go = { .size = sizeof(go), .entry = answer_at_the_door, .arg = &doors[0] };
	struct reap_domain_options domain = { .size = sizeof(domain), .stack = { .decay_ns = UINT64_MAX } };
	struct reap_runtime_options options = { .size = sizeof(options), .workers = 1, .domain = &domain, .poller = poller };
	struct reap_runtime *runtime;
	struct reap_handle handle;

	REAP_STORE_RELAXED(&held, 0);
	REAP_STORE_RELAXED(&released, 0);
	CHECK_EQ(reap_runtime_create(&options, &runtime), 0);
	CHECK_EQ(reap_runtime_go(runtime, &go, &handle), 0);
	while (REAP_LOAD_ACQUIRE(&held) == 0)
		sched_yield();
	reap_unpark(&doors[0]);
	REAP_STORE_RELEASE(&released, 1);
	CHECK_EQ(reap_join(handle, 0, NULL), 0);
	CHECK_EQ(reap_runtime_destroy(runtime), 0);
}

static void
all(struct reap_runtime_options options)
{
	static struct pair pair[3];
	struct reap_runtime *runtime;
	pthread_t thread[2];
	int i;

	memset(pair, 0, sizeof(pair));
	REAP_STORE_RELAXED(&taken[0], 0);
	REAP_STORE_RELAXED(&taken[1], 0);
	REAP_STORE_RELAXED(&seated, 0);
	REAP_STORE_RELAXED(&knocks, 0);
	CHECK_EQ(reap_run(&options, pairs, pair, NULL), 0);
	options.workers = 2;
	CHECK_EQ(reap_run(&options, pinned, &pair[2], NULL), 0);
	options.workers = WORKERS;
	CHECK_EQ(reap_runtime_create(&options, &runtime), 0);
	for (i = 0; i < 2; i++)
		CHECK_EQ(pthread_create(&thread[i], NULL, outside, runtime), 0);
	for (i = 0; i < 2; i++)
		CHECK_EQ(pthread_join(thread[i], NULL), 0);
	outside(runtime);		/* alone: nobody else wakes who has overslept */
	knock(runtime);
	if (options.poller.poll != NULL)
		events(runtime);
	CHECK_EQ(reap_runtime_destroy(runtime), 0);
	stop(&options);
}

int
main(int argc, char **argv)
{
	struct reap_runtime_options options = { .size = sizeof(options), .workers = WORKERS };

	rounds = argc > 1 ? atol(argv[1]) : check_long() ? 20 * rounds : rounds;
	signal(SIGALRM, lost);
	alarm(check_long() ? 20 * SECONDS : SECONDS);

	rivals();
	all(options);
	rounds /= 2;
	options.poller = (struct reap_poller){ .poll = poll_events, .wake = wake_poller };
	at_the_door(options.poller);
	all(options);
	printf("with a poller: %ld events and ", rounds / 2);
	printf("%ld hand-overs by unpark, %ld between pinned contexts, %ld from outside, %ld knocks, %ld ends, no wakeup lost\n",
	    4 * rounds, 2 * rounds, 3 * (rounds / 2), rounds / 2, rounds / 8);
	return 0;
}
