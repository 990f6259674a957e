/* SPDX-License-Identifier: ISC */
/*
 * posix.c: the parking lot of lib/os/posix.c at the moments that matter, whichever layer the library itself is built with.
 */
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>

#include "test.h"

/* The file itself, under other names, for the library has its own; what it sleeps by goes through here. */
#define reap__os_decommit		posix_decommit
#define reap__os_decommit_zeroes	posix_decommit_zeroes
#define reap__os_marker_works		posix_marker_works
#define reap__os_guard			posix_guard
#define reap__os_unguard		posix_unguard
#define reap__os_max_maps		posix_max_maps
#define reap__os_signal_frame		posix_signal_frame
#define reap__os_wait			posix_wait
#define reap__os_wake			posix_wake
static int	lot_lock(pthread_mutex_t *);
static int	lot_wait(pthread_cond_t *, pthread_mutex_t *);
static int	lot_broadcast(pthread_cond_t *);
#define pthread_mutex_lock		lot_lock
#define pthread_cond_wait		lot_wait
#define pthread_cond_broadcast		lot_broadcast
#include "os/posix.c"
#undef pthread_mutex_lock
#undef pthread_cond_wait
#undef pthread_cond_broadcast

static enum { NEVER, BEFORE_LOOK, BEFORE_SLEEP } when;		/* the sleeper's next step waits for the waker */
static uint32_t		 word;
static _Thread_local bool waking;
static sem_t		 goes_on;		/* the waker: wants the lock, or has woken whom it found */
static bool		 woke;			/* ... the latter; written before goes_on */
static pthread_t	 waker;
static unsigned		 asleep;		/* by the macros of atomic.h: so many have looked and hold the lock, or sleep */
static bool		 past;			/* the wake: nobody may sleep for it any more */

static void *
wakes(void *arg)
{
	(void)arg;
	waking = true;
	REAP_STORE_RELEASE(&word, 1);
	posix_wake(&word);
	return NULL;
}

static int
lot_lock(pthread_mutex_t *lock)
{
	if (waking)
		CHECK_EQ(sem_post(&goes_on), 0);
	else if (when == BEFORE_LOOK) {
		when = NEVER;
		CHECK_EQ(pthread_create(&waker, NULL, wakes, NULL), 0);
		CHECK_EQ(pthread_join(waker, NULL), 0);
		past = true;
	}
	return pthread_mutex_lock(lock);
}

static int
lot_wait(pthread_cond_t *changed, pthread_mutex_t *lock)
{
	CHECK(!past);
	if (when == BEFORE_SLEEP) {
		when = NEVER;
		CHECK_EQ(pthread_create(&waker, NULL, wakes, NULL), 0);
		CHECK_EQ(sem_wait(&goes_on), 0);
		CHECK(!woke);			/* it would have found nobody */
	}
	(void)REAP_ADD_RELAXED(&asleep, 1);
	return pthread_cond_wait(changed, lock);
}

static int
lot_broadcast(pthread_cond_t *changed)
{
	int error = pthread_cond_broadcast(changed);

	if (waking) {
		woke = true;
		CHECK_EQ(sem_post(&goes_on), 0);
	}
	return error;
}

TEST(posix, wake_between_look_and_sleep_is_not_lost)
{
	CHECK_EQ(sem_init(&goes_on, 0, 0), 0);
	when = BEFORE_SLEEP;
	while (REAP_LOAD_ACQUIRE(&word) == 0)
		posix_wait(&word, 0);
	CHECK_EQ(pthread_join(waker, NULL), 0);
	CHECK(woke);
}

TEST(posix, wake_before_the_look_is_seen)
{
	CHECK_EQ(sem_init(&goes_on, 0, 0), 0);
	when = BEFORE_LOOK;
	posix_wait(&word, 0);
	CHECK(past);
}

static void *
sleeps(void *arg)
{
	const uint32_t *my = arg;

	while (REAP_LOAD_ACQUIRE(my) == 0)
		posix_wait(my, 0);
	return NULL;
}

/* Two words of one bucket: who wakes one wakes both, as nobody knows who of them would be woken first. */
TEST(posix, wake_reaches_its_sleeper_among_strangers)
{
	static uint32_t words[65];	/* of 65, two are in one of 64 buckets */
	pthread_t thread[2];
	unsigned i = 0, j = 0;

	while (i == j || bucket_of(&words[i]) != bucket_of(&words[j]))
		if (++j == 65)
			j = ++i;
	CHECK_EQ(pthread_create(&thread[0], NULL, sleeps, &words[i]), 0);
	while (REAP_LOAD_RELAXED(&asleep) < 1)
		sched_yield();
	CHECK_EQ(pthread_create(&thread[1], NULL, sleeps, &words[j]), 0);
	while (REAP_LOAD_RELAXED(&asleep) < 2)
		sched_yield();
	for (int n = 1; n >= 0; n--) {		/* the one that came last first: a single wake would go to the other */
		REAP_STORE_RELEASE(&words[n == 0 ? i : j], 1);
		posix_wake(&words[n == 0 ? i : j]);
		CHECK_EQ(pthread_join(thread[n], NULL), 0);
	}
}
