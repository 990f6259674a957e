/* SPDX-License-Identifier: ISC */
/*
 * descriptors.c: the memory of descriptors comes back, whoever referred to it last; and what lies there then has another name.
 */
#include "host.h"

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
