/* SPDX-License-Identifier: ISC */
/*
 * scenarios_named.h: a child whose name a thread has, that need not be its parent's.
 */
#ifndef EXPLORE_SCENARIOS_NAMED_H
#define EXPLORE_SCENARIOS_NAMED_H

#include "scenarios.h"

static struct reap_handle handle;
static unsigned *collected;

static uint32_t *turn;

static inline void
named_setup(void)
{
	setup();
	collected = malloc(sizeof(*collected));
	turn = malloc(sizeof(*turn));
}

static inline void
private_named_setup(void)
{
	shares_setup();
	collected = malloc(sizeof(*collected));
}

static inline struct reap_context *
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

static inline void
got_it(void)
{
	(void)REAP_ADD_RELAXED(collected, 1);
}

static inline void
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

static inline void
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

static inline void
detaches(void)
{
	struct reap_handle h = *(struct reap_handle *)explore_receive();
	int error = reap_detach(h);

	EXPLORE_CHECK(error == 0 || error == -EBUSY || error == -ESRCH);
}

static inline void
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

static inline void
peeks(void)
{
	struct reap_handle h = *(struct reap_handle *)explore_receive();
	struct reap_result result;
	enum reap_state state;

	for (int i = 0; i < 2; i++)
		if (reap_peek(h, &state, &result) == 0 && (state == REAP_STATE_ZOMBIE || state == REAP_STATE_EXITING))
			EXPLORE_CHECK(result.status == 7);
}

static inline void
once_finish(void)
{
	EXPLORE_CHECK(*collected == 1);
	finish();
}

static inline void
at_most_once_finish(void)
{
	EXPLORE_CHECK(*collected <= 1);
	finish();
}

#endif
