/* SPDX-License-Identifier: ISC */
#include "plan.h"

#include <stdlib.h>

#include "burn.h"
#include "machine.h"

#define COPIES_MANY		1000u
#define WORKERS_DEFAULT_MAX	4u

/* A default run spends so much on replaying, seconds, and is cut short at the deadline. */
#define EFFORT			0.81	/* of the deadline */
#define DEADLINE		108.0
#define EFFORT_QUICK		0.57
#define DEADLINE_QUICK		14.0
#define BODIES_MAX		1.0	/* seconds of bodies in a round */
#define BODIES_MIN		0.01

/* With many copies, so many contexts a round; small trees are allowed more, so that they come to COPIES_MANY. */
#define CONTEXTS		60000u
#define CONTEXTS_SMALL		250000u
#define CONTEXTS_QUICK		15000u

/* What a life costs besides its body, roughly, seconds: only used to divide the time. */
#define LIFE			1.2e-6
#define LIFE_WITH_REAPER	2.5e-6

#define WITH_REAPER		(1u << SIDE_PLAIN | 1u << SIDE_BATCHING)
#define FEW_SIDES		(1u << SIDE_ADAPTIVE | WITH_REAPER)
#define LOADED_SIDES		(FEW_SIDES | 1u << SIDE_PARENT | 1u << SIDE_ADOPTER)

static unsigned
measuring_rounds(unsigned rounds)
{
	return rounds < PLAN_MEASURING ? rounds : PLAN_MEASURING;
}

/* Each kind of round is warmed up by one more. */
static unsigned
all_rounds(unsigned rounds)
{
	return rounds + measuring_rounds(rounds) + 2;
}

/* As many copies as asked for, or as fit into a default run. */
static unsigned
fitting_copies(const struct options *o, size_t tasks)
{
	size_t most = o->quick ? CONTEXTS_QUICK : tasks * COPIES_MANY <= CONTEXTS_SMALL ? CONTEXTS_SMALL : CONTEXTS;

	if (tasks * COPIES_MANY <= most)
		return COPIES_MANY;
	return most / tasks < 2 ? 1 : (unsigned)(most / tasks);
}

static void
add(struct plan *plan, const struct program *program, unsigned copies, unsigned asked, unsigned workers, unsigned sides)
{
	if (sides == 0)
		return;
	plan->group[plan->groups++] = (struct group){
		.program = program, .copies = copies, .copies_asked = asked, .workers = workers, .sides = sides,
		.rounds = plan->rounds,
	};
	if (workers > plan->workers)
		plan->workers = workers;
}

/* Neither copies nor workers are given: one tree at a time; the same on one worker; as many trees as the time allows. */
static void
add_default(struct plan *plan, const struct options *o, const struct program *program)
{
	unsigned all = machine_processors(), workers = all < WORKERS_DEFAULT_MAX ? all : WORKERS_DEFAULT_MAX;
	unsigned many = fitting_copies(o, program->trace->tasks);

	add(plan, program, 1, 1, workers, o->sides);
	if (workers > 1 && !o->quick)
		add(plan, program, 1, 1, 1, o->sides_given ? o->sides : FEW_SIDES);
	if (many > 1)
		add(plan, program, many, COPIES_MANY, workers,
		    o->sides_given ? o->sides : o->quick ? FEW_SIDES : LOADED_SIDES);
}

/* All that is given with all that is given; the default of the other. */
static void
add_given(struct plan *plan, const struct options *o, const struct program *program)
{
	unsigned many = fitting_copies(o, program->trace->tasks), all = machine_processors(), c, w;
	const unsigned copies_default[] = { 1, many }, asked_default[] = { 1, COPIES_MANY };
	const unsigned *copies = o->ncopies != 0 ? o->copies : copies_default;
	const unsigned *asked = o->ncopies != 0 ? o->copies : asked_default;
	const unsigned *workers = o->nworkers != 0 ? o->workers : &all;
	unsigned ncopies = o->ncopies != 0 ? o->ncopies : many > 1 ? 2 : 1, nworkers = o->nworkers != 0 ? o->nworkers : 1;

	all = all < WORKERS_DEFAULT_MAX ? all : WORKERS_DEFAULT_MAX;
	for (c = 0; c < ncopies; c++)
		for (w = 0; w < nworkers; w++)
			add(plan, program, copies[c], asked[c], workers[w], o->sides);
}

/* Seconds that a group takes besides its bodies, and how many rounds it plays. */
static double
lives(const struct group *g, unsigned *rounds)
{
	double contexts = (double)g->program->trace->tasks * g->copies, seconds = 0;
	int i;

	*rounds = 0;
	for (i = 0; i < SIDES; i++) {
		if ((g->sides & 1u << i) == 0)
			continue;
		*rounds += all_rounds(g->rounds);
		seconds += all_rounds(g->rounds) * contexts * ((1u << i & WITH_REAPER) != 0 ? LIFE_WITH_REAPER : LIFE);
	}
	return seconds;
}

/* Seconds of a default run. */
static double
time_allowed(const struct options *o)
{
	return o->seconds != 0 ? o->seconds : o->quick ? DEADLINE_QUICK : DEADLINE;
}

/* Divide the time among the bodies: the same for all rounds, a second at most. */
static void
set_scales(struct plan *plan, const struct options *o)
{
	double left = time_allowed(o) * (o->quick ? EFFORT_QUICK : EFFORT), bodies;
	unsigned rounds = 0, n;
	size_t i;

	for (i = 0; i < plan->groups; i++) {
		left -= lives(&plan->group[i], &n);
		rounds += n;
	}
	bodies = rounds == 0 ? BODIES_MAX : left / rounds;
	bodies = bodies > BODIES_MAX ? BODIES_MAX : bodies < BODIES_MIN ? BODIES_MIN : bodies;
	for (i = 0; i < plan->groups; i++) {
		struct group *g = &plan->group[i];
		double recorded = g->program->body_us / 1e6;

		g->scale = o->scale != 0 ? o->scale : recorded > bodies ? recorded / bodies : 1;
		g->estimate = lives(g, &n);
		g->estimate += n * recorded / g->scale;
	}
}

int
plan_make(struct plan *plan, const struct options *o, const struct program *program, size_t programs)
{
	bool chosen = o->ncopies != 0 || o->nworkers != 0 || o->scale != 0 || o->rounds != 0;
	size_t i;

	*plan = (struct plan){
		.program = program, .programs = programs, .pages = o->pages, .more = o->more,
		.rounds = o->rounds != 0 ? o->rounds : o->quick ? 3 : 5,
		.deadline = chosen ? 0 : time_allowed(o),
		.loops_per_us = burn_loops_per_us(), .clock_cost = burn_clock_cost(),
	};
	plan->group = calloc(programs * OPTIONS_LIST_MAX * OPTIONS_LIST_MAX, sizeof(*plan->group));
	if (plan->group == NULL)
		return -1;
	for (i = 0; i < programs; i++)
		(o->ncopies == 0 && o->nworkers == 0 ? add_default : add_given)(plan, o, &program[i]);
	for (i = 0; i < plan->groups; i++) {
		plan->group[i].column = calloc(SIDES, sizeof(struct column));
		if (plan->group[i].column == NULL) {
			plan_free(plan);
			return -1;
		}
	}
	set_scales(plan, o);
	return 0;
}

void
plan_free(struct plan *plan)
{
	size_t i;

	for (i = 0; i < plan->groups; i++)
		free(plan->group[i].column);
	free(plan->group);
	plan->group = NULL;
	plan->groups = 0;
}

size_t
column_rounds(const struct column *column, enum figure figure)
{
	return figure_info[figure].measured ? column->measured : column->timed;
}

struct spread
column_spread(const struct column *column, enum figure figure)
{
	return spread_of(column->value[figure], column_rounds(column, figure));
}

struct spread
group_ratio(const struct group *group, enum side_name a, enum side_name b, enum figure figure)
{
	const struct column *x = &group->column[a], *y = &group->column[b];
	size_t n = column_rounds(x, figure), m = column_rounds(y, figure);

	return spread_ratio(x->value[figure], y->value[figure], n < m ? n : m);
}

enum side_name
plan_champion(const struct group *group)
{
	int i;

	for (i = 0; i < SIDES; i++)
		if ((group->sides & 1u << i) != 0 && side[i].batch < 0)
			return (enum side_name)i;
	return SIDES;
}
