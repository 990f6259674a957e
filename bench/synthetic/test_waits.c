/* SPDX-License-Identifier: ISC */
/*
 * test_waits.c: the measuring build's records (lib/waits.h), included before this file as before those of the library.
 */
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "../replay/test.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static int held, told;

/* All records of one place together. */
static uint64_t
count_of(const char *kind, const char *object, const char *caller)
{
	const struct reap__wait *w;
	uint64_t n = 0;

	for (w = reap__waits_first(); w != NULL; w = w->next)
		if (strcmp(w->kind, kind) == 0 && strcmp(w->object, object) == 0 && strcmp(w->caller, caller) == 0)
			n += w->count[REAP__WAITS_WORKER] + w->count[REAP__WAITS_THREAD];
	return n;
}

static void
take_free_mutex(void)
{
	CHECK_EQ(pthread_mutex_lock(&lock), 0);
	CHECK_EQ(pthread_mutex_unlock(&lock), 0);
}

static void
take_held_mutex(void)
{
	CHECK_EQ(pthread_mutex_lock(&lock), 0);
	CHECK_EQ(pthread_mutex_unlock(&lock), 0);
}

static void *
waits_for_mutex(void *arg)
{
	(void)arg;
	__atomic_store_n(&told, 1, __ATOMIC_RELEASE);
	take_held_mutex();
	return NULL;
}

static void
mutexes(void)
{
	pthread_t thread;
	int i;

	reap__waits_reset();
	take_free_mutex();
	CHECK_EQ(count_of("mutex", "&lock", "take_free_mutex"), 0);
	/* However long the other is in getting there: until it has been seen waiting. */
	for (i = 0; i < 10000 && count_of("mutex", "&lock", "take_held_mutex") == 0; i++) {
		__atomic_store_n(&told, 0, __ATOMIC_RELAXED);
		(pthread_mutex_lock)(&lock);
		CHECK_EQ(pthread_create(&thread, NULL, waits_for_mutex, NULL), 0);
		while (__atomic_load_n(&told, __ATOMIC_ACQUIRE) == 0)
			sched_yield();
		sched_yield();
		CHECK_EQ(pthread_mutex_unlock(&lock), 0);
		CHECK_EQ(pthread_join(thread, NULL), 0);
	}
	CHECK_EQ(count_of("mutex", "&lock", "take_held_mutex"), 1);
}

static void *
tells(void *arg)
{
	(void)arg;
	(pthread_mutex_lock)(&lock);
	held = 1;
	(void)pthread_cond_signal(&cond);
	CHECK_EQ(pthread_mutex_unlock(&lock), 0);
	return NULL;
}

static void
conditions(void)
{
	pthread_t thread;
	uint64_t sleeps = 0;

	reap__waits_reset();
	(pthread_mutex_lock)(&lock);
	CHECK_EQ(pthread_create(&thread, NULL, tells, NULL), 0);
	for (; held == 0; sleeps++)
		CHECK_EQ(pthread_cond_wait(&cond, &lock), 0);
	CHECK_EQ(pthread_mutex_unlock(&lock), 0);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	CHECK(sleeps > 0);
	CHECK_EQ(count_of("futex", "&cond", "conditions"), sleeps);
	CHECK_EQ(count_of("futex wake", "&cond", "tells"), 1);
}

#define SWAP(name)										\
	static void										\
	name(uint64_t *word, uint64_t expected, uint64_t value)					\
	{											\
		while (!REAP_CAS_ACQ_REL(word, &expected, value))				\
			;									\
	}
SWAP(swap)
SWAP(once)
SWAP(once_more)
SWAP(and_again)

/* What a reading of the clock takes at best, ns. */
static uint64_t
clock_cost(void)
{
	uint64_t best = UINT64_MAX, since, cost;
	int i;

	for (i = 0; i < 1000; i++) {
		since = reap__waits_now();
		cost = reap__waits_now() - since;
		best = cost < best ? cost : best;
	}
	return best;
}

/* A loop that fails is a retry, unless it is kept from trying again for a microsecond: hence some loops.  One try is none. */
static void
retries(void)
{
	uint64_t word = 0;
	int i;

	if (clock_cost() > 200) {
		printf("# retries: not tried, a reading of the clock takes too long here\n");
		return;
	}
	reap__waits_reset();
	for (i = 0; i < 1000; i++)
		swap(&word, word, word + 1);
	CHECK_EQ(count_of("CAS retry", "word", "swap"), 0);
	for (i = 0; i < 1000; i++)
		swap(&word, word + 1, word + 2);
	CHECK(count_of("CAS retry", "word", "swap") > 0);
	CHECK(count_of("CAS retry", "word", "swap") <= 1000);
	/* One failure and the success that ends it are a retry, too. */
	once(&word, word + 1, word);
	once_more(&word, word + 1, word);
	and_again(&word, word + 1, word);
	CHECK(count_of("CAS retry", "word", "once") + count_of("CAS retry", "word", "once_more") +
	    count_of("CAS retry", "word", "and_again") > 0);
}

/* From the first queue to the run, whatever it is moved through. */
static void
queues(void)
{
	static struct reap__wait place = { "run queue", "queue", NULL, { 0, 0 }, { 0, 0 }, NULL, 0 };
	int context, other;

	reap__waits_reset();
	reap__waits_queued(&context);
	reap__waits_queued(&context);
	reap__waits_popped(&place, "queues", &context);
	CHECK_EQ(count_of("run queue", "queue", "queues"), 1);
	reap__waits_popped(&place, "queues", &context);
	reap__waits_popped(&place, "queues", &other);
	CHECK_EQ(count_of("run queue", "queue", "queues"), 1);
	CHECK_EQ(place.count[REAP__WAITS_THREAD], 1);
	reap__waits_reset();
	CHECK_EQ(count_of("run queue", "queue", "queues"), 0);
}

int
main(void)
{
	static const struct test tests[] = {
		{ "a mutex counts when somebody else holds it, under its name and its caller's", mutexes },
		{ "sleeps and wakes of a condition are counted", conditions },
		{ "a compare-and-swap that is tried again is a retry", retries },
		{ "a context waits from its first queue until it is popped to run", queues },
	};

	return test_run(tests, sizeof(tests) / sizeof(tests[0]));
}
