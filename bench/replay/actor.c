/* SPDX-License-Identifier: ISC */
/*
 * actor.c: the inside of a context: it goes through the steps of its task.
 */
#include "actor.h"

#include <errno.h>
#include <stdio.h>

#include "burn.h"

/* How many of the late ones are asked at one point: a server may have thousands. */
#define LATE_TRIES	2

/* What an actor keeps on its own stack. */
struct play {
	struct actor *self;
	struct actor *tree;		/* task 0 of its own tree */
	double	 owed;			/* loops not burnt yet: fractions add up */
	double	 left;			/* loops until it pauses */
	struct actor *late, **late_end;	/* polled children, oldest first */
};

void
actor_spawn(struct actor *actor)
{
	struct reap_context_options options = engine->spawn;
	int error;

	options.arg = options.user = actor;
	if (engine->setup.program->fate[actor->task] == FATE_DETACHED)
		options.flags |= REAP_CONTEXT_DETACHED;
	if (engine->setup.timeline)
		observe_spawn(actor);
	error = reap_go_with(&options, &actor->context);
	if (error != 0)
		engine_fail("reap_go_with", error);
	if (engine->setup.measuring)
		observe_step();
}

/* A child is ours: note when and how.  asked: when the wait began, or 0 for a no-hang call. */
static void
collected(struct actor *child, const struct reap_result *result, uint64_t asked, enum outcome outcome)
{
	uint64_t now = now_ns();
	struct tally *tally = tally_mine(&engine->tallies);	/* only now: the wait may have moved us to another thread */

	if (result->status != (intptr_t)child->task || result->user != child)
		engine_fail("reap_wait gave another child's result", -EINVAL);
	hist_add(&tally->to_collected, now - child->exit_ns);
	if (asked != 0) {
		tally->waits++;
		if (asked <= child->exit_ns) {
			tally->waited_first++;
			hist_add(&tally->to_parent, now - child->exit_ns);
			if (engine->setup.measuring)
				observe_collected(tally, child, now);
		} else if (outcome == OUTCOME_WAITED)
			outcome = OUTCOME_LATE;
	}
	tally->outcome[tally_mode(engine->setup.program->trace->task[child->task].mode)][outcome]++;
}

static void
wait_for(struct actor *child, enum outcome outcome)
{
	struct reap_result result;
	uint64_t asked = now_ns();
	int error;

	__atomic_store_n(&child->awaited, true, __ATOMIC_RELAXED);
	error = reap_wait(child->context, 0, &result);
	if (error != 0)
		engine_fail("reap_wait", error);
	collected(child, &result, asked, outcome);
}

static bool
poll_for(struct actor *child)
{
	struct reap_result result;
	int error = reap_wait(child->context, REAP_NOHANG, &result);

	if (error == -EAGAIN)
		return false;
	if (error != 0)
		engine_fail("reap_wait with REAP_NOHANG", error);
	collected(child, &result, 0, child->polled_late ? OUTCOME_POLLED_LATER : OUTCOME_POLLED);
	return true;
}

static void
put_late(struct play *play, struct actor *child)
{
	child->polled_late = true;
	child->next_late = NULL;
	*play->late_end = child;
	play->late_end = &child->next_late;
}

static struct actor *
take_late(struct play *play)
{
	struct actor *child = play->late;

	if (child == NULL)
		return NULL;
	play->late = child->next_late;
	if (play->late == NULL)
		play->late_end = &play->late;
	return child;
}

static void
poll_late(struct play *play)
{
	struct actor *child;
	int i;

	for (i = 0; i < LATE_TRIES && (child = take_late(play)) != NULL; i++)
		if (!poll_for(child))
			put_late(play, child);
}

/* Spend recorded time, and let others run whenever a slice is over. */
static void
run(struct play *play, uint64_t us)
{
	uint64_t loops;

	play->owed += (double)us * engine->loops_per_us;
	while (play->owed >= play->left) {
		loops = (uint64_t)play->left;
		burn(loops);
		play->owed -= play->left;
		play->left = engine->slice;
		reap_pause();
		if (engine->setup.measuring)
			observe_step();
		poll_late(play);
	}
	loops = (uint64_t)play->owed;
	burn(loops);
	play->owed -= (double)loops;
	play->left -= (double)loops;
}

intptr_t
actor_main(void *arg)
{
	struct actor *self = arg, *child;
	const struct program *program = engine->setup.program;
	const struct step *step = &program->step[program->first[self->task]];
	struct play play = { .self = self, .tree = self - self->task, .left = engine->slice, .late_end = &play.late };

	burn_touch_stack(engine->setup.pages);
	for (; step->kind != STEP_END; step++) {
		child = &play.tree[step->kind == STEP_RUN ? 0 : step->arg];
		switch ((enum step_kind)step->kind) {
		case STEP_RUN:
			run(&play, step->arg);
			break;
		case STEP_SPAWN:
			actor_spawn(child);
			break;
		case STEP_WAIT:
			wait_for(child, OUTCOME_WAITED);
			break;
		case STEP_POLL:
			if (!poll_for(child))
				put_late(&play, child);
			break;
		case STEP_END:
			break;
		}
		if (step->kind != STEP_RUN && step->kind != STEP_POLL)
			poll_late(&play);
	}
	while ((child = take_late(&play)) != NULL)
		wait_for(child, OUTCOME_AT_END);
	if (engine->setup.measuring)
		observe_exit(self);
	self->exit_ns = now_ns();
	reap_exit((intptr_t)self->task);
}
