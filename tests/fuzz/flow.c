/* SPDX-License-Identifier: ISC */
/*
 * flow.c: who runs, sleeps, is woken.
 */
#include <errno.h>
#include <string.h>

#include "parts.h"

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

void
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
int
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

void
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
void
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

void
leave(int thread, enum slot slot, int to)
{
	struct worker *w = &model.worker[thread];

	w->slot = slot;
	w->prev = w->current;
	go(thread, to);
}

/* By itself, to whom it chooses. */
void
switch_to(int thread, enum sleep why, int to)
{
	LIFE(model.worker[thread].current)->sleep = why;
	go(thread, to);
}

int
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
int
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

/* Claimed by the context that runs on the thread. */
enum flow
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

enum flow
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

enum flow
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

void
group_over(int g, struct want *want)
{
	want->ret = 0;
	want->status = model.club[g].status;
	model.club[g].on = false;
}

enum flow
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

	if (l->sleep == SLEEP_RESUME) {
		if (l->came != NOBODY)
			return OVER;
		l->served = true;
	} else if (l->sleep == SLEEP_DONE ? LIFE(l->target)->posted : l->sleep == SLEEP_GROUP ? model.club[l->target].posted : l->readied)
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
	if (l->sleep == SLEEP_RESUME)
		model.broken = "a base context would spin for one that it has resumed";
	disarm(x);
	return STUCK;
}

enum end { LISTENS, ENDED, AWAY };

static enum end	exit_on(int thread);

/*
 * The current context of the thread goes on from where it was.  On return somebody, on the thread that has the turn then, takes
 * an operation.
 */
void
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
		case SLEEP_RESUME:
			back_from_resume(x);
			break;
		case SLEEP_SUSPENDED:
			l->sleep = SLEEP_NONE;
			l->want.ret = l->cancelled ? -ECANCELED : 0;
			l->want.word = l->word;
			break;
		}
		if (flow == DONE && (!l->exiting || exit_on(thread) != ENDED))
			return;
	}
}

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

	if (l->owned && l->claimer == NOBODY) {
		model.broken = "an owned context ends that nobody has resumed";
		return LISTENS;
	}
	if (l->owned)
		LIFE(l->claimer)->came = x;
	l->simple = l->simple && !l->kin && l->kids == 0 && !LIFE(l->claimer)->served;
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
	to = l->owned ? l->claimer : successor(thread);
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
void
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
void
take_turn(int thread)
{
	model.turn = thread;
	if (model.worker[thread].on && model.worker[thread].dying) {
		finish_exit(thread);
		resume(thread);
	} else
		go_on(thread);
}
