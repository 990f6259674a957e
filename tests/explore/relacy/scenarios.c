/* SPDX-License-Identifier: ISC */
/*
 * scenarios.c: short lives in which threads meet at one word or another of the library's.
 *
 * A context touches its stack first of all when it begins and last of all before its final switch, and so does whoever may
 * when it is reaped: if these accesses were not ordered, somebody would use a stack that is still in use.
 */
#include <errno.h>
#include <string.h>

#include <reap/adopter.h>
#include <reap/completion.h>
#include <reap/context.h>
#include <reap/domain.h>
#include <reap/group.h>
#include <reap/wait.h>
#include <reap/worker.h>

#include "explore.h"
#include "os/os.h"
#include "stack/depot.h"
#include "stack/slab.h"
#include "worker.h"

static struct reap_domain *domain;

/* -- the host */

static struct reap_context *
next(struct reap_worker *worker)
{
	(void)worker;
	return explore_next();
}

static void
ready(struct reap_context *context)
{
	explore_ready(context);
}

static void
idle(struct reap_worker *worker)
{
	(void)worker;
	explore_idle();
}

static void
wake(struct reap_worker *worker)
{
	(void)worker;
	explore_wake();
}

static void
touch_stack(struct reap_context *context)
{
	const void *lo, *sp, *hi;

	if (reap_context_stack(context, &lo, &sp, &hi) == 0)
		explore_touch(lo);
}

static void
last_touch(struct reap_context *dying)
{
	touch_stack(dying);
	explore_left(-1);
}

static void
reaped(struct reap_context *context, intptr_t status)
{
	EXPLORE_CHECK(status == 7);
	touch_stack(context);
}

static const struct {
	enum reap_policy policy;
	enum reap_notify notify;
} variants[] = {
	{ REAP_POLICY_ADAPTIVE, REAP_NOTIFY_LATE },
	{ REAP_POLICY_PARENT, REAP_NOTIFY_EARLY },
	{ REAP_POLICY_SUCCESSOR, REAP_NOTIFY_LATE },
	{ REAP_POLICY_PARENT, REAP_NOTIFY_LATE },
	{ REAP_POLICY_ADOPTER, REAP_NOTIFY_EARLY },
};

static void
setup(void)
{
	const struct reap_host host = { .next = next, .ready = ready, .idle = idle, .wake = wake };
	struct reap_domain_options options = { .size = sizeof(options), .host = &host, .before_final_switch = last_touch,
	    .policy = variants[explore_variant].policy, .notify = variants[explore_variant].notify };

	options.stack.cache = 2;
	EXPLORE_CHECK(reap_domain_create(&options, &domain) == 0);
}

static void
unexpected(struct reap_context *context, void *arg)
{
	(void)context;
	(void)arg;
	explore_fail("a context was never collected");
}

static void
finish(void)
{
	struct reap__stack_counts counts;

	while (reap_adopter_drain(reap_adopter_default(domain), 100) > 0)
		continue;
	reap__depot_stats(&domain->depot, &counts);
	EXPLORE_CHECK(counts.live == 0);
	EXPLORE_CHECK(domain->count.created == domain->count.reaped);
	EXPLORE_CHECK(reap_domain_destroy(domain, unexpected, NULL) == 0);
}

/* -- contexts */

static intptr_t
body(void *arg)
{
	touch_stack(reap_worker_current(reap_worker_self()));
	if (arg != NULL)
		*(int *)arg = 1;
	return 7;
}

static struct reap_context *
make(reap_entry *entry, void *arg, unsigned flags)
{
	struct reap_context_options options = { .size = sizeof(options), .entry = entry, .arg = arg, .flags = flags,
	    .off_cpu = reaped };
	struct reap_context *context;

	EXPLORE_CHECK(reap_context_create(domain, &options, &context) == 0);
	return context;
}

static void
start(void)
{
	struct reap_worker *worker;

	EXPLORE_CHECK(reap_worker_start(domain, NULL, &worker) == 0);
}

static void
stop(void)
{
	EXPLORE_CHECK(reap_worker_stop(reap_worker_self()) == 0);
}

/* A worker that has nothing else to do. */
static void
serve(void)
{
	while (!explore_over()) {
		struct reap_context *context = explore_next();

		if (context != NULL)
			(void)reap_switch(reap_worker_self(), context);
		else
			explore_idle();
	}
}

static void
serving(void)
{
	start();
	serve();
	stop();
}

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
		} else
			while (REAP_LOAD_ACQUIRE(&w.told) == 0)
				explore_yield();
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
	explore_ready(child);
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
	explore_ready(make(body, &ran[0], 0));
	explore_ready(make(body, &ran[1], 0));
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
	explore_ready(child);
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
	explore_ready(make(body, &ran, 0));
	EXPLORE_CHECK(reap_wait_any(0, NULL) == 0);
	EXPLORE_CHECK(ran == 1);
	(void)arg;
	return 7;
}

static intptr_t
orphaning_body(void *arg)
{
	touch_stack(reap_worker_current(reap_worker_self()));
	explore_ready(make(body, NULL, 0));
	(void)arg;
	return 7;
}

static void
family(reap_entry *entry)
{
	start();
	explore_left(2);
	explore_ready(make(entry, NULL, REAP_CONTEXT_DETACHED));
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

/* -- an OS thread has the name of a child */

static struct reap_handle handle;
static unsigned *collected;

static void
named_setup(void)
{
	setup();
	collected = malloc(sizeof(*collected));
}

static struct reap_context *
named(void)
{
	struct reap_context *child;

	start();
	explore_left(1);
	child = make(body, NULL, 0);
	handle = reap_context_handle(child);
	explore_send(&handle);
	explore_ready(child);
	return child;
}

static void
got_it(void)
{
	(void)REAP_ADD_RELAXED(collected, 1);
}

static void
named_waits(void)
{
	struct reap_context *child = named();
	struct reap_result result;
	int error;

	error = reap_wait_any(0, &result);
	EXPLORE_CHECK(error == 0 || error == -ECHILD);
	if (error == 0)
		got_it();
	serve();
	stop();
	(void)child;
}

static void
named_waits_for_it(void)
{
	struct reap_result result;
	struct reap_context *child;
	struct reap_handle mine;
	int error;

	start();
	explore_left(1);
	child = make(body, NULL, 0);
	mine = handle = reap_context_handle(child);
	explore_send(&handle);
	explore_ready(child);
	error = reap_join(mine, 0, &result);
	EXPLORE_CHECK(error == 0 || error == -EBUSY || error == -ESRCH);
	if (error == 0)
		got_it();
	while ((error = reap_wait_any(0, &result)) != -ECHILD)
		EXPLORE_CHECK(error == 0);
	serve();
	stop();
}

static void
named_ends(void)
{
	/* The parent does not wait: its base context ends with its worker. */
	(void)named();
	serve();
	stop();
}

static void
joins(void)
{
	struct reap_handle h = *(struct reap_handle *)explore_receive();
	struct reap_result result;
	int error = reap_join(h, 0, &result);

	EXPLORE_CHECK(error == 0 || error == -EBUSY || error == -ESRCH);
	if (error == 0) {
		EXPLORE_CHECK(result.status == 7);
		got_it();
	}
}

static void
detaches(void)
{
	struct reap_handle h = *(struct reap_handle *)explore_receive();
	int error = reap_detach(h);

	EXPLORE_CHECK(error == 0 || error == -EBUSY || error == -ESRCH);
}

static void
holds(void)
{
	struct reap_handle h = *(struct reap_handle *)explore_receive();
	struct reap_result result;
	enum reap_state state;
	int error = reap_hold(h);

	EXPLORE_CHECK(error == 0 || error == -ESRCH);
	if (error != 0)
		return;
	EXPLORE_CHECK(reap_peek(h, &state, &result) == 0);
	if (state == REAP_STATE_ZOMBIE || state == REAP_STATE_EXITING)
		EXPLORE_CHECK(result.status == 7);
	EXPLORE_CHECK(reap_release(h) == 0);
}

static void
peeks(void)
{
	struct reap_handle h = *(struct reap_handle *)explore_receive();
	struct reap_result result;
	enum reap_state state;

	for (int i = 0; i < 2; i++)
		if (reap_peek(h, &state, &result) == 0 && (state == REAP_STATE_ZOMBIE || state == REAP_STATE_EXITING))
			EXPLORE_CHECK(result.status == 7);
}

static void
once_finish(void)
{
	EXPLORE_CHECK(*collected == 1);
	finish();
}

static void
at_most_once_finish(void)
{
	EXPLORE_CHECK(*collected <= 1);
	finish();
}

/* -- the descriptor of one life is that of the next */

static void
named_twice(void)
{
	struct reap_context *child = named();

	(void)reap_wait(child, 0, NULL);
	for (int i = 0; i < 2; i++) {
		while (reap_wait_any(0, NULL) != -ECHILD)
			continue;
		explore_left(1);
		child = make(body, NULL, 0);
		explore_ready(child);
		(void)reap_wait(child, 0, NULL);
	}
	serve();
	stop();
}

/* -- an adopter with a thread of its own */

static struct reap_adopter *adopter;

static void
adopter_setup(void)
{
	setup();
	EXPLORE_CHECK(reap_adopter_create(domain, NULL, &adopter) == 0);
}

static void
adopter_finish(void)
{
	if (adopter != NULL) {
		while (reap_adopter_drain(adopter, 100) > 0)
			continue;
		EXPLORE_CHECK(reap_adopter_backlog(adopter) == 0);
		EXPLORE_CHECK(reap_adopter_destroy(adopter) == 0);
	}
	EXPLORE_CHECK(reap_adopter_backlog(reap_adopter_default(domain)) == 0 ||
	    reap_adopter_drain(reap_adopter_default(domain), 100) > 0);
	finish();
}

static void
leaves_to_adopter(void)
{
	struct reap_context_options options = { .size = sizeof(options), .entry = body, .flags = REAP_CONTEXT_DETACHED,
	    .off_cpu = reaped, .adopter = adopter };
	struct reap_context *context;

	start();
	explore_left(2);
	for (int i = 0; i < 2; i++) {
		EXPLORE_CHECK(reap_context_create(domain, &options, &context) == 0);
		explore_ready(context);
	}
	serve();
	stop();
	reap_adopter_interrupt(adopter);
}

static void
drains(void)
{
	do
		(void)reap_adopter_drain(adopter, 1);
	while (reap_adopter_wait(adopter) == 0);
}

static void
leaves_to_one_that_ends(void)
{
	struct reap_context_options options = { .size = sizeof(options), .entry = body, .flags = REAP_CONTEXT_DETACHED,
	    .off_cpu = reaped, .adopter = adopter };
	struct reap_context *context;

	start();
	explore_left(1);
	EXPLORE_CHECK(reap_context_create(domain, &options, &context) == 0);
	explore_send(NULL);
	explore_ready(context);
	serve();
	stop();
}

static void
ends_adopter(void)
{
	(void)explore_receive();
	while (reap_adopter_destroy(adopter) != 0)
		explore_yield();
	adopter = NULL;
}

/* -- a group whose members die on two workers */

static struct reap_group *group;

static void
group_setup(void)
{
	setup();
	EXPLORE_CHECK(reap_group_create(domain, &group) == 0);
}

static void
group_waits(void)
{
	struct reap_context_options options = { .size = sizeof(options), .entry = body, .group = group, .off_cpu = reaped };
	struct reap_context *context[2];
	int ran[2] = { 0, 0 };
	intptr_t status;

	start();
	explore_left(2);
	for (int i = 0; i < 2; i++) {
		options.arg = &ran[i];
		EXPLORE_CHECK(reap_context_create(domain, &options, &context[i]) == 0);
	}
	explore_ready(context[0]);
	explore_ready(context[1]);
	EXPLORE_CHECK(reap_group_wait(group, 0, &status) == 0);
	EXPLORE_CHECK(status == 7 && ran[0] == 1 && ran[1] == 1);
	serve();
	stop();
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

const struct explore_scenario explore_scenarios[] = {
	{ "completion: post, posted", 2, 1, 9, 9, completion_setup, { poster, looks }, completion_finish },
	{ "completion: post, wait", 2, 1, 9, 9, completion_setup, { poster, waits }, completion_finish },
	{ "completion: post, disarm", 2, 1, 9, 9, completion_setup, { poster, disarms }, completion_finish },
	{ "inbox: two push", 3, 1, 3, 5, inbox_setup, { push_first, push_second, takes_two }, inbox_finish },
	{ "inbox: two kick", 3, 1, 3, 5, inbox_setup, { kicks, kicks, sees_two_gone }, inbox_finish },
	{ "inbox: push, kick", 3, 1, 3, 5, inbox_setup, { push_first, kicks, sees_push_and_kick }, inbox_finish },
	{ "inbox: push, close", 2, 1, 9, 9, inbox_setup, { push_first, closes }, closed_finish },
	{ "depot", 2, 1, 1, 2, depot_setup, { shelves, shelves }, depot_finish },
	{ "wait", 2, 5, 1, 2, setup, { parent_waits, serving }, finish },
	{ "wait any", 2, 4, 0, 1, setup, { parent_waits_any, serving }, finish },
	{ "context waits", 2, 5, 1, 2, setup, { family_waits, serving }, finish },
	{ "context waits for any", 2, 5, 1, 2, setup, { family_waits_any, serving }, finish },
	{ "orphan", 2, 4, 1, 2, setup, { family_orphans, serving }, finish },
	{ "join, wait any", 2, 4, 1, 2, named_setup, { named_waits, joins }, once_finish },
	{ "join, join", 2, 4, 1, 2, named_setup, { named_waits_for_it, joins }, at_most_once_finish },
	{ "join, parent ends", 2, 4, 1, 2, named_setup, { named_ends, joins }, at_most_once_finish },
	{ "detach, wait any", 2, 4, 1, 2, named_setup, { named_waits, detaches }, at_most_once_finish },
	{ "detach, parent ends", 2, 4, 1, 2, named_setup, { named_ends, detaches }, at_most_once_finish },
	{ "hold, wait any", 2, 2, 1, 2, named_setup, { named_waits, holds }, at_most_once_finish },
	{ "peek, reuse", 2, 2, 1, 2, named_setup, { named_twice, peeks }, at_most_once_finish },
	{ "join, reuse", 2, 2, 0, 1, named_setup, { named_twice, joins }, at_most_once_finish },
	{ "adopter", 2, 5, 0, 1, adopter_setup, { leaves_to_adopter, drains }, adopter_finish },
	{ "adopter ends", 2, 2, 1, 2, adopter_setup, { leaves_to_one_that_ends, ends_adopter }, adopter_finish },
	{ "group", 2, 2, 0, 1, group_setup, { group_waits, serving }, finish },
	{ "stacks", 2, 3, 0, 1, setup, { lives_on_stacks, lives_on_stacks }, finish },
	{ "join, join, wait any", 3, 2, 0, 0, named_setup, { named_waits, joins, joins }, at_most_once_finish },
};
const unsigned explore_nscenarios = sizeof(explore_scenarios) / sizeof(explore_scenarios[0]);
