/* SPDX-License-Identifier: ISC */
/*
 * deadlock.c: waits that nothing could ever end.
 */
#include "host.h"

static intptr_t
join_self(void *arg)
{
	struct reap_context *self = reap_worker_current(reap_worker_self());

	(void)arg;
	CHECK_EQ(reap_wait(self, 0, NULL), -EDEADLK);
	CHECK_EQ(reap_wait(self, REAP_NOHANG, NULL), -EDEADLK);
	return reap_join(reap_context_handle(self), 0, NULL);
}

TEST(deadlock, waiting_for_oneself)
{
	struct host		h;
	struct reap_result	r;

	host_open(&h, (struct reap_domain_options){ 0 });
	CHECK_EQ(reap_wait(host_spawn(join_self, NULL), 0, &r), 0);
	CHECK_EQ(r.status, -EDEADLK);
	host_close(&h);
}

/* A ring: each joins the next one; the one that closes it is told. */
enum { RING = 3 };

static struct {
	struct reap_handle name[RING];
	int	 n;
	int	 error[RING];
} ring;

static intptr_t
join_next(void *arg)
{
	int i = (int)(intptr_t)arg;

	ring.error[i] = reap_join(ring.name[(i + 1) % ring.n], 0, NULL);
	return 0;
}

static void
check_ring(int n)
{
	struct host	h;
	int		told = 0;

	host_open(&h, (struct reap_domain_options){ 0 });
	ring.n = n;
	for (int i = 0; i < n; i++)
		ring.name[i] = reap_context_handle(host_spawn(join_next, (void *)(intptr_t)i));
	host_run();
	for (int i = 0; i < n; i++) {
		CHECK(ring.error[i] == 0 || ring.error[i] == -EDEADLK);
		told += ring.error[i] == -EDEADLK;
	}
	CHECK_EQ(told, 1);
	CHECK_EQ(ring.error[n - 1], -EDEADLK);
	while (reap_wait_any(REAP_NOHANG, NULL) == 0)
		continue;
	CHECK_EQ(reap_wait_any(REAP_NOHANG, NULL), -ECHILD);
	host_close(&h);
}

TEST(deadlock, a_cycle_of_two)
{
	check_ring(2);
}

TEST(deadlock, a_cycle_of_three)
{
	check_ring(3);
}

static struct reap_handle parent_name;

static intptr_t
join_parent(void *arg)
{
	(void)arg;
	return reap_join(parent_name, 0, NULL);
}

static intptr_t
wait_for_joiner(void *arg)
{
	struct reap_result r;

	(void)arg;
	parent_name = reap_context_handle(reap_worker_current(reap_worker_self()));
	CHECK_EQ(reap_wait(host_spawn(join_parent, NULL), 0, &r), 0);
	return r.status;
}

TEST(deadlock, a_child_cannot_join_a_parent_that_waits_for_it)
{
	struct host		h;
	struct reap_context	*parent;
	struct reap_result	r;

	host_open(&h, (struct reap_domain_options){ 0 });
	parent = host_spawn(wait_for_joiner, NULL);
	host_run();		/* nobody else may have claimed the parent: that would be -EBUSY */
	CHECK_EQ(reap_wait(parent, 0, &r), 0);
	CHECK_EQ(r.status, -EDEADLK);
	host_close(&h);
}

/* The base context waits, nothing is runnable, and the host cannot sleep. */
TEST(deadlock, a_base_context_with_nothing_runnable)
{
	struct host		h;
	struct gate		gate = GATE_INIT;
	struct reap_context	*child;

	host_open(&h, (struct reap_domain_options){ 0 });
	child = host_spawn(host_gated, &gate);
	CHECK_EQ(reap_wait(child, 0, NULL), -EDEADLK);
	CHECK_EQ(reap_wait_any(0, NULL), -EDEADLK);
	CHECK_EQ(reap_join(reap_context_handle(child), 0, NULL), -EDEADLK);
	CHECK_EQ(reap_children(), 1);
	gate_open(&gate);
	CHECK_EQ(reap_wait(child, 0, NULL), 0);		/* what failed has changed nothing */
	host_close(&h);
}

static struct reap_context *unhosted_child;

static intptr_t
wait_unhosted(void *arg)
{
	(void)arg;
	CHECK_EQ(reap_spawn(reap_worker_self(), host_return, (void *)3, &unhosted_child), 0);
	CHECK_EQ(reap_wait(unhosted_child, 0, NULL), -EDEADLK);
	CHECK_EQ(reap_wait_any(0, NULL), -EDEADLK);
	(void)reap_switch(reap_worker_self(), unhosted_child);
	return 0;
}

/* Without a host nobody can run others while somebody waits: only what has ended already is collected. */
TEST(deadlock, a_domain_without_host_cannot_wait_for_the_living)
{
	const struct reap_domain_options options = { .size = sizeof(options) };
	struct reap_domain	*domain;
	struct reap_worker	*worker;
	struct reap_context	*child;
	struct reap_result	r;

	CHECK_EQ(reap_domain_create(&options, &domain), 0);
	CHECK_EQ(reap_worker_start(domain, NULL, &worker), 0);
	CHECK_EQ(reap_spawn(worker, host_return, (void *)5, &child), 0);
	CHECK_EQ(reap_wait(child, 0, &r), -EDEADLK);
	CHECK_EQ(reap_wait_any(0, &r), -EDEADLK);
	worker = reap_switch(worker, child);
	CHECK_EQ(reap_wait(child, 0, &r), 0);
	CHECK_EQ(r.status, 5);
	CHECK_EQ(reap_spawn(worker, wait_unhosted, NULL, &child), 0);
	worker = reap_switch(worker, child);		/* its child exits to the base context */
	worker = reap_switch(worker, child);
	CHECK_EQ(reap_wait(child, 0, &r), 0);
	CHECK_EQ(reap_worker_stop(worker), 0);
	CHECK_EQ(reap_domain_destroy(domain, NULL, NULL), 0);
}

/* But what has ended, and is still on another worker's CPU, ends the wait soon: that is no deadlock, even without a host. */
static struct reap_context *slow_child;
static struct latch	 may_die = LATCH_INIT, dying = LATCH_INIT, asked = LATCH_INIT;
static unsigned		 looks;			/* of who waits, in vain; by the macros of atomic.h */
static bool		 dead;

/* Who waits without a host looks, and lets other threads go first. */
int	__real_sched_yield(void);
int	__wrap_sched_yield(void);

int
__wrap_sched_yield(void)
{
	(void)REAP_ADD_RELAXED(&looks, 1);
	return __real_sched_yield();
}

static void
die_slowly(struct reap_context *context)
{
	if (context != slow_child)
		return;
	latch_hit(&dying);
	latch_await(&asked, 1);
	while (REAP_LOAD_RELAXED(&looks) < 3)
		CHECK_EQ(__real_sched_yield(), 0);
	dead = true;
}

static void *
run_slow_child(void *arg)
{
	struct reap_worker *worker;

	latch_await(&may_die, 1);
	CHECK_EQ(reap_worker_start(arg, NULL, &worker), 0);
	worker = reap_switch(worker, slow_child);
	CHECK_EQ(reap_worker_stop(worker), 0);
	return NULL;
}

static intptr_t
wait_for_slow_child(void *arg)
{
	struct reap_result r;

	CHECK_EQ(reap_spawn(reap_worker_self(), host_return, (void *)3, &slow_child), 0);
	latch_hit(&may_die);
	latch_await(&dying, 1);
	REAP_STORE_RELAXED(&looks, 0);
	latch_hit(&asked);
	CHECK_EQ(arg != NULL ? reap_wait_any(0, &r) : reap_wait(slow_child, 0, &r), 0);
	CHECK_EQ(r.status, 3);
	CHECK(dead);
	CHECK_EQ(reap_wait_any(0, &r), -ECHILD);
	return 0;
}

TEST(deadlock, the_dying_end_a_wait_without_host)
{
	const struct reap_domain_options options = { .size = sizeof(options), .before_final_switch = die_slowly };

	for (int mode = 0; mode < 4; mode++) {
		const bool		any = mode % 2 != 0, base = mode > 1;
		struct reap_domain	*domain;
		struct reap_worker	*worker;
		struct reap_context	*parent;
		struct reap_stats	stats = { .size = sizeof(stats) };
		pthread_t		thread;

		may_die.count = dying.count = asked.count = 0;
		dead = false;
		CHECK_EQ(reap_domain_create(&options, &domain), 0);
		CHECK_EQ(reap_worker_start(domain, NULL, &worker), 0);
		CHECK_EQ(pthread_create(&thread, NULL, run_slow_child, domain), 0);
		if (base)
			(void)wait_for_slow_child(any ? domain : NULL);
		else {
			CHECK_EQ(reap_spawn(worker, wait_for_slow_child, any ? domain : NULL, &parent), 0);
			worker = reap_switch(worker, parent);
			CHECK_EQ(reap_wait(parent, 0, NULL), 0);
		}
		CHECK_EQ(reap_domain_stats(domain, &stats), 0);
		CHECK_EQ(stats.barrier_waits, 1);
		CHECK_EQ(pthread_join(thread, NULL), 0);
		CHECK_EQ(reap_worker_stop(worker), 0);
		CHECK_EQ(reap_domain_destroy(domain, NULL, NULL), 0);
	}
}

/* A parent in whose child's wait it would wait for itself. */
static struct reap_handle its_parent;
static int	 parent_said, child_said;

static intptr_t
waits_for_its_parent(void *arg)
{
	(void)arg;
	child_said = reap_join(its_parent, 0, NULL);
	return 0;
}

static intptr_t
waits_for_its_child(void *arg)
{
	struct reap_context *self = reap_worker_current(reap_worker_self()), *child;

	its_parent = reap_context_handle(self);
	child = host_spawn(waits_for_its_parent, NULL);
	if (arg == NULL)
		host_yield();		/* it sleeps already; else it finds us asleep */
	parent_said = reap_wait(child, 0, NULL);
	return 4;
}

TEST(deadlock, a_parent_and_its_child_do_not_both_sleep)
{
	struct host h;

	for (int first = 0; first < 2; first++) {
		host_open(&h, (struct reap_domain_options){ 0 });
		parent_said = child_said = 1;
		(void)host_spawn(waits_for_its_child, first ? &h : NULL);
		host_run();
		if (first) {
			CHECK_EQ(child_said, -EDEADLK);		/* and then it ended, and was collected */
			CHECK_EQ(parent_said, 0);
			CHECK_EQ(reap_wait_any(REAP_NOHANG, NULL), 0);
		} else {
			CHECK_EQ(parent_said, -EDEADLK);
			CHECK_EQ(child_said, 0);
			CHECK_EQ(reap_adopter_drain(reap_adopter_default(h.domain), 4), 1);	/* an orphan, by then */
			CHECK_EQ(reap_wait_any(REAP_NOHANG, NULL), -ECHILD);
		}
		host_close(&h);
	}
}

/* A thread waits for one that waits itself. */
static void *
joins(void *arg)
{
	CHECK_EQ(reap_join(*(struct reap_handle *)arg, 0, NULL), 0);
	return NULL;
}

static intptr_t
waits_while_claimed(void *arg)
{
	struct gate *gate = arg;

	gate_pass(&gate[0]);
	CHECK_EQ(reap_wait(host_spawn(host_gated, &gate[1]), 0, NULL), 0);
	return 0;
}

TEST(deadlock, a_thread_that_waits_closes_no_circle)
{
	struct gate		gate[2] = { GATE_INIT, GATE_INIT };
	struct reap_handle	handle;
	pthread_t		thread;
	struct host		h;

	host_open(&h, (struct reap_domain_options){ 0 });
	handle = reap_context_handle(host_spawn(waits_while_claimed, gate));
	host_run();
	CHECK_EQ(pthread_create(&thread, NULL, joins, &handle), 0);
	while (reap_join(handle, REAP_NOHANG, NULL) != -EBUSY)
		CHECK_EQ(sched_yield(), 0);
	for (int i = 0; i < 2; i++) {
		gate_open(&gate[i]);
		host_run();
	}
	CHECK_EQ(pthread_join(thread, NULL), 0);
	CHECK_EQ(reap_wait_any(0, NULL), -ECHILD);
	host_close(&h);
}
