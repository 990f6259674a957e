/* SPDX-License-Identifier: ISC */
/*
 * books.c: who is whose child, who may collect, what is owed, who has to be woken.
 */
#include <errno.h>

#include "parts.h"

void
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

bool
adopted(int x)
{
	return LIFE(x)->fate == FATE_ADOPTED || LIFE(x)->fate == FATE_ORPHANED;
}

/* There is a descriptor, and whoever keeps it there may use its address. */
bool
there(int x)
{
	return LIFE(x)->fate != FATE_FREE && LIFE(x)->fate != FATE_REAPED;
}

bool
live(int x)
{
	return there(x) && !LIFE(x)->exited;
}

/*
 * Waking.
 */
void
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

int
taken(int sleeper)
{
	if (sleeper != NOBODY) {
		LIFE(sleeper)->armed = false;
		LIFE(sleeper)->limbo = true;
	}
	return sleeper;
}

/* Who sleeps in wait_any. */
int
kick(int parent)
{
	return LIFE(parent)->sleep == SLEEP_ANY && LIFE(parent)->armed ? taken(parent) : NOBODY;
}

int
kick_adopter(int k)
{
	int sleeper = model.heir[k].sleeper;

	model.heir[k].sleeper = NOBODY;
	return taken(sleeper);
}

int
take_waiter(int x)
{
	int waiter = LIFE(x)->waiter;

	LIFE(x)->waiter = NOBODY;
	return taken(waiter);
}

void
wake(int sleeper)
{
	if (sleeper != NOBODY)
		ready(sleeper);
}

/*
 * The books.
 */
void
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
	l->simple = false;
}

int
open_heir(int k)
{
	while (model.heir[k].closed)
		k = model.heir[k].heir;
	return k;
}

int
to_adopter(int x, int k)
{
	k = open_heir(k);
	LIFE(x)->owed_by = k;
	LIFE(x)->arrival = ++model.arrivals;
	return kick_adopter(k);
}

int
let_go(int parent)
{
	LIFE(parent)->kids--;
	return kick(parent);
}

/* The oldest on a list: of a parent's dead if parent is one, else of the adopter's. */
int
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

void
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

void
tell(int *told, int *ntold, int sleeper)
{
	if (sleeper != NOBODY)
		told[(*ntold)++] = sleeper;
}

void
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
			l->fate = FATE_ZOMBIE;
			l->arrival = ++model.arrivals;
			tell(told, ntold, kick(l->parent));
		}
	} else if (l->fate == FATE_LIVE)
		l->fate = FATE_ZOMBIE;
	else if (adopted(x))
		tell(told, ntold, to_adopter(x, l->adopter));
}

void
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
void
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
	if (l->simple)
		policy = POLICY_PARENT;
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

void
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

void
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

/* What the host does in off_cpu(), by the thread that reaps. */
static void
act_off_cpu(int x)
{
	struct life	*l = LIFE(x);
	struct plan	 plan;
	int		 i = model.nevents, ret = 0;
	bool		 nameable = model_same_worker(x, model.turn);

	if (l->off_act == OFF_NOTHING || ((l->off_act == OFF_HOLD || l->off_act == OFF_JOIN) && !nameable) ||
	    (l->off_act == OFF_CREATE && (model.nlives >= CTX_MAX - THREADS || model.discarding)) || i == EVENTS_MAX)
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

void
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
