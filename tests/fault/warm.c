/* SPDX-License-Identifier: ISC */
/*
 * warm.c: what may not ask the system for anything, and so cannot fail: exit, switch, landing and post, ever; a life, once warm.
 *
 * syscalls.c has the kernel as the witness that nothing enters it.  Here every function of the C library that allocates, maps,
 * locks or wakes is the witness; and a window is opened that the kernel cannot see: from the last listener of an exit, past the
 * landing and the post, to the first line of the successor.
 */
#include "fault.h"

static const enum reap_policy policies[] = {
	REAP_POLICY_ADAPTIVE, REAP_POLICY_PARENT, REAP_POLICY_SUCCESSOR, REAP_POLICY_ADOPTER,
};
#define POLICIES	(sizeof(policies) / sizeof(policies[0]))

static intptr_t
parent(void *arg)
{
	struct reap_context *child;

	for (int i = 0; i < 8; i++) {
		CHECK_EQ(reap_spawn(reap_worker_self(), host_return, arg, &child), 0);
		host_queue(child);
	}
	for (int i = 0; i < 8; i++)
		CHECK_EQ(reap_wait_any(0, NULL), 0);
	CHECK_EQ(reap_wait_any(0, NULL), -ECHILD);
	return 0;
}

static void
life_cycles(int n)
{
	struct reap_adopter	*init = reap_adopter_default(host_domain);
	const struct reap_context_options detached = {
		.size = sizeof(detached), .entry = host_return, .flags = REAP_CONTEXT_DETACHED
	};

	for (int i = 0; i < n; i++) {
		struct reap_context	*context;
		struct reap_handle	 name;

		CHECK_EQ(reap_spawn(host_worker, host_return, NULL, &context), 0);
		host_queue(context);
		CHECK_EQ(reap_wait(context, 0, NULL), 0);
		CHECK_EQ(reap_spawn(host_worker, parent, NULL, &context), 0);
		host_queue(context);
		CHECK_EQ(reap_wait(context, 0, NULL), 0);
		CHECK_EQ(reap_spawn(host_worker, host_return, NULL, &context), 0);
		name = reap_context_handle(context);
		host_queue(context);
		CHECK_EQ(reap_hold(name), 0);
		CHECK_EQ(reap_join(name, 0, NULL), 0);
		CHECK_EQ(reap_peek(name, NULL, NULL), 0);
		CHECK_EQ(reap_release(name), 0);
		CHECK_EQ(reap_context_create(host_domain, &detached, &context), 0);
		host_queue(context);
		host_run();
		while (reap_adopter_drain(init, 4) > 0)
			continue;
		CHECK_EQ(reap_spawn(host_worker, host_return, NULL, &context), 0);
		CHECK_EQ(reap_context_destroy(context, 3), 0);
		CHECK_EQ(reap_wait(context, 0, NULL), 0);
	}
}

/* Every call fails, and none is made: not even for a lock. */
static void
check_warm(struct reap_domain_options options)
{
	long	before;

	fault_lift();
	host_open(options);
	life_cycles(50);
	fault_plan(FAULT_COUNTED & ~FAULT_LOCK, 1, FAULT_EVER, 0);
	before = fault_calls(FAULT_COUNTED);
	life_cycles(50);
	CHECK_EQ(fault_calls(FAULT_COUNTED), before);
	CHECK_EQ(fault_seen(), 0);
	fault_lift();
	host_close();
	ledger_must_be_empty();
}

TEST(fault_warm, a_warm_life_asks_for_nothing)
{
	struct reap_host host = host_calls;

	for (int how = 0; how < 4; how++) {
		host.shares = how % 2 != 0;
		host.direct = how / 2 != 0;
		for (size_t i = 0; i < POLICIES; i++) {
			check_warm((struct reap_domain_options){ .policy = policies[i], .host = &host });
			check_warm((struct reap_domain_options){ .policy = policies[i], .host = &host, .limit = 1000,
			    .notify = REAP_NOTIFY_EARLY, .ledger_time = true, .usage = true });
		}
	}
}

/* A test that counts must be able to count. */
TEST(fault_warm, a_cold_life_is_seen_to_ask)
{
	long before;

	fault_lift();
	host_open((struct reap_domain_options){ 0 });
	before = fault_calls(FAULT_MAP | FAULT_ADVISE);
	life_cycles(1);
	CHECK(fault_calls(FAULT_MAP | FAULT_ADVISE) > before);
	before = fault_calls(FAULT_LOCK);
	(void)host_stats();
	CHECK(fault_calls(FAULT_LOCK) > before);
	before = fault_calls(FAULT_UNMAP | FAULT_FREE);
	host_close();
	CHECK(fault_calls(FAULT_UNMAP | FAULT_FREE) >= before + 4);
}

/*
 * The window.  Nothing is reaped meanwhile: caches, inboxes and lists of free descriptors overflow.
 *
 * Who sleeps in a wait goes on, when it is resumed, to reap, which may ask for much; so an exit is not followed by one of those
 * but by the ticker, which is always there.
 */
static long at_exit, windows;
static struct reap_context *ticker;
static bool ticker_waits, ticker_ends;

struct life {
	struct reap_exit_listener listener;
	unsigned children;		/* that it leaves, living or dead */
	bool	 waits;			/* and collects instead */
};

static struct life lives[6000];
static unsigned used;

static void
exiting(struct reap_exit_listener *listener, struct reap_context *dying, intptr_t status)
{
	(void)listener;
	(void)dying;
	(void)status;
	CHECK_EQ(at_exit, -1);
	at_exit = fault_calls(FAULT_COUNTED);
	fault_resume();
}

/* On the successor's stack, after the post. */
static void
landed(void)
{
	fault_lift();
	if (at_exit < 0)
		return;
	CHECK_EQ(fault_calls(FAULT_COUNTED), at_exit);
	CHECK_EQ(fault_hits(), 0);
	at_exit = -1;
	windows++;
}

static struct reap_context *
next(struct reap_worker *worker)
{
	struct reap_context	*context = host_calls.next(worker);
	struct life		*life = context != NULL ? reap_context_user(context) : NULL;

	if (at_exit < 0 || !ticker_waits ||
	    (context != NULL && (!life->waits || reap_context_state(context) == REAP_STATE_NEW)))
		return context;
	if (context != NULL)
		host_queue(context);
	ticker_waits = false;
	return ticker;
}

static bool
ticker_parks(struct reap_context *parked, void *arg)
{
	(void)parked;
	(void)arg;
	ticker_waits = true;
	return true;
}

static intptr_t
tick(void *arg)
{
	(void)arg;
	for (;;) {
		landed();
		if (ticker_ends)
			return 0;
		(void)reap_park(reap_worker_self(), ticker_parks, NULL);
	}
}

/* The last thing that a body does.  Every other one goes without a listener, which is another way out. */
static intptr_t
leave(struct life *life)
{
	if ((life - lives) % 2 == 0)
		reap_exit_listen(reap_worker_current(reap_worker_self()), &life->listener);
	else
		exiting(NULL, NULL, 0);
	return 0;
}

static intptr_t
leaf(void *arg)
{
	landed();
	return leave(arg);
}

static void
begin(reap_entry *entry, struct life life, unsigned flags, struct reap_group *group)
{
	const bool odd = used % 7 == 6;
	const struct reap_context_options options = {
		.size = sizeof(options), .entry = entry, .arg = &lives[used], .user = &lives[used], .flags = flags,
		.group = group, .stack_size = odd ? 1 << 17 : 0,
	};
	struct reap_context *context;

	CHECK(used < sizeof(lives) / sizeof(lives[0]));
	lives[used] = life;
	lives[used].listener.exiting = exiting;
	used++;
	if (flags == 0 && group == NULL && !odd) {
		CHECK_EQ(reap_spawn(reap_worker_self(), entry, options.arg, &context), 0);
		reap_context_set_user(context, options.user);
	} else
		CHECK_EQ(reap_context_create(host_domain, &options, &context), 0);
	host_queue(context);
}

static intptr_t
node(void *arg)
{
	struct life *life = arg;

	landed();
	for (unsigned i = 0; i < life->children; i++)
		begin(leaf, (struct life){ .children = 0 }, i % 4 == 3 ? REAP_CONTEXT_DETACHED : 0, NULL);
	if (life->waits)
		while (reap_wait_any(0, NULL) == 0)
			continue;
	else if (life->children % 2 == 0)
		(void)reap_yield(reap_worker_self());	/* some children die first, the others are orphans */
	landed();
	return leave(life);
}

static void
crowd(struct reap_domain_options options, bool shares)
{
	struct reap_host	 host = host_calls;
	struct reap_group	*group;

	fault_lift();
	at_exit = -1;
	windows = used = 0;
	ticker_waits = ticker_ends = false;
	host.next = next;
	host.shares = shares;
	options.host = &host;
	options.stack.cache = 4;
	options.stack.depot = 8;
	host_open(options);
	CHECK_EQ(reap_group_create(host_domain, &group), 0);
	CHECK_EQ(reap_spawn(host_worker, tick, NULL, &ticker), 0);
	CHECK(reap_switch(host_worker, ticker) == host_worker);
	for (unsigned i = 0; i < 300; i++)
		begin(node, (struct life){ .children = i % 6, .waits = i % 5 == 4 }, i % 9 == 8 ? REAP_CONTEXT_DETACHED : 0,
		    i % 11 == 10 ? group : NULL);
	fault_plan(FAULT_COUNTED & ~FAULT_LOCK, 1, FAULT_EVER, 0);
	fault_lift();
	do {
		(void)reap_yield(host_worker);
		landed();
	} while (host_stats().live != 1);
	ticker_ends = true;
	CHECK(reap_switch(host_worker, ticker) == host_worker);
	while (reap_wait_any(0, NULL) == 0)
		continue;
	while (reap_adopter_drain(reap_adopter_default(host_domain), 64) > 0)
		continue;
	CHECK_EQ(reap_group_destroy(group), 0);
	CHECK_EQ(windows, used);
	CHECK_EQ(host_stats().reaped, used + 1);
	host_close();
	ledger_must_be_empty();
}

TEST(fault_warm, exit_to_post_asks_for_nothing)
{
	for (int shares = 0; shares < 2; shares++)
		for (size_t i = 0; i < POLICIES; i++) {
			crowd((struct reap_domain_options){ .policy = policies[i] }, shares != 0);
			crowd((struct reap_domain_options){ .policy = policies[i], .limit = 10000, .usage = true,
			    .notify = REAP_NOTIFY_EARLY }, shares != 0);
		}
}
