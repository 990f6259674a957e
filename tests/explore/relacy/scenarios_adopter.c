/* SPDX-License-Identifier: ISC */
/*
 * scenarios_adopter.c: adopters: owed contexts and stacks, drained by another thread; and their end.
 */
#include "scenarios.h"

/* -- an adopter with a thread of its own */

static struct reap_adopter *adopter;
static bool adopter_gone;
static int *last_words;

static void
adopter_setup(void)
{
	setup();
	last_words = malloc(sizeof(*last_words));
	adopter_gone = false;
	EXPLORE_CHECK(reap_adopter_create(domain, NULL, &adopter) == 0);
}

static void
default_setup(void)
{
	setup();
	last_words = malloc(sizeof(*last_words));
	adopter_gone = false;
	adopter = reap_adopter_default(domain);
}

static void
adopter_finish(void)
{
	if (!adopter_gone && adopter != reap_adopter_default(domain)) {
		while (reap_adopter_drain(adopter, 100) > 0)
			continue;
		EXPLORE_CHECK(reap_adopter_backlog(adopter) == 0);
		EXPLORE_CHECK(reap_adopter_destroy(adopter) == 0);
	}
	while (reap_adopter_drain(reap_adopter_default(domain), 100) > 0)
		continue;
	EXPLORE_CHECK(reap_adopter_backlog(reap_adopter_default(domain)) == 0);
	finish();
}

static struct reap_context *
left_to(struct reap_adopter *heir)
{
	struct reap_context_options options = { .size = sizeof(options), .entry = body, .flags = REAP_CONTEXT_DETACHED,
	    .off_cpu = reaped, .adopter = heir };
	struct reap_context *context;

	EXPLORE_CHECK(reap_context_create(domain, &options, &context) == 0);
	return context;
}

static void
leaves_to_adopter(void)
{
	start();
	explore_left(2);
	ready(left_to(adopter));
	ready(left_to(adopter));
	serve();
	stop();
	*last_words = 1;
	reap_adopter_interrupt(adopter);
}

/* Under the adopter's policy its stacks are all that it gets of those who have a parent. */
static void
leaves_stacks(void)
{
	start();
	explore_left(2);
	for (int i = 0; i < 2; i++) {
		struct reap_context *child = make(body, NULL, 0);

		(void)reap_switch(reap_worker_self(), child);
		EXPLORE_CHECK(reap_wait(child, 0, NULL) == 0);
	}
	stop();
	*last_words = 1;
	reap_adopter_interrupt(adopter);
}

static void
drains(void)
{
	do
		(void)reap_adopter_drain(adopter, 1);
	while (reap_adopter_wait(adopter) == 0);
	EXPLORE_CHECK(*last_words == 1);
}

/* What has come is all that it sleeps for: no interruption helps it. */
static void
drains_two(void)
{
	int n = 0, reaped_now;

	if (variants[explore_variant].policy != REAP_POLICY_ADOPTER)
		return;
	while (n < 2) {
		if ((reaped_now = reap_adopter_drain(adopter, 1)) > 0)
			n += reaped_now;
		else
			EXPLORE_CHECK(reap_adopter_wait(adopter) == 0);
	}
}

static void
leaves_stacks_only(void)
{
	start();
	explore_left(2);
	for (int i = 0; i < 2; i++) {
		struct reap_context *child = make(body, NULL, 0);

		(void)reap_switch(reap_worker_self(), child);
		EXPLORE_CHECK(reap_wait(child, 0, NULL) == 0);
	}
	stop();
}

static void
leaves_and_drains(void)
{
	start();
	explore_left(2);
	for (int i = 0; i < 2; i++) {
		(void)reap_switch(reap_worker_self(), left_to(adopter));
		(void)reap_adopter_drain(adopter, 2);
	}
	stop();
}

static void
drains_too(void)
{
	for (int i = 0; i < 3; i++)
		(void)reap_adopter_drain(adopter, 1);
}

static void
leaves_to_one_that_ends(void)
{
	struct reap_context *context[2];

	start();
	explore_left(2);
	context[0] = left_to(adopter);
	context[1] = left_to(adopter);
	explore_send(NULL);
	(void)reap_switch(reap_worker_self(), context[0]);
	(void)reap_switch(reap_worker_self(), context[1]);
	while (reap_adopter_drain(reap_adopter_default(domain), 10) > 0)
		continue;
	stop();
}

static void
ends_adopter(void)
{
	(void)explore_receive();
	while (reap_adopter_destroy(adopter) != 0)
		explore_yield();
	adopter_gone = true;
	while (reap_adopter_drain(reap_adopter_default(domain), 10) > 0)
		continue;
}

static void
ends_adopter_with_stacks(void)
{
	(void)explore_receive();
	EXPLORE_CHECK(reap_adopter_destroy(adopter) == 0);
	adopter_gone = true;
}

static void
leaves_stacks_to_one_that_ends(void)
{
	struct reap_context_options options = { .size = sizeof(options), .entry = body, .off_cpu = reaped, .adopter = adopter };
	struct reap_context *context;

	start();
	explore_left(1);
	EXPLORE_CHECK(reap_context_create(domain, &options, &context) == 0);
	explore_send(NULL);
	(void)reap_switch(reap_worker_self(), context);
	EXPLORE_CHECK(reap_wait(context, 0, NULL) == 0);
	stop();
}

/* -- stacks that are owed, and nothing else */

static struct reap__stack *owed;

static void
owing_setup(void)
{
	struct reap__stack_cache cache;

	default_setup();
	reap__stack_cache_init(&cache, &domain->depot);
	owed = NULL;
	for (int i = 0; i < 2; i++) {
		struct reap__stack *stack;

		EXPLORE_CHECK(reap__stack_get(&domain->depot, &cache, 0, NULL, &stack) == 0);
		stack->next = owed;
		owed = stack;
	}
	reap__stack_cache_fini(&cache);
}

static void
owe(struct reap__stack *stack)
{
	struct reap_waiter *sleeper;

	explore_touch(stack->lo);
	stack->owner = NULL;
	sleeper = reap__adopter_owe_stack(adopter, stack);
	if (sleeper != NULL)
		sleeper->ready(sleeper);
}

static void
owes_two(void)
{
	struct reap__stack *first = owed, *second = owed->next;

	owe(first);
	owe(second);
}

static void
drains_stacks(void)
{
	struct reap__stack_cache cache;
	int n = 0, now;

	reap__stack_cache_init(&cache, &domain->depot);
	for (int i = 0; n < 2 && i < 4; i++) {
		now = reap__adopter_drain(adopter, 2, REAP_PAYER_ADOPTER, &cache);
		EXPLORE_CHECK(now >= 0);
		n += now;
	}
	for (struct reap__stack *s = cache.list; s != NULL; s = s->next)
		explore_touch(s->lo);
	reap__stack_cache_fini(&cache);
}

static void
owing_sub_setup(void)
{
	owing_setup();
	EXPLORE_CHECK(reap_adopter_create(domain, NULL, &adopter) == 0);
}

/* Contexts that name it would keep it: here its refs do. */
static void
ends_under_owers(void)
{
	reap__adopter_ref(adopter);
	EXPLORE_CHECK(reap_adopter_destroy(adopter) == 0);
	adopter_gone = true;
}

/* -- an adopter that is drained, and then ends */

static void
leaves_and_drains_one(void)
{
	start();
	explore_left(2);
	for (int i = 0; i < 2; i++)
		(void)reap_switch(reap_worker_self(), left_to(adopter));
	(void)reap_adopter_drain(adopter, 1);
	explore_send(NULL);
	stop();
}

static void
leaves_stacks_and_drains_one(void)
{
	start();
	explore_left(2);
	for (int i = 0; i < 2; i++) {
		struct reap_context_options options = { .size = sizeof(options), .entry = body, .off_cpu = reaped,
		    .adopter = adopter };
		struct reap_context *context;

		EXPLORE_CHECK(reap_context_create(domain, &options, &context) == 0);
		(void)reap_switch(reap_worker_self(), context);
		EXPLORE_CHECK(reap_wait(context, 0, NULL) == 0);
	}
	(void)reap_adopter_drain(adopter, 1);
	explore_send(NULL);
	stop();
}

/* One sleeps for it: it cannot be destroyed, and goes on. */
static void
sleeps_for_adopter(void)
{
	(void)reap_adopter_wait(adopter);
	(void)reap_adopter_drain(adopter, 2);
}

static void
ends_adopter_in_vain(void)
{
	while ((REAP_LOAD_RELAXED(&adopter->inbox.head) & REAP__INBOX_WAITER) == 0)
		explore_yield();
	EXPLORE_CHECK(reap_adopter_destroy(adopter) == -EBUSY);
	reap_adopter_interrupt(adopter);
}

static const struct explore_scenario scenarios[] = {
	{ "adopter", 2, 5, 0, 1, adopter_setup, { leaves_to_adopter, drains }, adopter_finish },
	{ "adopter, stacks", 2, 5, 0, 1, default_setup, { leaves_stacks, drains }, adopter_finish },
	{ "adopter, stacks wake", 2, 5, 0, 1, default_setup, { leaves_stacks_only, drains_two }, adopter_finish },
	{ "adopter, two drain", 2, 4, 1, 2, default_setup, { leaves_and_drains, drains_too }, adopter_finish },
	{ "adopter ends", 2, 2, 1, 2, adopter_setup, { leaves_to_one_that_ends, ends_adopter }, adopter_finish },
	{ "adopter ends, stacks", 2, 5, 1, 2, adopter_setup, { leaves_stacks_to_one_that_ends, ends_adopter_with_stacks },
	  adopter_finish },
	{ "stacks owed", 2, 1, 1, 3, owing_setup, { owes_two, drains_stacks }, adopter_finish },
	{ "stacks owed, adopter ends", 2, 1, 2, 4, owing_sub_setup, { owes_two, ends_under_owers }, adopter_finish },
	{ "adopter drained, ends", 2, 2, 1, 2, adopter_setup, { leaves_and_drains_one, ends_adopter }, adopter_finish },
	{ "adopter drained, ends, stacks", 2, 5, 1, 2, adopter_setup, { leaves_stacks_and_drains_one, ends_adopter },
	  adopter_finish },
	{ "adopter awaited, ends", 2, 1, 2, 3, adopter_setup, { sleeps_for_adopter, ends_adopter_in_vain }, adopter_finish },
};
const struct explore_scenarios explore_adopter = { scenarios, sizeof(scenarios) / sizeof(scenarios[0]) };
