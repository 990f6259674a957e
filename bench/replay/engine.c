/* SPDX-License-Identifier: ISC */
/*
 * engine.c: a runtime, a conductor that starts the trees, and the figures of a round.
 *
 * The thread that asks for rounds is no worker: between rounds every worker sleeps, so that a cell that waits for its turn
 * does not disturb the one that runs.
 */
#include "engine.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "actor.h"
#include "burn.h"
#include "process.h"

#define EVENTS_PER_ACTOR	16	/* room in the log of a timeline */
#define EVENTS_ROOM	262144
#define FEW	10		/* with fewer samples in a round there is a largest one, and no quantile */
#define TAIL_NAP	50000		/* ns between two looks whether the last corpses are gone */
#define DEPOT		65536u		/* dead stacks kept: on no side does a round give memory back to the system */

struct engine *engine;

_Noreturn void
engine_fail(const char *call, int error)
{
	fprintf(stderr, "replay: %s: %s\n", call, strerror(-error));
	_exit(3);
}

/* ---- contexts of the engine's own ---- */

/* Measuring rounds: drains when somebody else has not. */
static intptr_t
init_main(void *arg)
{
	(void)arg;
	while (reap_adopter_wait(engine->adopter) == 0) {
		observe_drain();
		reap_pause();
	}
	return 0;
}

static void
read_stats(struct reap_stats *stats)
{
	stats->size = sizeof(*stats);
	reap_domain_stats(engine->domain, stats);
}

/* Is nothing left of the round's contexts? */
static bool
all_gone(const struct reap_stats *before)
{
	struct reap_stats now;

	read_stats(&now);
	return now.created - before->created == engine->actors && now.reaped - before->reaped == engine->actors &&
	    now.backlog == 0 && (!engine->setup.measuring || observe_complete());
}

static void
play_round(void)
{
	size_t i, tasks = engine->setup.program->trace->tasks;
	struct reap_stats before;
	int error;

	read_stats(&before);
	for (i = 0; i < engine->actors; i += tasks)
		actor_spawn(&engine->actor[i]);
	for (i = 0; i < engine->actors; i += tasks) {
		error = reap_wait(engine->actor[i].context, 0, NULL);
		if (error != 0)
			engine_fail("reap_wait for a root", error);
	}
	while (!all_gone(&before))
		reap_sleep_until(now_ns() + TAIL_NAP);
}

/* A context may take a lock of its OS thread's, as it does not switch while it holds it. */
static void
say_done(void)
{
	pthread_mutex_lock(&engine->lock);
	engine->times++;
	pthread_cond_signal(&engine->done);
	pthread_mutex_unlock(&engine->lock);
}

static intptr_t
conductor_main(void *arg)
{
	struct reap_context *init;
	int error;

	(void)arg;
	if (engine->setup.measuring && (error = reap_go(init_main, NULL, &init)) != 0)
		engine_fail("reap_go for init", error);
	for (;;) {
		say_done();
		reap_park_at(&engine->go);
		if (engine->ending)
			break;
		play_round();
	}
	if (engine->setup.measuring) {
		reap_adopter_interrupt(engine->adopter);
		reap_wait(init, 0, NULL);
	}
	say_done();
	return 0;
}

/* ---- measuring ---- */

/* What is read before and after a round; the difference is the round's. */
struct meter {
	uint64_t wall, cpu;
	struct process_time reaper, workers;
	long	 os_switches;
	struct reap_stats stats;
};

static void
read_meter(struct meter *m)
{
	struct rusage usage;
	unsigned i;

	getrusage(RUSAGE_SELF, &usage);
	m->os_switches = usage.ru_nvcsw + usage.ru_nivcsw;
	read_stats(&m->stats);
	m->reaper = m->workers = (struct process_time){ 0, 0 };
	if (engine->reaper != 0)
		m->reaper = process_thread_time(engine->reaper);
	for (i = 0; i < engine->workers.n; i++) {
		struct process_time one = process_thread_time(engine->workers.id[i]);

		m->workers.run_ns += one.run_ns;
		m->workers.queued_ns += one.queued_ns;
	}
	m->cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
	m->wall = now_ns();
}

static void
put_quantiles(double *figure, const struct hist *h)
{
	int i;

	/* A handful has no quantiles: one parent that waited would speak for all of them. */
	for (i = 0; i < FIGURE_QUANTILES; i++)
		figure[i] = h->count == 0 || (h->count < FEW && figure_quantile[i] < 1) ? NAN :
		    (double)hist_quantile(h, figure_quantile[i]) / 1000;
}

static double
share(uint64_t part, uint64_t whole)
{
	return whole == 0 ? NAN : 100 * (double)part / (double)whole;
}

/* The children that no parent asked for: detached, left until their parent ended, or orphans then. */
static void
put_uncollected(struct round *round)
{
	const struct program *program = engine->setup.program;
	size_t i;

	for (i = 0; i < engine->actors; i++) {
		const struct actor *child = &engine->actor[i];
		const struct task *task = &program->trace->task[child->task];
		const struct actor *parent = child - child->task + task->parent - 1;
		enum outcome outcome;

		if (program->fate[child->task] == FATE_WAITED)
			continue;
		outcome = program->fate[child->task] == FATE_DETACHED ? OUTCOME_ADOPTED :
		    child->exit_ns < parent->exit_ns ? OUTCOME_UNREAPED : OUTCOME_ORPHAN;
		round->outcome[tally_mode(task->mode)][outcome]++;
	}
}

static void
put_tallies(struct round *round)
{
	static struct tally sum;	/* too big for a stack */
	double *f = round->figure;
	unsigned i, m, o;

	memset(&sum, 0, offsetof(struct tally, gauge));
	for (i = 0; i < tally_count(&engine->tallies); i++) {
		const struct tally *t = engine->tallies.tally[i];

		hist_merge(&sum.to_parent, &t->to_parent);
		hist_merge(&sum.to_collected, &t->to_collected);
		hist_merge(&sum.to_free, &t->to_free);
		hist_merge(&sum.to_landing, &t->to_landing);
		hist_merge(&sum.landed, &t->landed);
		sum.waits += t->waits;
		sum.waited_first += t->waited_first;
		sum.peak_zombies = t->peak_zombies > sum.peak_zombies ? t->peak_zombies : sum.peak_zombies;
		sum.peak_bytes = t->peak_bytes > sum.peak_bytes ? t->peak_bytes : sum.peak_bytes;
		sum.peak_backlog = t->peak_backlog > sum.peak_backlog ? t->peak_backlog : sum.peak_backlog;
		for (m = 0; m < MODES; m++)
			for (o = 0; o < OUTCOMES; o++)
				sum.outcome[m][o] += t->outcome[m][o];
	}
	if (engine->tallies.tally[0]->landing != NULL)
		observe_pair(&sum.to_free);
	memcpy(round->outcome, sum.outcome, sizeof(round->outcome));
	put_uncollected(round);
	put_quantiles(&f[FIGURE_PARENT_P50], &sum.to_parent);
	put_quantiles(&f[FIGURE_COLLECTED_P50], &sum.to_collected);
	f[FIGURE_WAITING] = share(sum.waited_first, sum.waits);
	f[FIGURE_WAITING_COUNT] = (double)sum.waited_first;
	round->latency[LATENCY_PARENT] = sum.to_parent;
	round->latency[LATENCY_COLLECTED] = sum.to_collected;
	if (!engine->setup.measuring)
		return;
	round->latency[LATENCY_FREE] = sum.to_free;
	round->latency[LATENCY_LANDING] = sum.to_landing;
	round->latency[LATENCY_LANDED] = sum.landed;
	put_quantiles(&f[FIGURE_FREE_P50], &sum.to_free);
	put_quantiles(&f[FIGURE_LANDING_P50], &sum.to_landing);
	put_quantiles(&f[FIGURE_LANDED_P50], &sum.landed);
	f[FIGURE_ZOMBIES] = (double)sum.peak_zombies;
	f[FIGURE_ZOMBIE_BYTES] = (double)sum.peak_bytes / 1024;
	f[FIGURE_BACKLOG] = (double)sum.peak_backlog;
}

/* Who gave up the stacks, and what did giving up anything cost the payer? */
static void
put_ledger(double *f, const struct reap_stats *before, const struct reap_stats *after)
{
	static const struct {
		enum reap_payer payer;
		enum figure stacks, paid;
	} row[] = {
		{ REAP_PAYER_PARENT, FIGURE_STACKS_PARENT, FIGURE_PAID_PARENT },
		{ REAP_PAYER_ADOPTER, FIGURE_STACKS_ADOPTER, FIGURE_PAID_ADOPTER },
		{ REAP_PAYER_SUCCESSOR, FIGURE_STACKS_SUCCESSOR, FIGURE_PAID_SUCCESSOR },
		{ REAP_PAYER_THREAD, FIGURE_STACKS_THREAD, FIGURE_PAID_THREAD },
	};
	size_t i;

	for (i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		const struct reap_ledger *b = &before->ledger[row[i].payer], *a = &after->ledger[row[i].payer];

		f[row[i].stacks] = share(a->stacks - b->stacks, engine->actors);
		if (engine->setup.measuring)
			f[row[i].paid] = (double)(a->ns - b->ns) / (double)engine->actors;
	}
}

/* Running, in the kernel's run queue, stopped: in percent of the time that was there. */
static void
put_thread_time(double *figure, struct process_time before, struct process_time after, double ns)
{
	figure[0] = 100 * (double)(after.run_ns - before.run_ns) / ns;
	figure[1] = 100 * (double)(after.queued_ns - before.queued_ns) / ns;
	figure[2] = 100 - figure[0] - figure[1];
	if (figure[2] < 0)
		figure[2] = 0;		/* two clocks */
}

static void
put_meters(struct round *round, const struct meter *before, const struct meter *after)
{
	const struct reap_stats *a = &after->stats, *b = &before->stats;
	double exits = (double)engine->actors, wall = (double)(after->wall - before->wall);
	double cpu = (double)(after->cpu - before->cpu), *f = round->figure;
	double body = engine->setup.program->body_us * 1000 / engine->setup.scale;

	f[FIGURE_THROUGHPUT] = exits / wall * 1e9;
	f[FIGURE_CPU] = cpu / exits / 1000;
	f[FIGURE_CPU_BEYOND_BODIES] = (cpu - body) / exits / 1000;
	if (engine->reaper != 0)
		f[FIGURE_REAPER_CPU] = (double)(after->reaper.run_ns - before->reaper.run_ns) / exits / 1000;
	if (engine->reaper != 0)
		put_thread_time(&f[FIGURE_REAPER_RUNNING], before->reaper, after->reaper, wall);
	if (engine->workers.n != 0)
		put_thread_time(&f[FIGURE_WORKERS_RUNNING], before->workers, after->workers, wall * engine->workers.n);
	f[FIGURE_SWITCHES] = (double)(a->switches - b->switches) / exits;
	f[FIGURE_OS_SWITCHES] = (double)(after->os_switches - before->os_switches) / exits;
	f[FIGURE_TO_BASE] = share(a->handed_base - b->handed_base, engine->actors);
	f[FIGURE_BARRIER_WAITS] = share(a->barrier_waits - b->barrier_waits, engine->actors);
	f[FIGURE_RSS] = process_peak_rss_mib();
	put_ledger(f, b, a);
}

/* ---- the engine ---- */

static void
wait_for_conductor(void)
{
	static uint64_t seen;

	pthread_mutex_lock(&engine->lock);
	while (engine->times == seen)
		pthread_cond_wait(&engine->done, &engine->lock);
	seen = engine->times;
	pthread_mutex_unlock(&engine->lock);
}

static void
reset(void)
{
	size_t i, tasks = engine->setup.program->trace->tasks;

	tally_reset(&engine->tallies);
	memset(engine->actor, 0, engine->actors * sizeof(*engine->actor));
	for (i = 0; i < engine->actors; i++)
		engine->actor[i].task = (uint32_t)(i % tasks);
}

#ifdef REPLAY_WAITS
#define REAP_WAITS_ITSELF
#include <waits.h>

static void
forget_waits(void)
{
	reap__waits_reset();
}

static bool
same_wait(const struct wait *a, const struct reap__wait *b, bool reaper)
{
	return a->reaper == reaper && strcmp(a->object, b->object) == 0 && strcmp(a->kind, b->kind) == 0 &&
	    strcmp(a->caller, b->caller) == 0;
}

/* Records of one place may be several: an inline function has one in each source file. */
static void
put_waits(struct waits *waits)
{
	const struct reap__wait *w;
	unsigned i;
	int role;

	for (w = reap__waits_first(); w != NULL; w = w->next)
		for (role = 0; role < REAP__WAITS_ROLES; role++) {
			bool reaper = role == REAP__WAITS_THREAD;

			if (w->count[role] == 0)
				continue;
			for (i = 0; i < waits->n && !same_wait(&waits->wait[i], w, reaper); i++)
				;
			if (i == WAITS_MAX)
				continue;
			if (i == waits->n)
				waits->wait[waits->n++] = (struct wait){ w->kind, w->object, w->caller, reaper, 0, 0 };
			waits->wait[i].count += w->count[role];
			waits->wait[i].ns += w->ns[role];
		}
}
#else
static void
forget_waits(void)
{
}

static void
put_waits(struct waits *waits)
{
	(void)waits;
}
#endif

void
engine_round(struct round *round)
{
	struct meter before, after;
	int i;

	memset(round, 0, sizeof(*round));
	for (i = 0; i < FIGURES; i++)
		round->figure[i] = NAN;
	reset();
	process_reset_peak_rss();
	forget_waits();
	read_meter(&before);
	reap_unpark(&engine->go);
	wait_for_conductor();
	read_meter(&after);
	engine->start = before.wall;
	engine->end = after.wall;
	put_waits(&round->waits);
	round->seconds = (double)(after.wall - before.wall) / 1e9;
	put_meters(round, &before, &after);
	put_tallies(round);
	if (engine->setup.measuring)
		observe_series(&round->series, before.wall, after.wall);
}

static void
set_pace(struct engine *e)
{
	double slice_us = ENGINE_SLICE_RECORDED / e->setup.scale / e->setup.copies;

	if (slice_us > ENGINE_SLICE_REPLAYED)
		slice_us = ENGINE_SLICE_REPLAYED;
	e->loops_per_us = e->setup.loops_per_us / e->setup.scale / e->setup.copies;
	e->slice = slice_us * e->setup.loops_per_us;
	/* some thousand samples in a round, and at most one in 64 exits is taken */
	while (e->sample_mask < 63 && e->actors / (e->sample_mask + 1) > 4096)
		e->sample_mask = 2 * e->sample_mask + 1;
}

static void
start_reaper(struct engine *e)
{
	struct process_threads before, after, fresh;
	int error;

	process_threads(&before);
	error = reap_thread_start(e->domain, (unsigned)e->setup.side->batch);
	if (error != 0)
		engine_fail("reap_thread_start", error);
	process_threads(&after);
	process_new_threads(&before, &after, &fresh);
	e->reaper = fresh.n == 1 ? fresh.id[0] : 0;
}

static void
start_runtime(struct engine *e)
{
	struct reap_host observers = { .after_switch = observe_landing };
	struct reap_domain_options domain = {
		.size = sizeof(domain),
		.stack = { .depot = DEPOT, .decay_ns = UINT64_MAX },
	};
	struct reap_runtime_options options = {
		.size = sizeof(options),
		.workers = e->setup.workers,
		.domain = &domain,
	};
	struct reap_context_options conductor = {
		.size = sizeof(conductor), .entry = conductor_main, .flags = REAP_CONTEXT_DETACHED
	};
	struct process_threads before, after;
	int error;

	if (e->setup.measuring) {
		options.drain_budget = UINT_MAX;	/* the replay drains: see observe.c */
		domain.host = &observers;
		domain.ledger_time = true;
		domain.clock = observe_clock;
	}
	process_threads(&before);
	error = reap_runtime_create(&options, &e->runtime);
	if (error != 0)
		engine_fail("reap_runtime_create", error);
	process_threads(&after);
	process_new_threads(&before, &after, &e->workers);
	e->domain = reap_runtime_domain(e->runtime);
	e->adopter = reap_adopter_default(e->domain);
	if (e->setup.side->batch >= 0)
		start_reaper(e);
	error = reap_runtime_go(e->runtime, &conductor, NULL);
	if (error != 0)
		engine_fail("reap_runtime_go", error);
	wait_for_conductor();
}

/* Room for what is counted and logged. */
static int
make_room(struct engine *e)
{
	bool apart = e->setup.measuring &&
	    (e->setup.side->policy == REAP_POLICY_ADOPTER || e->setup.side->policy == REAP_POLICY_THREAD);
	unsigned i;

	e->actors = e->setup.program->trace->tasks * e->setup.copies;
	e->actor = calloc(e->actors, sizeof(*e->actor));
	if (e->actor == NULL)
		return -1;
	/* the workers and a reaper thread */
	if (tally_init(&e->tallies, e->setup.workers + 1, apart ? e->actors : 0) != 0)
		return -1;
	for (i = 0; e->setup.timeline && i < e->tallies.room; i++) {
		struct event_log *log = &e->tallies.tally[i]->log;

		log->room = e->actors * EVENTS_PER_ACTOR + EVENTS_ROOM;
		log->event = calloc(log->room, sizeof(*log->event));
		if (log->event == NULL)
			return -1;
	}
	return 0;
}

void
engine_start(const struct engine_setup *setup)
{
	struct engine *e = calloc(1, sizeof(*e));

	if (e == NULL)
		engine_fail("calloc", -ENOMEM);
	engine = e;
	e->setup = *setup;
	e->asker = pthread_self();
	if (make_room(e) != 0)
		engine_fail("calloc", -ENOMEM);
	pthread_mutex_init(&e->lock, NULL);
	pthread_cond_init(&e->done, NULL);
	set_pace(e);
	e->spawn = (struct reap_context_options){
		.size = sizeof(e->spawn), .entry = actor_main, .policy = setup->side->policy, .notify = setup->side->notify,
		.off_cpu = setup->measuring ? observe_reap : NULL,
	};
	start_runtime(e);
}

void
engine_timeline(FILE *out)
{
	struct event_log *log = calloc(engine->tallies.room, sizeof(*log));
	const char **who = calloc(engine->tallies.room, sizeof(*who));
	size_t dropped = 0;
	unsigned i, n = tally_count(&engine->tallies);

	if (log == NULL || who == NULL)
		engine_fail("calloc", -ENOMEM);
	for (i = 0; i < n; i++) {
		log[i] = engine->tallies.tally[i]->log;
		who[i] = engine->tallies.tally[i]->reaper ? "reaper thread" : "worker";
		dropped += log[i].dropped;
	}
	if (dropped > 0)
		fprintf(stderr, "replay: %zu events did not fit into the timeline\n", dropped);
	timeline_write(out, engine->setup.program, engine->setup.side->name, log, who, n, engine->start, engine->end);
	free(log);
	free(who);
}

void
engine_stop(void)
{
	int error;

	engine->ending = true;
	reap_unpark(&engine->go);
	wait_for_conductor();
	if (engine->setup.side->batch >= 0 && (error = reap_thread_stop(engine->domain)) != 0)
		engine_fail("reap_thread_stop", error);
	error = reap_runtime_destroy(engine->runtime);
	if (error != 0)
		engine_fail("reap_runtime_destroy", error);
}
