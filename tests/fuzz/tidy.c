/* SPDX-License-Identifier: ISC */
/* tidy.c: what is left to do when the bytes are used up. */
#include "choose.h"

#define LIFE(x)		(&model.life[x])

/* Is there anything for another thread to do?  sleep: a base context that waits counts, too. */
static bool
has_work(int thread, bool sleep)
{
	const struct worker *w = &model.worker[thread];

	if (!w->on)
		return false;
	if (w->dying || LIFE(w->current)->base == NOBODY || (sleep && LIFE(w->current)->sleep != SLEEP_NONE))
		return true;
	for (int x = 0; x < model.nlives; x++)
		if (model_home(x) == thread && (is_plain(x) || (is_live(x) && LIFE(x)->queued)))
			return true;
	return false;
}

static bool
runnable_here(void)
{
	for (int i = 0; i < model.nqueue; i++)
		if (may_run_here(model.queue[i]))
			return true;
	return false;
}

static bool
is_plain_here(int x)
{
	return is_plain(x) && may_run_here(x);
}

static void
tidy_baton(int thread)
{
	plan->op = OP_BATON;
	plan->k = thread;
}

/* What keeps others asleep. */
static bool
tidy_sleepers(void)
{
	for (int k = 0; k < ADOPTERS; k++)
		if (model.heir[k].sleeper != NOBODY) {
			plan->op = OP_INTERRUPT;
			plan->k = k;
			return true;
		}
	if (target(is_destroyable_now, 0)) {
		plan->op = OP_DESTROY;
		plan->v = -99;
		plan->dequeue = LIFE(plan->x)->queued;
		return true;
	}
	return false;
}

static bool
tidy_others(bool sleep)
{
	for (int i = 1; i < THREADS; i++) {
		int t = (plan->thread + i) % THREADS;

		if (has_work(t, sleep)) {
			tidy_baton(t);
			return true;
		}
	}
	return false;
}

static void
tidy_worker(const struct life *self)
{
	if (self->base == NOBODY) {
		if (!self->exiting) {
			plan->op = OP_EXIT;
			plan->v = 42;
			plan->k = NOBODY;
		}
		return;
	}
	if (model.worker[plan->thread].ndiscarded != 0) {
		plan->op = OP_DISCARDED;
		return;
	}
	if (plan->idle) {
		if (target(is_plain, 0) && model.config.hosted)
			plan->op = OP_READY;
		else if (!tidy_others(false) && !tidy_sleepers())
			(void)tidy_others(true);
		return;
	}
	if (runnable_here())
		plan->op = OP_YIELD;
	else if (target(is_plain_here, 0))
		plan->op = OP_SWITCH;
	else if (!tidy_others(true) && !tidy_sleepers()) {
		plan->op = OP_STOP;
		if (pick(is_child, 0) != NOBODY) {
			plan->op = OP_WAIT_ANY;
			plan->flags = FLAG_NOHANG;
		}
	}
}

static bool
is_collectable(int x)
{
	return LIFE(x)->fate == FATE_ZOMBIE && LIFE(x)->posted && LIFE(x)->parent == NOBODY;
}

static bool
is_resumed_and_runnable(int x)
{
	return is_live(x) && is_resumed(x) && (LIFE(x)->queued || is_plain(x));
}

static void
tidy_thread(void)
{
	for (int t = 0; t < THREADS; t++)
		if (model.worker[t].on) {
			tidy_baton(t);
			return;
		}
	if (tidy_sleepers())
		return;
	/* A resumer is destroyed by nobody, nor is whom it has resumed: that one has to run, on somebody's worker. */
	if (pick(is_resumed_and_runnable, 0) != NOBODY) {
		plan->op = OP_START;
		return;
	}
	if (!model.config.leave_zombies) {
		if (target(is_collectable, 0)) {
			plan->op = OP_JOIN;
			plan->name = !LIFE(plan->x)->named;
			return;
		}
		if (target(is_held, 0)) {
			plan->op = OP_RELEASE;
			return;
		}
		for (plan->k = 0; plan->k < ADOPTERS; plan->k++)
			if (model.heir[plan->k].on && model_backlog(plan->k) != 0) {
				plan->op = OP_DRAIN;
				plan->v = 5;
				return;
			}
	}
	for (plan->k = 1; plan->k < ADOPTERS; plan->k++)
		if (model.heir[plan->k].on) {
			plan->op = OP_ADOPTER_END;
			return;
		}
	for (plan->k = 0; plan->k < GROUPS; plan->k++)
		if (model.club[plan->k].on) {
			plan->op = model.club[plan->k].ever ? OP_GROUP_WAIT : OP_GROUP_END;
			plan->flags = FLAG_NOHANG;
			return;
		}
	if (plan->thread != 0)
		tidy_baton(0);
	else {
		plan->op = model.ended ? OP_END : OP_DOMAIN;
		model.ended = true;
	}
}

void
tidy(struct plan *out)
{
	plan = out;
	if (plan->actor != NOBODY)
		tidy_worker(LIFE(plan->actor));
	else
		tidy_thread();
}
