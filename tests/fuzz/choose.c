/* SPDX-License-Identifier: ISC */
/*
 * choose.c: from four bytes to an operation that the interface allows, whether it succeeds or not: what aborts, or is undefined,
 * comes to nothing here.
 */
#include "choose.h"

#define LIFE(x)		(&model.life[x])

struct plan *plan;

static bool
there(int x)
{
	return LIFE(x)->fate != FATE_FREE && LIFE(x)->fate != FATE_REAPED;
}

bool
is_live(int x)
{
	return there(x) && !LIFE(x)->exited && LIFE(x)->base == NOBODY && !LIFE(x)->discarded;
}

bool
may_run_here(int x)
{
	int home = model_home(x);

	return home == NOBODY || home == plan->thread;
}

bool
is_child(int x)
{
	return there(x) && LIFE(x)->parent == plan->actor && plan->actor != NOBODY &&
	    LIFE(x)->fate != FATE_ADOPTED && LIFE(x)->fate != FATE_ORPHANED;
}

static bool
is_nameable(int x)
{
	return LIFE(x)->named || (there(x) && model_same_worker(x, plan->thread));
}

static bool
is_stale(int x)
{
	return LIFE(x)->named && LIFE(x)->fate == FATE_FREE;
}

bool
is_held(int x)
{
	return LIFE(x)->named && LIFE(x)->holds > 0;
}

/* Suspended, and the host's to run: it is not asleep in the library, nor in a queue, nor its owner's. */
bool
is_plain(int x)
{
	return is_live(x) && !LIFE(x)->running && !(LIFE(x)->owned && LIFE(x)->fresh) && !LIFE(x)->queued &&
	    !LIFE(x)->reserved && LIFE(x)->sleep <= SLEEP_PLAIN;
}

static bool
is_switchable(int x)
{
	return (is_plain(x) || (is_live(x) && LIFE(x)->queued)) && may_run_here(x);
}

/* Whoever was told, but will be readied by a landing to come, may not be destroyed. */
static bool
is_destroyable(int x)
{
	return is_live(x) && !LIFE(x)->running && !LIFE(x)->reserved && !LIFE(x)->limbo;
}

bool
is_destroyable_now(int x)
{
	return is_destroyable(x) && (LIFE(x)->sleep != SLEEP_DONE || LIFE(LIFE(x)->target)->posted) &&
	    LIFE(x)->sleep != SLEEP_RESUME && !is_resumed(x);
}

/* It stays as it is until its worker comes to it: nobody is about to ready it. */
static bool
is_discardable(int x)
{
	return is_destroyable(x) && !LIFE(x)->queued && LIFE(x)->sleep != SLEEP_ANY && LIFE(x)->sleep != SLEEP_GROUP &&
	    LIFE(x)->sleep != SLEEP_ADOPTER;
}

static bool
is_owned(int x)
{
	return is_live(x) && LIFE(x)->owned;
}

/*
 * Whoever goes back, some day, to one that must run on a certain worker, must stay there, too; through however many others.  Not
 * bound to it he is safe only if he runs through.
 */
static bool
is_tied(int x)
{
	if (model.config.nthreads == 1 || model_home(x) != NOBODY)
		return false;
	for (; is_resumed(x); x = LIFE(x)->claimer)
		if (model_home(LIFE(x)->claimer) != NOBODY)
			return true;
	return false;
}

/* May the actor, or one that ends, let the base context run?  If it has resumed one, it needs an idle(). */
static bool
base_may_run(void)
{
	return model.config.idle || LIFE(model.worker[plan->thread].base)->sleep != SLEEP_RESUME;
}

/* May the actor sleep, or park, or be preempted? */
static bool
may_sleep(void)
{
	return plan->actor == NOBODY || (base_may_run() && !is_tied(plan->actor));
}

/* May it sleep for what may sleep for it, unseen? */
static bool
may_sleep_for_many(void)
{
	return may_sleep() && (plan->actor == NOBODY || !is_resumed(plan->actor));
}

bool
is_resumed(int x)
{
	return LIFE(x)->owned && LIFE(x)->claimer != NOBODY;
}

/* Dead ones are not shared: nobody will run them.  Nor who is resumed, while it is off the CPU. */
static bool
is_sharable(int x)
{
	return (is_live(x) || (there(x) && LIFE(x)->base != NOBODY)) && may_run_here(x) && model_same_worker(x, plan->thread) &&
	    (LIFE(x)->running || !is_resumed(x));
}

static bool
is_fresh_child(int x)
{
	return is_live(x) && (is_child(x) || (LIFE(x)->owned && may_run_here(x))) && LIFE(x)->fresh &&
	    LIFE(x)->nlisteners < LISTENERS;
}

/* The nth, modulo how many there are; NOBODY. */
int
pick(bool (*fits)(int), unsigned n)
{
	int count = 0;

	for (int x = 0; x < model.nlives; x++)
		count += fits(x);
	if (count == 0)
		return NOBODY;
	count = (int)(n % (unsigned)count);
	for (int x = 0;; x++)
		if (fits(x) && count-- == 0)
			return x;
}

bool
target(bool (*fits)(int), unsigned n)
{
	plan->x = pick(fits, n);
	return plan->x != NOBODY;
}

static bool
name(unsigned n, bool stale)
{
	if (!(stale && target(is_stale, n)) && !target(is_nameable, n))
		return false;
	plan->name = !LIFE(plan->x)->named;
	return true;
}

/* Would a collector have to wait? */
static bool
blocks(int x)
{
	return (LIFE(x)->fate == FATE_LIVE || LIFE(x)->fate == FATE_ZOMBIE) && !LIFE(x)->posted;
}

static bool
an_adopter(unsigned n)
{
	int k = (int)(n % ADOPTERS);

	while (!model.heir[k].on)
		k = (k + 1) % ADOPTERS;
	plan->k = k;
	return true;
}

/* Somebody is on his way out of it. */
static bool
adopter_busy(int k)
{
	for (int x = 0; x < model.nlives; x++)
		if (there(x) && LIFE(x)->sleep == SLEEP_ADOPTER && LIFE(x)->target == k && !LIFE(x)->armed)
			return true;
	return false;
}

static bool
a_group(unsigned n)
{
	for (int i = 0; i < GROUPS; i++) {
		int g = (int)((n + (unsigned)i) % GROUPS);

		if (model.club[g].on) {
			plan->k = g;
			return true;
		}
	}
	return false;
}

static bool
create(unsigned a, unsigned b, unsigned c)
{
	bool	 buffer = false;
	int	 adopter = (int)(b >> 5 & 3), group = (int)(b >> 3 & 3) - 1;

	if (plan->idle || model.nlives >= CTX_MAX - THREADS)
		return false;
	plan->create.owned = plan->op == OP_OWN;
	plan->create.ready = (a & 0x20) != 0 && model.config.hosted && !plan->create.owned;
	plan->create.spawn = (a & 0x80) != 0 && plan->actor != NOBODY;
	plan->create.group = NOBODY;
	plan->create.adopter = NOBODY;
	if (plan->create.spawn)
		return true;
	plan->create.policy = (a & 7) > POLICY_THREAD ? POLICY_DEFAULT : (int)(a & 7);
	plan->create.notify = (a >> 3 & 3) == 3 ? 0 : (int)(a >> 3 & 3);
	plan->create.off_cpu = (a & 0x40) != 0;
	plan->create.detached = (b & 1) != 0 && !plan->create.owned;
	plan->create.privileged = (b & 2) != 0;
	plan->create.pinned = (b & 4) != 0;
	if (group >= 0 && model.club[group].on && !plan->create.owned)
		plan->create.group = group;
	if (b & 0x80)
		plan->create.adopter = 0;
	else if (adopter != 0 && model.heir[adopter].on)
		plan->create.adopter = adopter;
	plan->create.stack = (enum stack)(c & 3);
	for (int i = 0; i < BUFFERS; i++)
		buffer = buffer || !model.buffers[i];
	if (plan->create.stack == STACK_BORROWED && !buffer)
		plan->create.stack = STACK_DEFAULT;
	if (plan->create.stack == STACK_BORROWED)
		plan->create.off_cpu = true;
	plan->create.listeners = (int)(c >> 2 & 3);
	plan->create.acts = (c & 0x10) != 0;
	plan->create.small = c >> 5 == 7;
	if (plan->create.off_cpu && c >> 5 < OFF_ACTS)
		plan->create.off_act = (enum off_act)(c >> 5);
	return true;
}

/* To its resumer, if it has one. */
static bool
may_come_back(int x)
{
	return !LIFE(x)->owned || (is_resumed(x) && may_run_here(LIFE(x)->claimer));
}

/* False: it comes to nothing. */
static bool
decide(unsigned a, unsigned b, unsigned c)
{
	const struct life *self = plan->actor != NOBODY ? LIFE(plan->actor) : NULL;
	bool		   base = self != NULL && self->base != NOBODY, exiting = self != NULL && self->exiting;
	bool		   free = self == NULL || !plan->idle;	/* may call what can wait */

	plan->flags = b & 3;
	plan->quiet = (b & 4) != 0;
	switch (plan->op) {
	case OP_CREATE:
	case OP_OWN:
		return create(a, b, c);
	case OP_READY:
		return model.config.hosted && target(is_plain, a);
	case OP_SWITCH:
		if (self == NULL || plan->idle || !may_sleep())
			return false;
		if ((c & 7) == 7 && !base)
			plan->x = model.worker[plan->thread].base;
		else if (!target(is_switchable, a))
			plan->x = plan->actor;
		plan->dequeue = LIFE(plan->x)->queued;
		return true;
	case OP_YIELD:
		return self != NULL && !plan->idle && !is_tied(plan->actor);
	case OP_PARK:
		plan->k = (a & 3) != 0 || !model.config.hosted;
		return self != NULL && !base && may_sleep();
	case OP_EXIT:
		plan->v = (int8_t)a;
		plan->k = (b & 2) != 0 ? (plan->thread + 1 + (int)(b & 1)) % THREADS : NOBODY;
		plan->returns = (c & 1) != 0;
		return self != NULL && !base && !exiting && may_come_back(plan->actor);
	case OP_WAIT:
		if (!free || self == NULL || !((c & 3) == 3 ? target(there, a) : target(is_child, a)))
			return false;
		if (!may_sleep())
			plan->flags |= FLAG_NOHANG;
		/* Whose end was awaited by a peek comes behind the others that ended meanwhile: docs say the oldest first. */
		if (plan->flags == FLAG_PEEK && LIFE(plan->x)->fate == FATE_LIVE && self->kids != 1)
			plan->flags |= FLAG_NOHANG;
		return true;
	case OP_WAIT_ANY:
		if (!may_sleep_for_many())
			plan->flags |= FLAG_NOHANG;
		return free;
	case OP_JOIN:
		if (!free)
			return false;
		if ((c & 12) == 12 && self != NULL && self->parent != NOBODY && is_nameable(self->parent)) {
			plan->x = self->parent;		/* who waits for each other is rare elsewise */
			plan->name = !LIFE(plan->x)->named;
		} else if (!name(a, (c & 3) == 3))
			return false;
		if (self == NULL && plan->flags == 0 && blocks(plan->x))
			plan->flags = FLAG_NOHANG;
		if (!may_sleep())
			plan->flags |= FLAG_NOHANG;
		return true;
	case OP_DETACH:
		if (!name(a, (c & 3) == 3))
			return false;
		return LIFE(plan->x)->fate != FATE_ZOMBIE || (free && ((self != NULL && may_sleep()) || LIFE(plan->x)->posted));
	case OP_NO_ZOMBIES:
		plan->k = (a & 3) != 0;
		return true;
	case OP_HOLD:
		return name(a, (c & 3) == 3) && LIFE(plan->x)->base == NOBODY && LIFE(plan->x)->holds < 3;
	case OP_RELEASE:
		return target(is_held, a) || name(a, (c & 3) == 3);
	case OP_PEEK:
		return name(a, (c & 3) == 3);
	case OP_DESTROY:
		plan->v = (int8_t)b;
		if (!target(is_destroyable, a))
			return false;
		plan->dequeue = LIFE(plan->x)->queued && is_destroyable_now(plan->x);
		return true;
	case OP_DRAIN:
		plan->v = (b & 7) == 7 ? 1000 : (intptr_t)(b & 7);
		return an_adopter(a);
	case OP_ADOPTER:
		for (plan->k = 1; plan->k < ADOPTERS && (model.heir[plan->k].on || model.heir[plan->k].closed); plan->k++)
			continue;
		plan->l = (int)(a % ADOPTERS);
		plan->l = model.heir[plan->l].on ? plan->l : 0;
		return plan->k < ADOPTERS;
	case OP_ADOPTER_END:
		return an_adopter(a) && !adopter_busy(plan->k);
	case OP_ASSUME:
	case OP_INTERRUPT:
		return an_adopter(a);
	case OP_ADOPTER_WAIT:
		return free && an_adopter(a) && ((self != NULL && may_sleep()) || model.heir[plan->k].sleeper != NOBODY ||
		    model.heir[plan->k].interrupted || model_backlog(plan->k) != 0);
	case OP_GROUP:
		for (plan->k = 0; plan->k < GROUPS && (model.club[plan->k].on || model.club[plan->k].sleepers > 0); plan->k++)
			continue;
		return plan->k < GROUPS;
	case OP_GROUP_WAIT:
		plan->flags &= FLAG_NOHANG;
		if (self == NULL || !may_sleep_for_many())
			plan->flags = FLAG_NOHANG;
		return free && a_group(a) && (model.club[plan->k].sleepers == 0 || !model.club[plan->k].posted);
	case OP_GROUP_END:
		return a_group(a) && model.club[plan->k].sleepers == 0;
	case OP_TRIM_AGED:
		plan->v = (intptr_t)a * 16;
		return true;
	case OP_LISTEN:
		plan->x = plan->actor;
		if (self == NULL)
			return false;
		if ((base || exiting || (b & 1)) && !target(is_fresh_child, a))
			return false;
		if (LIFE(plan->x)->nlisteners == LISTENERS)
			return false;
		for (plan->k = 0; LIFE(plan->x)->used >> plan->k & 1; plan->k++)
			continue;
		plan->v = (b & 2) != 0;
		return true;
	case OP_UNLISTEN:
		plan->x = plan->actor;
		if (self == NULL || base)
			return false;
		plan->k = (int)(a % LISTENERS);
		if ((b & 3) != 3 && self->nlisteners > 0)
			plan->k = self->listener[(int)a % self->nlisteners];
		return true;
	case OP_SHARE:
		return self != NULL && target(is_sharable, a);
	case OP_NAME:
		return name(a, false);
	case OP_LOOKUP:
		plan->x = pick(is_nameable, a);
		return plan->x != NOBODY && there(plan->x) && model_same_worker(plan->x, plan->thread);
	case OP_START:
		return model.nlives < CTX_MAX;
	case OP_STOP:
		return base && !plan->idle;
	case OP_BATON:
		plan->k = (plan->thread + 1 + (int)(a & 1)) % model.config.nthreads;
		return plan->k != plan->thread;
	case OP_DOMAIN:
		return self == NULL;
	case OP_MISUSE:
		plan->k = (int)a;
		return model.worker[plan->thread].ndiscarded == 0;	/* some try to create: that would destroy them */
	case OP_RESUME:
		plan->flags = (b & 3) == 3;
		plan->v = (int8_t)c;
		return !plan->idle && ((c & 7) == 7 ? target(is_live, a) : target(is_owned, a));
	case OP_SUSPEND:
		plan->v = (int8_t)a;
		return !plan->idle && (self == NULL || may_come_back(plan->actor));
	case OP_TRANSFER:
		plan->v = (int8_t)c;
		return !plan->idle && target(is_owned, a);
	case OP_DISCARD:
		plan->v = (int8_t)b;
		return !plan->idle && target(is_discardable, a);
	case OP_DISCARDED:
		return self != NULL;
	default:
		return true;
	}
}

void
choose(struct plan *out, unsigned code, unsigned a, unsigned b, unsigned c)
{
	struct plan nothing = *out;

	plan = out;
	plan->op = program_op((uint8_t)code);
	if (!decide(a, b, c))
		*out = nothing;
}
