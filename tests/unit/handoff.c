/* SPDX-License-Identifier: ISC */
/*
 * handoff.c: who runs next at an exit, and where: straight to the sleeper; listeners that move; hooks that must not switch.
 */
#include "host.h"
#include "misuse.h"

/* ---- one worker: nothing else is runnable, so the exit goes straight to who sleeps for it */

static struct host *the_host;
static unsigned readied;		/* ready() calls between the exit's begin and the waiter's return */
static bool	 uncommon;		/* its exit is one with options */

static void
off_cpu_unheard(struct reap_context *context, intptr_t status)
{
	(void)context;
	(void)status;
}

static intptr_t
notes_ready(void *arg)
{
	readied = the_host->readied;
	return (intptr_t)arg;
}

static intptr_t
waits_for_one(void *arg)
{
	struct reap_result	r;
	struct reap_context	*child = !uncommon ? host_spawn(notes_ready, (void *)5) :
	    host_create((struct reap_context_options){ .entry = notes_ready, .arg = (void *)5, .off_cpu = off_cpu_unheard });

	CHECK_EQ(arg != NULL ? reap_wait(child, 0, &r) : reap_wait_any(0, &r), 0);
	CHECK_EQ(r.status, 5);
	CHECK_EQ(the_host->readied, readied);	/* resumed, not readied: and not twice */
	return 0;
}

static void
goes_straight(bool direct, enum reap_policy policy, void *by_name)
{
	struct reap_host	callbacks = host_alone;
	struct reap_stats	before, after;
	struct reap_context	*parent;
	struct host		h;

	callbacks.direct = direct;
	host_open(&h, (struct reap_domain_options){ .host = &callbacks, .policy = policy });
	the_host = &h;
	before = host_stats(&h);
	parent = host_spawn(waits_for_one, by_name);
	host_run();
	after = host_stats(&h);
	CHECK_EQ(after.exited - before.exited, 2);
	CHECK_EQ(after.handed_direct - before.handed_direct, 1);	/* the child's; the parent's exit finds nobody */
	CHECK_EQ(after.handed_base - before.handed_base, 1);
	if (policy == REAP_POLICY_ADAPTIVE)
		/* A waiter was there: it got the whole corpse. */
		CHECK_EQ(after.ledger[REAP_PAYER_PARENT].stacks, 1);
	if (policy == REAP_POLICY_SUCCESSOR)
		CHECK_EQ(after.ledger[REAP_PAYER_SUCCESSOR].stacks, 2);		/* it was the landing's all the same */
	CHECK_EQ(reap_wait(parent, 0, NULL), 0);
	host_close(&h);
}

TEST(handoff, straight_to_the_parent_that_waits_for_it)
{
	goes_straight(true, REAP_POLICY_ADAPTIVE, &readied);
	goes_straight(true, REAP_POLICY_PARENT, &readied);
	goes_straight(true, REAP_POLICY_SUCCESSOR, &readied);
}

TEST(handoff, straight_to_the_parent_that_waits_for_any)
{
	goes_straight(true, REAP_POLICY_ADAPTIVE, NULL);
	goes_straight(true, REAP_POLICY_PARENT, NULL);
}

TEST(handoff, straight_from_one_that_is_not_plain)
{
	uncommon = true;
	goes_straight(true, REAP_POLICY_ADAPTIVE, &readied);
	goes_straight(true, REAP_POLICY_PARENT, NULL);
}

static unsigned turn;

static intptr_t
comes_first(void *arg)
{
	CHECK_EQ(turn++, 0);
	return (intptr_t)arg;
}

static intptr_t
waits_behind_others(void *arg)
{
	struct reap_context *child = host_spawn(host_return, NULL), *other = host_spawn(comes_first, NULL);

	CHECK_EQ(arg != NULL ? reap_wait(child, 0, NULL) : reap_wait_any(0, NULL), 0);
	CHECK_EQ(turn++, 1);
	CHECK_EQ(reap_wait(other, 0, NULL), 0);
	return 0;
}

TEST(handoff, not_past_who_is_runnable)
{
	struct reap_host	callbacks = host_alone;
	struct reap_context	*parent;
	struct host		h;

	callbacks.direct = true;
	for (int by_name = 0; by_name < 2; by_name++) {
		host_open(&h, (struct reap_domain_options){ .host = &callbacks });
		turn = 0;
		parent = host_spawn(waits_behind_others, by_name ? &h : NULL);
		host_run();
		CHECK_EQ(turn, 2);
		CHECK_EQ(reap_wait(parent, 0, NULL), 0);
		host_close(&h);
	}
}

/* The last child of a parent that wants no zombies: the parent and the adopter are both told. */
static int	adopter_said = 1;

static intptr_t
waits_for_the_owed(void *arg)
{
	adopter_said = reap_adopter_wait(arg);
	CHECK_EQ(reap_adopter_drain(arg, 10), 1);
	return 0;
}

static intptr_t
waits_for_the_unwanted(void *arg)
{
	CHECK_EQ(reap_no_zombies(true), 0);
	(void)host_spawn(host_return, arg);
	CHECK_EQ(reap_wait_any(0, NULL), -ECHILD);
	return 0;
}

TEST(handoff, not_if_two_are_told)
{
	struct reap_host	callbacks = host_alone;
	struct reap_context	*drainer, *parent;
	struct host		h;

	callbacks.direct = true;
	host_open(&h, (struct reap_domain_options){ .host = &callbacks });
	drainer = host_spawn(waits_for_the_owed, reap_adopter_default(h.domain));
	parent = host_spawn(waits_for_the_unwanted, NULL);
	host_run();
	CHECK_EQ(adopter_said, 0);
	CHECK_EQ(host_stats(&h).ledger[REAP_PAYER_SUCCESSOR].stacks, 3);	/* the unwanted one's too, though two slept */
	CHECK_EQ(reap_wait(drainer, 0, NULL), 0);
	CHECK_EQ(reap_wait(parent, 0, NULL), 0);
	host_close(&h);
}

static intptr_t
waits_as_told(void *arg)
{
	CHECK_EQ(reap_wait(host_spawn(host_return, arg), 0, NULL), 0);
	return 0;
}

TEST(handoff, not_unless_the_host_wants_it)
{
	struct host		h;
	struct reap_context	*parent;

	host_open(&h, (struct reap_domain_options){ 0 });
	parent = host_spawn(waits_as_told, NULL);
	host_run();
	CHECK_EQ(host_stats(&h).handed_direct, 0);
	CHECK_EQ(host_stats(&h).handed_base, 2);
	CHECK_EQ(reap_wait(parent, 0, NULL), 0);
	host_close(&h);
}

static bool
stays(struct reap_context *context, void *arg)
{
	(void)context;
	(void)arg;
	return true;
}

static intptr_t
waits_and_parks(void *arg)
{
	CHECK_EQ(reap_wait(host_spawn(host_return, arg), 0, NULL), 0);
	(void)reap_park(reap_worker_self(), stays, NULL);
	return 0;
}

TEST(handoff, who_has_waited_may_be_destroyed)
{
	struct reap_host	callbacks = host_alone;
	struct reap_context	*parent;
	struct reap_result	r;
	struct host		h;

	callbacks.direct = true;
	host_open(&h, (struct reap_domain_options){ .host = &callbacks });
	parent = host_spawn(waits_and_parks, NULL);
	host_run();
	CHECK_EQ(reap_context_destroy(parent, 3), 0);
	CHECK_EQ(reap_wait(parent, 0, &r), 0);
	CHECK_EQ(r.status, 3);
	host_close(&h);
}

static intptr_t
leaves_a_child(void *arg)
{
	(void)host_spawn(host_return, arg);
	(void)reap_yield(reap_worker_self());
	return 7;
}

static intptr_t
waits_for_a_parent(void *arg)
{
	struct reap_result r;

	CHECK_EQ(reap_wait(host_spawn(leaves_a_child, arg), 0, &r), 0);
	CHECK_EQ(r.status, 7);
	return 0;
}

TEST(handoff, not_before_who_dies_has_left_its_children_to_others)
{
	struct reap_host	callbacks = host_alone;
	struct reap_context	*parent;
	struct host		h;

	callbacks.direct = true;
	host_open(&h, (struct reap_domain_options){ .host = &callbacks });
	parent = host_spawn(waits_for_a_parent, NULL);
	host_run();
	CHECK_EQ(host_stats(&h).orphans, 1);
	CHECK_EQ(reap_adopter_drain(reap_adopter_default(h.domain), 10), 1);
	CHECK_EQ(reap_wait(parent, 0, NULL), 0);
	host_close(&h);
}

static struct reap_context *
next_shared(struct reap_worker *worker)
{
	struct reap_context *context = host_next(worker);

	if (context != NULL)
		(void)reap_context_share(context);
	return context;
}

static intptr_t
waits_for_some(void *arg)
{
	struct reap_context *child[3];

	/* Three stacks at hand: one that is carried along leaves others. */
	for (int i = 0; i < 3; i++)
		child[i] = host_spawn(host_return, arg);
	for (int i = 0; i < 3; i++)
		CHECK_EQ(reap_wait(child[i], 0, NULL), 0);
	for (int i = 0; i < 3; i++)
		CHECK_EQ(reap_wait(host_spawn(host_return, arg), 0, NULL), 0);
	return 0;
}

TEST(handoff, to_one_that_next_shares)
{
	struct reap_host	callbacks = host_alone;
	struct reap_context	*parent;
	struct reap_stats	stats;
	struct host		h;

	callbacks.direct = callbacks.shares = true;
	callbacks.next = next_shared;
	host_open(&h, (struct reap_domain_options){ .host = &callbacks });
	parent = host_spawn(waits_for_some, NULL);
	host_run();
	CHECK_EQ(reap_wait(parent, 0, NULL), 0);
	stats = host_stats(&h);
	CHECK_EQ(stats.live, 0);
	CHECK_EQ(stats.stacks_mapped, stats.stacks_cached);	/* none is lost */
	host_close(&h);
}

static intptr_t
switches_to_who_waits(void *arg)
{
	host_ready(reap_worker_current(reap_worker_self()));	/* runnable again as soon as it has left */
	(void)reap_switch(reap_worker_self(), arg);
	readied = the_host->readied;
	return 6;
}

static intptr_t
waits_twice(void *arg)
{
	struct reap_context	*self = reap_worker_current(reap_worker_self());
	struct reap_result	 r;

	CHECK_EQ(reap_wait(host_spawn(switches_to_who_waits, self), 0, &r), 0);
	CHECK_EQ(r.status, 6);
	CHECK_EQ(the_host->readied, readied);
	return (intptr_t)arg;
}

TEST(handoff, who_is_switched_to_in_its_sleep_sleeps_again)
{
	struct reap_host	callbacks = host_alone;
	struct reap_context	*parent;
	struct host		h;

	callbacks.direct = callbacks.shares = true;
	host_open(&h, (struct reap_domain_options){ .host = &callbacks });
	the_host = &h;
	parent = host_spawn(waits_twice, NULL);
	host_run();
	CHECK_EQ(host_stats(&h).zombies, 1);
	CHECK_EQ(reap_wait(parent, 0, NULL), 0);
	host_close(&h);
}

/* ---- early, and nobody waits */

TEST(handoff, early_without_a_waiter_leaves_a_thin_zombie)
{
	const void		*lo, *sp, *hi;
	struct reap_context	*child;
	struct host		h;

	host_open(&h, (struct reap_domain_options){ .notify = REAP_NOTIFY_EARLY });
	child = host_spawn(host_return, NULL);
	host_run();
	CHECK_EQ(reap_context_stack(child, &lo, &sp, &hi), -ENOENT);
	CHECK_EQ(host_stats(&h).ledger[REAP_PAYER_SUCCESSOR].stacks, 1);
	CHECK_EQ(reap_wait(child, 0, NULL), 0);
	host_close(&h);
}

/* ---- who yields is readied by its successor: another worker may take it at once */

static unsigned ready_again;

static void
ready_off_the_cpu(struct reap_context *context)
{
	CHECK_EQ(reap_context_state(context), REAP_STATE_SUSPENDED);
	ready_again++;
	host_ready(context);
}

static intptr_t
yields_once(void *arg)
{
	(void)reap_yield(reap_worker_self());
	return (intptr_t)arg;
}

TEST(handoff, who_yields_is_readied_off_the_cpu)
{
	struct reap_host	callbacks = host_alone;
	struct reap_context	*children[2];
	struct host		h;

	ready_again = 0;
	callbacks.ready = ready_off_the_cpu;
	host_open(&h, (struct reap_domain_options){ .host = &callbacks });
	for (int i = 0; i < 2; i++)
		children[i] = host_spawn(yields_once, NULL);
	host_run();
	CHECK_EQ(ready_again, 2);
	for (int i = 0; i < 2; i++)
		CHECK_EQ(reap_wait(children[i], 0, NULL), 0);
	host_close(&h);
}

/* ---- a hook that switches finds the slot full */

static bool armed;

static void
switches_in_hook(struct reap_worker *worker, struct reap_context *from, struct reap_context *to)
{
	(void)to;
	if (armed && from != reap_worker_base(worker)) {
		armed = false;
		(void)reap_yield(worker);
	}
}

static bool
publish_nothing(struct reap_context *parked, void *arg)
{
	(void)parked;
	(void)arg;
	return false;
}

static intptr_t
parks_once(void *arg)
{
	if (arg != NULL)
		(void)reap_park(reap_worker_self(), publish_nothing, NULL);
	return 0;
}

static void
leave_and_switch(void *parks)
{
	struct reap_host	callbacks = host_alone;
	struct host		h;

	callbacks.on_switch = switches_in_hook;
	host_open(&h, (struct reap_domain_options){ .host = &callbacks });
	(void)host_spawn(parks_once, parks);
	(void)host_spawn(host_return, NULL);
	(void)host_spawn(host_return, NULL);
	armed = true;
	host_run();
}

TEST(handoff, a_hook_that_switches_aborts)
{
	check_misuse("slot-full", leave_and_switch, NULL);
	check_misuse("slot-full", leave_and_switch, &armed);
}

/* Whatever would leave the caller, from within a park that has filled the slot, by a next() that must not. */
enum deed { PARKS, YIELDS, WAITS, WAITS_UNCOMMONLY, WAITS_FOR_ANY };

static enum deed deed;
static struct reap_context *its_child;

static struct reap_context *
leaves_in_next(struct reap_worker *worker)
{
	if (armed) {
		armed = false;
		switch (deed) {
		case PARKS:
			(void)reap_park(worker, publish_nothing, NULL);
			break;
		case YIELDS:
			(void)reap_yield(worker);
			break;
		case WAITS:
		case WAITS_UNCOMMONLY:
			(void)reap_wait(its_child, 0, NULL);
			break;
		case WAITS_FOR_ANY:
			(void)reap_wait_any(0, NULL);
			break;
		}
	}
	return host_next(worker);
}

static intptr_t
parks_with_child(void *arg)
{
	struct reap_context_options options = { .size = sizeof(options), .entry = host_return, .off_cpu = off_cpu_unheard };
	struct reap_worker *worker = reap_worker_self();

	if (deed == WAITS_UNCOMMONLY) {
		CHECK_EQ(reap_context_create(reap_worker_domain(worker), &options, &its_child), 0);
		host_ready(its_child);
	} else
		its_child = host_spawn(host_return, NULL);
	armed = true;
	(void)reap_park(worker, publish_nothing, NULL);
	return (intptr_t)arg;
}

static void
leave_in_next(void *arg)
{
	struct reap_host	callbacks = host_alone;
	struct host		h;

	deed = *(enum deed *)arg;
	callbacks.next = leaves_in_next;
	host_open(&h, (struct reap_domain_options){ .host = &callbacks });
	(void)host_spawn(parks_with_child, NULL);
	host_run();
}

TEST(handoff, a_next_that_leaves_aborts)
{
	for (enum deed what = PARKS; what <= WAITS_FOR_ANY; what++)
		check_misuse("slot-full", leave_in_next, &what);
}

/* ---- two workers with a queue each: nothing goes from one to the other but what the test puts there */

struct pair {
	struct reap_domain	*domain;
	struct reap_worker	*worker[2];
	pthread_mutex_t		 lock;
	struct reap_context	*queue[2][8];	/* under the lock, as n */
	unsigned		 n[2];
	unsigned		 stop, up, rounds;	/* any thread */
};

static void	(*in_next)(void);	/* called by the next next() of worker 0 */

static void
pair_put(struct pair *pair, int where, struct reap_context *context)
{
	pthread_mutex_lock(&pair->lock);
	CHECK(pair->n[where] < 8);
	pair->queue[where][pair->n[where]++] = context;
	pthread_mutex_unlock(&pair->lock);
}

static struct reap_context *
pair_next(struct reap_worker *worker)
{
	struct pair		*pair = reap_domain_user(reap_worker_domain(worker));
	int			 me = (int)(intptr_t)reap_worker_user(worker);
	struct reap_context	*context = NULL;
	void			(*call)(void) = me == 0 ? in_next : NULL;

	if (call != NULL) {
		in_next = NULL;
		call();
	}
	pthread_mutex_lock(&pair->lock);
	if (pair->n[me] > 0) {
		context = pair->queue[me][0];
		pair->n[me]--;
		for (unsigned i = 0; i < pair->n[me]; i++)
			pair->queue[me][i] = pair->queue[me][i + 1];
	}
	pthread_mutex_unlock(&pair->lock);
	return context;
}

static void
pair_ready(struct reap_context *context)
{
	struct pair		*pair = reap_domain_user(reap_context_domain(context));
	struct reap_worker	*home = reap_context_home(context);

	pair_put(pair, home != NULL ? (int)(intptr_t)reap_worker_user(home) : 0, context);
}

static const struct reap_host pair_host = { .next = pair_next, .ready = pair_ready, .direct = true };

static void *
pair_serve(void *arg)
{
	struct pair *pair = arg;

	CHECK_EQ(reap_worker_start(pair->domain, (void *)(intptr_t)1, &pair->worker[1]), 0);
	REAP_STORE_RELEASE(&pair->up, 1);	/* pairs with the acquire in pair_open(), as `stop' does in reverse */
	while (REAP_LOAD_ACQUIRE(&pair->stop) == 0) {
		(void)reap_yield(pair->worker[1]);
		(void)REAP_ADD_ACQ_REL(&pair->rounds, 1);
		(void)sched_yield();
	}
	CHECK_EQ(reap_worker_stop(pair->worker[1]), 0);
	return NULL;
}

static pthread_t
pair_open_host(struct pair *pair, const struct reap_host *callbacks)
{
	struct reap_domain_options options = { .size = sizeof(options), .host = callbacks, .user = pair };
	pthread_t thread;

	*pair = (struct pair){ .lock = PTHREAD_MUTEX_INITIALIZER };
	CHECK_EQ(reap_domain_create(&options, &pair->domain), 0);
	CHECK_EQ(reap_worker_start(pair->domain, (void *)(intptr_t)0, &pair->worker[0]), 0);
	CHECK_EQ(pthread_create(&thread, NULL, pair_serve, pair), 0);
	while (REAP_LOAD_ACQUIRE(&pair->up) == 0)
		(void)sched_yield();
	return thread;
}

static pthread_t
pair_open(struct pair *pair)
{
	return pair_open_host(pair, &pair_host);
}

static void
pair_close(struct pair *pair, pthread_t thread)
{
	REAP_STORE_RELEASE(&pair->stop, 1);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	CHECK_EQ(reap_worker_stop(pair->worker[0]), 0);
	CHECK_EQ(reap_domain_destroy(pair->domain, NULL, NULL), 0);
	pthread_mutex_destroy(&pair->lock);
}

static struct pair	 pair;
static unsigned		 asleep, over;	/* any thread */

static intptr_t
ends_when_asleep(void *arg)
{
	while (REAP_LOAD_ACQUIRE(&asleep) == 0)
		(void)sched_yield();
	return (intptr_t)arg;
}

static intptr_t
pinned_parent(void *arg)
{
	struct reap_context_options	options = { .size = sizeof(options), .entry = ends_when_asleep, .arg = (void *)9 };
	struct reap_context		*child;
	struct reap_result		r;

	CHECK_EQ(reap_context_create(pair.domain, &options, &child), 0);
	pair_put(&pair, 1, child);
	CHECK_EQ(arg != NULL ? reap_wait(child, 0, &r) : reap_wait_any(0, &r), 0);
	CHECK_EQ(r.status, 9);
	CHECK(reap_worker_self() == pair.worker[0]);
	REAP_STORE_RELEASE(&over, 1);
	return 0;
}

/* The child ends on the other worker, where its parent must not run: it is told, not switched to. */
static void
pinned_sleeper(void *by_name)
{
	struct reap_context_options	options = {
		.size = sizeof(options), .entry = pinned_parent, .arg = by_name, .flags = REAP_CONTEXT_PINNED
	};
	struct reap_context		*parent;
	pthread_t			thread = pair_open(&pair);

	asleep = over = 0;
	CHECK_EQ(reap_context_create(pair.domain, &options, &parent), 0);
	pair_put(&pair, 0, parent);
	(void)reap_yield(pair.worker[0]);	/* back here: the parent's landing is over, so it sleeps */
	REAP_STORE_RELEASE(&asleep, 1);
	while (REAP_LOAD_ACQUIRE(&over) == 0) {
		(void)reap_yield(pair.worker[0]);
		(void)sched_yield();
	}
	CHECK_EQ(reap_wait(parent, 0, NULL), 0);
	pair_close(&pair, thread);
}

TEST(handoff, not_to_a_sleeper_that_is_pinned_elsewhere)
{
	pinned_sleeper(NULL);
	pinned_sleeper(&over);
}

/* ---- a listener that blocks, and comes back on the other worker */

static struct reap_worker *seen[2];

static bool
go_to_the_other(struct reap_context *parked, void *arg)
{
	(void)arg;
	pair_put(&pair, 1, parked);
	return true;
}

static void
moves(struct reap_exit_listener *listener, struct reap_context *dying, intptr_t status)
{
	(void)listener;
	(void)dying;
	CHECK_EQ(status, 3);
	seen[0] = reap_worker_self();
	(void)reap_park(reap_worker_self(), go_to_the_other, NULL);
	seen[1] = reap_worker_self();
}

TEST(handoff, a_listener_may_move_to_another_worker)
{
	for (int i = 0; i < 20; i++) {
		struct reap_context_options	options = { .size = sizeof(options), .entry = host_return, .arg = (void *)3 };
		struct reap_exit_listener	listener = { .exiting = moves };
		struct reap_context		*child;
		struct reap_stats		stats = { .size = sizeof(stats) };
		struct reap_result		r;
		pthread_t			thread = pair_open(&pair);

		CHECK_EQ(reap_context_create(pair.domain, &options, &child), 0);
		reap_exit_listen(child, &listener);
		pair_put(&pair, 0, child);
		(void)reap_yield(pair.worker[0]);
		while (reap_wait(child, REAP_NOHANG, &r) == -EAGAIN)
			(void)sched_yield();
		CHECK_EQ(r.status, 3);
		CHECK(seen[0] == pair.worker[0] && seen[1] == pair.worker[1]);
		CHECK(reap_worker_current(pair.worker[0]) == reap_worker_base(pair.worker[0]));
		CHECK_EQ(reap_domain_stats(pair.domain, &stats), 0);
		CHECK_EQ(stats.landings_posted, 1);
		pair_close(&pair, thread);
	}
}

/* ---- who sleeps in wait_any is readied by a child on another worker: not before it is off the CPU */

static struct reap_context *sleeper;
static unsigned	 early_calls;
static bool	 in_trap;

static void
pair_ready_noted(struct reap_context *context)
{
	if (context == sleeper && REAP_LOAD_ACQUIRE(&in_trap))
		(void)REAP_ADD_ACQ_REL(&early_calls, 1);
	pair_ready(context);
}

/* The sleeper has armed what it sleeps on, or not yet; it has not left.  Its shared child ends now, and lands. */
static void
the_child_ends_now(void)
{
	unsigned round = REAP_LOAD_ACQUIRE(&pair.rounds);

	REAP_STORE_RELEASE(&in_trap, true);
	REAP_STORE_RELEASE(&asleep, 1);
	while (REAP_LOAD_ACQUIRE(&pair.rounds) - round < 3)
		(void)sched_yield();
	REAP_STORE_RELEASE(&in_trap, false);
}

static struct gate kept = GATE_INIT;

static bool
keep(struct reap_context *parked, void *arg)
{
	(void)arg;
	kept.parked = parked;
	return true;
}

static intptr_t
is_kept(void *arg)
{
	(void)reap_park(reap_worker_self(), keep, NULL);
	return (intptr_t)arg;
}

static intptr_t
sleeps_with_both_kinds(void *arg)
{
	struct reap_worker	*worker = reap_worker_self();
	struct reap_context	*one, *other;
	struct reap_result	r;

	(void)arg;
	sleeper = reap_worker_current(worker);
	CHECK_EQ(reap_spawn(worker, is_kept, (void *)1, &one), 0);
	pair_put(&pair, 0, one);
	(void)reap_yield(worker);		/* a private child, parked for good */
	worker = reap_worker_self();
	CHECK_EQ(reap_spawn(worker, ends_when_asleep, (void *)2, &other), 0);
	CHECK(reap_context_handle(other).generation != 0);
	CHECK_EQ(reap_context_share(other), 0);
	pair_put(&pair, 1, other);		/* and a shared one, on the other worker */
	in_next = the_child_ends_now;
	CHECK_EQ(reap_wait_any(0, &r), 0);
	CHECK_EQ(r.status, 2);
	pair_ready(kept.parked);
	CHECK_EQ(reap_wait_any(0, &r), 0);
	CHECK_EQ(r.status, 1);
	REAP_STORE_RELEASE(&over, 1);
	return 0;
}

TEST(handoff, who_sleeps_is_not_readied_before_it_has_left)
{
	struct reap_host	callbacks = pair_host;
	struct reap_context	*parent;
	pthread_t		thread;

	callbacks.shares = true;
	callbacks.ready = pair_ready_noted;
	thread = pair_open_host(&pair, &callbacks);
	asleep = over = early_calls = 0;
	CHECK_EQ(reap_spawn(pair.worker[0], sleeps_with_both_kinds, NULL, &parent), 0);
	pair_put(&pair, 0, parent);
	while (REAP_LOAD_ACQUIRE(&over) == 0) {
		(void)reap_yield(pair.worker[0]);
		(void)sched_yield();
	}
	CHECK_EQ(REAP_LOAD_ACQUIRE(&early_calls), 0);
	CHECK_EQ(reap_wait(parent, 0, NULL), 0);
	pair_close(&pair, thread);
}
