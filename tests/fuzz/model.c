/* SPDX-License-Identifier: ISC */
/*
 * model.c: what each operation does, and what is asked of the model.
 */
#include <errno.h>
#include <string.h>

#include "parts.h"

struct model model;

/*
 * What is asked of the model.
 */
int
model_actor(void)
{
	const struct worker *w = &model.worker[model.turn];

	return w->on ? w->current : NOBODY;
}

bool
model_idle(void)
{
	int actor = model_actor();

	return actor != NOBODY && LIFE(actor)->base != NOBODY && LIFE(actor)->sleep > SLEEP_PLAIN;
}

enum where
model_where(int x)
{
	const struct life *l = LIFE(x);

	if (l->fate == FATE_FREE)
		return IS_NONE;
	if (l->exited)
		return l->posted ? IS_ZOMBIE : IS_EXITING;
	return l->running ? IS_RUNNING : l->fresh ? IS_NEW : IS_SUSPENDED;
}

int
model_home(int x)
{
	const struct life *l = LIFE(x);

	return l->base != NOBODY ? l->base : l->pinned || l->bound ? l->home : NOBODY;
}

unsigned
model_children(int x)
{
	return (unsigned)LIFE(x)->kids;
}

unsigned
model_backlog(int adopter)
{
	unsigned n = model.heir[adopter].stacks;

	for (int x = 0; x < model.nlives; x++)
		n += (LIFE(x)->fate == FATE_ADOPTED || LIFE(x)->fate == FATE_ORPHANED) && LIFE(x)->exited &&
		    LIFE(x)->owed_by == adopter;
	return n;
}

/* What the base context waits for has its own answer; the operations of its idle() have the thread's. */
struct want *
model_want(const struct plan *plan)
{
	return plan->actor != NOBODY && !plan->idle ? &LIFE(plan->actor)->want : &model.worker[plan->thread].want;
}

/* May this thread touch it, if it is private? */
bool
model_same_worker(int x, int thread)
{
	return LIFE(x)->shared || (model.worker[thread].on && LIFE(x)->home == thread);
}

/*
 * Operations.
 */
static int
start(int thread)
{
	struct worker	*w = &model.worker[thread];
	struct life	*l = LIFE(model.nlives);

	*l = (struct life){
		.fate = FATE_CLAIMED, .base = thread, .running = true, .shared = true, .parent = NOBODY, .group = NOBODY,
		.claimer = NOBODY, .home = thread, .waiter = NOBODY, .window = NOBODY
	};
	*w = (struct worker){ .on = true, .base = model.nlives, .current = model.nlives, .slice = model.now };
	return model.nlives++;
}

static int
stop(int thread)
{
	struct worker	*w = &model.worker[thread];
	int		 base = w->base;

	(void)discarded(thread);
	for (int x = 0; x < model.nlives; x++)
		if (live(x) && LIFE(x)->base == NOBODY && model_home(x) == thread)
			return -EBUSY;
	disinherit(base);
	LIFE(base)->closed = true;
	LIFE(base)->fate = FATE_FREE;
	LIFE(base)->exited = true;
	LIFE(base)->running = false;
	w->on = false;
	return 0;
}

int
create(const struct plan *plan)
{
	struct life		*parent = plan->actor != NOBODY ? LIFE(plan->actor) : NULL, *l = LIFE(model.nlives);
	int			 policy = plan->create.policy, x = model.nlives;
	bool			 adopter = plan->create.detached || plan->create.group != NOBODY, owned = plan->create.owned;
	uint64_t		 used;

	if (parent != NULL && (!plan->create.spawn || owned))
		(void)discarded(plan->thread);
	used = model.count.created - model.count.reaped;
	if (policy == POLICY_DEFAULT)
		policy = CONFIG->policy;
	if (policy == POLICY_THREAD)
		return -EINVAL;
	if (plan->create.pinned && parent == NULL)
		return -EPERM;
	if (CONFIG->limit != 0 && used + (plan->create.privileged ? 0 : CONFIG->reserve) >= CONFIG->limit) {
		model.count.limit_hits++;
		return -EAGAIN;
	}
	if (plan->create.small)
		return -EINVAL;
	if (plan->create.group != NOBODY && model.club[plan->create.group].posted)
		return -ESRCH;
	model.nlives++;
	*l = (struct life){
		.fate = owned ? FATE_CLAIMED : adopter ? FATE_ADOPTED : FATE_LIVE, .base = NOBODY, .fresh = true, .owned = owned,
		.parent = adopter || owned || parent == NULL ? NOBODY : plan->actor,
		.adopter = plan->create.adopter != NOBODY ? plan->create.adopter : parent != NULL ? parent->adopter : 0,
		.group = plan->create.group, .claimer = NOBODY, .policy = policy,
		.early = !owned && (plan->create.notify == 0 ? CONFIG->early : plan->create.notify == 2),
		.pinned = plan->create.pinned, .shared = (!CONFIG->shares && !owned) || parent == NULL,
		.bound = (CONFIG->shares || owned) && parent != NULL, .off_cpu = plan->create.off_cpu, .off_act = plan->create.off_act,
		.has_stack = true,
		.stack = plan->create.stack, .home = plan->thread, .waiter = NOBODY, .window = NOBODY
	};
	if (l->stack == STACK_BORROWED) {
		while (model.buffers[l->buffer])
			l->buffer++;
		model.buffers[l->buffer] = true;
	} else if (l->stack == STACK_OPS || CONFIG->ops)
		model.foreign++;
	if (l->group != NOBODY) {
		model.club[l->group].members++;
		model.club[l->group].ever = true;
	}
	if (owned)
		l->simple = plan->create.spawn && born_simple(x);
	else if (adopter)
		model.count.detached++;
	else if (parent != NULL) {
		parent->kids++;
		if (!l->shared) {
			parent->private_kids++;
			if (parent->base == NOBODY && !parent->bound) {
				parent->bound = true;
				parent->home = plan->thread;
			}
		} else
			parent->kin = true;
	}
	model.count.created++;
	for (int i = 0; i < plan->create.listeners; i++) {
		l->listener[l->nlisteners++] = i;
		l->used |= 1u << i;
		l->acts[i] = plan->create.acts && i == 0;
		l->simple = false;
	}
	if (plan->create.ready) {
		l->queued = true;
		model.queue[model.nqueue++] = x;
	}
	return 0;
}

int
destroy(const struct plan *plan)
{
	struct life	*l = LIFE(plan->x);
	int		 told[3], ntold = 0;
	bool		 worker = plan->actor != NOBODY;

	if (l->owned && l->claimer != NOBODY)
		return -EBUSY;
	if (!l->shared && (!worker || l->home != plan->thread))
		share_words(plan->x);
	if (l->sleep == SLEEP_RESUME)
		return -EBUSY;
	l->simple = false;
	if (l->sleep == SLEEP_DONE) {
		if (!LIFE(l->target)->posted)
			return -EBUSY;
		collect(l->target, plan->x, LIFE(l->target)->parent == plan->x ? PAYER_PARENT : PAYER_JOINER, NULL);
	} else
		disarm(plan->x);
	if (l->sleep == SLEEP_GROUP)
		model.club[l->target].sleepers--;
	l->sleep = SLEEP_NONE;
	dequeue(plan->x);
	disinherit(plan->x);
	l->status = plan->v;
	l->exited = true;
	l->exiting = false;
	model.count.exited++;
	bequeath(plan->x, told, &ntold);
	if (l->early)
		tell_host(plan->x);
	ended(worker, plan->x, told, ntold);
	if (l->owned)
		collect(plan->x, plan->actor, PAYER_PARENT, NULL);
	return 0;
}

int
drain(int k, unsigned budget)
{
	struct heir	*heir = &model.heir[k];
	unsigned	 n;
	int		 x;

	if (heir->draining)
		return -EBUSY;
	heir->draining = true;
	for (n = 0; n < budget; n++) {
		if (heir->stacks > 0) {
			heir->stacks--;
			model.count.stacks[PAYER_ADOPTER]++;
			model.foreign -= CONFIG->ops;
		} else if ((x = oldest(NOBODY, k, true, 0)) != NOBODY)
			collect(x, NOBODY, PAYER_ADOPTER, NULL);
		else
			break;
	}
	heir->draining = false;
	if (heir->interrupted || model_backlog(k) != 0)
		wake(kick_adopter(k));
	return (int)n;
}

static int
adopter_end(int k)
{
	struct heir	*heir = &model.heir[k];
	unsigned	 stacks = heir->stacks;
	int		 x;

	if (k == 0)
		return -EINVAL;
	if (heir->sleeper != NOBODY)
		return -EBUSY;
	heir->closed = true;
	heir->on = false;
	heir->stacks = 0;
	while ((x = oldest(NOBODY, k, false, 0)) != NOBODY)
		wake(to_adopter(x, k));
	for (; stacks > 0; stacks--) {
		model.heir[open_heir(k)].stacks++;
		wake(kick_adopter(open_heir(k)));
	}
	return 0;
}

static int
detach(const struct plan *plan, enum flow *flow)
{
	struct life *l = LIFE(plan->x);
	struct want *want = model_want(plan);

	switch (l->fate) {
	case FATE_LIVE:
		l->fate = FATE_ADOPTED;
		model.count.detached++;
		if (l->parent != NOBODY)
			wake(let_go(l->parent));
		return 0;
	case FATE_ZOMBIE:
		(void)claim(plan->x, plan->actor, 0);
		if (plan->actor == NOBODY)
			collect(plan->x, NOBODY, PAYER_JOINER, NULL);
		else
			*flow = barrier(plan->thread, plan->x, 0, true);
		return want->ret;
	case FATE_CLAIMED:
		return -EBUSY;
	default:
		return -ESRCH;
	}
}

static int
join(const struct plan *plan, enum flow *flow)
{
	struct life	*l = LIFE(plan->x);
	struct want	*want = model_want(plan);
	int		 error;

	if (plan->flags == FLAG_PEEK)
		return -EINVAL;
	if (l->fate == FATE_FREE)
		return -ESRCH;
	if (plan->flags & FLAG_PEEK) {
		if (adopted(plan->x))
			return -ESRCH;
		if (model_where(plan->x) != IS_ZOMBIE)
			return -EAGAIN;
		if (!plan->quiet)
			result(plan->x, want);
		return 0;
	}
	if (plan->x == plan->actor)
		return -EDEADLK;
	if (plan->flags & FLAG_NOHANG && !l->posted)
		return l->fate == FATE_LIVE || l->fate == FATE_ZOMBIE ? -EAGAIN : l->fate == FATE_CLAIMED ? -EBUSY : -ESRCH;
	if ((error = claim(plan->x, plan->actor, -ESRCH)) != 0)
		return error;
	if (plan->actor == NOBODY)
		collect(plan->x, NOBODY, PAYER_JOINER, plan->quiet ? NULL : want);
	else
		*flow = barrier(plan->thread, plan->x, 0, plan->quiet);
	return want->ret;
}

static int
wait_child(const struct plan *plan, enum flow *flow)
{
	struct life	*l = LIFE(plan->x);
	int		 error;

	if (plan->actor == NOBODY)
		return -EPERM;
	if (plan->x == plan->actor)
		return -EDEADLK;
	/* A detached one knows who its parent was, one made detached never had any: the same answer. */
	if (l->parent != plan->actor)
		return -ECHILD;
	if (plan->flags & FLAG_NOHANG && !l->posted)
		return l->fate == FATE_CLAIMED ? -EBUSY : adopted(plan->x) ? -ECHILD : -EAGAIN;
	if ((error = claim(plan->x, plan->actor, -ECHILD)) != 0)
		return error;
	*flow = barrier(plan->thread, plan->x, plan->flags, plan->quiet);
	return LIFE(plan->actor)->want.ret;
}

static int
share(int x)
{
	struct life *l = LIFE(x);

	if (l->pinned || l->base != NOBODY)
		return -EPERM;
	if (!l->bound || l->exited)
		return 0;
	if (l->private_kids != 0)
		return -EBUSY;
	share_words(x);
	l->bound = false;
	return 0;
}

static void
listen(const struct plan *plan)
{
	struct life *l = LIFE(plan->x);

	l->simple = false;
	l->listener[l->nlisteners++] = plan->k;
	l->used |= 1u << plan->k;
	l->acts[plan->k] = plan->v != 0;
}

static int
unlisten(const struct plan *plan)
{
	struct life	*l = LIFE(plan->x);
	int		 i;

	for (i = 0; i < l->nlisteners && l->listener[i] != plan->k; i++)
		continue;
	if (i == l->nlisteners)
		return -ENOENT;
	for (; i + 1 < l->nlisteners; i++)
		l->listener[i] = l->listener[i + 1];
	l->nlisteners--;
	l->used &= ~(1u << plan->k);
	return 0;
}

void
model_init(const uint8_t head[FUZZ_HEAD])
{
	struct config *config = &model.config;

	memset(&model, 0, sizeof(model));
	*config = (struct config){
		.policy = 1 + (head[0] & 7) % 4,
		.early = (head[0] & 8) != 0,
		.shares = (head[0] & 0x10) != 0,
		.direct = (head[0] & 0x20) != 0,
		.on_switch = (head[0] & 0x40) != 0,
		.after_switch = (head[0] & 0x80) != 0,
		.nthreads = (head[1] & 3) == 0 ? 1 : head[1] & 3,
		.child_exited = (head[1] & 4) != 0,
		.idle = (head[1] & 8) != 0 || (head[1] & 3) > 1,
		.usage = (head[1] & 0x10) != 0,
		.ledger_time = (head[1] & 0x20) != 0,
		.leave_zombies = (head[1] & 0x40) != 0,
		.hosted = (head[4] & 0x0e) != 0x0e,
		.hooked = (head[4] & 1) == 0,
		.locks = (head[4] & 0x10) != 0,
		.cache = 2 + (head[3] & 3),
		.depot = 1 + (head[3] >> 2 & 3),
		.quarantine = (head[3] >> 4 & 3) == 3 ? 2 : 0,
		.scrub = (head[3] & 0x40) != 0,
		.ops = (head[3] & 0x80) != 0
	};
	if (!config->hosted)
		config->shares = config->direct = config->on_switch = config->after_switch = config->child_exited =
		    config->idle = false;
	if (head[2] & 0x10) {
		config->limit = 1 + (head[2] & 15) + (head[5] & 1 ? 32 : 0);	/* from 32 on, credits are parcelled out */
		config->reserve = (uint64_t)(head[2] >> 5) % (config->limit + 1);
	}
	model.now = 1000000;
	for (int t = 0; t < THREADS; t++)
		model.worker[t].want.who = model.worker[t].want.came = NOBODY;
	model_open();
}

void
model_open(void)
{
	model.heir[0] = (struct heir){ .on = true, .sleeper = NOBODY };
	for (int k = 1; k < ADOPTERS; k++)
		model.heir[k] = (struct heir){ .sleeper = NOBODY };
	model.count = (struct counts){ 0 };
}

static int
domain_end(void)
{
	for (int t = 0; t < THREADS; t++)
		if (model.worker[t].on)
			return -EBUSY;
	for (int k = 1; k < ADOPTERS; k++)
		if (model.heir[k].on)
			return -EBUSY;
	for (int g = 0; g < GROUPS; g++)
		if (model.club[g].on)
			return -EBUSY;
	for (int x = 0; x < model.nlives; x++)
		if (live(x))
			return -EBUSY;
	model.unordered = true;
	for (int x = 0; x < model.nlives; x++) {
		struct life *l = LIFE(x);

		if (!there(x)) {
			l->fate = FATE_FREE;	/* its holds end with the domain */
			l->named = false;
			continue;
		}
		if (l->fate != FATE_ADOPTED)
			event(EV_UNJOINED, x, 0);
		if (l->off_cpu)
			event(EV_OFF_CPU, x, l->status);
		give_up_stack(x, PAYER_ADOPTER);
		l->fate = FATE_FREE;
		l->named = false;
	}
	for (int x = 0; x < model.nlives; x++)
		LIFE(x)->named = false;
	if (CONFIG->ops)
		model.foreign -= model.heir[0].stacks;
	model_open();
	return 0;
}

static int
on_the_spot(struct plan *plan, enum flow *flow)
{
	struct worker	*w = &model.worker[plan->thread];
	struct life	*self = plan->actor != NOBODY ? LIFE(plan->actor) : NULL;
	int		 to;

	if (plan->name) {
		LIFE(plan->x)->named = true;
		if (LIFE(plan->x)->base == NOBODY)
			share_words(plan->x);
	}
	if (plan->dequeue)
		dequeue(plan->x);
	switch (plan->op) {
	case OP_CREATE:
	case OP_OWN:
		plan->k = model.nlives;
		return create(plan);
	case OP_READY:
		LIFE(plan->x)->queued = true;
		model.queue[model.nqueue++] = plan->x;
		return 0;
	case OP_SWITCH:
		if (plan->x == plan->actor)
			return 0;
		self->sleep = SLEEP_PLAIN;
		go(plan->thread, plan->x);
		*flow = GO;
		return 0;
	case OP_YIELD:
		if ((to = next(plan->thread)) == NOBODY)
			return 0;
		self->sleep = SLEEP_PLAIN;
		leave(plan->thread, self->base != NOBODY ? SLOT_EMPTY : SLOT_YIELDED, to);
		*flow = GO;
		return 0;
	case OP_PARK:
		self->sleep = SLEEP_PLAIN;
		self->publish = plan->k != 0;
		leave(plan->thread, SLOT_PARKED, successor(plan->thread));
		*flow = GO;
		return 0;
	case OP_EXIT:
		self->exiting = true;
		self->exit_status = plan->v;
		self->window = plan->k;
		return 0;
	case OP_WAIT:
		return wait_child(plan, flow);
	case OP_WAIT_ANY:
		if (self == NULL)
			return -EPERM;
		self->quiet = plan->quiet;
		*flow = wait_any(plan->thread, plan->flags);
		return self->want.ret;
	case OP_JOIN:
		return join(plan, flow);
	case OP_DETACH:
		return detach(plan, flow);
	case OP_NO_ZOMBIES:
		if (self == NULL)
			return -EPERM;
		self->no_zombies = plan->k != 0;
		return 0;
	case OP_HOLD:
		if (LIFE(plan->x)->fate == FATE_FREE)
			return -ESRCH;
		LIFE(plan->x)->holds++;
		return 0;
	case OP_RELEASE:
		if (LIFE(plan->x)->fate == FATE_FREE || LIFE(plan->x)->holds == 0)
			return -ESRCH;
		if (--LIFE(plan->x)->holds == 0 && LIFE(plan->x)->fate == FATE_REAPED)
			LIFE(plan->x)->fate = FATE_FREE;
		return 0;
	case OP_DESTROY:
		return destroy(plan);
	case OP_DRAIN:
		return drain(plan->k, (unsigned)plan->v);
	case OP_ADOPTER:
		model.heir[plan->k] = (struct heir){ .on = true, .heir = plan->l, .sleeper = NOBODY };
		return 0;
	case OP_ADOPTER_END:
		return adopter_end(plan->k);
	case OP_ASSUME:
		if (self == NULL)
			return -EPERM;
		self->adopter = plan->k;
		self->simple = self->simple && plan->k == 0;
		return 0;
	case OP_ADOPTER_WAIT:
		if (self == NULL) {
			struct heir *heir = &model.heir[plan->k];

			to = heir->sleeper != NOBODY ? -EBUSY : heir->interrupted ? -ECANCELED : 0;
			if (to == -ECANCELED)
				heir->interrupted = false;
			return to;
		}
		*flow = adopter_wait(plan->thread, plan->k);
		return self->want.ret;
	case OP_INTERRUPT:
		model.heir[plan->k].interrupted = true;
		wake(kick_adopter(plan->k));
		return 0;
	case OP_GROUP:
		model.club[plan->k] = (struct club){ .on = true, .waiter = NOBODY };
		return 0;
	case OP_GROUP_WAIT:
		if (self == NULL) {
			if (!model.club[plan->k].ever)
				return -ECHILD;
			if (!model.club[plan->k].posted)
				return -EAGAIN;
			group_over(plan->k, &w->want);
			return 0;
		}
		*flow = group_wait(plan->thread, plan->k, plan->flags);
		return self->want.ret;
	case OP_GROUP_END:
		if (model.club[plan->k].ever && !model.club[plan->k].posted)
			return -EBUSY;
		model.club[plan->k].on = false;
		return 0;
	case OP_TRIM_AGED:
		model.now += (uint64_t)plan->v;
		return 0;
	case OP_LISTEN:
		listen(plan);
		return 0;
	case OP_UNLISTEN:
		return unlisten(plan);
	case OP_SHARE:
		return share(plan->x);
	case OP_RESUME:
		return owned_resume(plan, flow);
	case OP_SUSPEND:
		return owned_suspend(plan, flow);
	case OP_TRANSFER:
		return owned_transfer(plan, flow);
	case OP_DISCARD:
		return owned_discard(plan);
	case OP_DISCARDED:
		return discarded(plan->thread);
	case OP_LOOKUP:
		plan->k = model_where(plan->x) == IS_NEW || model_where(plan->x) == IS_SUSPENDED;
		return LIFE(plan->x)->has_stack && LIFE(plan->x)->stack < STACK_BORROWED && !CONFIG->ops ? 0 : -ENOENT;
	case OP_START:
		if (w->on)
			return -EBUSY;
		plan->k = start(plan->thread);
		return 0;
	case OP_STOP:
		return stop(plan->thread);
	case OP_DOMAIN:
		return domain_end();
	default:
		return 0;
	}
}

void
model_step(const struct program *program, struct plan *plan)
{
	struct want	*want;
	enum flow	 flow = DONE;
	int		 ret;

	*plan = (struct plan){ .op = OP_NONE, .thread = model.turn, .actor = model_actor(), .idle = model_idle(), .x = NOBODY };
	model.nevents = 0;
	model.unordered = false;
	if (!model.begun) {
		model.begun = true;
		plan->op = OP_START;	/* thread 0 is a worker from the start */
	} else if ((unsigned)model.mine < program->n) {
		int i = model.mine++;

		choose(plan, program->ops[i].code, program->ops[i].a, program->ops[i].b, program->ops[i].c);
	} else if (++model.tidied > 64 * CTX_MAX)
		model.broken = "there is no end to the tidying up";
	else
		tidy(plan);
	if (plan->op == OP_END)
		return;
	want = model_want(plan);
	*want = (struct want){ .who = NOBODY, .came = NOBODY };
	if (plan->op == OP_BATON) {
		plan->done = true;
		take_turn(plan->k);
		return;
	}
	ret = on_the_spot(plan, &flow);
	if (flow == GO) {
		resume(plan->thread);
		return;
	}
	plan->done = plan->op != OP_EXIT;
	want->ret = ret;
	go_on(plan->thread);
}
