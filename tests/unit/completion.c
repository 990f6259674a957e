/* SPDX-License-Identifier: ISC */
/*
 * completion.c: door 1: the slot, the landing and the completion, without contexts.
 */
#include <errno.h>
#include <pthread.h>

#include <reap.h>

#include "misuse.h"
#include "test.h"

struct bell {
	struct reap_waiter waiter;	/* first: ready() gets back to the rest */
	struct reap_completion *rung_by;
	bool	 posted_when_rung;
	unsigned rung;
};

static void
ring(struct reap_waiter *waiter)
{
	struct bell *bell = (struct bell *)waiter;

	bell->rung++;
	bell->posted_when_rung = bell->rung_by != NULL && reap_completion_posted(bell->rung_by);
}

TEST(completion, is_pending_until_posted)
{
	struct reap_completion done = REAP_COMPLETION_INIT, other;

	reap_completion_init(&other);
	CHECK(!reap_completion_posted(&done) && !reap_completion_posted(&other));
	reap_completion_post(&done);
	CHECK(reap_completion_posted(&done) && !reap_completion_posted(&other));
}

TEST(completion, is_one_word)
{
	CHECK_EQ(sizeof(struct reap_completion), sizeof(uintptr_t));
	CHECK_EQ(sizeof(struct reap_slot), sizeof(uintptr_t));
}

static void
post_twice(void *arg)
{
	struct reap_completion done = REAP_COMPLETION_INIT;

	(void)arg;
	reap_completion_post(&done);
	reap_completion_post(&done);
}

TEST(completion, posted_twice_aborts)
{
	CHECK_MISUSE("post-once", post_twice, NULL);
}

TEST(completion, readies_its_waiter_once_after_the_post)
{
	struct reap_completion	 done = REAP_COMPLETION_INIT;
	struct bell		 bell = { { ring }, &done, false, 0 };

	CHECK_EQ(reap_completion_arm(&done, &bell.waiter), 0);
	CHECK(!reap_completion_posted(&done));
	CHECK_EQ(bell.rung, 0);
	reap_completion_post(&done);
	CHECK_EQ(bell.rung, 1);
	CHECK(bell.posted_when_rung);
}

TEST(completion, arming_after_the_post_is_refused)
{
	struct reap_completion	 done = REAP_COMPLETION_INIT;
	struct bell		 bell = { { ring }, &done, false, 0 };

	reap_completion_post(&done);
	CHECK_EQ(reap_completion_arm(&done, &bell.waiter), -EALREADY);
	CHECK_EQ(reap_completion_disarm(&done, &bell.waiter), -EALREADY);
	CHECK_EQ(bell.rung, 0);
}

TEST(completion, has_one_waiter_at_a_time)
{
	struct reap_completion	 done = REAP_COMPLETION_INIT;
	struct bell		 first = { { ring }, &done, false, 0 }, second = first;

	CHECK_EQ(reap_completion_arm(&done, &first.waiter), 0);
	CHECK_EQ(reap_completion_arm(&done, &second.waiter), -EBUSY);
	CHECK_EQ(reap_completion_wait(&done), -EBUSY);
	CHECK_EQ(reap_completion_disarm(&done, &first.waiter), 0);
	CHECK_EQ(reap_completion_arm(&done, &second.waiter), 0);
	reap_completion_post(&done);
	CHECK_EQ(first.rung, 0);
	CHECK_EQ(second.rung, 1);
}

TEST(completion, disarming_gives_the_waiter_back)
{
	struct reap_completion	 done = REAP_COMPLETION_INIT;
	struct bell		 bell = { { ring }, &done, false, 0 };

	CHECK_EQ(reap_completion_arm(&done, &bell.waiter), 0);
	CHECK_EQ(reap_completion_disarm(&done, &bell.waiter), 0);
	CHECK(!reap_completion_posted(&done));
	reap_completion_post(&done);
	CHECK_EQ(bell.rung, 0);
}

static void *
post(void *arg)
{
	reap_completion_post(arg);
	return NULL;
}

TEST(completion, an_os_thread_sleeps_until_the_post)
{
	/* Some of these threads start late enough for the waiter to sleep, some early enough for it to find the post. */
	for (int i = 0; i < 200; i++) {
		struct reap_completion	 done = REAP_COMPLETION_INIT;
		pthread_t		 thread;

		CHECK_EQ(pthread_create(&thread, NULL, post, &done), 0);
		CHECK_EQ(reap_completion_wait(&done), 0);
		CHECK(reap_completion_posted(&done));
		CHECK_EQ(pthread_join(thread, NULL), 0);
	}
}

TEST(completion, waiting_after_the_post_returns_at_once)
{
	struct reap_completion done = REAP_COMPLETION_INIT;

	reap_completion_post(&done);
	CHECK_EQ(reap_completion_wait(&done), 0);
}

/* Two threads meet at the word: one posts, one arms and takes back. */
struct race {
	struct reap_completion done;
	pthread_barrier_t start;
};

static void *
race_post(void *arg)
{
	struct race *race = arg;

	pthread_barrier_wait(&race->start);
	reap_completion_post(&race->done);
	return NULL;
}

TEST(completion, arm_and_disarm_race_with_the_post)
{
	for (int i = 0; i < 500; i++) {
		struct race	 race = { .done = REAP_COMPLETION_INIT };
		struct bell	 bell = { { ring }, &race.done, false, 0 };
		pthread_t	 thread;
		int		 armed, disarmed = 0;

		CHECK_EQ(pthread_barrier_init(&race.start, NULL, 2), 0);
		CHECK_EQ(pthread_create(&thread, NULL, race_post, &race), 0);
		pthread_barrier_wait(&race.start);
		if ((armed = reap_completion_arm(&race.done, &bell.waiter)) == 0)
			disarmed = reap_completion_disarm(&race.done, &bell.waiter);
		CHECK_EQ(pthread_join(thread, NULL), 0);
		pthread_barrier_destroy(&race.start);
		CHECK(armed == 0 || armed == -EALREADY);
		CHECK(disarmed == 0 || disarmed == -EALREADY);
		CHECK_EQ(bell.rung, armed == 0 && disarmed == -EALREADY);	/* readied, or taken back: never both */
		CHECK(reap_completion_posted(&race.done));
	}
}

TEST(slot, landing_with_an_empty_slot_does_nothing)
{
	struct reap_slot slot = REAP_SLOT_INIT;

	reap_slot_landed(&slot);
	CHECK_EQ(slot.reap__prev, 0);
}

TEST(slot, landing_posts_who_is_in_the_slot)
{
	struct reap_slot	slot = REAP_SLOT_INIT;
	struct reap_completion	first = REAP_COMPLETION_INIT, second = REAP_COMPLETION_INIT;

	reap_slot_put(&slot, &first);
	CHECK(!reap_completion_posted(&first));
	reap_slot_landed(&slot);
	CHECK(reap_completion_posted(&first));
	reap_slot_landed(&slot);		/* were it still there, this would post twice, and abort */
	reap_slot_put(&slot, &second);		/* and this would find it full */
	CHECK(!reap_completion_posted(&second));
	reap_slot_landed(&slot);
	CHECK(reap_completion_posted(&second));
}

struct exit_when_rung {
	struct reap_waiter waiter;
	struct reap_slot *slot;
	struct reap_completion *next;
};

static void
put_when_rung(struct reap_waiter *waiter)
{
	struct exit_when_rung *it = (struct exit_when_rung *)waiter;

	reap_slot_put(it->slot, it->next);
}

TEST(slot, is_empty_before_the_post)
{
	struct reap_slot	slot = REAP_SLOT_INIT;
	struct reap_completion	first = REAP_COMPLETION_INIT, second = REAP_COMPLETION_INIT;
	struct exit_when_rung	it = { { put_when_rung }, &slot, &second };

	CHECK_EQ(reap_completion_arm(&first, &it.waiter), 0);
	reap_slot_put(&slot, &first);
	reap_slot_landed(&slot);
	CHECK(!reap_completion_posted(&second));
	reap_slot_landed(&slot);
	CHECK(reap_completion_posted(&second));
}

static void
put_twice(void *arg)
{
	struct reap_slot	slot = REAP_SLOT_INIT;
	struct reap_completion	first = REAP_COMPLETION_INIT, second = REAP_COMPLETION_INIT;

	(void)arg;
	reap_slot_put(&slot, &first);
	reap_slot_put(&slot, &second);
}

TEST(slot, a_full_one_aborts)
{
	CHECK_MISUSE("slot-full", put_twice, NULL);
}

TEST(slot, the_inlines_are_symbols_too)
{
	struct reap_slot	slot = REAP_SLOT_INIT;
	struct reap_completion	done;

	reap_completion_init_(&done);
	CHECK(!reap_completion_posted_(&done));
	reap_slot_put_(&slot, &done);
	reap_slot_landed_(&slot);
	CHECK(reap_completion_posted_(&done));
}

static void
host_rule(void *arg)
{
	(void)arg;
	reap_misuse("host-rule", "a host may have rules of its own");
}

TEST(misuse, names_the_rule)
{
	CHECK_MISUSE("host-rule", host_rule, NULL);
}

TEST(version, is_that_of_the_headers)
{
	char s[32];

	snprintf(s, sizeof(s), "%d.%d.%d", REAP_VERSION_MAJOR, REAP_VERSION_MINOR, REAP_VERSION_PATCH);
	CHECK_STR_EQ(reap_version(), s);
}
