/* SPDX-License-Identifier: ISC */
/*
 * scenarios_private.c: contexts that only their worker knows, plain or not, until they are named, shared or walked over.
 */
#include "scenarios_named.h"

/* -- private, and then shared */

/* The child may run anywhere: its host says so before it is in a queue. */
static void
shares_and_waits(void)
{
	struct reap_context *child;
	int ran = 0;

	start();
	explore_left(1);
	child = make(body, &ran, 0);
	EXPLORE_CHECK(reap_context_share(child) == 0);
	ready(child);
	EXPLORE_CHECK(reap_wait(child, 0, NULL) == 0);
	EXPLORE_CHECK(ran == 1);
	stop();
}

/* One stays at home, the other does not: both come to the same inbox. */
static intptr_t
mixed_body(void *arg)
{
	struct reap_context *private, *shared;
	int ran[2] = { 0, 0 };

	touch_stack(reap_worker_current(reap_worker_self()));
	private = make(body, &ran[0], 0);
	shared = make(body, &ran[1], 0);
	EXPLORE_CHECK(reap_context_share(shared) == 0);
	ready(shared);
	ready(private);
	EXPLORE_CHECK(reap_wait_any(0, NULL) == 0 && reap_wait_any(0, NULL) == 0);
	EXPLORE_CHECK(ran[0] == 1 && ran[1] == 1);
	EXPLORE_CHECK(reap_wait_any(0, NULL) == -ECHILD);
	(void)arg;
	return 7;
}

static void
mixed_family(void)
{
	start();
	explore_left(3);
	ready(make(mixed_body, NULL, 0));
	EXPLORE_CHECK(reap_wait_any(0, NULL) == 0);
	serve();
	stop();
}

/* Its parent, which is gone, was on this worker; it may live on elsewhere. */
static intptr_t
orphaning_private_body(void *arg)
{
	struct reap_context *child = make(body, NULL, 0);

	touch_stack(reap_worker_current(reap_worker_self()));
	if (arg != NULL)
		EXPLORE_CHECK(reap_context_share(child) == 0);
	ready(child);
	return 7;
}

static void
private_orphans(void)
{
	start();
	explore_left(4);
	ready(make(orphaning_private_body, NULL, 0));
	ready(make(orphaning_private_body, &how, 0));
	while (reap_wait_any(0, NULL) == 0)
		continue;
	serve();
	stop();
}

/* Its name is found when it is dead, and given away. */
static void
names_the_dead(void)
{
	struct reap_result result;
	struct reap_context *child;

	start();
	explore_left(1);
	child = make(body, NULL, 0);
	(void)reap_switch(reap_worker_self(), child);
	EXPLORE_CHECK(reap_wait(child, REAP_PEEK, &result) == 0);
	handle = result.handle;
	explore_send(&handle);
	if (reap_wait_any(0, NULL) == 0)
		got_it();
	EXPLORE_CHECK(reap_wait_any(0, NULL) == -ECHILD);
	stop();
}

/* -- plain: spawned with nothing uncommon about it.  Who is named is no longer */

static struct reap_context *
spawn(reap_entry *entry, void *arg)
{
	struct reap_context *context;

	EXPLORE_CHECK(reap_spawn(reap_worker_self(), entry, arg, &context) == 0);
	return context;
}

/* The first lives of a worker are not plain: it has neither stacks nor descriptors yet. */
static void
live_plainly(void)
{
	struct reap_context *child[3];

	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < 3; i++)
			child[i] = spawn(body, NULL);
		explore_left(3);
		for (int i = 0; i < 3; i++)
			ready(child[i]);
		for (int i = 0; i < 3; i++)
			EXPLORE_CHECK(reap_wait(child[i], 0, NULL) == 0);
	}
}

static void
lives_plainly(void)
{
	start();
	live_plainly();
	stop();
}

static intptr_t
names_itself(void *arg)
{
	(void)body(arg);
	handle = reap_context_handle(reap_worker_current(reap_worker_self()));
	explore_send(&handle);
	return 7;
}

/* Its parent sleeps plainly, and finds it named when it comes back. */
static intptr_t
plain_parent_body(void *arg)
{
	struct reap_context *child = spawn(names_itself, NULL);
	int error;

	touch_stack(reap_worker_current(reap_worker_self()));
	ready(child);
	error = arg == NULL ? reap_wait(child, 0, NULL) : reap_wait_any(0, NULL);
	EXPLORE_CHECK(error == 0 || (arg != NULL && error == -ECHILD));
	if (error == 0)
		got_it();
	return 7;
}

static void
plain_family(void *arg)
{
	struct reap_context *parent;

	start();
	parent = spawn(body, NULL);
	explore_left(2);
	(void)reap_switch(reap_worker_self(), parent);
	EXPLORE_CHECK(reap_wait(parent, 0, NULL) == 0);
	parent = spawn(plain_parent_body, arg);
	ready(parent);
	EXPLORE_CHECK(reap_wait(parent, 0, NULL) == 0);
	stop();
}

static void
plain_parent_waits(void)
{
	plain_family(NULL);
}

static void
plain_parent_waits_any(void)
{
	plain_family(&how);
}

static void
plain_named_setup(void)
{
	plain_setup();
	collected = malloc(sizeof(*collected));
}

/* -- walkers */

static void
seen(struct reap_context *context, void *arg)
{
	(void)arg;
	EXPLORE_CHECK(reap_context_user(context) == NULL);
	/* A private one's name is not a walker's to take. */
	if (!how.plain)
		EXPLORE_CHECK(reap_context_handle(context).generation != 0);
}

static void
walk_setup(void)
{
	setup();
	turn = malloc(sizeof(*turn));
}

static void
plain_walk_setup(void)
{
	plain_setup();
	turn = malloc(sizeof(*turn));
}

static void
made_while_seen(void)
{
	struct reap_context *child[2];

	start();
	if (how.plain)
		live_plainly();
	/* Nobody is made anew while the walker looks: it comes upon those that are made now. */
	REAP_STORE_RELEASE(turn, 1);
	for (int i = 0; i < 2; i++)
		child[i] = how.plain ? spawn(body, NULL) : make(body, NULL, 0);
	(void)explore_receive();
	explore_left(2);
	for (int i = 0; i < 2; i++) {
		(void)reap_switch(reap_worker_self(), child[i]);
		EXPLORE_CHECK(reap_wait(child[i], 0, NULL) == 0);
	}
	stop();
}

static void
walks(void)
{
	struct reap_stack_info info;

	while (how.plain && REAP_LOAD_ACQUIRE(turn) == 0)
		explore_yield();
	for (int i = 0; i < 6; i++) {
		(void)reap_domain_for_each(domain, seen, NULL);
		(void)reap_stack_lookup(domain, &info, &info);
		explore_yield();
	}
	explore_send(NULL);
}


static const struct explore_scenario scenarios[] = {
	{ "walk", 2, 1, 1, 2, walk_setup, { made_while_seen, walks }, finish },
	{ "walk, plain", 2, 1, 0, 1, plain_walk_setup, { made_while_seen, walks }, finish },
	{ "private, named", 2, 4, 1, 2, private_named_setup, { named_waits, joins }, once_finish },
	{ "private, detached", 2, 2, 1, 2, private_named_setup, { named_waits, detaches }, at_most_once_finish },
	{ "private, shared", 2, 4, 1, 2, shares_setup, { shares_and_waits, serving }, finish },
	{ "private and shared", 2, 4, 1, 2, shares_setup, { mixed_family, serving }, finish },
	{ "private, orphans", 2, 2, 0, 1, shares_setup, { private_orphans, serving }, finish },
	{ "private, named when dead", 2, 4, 1, 2, private_named_setup, { names_the_dead, joins }, once_finish },
	{ "private, held when dead", 2, 2, 1, 2, private_named_setup, { names_the_dead, holds }, at_most_once_finish },
	{ "plain", 2, 3, 0, 1, plain_setup, { lives_plainly, lives_plainly }, finish },
	{ "plain, joined asleep", 2, 3, 1, 2, plain_named_setup, { plain_parent_waits, joins }, once_finish },
	{ "plain, joined asleep for any", 2, 3, 1, 2, plain_named_setup, { plain_parent_waits_any, joins }, once_finish },
	{ "plain, held asleep", 2, 3, 1, 2, plain_named_setup, { plain_parent_waits, holds }, once_finish },
};
const struct explore_scenarios explore_private = { scenarios, sizeof(scenarios) / sizeof(scenarios[0]) };
