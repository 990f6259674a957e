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
#include <reap/resume.h>
#include <reap/stats.h>
#include <reap/wait.h>
#include <reap/worker.h>

#include "explore.h"
#include "os/os.h"
#include "stack/depot.h"
#include "stack/slab.h"
#include "worker.h"

static struct reap_domain *domain;

/* -- the host */

/* What is different in this scenario's domain. */
static struct how {
	bool		direct, told;
	bool		shares;		/* contexts are born private */
	bool		plain;		/* and with nothing uncommon, not even before_final_switch() */
	bool		busy;		/* no idle() */
	bool		discarded;	/* by a thread that is not the worker's */
	unsigned	thread;		/* 1: a reaper thread; more: one that does so much at a time */
	bool		marks;		/* the last that a context does is to write where its user pointer says */
	uint64_t	limit;
} how;

static struct reap_context *
next(struct reap_worker *worker)
{
	(void)worker;
	return explore_next();
}

static void
ready(struct reap_context *context)
{
	/* What is private goes home. */
	explore_ready(context, how.shares ? reap_context_home(context) : NULL);
}

static void
idle(struct reap_worker *worker)
{
	(void)worker;
	explore_idle(false);
}

static char waker;			/* stands for what wake() reads of the worker's */

static void
wake(struct reap_worker *worker)
{
	explore_wake(worker);
	if (how.discarded)
		explore_touch(&waker);
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
	if (how.marks && reap_context_user(dying) != NULL)
		*(int *)reap_context_user(dying) = 1;
	explore_left(-1);
}

static void
reaped(struct reap_context *context, intptr_t status)
{
	EXPLORE_CHECK(status == 7 || status == 9);
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
child_exited(struct reap_context *parent, struct reap_context *child)
{
	EXPLORE_CHECK(reap_context_parent(child) == parent);
	/* No stranger that has the descriptor of the parent that was. */
	EXPLORE_CHECK(reap_context_user(child) == NULL || reap_context_user(child) == reap_context_user(parent));
}

static void
make_domain(void)
{
	const struct reap_host host = { .next = next, .ready = ready, .idle = how.busy ? NULL : idle, .wake = wake,
	    .direct = how.direct, .shares = how.shares, .child_exited = how.told ? child_exited : NULL };
	struct reap_domain_options options = { .size = sizeof(options), .host = &host,
	    .before_final_switch = how.plain ? NULL : last_touch,
	    .policy = how.thread != 0 ? REAP_POLICY_THREAD : variants[explore_variant].policy,
	    .notify = variants[explore_variant].notify };

	options.stack.cache = 2;
	options.limit = how.limit;
	EXPLORE_CHECK(reap_domain_create(&options, &domain) == 0);
}

#define SETUP(name, ...)				\
static void						\
name(void)						\
{							\
	how = (struct how){ __VA_ARGS__ };		\
	make_domain();					\
}
SETUP(setup, 0)
SETUP(direct_setup, .direct = true)
SETUP(told_setup, .told = true)
SETUP(shares_setup, .shares = true)
SETUP(plain_setup, .shares = true, .plain = true)
SETUP(busy_setup, .busy = true)

static void
unexpected(struct reap_context *context, void *arg)
{
	(void)context;
	(void)arg;
	explore_fail("a context was never collected");
}

/* No reference is left: every descriptor that was ever given out is free. */
static void
check_descriptors(void)
{
	size_t carved = 0, nfree = domain->ndescriptors;

	for (struct reap__descriptors *slab = domain->slabs; slab != NULL; slab = slab->next)
		carved += slab->carved;
	for (struct reap_context *c = domain->returned; c != NULL; c = c->next)
		nfree++;
	EXPLORE_CHECK(nfree == carved);
}

static void
finish(void)
{
	struct reap_stats stats = { .size = sizeof(stats) };
	struct reap__stack_counts counts;

	while (reap_adopter_drain(reap_adopter_default(domain), 100) > 0)
		continue;
	reap__depot_stats(&domain->depot, &counts);
	EXPLORE_CHECK(counts.live == 0);
	EXPLORE_CHECK(reap_domain_stats(domain, &stats) == 0 && stats.created == stats.reaped);
	check_descriptors();
	EXPLORE_CHECK(reap_domain_destroy(domain, unexpected, NULL) == 0);
}

/* -- contexts */

static intptr_t
body(void *arg)
{
	touch_stack(reap_worker_current(reap_worker_self()));
	if (arg != NULL)
		*(int *)arg = 1;
	if (how.plain)
		last_touch(reap_worker_current(reap_worker_self()));
	return 7;
}

/* Of another life, in which nobody who asks for the first one may be told anything. */
static intptr_t
next_body(void *arg)
{
	(void)body(arg);
	return 9;
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
	explore_is(worker);
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
			explore_idle(true);
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

/* -- an OS thread has the name of a child */

static struct reap_handle handle;
static unsigned *collected;

static uint32_t *turn;

static void
named_setup(void)
{
	setup();
	collected = malloc(sizeof(*collected));
	turn = malloc(sizeof(*turn));
}

static void
private_named_setup(void)
{
	shares_setup();
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
	explore_send(&handle);		/* for two threads */
	ready(child);
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
	ready(child);
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
		child = make(next_body, NULL, 0);
		explore_stage(1);
		ready(child);
		(void)reap_wait(child, 0, NULL);
	}
	serve();
	stop();
}

static void
holds_late(void)
{
	explore_await(1);
	holds();
}

/* The next life is another worker's. */
static void
named_once(void)
{
	struct reap_context *child;

	start();
	explore_left(1);
	child = make(body, NULL, 0);
	handle = reap_context_handle(child);
	explore_send(&handle);
	ready(child);
	EXPLORE_CHECK(reap_wait(child, 0, NULL) == 0);
	stop();
	REAP_STORE_RELEASE(turn, 1);
}

static void
lives_next(void)
{
	struct reap_context *child;

	while (REAP_LOAD_ACQUIRE(turn) == 0)
		explore_yield();
	start();
	explore_stage(1);
	explore_left(1);
	child = make(next_body, NULL, 0);
	explore_stage(2);
	ready(child);
	(void)reap_wait(child, 0, NULL);
	stop();
}

static void
peeks_late(void)
{
	explore_await(1);
	peeks();
}

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

/* -- a parent that goes on making children while others take them away */

static struct reap_handle *names;

static void
names_setup(void)
{
	named_setup();
	names = malloc(4 * sizeof(*names));
}

static void
has_many(void)
{
	struct reap_context *child;

	start();
	for (int i = 0; i < 4; i++) {
		explore_left(1);
		child = make(body, NULL, 0);
		names[i] = reap_context_handle(child);
		(void)reap_switch(reap_worker_self(), child);
		explore_send(&names[i]);
	}
	while (reap_wait_any(0, NULL) == 0)
		continue;
	EXPLORE_CHECK(reap_children() == 0);
	stop();
}

static void
joins_many(void)
{
	for (int i = 0; i < 4; i++)
		(void)reap_join(*(struct reap_handle *)explore_receive(), 0, NULL);
}

/* The other worker runs one, and reaps it: the parent settles with it at its next create, and must find what is on its list. */
static void
makes_two(void)
{
	struct reap_context *child;

	start();
	explore_left(2);
	child = make(body, NULL, 0);
	names[0] = reap_context_handle(child);
	ready(child);
	explore_send(&names[0]);
	explore_await(1);
	child = make(body, NULL, 0);
	(void)reap_switch(reap_worker_self(), child);
	EXPLORE_CHECK(reap_wait(child, 0, NULL) == 0);
	stop();
}

static void
runs_and_joins(void)
{
	struct reap_handle h = *(struct reap_handle *)explore_receive();
	struct reap_context *child;

	start();
	while ((child = explore_next()) == NULL)
		explore_yield();
	(void)reap_switch(reap_worker_self(), child);
	EXPLORE_CHECK(reap_join(h, 0, NULL) == 0);
	explore_stage(1);
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

/* -- looks that do not reap */

static void
peeks_first(void)
{
	struct reap_context *child = named();
	struct reap_result result;
	int error = reap_wait(child, REAP_PEEK, &result);

	EXPLORE_CHECK(error == 0 || error == -EBUSY || error == -ECHILD);
	if (error == 0) {
		EXPLORE_CHECK(result.status == 7);
		error = reap_wait_any(0, &result);
		if (error == 0)
			got_it();
	}
	while (reap_wait_any(0, NULL) == 0)
		got_it();
	serve();
	stop();
}

/* Until it is the collector, or too late. */
static void
joins_at_last(void)
{
	struct reap_handle h = *(struct reap_handle *)explore_receive();
	struct reap_result result;
	int error;

	while ((error = reap_join(h, 0, &result)) == -EBUSY)
		explore_yield();
	EXPLORE_CHECK(error == 0 || error == -ESRCH);
	if (error == 0)
		got_it();
}

static void
joins_if_dead(void)
{
	struct reap_handle h = *(struct reap_handle *)explore_receive();
	struct reap_result result;
	int error;

	for (int i = 0; i < 3; i++) {
		error = reap_join(h, REAP_NOHANG, &result);
		EXPLORE_CHECK(error == 0 || error == -EBUSY || error == -ESRCH || error == -EAGAIN);
		if (error == 0) {
			EXPLORE_CHECK(result.status == 7);
			got_it();
			break;
		}
	}
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
	collected = malloc(sizeof(*collected));
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

/* -- one that sleeps in a wait is destroyed */

static intptr_t
waits_for_ever(void *arg)
{
	struct reap_context **child = arg;

	*child = make(body, NULL, 0);
	handle = reap_context_handle(*child);
	(void)reap_wait_any(0, NULL);
	explore_fail("a context went on that was destroyed");
}

static void
destroys(void)
{
	struct reap_context *sleeper, *child;

	start();
	explore_left(1);
	sleeper = make(waits_for_ever, &child, 0);
	(void)reap_switch(reap_worker_self(), sleeper);
	EXPLORE_CHECK(reap_context_destroy(sleeper, 7) == 0);
	explore_send(&handle);
	ready(child);
	EXPLORE_CHECK(reap_wait(sleeper, 0, NULL) == 0);
	serve();
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

/* -- stale names while slabs give their pages back */

static void
trims(void)
{
	struct reap_context *child = named();

	(void)reap_wait(child, 0, NULL);
	while (reap_wait_any(0, NULL) != -ECHILD)
		continue;
	stop();
	(void)reap_trim(domain);
}

/* The named one's descriptor has had a private life since: it is free, and keeps its reference. */
static void
trims_private(void)
{
	struct reap_context *child = named();

	(void)reap_wait(child, 0, NULL);
	while (reap_wait_any(0, NULL) != -ECHILD)
		continue;
	for (int i = 0; i < 2; i++) {
		explore_left(1);
		child = make(next_body, NULL, 0);
		ready(child);
		EXPLORE_CHECK(reap_wait(child, 0, NULL) == 0);
	}
	stop();
	(void)reap_trim(domain);
}

static void
peeks_at_stale(void)
{
	struct reap_handle h = *(struct reap_handle *)explore_receive();
	enum reap_state state;

	for (int i = 0; i < 2; i++)
		(void)reap_peek(h, &state, NULL);
	if (reap_hold(h) == 0)
		EXPLORE_CHECK(reap_release(h) == 0);
}

static void
asks(void)
{
	struct reap_handle h = *(struct reap_handle *)explore_receive();
	struct reap_result result;

	for (int i = 0; i < 2; i++)
		if (reap_join(h, REAP_NOHANG | REAP_PEEK, &result) == 0)
			EXPLORE_CHECK(result.status == 7);
}

/* A parent's descriptor is that of another parent when the orphan, exiting, asks for it. */
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
	{ "completion: post, posted", 2, 1, 9, 9, completion_setup, { poster, looks }, completion_finish },
	{ "completion: post, wait", 2, 1, 9, 9, completion_setup, { poster, waits }, completion_finish },
	{ "completion: post, disarm", 2, 1, 9, 9, completion_setup, { poster, disarms }, completion_finish },
	{ "inbox: two push", 3, 1, 1, 4, inbox_setup, { push_first, push_second, takes_two }, inbox_finish },
	{ "inbox: two kick", 3, 1, 1, 3, inbox_setup, { kicks, kicks, sees_two_gone }, inbox_finish },
	{ "inbox: push, kick", 3, 1, 1, 4, inbox_setup, { push_first, kicks, sees_push_and_kick }, inbox_finish },
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
	{ "hold, reuse", 2, 2, 0, 1, named_setup, { named_twice, holds }, at_most_once_finish },
	{ "hold late, reuse", 2, 2, 0, 1, named_setup, { named_twice, holds_late }, at_most_once_finish },
	{ "peek late, reuse", 2, 2, 0, 1, named_setup, { named_twice, peeks_late }, at_most_once_finish },
	{ "join, reuse", 2, 2, 0, 1, named_setup, { named_twice, joins }, at_most_once_finish },
	{ "adopter", 2, 5, 0, 1, adopter_setup, { leaves_to_adopter, drains }, adopter_finish },
	{ "adopter, stacks", 2, 5, 0, 1, default_setup, { leaves_stacks, drains }, adopter_finish },
	{ "adopter, stacks wake", 2, 5, 0, 1, default_setup, { leaves_stacks_only, drains_two }, adopter_finish },
	{ "adopter, two drain", 2, 4, 1, 2, default_setup, { leaves_and_drains, drains_too }, adopter_finish },
	{ "adopter ends", 2, 2, 1, 2, adopter_setup, { leaves_to_one_that_ends, ends_adopter }, adopter_finish },
	{ "adopter ends, stacks", 2, 5, 1, 2, adopter_setup, { leaves_stacks_to_one_that_ends, ends_adopter_with_stacks },
	  adopter_finish },
	{ "follow", 2, 4, 1, 2, direct_setup, { family_waits, serving }, finish },
	{ "follow, any", 2, 4, 1, 2, direct_setup, { family_waits_any, serving }, finish },
	{ "host is told, orphan", 2, 4, 1, 2, told_setup, { family_orphans, serving }, finish },
	{ "host is told, waits", 2, 4, 1, 2, told_setup, { family_waits, serving }, finish },
	{ "many, joined", 2, 2, 0, 1, names_setup, { has_many, joins_many }, at_most_once_finish },
	{ "run and joined, settled", 2, 2, 1, 2, names_setup, { makes_two, runs_and_joins }, finish },
	{ "join each other", 2, 2, 1, 2, pair_setup, { makes_pair, serving }, finish },
	{ "circle of three, one private", 2, 1, 1, 2, private_pair_setup, { makes_parent, makes_stranger }, finish },
	{ "peek, join", 2, 2, 1, 2, named_setup, { peeks_first, joins }, once_finish },
	{ "peek, join at last", 2, 2, 1, 2, named_setup, { peeks_first, joins_at_last }, once_finish },
	{ "join if dead", 2, 4, 1, 2, named_setup, { named_waits, joins_if_dead }, once_finish },
	{ "limit", 2, 1, 0, 1, credit_setup, { always_has_credit, always_has_credit }, credit_finish },
	{ "limit, recall", 2, 1, 0, 1, credit_setup, { wants_two, lives_on_credit }, credit_finish },
	{ "limit, surplus", 2, 1, 0, 1, three_credits_setup, { makes_three, reaps_three }, credit_finish },
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
	{ "park, unpark", 2, 2, 1, 2, parked_setup, { parks, unparks }, finish },
	{ "reaper thread", 2, 2, 0, 1, thread_setup, { lives_with_thread, explore_started }, finish },
	{ "wait any, no idle", 2, 2, 1, 2, busy_setup, { busy_waits_any, serving }, finish },
	{ "destroy, join", 2, 2, 1, 2, named_setup, { destroys, joins }, at_most_once_finish },
	{ "stacks owed", 2, 1, 1, 3, owing_setup, { owes_two, drains_stacks }, adopter_finish },
	{ "stacks owed, adopter ends", 2, 1, 2, 4, owing_sub_setup, { owes_two, ends_under_owers }, adopter_finish },
	{ "adopter drained, ends", 2, 2, 1, 2, adopter_setup, { leaves_and_drains_one, ends_adopter }, adopter_finish },
	{ "adopter drained, ends, stacks", 2, 5, 1, 2, adopter_setup, { leaves_stacks_and_drains_one, ends_adopter },
	  adopter_finish },
	{ "adopter awaited, ends", 2, 1, 2, 3, adopter_setup, { sleeps_for_adopter, ends_adopter_in_vain }, adopter_finish },
	{ "trim, stale names", 2, 1, 0, 1, named_setup, { trims, peeks_at_stale }, at_most_once_finish },
	{ "trim, stale names, private", 2, 1, 0, 1, private_named_setup, { trims_private, peeks_at_stale }, at_most_once_finish },
	{ "peek by join, wait any", 2, 2, 1, 2, named_setup, { named_waits, asks }, at_most_once_finish },
	{ "host is told, next parent", 2, 4, 1, 2, brief_setup, { brief_parent, serving }, finish },
	{ "hold late, life elsewhere", 3, 2, 0, 0, named_setup, { named_once, lives_next, holds_late }, at_most_once_finish },
	{ "group", 2, 2, 0, 1, group_setup, { group_waits, serving }, finish },
	{ "discard", 2, 1, 1, 2, discard_setup, { owns, gives_up }, finish },
	{ "stacks", 2, 3, 0, 1, setup, { lives_on_stacks, lives_on_stacks }, finish },
	{ "join, join, wait any", 3, 2, 0, 0, named_setup, { named_waits, joins, joins }, at_most_once_finish },
};
const struct explore_scenarios explore_core = { scenarios, sizeof(scenarios) / sizeof(scenarios[0]) };
