/* SPDX-License-Identifier: ISC */
/*
 * wait.c: a parent and its children: wait, wait_any, no-hang, peek.
 */
#include "barrier.h"
#include "host.h"

TEST(wait, returns_the_status_and_frees)
{
	struct host		h;
	struct reap_result	r;
	struct reap_context	*child;
	struct reap_handle	 name;

	host_open(&h, (struct reap_domain_options){ 0 });
	child = host_create((struct reap_context_options){ .entry = host_return, .arg = (void *)42, .user = &h });
	name = reap_context_handle(child);
	CHECK_EQ(reap_children(), 1);
	CHECK_EQ(reap_wait(child, 0, &r), 0);
	CHECK_EQ(r.status, 42);
	CHECK(r.user == &h);
	CHECK(r.handle.where == name.where && r.handle.generation == name.generation);
	CHECK_EQ(r.usage.run_ns + r.usage.runs + r.usage.children + r.usage.children_ns, 0);
	CHECK_EQ(reap_children(), 0);
	CHECK_EQ(host_stats(&h).reaped, 1);
	CHECK_EQ(host_stats(&h).zombies, 0);
	host_close(&h);
}

TEST(wait, result_may_be_null)
{
	struct host h;

	host_open(&h, (struct reap_domain_options){ 0 });
	CHECK_EQ(reap_wait(host_spawn(host_return, NULL), 0, NULL), 0);
	host_spawn(host_return, NULL);
	CHECK_EQ(reap_wait_any(0, NULL), 0);
	host_close(&h);
}

/* The window between an exit and its landing is held open, and everybody looks. */
static struct reap_context *seen_child;
static struct reap_handle seen_name;
static unsigned seen;

static void
look_before_final_switch(struct reap_context *dying)
{
	struct reap_result	r = { .status = 0 };
	enum reap_state		state;

	if (dying != seen_child)
		return;
	seen++;
	CHECK_EQ(reap_context_state(dying), REAP_STATE_EXITING);
	CHECK_EQ(reap_peek(seen_name, &state, &r), 0);
	CHECK_EQ(state, REAP_STATE_EXITING);
	CHECK_EQ(r.status, 5);			/* the result is valid before it is off the CPU */
}

TEST(wait, parent_sees_zombie_only_after_off_cpu)
{
	struct host	h;
	enum reap_state	state;

	host_open(&h, (struct reap_domain_options){ .before_final_switch = look_before_final_switch });
	seen_child = host_spawn(host_return, (void *)5);
	seen_name = reap_context_handle(seen_child);
	CHECK_EQ(reap_context_state(seen_child), REAP_STATE_NEW);
	host_run();
	CHECK_EQ(seen, 1);
	CHECK_EQ(reap_peek(seen_name, &state, NULL), 0);
	CHECK_EQ(state, REAP_STATE_ZOMBIE);
	CHECK_EQ(reap_wait(seen_child, REAP_NOHANG, NULL), 0);
	host_close(&h);
}

TEST(wait, nohang_says_not_yet)
{
	struct host		h;
	struct gate		gate = GATE_INIT;
	struct reap_context	*child;

	host_open(&h, (struct reap_domain_options){ 0 });
	child = host_spawn(host_gated, &gate);
	CHECK_EQ(reap_wait(child, REAP_NOHANG, NULL), -EAGAIN);
	CHECK_EQ(reap_wait_any(REAP_NOHANG, NULL), -EAGAIN);
	host_run();
	CHECK_EQ(reap_wait(child, REAP_NOHANG, NULL), -EAGAIN);
	CHECK_EQ(reap_wait_any(REAP_NOHANG, NULL), -EAGAIN);
	gate_open(&gate);
	host_run();
	CHECK_EQ(reap_wait_any(REAP_NOHANG, NULL), 0);
	CHECK_EQ(reap_wait_any(REAP_NOHANG, NULL), -ECHILD);
	host_close(&h);
}

TEST(wait, peek_leaves_it_to_the_next_wait)
{
	struct host		h;
	struct reap_result	r;
	struct reap_context	*child;

	host_open(&h, (struct reap_domain_options){ 0 });
	child = host_spawn(host_return, (void *)9);
	CHECK_EQ(reap_wait(child, REAP_PEEK, &r), 0);		/* claimed while it lived: on no list before */
	CHECK_EQ(r.status, 9);
	CHECK_EQ(reap_children(), 1);
	CHECK_EQ(reap_wait(child, REAP_PEEK, NULL), 0);
	CHECK_EQ(reap_wait_any(REAP_PEEK, &r), 0);
	CHECK(r.handle.where == reap_context_handle(child).where);
	CHECK_EQ(host_stats(&h).zombies, 1);
	CHECK_EQ(reap_wait_any(0, &r), 0);
	CHECK_EQ(r.status, 9);
	CHECK_EQ(reap_wait_any(0, NULL), -ECHILD);

	child = host_spawn(host_return, (void *)10);
	host_run();						/* a zombie on the list */
	CHECK_EQ(reap_wait_any(REAP_PEEK | REAP_NOHANG, &r), 0);
	CHECK_EQ(reap_wait(child, REAP_PEEK | REAP_NOHANG, &r), 0);
	CHECK_EQ(r.status, 10);
	CHECK_EQ(reap_wait(child, 0, NULL), 0);
	host_close(&h);
}

TEST(wait, any_takes_the_oldest_zombie)
{
	struct host		h;
	struct gate		gate[3] = { GATE_INIT, GATE_INIT, GATE_INIT };
	static const int	order[3] = { 2, 0, 1 };
	struct reap_context	*child[3];
	struct reap_result	r;

	host_open(&h, (struct reap_domain_options){ 0 });
	for (int i = 0; i < 3; i++)
		child[i] = host_spawn(host_gated, &gate[i]);
	host_run();
	for (int i = 0; i < 3; i++) {
		gate_open(&gate[order[i]]);
		host_run();
	}
	for (int i = 0; i < 3; i++) {
		CHECK_EQ(reap_children(), 3 - i);
		CHECK_EQ(reap_wait_any(0, &r), 0);
		CHECK_EQ(r.handle.where, (uintptr_t)child[order[i]]);
	}
	host_close(&h);
}

TEST(wait, by_name_takes_one_from_the_middle)
{
	struct host		h;
	struct reap_context	*child[5];
	struct reap_result	r;

	host_open(&h, (struct reap_domain_options){ 0 });
	for (intptr_t i = 0; i < 5; i++)
		child[i] = host_spawn(host_return, (void *)i);
	host_run();
	CHECK_EQ(reap_wait(child[2], 0, &r), 0);
	CHECK_EQ(r.status, 2);
	CHECK_EQ(reap_wait(child[0], 0, &r), 0);
	CHECK_EQ(reap_wait(child[4], 0, &r), 0);
	CHECK_EQ(reap_wait_any(0, &r), 0);
	CHECK_EQ(r.status, 1);
	CHECK_EQ(reap_wait_any(0, &r), 0);
	CHECK_EQ(r.status, 3);
	CHECK_EQ(reap_wait_any(0, &r), -ECHILD);
	host_close(&h);
}

TEST(wait, without_children_says_so)
{
	struct host h;

	host_open(&h, (struct reap_domain_options){ 0 });
	CHECK_EQ(reap_wait_any(0, NULL), -ECHILD);
	CHECK_EQ(reap_wait_any(REAP_NOHANG, NULL), -ECHILD);
	host_close(&h);
}

TEST(wait, refuses_what_it_does_not_know)
{
	struct host		h;
	struct reap_context	*child;

	CHECK_EQ(reap_wait_any(0, NULL), -EPERM);
	CHECK_EQ(reap_no_zombies(true), -EPERM);
	CHECK_EQ(reap_children(), 0);
	host_open(&h, (struct reap_domain_options){ 0 });
	child = host_spawn(host_return, NULL);
	CHECK_EQ(reap_wait(child, 0x80, NULL), -EINVAL);
	CHECK_EQ(reap_wait_any(0x80, NULL), -EINVAL);
	CHECK_EQ(reap_join(reap_context_handle(child), 0x80, NULL), -EINVAL);
	CHECK_EQ(reap_join(reap_context_handle(child), REAP_PEEK, NULL), -EINVAL);
	CHECK_EQ(reap_wait(NULL, 0, NULL), -EINVAL);
	CHECK_EQ(reap_wait(child, 0, NULL), 0);
	host_close(&h);
}

static struct reap_context *stranger;

static void *
wait_outside(void *arg)
{
	(void)arg;
	CHECK_EQ(reap_wait(stranger, 0, NULL), -EPERM);
	return NULL;
}

TEST(wait, is_for_contexts_only)
{
	struct host	h;
	pthread_t	thread;

	host_open(&h, (struct reap_domain_options){ 0 });
	stranger = host_spawn(host_return, NULL);
	CHECK_EQ(pthread_create(&thread, NULL, wait_outside, NULL), 0);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	CHECK_EQ(reap_wait(stranger, 0, NULL), 0);
	host_close(&h);
}

static intptr_t
wait_for_stranger(void *arg)
{
	CHECK_EQ(reap_wait(arg, 0, NULL), -ECHILD);
	CHECK_EQ(reap_wait(arg, REAP_NOHANG, NULL), -ECHILD);
	return 0;
}

TEST(wait, is_for_the_parent_only)
{
	struct host		h;
	struct gate		gate = GATE_INIT;
	struct reap_context	*child;

	host_open(&h, (struct reap_domain_options){ 0 });
	child = host_spawn(host_gated, &gate);
	CHECK_EQ(reap_wait(host_spawn(wait_for_stranger, child), 0, NULL), 0);
	gate_open(&gate);
	CHECK_EQ(reap_wait(child, 0, NULL), 0);
	host_close(&h);
}

/* A context as parent, which has to sleep, and to be told. */
static intptr_t
parent_of_three(void *arg)
{
	struct gate		*gate = arg;
	struct reap_context	*child;
	struct reap_result	 r;

	child = host_spawn(host_gated, &gate[0]);
	(void)host_spawn(host_gated, &gate[1]);
	(void)host_spawn(host_return, (void *)1);
	CHECK_EQ(reap_wait_any(0, &r), 0);
	CHECK_EQ(r.status, 1);
	CHECK_EQ(reap_wait(child, 0, &r), 0);
	CHECK_EQ(r.status, 7);
	CHECK_EQ(reap_wait_any(0, &r), 0);
	CHECK_EQ(r.status, 7);
	CHECK_EQ(reap_wait_any(0, &r), -ECHILD);
	return 11;
}

TEST(wait, a_context_sleeps_until_its_child_ends)
{
	struct host		h;
	struct gate		gate[2] = { GATE_INIT, GATE_INIT };
	struct reap_context	*parent;
	struct reap_result	r;

	host_open(&h, (struct reap_domain_options){ 0 });
	parent = host_spawn(parent_of_three, gate);
	host_run();
	CHECK_EQ(reap_context_state(parent), REAP_STATE_SUSPENDED);
	gate_open(&gate[0]);
	host_run();
	CHECK_EQ(reap_context_state(parent), REAP_STATE_SUSPENDED);
	gate_open(&gate[1]);
	CHECK_EQ(reap_wait(parent, 0, &r), 0);
	CHECK_EQ(r.status, 11);
	host_close(&h);
}

/* The same with a second worker: who sleeps is woken from there. */
static intptr_t
many_children(void *arg)
{
	struct reap_result	r;
	intptr_t		sum = 0;

	(void)arg;
	for (int round = 0; round < 50; round++) {
		for (intptr_t i = 0; i < 10; i++)
			(void)host_spawn(host_return, (void *)i);
		for (int i = 0; i < 10; i++) {
			CHECK_EQ(reap_wait_any(0, &r), 0);
			sum += r.status;
		}
		CHECK_EQ(reap_wait_any(0, &r), -ECHILD);
	}
	return sum;
}

TEST(wait, works_across_workers)
{
	struct host		h;
	struct host_thread	t;
	struct reap_result	r;
	struct reap_context	*parent[4];

	host_open_shared(&h, (struct reap_domain_options){ 0 });
	host_thread_start(&t, &h);
	for (int i = 0; i < 4; i++)
		parent[i] = host_spawn(many_children, NULL);
	for (int i = 0; i < 4; i++) {
		CHECK_EQ(reap_wait(parent[i], 0, &r), 0);
		CHECK_EQ(r.status, 50 * 45);
	}
	host_thread_stop(&t);
	CHECK_EQ(host_stats(&h).zombies, 0);
	host_close(&h);
}

/*
 * A base context is woken in two steps: the host's wake(), then the waiter's last touch.  Between them it must not fall
 * asleep again: nobody would wake it.  Nor may its wait return: the worker could stop, and wake() is given that worker.
 */
static struct latch idles = LATCH_INIT;
static struct reap_worker *sleeper;	/* its base context only ever waits */
static bool sleeper_waked;		/* under the lock of `idles' */
static unsigned sleeper_returned;	/* how many waits have; atomic */

static struct reap_context *
next_elsewhere(struct reap_worker *worker)
{
	return worker == sleeper ? NULL : host_next(worker);
}

static void
idle_until_waked(struct reap_worker *worker)
{
	if (worker != sleeper) {
		host_idle(worker);
		return;
	}
	latch_hit(&idles);
	pthread_mutex_lock(&idles.lock);
	while (!sleeper_waked)
		pthread_cond_wait(&idles.more, &idles.lock);
	sleeper_waked = false;
	pthread_mutex_unlock(&idles.lock);
}

/* The waker stays here until the woken had every chance to fall asleep again. */
static void
wake_slowly(struct reap_worker *worker)
{
	unsigned before = latch_count(&idles), returned = __atomic_load_n(&sleeper_returned, __ATOMIC_RELAXED);

	host_wake(worker);
	if (worker != sleeper)
		return;
	pthread_mutex_lock(&idles.lock);
	sleeper_waked = true;
	pthread_cond_broadcast(&idles.more);
	pthread_mutex_unlock(&idles.lock);
	for (int i = 0; i < 2000 && latch_count(&idles) == before; i++)
		CHECK_EQ(sched_yield(), 0);
	CHECK_EQ(__atomic_load_n(&sleeper_returned, __ATOMIC_RELAXED), returned);
}

static intptr_t
end_when_parent_sleeps(void *arg)
{
	latch_await(&idles, (unsigned)(uintptr_t)arg);
	return 3;
}

static void
be_woken_slowly(enum reap_notify notify)
{
	const struct reap_host	callbacks = {
		.next = next_elsewhere, .ready = host_ready, .idle = idle_until_waked, .wake = wake_slowly
	};
	struct host		h;
	struct host_thread	t;
	struct reap_result	r;

	alarm(60);		/* a lost wakeup ends the test */
	host_open_shared(&h, (struct reap_domain_options){ .host = &callbacks, .notify = notify });
	sleeper = h.worker;
	host_thread_start(&t, &h);
	for (int round = 0; round < 10; round++) {
		struct reap_context *child = host_spawn(end_when_parent_sleeps, (void *)(uintptr_t)(latch_count(&idles) + 1));

		CHECK_EQ(round % 2 ? reap_wait_any(0, &r) : reap_wait(child, 0, &r), 0);
		(void)__atomic_add_fetch(&sleeper_returned, 1, __ATOMIC_RELAXED);
		CHECK_EQ(r.status, 3);
	}
	host_thread_stop(&t);
	host_close(&h);
}

TEST(wait, a_base_context_that_is_being_woken_does_not_sleep_again)
{
	be_woken_slowly(REAP_NOTIFY_LATE);
}

TEST(wait, a_base_context_that_is_told_early_does_not_sleep_again)
{
	be_woken_slowly(REAP_NOTIFY_EARLY);
}

/* Private ones that are not plain: by name, out of the middle. */
TEST(wait, by_name_out_of_the_middle_of_private_ones)
{
	struct reap_host	callbacks = host_alone;
	struct reap_context	*child[4];
	struct reap_result	r;
	struct host		h;

	callbacks.shares = true;
	host_open(&h, (struct reap_domain_options){ .host = &callbacks });
	for (intptr_t i = 0; i < 4; i++)
		child[i] = host_create((struct reap_context_options){ .entry = host_return, .arg = (void *)i, .user = &h });
	host_run();
	CHECK_EQ(reap_wait(child[1], 0, &r), 0);
	CHECK_EQ(r.status, 1);
	CHECK_EQ(reap_wait_any(0, &r), 0);
	CHECK_EQ(r.status, 0);
	CHECK_EQ(reap_wait(child[3], 0, &r), 0);
	CHECK_EQ(r.status, 3);
	CHECK_EQ(reap_wait_any(0, &r), 0);
	CHECK_EQ(r.status, 2);
	CHECK_EQ(reap_wait_any(0, &r), -ECHILD);
	host_close(&h);
}

/* Who was looked at alive comes behind those who ended before it. */
static intptr_t
looks_at_the_second(void *arg)
{
	struct gate		*gate = arg;
	struct reap_context	*first = host_spawn(host_gated, &gate[0]), *second = host_spawn(host_gated, &gate[1]);
	struct reap_result	r;

	CHECK_EQ(reap_wait(second, REAP_PEEK, &r), 0);
	CHECK(r.handle.where == (uintptr_t)second);
	CHECK_EQ(reap_wait_any(0, &r), 0);
	CHECK(r.handle.where == (uintptr_t)first);
	CHECK_EQ(reap_wait_any(0, &r), 0);
	CHECK(r.handle.where == (uintptr_t)second);
	return 0;
}

TEST(wait, a_peek_leaves_the_order)
{
	struct gate		gate[2] = { GATE_INIT, GATE_INIT };
	struct reap_context	*parent;
	struct host		h;

	host_open(&h, (struct reap_domain_options){ 0 });
	parent = host_spawn(looks_at_the_second, gate);
	host_run();
	for (int i = 0; i < 2; i++) {
		gate_open(&gate[i]);
		host_run();
	}
	CHECK_EQ(reap_wait(parent, 0, NULL), 0);
	host_close(&h);
}

/* A plain child ends behind one that has been named. */
static intptr_t
has_one_named(void *arg)
{
	struct reap_result	r;
	struct reap_context	*plain, *named;

	named = host_spawn(host_return, arg);
	plain = host_spawn(host_return, arg);
	(void)reap_context_handle(named);
	host_yield();
	CHECK_EQ(reap_context_state(named), REAP_STATE_ZOMBIE);
	CHECK_EQ(reap_context_state(plain), REAP_STATE_ZOMBIE);
	CHECK_EQ(reap_wait_any(0, &r), 0);
	CHECK(r.handle.where == (uintptr_t)named);
	CHECK_EQ(reap_wait_any(0, &r), 0);
	CHECK(r.handle.where == (uintptr_t)plain);
	return 0;
}

TEST(wait, a_plain_child_comes_behind_a_named_one)
{
	struct reap_host	callbacks = host_alone;
	struct reap_context	*parent;
	struct host		h;

	callbacks.shares = true;
	host_open(&h, (struct reap_domain_options){ .host = &callbacks });
	for (int i = 0; i < 3; i++) {
		parent = host_spawn(has_one_named, NULL);
		CHECK_EQ(reap_wait(parent, 0, NULL), 0);
	}
	host_close(&h);
}

/* A child that is still on another CPU is passed over for one that is not, and not slept for unless wanted. */
static struct reap_context *slow;
static struct latch	 slow_dies = LATCH_INIT, slow_may = LATCH_INIT;

static void
dies_slowly(struct reap_context *dying)
{
	if (dying == slow) {
		latch_hit(&slow_dies);
		latch_await(&slow_may, 1);
	}
}

static void *
runs_the_slow_one(void *arg)
{
	struct host_worker	me = { .host = arg };
	struct reap_worker	*worker;

	CHECK_EQ(reap_worker_start(((struct host *)arg)->domain, &me, &worker), 0);
	worker = reap_switch(worker, slow);
	CHECK_EQ(reap_worker_stop(worker), 0);
	return NULL;
}

TEST(wait, any_passes_over_who_is_still_on_the_cpu)
{
	struct reap_context	*quick;
	struct reap_result	r;
	pthread_t		thread;
	struct host		h;

	host_open_shared(&h, (struct reap_domain_options){ .before_final_switch = dies_slowly });
	CHECK_EQ(reap_spawn(h.worker, host_return, (void *)1, &slow), 0);
	CHECK_EQ(pthread_create(&thread, NULL, runs_the_slow_one, &h), 0);
	latch_await(&slow_dies, 1);
	quick = host_spawn(host_return, (void *)2);
	host_run();
	CHECK_EQ(reap_wait_any(REAP_NOHANG, &r), 0);
	CHECK(r.handle.where == (uintptr_t)quick);
	CHECK_EQ(reap_wait_any(REAP_NOHANG, &r), -EAGAIN);
	latch_hit(&slow_may);
	CHECK_EQ(reap_wait_any(0, &r), 0);
	CHECK(r.handle.where == (uintptr_t)slow);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	host_close(&h);
}

TEST(wait, a_base_context_does_not_sleep_over_a_post)
{
	struct reap_completion	done;
	struct reap__sleep	sleep = { .done = &done };
	struct host		h;

	host_open(&h, (struct reap_domain_options){ 0 });
	reap_completion_init(&done);
	reap_completion_post(&done);		/* between the caller's look and this */
	CHECK_EQ(reap__await_cold(h.worker, &sleep), 0);
	host_close(&h);
}
