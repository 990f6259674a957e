/* SPDX-License-Identifier: ISC */
/*
 * join.c: collecting by name: siblings, OS threads, stale names, two who want the same one.
 */
#include "context.h"
#include "host.h"

struct order {
	struct reap_handle name;	/* whom to join */
	int	 error;			/* what the join said; the joiner */
	intptr_t status;
	struct latch started;		/* hit before the join */
};

static intptr_t
join_it(void *arg)
{
	struct order		*order = arg;
	struct reap_result	 r = { .status = -1 };

	latch_hit(&order->started);
	order->error = reap_join(order->name, 0, &r);
	order->status = r.status;
	return 0;
}

static void *
join_thread(void *arg)
{
	(void)join_it(arg);
	return NULL;
}

TEST(join, a_sibling_collects)
{
	struct host		h;
	struct gate		gate = GATE_INIT;
	struct reap_context	*child, *sibling;
	struct order		order = { .started = LATCH_INIT };

	host_open(&h, (struct reap_domain_options){ 0 });
	child = host_spawn(host_gated, &gate);
	order.name = reap_context_handle(child);
	sibling = host_spawn(join_it, &order);
	host_run();
	CHECK_EQ(reap_children(), 2);
	gate_open(&gate);
	CHECK_EQ(reap_wait(sibling, 0, NULL), 0);
	CHECK_EQ(order.error, 0);
	CHECK_EQ(order.status, 7);
	CHECK_EQ(reap_children(), 0);
	CHECK_EQ(reap_wait_any(0, NULL), -ECHILD);
	host_close(&h);
}

TEST(join, a_sibling_collects_a_zombie_from_its_parents_list)
{
	struct host		h;
	struct reap_context	*child[3];
	struct order		order = { .started = LATCH_INIT };
	struct reap_result	r;

	host_open(&h, (struct reap_domain_options){ 0 });
	for (intptr_t i = 0; i < 3; i++)
		child[i] = host_spawn(host_return, (void *)i);
	host_run();
	order.name = reap_context_handle(child[1]);
	host_spawn(join_it, &order);
	host_run();
	CHECK_EQ(order.error, 0);
	CHECK_EQ(order.status, 1);
	CHECK_EQ(reap_children(), 3);
	CHECK_EQ(reap_wait_any(0, &r), 0);
	CHECK_EQ(r.status, 0);
	CHECK_EQ(reap_wait_any(0, &r), 0);	/* over the tombstone of the second */
	CHECK_EQ(r.status, 2);
	CHECK_EQ(reap_wait_any(0, &r), 0);
	CHECK_EQ(reap_wait_any(0, &r), -ECHILD);
	host_close(&h);
}

TEST(join, an_os_thread_collects)
{
	struct host		h;
	struct gate		gate = GATE_INIT;
	struct reap_context	*child;
	struct order		order = { .started = LATCH_INIT };
	pthread_t		thread;

	host_open(&h, (struct reap_domain_options){ 0 });
	child = host_spawn(host_gated, &gate);
	order.name = reap_context_handle(child);
	CHECK_EQ(pthread_create(&thread, NULL, join_thread, &order), 0);
	host_run();
	latch_await(&order.started, 1);
	gate_open(&gate);
	host_run();
	CHECK_EQ(pthread_join(thread, NULL), 0);
	CHECK_EQ(order.error, 0);
	CHECK_EQ(order.status, 7);
	CHECK_EQ(reap_wait_any(0, NULL), -ECHILD);
	CHECK_EQ(host_stats(&h).ledger[REAP_PAYER_JOINER].contexts, 1);
	host_close(&h);
}

TEST(join, a_context_without_parent_is_joined_by_name)
{
	const struct reap_context_options options = { .size = sizeof(options), .entry = host_return, .arg = (void *)3 };
	struct host		h;
	struct reap_domain	*other;
	struct reap_context	*child;
	struct reap_result	r;
	const struct reap_domain_options plain = { .size = sizeof(plain) };

	/* For another domain this worker is a thread like any other. */
	host_open(&h, (struct reap_domain_options){ 0 });
	CHECK_EQ(reap_domain_create(&plain, &other), 0);
	CHECK_EQ(reap_context_create(other, &options, &child), 0);
	CHECK(reap_context_parent(child) == NULL);
	CHECK(reap_context_domain(child) == other);
	CHECK_EQ(reap_context_destroy(child, 4), 0);
	CHECK_EQ(reap_wait(child, 0, &r), -ECHILD);
	CHECK_EQ(reap_join(reap_context_handle(child), 0, &r), 0);
	CHECK_EQ(r.status, 4);
	CHECK_EQ(reap_domain_destroy(other, NULL, NULL), 0);
	host_close(&h);
}

TEST(join, nobodys_name_is_stale)
{
	const struct reap_handle nobody = { 0, 0 };

	CHECK_EQ(reap_join(nobody, 0, NULL), -ESRCH);
	CHECK_EQ(reap_join(nobody, REAP_NOHANG | REAP_PEEK, NULL), -ESRCH);
	CHECK_EQ(reap_detach(nobody), -ESRCH);
	CHECK_EQ(reap_hold(nobody), -ESRCH);
	CHECK_EQ(reap_release(nobody), -ESRCH);
	CHECK_EQ(reap_peek(nobody, NULL, NULL), -ESRCH);
}

static void
check_stale(struct reap_handle name)
{
	enum reap_state		state = REAP_STATE_NONE;
	struct reap_result	r = { .status = 77 };

	CHECK_EQ(reap_join(name, 0, &r), -ESRCH);
	CHECK_EQ(reap_join(name, REAP_NOHANG, &r), -ESRCH);
	CHECK_EQ(reap_join(name, REAP_NOHANG | REAP_PEEK, &r), -ESRCH);
	CHECK_EQ(reap_detach(name), -ESRCH);
	CHECK_EQ(reap_hold(name), -ESRCH);
	CHECK_EQ(reap_release(name), -ESRCH);
	CHECK_EQ(reap_peek(name, &state, &r), -ESRCH);
	CHECK_EQ(state, REAP_STATE_NONE);
	CHECK_EQ(r.status, 77);
}

TEST(handle, is_stale_after_the_reap)
{
	struct host		h;
	struct reap_context	*child;
	struct reap_handle	name;

	host_open(&h, (struct reap_domain_options){ 0 });
	child = host_spawn(host_return, NULL);
	name = reap_context_handle(child);
	CHECK(name.generation != 0);
	CHECK_EQ(reap_wait(child, 0, NULL), 0);
	check_stale(name);
	host_close(&h);
}

TEST(handle, is_stale_after_its_descriptor_is_reused)
{
	struct host		h;
	struct gate		gate = GATE_INIT;
	struct reap_context	*child, *next;
	struct reap_handle	name, new_name;

	host_open(&h, (struct reap_domain_options){ 0 });
	child = host_spawn(host_return, NULL);
	name = reap_context_handle(child);
	CHECK_EQ(reap_wait(child, 0, NULL), 0);
	next = host_spawn(host_gated, &gate);
	new_name = reap_context_handle(next);
	CHECK(next == child);			/* last in, first out */
	CHECK(name.generation != new_name.generation);
	check_stale(name);
	host_run();
	check_stale(name);
	gate_open(&gate);
	host_run();
	check_stale(name);			/* a zombie of that name would be a stranger's */
	CHECK_EQ(reap_join(new_name, 0, NULL), 0);
	check_stale(name);
	check_stale(new_name);
	host_close(&h);
}

TEST(handle, is_stale_after_a_trim)
{
	enum { N = 20000 };
	struct host		h;
	struct reap_handle	*name = calloc(N, sizeof(*name));

	CHECK(name != NULL);
	host_open(&h, (struct reap_domain_options){ 0 });
	/* Zombies that are thin: it is their descriptors that fill slabs. */
	for (int i = 0; i < N; i++) {
		struct reap_context *child = host_spawn(host_return, NULL);

		name[i] = reap_context_handle(child);
		host_run();
	}
	while (reap_wait_any(0, NULL) == 0)
		continue;
	(void)reap_trim(h.domain);
	for (int i = 0; i < N; i++)
		check_stale(name[i]);
	for (int i = 0; i < N; i++)
		(void)host_spawn(host_return, NULL);
	host_run();
	for (int i = 0; i < N; i++)
		check_stale(name[i]);
	while (reap_wait_any(0, NULL) == 0)
		continue;
	host_close(&h);
	free(name);
}

TEST(join, of_two_the_loser_is_told)
{
	struct host		h;
	struct gate		gate = GATE_INIT;
	struct reap_context	*child;
	struct order		first = { .started = LATCH_INIT }, second = { .started = LATCH_INIT };

	host_open(&h, (struct reap_domain_options){ 0 });
	child = host_spawn(host_gated, &gate);
	first.name = second.name = reap_context_handle(child);
	(void)host_spawn(join_it, &first);
	(void)host_spawn(join_it, &second);
	host_run();
	CHECK_EQ(second.error, -EBUSY);
	CHECK_EQ(reap_wait(child, 0, NULL), -EBUSY);
	CHECK_EQ(reap_wait(child, REAP_NOHANG, NULL), -EBUSY);
	CHECK_EQ(reap_join(first.name, REAP_NOHANG, NULL), -EBUSY);
	CHECK_EQ(reap_detach(first.name), -EBUSY);
	gate_open(&gate);
	host_run();
	CHECK_EQ(first.error, 0);
	CHECK_EQ(first.status, 7);
	check_stale(first.name);
	CHECK_EQ(reap_wait_any(0, NULL), 0);
	CHECK_EQ(reap_wait_any(0, NULL), 0);
	CHECK_EQ(reap_wait_any(0, NULL), -ECHILD);
	host_close(&h);
}

/*
 * Two collectors and a slow landing: the dying one is held on its stack until both have tried.  Freed stacks fault, so a
 * collector that does not wait for the post is seen.
 */
static struct reap_context *slow_child;
static struct latch slow_tried = LATCH_INIT;
static unsigned char slow_sum;

static void
die_slowly(struct reap_context *dying)
{
	volatile unsigned char	frame[256];

	if (dying != slow_child)
		return;
	latch_await(&slow_tried, 3);			/* two starts, and one that came back with -EBUSY */
	for (size_t i = 0; i < sizeof(frame); i++)	/* on the dying stack */
		frame[i] = (unsigned char)i;
	for (size_t i = 0; i < sizeof(frame); i++)
		slow_sum += frame[i];
}

static void *
join_slow_thread(void *arg)
{
	struct order *order = arg;

	latch_hit(&slow_tried);
	(void)join_it(order);
	latch_hit(&slow_tried);
	return NULL;
}

TEST(join, two_joiners_and_a_slow_landing_reap_once)
{
	for (int i = 0; i < 20; i++) {
		struct host	h;
		struct order	order[2] = { { .started = LATCH_INIT }, { .started = LATCH_INIT } };
		pthread_t	thread[2];

		slow_tried = (struct latch)LATCH_INIT;
		host_open(&h, (struct reap_domain_options){
			.before_final_switch = die_slowly, .policy = REAP_POLICY_PARENT, .stack = { .quarantine = 8 } });
		slow_child = host_spawn(host_return, (void *)6);
		order[0].name = order[1].name = reap_context_handle(slow_child);
		for (int k = 0; k < 2; k++)
			CHECK_EQ(pthread_create(&thread[k], NULL, join_slow_thread, &order[k]), 0);
		host_run();
		for (int k = 0; k < 2; k++)
			CHECK_EQ(pthread_join(thread[k], NULL), 0);
		CHECK(order[0].error == 0 || order[1].error == 0);
		CHECK(order[0].error == -EBUSY || order[1].error == -EBUSY);
		CHECK_EQ(order[order[0].error != 0].status, 6);
		CHECK_EQ(host_stats(&h).reaped, 1);
		CHECK_EQ(reap_wait_any(0, NULL), -ECHILD);
		host_close(&h);
	}
}

TEST(join, of_a_base_context_is_refused)
{
	struct host	h;
	struct order	order = { .started = LATCH_INIT };

	host_open(&h, (struct reap_domain_options){ 0 });
	order.name = reap_context_handle(reap_worker_base(h.worker));
	(void)host_spawn(join_it, &order);
	CHECK_EQ(reap_wait_any(0, NULL), 0);
	CHECK(order.error < 0);
	CHECK(reap_detach(order.name) < 0);
	host_close(&h);
}

/* Joined by strangers in large numbers while the parent goes on spawning: nothing piles up with the parent. */
TEST(join, tombstones_do_not_pile_up)
{
	struct host		h;
	struct reap_context	*first = NULL, *child;

	host_open(&h, (struct reap_domain_options){ 0 });
	for (int i = 0; i < 20000; i++) {
		struct order order = { .started = LATCH_INIT };

		child = host_spawn(host_return, NULL);
		order.name = reap_context_handle(child);
		host_run();
		child = host_spawn(join_it, &order);
		CHECK_EQ(reap_wait(child, 0, NULL), 0);
		CHECK_EQ(order.error, 0);
		if (first == NULL || child < first)
			first = child;
		/* Descriptors are handed out from the lowest up: 128 bytes each. */
		CHECK((uintptr_t)child - (uintptr_t)first < 1024 * 128);
	}
	CHECK_EQ(reap_wait_any(0, NULL), -ECHILD);
	host_close(&h);
}

/* More than fit a counter of twenty bits: the parent's own count must come out even. */
enum { CROWD = 1100000 };

static struct reap_handle *crowd;

static void *
join_crowd(void *arg)
{
	(void)arg;
	for (int i = 0; i < CROWD; i++)
		CHECK_EQ(reap_join(crowd[i], 0, NULL), 0);
	return NULL;
}

TEST(join, more_than_a_million_by_a_stranger)
{
	struct host	h;
	pthread_t	thread;

	if (HOST_SANITIZED || check_emulated())
		SKIP("too many for an instrumented build, or an emulator");
	CHECK((crowd = calloc(CROWD, sizeof(*crowd))) != NULL);
	host_open(&h, (struct reap_domain_options){ .policy = REAP_POLICY_SUCCESSOR });
	for (int i = 0; i < CROWD; i++) {
		crowd[i] = reap_context_handle(host_spawn(host_return, NULL));
		host_run();
	}
	CHECK_EQ(reap_children(), CROWD);
	CHECK_EQ(pthread_create(&thread, NULL, join_crowd, NULL), 0);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	CHECK_EQ(reap_children(), 0);
	CHECK_EQ(reap_wait_any(REAP_NOHANG, NULL), -ECHILD);
	host_close(&h);
	free(crowd);
}

/* A name that is asked for at the very last, in off_cpu(). */
static struct reap_handle last_name;

static void
takes_the_name(struct reap_context *context, intptr_t status)
{
	(void)status;
	last_name = reap_context_handle(context);
}

static intptr_t
collects_who_is_named_then(void *arg)
{
	struct reap_context *self = reap_worker_current(reap_worker_self());

	for (int i = 0; i < 2; i++) {
		(void)host_create((struct reap_context_options){ .entry = host_return, .arg = arg, .off_cpu = takes_the_name });
		CHECK_EQ(reap_wait_any(0, NULL), 0);
		CHECK_EQ(reap_children(), 0);
		CHECK_EQ(reap_context_share(self), 0);
	}
	return 0;
}

static intptr_t
leaves_one_that_is_named_later(void *arg)
{
	(void)host_create((struct reap_context_options){ .entry = host_return, .arg = arg, .off_cpu = takes_the_name });
	host_yield();
	return 0;
}

TEST(handle, off_cpu_may_ask_for_the_name)
{
	struct reap_host	callbacks = host_alone;
	struct reap_context	*parent;
	struct host		h;

	callbacks.shares = true;
	host_open(&h, (struct reap_domain_options){ .host = &callbacks });
	parent = host_spawn(collects_who_is_named_then, NULL);
	CHECK_EQ(reap_wait(parent, 0, NULL), 0);
	/* And of an orphan, whose parent's descriptor is nobody's any more. */
	parent = host_spawn(leaves_one_that_is_named_later, NULL);
	host_run();
	CHECK_EQ(reap_wait(parent, 0, NULL), 0);
	last_name.generation = 0;
	CHECK_EQ(reap_adopter_drain(reap_adopter_default(h.domain), 4), 1);
	CHECK(last_name.generation != 0);
	CHECK_EQ(reap_peek(last_name, NULL, NULL), -ESRCH);
	host_close(&h);
}

/* Two domains: who sleeps in one is not run by the other. */
static struct reap_handle in_the_first;

static intptr_t
joins_across(void *arg)
{
	CHECK_EQ(reap_join(in_the_first, 0, NULL), 0);
	CHECK(reap_worker_self() == ((struct host *)arg)->worker);
	return 0;
}

static void *
second_domain(void *arg)
{
	struct host h;

	(void)arg;
	host_open_shared(&h, (struct reap_domain_options){ 0 });
	CHECK_EQ(reap_wait(host_spawn(joins_across, &h), 0, NULL), 0);
	host_close(&h);
	return NULL;
}

TEST(join, an_end_does_not_go_straight_to_another_domain)
{
	struct reap_host	callbacks = host_alone;
	struct gate		gate = GATE_INIT;
	struct reap_context	*awaited;
	pthread_t		thread;
	struct host		h;

	callbacks.direct = true;
	host_open(&h, (struct reap_domain_options){ .host = &callbacks });
	awaited = host_spawn(host_gated, &gate);
	in_the_first = reap_context_handle(awaited);
	host_run();
	CHECK_EQ(pthread_create(&thread, NULL, second_domain, NULL), 0);
	while (REAP_LOAD_ACQUIRE(&awaited->done.reap__word) == REAP__PENDING)	/* pairs with the arming */
		CHECK_EQ(sched_yield(), 0);
	gate_open(&gate);
	host_run();
	CHECK_EQ(pthread_join(thread, NULL), 0);
	CHECK_EQ(reap_wait_any(0, NULL), -ECHILD);
	host_close(&h);
}
