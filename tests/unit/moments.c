/* SPDX-License-Identifier: ISC */
/*
 * moments.c: what seldom happens, each once: between a look and the sleep, after a parent's end, at a worker's stop.
 */
#include "host.h"
#include "worker.h"

/* ---- an interrupt, and a drain that takes its kick, between the look of reap_adopter_wait() and its sleep */

static struct reap_adopter *adopter;
static bool	 interrupts;
static int	 wait_said;

static struct reap_context *
next_interrupts(struct reap_worker *worker)
{
	if (interrupts) {
		/* The context in reap_adopter_wait() has looked, and is about to be parked. */
		interrupts = false;
		reap_adopter_interrupt(adopter);
		(void)reap_adopter_drain(adopter, 4);
	}
	return host_next(worker);
}

static intptr_t
waits_to_drain(void *arg)
{
	/* A parent may sleep on its own inbox more cheaply: this is another one. */
	if (arg != NULL) {
		(void)host_spawn(host_gated, arg);
		host_yield();
	}
	interrupts = true;
	wait_said = reap_adopter_wait(adopter);
	if (arg != NULL)
		gate_open(arg);
	CHECK_EQ(reap_wait_any(0, NULL), arg != NULL ? 0 : -ECHILD);
	return 0;
}

TEST(moments, a_drain_does_not_swallow_an_interrupt)
{
	struct reap_host	callbacks = host_alone;
	struct gate		gate = GATE_INIT;
	struct reap_context	*context;
	struct host		h;

	callbacks.next = next_interrupts;
	for (int parent = 0; parent < 2; parent++) {
		host_open(&h, (struct reap_domain_options){ .host = &callbacks });
		adopter = reap_adopter_default(h.domain);
		wait_said = 1;
		context = host_spawn(waits_to_drain, parent ? &gate : NULL);
		host_run();
		CHECK_EQ(wait_said, -ECANCELED);
		CHECK_EQ(reap_wait(context, 0, NULL), 0);
		host_close(&h);
	}
}

/* ---- SIGCHLD for a parent that is no more */

static struct reap_context *told_of, *told_parent;
static unsigned	 ntold;

static void
note_child(struct reap_context *parent, struct reap_context *child)
{
	told_parent = parent;
	told_of = child;
	ntold++;
}

static struct reap_context *survivor;

static intptr_t
leaves_a_child(void *arg)
{
	survivor = host_create((struct reap_context_options){ .entry = host_gated, .arg = arg });
	host_yield();
	return 0;
}

static void
ends_after_its_parent(enum reap_notify notify)
{
	struct reap_host	callbacks = host_alone;
	struct gate		gate = GATE_INIT;
	struct reap_context	*parent;
	struct host		h;

	callbacks.child_exited = note_child;
	host_open(&h, (struct reap_domain_options){ .host = &callbacks, .notify = notify });
	ntold = 0;
	parent = host_spawn(leaves_a_child, &gate);
	host_run();
	CHECK_EQ(ntold, 1);			/* of the base context's child: */
	CHECK(told_of == parent && told_parent == reap_worker_base(h.worker));
	gate_open(&gate);
	host_run();				/* the parent is a zombie, its descriptor is there: it is not told all the same */
	CHECK_EQ(reap_context_state(survivor), REAP_STATE_ZOMBIE);
	CHECK_EQ(ntold, 1);
	CHECK_EQ(reap_wait(parent, 0, NULL), 0);
	CHECK_EQ(reap_adopter_drain(reap_adopter_default(h.domain), 4), 1);
	host_close(&h);
}

TEST(moments, a_parent_that_has_ended_is_not_told)
{
	ends_after_its_parent(REAP_NOTIFY_LATE);
	ends_after_its_parent(REAP_NOTIFY_EARLY);
}

/* ---- members of a group count until they are off the CPU */

static struct reap_group *group;
static size_t	 members_before_switch;

static void
count_members(struct reap_context *dying)
{
	(void)dying;
	members_before_switch = reap_group_members(group);
	CHECK_EQ(reap_group_destroy(group), -EBUSY);
}

TEST(moments, a_member_that_still_runs_has_not_left)
{
	intptr_t		status = 0;
	struct host		h;

	host_open(&h, (struct reap_domain_options){ .before_final_switch = count_members });
	CHECK_EQ(reap_group_create(h.domain, &group), 0);
	(void)host_create((struct reap_context_options){ .entry = host_return, .arg = (void *)4, .group = group });
	host_run();
	CHECK_EQ(members_before_switch, 1);
	CHECK_EQ(reap_group_members(group), 0);
	CHECK_EQ(reap_group_wait(group, REAP_NOHANG, &status), 0);
	CHECK_EQ(status, 4);
	CHECK_EQ(reap_adopter_drain(reap_adopter_default(h.domain), 4), 1);
	host_close(&h);
}

/* ---- what a worker had drawn on when it stopped */

static void *
lives_once(void *arg)
{
	struct reap_domain	*domain = arg;
	struct reap_context	*child;
	struct reap_worker	*worker;

	CHECK_EQ(reap_worker_start(domain, NULL, &worker), 0);
	CHECK_EQ(reap_spawn(worker, host_return, NULL, &child), 0);
	(void)reap_switch(worker, child);
	CHECK_EQ(reap_wait(child, 0, NULL), 0);
	CHECK_EQ(reap_worker_stop(worker), 0);
	return NULL;
}

TEST(moments, a_worker_that_stops_gives_its_credits_back)
{
	const unsigned		limit = 64;
	struct reap_context	*child[64], *more;
	pthread_t		thread;
	struct host		h;

	host_open(&h, (struct reap_domain_options){ .limit = limit });
	for (int i = 0; i < 40; i++) {
		CHECK_EQ(pthread_create(&thread, NULL, lives_once, h.domain), 0);
		CHECK_EQ(pthread_join(thread, NULL), 0);
	}
	for (unsigned i = 0; i < limit; i++)
		child[i] = host_spawn(host_return, NULL);
	CHECK_EQ(reap_spawn(h.worker, host_return, NULL, &more), -EAGAIN);
	for (unsigned i = 0; i < limit; i++)
		CHECK_EQ(reap_wait(child[i], 0, NULL), 0);
	host_close(&h);
}

/* ---- who was shared, and then has a private child, belongs to its worker again */

static intptr_t
is_bound_again(void *arg)
{
	struct reap_worker	*worker = reap_worker_self();
	struct reap_context	*self = reap_worker_current(worker), *child;

	(void)reap_context_handle(self);
	for (int i = 0; i < 4; i++) {
		CHECK_EQ(reap_context_share(self), 0);
		CHECK(reap_context_home(self) == NULL);
		/* A plain one, and one made with options. */
		child = i % 2 ? host_spawn(host_return, arg) :
		    host_create((struct reap_context_options){ .entry = host_return, .arg = arg, .user = self });
		CHECK(reap_context_home(self) == worker);
		CHECK_EQ(reap_context_share(self), -EBUSY);
		CHECK_EQ(i / 2 ? reap_wait(child, 0, NULL) : reap_wait_any(0, NULL), 0);
	}
	CHECK_EQ(reap_context_share(self), 0);
	CHECK(reap_context_home(self) == NULL);
	return 0;
}

TEST(moments, a_shared_parent_is_bound_by_a_private_child)
{
	struct reap_host	callbacks = host_alone;
	struct reap_context	*parent;
	struct host		h;

	callbacks.shares = true;
	host_open(&h, (struct reap_domain_options){ .host = &callbacks });
	parent = host_spawn(is_bound_again, NULL);
	CHECK_EQ(reap_wait(parent, 0, NULL), 0);
	host_close(&h);
}

/* ---- a parent in whose child's wait it would wait for itself */

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

TEST(moments, a_parent_and_its_child_do_not_both_sleep)
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

/* ---- a limit, and lives so plain that hardly anything is done at their end */

static intptr_t
spawns_and_waits(void *arg)
{
	for (int i = 0; i < 1000; i++) {
		CHECK_EQ(reap_wait(host_spawn(host_return, arg), 0, NULL), 0);
		(void)host_spawn(host_return, arg);
		(void)host_spawn(host_return, arg);
		CHECK_EQ(reap_wait_any(0, NULL), 0);
		CHECK_EQ(reap_wait_any(0, NULL), 0);
	}
	return 0;
}

TEST(moments, a_limit_holds_for_any_number_of_lives)
{
	struct reap_context	*parent;
	struct host		h;

	host_open(&h, (struct reap_domain_options){ .limit = 20 });
	parent = host_spawn(spawns_and_waits, NULL);
	CHECK_EQ(reap_wait(parent, 0, NULL), 0);
	CHECK_EQ(host_stats(&h).limit_hits, 0);
	CHECK_EQ(host_stats(&h).reaped, 3001);
	host_close(&h);
}

/* ---- named, held, while its parent sleeps for it already */

static struct reap_handle held;

static intptr_t
holds_itself(void *arg)
{
	host_yield();			/* its parent sleeps now */
	held = reap_context_handle(reap_worker_current(reap_worker_self()));
	CHECK_EQ(reap_hold(held), 0);
	return (intptr_t)arg;
}

static intptr_t
sleeps_for_it(void *arg)
{
	struct reap_context	*child = host_spawn(holds_itself, (void *)8);
	struct reap_result	r;

	CHECK_EQ(arg != NULL ? reap_wait(child, 0, &r) : reap_wait_any(0, &r), 0);
	CHECK_EQ(r.status, 8);
	return 0;
}

TEST(moments, who_is_held_while_its_parent_sleeps_stays_held)
{
	struct reap_host callbacks = host_alone;

	callbacks.shares = true;
	for (int by_name = 0; by_name < 2; by_name++) {
		struct reap_context	*parent;
		struct reap_result	r;
		enum reap_state		state;
		struct host		h;

		host_open(&h, (struct reap_domain_options){ .host = &callbacks });
		parent = host_spawn(sleeps_for_it, by_name ? &h : NULL);
		CHECK_EQ(reap_wait(parent, 0, NULL), 0);
		for (int i = 0; i < 10; i++)
			CHECK_EQ(reap_wait(host_spawn(host_return, NULL), 0, NULL), 0);
		CHECK_EQ(reap_peek(held, &state, &r), 0);
		CHECK_EQ(state, REAP_STATE_ZOMBIE);
		CHECK_EQ(r.status, 8);
		CHECK_EQ(reap_release(held), 0);
		CHECK_EQ(reap_peek(held, &state, &r), -ESRCH);
		host_close(&h);
	}
}

/* ---- what a full cache does not take at a collect is not lost */

TEST(moments, stacks_beyond_the_cache_are_not_lost)
{
	static const enum reap_policy policies[] = { REAP_POLICY_PARENT, REAP_POLICY_SUCCESSOR, REAP_POLICY_ADAPTIVE };

	for (size_t p = 0; p < sizeof(policies) / sizeof(policies[0]); p++)
		for (unsigned n = 1; n < 100; n += 7) {
			struct host h;

			host_open(&h, (struct reap_domain_options){ .policy = policies[p] });
			for (int round = 0; round < 3; round++) {
				for (unsigned i = 0; i < n; i++)
					(void)host_spawn(host_return, NULL);
				CHECK_EQ(host_stats(&h).stacks_mapped - host_stats(&h).stacks_cached, n);
				host_run();
				for (unsigned i = 0; i < n; i++)
					CHECK_EQ(reap_wait_any(0, NULL), 0);
				CHECK_EQ(host_stats(&h).stacks_mapped, host_stats(&h).stacks_cached);
			}
			CHECK(reap_trim(h.domain) > 0);
			CHECK_EQ(host_stats(&h).stacks_mapped, 0);
			host_close(&h);
		}
}

/* ---- a new life has nothing of the last one in its place */

static intptr_t
has_nothing(void *arg)
{
	struct reap_context *self = reap_worker_current(reap_worker_self());

	CHECK(reap_context_user(self) == NULL);
	CHECK_EQ(reap_children(), 0);
	CHECK_EQ(reap_wait_any(REAP_NOHANG, NULL), -ECHILD);
	reap_context_set_user(self, arg);
	(void)reap_no_zombies(true);
	return (intptr_t)arg;
}

TEST(moments, a_new_life_inherits_nothing)
{
	struct reap_context	*child, *last = NULL;
	struct reap_result	r;
	unsigned		again = 0;
	struct host		h;

	host_open(&h, (struct reap_domain_options){ 0 });
	for (int i = 0; i < 200; i++) {
		child = host_spawn(has_nothing, &h);
		again += child == last;
		last = child;
		CHECK(reap_context_user(child) == NULL);
		CHECK_EQ(reap_context_state(child), REAP_STATE_NEW);
		CHECK_EQ(reap_wait(child, 0, &r), 0);
		CHECK(r.user == &h && r.status == (intptr_t)&h);
	}
	CHECK(again > 50);
	host_close(&h);
}

/* ---- children that leave nothing to collect bind nobody */

static intptr_t
outlives_who_leave_nothing(void *arg)
{
	struct reap_context *self = reap_worker_current(reap_worker_self());

	CHECK_EQ(reap_no_zombies(true), 0);
	for (int i = 0; i < 3; i++) {
		(void)host_spawn(host_return, arg);
		(void)host_create((struct reap_context_options){ .entry = host_return, .arg = arg, .user = self });
		host_yield();
		CHECK_EQ(reap_children(), 0);
		CHECK_EQ(reap_context_share(self), 0);
	}
	return 0;
}

TEST(moments, a_parent_without_zombies_is_shared_when_they_are_gone)
{
	struct reap_host	callbacks = host_alone;
	struct reap_context	*parent;
	struct host		h;

	callbacks.shares = true;
	host_open(&h, (struct reap_domain_options){ .host = &callbacks });
	parent = host_spawn(outlives_who_leave_nothing, NULL);
	CHECK_EQ(reap_wait(parent, 0, NULL), 0);
	CHECK_EQ(reap_adopter_drain(reap_adopter_default(h.domain), 10), 6);
	host_close(&h);
}

/* ---- whose stack was left in a sleep is not asleep on it in the next life */

static intptr_t
sleeps_on_a_group(void *arg)
{
	return reap_group_wait(arg, 0, NULL);
}

static __attribute__((noinline)) void
fill(volatile unsigned char *junk, size_t size)
{
	for (size_t i = 0; i < size; i++)
		junk[i] = 0x5a;
}

static intptr_t
covers_its_stack(void *arg)
{
	unsigned char junk[4096];

	fill(junk, sizeof(junk));
	gate_pass(arg);
	return 0;
}

TEST(moments, a_stack_left_in_a_sleep_is_as_good_as_new)
{
	struct reap_host	callbacks = host_alone;
	struct gate		gate[2] = { GATE_INIT, GATE_INIT };
	struct reap_group	*its;
	struct reap_context	*child;
	struct host		h;

	callbacks.shares = true;
	host_open(&h, (struct reap_domain_options){ .host = &callbacks, .policy = REAP_POLICY_SUCCESSOR });
	for (int i = 0; i < 2; i++)		/* the second ones are plain */
		CHECK_EQ(reap_wait(host_spawn(host_return, NULL), 0, NULL), 0);
	CHECK_EQ(reap_group_create(h.domain, &its), 0);
	(void)host_create((struct reap_context_options){ .entry = host_gated, .arg = &gate[0], .group = its });
	child = host_spawn(sleeps_on_a_group, its);
	host_run();
	CHECK_EQ(reap_context_destroy(child, 1), 0);
	CHECK_EQ(reap_wait(child, 0, NULL), 0);
	child = host_spawn(covers_its_stack, &gate[1]);
	host_run();
	CHECK_EQ(reap_context_destroy(child, 2), 0);
	CHECK_EQ(reap_wait(child, 0, NULL), 0);
	gate_open(&gate[0]);
	CHECK_EQ(reap_group_wait(its, 0, NULL), 0);
	CHECK_EQ(reap_adopter_drain(reap_adopter_default(h.domain), 10), 1);
	host_close(&h);
}

/* ---- an orphan ends, and the descriptor of its parent is given back before it is off the CPU */

static void
trims(struct reap_context *dying)
{
	(void)reap_trim(reap_context_domain(dying));
}

TEST(moments, an_orphan_does_not_touch_a_parent_that_was_trimmed)
{
	enum { MANY = 200 };
	struct reap_host	callbacks = host_alone;
	struct gate		gate = GATE_INIT;
	struct reap_context	*parent, *one[MANY];
	struct host		h;

	callbacks.child_exited = note_child;
	host_open(&h, (struct reap_domain_options){ .host = &callbacks, .before_final_switch = trims });
	parent = host_spawn(leaves_a_child, &gate);
	host_run();
	CHECK_EQ(reap_wait(parent, 0, NULL), 0);
	ntold = 0;
	gate_open(&gate);
	host_run();
	CHECK_EQ(ntold, 0);
	CHECK_EQ(reap_adopter_drain(reap_adopter_default(h.domain), 4), 1);
	for (int i = 0; i < MANY; i++) {
		one[i] = host_spawn(host_return, NULL);
		CHECK(reap_context_user(one[i]) == NULL);	/* nobody is it twice */
		reap_context_set_user(one[i], &h);
	}
	for (int i = 0; i < MANY; i++)
		CHECK_EQ(reap_wait(one[i], 0, NULL), 0);
	host_close(&h);
}

/* ---- generations: a worker has them by the block, who is no worker one by one */

enum { BLOCK = 1 << 16 };
static bool	 given[4 * BLOCK];

static void
note_generation(struct reap_handle handle)
{
	CHECK(handle.generation > 0 && handle.generation < sizeof(given));
	CHECK(!given[handle.generation]);
	given[handle.generation] = true;
}

static void *
makes_one(void *arg)
{
	struct reap_context_options	options = { .size = sizeof(options), .entry = host_return };
	struct reap_context		*context;

	CHECK_EQ(reap_context_create(arg, &options, &context), 0);
	note_generation(reap_context_handle(context));
	CHECK_EQ(reap_context_destroy(context, 0), 0);
	CHECK_EQ(reap_join(reap_context_handle(context), 0, NULL), 0);
	return NULL;
}

static void
one_by_a_stranger(struct reap_domain *domain)
{
	pthread_t thread;

	CHECK_EQ(pthread_create(&thread, NULL, makes_one, domain), 0);
	CHECK_EQ(pthread_join(thread, NULL), 0);
}

/* As if it had made so many more that three are left of its block; they are not live. */
static void
use_up(struct reap_worker *worker)
{
	uint64_t n = worker->block - worker->count.created - 3;

	worker->count.created += n;
	worker->loose += n;
}

TEST(moments, no_generation_is_given_twice)
{
	struct reap_result	r;
	struct host		h;

	host_open(&h, (struct reap_domain_options){ 0 });
	note_generation(reap_context_handle(reap_worker_base(h.worker)));
	one_by_a_stranger(h.domain);
	for (int i = 0; i < 24; i++) {
		struct reap_context *owned;

		if (i < 12) {
			CHECK_EQ(reap_wait(host_spawn(host_return, NULL), 0, &r), 0);
			note_generation(r.handle);
		} else {
			CHECK_EQ(reap_spawn_owned(h.worker, host_return, NULL, &owned), 0);
			note_generation((struct reap_handle){ (uintptr_t)owned, REAP__CLAIM_GENERATION(owned->claim) });
			CHECK_EQ(reap_resume(owned, 0, NULL), REAP_ENDED);
		}
		if (i % 12 == 3)
			use_up(h.worker);
		if (i % 12 == 2 || i % 12 == 9)
			one_by_a_stranger(h.domain);
	}
	host_close(&h);
}

/* ---- who listened to one that was destroyed hears nothing of the next on its stack */

static void
must_not_hear(struct reap_exit_listener *listener, struct reap_context *dying, intptr_t status)
{
	(void)listener;
	(void)dying;
	(void)status;
	CHECK(false);
}

TEST(moments, a_listener_to_the_destroyed_hears_nothing_more)
{
	struct reap_exit_listener	listener = { .exiting = must_not_hear };
	struct reap_context		*child;
	struct host			h;

	host_open(&h, (struct reap_domain_options){ 0 });
	for (int i = 0; i < 3; i++) {
		CHECK_EQ(reap_spawn(h.worker, host_return, NULL, &child), 0);
		reap_exit_listen(child, &listener);
		CHECK_EQ(reap_context_destroy(child, 0), 0);
		CHECK_EQ(reap_wait(child, 0, NULL), 0);
		child = i == 1 ? host_spawn(host_return, NULL) :
		    host_create((struct reap_context_options){ .entry = host_return, .user = &h });
		CHECK_EQ(reap_wait(child, 0, NULL), 0);
	}
	host_close(&h);
}

/* ---- what a create that fails gives back */

TEST(moments, a_create_that_fails_keeps_nothing)
{
	struct reap_context_options	options = { .size = sizeof(options), .entry = host_return };
	struct reap_context		*last, *context;
	struct host			h;

	host_open(&h, (struct reap_domain_options){ .limit = 1 });
	CHECK_EQ(reap_group_create(h.domain, &group), 0);
	(void)host_create((struct reap_context_options){ .entry = host_return, .group = group });
	host_run();
	CHECK_EQ(reap_adopter_drain(reap_adopter_default(h.domain), 4), 1);
	last = host_spawn(host_return, NULL);
	CHECK_EQ(reap_wait(last, 0, NULL), 0);
	for (int i = 0; i < 4; i++) {
		options.group = i % 2 ? group : NULL;
		options.stack_size = i % 2 ? 0 : 1;
		CHECK_EQ(reap_context_create(h.domain, &options, &context), i % 2 ? -ESRCH : -EINVAL);
		context = host_spawn(host_return, NULL);
		CHECK(context == last);		/* the descriptor that was used last is the next one's */
		CHECK_EQ(reap_wait(context, 0, NULL), 0);
	}
	CHECK_EQ(reap_group_destroy(group), 0);
	host_close(&h);
}

/* ---- owned by a thread that was no worker */

static struct reap_context *made;

static void *
makes_owned(void *arg)
{
	struct reap_context_options options = {
		.size = sizeof(options), .entry = host_return, .arg = (void *)6, .flags = REAP_CONTEXT_OWNED,
	};

	CHECK_EQ(reap_context_create(arg, &options, &made), 0);
	return NULL;
}

TEST(moments, who_is_owned_by_a_stranger_runs_anywhere)
{
	struct reap_passed	passed = { 0, NULL };
	pthread_t		thread;
	struct host		h;

	host_open(&h, (struct reap_domain_options){ 0 });
	CHECK_EQ(pthread_create(&thread, NULL, makes_owned, h.domain), 0);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	CHECK(reap_context_home(made) == NULL);
	CHECK_EQ(reap_resume(made, 0, &passed), REAP_ENDED);
	CHECK_EQ(passed.word, 6);
	host_close(&h);
}

/* ---- an adopter is named as often as there are descriptors that name it */

static intptr_t
has_children_of_an_adopter(void *arg)
{
	struct reap_context	*self, *child;
	uint32_t		 refs;

	CHECK_EQ(reap_adopter_assume(arg), 0);
	refs = ((struct reap_adopter *)arg)->refs;
	for (int i = 0; i < 3; i++)
		CHECK_EQ(reap_wait(host_spawn(host_return, NULL), 0, NULL), 0);
	for (int i = 0; i < 3; i++) {
		CHECK_EQ(reap_spawn_owned(reap_worker_self(), host_return, NULL, &child), 0);
		CHECK(child->adopter == arg);		/* and so of its children */
		CHECK_EQ(reap_resume(child, 0, NULL), REAP_ENDED);
	}
	CHECK_EQ(((struct reap_adopter *)arg)->refs, refs);
	self = reap_worker_current(reap_worker_self());
	CHECK_EQ(reap_adopter_assume(reap_adopter_default(reap_context_domain(self))), 0);
	CHECK_EQ(((struct reap_adopter *)arg)->refs, refs - 1);
	CHECK(self->adopter == NULL);
	CHECK_EQ(reap_adopter_assume(arg), 0);
	return 0;
}

TEST(moments, children_of_an_adopter_let_it_go)
{
	struct reap_adopter	*init;
	struct reap_context	*parent;
	struct host		h;

	host_open(&h, (struct reap_domain_options){ 0 });
	CHECK_EQ(reap_adopter_create(h.domain, NULL, &init), 0);
	parent = host_spawn(has_children_of_an_adopter, init);
	CHECK_EQ(reap_wait(parent, 0, NULL), 0);
	CHECK_EQ(init->refs, 1);
	CHECK_EQ(reap_adopter_destroy(init), 0);
	host_close(&h);
}

/* ---- a name that is asked for at the very last, in off_cpu() */

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

TEST(moments, off_cpu_may_ask_for_the_name)
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

/* ---- a dead one has no home, and to share it changes nothing */

TEST(moments, a_zombie_has_no_home)
{
	static const enum reap_policy policies[] = { REAP_POLICY_SUCCESSOR, REAP_POLICY_PARENT };
	struct reap_host	callbacks = host_alone;
	struct reap_context	*child;
	struct host		h;

	callbacks.shares = true;
	for (size_t p = 0; p < sizeof(policies) / sizeof(policies[0]); p++) {
		host_open(&h, (struct reap_domain_options){ .host = &callbacks, .policy = policies[p] });
		child = host_spawn(host_return, NULL);
		CHECK(reap_context_home(child) == h.worker);
		host_run();
		if (policies[p] == REAP_POLICY_SUCCESSOR)
			CHECK(reap_context_home(child) == NULL);
		CHECK_EQ(reap_context_share(child), 0);
		CHECK_EQ(reap__bound(h.worker), 0);
		CHECK_EQ(reap_wait(child, 0, NULL), 0);
		host_close(&h);
	}
}

/* ---- a worker that collects more than it needs hands descriptors on */

TEST(moments, a_collector_keeps_only_so_many_descriptors)
{
	enum { MANY = 3 * REAP__DESCRIPTORS_KEPT };
	struct host h;

	host_open(&h, (struct reap_domain_options){ 0 });
	for (int round = 0; round < 2; round++) {
		for (unsigned i = 0; i < MANY; i++)
			(void)host_spawn(host_return, NULL);
		host_run();
		for (unsigned i = 0; i < MANY; i++) {
			CHECK_EQ(reap_wait_any(0, NULL), 0);
			CHECK(h.worker->ndescriptors <= REAP__DESCRIPTORS_KEPT);
		}
	}
	host_close(&h);
}

/* ---- private ones that are not plain: by name, out of the middle */

TEST(moments, by_name_out_of_the_middle_of_private_ones)
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

/* ---- who was looked at alive comes behind those who ended before it */

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

TEST(moments, a_peek_leaves_the_order)
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

/* ---- whom it has waited for is no concern of one that is destroyed */

static intptr_t
has_waited(void *arg)
{
	CHECK_EQ(reap_wait(host_spawn(host_return, NULL), 0, NULL), 0);
	gate_pass(arg);
	return 0;
}

static intptr_t
has_waited_for_a_group(void *arg)
{
	struct gate *gate = arg;

	(void)host_create((struct reap_context_options){ .entry = host_gated, .arg = &gate[1], .group = group });
	CHECK_EQ(reap_group_wait(group, 0, NULL), 0);
	return covers_its_stack(&gate[0]);
}

TEST(moments, one_that_has_waited_for_a_group_is_destroyed)
{
	struct gate		gate[2] = { GATE_INIT, GATE_INIT };
	struct reap_context	*child;
	struct host		h;

	host_open(&h, (struct reap_domain_options){ 0 });
	CHECK_EQ(reap_group_create(h.domain, &group), 0);
	child = host_spawn(has_waited_for_a_group, gate);
	host_run();
	gate_open(&gate[1]);
	host_run();
	CHECK(gate[0].parked == child);
	CHECK_EQ(reap_context_destroy(child, 3), 0);
	CHECK_EQ(reap_wait(child, 0, NULL), 0);
	CHECK_EQ(reap_adopter_drain(reap_adopter_default(h.domain), 4), 1);
	host_close(&h);
}

TEST(moments, one_that_has_waited_is_destroyed)
{
	struct gate		gate = GATE_INIT;
	struct reap_context	*child;
	struct host		h;

	host_open(&h, (struct reap_domain_options){ 0 });
	for (int i = 0; i < 3; i++) {
		child = host_spawn(has_waited, &gate);
		host_run();
		CHECK_EQ(reap_context_state(child), REAP_STATE_SUSPENDED);
		CHECK_EQ(reap_context_destroy(child, 3), 0);
		CHECK_EQ(reap_wait(child, 0, NULL), 0);
		CHECK_EQ(host_stats(&h).reaped, 2 * (i + 1));
	}
	host_close(&h);
}

/* ---- names that cannot be waited for are told from those that cannot yet */

static intptr_t
joins_who_was_here_before(void *arg)
{
	struct reap_handle handle = reap_context_handle(reap_worker_current(reap_worker_self()));

	CHECK_EQ(reap_join(handle, 0, NULL), -EDEADLK);
	handle.generation--;
	CHECK_EQ(reap_join(handle, 0, NULL), -ESRCH);
	return (intptr_t)arg;
}

TEST(moments, names_of_the_detached_are_nobodys)
{
	struct gate		gate = GATE_INIT;
	struct reap_context	*child;
	struct reap_handle	handle;
	struct host		h;

	host_open(&h, (struct reap_domain_options){ 0 });
	CHECK_EQ(reap_wait(host_spawn(joins_who_was_here_before, NULL), 0, NULL), 0);
	child = host_spawn(host_gated, &gate);
	handle = reap_context_handle(child);
	CHECK_EQ(reap_join(handle, REAP_NOHANG, NULL), -EAGAIN);
	CHECK_EQ(reap_join(handle, REAP_NOHANG | REAP_PEEK, NULL), -EAGAIN);
	CHECK_EQ(reap_detach(handle), 0);
	CHECK_EQ(reap_join(handle, REAP_NOHANG, NULL), -ESRCH);
	CHECK_EQ(reap_join(handle, REAP_NOHANG | REAP_PEEK, NULL), -ESRCH);
	gate_open(&gate);
	host_run();
	CHECK_EQ(reap_join(handle, REAP_NOHANG, NULL), -ESRCH);
	CHECK_EQ(reap_join(handle, REAP_NOHANG | REAP_PEEK, NULL), -ESRCH);
	CHECK_EQ(reap_adopter_drain(reap_adopter_default(h.domain), 4), 1);
	host_close(&h);
}

/* ---- a thread waits for one that waits itself */

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

TEST(moments, a_thread_that_waits_closes_no_circle)
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

/* ---- children that others have let go are counted off, and no others */

static intptr_t
has_many_let_go(void *arg)
{
	struct gate	*gate = arg;
	struct reap_context *child;

	for (int round = 0; round < 2; round++) {
		(void)host_spawn(host_return, NULL);
		host_yield();				/* a zombie on the list */
		for (int i = 0; i < 40; i++) {
			child = host_spawn(host_gated, &gate[40 * round + i]);
			CHECK_EQ(reap_detach(reap_context_handle(child)), 0);
		}
		CHECK_EQ(reap_children(), 1);
		child = host_spawn(host_return, NULL);	/* settles what has gone */
		CHECK_EQ(reap_children(), 2);
		CHECK_EQ(reap_wait_any(0, NULL), 0);
		CHECK_EQ(reap_wait(child, 0, NULL), 0);
		CHECK_EQ(reap_wait_any(REAP_NOHANG, NULL), -ECHILD);
	}
	return 0;
}

TEST(moments, settling_keeps_the_zombies_and_the_books)
{
	static struct gate	gate[80];
	struct reap_context	*parent;
	struct host		h;

	for (int i = 0; i < 80; i++)
		gate[i] = (struct gate)GATE_INIT;
	host_open(&h, (struct reap_domain_options){ 0 });
	parent = host_spawn(has_many_let_go, gate);
	CHECK_EQ(reap_wait(parent, 0, NULL), 0);
	CHECK_EQ(reap_context_state(parent), REAP_STATE_NONE);	/* nothing refers to its descriptor */
	for (int i = 0; i < 80; i++)
		gate_open(&gate[i]);
	host_run();
	CHECK_EQ(reap_adopter_drain(reap_adopter_default(h.domain), 100), 80);
	host_close(&h);
}

/* ---- a stale name lets go of nothing, a look at the living says nothing, one at any of them takes nothing */

static intptr_t
looks_at_any(void *arg)
{
	struct reap_result r;

	CHECK_EQ(reap_wait(host_create((struct reap_context_options){ .entry = host_return }), 0, NULL), 0);
	(void)host_spawn(host_gated, arg);
	CHECK_EQ(reap_wait_any(REAP_PEEK, &r), 0);
	CHECK_EQ(r.status, 7);
	CHECK_EQ(reap_children(), 1);
	CHECK_EQ(reap_wait_any(0, &r), 0);
	CHECK_EQ(r.status, 7);
	return 0;
}

TEST(moments, looks_and_stale_names_change_nothing)
{
	struct gate		gate = GATE_INIT;
	struct reap_context	*context;
	struct reap_handle	handle, stale;
	struct reap_result	r = { .status = 99 };
	struct host		h;

	host_open(&h, (struct reap_domain_options){ 0 });
	context = host_spawn(looks_at_any, &gate);
	handle = stale = reap_context_handle(context);
	stale.generation--;
	CHECK_EQ(reap_peek(handle, NULL, &r), 0);
	CHECK_EQ(r.status, 99);
	CHECK_EQ(reap_hold(handle), 0);
	CHECK_EQ(reap_release(stale), -ESRCH);
	CHECK_EQ(reap_release(handle), 0);
	CHECK_EQ(reap_release(handle), -ESRCH);
	host_run();
	gate_open(&gate);
	CHECK_EQ(reap_wait(context, 0, NULL), 0);
	host_close(&h);
}

/* ---- a child that is still on another CPU is passed over for one that is not, and not slept for unless wanted */

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

TEST(moments, any_passes_over_who_is_still_on_the_cpu)
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

/* ---- a parent that has moved is bound where its private child is */

static struct reap_context *mover;

static intptr_t
moves_and_has_a_child(void *arg)
{
	struct reap_context *self = reap_worker_current(reap_worker_self());

	(void)reap_context_handle(self);
	CHECK_EQ(reap_context_share(self), 0);
	gate_pass(arg);
	CHECK(reap_context_home(self) == NULL);
	for (int i = 0; i < 2; i++) {
		(void)host_spawn(host_return, arg);
		CHECK(reap_context_home(self) == reap_worker_self());
		CHECK_EQ(reap_wait_any(0, NULL), 0);
		CHECK_EQ(reap_context_share(self), 0);
	}
	return 0;
}

static void *
goes_on_with_the_mover(void *arg)
{
	struct host_worker	me = { .host = arg };
	struct reap_worker	*worker;

	CHECK_EQ(reap_worker_start(((struct host *)arg)->domain, &me, &worker), 0);
	worker = reap_switch(worker, mover);
	host_run();
	CHECK_EQ(reap_worker_stop(worker), 0);
	return NULL;
}

TEST(moments, a_parent_that_has_moved_is_bound_where_it_is)
{
	struct reap_host	callbacks = host_alone;
	struct gate		gate = GATE_INIT;
	pthread_t		thread;
	struct host		h;

	callbacks.shares = true;
	host_open(&h, (struct reap_domain_options){ .host = &callbacks });
	mover = host_spawn(moves_and_has_a_child, &gate);
	host_run();
	CHECK_EQ(pthread_create(&thread, NULL, goes_on_with_the_mover, &h), 0);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	CHECK_EQ(reap_wait(mover, 0, NULL), 0);
	host_close(&h);
}

/* ---- two domains: who sleeps in one is not run by the other, nor charged with what is used there */

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

TEST(moments, an_end_does_not_go_straight_to_another_domain)
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

TEST(moments, usage_and_descriptors_stay_in_their_domain)
{
	const struct reap_domain_options	options = { .size = sizeof(options), .usage = true };
	const struct reap_context_options	o = { .size = sizeof(o), .entry = host_return };
	struct reap_domain			*other;
	struct reap_context			*context, *next;
	struct reap_handle			name;
	uint64_t				refs;
	struct host				h;

	host_open(&h, (struct reap_domain_options){ 0 });
	CHECK_EQ(reap_domain_create(&options, &other), 0);
	CHECK_EQ(reap_context_create(other, &o, &context), 0);
	CHECK_EQ(reap_context_destroy(context, 0), 0);
	next = reap_worker_base(h.worker) + 1;		/* where the usage of the collector would be */
	refs = next->refs;
	name = reap_context_handle(context);
	CHECK_EQ(reap_hold(name), 0);
	CHECK_EQ(reap_join(name, 0, NULL), 0);
	CHECK_EQ(next->refs, refs);
	CHECK_EQ(reap_release(name), 0);		/* its descriptor is no worker's of ours */
	context = host_spawn(host_return, NULL);
	CHECK(reap_context_domain(context) == h.domain);
	CHECK_EQ(reap_wait(context, 0, NULL), 0);
	CHECK_EQ(reap_domain_destroy(other, NULL, NULL), 0);
	host_close(&h);
}

/* ---- SIGCHLD for one that was destroyed */

TEST(moments, a_parent_is_told_of_the_destroyed)
{
	struct reap_host		callbacks = host_alone;
	struct reap_context_options	o = { .size = sizeof(o), .entry = host_return };
	struct reap_context		*child;
	struct host			h;

	callbacks.child_exited = note_child;
	host_open(&h, (struct reap_domain_options){ .host = &callbacks });
	for (int early = 0; early < 2; early++) {
		o.notify = early ? REAP_NOTIFY_EARLY : REAP_NOTIFY_LATE;
		ntold = 0;
		CHECK_EQ(reap_context_create(h.domain, &o, &child), 0);
		CHECK_EQ(reap_context_destroy(child, 0), 0);
		CHECK_EQ(ntold, 1);
		CHECK(told_of == child);
		CHECK_EQ(reap_wait(child, 0, NULL), 0);
	}
	host_close(&h);
}

/* ---- where the domain asks for something uncommon nobody is born plain, or simple */

static uint64_t
no_clock(void *arg)
{
	(void)arg;
	return 0;
}

static bool
no_locks(struct reap_context *dying)
{
	(void)dying;
	return false;
}

static void
no_hook(struct reap_worker *worker, struct reap_context *from, struct reap_context *to)
{
	(void)worker;
	(void)from;
	(void)to;
}

static void
no_hook_after(struct reap_worker *worker, struct reap_context *from, bool dead)
{
	(void)worker;
	(void)from;
	(void)dead;
}

static void
check_births(struct reap_domain_options options, struct reap_host callbacks, bool plain, bool simple)
{
	struct host h;

	callbacks.next = host_next;
	callbacks.ready = host_ready;
	callbacks.shares = true;
	options.host = &callbacks;
	options.clock = no_clock;
	host_open(&h, options);
	CHECK_EQ(h.worker->birth != 0, plain);
	CHECK_EQ(h.worker->simple != 0, simple);
	host_close(&h);
}

TEST(moments, only_the_common_is_plain)
{
	const struct reap_host		none = { .next = NULL };
	const struct reap_domain_options any = { .limit = 0 };
	struct host			h;

	host_open(&h, any);
	if (h.worker->simple == 0)
		SKIP("nobody is born plain here");
	host_close(&h);
	check_births(any, none, true, true);
	check_births((struct reap_domain_options){ .policy = REAP_POLICY_PARENT }, none, true, true);
	check_births((struct reap_domain_options){ .policy = REAP_POLICY_SUCCESSOR }, none, true, true);
	check_births((struct reap_domain_options){ .policy = REAP_POLICY_ADOPTER }, none, false, false);
	check_births((struct reap_domain_options){ .policy = REAP_POLICY_THREAD }, none, false, false);
	check_births((struct reap_domain_options){ .notify = REAP_NOTIFY_EARLY }, none, false, true);
	check_births((struct reap_domain_options){ .limit = 10 }, none, true, false);
	check_births((struct reap_domain_options){ .usage = true }, none, false, false);
	check_births((struct reap_domain_options){ .ledger_time = true }, none, false, false);
	check_births((struct reap_domain_options){ .before_final_switch = trims }, none, false, false);
	check_births((struct reap_domain_options){ .stack = { .flags = REAP_STACK_SCRUB } }, none, false, false);
	check_births(any, (struct reap_host){ .on_switch = no_hook }, false, false);
	check_births(any, (struct reap_host){ .after_switch = no_hook_after }, false, false);
	check_births(any, (struct reap_host){ .locks_held = no_locks }, false, false);
	check_births(any, (struct reap_host){ .child_exited = note_child }, false, true);
}

/* ---- plain ones are seen to run, and their switches counted */

static intptr_t
is_seen_to_run(void *arg)
{
	CHECK_EQ(reap_context_state(reap_worker_current(reap_worker_self())), REAP_STATE_RUNNING);
	return (intptr_t)arg;
}

static intptr_t
has_two_seen_to_run(void *arg)
{
	struct reap_context *child[2];

	for (int i = 0; i < 10; i++) {
		for (int k = 0; k < 2; k++)
			child[k] = host_spawn(is_seen_to_run, arg);
		host_yield();
		for (int k = 0; k < 2; k++)
			CHECK_EQ(reap_wait(child[k], 0, NULL), 0);
	}
	for (int i = 0; i < 10; i++)
		CHECK_EQ(reap_wait(host_spawn(is_seen_to_run, arg), 0, NULL), 0);
	return 0;
}

TEST(moments, switches_are_counted_once)
{
	struct reap_host	callbacks = host_alone;
	struct reap_context	*parent;
	uint64_t		before;
	struct host		h;

	callbacks.direct = true;
	host_open(&h, (struct reap_domain_options){ .host = &callbacks });
	CHECK_EQ(reap_wait(host_spawn(is_seen_to_run, NULL), 0, NULL), 0);
	before = host_stats(&h).switches;
	parent = host_spawn(has_two_seen_to_run, NULL);
	host_run();
	/* To the parent and back, and with each pair: to the first one, to the second, and back. */
	CHECK_EQ(host_stats(&h).switches - before, 2 + 10 * 3 + 10 * 2);
	CHECK_EQ(reap_wait(parent, 0, NULL), 0);
	/* A base context is no context to go straight to. */
	CHECK_EQ(reap_wait(host_spawn(is_seen_to_run, NULL), 0, NULL), 0);
	(void)host_spawn(is_seen_to_run, NULL);
	CHECK_EQ(reap_wait_any(0, NULL), 0);
	host_close(&h);
}

/* ---- a plain child ends behind one that has been named */

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

TEST(moments, a_plain_child_comes_behind_a_named_one)
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

/* ---- descriptors, wherever they lie, are counted, and used before others are made */

static uint64_t
carved(const struct reap_domain *domain)
{
	uint64_t n = 0;

	for (const struct reap__descriptors *slab = domain->slabs; slab != NULL; slab = slab->next) {
		CHECK_EQ(slab->mapped, REAP__SLAB_SIZE);	/* the unaligned ends were given back */
		n += ((uint64_t)1 << 32) + slab->carved;
	}
	return n;
}

static size_t
on_the_list(const struct reap_context *context)
{
	size_t n = 0;

	for (; context != NULL; context = context->next)
		n++;
	return n;
}

TEST(moments, descriptors_are_counted_where_they_lie)
{
	enum { MANY = 20000 };
	static struct reap_context	*one[MANY];
	uint64_t			so_many = 0;
	struct host			h;

	host_open(&h, (struct reap_domain_options){ 0 });
	for (int round = 0; round < 3; round++) {
		struct reap_worker *worker = round < 2 ? h.worker : NULL;

		for (int i = 0; i < MANY; i++) {
			one[i] = reap__descriptor_get(h.domain, worker);
			CHECK(one[i] != NULL && reap_context_domain(one[i]) == h.domain);
		}
		CHECK(round != 1 || carved(h.domain) <= so_many + 64);	/* which come by the batch */
		so_many = carved(h.domain);
		for (int i = 0; i < MANY; i++)
			reap__descriptor_put(h.domain, worker, one[i]);
		CHECK_EQ(on_the_list(h.worker->descriptors), h.worker->ndescriptors);
		CHECK(h.worker->ndescriptors <= 4 * REAP__DESCRIPTORS_KEPT);
		if (round == 1)
			(void)reap_trim(h.domain);
		CHECK(round != 1 || h.domain->returned == NULL);
		CHECK_EQ(on_the_list(h.domain->descriptors), h.domain->ndescriptors);
	}
	/* The same after they have given their pages back: those are carved anew before others are mapped. */
	for (int round = 0; round < 2; round++) {
		uint64_t slabs = carved(h.domain) >> 32;

		(void)reap_trim(h.domain);
		CHECK_EQ(on_the_list(h.domain->descriptors), h.domain->ndescriptors);
		for (int i = 0; i < MANY; i++)
			one[i] = reap__descriptor_get(h.domain, NULL);
		CHECK_EQ(carved(h.domain) >> 32, slabs);
		for (int i = 0; i < MANY; i++)
			reap__descriptor_put(h.domain, NULL, one[i]);
		CHECK_EQ(on_the_list(h.domain->descriptors), h.domain->ndescriptors);
	}
	host_close(&h);
}

/* ---- what a descriptor or a stack remembers is not the next one's */

static unsigned off;

static void
counts_off(struct reap_context *context, intptr_t status)
{
	(void)context;
	(void)status;
	off++;
}

static intptr_t
leaves_a_named_one(void *arg)
{
	(void)reap_context_handle(host_spawn(host_gated, arg));
	host_yield();
	return 0;
}

static intptr_t
collects_a_named_one(void *arg)
{
	struct reap_context *child = host_spawn(host_return, arg);

	(void)reap_context_handle(child);
	CHECK_EQ(reap_wait(child, 0, NULL), 0);
	CHECK_EQ(reap_context_share(reap_worker_current(reap_worker_self())), 0);
	return 0;
}

TEST(moments, what_the_last_one_had_is_not_the_next_ones)
{
	struct reap_host	callbacks = host_alone;
	struct gate		gate = GATE_INIT;
	struct reap_context	*child;
	struct host		h;

	callbacks.shares = true;
	host_open(&h, (struct reap_domain_options){ .host = &callbacks, .policy = REAP_POLICY_SUCCESSOR });
	child = host_create((struct reap_context_options){ .entry = host_return, .off_cpu = counts_off });
	CHECK_EQ(reap_wait(child, 0, NULL), 0);
	CHECK(host_spawn(host_return, NULL) == child);
	(void)reap_context_handle(child);
	CHECK_EQ(reap_wait(child, 0, NULL), 0);
	CHECK_EQ(off, 1);			/* its off_cpu() was not called for this one */
	/* How many shared children the last one on that stack had. */
	CHECK_EQ(reap_wait(host_spawn(leaves_a_named_one, &gate), 0, NULL), 0);
	CHECK_EQ(reap_wait(host_spawn(collects_a_named_one, NULL), 0, NULL), 0);
	gate_open(&gate);
	host_run();
	CHECK_EQ(reap_adopter_drain(reap_adopter_default(h.domain), 4), 1);
	host_close(&h);
}

/* ---- a worker keeps an eighth of a limit, and no more than 128 credits; who is no worker keeps none */

TEST(moments, credits_do_not_pile_up)
{
	static const struct { uint64_t limit; uint32_t most; } sizes[] = { { 160, 20 }, { 4096, 128 } };
	struct host h;

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		uint32_t most = 0;

		host_open(&h, (struct reap_domain_options){ .limit = sizes[i].limit });
		for (int n = 0; n < 150; n++)
			(void)host_spawn(host_return, NULL);
		host_run();
		while (reap_wait_any(0, NULL) == 0)
			most = h.worker->credits > most ? h.worker->credits : most;
		CHECK_EQ(most, sizes[i].most);
		if (i == 0)
			one_by_a_stranger(h.domain);
		CHECK_EQ(h.worker->credits + h.domain->credits, sizes[i].limit);
		host_close(&h);
	}
}

/* ---- an adopter ends: who sleeps at its heir is told, and the heir is named no more */

static unsigned inherited;

static intptr_t
drains_what_is_inherited(void *arg)
{
	while (reap_adopter_wait(arg) == 0)
		inherited += (unsigned)reap_adopter_drain(arg, 10);
	return 0;
}

TEST(moments, an_heir_that_sleeps_is_told)
{
	static const enum reap_policy policies[] = { REAP_POLICY_SUCCESSOR, REAP_POLICY_ADOPTER };

	for (size_t p = 0; p < sizeof(policies) / sizeof(policies[0]); p++) {
		struct gate		gate = GATE_INIT;
		struct reap_adopter	*elder, *younger;
		struct reap_context	*drainer, *child[2];
		struct host		h;

		host_open(&h, (struct reap_domain_options){ .policy = policies[p] });
		CHECK_EQ(reap_adopter_create(h.domain, NULL, &elder), 0);
		CHECK_EQ(reap_adopter_create(h.domain, elder, &younger), 0);
		drainer = host_create((struct reap_context_options){ .entry = drains_what_is_inherited, .arg = elder,
		    .policy = REAP_POLICY_PARENT });
		/* A corpse; or a stack, of one before and of one after the end of the adopter. */
		child[0] = host_create((struct reap_context_options){ .entry = host_return, .adopter = younger,
		    .flags = p == 0 ? REAP_CONTEXT_DETACHED : 0 });
		child[1] = host_create((struct reap_context_options){ .entry = host_gated, .arg = &gate, .adopter = younger });
		host_run();
		inherited = 0;
		CHECK_EQ(reap_adopter_destroy(younger), 0);
		host_run();
		CHECK_EQ(inherited, 1);
		gate_open(&gate);
		host_run();
		CHECK_EQ(inherited, p == 0 ? 1 : 2);
		CHECK_EQ(reap_wait(child[1], 0, NULL), 0);
		if (p == 1)
			CHECK_EQ(reap_wait(child[0], 0, NULL), 0);
		reap_adopter_interrupt(elder);
		CHECK_EQ(reap_wait(drainer, 0, NULL), 0);
		CHECK_EQ(elder->refs, 1);
		CHECK_EQ(reap_adopter_destroy(elder), 0);
		host_close(&h);
	}
}

/* ---- words and cancellations that are not there are not those of before */

static struct reap_context *partner;

static intptr_t
passes_nothing(void *arg)
{
	struct reap_context	*self = reap_worker_current(reap_worker_self());
	intptr_t		 word = 5;

	CHECK(reap_resumed_by(self) == arg);
	CHECK_EQ(reap_suspend(&word), 0);
	CHECK_EQ(reap_suspend(NULL), -ECANCELED);
	CHECK_EQ(reap_suspend(&word), 0);	/* transferred to, with nothing: not cancelled again */
	CHECK_EQ(word, 0);
	return 3;
}

static intptr_t
transfers_nothing(void *arg)
{
	CHECK_EQ(reap_transfer(partner, NULL), 0);
	return (intptr_t)arg;
}

static intptr_t
is_resumed_by_nobody(void *arg)
{
	host_yield();				/* who waits for us has claimed us */
	CHECK(reap_resumed_by(reap_worker_current(reap_worker_self())) == NULL);
	return (intptr_t)arg;
}

static intptr_t
waits_for_it(void *arg)
{
	CHECK_EQ(reap_wait(host_spawn(is_resumed_by_nobody, arg), 0, NULL), 0);
	return 0;
}

TEST(moments, what_is_not_passed_is_nothing)
{
	struct reap_passed	passed = { 9, NULL };
	struct reap_context	*first, *base;
	struct host		h;

	host_open(&h, (struct reap_domain_options){ 0 });
	base = reap_worker_base(h.worker);
	CHECK_EQ(reap_spawn_owned(h.worker, passes_nothing, base, &partner), 0);
	CHECK_EQ(reap_spawn_owned(h.worker, transfers_nothing, (void *)4, &first), 0);
	CHECK_EQ(reap_resume(partner, 0, &passed), REAP_SUSPENDED);
	CHECK_EQ(passed.word, 5);
	passed.word = 8;
	CHECK_EQ(reap_resume(partner, 0, &passed), REAP_SUSPENDED);
	CHECK_EQ(passed.word, 0);
	passed.word = 8;
	CHECK_EQ(reap_resume(partner, REAP_CANCEL, &passed), REAP_SUSPENDED);
	CHECK_EQ(reap_resume(first, 0, &passed), REAP_ENDED);
	CHECK(passed.context == partner && passed.word == 3);
	CHECK_EQ(reap_resume(first, 0, &passed), REAP_ENDED);
	CHECK_EQ(passed.word, 4);
	CHECK_EQ(reap_wait(host_spawn(waits_for_it, NULL), 0, NULL), 0);
	host_close(&h);
}

/* ---- a member may wait for another group, and who has a member's stack is none */

static intptr_t
waits_for_the_group(void *arg)
{
	CHECK_EQ(reap_group_wait(group, 0, NULL), 0);
	return (intptr_t)arg;
}

TEST(moments, who_is_no_member_may_wait)
{
	struct gate		gate = GATE_INIT;
	struct reap_group	*another;
	struct host		h;

	host_open(&h, (struct reap_domain_options){ .policy = REAP_POLICY_SUCCESSOR });
	for (int i = 0; i < 2; i++) {
		gate.open = false;
		CHECK_EQ(reap_wait(host_spawn(host_return, NULL), 0, NULL), 0);
		CHECK_EQ(reap_group_create(h.domain, &group), 0);
		CHECK_EQ(reap_group_create(h.domain, &another), 0);
		(void)host_create((struct reap_context_options){ .entry = host_gated, .arg = &gate, .group = group });
		(void)host_create((struct reap_context_options){ .entry = host_return, .group = group });
		host_run();
		if (i == 1)
			(void)host_spawn(waits_for_the_group, NULL);	/* on the stack of the one that has ended */
		host_run();
		(void)host_create((struct reap_context_options){ .entry = i == 0 ? waits_for_the_group : host_return,
		    .group = another });
		host_run();
		gate_open(&gate);
		host_run();
		CHECK_EQ(reap_group_wait(another, 0, NULL), 0);
		CHECK_EQ(reap_wait_any(0, NULL), i == 1 ? 0 : -ECHILD);
		CHECK_EQ(reap_adopter_drain(reap_adopter_default(h.domain), 10), 3);
	}
	host_close(&h);
}

/* ---- a base context that is held beyond its worker, and what a domain lists at its end */

TEST(moments, a_base_context_has_ended_with_its_worker)
{
	enum reap_state		state;
	struct reap_handle	base;
	struct host		h;

	host_open(&h, (struct reap_domain_options){ 0 });
	base = reap_context_handle(reap_worker_base(h.worker));
	CHECK_EQ(reap_hold(base), 0);
	CHECK_EQ(reap_worker_stop(h.worker), 0);
	CHECK_EQ(reap_peek(base, &state, NULL), 0);
	CHECK(state >= REAP_STATE_EXITING);
	CHECK_EQ(reap_join(base, REAP_NOHANG, NULL), -ESRCH);
	CHECK_EQ(reap_release(base), 0);
	CHECK_EQ(reap_domain_destroy(h.domain, NULL, NULL), 0);
}

TEST(moments, a_domain_lists_orphans_and_not_the_detached)
{
	for (int listed = 0; listed < 2; listed++) {
		unsigned	unjoined = 0;
		struct host	h;

		host_open(&h, (struct reap_domain_options){ 0 });
		for (int i = 0; i < 1500; i++)		/* more than one drain takes */
			(void)host_create((struct reap_context_options){ .entry = host_return, .flags = REAP_CONTEXT_DETACHED });
		for (int i = 0; i < 3; i++)
			(void)host_spawn(host_return, NULL);
		host_run();
		CHECK_EQ(reap_worker_stop(h.worker), 0);
		CHECK_EQ(reap_domain_destroy(h.domain, listed ? host_unjoined : NULL, &unjoined), 0);
		CHECK_EQ(unjoined, listed ? 3 : 0);
	}
}
