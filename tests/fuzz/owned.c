/* SPDX-License-Identifier: ISC */
/*
 * owned.c: contexts that belong to who holds them.  CLAIMED from birth; the claimer is the resumer, while there is one.
 */
#include <errno.h>

#include "parts.h"

/* Nobody can see its end but its resumer: then the stack goes from one to the other, whatever the policy says. */
bool
born_simple(int x)
{
	const struct life *l = LIFE(x);

	return !CONFIG->on_switch && !CONFIG->after_switch && !(CONFIG->hosted && CONFIG->locks) && !CONFIG->hooked &&
	    CONFIG->limit == 0 && !CONFIG->usage && !CONFIG->ledger_time && !CONFIG->scrub && !CONFIG->ops && CONFIG->quarantine == 0 &&
	    CONFIG->policy != POLICY_ADOPTER && l->adopter == 0;
}

/* What a resume or transfer finds; 0: it may run. */
static int
check(const struct plan *plan)
{
	const struct life *l = LIFE(plan->x);

	if (!l->owned || l->exited)
		return -EINVAL;
	if (model_home(plan->x) != NOBODY && model_home(plan->x) != plan->thread)
		return -EPERM;
	return l->running || l->claimer != NOBODY ? -EBUSY : 0;
}

static void
pass(const struct plan *plan, int to, int resumer, bool cancelled)
{
	struct life *l = LIFE(to);

	l->claimer = resumer;
	l->word = plan->quiet ? 0 : plan->v;
	l->cancelled = cancelled;
}

/* Somebody has come back to it. */
void
back_from_resume(int x)
{
	struct life	*l = LIFE(x);
	const struct life *from = LIFE(l->came);

	l->sleep = SLEEP_NONE;
	l->want.came = l->came;
	l->want.ret = from->exited ? HAS_ENDED : HAS_SUSPENDED;
	l->want.word = from->exited ? from->status : from->word;
	if (from->exited)
		collect(l->came, x, PAYER_PARENT, NULL);
}

int
owned_resume(const struct plan *plan, enum flow *flow)
{
	struct want	*want = model_want(plan);
	int		 error;

	if (plan->actor == NOBODY)
		return -EPERM;
	if ((error = check(plan)) != 0)
		return error;
	if (plan->flags != 0 && LIFE(plan->x)->fresh) {
		struct plan never = *plan;

		never.v = -ECANCELED;
		(void)destroy(&never);
		want->came = plan->x;
		want->word = -ECANCELED;
		return HAS_ENDED;
	}
	pass(plan, plan->x, plan->actor, plan->flags != 0);
	LIFE(plan->actor)->came = NOBODY;
	LIFE(plan->actor)->served = false;
	switch_to(plan->thread, SLEEP_RESUME, plan->x);
	*flow = GO;
	return 0;
}

int
owned_suspend(const struct plan *plan, enum flow *flow)
{
	struct life	*self = plan->actor != NOBODY ? LIFE(plan->actor) : NULL;
	int		 resumer;

	if (self == NULL || !self->owned || self->claimer == NOBODY)
		return -EPERM;
	resumer = self->claimer;
	pass(plan, plan->actor, NOBODY, false);
	LIFE(resumer)->came = plan->actor;
	switch_to(plan->thread, SLEEP_SUSPENDED, resumer);
	*flow = GO;
	return 0;
}

int
owned_transfer(const struct plan *plan, enum flow *flow)
{
	struct life	*self = plan->actor != NOBODY ? LIFE(plan->actor) : NULL;
	int		 error;

	if (self == NULL || !self->owned || self->claimer == NOBODY)
		return -EPERM;
	if (plan->x == plan->actor)
		return -EBUSY;
	if ((error = check(plan)) != 0)
		return error;
	pass(plan, plan->x, self->claimer, false);
	if (!self->simple)
		LIFE(plan->x)->simple = false;	/* its resumer may be at home elsewhere */
	self->claimer = NOBODY;
	switch_to(plan->thread, SLEEP_SUSPENDED, plan->x);
	*flow = GO;
	return 0;
}

int
owned_discard(const struct plan *plan)
{
	struct life	*l = LIFE(plan->x);
	int		 home = model_home(plan->x);

	if (home == NOBODY || (home == plan->thread && model.worker[home].on))
		return destroy(plan);
	if (l->sleep == SLEEP_DONE || l->sleep == SLEEP_RESUME || (l->owned && l->claimer != NOBODY))
		return -EBUSY;
	l->status = plan->v;
	l->discarded = true;
	model.worker[home].discarded[model.worker[home].ndiscarded++] = plan->x;
	if (CONFIG->idle)
		event(EV_WAKE, home, 0);
	return 1;
}

/* The worker of the thread destroys what others have discarded, newest first. */
int
discarded(int thread)
{
	struct worker	*w = &model.worker[thread];
	struct plan	 plan = { .op = OP_DESTROY, .thread = thread, .actor = model_actor() };
	int		 n = w->ndiscarded;
	bool		 nested = model.discarding;

	w->ndiscarded = 0;	/* nothing is added meanwhile */
	model.discarding = nested || n > 0;
	for (int i = n - 1; i >= 0; i--) {
		plan.x = w->discarded[i];
		plan.v = LIFE(plan.x)->status;
		LIFE(plan.x)->discarded = false;
		(void)destroy(&plan);
	}
	model.discarding = nested;
	return n;
}
