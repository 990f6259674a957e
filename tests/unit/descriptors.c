/* SPDX-License-Identifier: ISC */
/*
 * descriptors.c: the memory of descriptors comes back, whoever referred to it last; and what lies there then has another name,
 * and nothing of the last one.
 */
#include <sys/mman.h>

#include "host.h"
#include "worker.h"

#define LIVES	4000

/* Where descriptors were seen.  They are carved one beside the other: if none were lost, all were seen within a few. */
struct places {
	uintptr_t lowest, highest;
};

static void
saw(struct places *places, const struct reap_context *context)
{
	uintptr_t at = (uintptr_t)context;

	if (places->lowest == 0 || at < places->lowest)
		places->lowest = at;
	if (at > places->highest)
		places->highest = at;
}

static void
none_was_lost(const struct places *places)
{
	/* A worker keeps 64, in no order; a hundred times less than what has lived here. */
	CHECK(places->highest - places->lowest < LIVES / 8 * sizeof(void *) * 16);
}

TEST(descriptors, come_back_from_a_peek_and_from_holders)
{
	struct places	places = { 0, 0 };
	struct host	h;

	host_open(&h, (struct reap_domain_options){ 0 });
	for (int i = 0; i < LIVES; i++) {
		struct reap_context	*child = host_spawn(host_return, NULL);
		struct reap_handle	name = reap_context_handle(child);
		enum reap_state		state;
		struct reap_result	r;

		saw(&places, child);
		CHECK_EQ(reap_peek(name, &state, &r), 0);
		CHECK_EQ(state, REAP_STATE_NEW);
		CHECK_EQ(reap_hold(name), 0);
		CHECK_EQ(reap_release(name), 0);
		CHECK_EQ(reap_wait(child, 0, NULL), 0);
		CHECK_EQ(reap_peek(name, &state, &r), -ESRCH);
		CHECK_EQ(state, REAP_STATE_NONE);
		CHECK_EQ(reap_hold(name), -ESRCH);
		CHECK_EQ(reap_detach(name), -ESRCH);
	}
	none_was_lost(&places);
	host_close(&h);
}

static struct places family;

static intptr_t
leaves_a_zombie(void *arg)
{
	struct reap_context *child[2] = { host_spawn(host_return, NULL), NULL };

	saw(&family, child[0]);
	host_yield();				/* it has ended by now; nobody collects it */
	if (arg != NULL) {
		child[1] = host_spawn(host_gated, arg);		/* and one that outlives us */
		saw(&family, child[1]);
	}
	return 0;
}

TEST(descriptors, come_back_from_orphans_and_their_parents)
{
	struct reap_adopter	*adopter;
	struct host		h;

	family = (struct places){ 0, 0 };
	host_open(&h, (struct reap_domain_options){ 0 });
	adopter = reap_adopter_default(h.domain);
	for (int i = 0; i < LIVES; i++) {
		struct gate		gate = GATE_INIT;
		struct reap_context	*parent = host_spawn(leaves_a_zombie, i % 2 ? &gate : NULL);

		saw(&family, parent);
		CHECK_EQ(reap_wait(parent, 0, NULL), 0);
		host_run();
		gate_open(&gate);
		host_run();
		while (reap_adopter_drain(adopter, 16) > 0)
			continue;
		CHECK_EQ(host_stats(&h).reaped, host_stats(&h).created);
	}
	none_was_lost(&family);
	host_close(&h);
}

static intptr_t
joins(void *arg)
{
	struct reap_handle *name = arg;

	CHECK_EQ(reap_join(*name, 0, NULL), 0);
	return 0;
}

/* A joiner has reaped it; its descriptor stays on its parent's list.  Who asks for its name finds nobody there. */
TEST(descriptors, on_a_list_are_nobodys_after_the_reap)
{
	struct reap_handle	name;
	struct reap_context	*child, *joiner;
	enum reap_state		state;
	struct host		h;

	host_open(&h, (struct reap_domain_options){ 0 });
	child = host_spawn(host_return, NULL);
	name = reap_context_handle(child);
	host_run();				/* a zombie on the base context's list */
	joiner = host_spawn(joins, &name);
	host_run();
	CHECK_EQ(host_stats(&h).reaped, 1);
	CHECK_EQ(reap_peek(name, &state, NULL), -ESRCH);
	CHECK_EQ(reap_hold(name), -ESRCH);
	CHECK_EQ(reap_detach(name), -ESRCH);
	CHECK_EQ(reap_join(name, 0, NULL), -ESRCH);
	CHECK_EQ(reap_wait(joiner, 0, NULL), 0);
	CHECK_EQ(reap_wait_any(REAP_NOHANG, NULL), -ECHILD);
	host_close(&h);
}

/* The next life in the same place, private or not: the old name works for nothing, and changes nothing. */
TEST(descriptors, are_found_by_their_last_name_only)
{
	struct reap_context	*first, *second = NULL;
	struct reap_handle	old, name;
	struct reap_result	r;
	enum reap_state		state;
	struct host		h;

	host_open(&h, (struct reap_domain_options){ 0 });
	first = host_spawn(host_return, NULL);
	old = reap_context_handle(first);
	CHECK_EQ(reap_wait(first, 0, NULL), 0);
	for (int i = 0; i < 1000 && second != first; i++) {
		if (second != NULL)
			CHECK_EQ(reap_wait(second, 0, NULL), 0);
		second = host_spawn(host_return, (void *)6);
	}
	CHECK(second == first);
	CHECK_EQ(reap_hold(old), -ESRCH);
	CHECK_EQ(reap_release(old), -ESRCH);
	CHECK_EQ(reap_peek(old, &state, &r), -ESRCH);
	CHECK_EQ(reap_detach(old), -ESRCH);
	CHECK_EQ(reap_join(old, 0, &r), -ESRCH);
	CHECK_EQ(reap_join(old, REAP_NOHANG, &r), -ESRCH);
	name = reap_context_handle(second);
	CHECK(name.where == old.where && name.generation != old.generation);
	CHECK_EQ(reap_hold(old), -ESRCH);	/* now that it is shared, too */
	CHECK_EQ(reap_detach(old), -ESRCH);
	CHECK_EQ(reap_join(old, REAP_NOHANG, &r), -ESRCH);
	CHECK_EQ(reap_wait(second, 0, &r), 0);
	CHECK_EQ(r.status, 6);
	CHECK_EQ(host_stats(&h).detached, 0);
	host_close(&h);
}

/* The name that a result tells is of that life alone, however plain the lives before and after it. */
TEST(descriptors, told_by_a_result_are_stale)
{
	struct reap_handle	last = { 0, 0 };
	struct host		h;
	unsigned		again = 0;

	host_open(&h, (struct reap_domain_options){ 0 });
	for (int i = 0; i < 1000; i++) {	/* none of these is named: a parent of somebody who was lives less plainly */
		struct reap_context	*child = host_spawn(host_return, (void *)9);
		struct reap_result	r;
		enum reap_state		state;

		again += (uintptr_t)child == last.where;
		CHECK_EQ(reap_join(last, REAP_NOHANG, NULL), -ESRCH);
		CHECK_EQ(reap_peek(last, &state, NULL), -ESRCH);
		CHECK_EQ(reap_hold(last), -ESRCH);
		CHECK_EQ(reap_wait(child, 0, &r), 0);
		CHECK(r.handle.where == (uintptr_t)child && r.handle.generation != last.generation);
		CHECK_EQ(reap_join(r.handle, REAP_NOHANG, NULL), -ESRCH);
		last = r.handle;
	}
	CHECK(again > 100);
	host_close(&h);
}

/* Walkers count who is there, and nobody whose descriptor is free. */
TEST(descriptors, that_are_free_are_not_counted)
{
	struct reap_context	*child[40];
	struct host		h;

	host_open(&h, (struct reap_domain_options){ 0 });
	CHECK_EQ(reap_domain_for_each(h.domain, NULL, NULL), 1);	/* the base context */
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 40; i++)
			child[i] = host_spawn(host_return, NULL);
		CHECK_EQ(reap_domain_for_each(h.domain, NULL, NULL), 41);
		for (int i = 0; i < 40; i++) {
			CHECK_EQ(reap_wait(child[i], 0, NULL), 0);
			CHECK_EQ(reap_domain_for_each(h.domain, NULL, NULL), (size_t)(40 - i));
		}
	}
	host_close(&h);
}

/* A new life has nothing of the last one in its place. */
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

TEST(descriptors, a_new_life_inherits_nothing)
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

/* What a descriptor or a stack remembers is not the next one's. */
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

TEST(descriptors, what_the_last_one_had_is_not_the_next_ones)
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

/* Generations: a worker has them by the block, who is no worker one by one. */
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

TEST(descriptors, no_generation_is_given_twice)
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

/* A worker that collects more than it needs hands descriptors on. */
TEST(descriptors, a_collector_keeps_only_so_many_descriptors)
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
			CHECK(h.worker->room >= 0);
		}
	}
	host_close(&h);
}

/* Descriptors, wherever they lie, are counted, and used before others are made. */
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

TEST(descriptors, descriptors_are_counted_where_they_lie)
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
		CHECK_EQ(on_the_list(h.worker->descriptors), (size_t)(REAP__DESCRIPTORS_KEPT - h.worker->room));
		CHECK(h.worker->room >= -3 * REAP__DESCRIPTORS_KEPT);
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

/* A worker is not charged with what is used in another domain, and keeps no descriptor of it. */
TEST(descriptors, usage_and_descriptors_stay_in_their_domain)
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

/* An adopter is named as often as there are descriptors that name it. */
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

TEST(descriptors, children_of_an_adopter_let_it_go)
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

/*
 * How they age, by an injected clock; without lives: out of the pool and back.
 */
static struct reap_context	*taken[4 * 16384];
static uint64_t			 now = 1;

static uint64_t
the_clock(void *arg)
{
	(void)arg;
	return now;
}

static void
open_aging(struct host *h)
{
	host_open(h, (struct reap_domain_options){ .clock = the_clock, .stack = { .decay_ns = 1000 } });
	reap__descriptor_donate(h->worker);
}

static void
take(struct host *h, uint32_t n)
{
	CHECK(n <= sizeof(taken) / sizeof(taken[0]));
	for (uint32_t i = 0; i < n; i++)
		CHECK((taken[i] = reap__descriptor_get_cold(h->domain, NULL)) != NULL);
}

static void
put(struct host *h, uint32_t from, uint32_t to)
{
	for (uint32_t i = from; i < to; i++)
		reap__descriptor_put_cold(h->domain, taken[i]);
}

TEST(descriptors, go_back_when_they_have_been_idle_for_a_period)
{
	struct host	h;
	uint64_t	all;
	uint32_t	slab;

	open_aging(&h);
	slab = h.domain->slabs->capacity;
	take(&h, 3 * slab);
	put(&h, slab, 3 * slab);
	all = carved(h.domain);
	now = 5000;
	CHECK_EQ(reap__descriptor_trim_aged(h.domain, h.worker), 6000);		/* until now they were needed */
	now = 5999;
	CHECK_EQ(reap__descriptor_trim_aged(h.domain, h.worker), 6000);
	CHECK_EQ(carved(h.domain), all);
	now = 6000;
	(void)reap__descriptor_trim_aged(h.domain, h.worker);
	CHECK(carved(h.domain) < all);
	put(&h, 0, slab);
	host_close(&h);
}

TEST(descriptors, stay_if_they_were_needed_in_the_period)
{
	struct host	h;
	uint64_t	all;
	uint32_t	slab;

	open_aging(&h);
	slab = h.domain->slabs->capacity;
	take(&h, 3 * slab);
	put(&h, slab, 3 * slab);
	all = carved(h.domain);
	now = 5000;
	CHECK_EQ(reap__descriptor_trim_aged(h.domain, h.worker), 6000);
	take(&h, 2 * slab);
	put(&h, 0, 2 * slab);
	now = 6000;
	CHECK_EQ(reap__descriptor_trim_aged(h.domain, h.worker), 7000);
	CHECK_EQ(carved(h.domain), all);
	host_close(&h);
}

/* Fewer than fill a slab: they are not worth a look at each. */
TEST(descriptors, stay_if_they_are_few)
{
	struct host	h;
	uint64_t	all;
	uint32_t	slab;

	open_aging(&h);
	slab = h.domain->slabs->capacity;
	take(&h, slab + 1000);			/* of these, some have a slab of their own */
	put(&h, slab - 100, slab + 1000);
	all = carved(h.domain);
	for (now = 5000; now < 9000; now += 1000)
		CHECK_EQ(reap__descriptor_trim_aged(h.domain, h.worker), UINT64_MAX);
	CHECK_EQ(carved(h.domain), all);
	put(&h, 0, slab - 100);
	host_close(&h);
}

/* Pages of slabs that are backed; 0: cannot be told. */
static size_t
backed(const struct reap_domain *domain)
{
	static unsigned char	pages[REAP__SLAB_SIZE / 4096];
	const size_t		page = (size_t)sysconf(_SC_PAGESIZE);
	size_t			n = 0;

	for (struct reap__descriptors *slab = domain->slabs; slab != NULL; slab = slab->next) {
		if (HOST_SANITIZED || check_emulated() || mincore(slab, REAP__SLAB_SIZE, (void *)pages) != 0)
			return 0;
		for (size_t i = 0; i < REAP__SLAB_SIZE / page; i++)
			n += pages[i] & 1;
	}
	return n;
}

/*
 * One that lives keeps its own block of pages, no more.  What the others were is used again before new ones are made, each once,
 * and is clean.
 */
TEST(descriptors, give_their_pages_back_around_those_that_live)
{
	const uint32_t	each = 3, blocks = 3 * each;	/* of the living ones; theirs, and with what was not carved to an end */
	struct host	h;
	size_t		most, page = (size_t)sysconf(_SC_PAGESIZE);
	uint64_t	all;
	uint32_t	slab, block, n, i, kept = 0;

	open_aging(&h);
	slab = h.domain->slabs->capacity;
	block = h.domain->slabs->block;
	n = 3 * slab;
	take(&h, n);
	all = carved(h.domain);
	most = backed(h.domain);
	for (int round = 0; round < 3; round++) {
		for (i = 0, kept = 0; i < n; i++)
			if (i % slab == slab / 2 || i % slab == slab / 3 || i % slab == slab - 1)
				taken[kept++] = taken[i];
			else
				reap__descriptor_put_cold(h.domain, taken[i]);
		CHECK_EQ(kept, 3 * each);
		reap__descriptor_trim(h.domain, h.worker);
		CHECK(h.domain->ngone > 0);
		CHECK_EQ(on_the_list(h.domain->descriptors), h.domain->ndescriptors);
		CHECK(h.domain->ndescriptors <= (blocks + 3) * block);
		CHECK(most == 0 || backed(h.domain) <= 3 + (blocks + 3) * block * h.domain->slabs->stride / page);
		reap__descriptor_trim(h.domain, h.worker);	/* nothing is left to do */
		CHECK(h.domain->ndescriptors <= (blocks + 3) * block);
		for (i = kept; i < n; i++) {
			CHECK((taken[i] = reap__descriptor_get_cold(h.domain, NULL)) != NULL);
			CHECK(taken[i]->kids == 0 && taken[i]->live == NULL && taken[i]->stack == NULL && taken[i]->adopter == NULL);
			CHECK_EQ(REAP__REFS(taken[i]->refs), REAP__REFS_ALIVE);
		}
		CHECK(carved(h.domain) <= all);
		CHECK_EQ(h.domain->ngone, 0);
		for (i = 0; i < n; i++)
			taken[i]->stack = (void *)&taken[i];
		for (i = 0; i < n; i++)
			CHECK(taken[i]->stack == (void *)&taken[i]);	/* or two have one place */
		for (i = 0; i < n; i++)
			taken[i]->stack = NULL;
	}
	put(&h, 0, n);
	reap__descriptor_trim(h.domain, h.worker);
	CHECK_EQ(h.domain->ngone, 0);
	CHECK((uint32_t)carved(h.domain) <= block);		/* with the base context's */
	host_close(&h);
}

TEST(descriptors, are_not_due_after_the_end_of_time)
{
	struct host	h;
	uint32_t	slab;

	open_aging(&h);
	slab = h.domain->slabs->capacity;
	take(&h, 2 * slab);
	put(&h, 0, 2 * slab);
	now = UINT64_MAX - 500;
	CHECK_EQ(reap__descriptor_trim_aged(h.domain, h.worker), UINT64_MAX);
	host_close(&h);
}
