/* SPDX-License-Identifier: ISC */
/*
 * scenarios_family.c: parents, their children and who runs them; groups; the reaper thread; owned ones.
 */
#include "scenarios.h"

/* -- one parent, one child, two workers */

static void
parent_waits(void)
{
	struct reap_result result;
	struct reap_context *child;
	int ran = 0;

	start();
	explore_left(1);
	child = make(body, &ran, 0);
	ready(child);
	EXPLORE_CHECK(reap_wait(child, 0, &result) == 0);
	EXPLORE_CHECK(result.status == 7 && ran == 1);
	stop();
}

static void
parent_waits_any(void)
{
	struct reap_result result;
	int ran[2] = { 0, 0 };

	start();
	explore_left(2);
	ready(make(body, &ran[0], 0));
	ready(make(body, &ran[1], 0));
	for (int i = 0; i < 2; i++)
		EXPLORE_CHECK(reap_wait_any(0, &result) == 0 && result.status == 7);
	EXPLORE_CHECK(ran[0] == 1 && ran[1] == 1);
	EXPLORE_CHECK(reap_wait_any(0, &result) == -ECHILD);
	stop();
}

/* -- a parent that is a context, and may wake up on another worker */

static intptr_t
parent_body(void *arg)
{
	struct reap_context *child;
	int ran = 0;

	touch_stack(reap_worker_current(reap_worker_self()));
	child = make(body, &ran, 0);
	ready(child);
	EXPLORE_CHECK(reap_wait(child, 0, NULL) == 0);
	EXPLORE_CHECK(ran == 1);
	(void)arg;
	return 7;
}

static intptr_t
parent_any_body(void *arg)
{
	int ran = 0;

	touch_stack(reap_worker_current(reap_worker_self()));
	ready(make(body, &ran, 0));
	EXPLORE_CHECK(reap_wait_any(0, NULL) == 0);
	EXPLORE_CHECK(ran == 1);
	(void)arg;
	return 7;
}

static intptr_t
orphaning_body(void *arg)
{
	touch_stack(reap_worker_current(reap_worker_self()));
	ready(make(body, NULL, 0));
	(void)arg;
	return 7;
}

static void
family(reap_entry *entry)
{
	start();
	explore_left(2);
	ready(make(entry, NULL, REAP_CONTEXT_DETACHED));
	serve();
	stop();
}

static void
family_waits(void)
{
	family(parent_body);
}

static void
family_waits_any(void)
{
	family(parent_any_body);
}

static void
family_orphans(void)
{
	family(orphaning_body);
}

/* -- a parent's descriptor is that of another parent when the orphan, exiting, asks for it */

static struct reap_context *orphan;

static void
waits_for_next_parent(struct reap_context *dying)
{
	last_touch(dying);
	if (dying != orphan)
		return;
	explore_stage(1);
	explore_await(2);
}

static void
brief_setup(void)
{
	told_setup();
	domain->before_final_switch = waits_for_next_parent;
	orphan = NULL;
}

static intptr_t
brief_body(void *arg)
{
	orphan = make(body, NULL, 0);
	reap_context_set_user(orphan, &orphan);
	ready(orphan);
	explore_await(1);
	(void)arg;
	return 7;
}

static void
brief_parent(void)
{
	struct reap_context *parent;

	start();
	explore_left(3);
	reap_context_set_user(reap_worker_base(reap_worker_self()), &orphan);
	parent = make(brief_body, NULL, 0);
	reap_context_set_user(parent, &orphan);
	(void)reap_switch(reap_worker_self(), parent);
	EXPLORE_CHECK(reap_wait(parent, 0, NULL) == 0);
	parent = make(body, NULL, 0);
	explore_stage(2);
	(void)reap_switch(reap_worker_self(), parent);
	EXPLORE_CHECK(reap_wait(parent, 0, NULL) == 0);
	serve();
	stop();
}

/* -- two contexts that wait for each other, on two workers: one of them is told */

static struct pair {
	struct reap_handle	handle[2];
	uint32_t		deadlocks, named;
} *pair;

static void
pair_setup(void)
{
	setup();
	pair = malloc(sizeof(*pair));
}

static intptr_t
joins_other(void *arg)
{
	int error = reap_join(pair->handle[(intptr_t)arg], 0, NULL);

	EXPLORE_CHECK(error == 0 || error == -EDEADLK || error == -EBUSY || error == -ESRCH);
	if (error == -EDEADLK)
		(void)REAP_ADD_RELAXED(&pair->deadlocks, 1);
	return 7;
}

static void
makes_pair(void)
{
	struct reap_context *context[2];

	start();
	explore_left(2);
	for (int i = 0; i < 2; i++) {
		context[i] = make(joins_other, (void *)(intptr_t)!i, 0);
		pair->handle[i] = reap_context_handle(context[i]);
	}
	ready(context[0]);
	ready(context[1]);
	serve();
	stop();
}

/*
 * Three in a circle on two workers: a parent waits for its private child, which waits for a stranger, who waits for the parent.
 * Both ends close it at the same moment.
 */
static void
private_pair_setup(void)
{
	shares_setup();
	pair = malloc(sizeof(*pair));
}

static void
join_or_be_told(struct reap_handle whom)
{
	int error = reap_join(whom, 0, NULL);

	EXPLORE_CHECK(error == 0 || error == -EDEADLK || error == -EBUSY || error == -ESRCH);
}

static intptr_t
joins_stranger(void *arg)
{
	(void)arg;
	join_or_be_told(pair->handle[1]);
	return 7;
}

static intptr_t
waits_for_private(void *arg)
{
	struct reap_context *child = make(joins_stranger, NULL, 0);
	int error;

	ready(child);
	(void)reap_yield(reap_worker_self());
	error = reap_wait(child, 0, NULL);
	EXPLORE_CHECK(error == 0 || error == -EDEADLK);
	(void)arg;
	return 7;
}

static intptr_t
joins_parent(void *arg)
{
	(void)arg;
	join_or_be_told(pair->handle[0]);
	return 7;
}

static void
makes_parent(void)
{
	struct reap_context *context;

	start();
	explore_left(2);
	context = make(waits_for_private, NULL, 0);
	pair->handle[0] = reap_context_handle(context);
	explore_send(NULL);
	while (REAP_LOAD_ACQUIRE(&pair->named) == 0)
		explore_yield();
	ready(context);
	serve();
	stop();
}

static void
makes_stranger(void)
{
	struct reap_context *context;

	start();
	explore_left(1);
	context = make(joins_parent, NULL, 0);
	pair->handle[1] = reap_context_handle(context);
	REAP_STORE_RELEASE(&pair->named, 1);
	(void)explore_receive();
	ready(context);
	serve();
	stop();
}

/* -- a group whose members die on two workers */

static struct reap_group *group;

static void
group_setup(void)
{
	how = (struct how){ .marks = true };
	make_domain();
	EXPLORE_CHECK(reap_group_create(domain, &group) == 0);
}

static void
group_waits(void)
{
	struct reap_context_options options = { .size = sizeof(options), .entry = body, .group = group, .off_cpu = reaped };
	struct reap_context *context[2];
	int ran[2] = { 0, 0 }, left[2] = { 0, 0 };
	intptr_t status;

	start();
	explore_left(2);
	for (int i = 0; i < 2; i++) {
		options.arg = &ran[i];
		options.user = &left[i];
		EXPLORE_CHECK(reap_context_create(domain, &options, &context[i]) == 0);
	}
	ready(context[0]);
	ready(context[1]);
	EXPLORE_CHECK(reap_group_wait(group, 0, &status) == 0);
	EXPLORE_CHECK(status == 7 && ran[0] == 1 && ran[1] == 1);
	EXPLORE_CHECK(left[0] == 1 && left[1] == 1);
	serve();
	stop();
}

/* -- parked by its host, which publishes it when it is off the CPU */

static uintptr_t *parked;

static void
parked_setup(void)
{
	setup();
	parked = malloc(sizeof(*parked));
}

static bool
publish(struct reap_context *context, void *arg)
{
	(void)arg;
	/* Whoever takes it from there runs it. */
	REAP_STORE_RELEASE(parked, (uintptr_t)context);
	return true;
}

static intptr_t
parking_body(void *arg)
{
	int before = 1;

	touch_stack(reap_worker_current(reap_worker_self()));
	(void)reap_park(reap_worker_self(), publish, NULL);
	touch_stack(reap_worker_current(reap_worker_self()));
	EXPLORE_CHECK(before == 1);
	(void)arg;
	return 7;
}

static void
parks(void)
{
	start();
	explore_left(1);
	ready(make(parking_body, NULL, 0));
	EXPLORE_CHECK(reap_wait_any(0, NULL) == 0);
	serve();
	stop();
}

static void
unparks(void)
{
	uintptr_t context;

	start();
	while ((context = REAP_XCHG_ACQUIRE(parked, 0)) == 0)
		explore_yield();
	touch_stack((struct reap_context *)context);
	ready((struct reap_context *)context);
	serve();
	stop();
}

/* -- a reaper thread */

static void
thread_setup(void)
{
	how = (struct how){ .thread = 1 + explore_variant };
	make_domain();
	EXPLORE_CHECK(reap_thread_start(domain, explore_variant) == 0);
}

static void
lives_with_thread(void)
{
	int ran[2] = { 0, 0 };

	start();
	explore_left(2);
	for (int i = 0; i < 2; i++)
		ready(make(body, &ran[i], 0));
	EXPLORE_CHECK(reap_wait_any(0, NULL) == 0 && reap_wait_any(0, NULL) == 0);
	EXPLORE_CHECK(ran[0] == 1 && ran[1] == 1);
	stop();
	EXPLORE_CHECK(reap_thread_stop(domain) == 0);
}

/* -- a base context whose host cannot idle: a wait that nothing can end is told so */

static void
busy_waits_any(void)
{
	int error, ran = 0;

	start();
	explore_left(1);
	ready(make(body, &ran, 0));
	while ((error = reap_wait_any(0, NULL)) == -EDEADLK)
		explore_yield();
	EXPLORE_CHECK(error == 0 && ran == 1);
	serve();
	stop();
}

/* -- an owned one, given up by a thread, which is done with what it held */

static char held;

SETUP(discard_setup, .discarded = true)

static intptr_t
suspends(void *arg)
{
	(void)arg;
	touch_stack(reap_worker_current(reap_worker_self()));
	(void)reap_suspend(NULL);
	explore_fail("who was given up runs");
}

static void
given_up(struct reap_context *context, intptr_t status)
{
	explore_touch(&held);
	reaped(context, status);
}

static void
owns(void)
{
	struct reap_context_options options = { .size = sizeof(options), .entry = suspends, .flags = REAP_CONTEXT_OWNED,
	    .off_cpu = given_up };
	struct reap_context *context;

	start();
	EXPLORE_CHECK(reap_context_create(domain, &options, &context) == 0);
	EXPLORE_CHECK(reap_resume(context, 0, NULL) == REAP_SUSPENDED);
	explore_send(context);
	while (reap_worker_stop(reap_worker_self()) != 0)
		explore_idle(false);
	explore_touch(&waker);
}

static void
gives_up(void)
{
	struct reap_context *context = explore_receive();

	explore_touch(&held);
	EXPLORE_CHECK(reap_context_discard(context, 7) == 1);
}

static const struct explore_scenario scenarios[] = {
	{ "wait", 2, 5, 1, 2, setup, { parent_waits, serving }, finish },
	{ "wait any", 2, 4, 0, 1, setup, { parent_waits_any, serving }, finish },
	{ "context waits", 2, 5, 1, 2, setup, { family_waits, serving }, finish },
	{ "context waits for any", 2, 5, 1, 2, setup, { family_waits_any, serving }, finish },
	{ "orphan", 2, 4, 1, 2, setup, { family_orphans, serving }, finish },
	{ "follow", 2, 4, 1, 2, direct_setup, { family_waits, serving }, finish },
	{ "follow, any", 2, 4, 1, 2, direct_setup, { family_waits_any, serving }, finish },
	{ "host is told, orphan", 2, 4, 1, 2, told_setup, { family_orphans, serving }, finish },
	{ "host is told, waits", 2, 4, 1, 2, told_setup, { family_waits, serving }, finish },
	{ "join each other", 2, 2, 1, 2, pair_setup, { makes_pair, serving }, finish },
	{ "circle of three, one private", 2, 1, 1, 2, private_pair_setup, { makes_parent, makes_stranger }, finish },
	{ "park, unpark", 2, 2, 1, 2, parked_setup, { parks, unparks }, finish },
	{ "reaper thread", 2, 2, 0, 1, thread_setup, { lives_with_thread, explore_started }, finish },
	{ "wait any, no idle", 2, 2, 1, 2, busy_setup, { busy_waits_any, serving }, finish },
	{ "host is told, next parent", 2, 4, 1, 2, brief_setup, { brief_parent, serving }, finish },
	{ "group", 2, 2, 0, 1, group_setup, { group_waits, serving }, finish },
	{ "discard", 2, 1, 1, 2, discard_setup, { owns, gives_up }, finish },
};
const struct explore_scenarios explore_family = { scenarios, sizeof(scenarios) / sizeof(scenarios[0]) };
