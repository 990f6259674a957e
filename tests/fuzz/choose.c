/* SPDX-License-Identifier: ISC */
/*
 * choose.c: from four bytes to an operation that the interface allows, whether it succeeds or not: what aborts, or is undefined,
 * comes to nothing here.  And what is left to do when the bytes are used up.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "model.h"

#define LIFE(x)		(&model.life[x])

static struct plan *plan;	/* the one that is being made */

static bool
there(int x)
{
	return LIFE(x)->fate != FATE_FREE && LIFE(x)->fate != FATE_REAPED;
}

static bool
live(int x)
{
	return there(x) && !LIFE(x)->exited && LIFE(x)->base == NOBODY;
}

static bool
may_run_here(int x)
{
	int home = model_home(x);

	return home == NOBODY || home == plan->thread;
}

static bool
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

static bool
is_held(int x)
{
	return LIFE(x)->named && LIFE(x)->holds > 0;
}

/* Suspended, and the host's to run: it is not asleep in the library, nor in a queue. */
static bool
is_plain(int x)
{
	return live(x) && !LIFE(x)->running && !LIFE(x)->queued && !LIFE(x)->reserved && LIFE(x)->sleep <= SLEEP_PLAIN;
}

static bool
is_switchable(int x)
{
	return (is_plain(x) || (live(x) && LIFE(x)->queued)) && may_run_here(x);
}

/* Whoever was told, but will be readied by a landing to come, may not be destroyed. */
static bool
is_destroyable(int x)
{
	return live(x) && !LIFE(x)->running && !LIFE(x)->reserved && !LIFE(x)->limbo;
}

static bool
is_destroyable_now(int x)
{
	return is_destroyable(x) && (LIFE(x)->sleep != SLEEP_DONE || LIFE(LIFE(x)->target)->posted);
}

/* Dead ones are not shared: nobody will run them. */
static bool
is_sharable(int x)
{
	return (live(x) || (there(x) && LIFE(x)->base != NOBODY)) && may_run_here(x) && model_same_worker(x, plan->thread);
}

static bool
is_fresh_child(int x)
{
	return live(x) && is_child(x) && LIFE(x)->fresh && LIFE(x)->nlisteners < LISTENERS;
}

/* The nth, modulo how many there are; NOBODY. */
static int
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

static bool
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
	plan->create.ready = (a & 0x20) != 0 && model.config.hosted;
	plan->create.spawn = (a & 0x80) != 0 && plan->actor != NOBODY;
	plan->create.group = NOBODY;
	plan->create.adopter = NOBODY;
	if (plan->create.spawn)
		return true;
	plan->create.policy = (a & 7) > POLICY_THREAD ? POLICY_DEFAULT : (int)(a & 7);
	plan->create.notify = (a >> 3 & 3) == 3 ? 0 : (int)(a >> 3 & 3);
	plan->create.off_cpu = (a & 0x40) != 0;
	plan->create.detached = (b & 1) != 0;
	plan->create.privileged = (b & 2) != 0;
	plan->create.pinned = (b & 4) != 0;
	if (group >= 0 && model.club[group].on)
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
		return create(a, b, c);
	case OP_READY:
		return model.config.hosted && target(is_plain, a);
	case OP_SWITCH:
		if (self == NULL || plan->idle)
			return false;
		if ((c & 7) == 7 && !base)
			plan->x = model.worker[plan->thread].base;
		else if (!target(is_switchable, a))
			plan->x = plan->actor;
		plan->dequeue = LIFE(plan->x)->queued;
		return true;
	case OP_YIELD:
		return self != NULL && !plan->idle;
	case OP_PARK:
		plan->k = (a & 3) != 0 || !model.config.hosted;
		return self != NULL && !base;
	case OP_EXIT:
		plan->v = (int8_t)a;
		plan->k = (b & 2) != 0 ? (plan->thread + 1 + (int)(b & 1)) % THREADS : NOBODY;
		plan->returns = (c & 1) != 0;
		return self != NULL && !base && !exiting;
	case OP_WAIT:
		if (!free || self == NULL || !((c & 3) == 3 ? target(there, a) : target(is_child, a)))
			return false;
		/* Whose end was awaited by a peek comes behind the others that ended meanwhile: docs say the oldest first. */
		if (plan->flags == FLAG_PEEK && LIFE(plan->x)->fate == FATE_LIVE && self->kids != 1)
			plan->flags |= FLAG_NOHANG;
		return true;
	case OP_WAIT_ANY:
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
		return true;
	case OP_DETACH:
		if (!name(a, (c & 3) == 3))
			return false;
		return LIFE(plan->x)->fate != FATE_ZOMBIE || (free && (self != NULL || LIFE(plan->x)->posted));
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
		return free && an_adopter(a) && (self != NULL || model.heir[plan->k].sleeper != NOBODY ||
		    model.heir[plan->k].interrupted || model_backlog(plan->k) != 0);
	case OP_GROUP:
		for (plan->k = 0; plan->k < GROUPS && (model.club[plan->k].on || model.club[plan->k].sleepers > 0); plan->k++)
			continue;
		return plan->k < GROUPS;
	case OP_GROUP_WAIT:
		plan->flags &= FLAG_NOHANG;
		if (self == NULL)
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
		return true;
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
		if (model_home(x) == thread && (is_plain(x) || (live(x) && LIFE(x)->queued)))
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
		model.worker[t].want.who = NOBODY;
	model_open();
}

static const char *
actor_name(char *text, int actor)
{
	if (actor == NOBODY)
		strcpy(text, "-");
	else if (LIFE(actor)->base != NOBODY)
		snprintf(text, 16, "base%d", actor);
	else
		snprintf(text, 16, "c%d", actor);
	return text;
}

int
model_describe(const struct plan *p, char *line, size_t size)
{
	static const char *policies[] = { "", " adaptive", " parent", " successor", " adopter", " thread" };
	static const char *notifies[] = { "", " late", " early" };
	static const char *acts[] = { "", " that holds", " that creates", " that drains", " that trims", " that joins" };
	static const char *stacks[] = { "", " sized", " borrowed", " ops" };
	char who[16], x[16];
	int n = snprintf(line, size, "T%d%s %-6s %s", p->thread, p->idle ? " idle" : "", actor_name(who, p->actor),
	    program_name(p->op));

#define ADD(...)	(n += snprintf(line + n, (size_t)n < size ? size - (size_t)n : 0, __VA_ARGS__))
	if (p->x != NOBODY)
		ADD(" %s%s", actor_name(x, p->x), p->name ? " (named)" : "");
	switch (p->op) {
	case OP_CREATE:
		ADD("%s%s%s%s%s%s%s%s%s%s%s", p->create.spawn ? " spawn" : "", policies[p->create.policy],
		    notifies[p->create.notify], stacks[p->create.stack], p->create.small ? " too small" : "",
		    p->create.detached ? " detached" : "", p->create.privileged ? " privileged" : "",
		    p->create.pinned ? " pinned" : "", p->create.off_cpu ? " off_cpu" : "",
		    acts[p->create.off_act], p->create.ready ? " ready" : "");
		if (p->create.group != NOBODY)
			ADD(" group %d", p->create.group);
		if (p->create.adopter != NOBODY)
			ADD(" adopter %d", p->create.adopter);
		if (p->create.listeners != 0)
			ADD(" %d listeners%s", p->create.listeners, p->create.acts ? ", one acts" : "");
		break;
	case OP_EXIT:
		ADD(" %ld%s", (long)p->v, p->returns ? " by return" : "");
		if (p->k != NOBODY)
			ADD(" window for T%d", p->k);
		break;
	case OP_WAIT:
	case OP_WAIT_ANY:
	case OP_JOIN:
	case OP_GROUP_WAIT:
		if (p->op == OP_GROUP_WAIT)
			ADD(" %d", p->k);
		ADD("%s%s%s", p->flags & FLAG_NOHANG ? " nohang" : "", p->flags & FLAG_PEEK ? " peek" : "",
		    p->quiet ? " (no result)" : "");
		break;
	case OP_PARK:
		ADD(" %s", p->k ? "stays" : "readied");
		break;
	case OP_NO_ZOMBIES:
		ADD(" %s", p->k ? "on" : "off");
		break;
	case OP_DESTROY:
		ADD(" %ld", (long)p->v);
		break;
	case OP_DRAIN:
		ADD(" %d budget %ld", p->k, (long)p->v);
		break;
	case OP_ADOPTER:
		ADD(" %d heir %d", p->k, p->l);
		break;
	case OP_ADOPTER_END:
	case OP_ASSUME:
	case OP_ADOPTER_WAIT:
	case OP_INTERRUPT:
	case OP_GROUP:
	case OP_GROUP_END:
	case OP_MISUSE:
		ADD(" %d", p->k);
		break;
	case OP_LISTEN:
	case OP_UNLISTEN:
		ADD(" %d%s", p->k, p->op == OP_LISTEN && p->v ? " acts" : "");
		break;
	case OP_TRIM_AGED:
		ADD(" after %ld ns", (long)p->v);
		break;
	case OP_BATON:
		ADD(" T%d", p->k);
		break;
	default:
		break;
	}
	if (p->dequeue)
		ADD(" (off the queue)");
#undef ADD
	return n;
}
