/* SPDX-License-Identifier: ISC */
/*
 * observe.c: exits, landings, reaps and drains of a measuring round, as they happen, into the tally of the OS thread that
 * they happen on.
 *
 * When is memory free?  When the stack is given up: into the cache or depot that its next owner takes it from.
 *
 *	adaptive, successor	the landing, where it took the stack; else the reap	observe_landing, observe_reap
 *	parent			the parent's reap					observe_reap
 *	adopter			a drain							observe_drain
 *	plain, batching		the reaper thread, between the library's two looks	observe_clock
 *				at the clock, which it has for the ledger
 *
 * In the last two nobody is told whose stack it was: the n-th landing is paired with the n-th departure.  That leaves the mean
 * as it is; where stacks overtake each other, the tails come out shorter than they were.
 *
 * In a timed round the runtime drains the adopter.  Here the replay does, to see the departures: at the same places, with the
 * same budget, and by an init where the runtime would do it before it sleeps.
 */
#include "actor.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "burn.h"
#include "timeline.h"

/* The runtime's own default: so many corpses at a time, at every so manyth go or pause. */
#define OBSERVE_BUDGET	32

/* On the reaper thread: between two looks at the clock. */
static _Thread_local struct {
	bool	 giving_up;	/* the first look was */
	bool	 corpse;	/* what is given up is a whole context: observe_reap() has seen it */
} reaper;

static struct actor *
actor_of(const struct reap_context *context)
{
	return reap_context_user(context);	/* NULL: the conductor or init */
}

/* The landing's own view of what the library is about to do with the stack. */
static bool
landing_takes_stack(const struct actor *actor)
{
	switch (engine->setup.side->policy) {
	case REAP_POLICY_SUCCESSOR:
		return true;
	case REAP_POLICY_ADAPTIVE:
		return !__atomic_load_n(&actor->awaited, __ATOMIC_RELAXED);
	default:
		return false;
	}
}

/* Who runs from here on.  Actors are on one tree: a timeline shows one. */
static void
log_switch(struct reap_worker *worker, const struct reap_context *prev, bool dead)
{
	struct event_log *log = &tally_mine(&engine->tallies)->log;
	const struct actor *left = actor_of(prev), *runs = actor_of(reap_worker_current(worker));

	if (dead && left != NULL)
		timeline_log(log, EVENT_LANDED, left->task);
	timeline_log(log, EVENT_RUNS, runs != NULL ? runs->task : EVENT_NOBODY);
}

void
observe_landing(struct reap_worker *worker, struct reap_context *prev, bool dead)
{
	struct actor *actor;
	struct tally *tally;

	if (engine->setup.timeline)
		log_switch(worker, prev, dead);
	if (!dead || (actor = actor_of(prev)) == NULL)
		return;
	actor->land_ns = now_ns();
	tally = tally_mine(&engine->tallies);
	if (tally->landing != NULL)
		tally->landing[tally->landings++] = actor;
	else if (landing_takes_stack(actor)) {
		actor->recycled = true;
		TALLY_ADD(&tally->stacks, 1);
	}
}

/* Add up, without stopping anybody: right to within the exits and reaps of the moment. */
static void
sample_gauges(struct tally *mine)
{
	const struct tallies *all = &engine->tallies;
	uint64_t zombies, fat, bytes, exited = 0, stacks = 0, reaped = 0, backlog;
	unsigned i, n = tally_count(all);

	for (i = 0; i < n; i++) {
		exited += TALLY_READ(&all->tally[i]->exited);
		stacks += TALLY_READ(&all->tally[i]->stacks);
		reaped += TALLY_READ(&all->tally[i]->reaped);
	}
	zombies = exited > reaped ? exited - reaped : 0;
	fat = exited > stacks ? exited - stacks : 0;
	bytes = fat * engine->setup.pages * 4096 + zombies * ENGINE_THIN_BYTES;
	backlog = reap_adopter_backlog(engine->adopter);
	if (zombies > mine->peak_zombies)
		mine->peak_zombies = zombies;
	if (bytes > mine->peak_bytes)
		mine->peak_bytes = bytes;
	if (backlog > mine->peak_backlog)
		mine->peak_backlog = backlog;
	if (mine->gauges < GAUGES)
		mine->gauge[mine->gauges++] = (struct gauge){ now_ns(), zombies, bytes, backlog };
}

/* The collector has the context in its hands, and is about to give up what is left of it. */
void
observe_reap(struct reap_context *context, intptr_t status)
{
	struct actor *actor = actor_of(context);
	const void *lo, *sp, *hi;
	struct tally *tally;
	uint64_t now;

	(void)status;
	if (actor == NULL)
		return;
	reaper.corpse = true;
	now = now_ns();
	tally = tally_mine(&engine->tallies);
	if (engine->setup.timeline)
		timeline_log(&tally->log, EVENT_REAPED, actor->task);
	actor->whole = reap_context_stack(context, &lo, &sp, &hi) == 0;
	if (actor->task != 0 && (actor->whole || tally->landing == NULL))
		hist_add(&tally->to_free, (actor->whole ? now : actor->land_ns) - actor->exit_ns);
	if (actor->whole ? !actor->recycled : tally->landing == NULL && !actor->recycled)
		TALLY_ADD(&tally->stacks, 1);
	TALLY_ADD(&tally->reaped, 1);
	if ((tally->reaped & engine->sample_mask) == 0)
		sample_gauges(tally);
}

void
observe_collected(struct tally *tally, const struct actor *child, uint64_t now)
{
	if (child->land_ns < child->exit_ns || child->land_ns > now)
		return;
	hist_add(&tally->to_landing, child->land_ns - child->exit_ns);
	hist_add(&tally->landed, now - child->land_ns);
}

static void
keep_most(double *most, uint64_t value)
{
	if (!(*most >= (double)value))		/* NAN: the first */
		*most = (double)value;
}

void
observe_series(struct series *series, uint64_t start, uint64_t end)
{
	const struct tallies *all = &engine->tallies;
	uint64_t width = (end - start) / SERIES + 1;
	unsigned i, j;

	for (i = 0; i < SERIES; i++)
		series->zombies[i] = series->bytes[i] = series->backlog[i] = NAN;
	for (i = 0; i < tally_count(all); i++)
		for (j = 0; j < all->tally[i]->gauges; j++) {
			const struct gauge *g = &all->tally[i]->gauge[j];
			uint64_t at = g->ns > start ? (g->ns - start) / width : 0;

			if (at >= SERIES)
				at = SERIES - 1;
			keep_most(&series->zombies[at], g->zombies);
			keep_most(&series->bytes[at], g->bytes);
			keep_most(&series->backlog[at], g->backlog);
		}
}

void
observe_spawn(const struct actor *actor)
{
	timeline_log(&tally_mine(&engine->tallies)->log, EVENT_SPAWNED, actor->task);
}

void
observe_exit(const struct actor *actor)
{
	struct tally *tally = tally_mine(&engine->tallies);

	if (engine->setup.timeline)
		timeline_log(&tally->log, EVENT_EXITS, actor->task);
	TALLY_ADD(&tally->exited, 1);
	if ((tally->exited & engine->sample_mask) == 0)
		sample_gauges(tally);
}

static void
depart(struct tally *tally, uint64_t ns, uint64_t stacks)
{
	tally->departure[tally->departures++] = (struct departure){ ns, stacks };
	TALLY_ADD(&tally->stacks, stacks);
	/* pairs with the acquire in observe_complete(): the departures are read then */
	__atomic_store_n(&tally->departed, tally->departed + stacks, __ATOMIC_RELEASE);
}

/* Reap what the adopter owes, a budget's worth.  A drain does not switch: one thread's tally sees all of it. */
void
observe_drain(void)
{
	struct tally *tally = tally_mine(&engine->tallies);
	uint64_t corpses = tally->reaped;
	int drained = reap_adopter_drain(engine->adopter, OBSERVE_BUDGET);

	if (drained <= 0 || tally->landing == NULL)
		return;		/* nothing there, or somebody else is draining */
	corpses = tally->reaped - corpses;
	if ((uint64_t)drained > corpses)
		depart(tally, now_ns(), (uint64_t)drained - corpses);
}

void
observe_step(void)
{
	struct tally *tally = tally_mine(&engine->tallies);

	if (++tally->undrained < OBSERVE_BUDGET)
		return;
	tally->undrained = 0;
	if (reap_adopter_backlog(engine->adopter) > 0)
		observe_drain();
}

/* The domain's clock.  The reaper thread looks at it before and after it gives up a stack. */
uint64_t
observe_clock(void *arg)
{
	uint64_t now = now_ns();
	struct tally *tally;

	(void)arg;
	if (engine->setup.side->policy != REAP_POLICY_THREAD || reap_worker_self() != NULL ||
	    pthread_equal(pthread_self(), engine->asker))
		return now;
	tally = tally_mine(&engine->tallies);
	tally->reaper = true;
	if (reaper.giving_up && !reaper.corpse && tally->departures < engine->actors) {
		depart(tally, now, 1);
		if (engine->setup.timeline)
			timeline_log(&tally->log, EVENT_STACK_FREED, EVENT_NOBODY);
	}
	reaper.giving_up = !reaper.giving_up;
	reaper.corpse = false;
	return now;
}

/* How many stacks went to the adopter or the reaper thread without their context? */
static uint64_t
parted(void)
{
	uint64_t n = 0;
	unsigned i;
	size_t j;

	for (i = 0; i < tally_count(&engine->tallies); i++)
		for (j = 0; j < engine->tallies.tally[i]->landings; j++)
			n += !engine->tallies.tally[i]->landing[j]->whole;
	return n;
}

bool
observe_complete(void)
{
	uint64_t departed = 0;
	unsigned i;

	if (engine->setup.side->policy != REAP_POLICY_ADOPTER)
		return true;
	for (i = 0; i < tally_count(&engine->tallies); i++)	/* acquire: pairs with the release in depart() */
		departed += __atomic_load_n(&engine->tallies.tally[i]->departed, __ATOMIC_ACQUIRE);
	return departed == parted();
}

static int
by_landing(const void *a, const void *b)
{
	const struct actor *const *x = a, *const *y = b;

	return ((*x)->land_ns > (*y)->land_ns) - ((*x)->land_ns < (*y)->land_ns);
}

static int
by_time(const void *a, const void *b)
{
	const struct departure *x = a, *y = b;

	return (x->ns > y->ns) - (x->ns < y->ns);
}

/* All threads' logs in one, in order of time.  The caller frees both. */
static size_t
gather(struct actor ***landed, struct departure **left, size_t *departures)
{
	size_t i, j, n = 0, landings = 0;

	*departures = 0;
	*landed = calloc(engine->actors, sizeof(**landed));
	*left = calloc(engine->actors, sizeof(**left));
	if (*landed == NULL || *left == NULL)
		engine_fail("calloc", -ENOMEM);
	for (i = 0; i < tally_count(&engine->tallies); i++) {
		const struct tally *t = engine->tallies.tally[i];

		for (j = 0; j < t->landings; j++)
			if (!t->landing[j]->whole)
				(*landed)[landings++] = t->landing[j];
		for (j = 0; j < t->departures; j++)
			(*left)[n++] = t->departure[j];
	}
	qsort(*landed, landings, sizeof(**landed), by_landing);
	qsort(*left, n, sizeof(**left), by_time);
	*departures = n;
	return landings;
}

void
observe_pair(struct hist *to_free)
{
	struct actor **landed;
	struct departure *left;
	size_t departures, landings = gather(&landed, &left, &departures), next = 0, i;
	uint64_t k;

	for (i = 0; i < departures; i++)
		for (k = 0; k < left[i].stacks && next < landings; k++, next++)
			if (landed[next]->task != 0 && left[i].ns > landed[next]->exit_ns)
				hist_add(to_free, left[i].ns - landed[next]->exit_ns);
	free(landed);
	free(left);
}
