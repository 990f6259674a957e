/* SPDX-License-Identifier: ISC */
/*
 * scenarios_words.c: one word, or one structure, between workers: completion, inbox, depot, credits.
 */
#include "scenarios.h"

/* -- door 1: a completion whose owner's memory goes with it */

static struct dead {
	struct reap_completion	done;
	struct reap_slot	slot;
	struct reap_waiter	waiter;
	uint32_t		told;
	int			data;
} *dead;

static void
completion_setup(void)
{
	dead = malloc(sizeof(*dead));
	memset(dead, 0, sizeof(*dead));
	reap_completion_init(&dead->done);
}

static void
completion_finish(void)
{
}

static void
poster(void)
{
	struct reap_slot slot = REAP_SLOT_INIT;

	dead->data = 1;
	reap_slot_put(&slot, &dead->done);
	reap_slot_landed(&slot);
}

static void
bury(void)
{
	EXPLORE_CHECK(dead->data == 1);
	free(dead);
}

static void
waits(void)
{
	EXPLORE_CHECK(reap_completion_wait(&dead->done) == 0);
	bury();
}

static void
looks(void)
{
	while (!reap_completion_posted(&dead->done))
		explore_yield();
	bury();
}

struct waits {
	struct reap_waiter	waiter;
	uint32_t		told;
};

static void
tell(struct reap_waiter *waiter)
{
	struct waits *w = (struct waits *)waiter;

	REAP_STORE_RELEASE(&w->told, 1);
}

static void
disarms(void)
{
	struct waits w = { { tell }, 0 };

	if (reap_completion_arm(&dead->done, &w.waiter) == 0) {
		if (reap_completion_disarm(&dead->done, &w.waiter) == 0) {
			w.told = 2;
			if (reap_completion_wait(&dead->done) != 0)
				explore_fail("the waiter that was taken back is still there");
			EXPLORE_CHECK(w.told == 2);
		} else {
			EXPLORE_CHECK(dead->data == 1);		/* as if posted() had said true */
			while (REAP_LOAD_ACQUIRE(&w.told) == 0)
				explore_yield();
		}
	}
	bury();
}

/* -- an inbox and nothing else: its corpses are never reaped, only looked at */

static struct reap__inbox *inbox;
static struct reap_context *corpse[2];
static uint64_t *gone;
static struct taker {
	struct reap_waiter	waiter;
	uint32_t		told;
} *taker;

static void
tell_taker(struct reap_waiter *waiter)
{
	struct taker *t = (struct taker *)waiter;

	/* The taker is there until it has seen this. */
	REAP_STORE_RELEASE(&t->told, 1);
	reap__os_wake(&t->told);
}

static void
inbox_setup(void)
{
	inbox = malloc(sizeof(*inbox));
	taker = malloc(sizeof(*taker));
	gone = malloc(sizeof(*gone));
	for (int i = 0; i < 2; i++)
		corpse[i] = malloc(sizeof(*corpse[i]));
}

static void
inbox_finish(void)
{
}

static void
take_sleep(void)
{
	taker->told = 0;
	taker->waiter.ready = tell_taker;
	if (!reap__inbox_await(inbox, &taker->waiter))
		return;
	while (REAP_LOAD_ACQUIRE(&taker->told) == 0)
		reap__os_wait(&taker->told, 0);
}

static void
push(int i)
{
	struct reap_waiter *sleeper = NULL;

	corpse[i]->status = 1;
	if (!reap__inbox_push(inbox, corpse[i], &sleeper))
		corpse[i]->status = 2;		/* closed: it is still ours */
	if (sleeper != NULL)
		sleeper->ready(sleeper);
}

static void
push_first(void)
{
	push(0);
}

static void
push_second(void)
{
	push(1);
}

static unsigned
take_all(void)
{
	struct reap_context *c;
	unsigned n = 0;

	reap__inbox_take(inbox);
	for (; (c = inbox->corpses) != NULL; n++) {
		reap__inbox_unlink(inbox, c);
		EXPLORE_CHECK(c->status == 1);
		c->status = 3;
	}
	return n;
}

static void
takes_two(void)
{
	unsigned n = 0;

	while ((n += take_all()) < 2)
		take_sleep();
}

static void
kicks(void)
{
	struct reap_waiter *sleeper;

	(void)REAP_ADD_RELAXED(gone, 1);
	sleeper = reap__inbox_kick(inbox);
	if (sleeper != NULL)
		sleeper->ready(sleeper);
}

static void
sees_two_gone(void)
{
	for (;;) {
		reap__inbox_take(inbox);
		if (REAP_LOAD_RELAXED(gone) == 2)
			return;
		take_sleep();
	}
}

static void
sees_push_and_kick(void)
{
	unsigned n = 0;

	for (;;) {
		n += take_all();
		if (n == 1 && REAP_LOAD_RELAXED(gone) == 1)
			return;
		take_sleep();
	}
}

static void
closes(void)
{
	struct reap_context *c;

	(void)reap__inbox_close(inbox);
	for (; (c = inbox->corpses) != NULL;) {
		reap__inbox_unlink(inbox, c);
		EXPLORE_CHECK(c->status == 1);
		c->status = 3;
	}
}

static void
closed_finish(void)
{
	EXPLORE_CHECK(corpse[0]->status == 2 || corpse[0]->status == 3);
}

/* -- batches of stacks by way of the depot */

static struct reap__depot *depot;

static uint64_t
no_time(void *arg)
{
	(void)arg;
	return 0;
}

static void
depot_setup(void)
{
	struct reap_stack_options options = { .cache = 2 };

	depot = malloc(sizeof(*depot));
	memset(depot, 0, sizeof(*depot));
	EXPLORE_CHECK(reap__depot_init(depot, &options, no_time, NULL) == 0);
}

static void
depot_finish(void)
{
}

static void
shelves(void)
{
	struct reap__stack_cache cache;
	struct reap__stack *s[3];

	reap__stack_cache_init(&cache, depot);
	for (int i = 0; i < 3; i++) {
		EXPLORE_CHECK(reap__stack_get(depot, &cache, 0, NULL, &s[i]) == 0);
		explore_touch(s[i]->lo);
	}
	for (int i = 0; i < 3; i++) {
		explore_touch(s[i]->lo);
		reap__stack_shelve(&cache, s[i]);
	}
	reap__stack_cache_fini(&cache);
}

/* -- dead stacks that go from one worker to the other */

static void
lives_on_stacks(void)
{
	struct reap_context *child[3];

	start();
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < 3; i++)
			child[i] = make(body, NULL, 0);
		explore_left(3);
		for (int i = 0; i < 3; i++)
			(void)reap_switch(reap_worker_self(), child[i]);
		for (int i = 0; i < 3; i++)
			EXPLORE_CHECK(reap_wait(child[i], 0, NULL) == 0);
	}
	stop();
}

/* -- two workers and few credits: none is lost, none is given out twice */

static uint64_t *alive;

static void
credit_setup(void)
{
	how = (struct how){ .limit = 2 };
	make_domain();
	alive = malloc(sizeof(*alive));
}

static void
three_credits_setup(void)
{
	how = (struct how){ .limit = 3 };
	make_domain();
	alive = malloc(sizeof(*alive));
}

static void
credit_finish(void)
{
	while (reap_adopter_drain(reap_adopter_default(domain), 100) > 0)
		continue;
	EXPLORE_CHECK(domain->credits == how.limit);
	finish();
}

static void
dies_on_credit(struct reap_context *context, intptr_t status)
{
	(void)context;
	(void)status;
	(void)REAP_ADD_RELAXED(alive, (uint64_t)-1);
}

static struct reap_context *
on_credit(void)
{
	struct reap_context_options options = { .size = sizeof(options), .entry = body, .off_cpu = dies_on_credit };
	struct reap_context *child;
	int error = reap_context_create(domain, &options, &child);

	EXPLORE_CHECK(error == 0 || error == -EAGAIN);
	if (error != 0)
		return NULL;
	EXPLORE_CHECK(REAP_ADD_RELAXED(alive, 1) <= how.limit);
	explore_left(1);
	(void)reap_switch(reap_worker_self(), child);
	return child;
}

/* Wants both credits, and recalls what the other has. */
static void
wants_two(void)
{
	struct reap_context *child[2];

	start();
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < 2; i++)
			child[i] = on_credit();
		for (int i = 0; i < 2; i++)
			if (child[i] != NULL)
				EXPLORE_CHECK(reap_wait(child[i], 0, NULL) == 0);
	}
	stop();
}

/* Makes three, of whom the other worker reaps: that one has more credits than it may keep. */
static void
makes_three(void)
{
	struct reap_handle *mine = malloc(3 * sizeof(*mine));

	start();
	for (int i = 0; i < 3; i++) {
		struct reap_context *child = on_credit();

		EXPLORE_CHECK(child != NULL);
		mine[i] = reap_context_handle(child);
	}
	for (int i = 0; i < 3; i++)
		explore_send(&mine[i]);
	explore_await(1);
	stop();
}

static void
reaps_three(void)
{
	start();
	for (int i = 0; i < 3; i++) {
		EXPLORE_CHECK(reap_join(*(struct reap_handle *)explore_receive(), 0, NULL) == 0);
	}
	explore_stage(1);
	(void)on_credit();
	stop();
}

static void
lives_on_credit(void)
{
	start();
	for (int i = 0; i < 2; i++) {
		struct reap_context *child = on_credit();

		if (child != NULL)
			EXPLORE_CHECK(reap_wait(child, 0, NULL) == 0);
	}
	stop();
}

/* Two credits, two workers, one life at a time on each: there is one for everybody. */
static void
always_has_credit(void)
{
	start();
	for (int i = 0; i < 2; i++) {
		struct reap_context *child = on_credit();

		EXPLORE_CHECK(child != NULL);
		EXPLORE_CHECK(reap_wait(child, 0, NULL) == 0);
	}
	stop();
}

static const struct explore_scenario scenarios[] = {
	{ "completion: post, posted", 2, 1, 9, 9, completion_setup, { poster, looks }, completion_finish },
	{ "completion: post, wait", 2, 1, 9, 9, completion_setup, { poster, waits }, completion_finish },
	{ "completion: post, disarm", 2, 1, 9, 9, completion_setup, { poster, disarms }, completion_finish },
	{ "inbox: two push", 3, 1, 1, 4, inbox_setup, { push_first, push_second, takes_two }, inbox_finish },
	{ "inbox: two kick", 3, 1, 1, 3, inbox_setup, { kicks, kicks, sees_two_gone }, inbox_finish },
	{ "inbox: push, kick", 3, 1, 1, 4, inbox_setup, { push_first, kicks, sees_push_and_kick }, inbox_finish },
	{ "inbox: push, close", 2, 1, 9, 9, inbox_setup, { push_first, closes }, closed_finish },
	{ "depot", 2, 1, 1, 2, depot_setup, { shelves, shelves }, depot_finish },
	{ "limit", 2, 1, 0, 1, credit_setup, { always_has_credit, always_has_credit }, credit_finish },
	{ "limit, recall", 2, 1, 0, 1, credit_setup, { wants_two, lives_on_credit }, credit_finish },
	{ "limit, surplus", 2, 1, 0, 1, three_credits_setup, { makes_three, reaps_three }, credit_finish },
	{ "stacks", 2, 3, 0, 1, setup, { lives_on_stacks, lives_on_stacks }, finish },
};
const struct explore_scenarios explore_words = { scenarios, sizeof(scenarios) / sizeof(scenarios[0]) };
