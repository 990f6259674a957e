/* SPDX-License-Identifier: ISC */
/*
 * model.c: what must happen.  One part follows the control flow (who runs, sleeps, is woken), the other keeps the books (who is
 * whose child, who may collect, what is owed).
 */
#include <errno.h>
#include <string.h>

#include "model.h"

struct model model;

#define LIFE(x)		(&model.life[x])
#define CONFIG		(&model.config)

static void
event(enum event kind, int a, intptr_t b)
{
	if (model.nevents == EVENTS_MAX) {
		model.broken = "too many callbacks in one step";
		return;
	}
	model.event[model.nevents].kind = kind;
	model.event[model.nevents].a = a;
	model.event[model.nevents].b = b;
	model.nevents++;
}

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

static bool
adopted(int x)
{
	return LIFE(x)->fate == FATE_ADOPTED || LIFE(x)->fate == FATE_ORPHANED;
}

/* There is a descriptor, and whoever keeps it there may use its address. */
static bool
there(int x)
{
	return LIFE(x)->fate != FATE_FREE && LIFE(x)->fate != FATE_REAPED;
}

static bool
live(int x)
{
	return there(x) && !LIFE(x)->exited;
}

/*
 * Waking.
 */
static void
ready(int x)
{
	struct life *l = LIFE(x);

	l->limbo = false;
	if (l->base != NOBODY) {
		l->readied = true;
		if (CONFIG->idle)
			event(EV_WAKE, l->base, 0);
		return;
	}
	l->queued = true;
	model.queue[model.nqueue++] = x;
	event(EV_READY, x, 0);
}

static int
taken(int sleeper)
{
	if (sleeper != NOBODY) {
		LIFE(sleeper)->armed = false;
		LIFE(sleeper)->limbo = true;
	}
	return sleeper;
}

/* Who sleeps in wait_any. */
static int
kick(int parent)
{
	return LIFE(parent)->sleep == SLEEP_ANY && LIFE(parent)->armed ? taken(parent) : NOBODY;
}

static int
kick_adopter(int k)
{
	int sleeper = model.heir[k].sleeper;

	model.heir[k].sleeper = NOBODY;
	return taken(sleeper);
}

static int
take_waiter(int x)
{
	int waiter = LIFE(x)->waiter;

	LIFE(x)->waiter = NOBODY;
	return taken(waiter);
}

static void
wake(int sleeper)
{
	if (sleeper != NOBODY)
		ready(sleeper);
}

/*
 * The books.
 */
static void
share_words(int x)
{
	struct life *l = LIFE(x);

	if (l->shared)
		return;
	if (l->parent != NOBODY && !adopted(x) && !LIFE(l->parent)->exited) {
		LIFE(l->parent)->private_kids--;
		LIFE(l->parent)->kin = true;
	}
	l->shared = true;
}

static int
open_heir(int k)
{
	while (model.heir[k].closed)
		k = model.heir[k].heir;
	return k;
}

static int
to_adopter(int x, int k)
{
	k = open_heir(k);
	LIFE(x)->owed_by = k;
	LIFE(x)->arrival = ++model.arrivals;
	return kick_adopter(k);
}

static int
let_go(int parent)
{
	LIFE(parent)->kids--;
	return kick(parent);
}

/* The oldest on a list: of a parent's dead if parent is one, else of the adopter's. */
static int
oldest(int parent, int adopter, bool only_posted, unsigned after)
{
	int found = NOBODY;

	for (int x = 0; x < model.nlives; x++) {
		const struct life *l = LIFE(x);

		if (l->arrival <= after || (only_posted && !l->posted))
			continue;
		if (parent != NOBODY ? l->fate != FATE_ZOMBIE || l->parent != parent :
		    !adopted(x) || !l->exited || l->owed_by != adopter)
			continue;
		if (found == NOBODY || l->arrival < LIFE(found)->arrival)
			found = x;
	}
	return found;
}

static void
disinherit(int parent)
{
	int x;

	if (LIFE(parent)->kids == 0)
		return;
	LIFE(parent)->closed = true;
	while ((x = oldest(parent, NOBODY, false, 0)) != NOBODY) {
		LIFE(x)->fate = FATE_ORPHANED;
		LIFE(parent)->kids--;
		model.count.orphans++;
		wake(to_adopter(x, LIFE(x)->adopter));
	}
}

static void
tell(int *told, int *ntold, int sleeper)
{
	if (sleeper != NOBODY)
		told[(*ntold)++] = sleeper;
}

static void
bequeath(int x, int *told, int *ntold)
{
	struct life *l = LIFE(x);

	if (l->fate == FATE_LIVE && l->parent != NOBODY) {
		const struct life *parent = LIFE(l->parent);

		/* Even of a parent that has ended: it said that it wants none. */
		if (parent->no_zombies) {
			share_words(x);
			l->fate = FATE_ADOPTED;
			tell(told, ntold, let_go(l->parent));
			tell(told, ntold, to_adopter(x, l->adopter));
		} else if (parent->closed) {
			share_words(x);
			l->fate = FATE_ORPHANED;
			model.count.orphans++;
			tell(told, ntold, let_go(l->parent));
			tell(told, ntold, to_adopter(x, l->adopter));
		} else {
			if (parent->kin)
				share_words(x);
			l->fate = FATE_ZOMBIE;
			l->arrival = ++model.arrivals;
			tell(told, ntold, kick(l->parent));
		}
	} else if (l->fate == FATE_LIVE)
		l->fate = FATE_ZOMBIE;
	else if (adopted(x))
		tell(told, ntold, to_adopter(x, l->adopter));
}

static void
tell_host(int x)
{
	if (CONFIG->child_exited && LIFE(x)->parent != NOBODY && !adopted(x))
		event(EV_CHILD_EXITED, LIFE(x)->parent, x);
}

static void
post(int x)
{
	int waiter;

	LIFE(x)->posted = true;
	waiter = take_waiter(x);
	wake(waiter);
}

static bool
shelvable(int x)
{
	return LIFE(x)->stack == STACK_DEFAULT && !CONFIG->ops && CONFIG->quarantine == 0;
}

static bool
borrowed(int x)
{
	return LIFE(x)->stack == STACK_BORROWED || LIFE(x)->stack == STACK_OPS;
}

/* It is off the CPU: the landing, or a destroy. */
static void
ended(bool worker, int x, const int *told, int ntold)
{
	struct life	*l = LIFE(x);
	int		 policy = l->policy, drainer = NOBODY;

	if (l->group != NOBODY) {
		struct club *club = &model.club[l->group];

		if (--club->members == 0) {
			int waiter = club->waiter;

			club->posted = true;
			club->status = l->status;
			club->waiter = NOBODY;
			wake(taken(waiter));
		}
	}
	if (policy == POLICY_ADAPTIVE && (adopted(x) || (ntold == 0 && !l->awaited && l->waiter == NOBODY)))
		policy = POLICY_SUCCESSOR;
	if (policy == POLICY_SUCCESSOR && worker && shelvable(x)) {
		l->has_stack = false;
		model.count.stacks[PAYER_SUCCESSOR]++;
	} else if (policy == POLICY_ADOPTER && !adopted(x) && !borrowed(x)) {
		int k = open_heir(l->adopter);

		l->has_stack = false;
		model.heir[k].stacks++;
		drainer = kick_adopter(k);
	}
	if (!l->early)
		tell_host(x);
	post(x);
	for (int i = 0; i < ntold; i++)
		ready(told[i]);
	wake(drainer);
}

static void
result(int x, struct want *want)
{
	LIFE(x)->named = true;
	want->who = x;
	want->status = LIFE(x)->status;
	want->usage = LIFE(x)->usage;
}

static void
forget(int x)
{
	if (LIFE(x)->holds == 0)
		LIFE(x)->fate = FATE_FREE;
}

static void
give_up_stack(int x, int payer)
{
	struct life *l = LIFE(x);

	if (!l->has_stack)
		return;
	l->has_stack = false;
	model.count.stacks[payer]++;
	if (l->stack == STACK_BORROWED)
		model.buffers[l->buffer] = false;
	else if (l->stack == STACK_OPS || CONFIG->ops)
		model.foreign--;
}

static int	create(const struct plan *);
static int	drain(int k, unsigned budget);

/* What the host does in off_cpu(), by the thread that reaps. */
static void
act_off_cpu(int x)
{
	struct life	*l = LIFE(x);
	struct plan	 plan;
	int		 i = model.nevents, ret = 0;
	bool		 nameable = model_same_worker(x, model.turn);

	if (l->off_act == OFF_NOTHING || ((l->off_act == OFF_HOLD || l->off_act == OFF_JOIN) && !nameable) ||
	    (l->off_act == OFF_CREATE && model.nlives >= CTX_MAX - THREADS) || i == EVENTS_MAX)
		return;
	event(EV_OFF_ACT, x, 0);
	switch (l->off_act) {
	case OFF_HOLD:
		l->named = true;
		share_words(x);
		l->holds++;
		break;
	case OFF_CREATE:
		plan = (struct plan){ .op = OP_CREATE, .thread = model.turn, .actor = model_actor() };
		plan.create.group = plan.create.adopter = NOBODY;
		ret = create(&plan);
		break;
	case OFF_DRAIN:
		ret = drain(0, 1);
		break;
	case OFF_JOIN:
		l->named = true;
		share_words(x);
		ret = adopted(x) ? -ESRCH : -EBUSY;
		break;
	default:
		break;
	}
	model.event[i].b = ret;
}

static void
collect(int x, int collector, int payer, struct want *want)
{
	struct life	*l = LIFE(x);
	bool		 mine = l->parent != NOBODY && l->parent == collector && !adopted(x);
	int		 sleeper = NOBODY;

	if (want != NULL)
		result(x, want);
	if (CONFIG->usage && collector != NOBODY) {
		struct usage *usage = &LIFE(collector)->usage;

		usage->children_ns += l->usage.run_ns + l->usage.children_ns;
		usage->children += 1 + l->usage.children;
	}
	if (mine)
		LIFE(l->parent)->kids--;
	if (l->stack == STACK_BORROWED)
		give_up_stack(x, payer);	/* first: off_cpu() may give it to somebody else */
	if (l->off_cpu) {
		event(EV_OFF_CPU, x, l->status);
		act_off_cpu(x);
	}
	if (mine && !l->shared)
		LIFE(l->parent)->private_kids--;
	give_up_stack(x, payer);
	if (l->parent != NOBODY && !mine && !adopted(x))
		sleeper = let_go(l->parent);
	model.count.reaped++;
	model.count.contexts[payer]++;
	l->fate = FATE_REAPED;
	l->arrival = 0;
	forget(x);
	wake(sleeper);
}

/*
 * Control flow.
 */
static void
charge(int thread, int x)
{
	struct worker *w = &model.worker[thread];

	if (!CONFIG->usage)
		return;
	LIFE(x)->usage.run_ns += model.now - w->slice;
	LIFE(x)->usage.runs++;
	w->slice = model.now;
}

static bool
may_run(int x, int thread)
{
	int home = model_home(x);

	return home == NOBODY || home == thread;
}

static void
dequeue(int x)
{
	int i, n = 0;

	for (i = 0; i < model.nqueue; i++)
		if (model.queue[i] != x)
			model.queue[n++] = model.queue[i];
	model.nqueue = n;
	LIFE(x)->queued = false;
}

static int
runnable(int thread)
{
	for (int i = 0; i < model.nqueue; i++)
		if (may_run(model.queue[i], thread))
			return model.queue[i];
	return NOBODY;
}

/* The host's next(). */
static int
next(int thread)
{
	int x;

	if (!CONFIG->hosted)
		return NOBODY;
	x = runnable(thread);
	if (x != NOBODY)
		dequeue(x);
	event(EV_NEXT, thread, x);
	return x;
}

/* The sleeper is off the CPU, or a base context: its waiter goes where the waker looks.  False: it must not sleep. */
static bool
arm(int x)
{
	struct life *l = LIFE(x);
	struct club *club;

	switch (l->sleep) {
	case SLEEP_DONE:
		LIFE(l->target)->waiter = x;
		break;
	case SLEEP_GROUP:
		club = &model.club[l->target];
		l->error = club->waiter != NOBODY ? -EBUSY : 0;
		if (l->error != 0)
			return false;
		club->waiter = x;
		break;
	case SLEEP_ADOPTER:
		model.heir[l->target].sleeper = x;
		break;
	default:
		break;
	}
	l->armed = true;
	return true;
}

static void
disarm(int x)
{
	struct life *l = LIFE(x);

	if (!l->armed)
		return;
	l->armed = false;
	if (l->sleep == SLEEP_DONE)
		LIFE(l->target)->waiter = NOBODY;
	else if (l->sleep == SLEEP_GROUP)
		model.club[l->target].waiter = NOBODY;
	else if (l->sleep == SLEEP_ADOPTER)
		model.heir[l->target].sleeper = NOBODY;
}

/* From the current context of the thread to another one: the switch and its landing. */
static void
go(int thread, int to)
{
	struct worker	*w = &model.worker[thread];
	int		 from = w->current, prev;
	enum slot	 slot;

	if (CONFIG->on_switch)
		event(EV_ON_SWITCH, from, to);
	if (!LIFE(from)->exited)
		charge(thread, from);
	if (CONFIG->after_switch && w->slot == SLOT_EMPTY) {
		w->slot = SLOT_SWITCHED;
		w->prev = from;
	}
	LIFE(from)->running = false;
	LIFE(to)->running = true;
	LIFE(to)->reserved = false;
	w->current = to;
	model.count.switches++;

	slot = w->slot;
	prev = w->prev;
	w->slot = SLOT_EMPTY;
	if (slot == SLOT_DEAD)
		charge(thread, prev);
	if (slot != SLOT_EMPTY && CONFIG->after_switch)
		event(EV_AFTER_SWITCH, prev, slot == SLOT_DEAD);
	switch (slot) {
	case SLOT_DEAD:
		ended(true, prev, w->told, w->ntold);
		break;
	case SLOT_PARKED:
		if (LIFE(prev)->sleep == SLEEP_PLAIN) {
			event(EV_PUBLISH, prev, LIFE(prev)->publish);
			if (!LIFE(prev)->publish)
				ready(prev);
		} else if (!arm(prev))
			ready(prev);
		break;
	case SLOT_YIELDED:
		ready(prev);
		break;
	default:
		break;
	}
	LIFE(to)->fresh = false;
}

static void
leave(int thread, enum slot slot, int to)
{
	struct worker *w = &model.worker[thread];

	w->slot = slot;
	w->prev = w->current;
	go(thread, to);
}

static int
successor(int thread)
{
	int to = next(thread);

	return to != NOBODY ? to : model.worker[thread].base;
}

/* A context goes to sleep, or a base context begins to run others. */
static void
sleep(int thread, enum sleep why, int target)
{
	int		 x = model.worker[thread].current;
	struct life	*l = LIFE(x);

	l->sleep = why;
	l->target = target;
	l->error = 0;
	if (l->base != NOBODY) {
		l->readied = false;
		(void)arm(x);
	} else
		leave(thread, SLOT_PARKED, successor(thread));
}

/* Does `target' wait, through however many others, for x? */
static bool
waits_for(int target, int x)
{
	while (x != target) {
		if (LIFE(x)->base != NOBODY || LIFE(x)->exited || LIFE(x)->fate != FATE_CLAIMED)
			return false;
		if (LIFE(x)->claimer == NOBODY)
			return false;
		x = LIFE(x)->claimer;
	}
	return true;
}

/* What a collector finds; 0: x is claimed now.  gone: the error for who is nobody's to collect. */
static int
claim(int x, int self, int gone)
{
	struct life *l = LIFE(x);

	switch (l->fate) {
	case FATE_LIVE:
		if (self != NOBODY && !CONFIG->hosted && !l->exited)
			return -EDEADLK;
		/* fallthrough */
	case FATE_ZOMBIE:
		l->fate = FATE_CLAIMED;
		l->claimer = self;
		return 0;
	case FATE_CLAIMED:
		return -EBUSY;
	default:
		return gone;
	}
}

/* The one whom x has claimed is off the CPU. */
static void
finish_wait(int x)
{
	struct life	*l = LIFE(x), *dead = LIFE(l->target);
	struct want	*want = l->quiet ? NULL : &l->want;

	l->want.ret = 0;
	if (l->wants_peek) {
		if (want != NULL) {
			share_words(l->target);
			result(l->target, want);
		}
		dead->fate = FATE_ZOMBIE;
		if (dead->arrival == 0)
			dead->arrival = ++model.arrivals;
	} else
		collect(l->target, x, dead->parent == x ? PAYER_PARENT : PAYER_JOINER, want);
	l->sleep = SLEEP_NONE;
}

enum flow { DONE, GO };

/* Claimed by the context that runs on the thread. */
static enum flow
barrier(int thread, int target, unsigned flags, bool quiet)
{
	int		 x = model.worker[thread].current;
	struct life	*l = LIFE(x);

	l->quiet = quiet;
	l->wants_peek = (flags & FLAG_PEEK) != 0;
	l->target = target;
	if (LIFE(target)->posted) {
		finish_wait(x);
		return DONE;
	}
	if (!LIFE(target)->exited && waits_for(target, x)) {
		LIFE(target)->fate = FATE_LIVE;
		l->want.ret = -EDEADLK;
		return DONE;
	}
	model.count.barrier++;
	sleep(thread, SLEEP_DONE, target);
	return GO;
}

static enum flow
wait_any(int thread, unsigned flags)
{
	int		 x = model.worker[thread].current, child = oldest(x, NOBODY, true, 0);
	struct life	*l = LIFE(x);

	l->sleep = SLEEP_NONE;
	if (child == NOBODY && !(flags & FLAG_NOHANG))
		child = oldest(x, NOBODY, false, 0);
	if (child != NOBODY) {
		(void)claim(child, x, 0);
		return barrier(thread, child, flags, l->quiet);
	}
	l->want.ret = l->kids == 0 ? -ECHILD : flags & FLAG_NOHANG ? -EAGAIN : 0;
	if (l->want.ret != 0)
		return DONE;
	l->flags = (int)flags;
	/* Only the sleep of a base context is counted here, and one that without a host nothing can end. */
	if (l->base != NOBODY || !CONFIG->hosted)
		model.count.barrier++;
	if (l->base == NOBODY && !CONFIG->hosted) {
		l->want.ret = -EDEADLK;
		return DONE;
	}
	sleep(thread, SLEEP_ANY, 0);
	return GO;
}

static enum flow
adopter_wait(int thread, int k)
{
	int		 x = model.worker[thread].current;
	struct life	*l = LIFE(x);
	struct heir	*heir = &model.heir[k];

	l->sleep = SLEEP_NONE;
	if (heir->sleeper != NOBODY)
		l->want.ret = -EBUSY;
	else if (heir->interrupted) {
		heir->interrupted = false;
		l->want.ret = -ECANCELED;
	} else if (model_backlog(k) != 0)
		l->want.ret = 0;
	else {
		if (l->base != NOBODY || !CONFIG->hosted)
			model.count.barrier++;
		if (l->base == NOBODY && !CONFIG->hosted) {
			l->want.ret = -EDEADLK;
			return DONE;
		}
		sleep(thread, SLEEP_ADOPTER, k);
		return GO;
	}
	return DONE;
}

static void
group_over(int g, struct want *want)
{
	want->ret = 0;
	want->status = model.club[g].status;
	model.club[g].on = false;
}

static enum flow
group_wait(int thread, int g, unsigned flags)
{
	int		 x = model.worker[thread].current;
	struct life	*l = LIFE(x);
	struct club	*club = &model.club[g];

	if (!club->ever)
		l->want.ret = -ECHILD;
	else if (l->group == g)
		l->want.ret = -EDEADLK;
	else if (club->posted)
		group_over(g, &l->want);
	else if (flags & FLAG_NOHANG)
		l->want.ret = -EAGAIN;
	else {
		model.count.barrier++;
		if (l->base == NOBODY && !CONFIG->hosted) {
			l->want.ret = -EDEADLK;
			return DONE;
		}
		if (l->base != NOBODY && club->waiter != NOBODY) {
			l->want.ret = -EBUSY;
			return DONE;
		}
		club->sleepers++;
		sleep(thread, SLEEP_GROUP, g);
		return GO;
	}
	return DONE;
}

/* The base context runs others until it is told.  OVER: it is; MORE: look again; IDLE: it takes an operation; STUCK. */
enum base { OVER, MORE, IDLE, STUCK };

static enum base
base_turn(int thread)
{
	int		 x = model.worker[thread].base, to;
	struct life	*l = LIFE(x);

	if (l->sleep == SLEEP_DONE ? LIFE(l->target)->posted : l->sleep == SLEEP_GROUP ? model.club[l->target].posted : l->readied)
		return OVER;
	if ((l->sleep == SLEEP_DONE || l->sleep == SLEEP_GROUP) && l->readied) {
		l->readied = false;
		(void)arm(x);
	}
	to = next(thread);
	if (to != NOBODY) {
		go(thread, to);
		return MORE;
	}
	if (l->limbo)
		model.broken = "a base context would spin for a thread that has not got the baton";
	if (CONFIG->hosted && CONFIG->idle)
		return IDLE;
	disarm(x);
	return STUCK;
}

enum end { LISTENS, ENDED, AWAY };

static enum end	exit_on(int thread);

/*
 * The current context of the thread goes on from where it was.  On return somebody, on the thread that has the turn then, takes
 * an operation.
 */
static void
resume(int thread)
{
	struct life	*l;
	enum flow	 flow;
	int		 x;

	for (;;) {
		if (model.broken != NULL)
			return;
		if (!model.worker[thread].on)
			return;
		x = model.worker[thread].current;
		l = LIFE(x);
		flow = DONE;
		if (l->base != NOBODY && l->sleep > SLEEP_PLAIN) {
			enum base base = base_turn(thread);

			if (base == MORE)
				continue;
			if (base == IDLE)
				return;
			if (base == STUCK) {
				if (l->sleep == SLEEP_DONE)
					LIFE(l->target)->fate = FATE_LIVE;
				if (l->sleep == SLEEP_GROUP)
					model.club[l->target].sleepers--;
				l->want.ret = -EDEADLK;
				l->sleep = SLEEP_NONE;
				return;
			}
			l->readied = false;
		}
		switch (l->sleep) {
		case SLEEP_NONE:
			break;
		case SLEEP_PLAIN:
			l->sleep = SLEEP_NONE;
			break;
		case SLEEP_DONE:
			if (LIFE(l->target)->posted)
				finish_wait(x);
			else {
				sleep(thread, SLEEP_DONE, l->target);	/* told early: the barrier is still ahead */
				flow = GO;
			}
			break;
		case SLEEP_ANY:
			flow = wait_any(thread, (unsigned)l->flags);
			break;
		case SLEEP_GROUP:
			model.club[l->target].sleepers--;
			l->sleep = SLEEP_NONE;
			if (l->error != 0)
				l->want.ret = l->error;
			else
				group_over(l->target, &l->want);
			break;
		case SLEEP_ADOPTER:
			flow = adopter_wait(thread, l->target);
			break;
		}
		if (flow == DONE && (!l->exiting || exit_on(thread) != ENDED))
			return;
	}
}

static void	take_turn(int thread);

static bool
follows(int thread, int sleeper)
{
	return LIFE(sleeper)->base == NOBODY && may_run(sleeper, thread);
}

/* Straight to who sleeps for the dying one. */
static int
follow(int thread, int x, const int *told, int *ntold)
{
	int waiter = LIFE(x)->waiter;

	if (*ntold > 0) {
		if (*ntold > 1 || !follows(thread, told[0]))
			return NOBODY;
		*ntold = 0;
		LIFE(told[0])->limbo = false;
		return told[0];
	}
	if (waiter == NOBODY || !follows(thread, waiter))
		return NOBODY;
	LIFE(x)->waiter = NOBODY;
	LIFE(waiter)->armed = false;
	return waiter;
}

static void
finish_exit(int thread)
{
	struct worker *w = &model.worker[thread];

	w->dying = false;
	leave(thread, SLOT_DEAD, w->to);
}

static enum end
die(int thread)
{
	struct worker	*w = &model.worker[thread];
	int		 x = w->current, told[3], ntold = 0, to;
	struct life	*l = LIFE(x);
	bool		 window;

	disinherit(x);
	l->status = l->exit_status;
	l->exited = true;
	l->exiting = false;
	model.count.exited++;
	bequeath(x, told, &ntold);
	if (l->early) {
		tell(told, &ntold, take_waiter(x));
		tell_host(x);
		for (int i = 0; i < ntold; i++)
			ready(told[i]);
		if (ntold > 0)
			l->awaited = true;
		ntold = 0;
	}
	to = successor(thread);
	if (to == w->base && CONFIG->direct) {
		int sleeper = follow(thread, x, told, &ntold);

		if (sleeper != NOBODY) {
			l->awaited = true;
			to = sleeper;
		}
	}
	if (to == w->base)
		model.count.base++;
	else
		model.count.direct++;
	memcpy(w->told, told, sizeof(told));
	w->ntold = ntold;
	w->to = to;
	LIFE(to)->reserved = true;
	if (CONFIG->hooked)
		event(EV_DYING, x, 0);
	/* A base context that has been told, but not readied, spins: nobody else may run meanwhile. */
	window = CONFIG->hooked && l->window != NOBODY && l->window != thread && l->window < CONFIG->nthreads && CONFIG->hosted;
	for (int i = 0; i < ntold; i++)
		window = window && LIFE(told[i])->base == NOBODY;
	if (window) {
		w->dying = true;
		event(EV_WINDOW, x, l->window);
		take_turn(l->window);
		return AWAY;
	}
	finish_exit(thread);
	return ENDED;
}

/*
 * The exiting context runs its listeners, then ends.  LISTENS: one of them performs an operation; AWAY: another thread has the
 * baton, and has gone on.
 */
static enum end
exit_on(int thread)
{
	int		 x = model.worker[thread].current;
	struct life	*l = LIFE(x);

	while (l->nlisteners > 0) {
		int i = l->listener[--l->nlisteners];

		l->used &= ~(1u << i);
		event(EV_LISTENER, x, i);
		if (l->acts[i])
			return LISTENS;
	}
	return die(thread);
}

/* The operation of the current actor is over. */
static void
go_on(int thread)
{
	int x = model.worker[thread].current;

	if (!model.worker[thread].on)
		return;
	if (LIFE(x)->base != NOBODY && LIFE(x)->sleep > SLEEP_PLAIN)
		resume(thread);		/* idle() returns */
	else if (LIFE(x)->exiting && exit_on(thread) == ENDED)
		resume(thread);
}

/* The baton goes to a thread: to one in its window, or to one that gave it away before. */
static void
take_turn(int thread)
{
	model.turn = thread;
	if (model.worker[thread].on && model.worker[thread].dying) {
		finish_exit(thread);
		resume(thread);
	} else
		go_on(thread);
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

static int
create(const struct plan *plan)
{
	struct life		*parent = plan->actor != NOBODY ? LIFE(plan->actor) : NULL, *l = LIFE(model.nlives);
	int			 policy = plan->create.policy, x = model.nlives;
	bool			 adopter = plan->create.detached || plan->create.group != NOBODY;
	uint64_t		 used = model.count.created - model.count.reaped;

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
		.fate = adopter ? FATE_ADOPTED : FATE_LIVE, .base = NOBODY, .fresh = true,
		.parent = adopter || parent == NULL ? NOBODY : plan->actor,
		.adopter = plan->create.adopter != NOBODY ? plan->create.adopter : parent != NULL ? parent->adopter : 0,
		.group = plan->create.group, .claimer = NOBODY, .policy = policy,
		.early = plan->create.notify == 0 ? CONFIG->early : plan->create.notify == 2,
		.pinned = plan->create.pinned, .shared = !CONFIG->shares || parent == NULL,
		.bound = CONFIG->shares && parent != NULL, .off_cpu = plan->create.off_cpu, .off_act = plan->create.off_act,
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
	if (adopter)
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
	}
	if (plan->create.ready) {
		l->queued = true;
		model.queue[model.nqueue++] = x;
	}
	return 0;
}

static int
destroy(const struct plan *plan)
{
	struct life	*l = LIFE(plan->x);
	int		 told[3], ntold = 0;
	bool		 worker = plan->actor != NOBODY;

	if (!l->shared && (!worker || l->home != plan->thread))
		share_words(plan->x);
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
	return 0;
}

static int
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
	*want = (struct want){ .who = NOBODY };
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
