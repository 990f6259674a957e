/* SPDX-License-Identifier: ISC */
/*
 * scenarios_names.c: who has the name of a child, and uses it while the parent waits, ends, or has the next one in its place.
 */
#include "scenarios_named.h"

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


static const struct explore_scenario scenarios[] = {
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
	{ "many, joined", 2, 2, 0, 1, names_setup, { has_many, joins_many }, at_most_once_finish },
	{ "run and joined, settled", 2, 2, 1, 2, names_setup, { makes_two, runs_and_joins }, finish },
	{ "peek, join", 2, 2, 1, 2, named_setup, { peeks_first, joins }, once_finish },
	{ "peek, join at last", 2, 2, 1, 2, named_setup, { peeks_first, joins_at_last }, once_finish },
	{ "join if dead", 2, 4, 1, 2, named_setup, { named_waits, joins_if_dead }, once_finish },
	{ "destroy, join", 2, 2, 1, 2, named_setup, { destroys, joins }, at_most_once_finish },
	{ "trim, stale names", 2, 1, 0, 1, named_setup, { trims, peeks_at_stale }, at_most_once_finish },
	{ "trim, stale names, private", 2, 1, 0, 1, private_named_setup, { trims_private, peeks_at_stale }, at_most_once_finish },
	{ "peek by join, wait any", 2, 2, 1, 2, named_setup, { named_waits, asks }, at_most_once_finish },
	{ "hold late, life elsewhere", 3, 2, 0, 0, named_setup, { named_once, lives_next, holds_late }, at_most_once_finish },
	{ "join, join, wait any", 3, 2, 0, 0, named_setup, { named_waits, joins, joins }, at_most_once_finish },
};
const struct explore_scenarios explore_names = { scenarios, sizeof(scenarios) / sizeof(scenarios[0]) };
