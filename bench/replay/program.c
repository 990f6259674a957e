/* SPDX-License-Identifier: ISC */
#include "program.h"

#include <stdlib.h>
#include <string.h>

/* Something that a task did, besides running. */
struct event {
	int64_t	 time;
	int64_t	 until;		/* the task goes on then: later than `time' for a blocking wait */
	uint32_t task;		/* who did it */
	enum step_kind kind;	/* a child's SPAWN sorts before its WAIT */
	uint32_t child;
};

static int64_t
end_of(const struct trace *trace, const struct task *t)
{
	return t->exit != TRACE_NOT_SEEN ? t->exit : trace->end;
}

static enum fate
fate_of(const struct task *t)
{
	if (strchr("BLNR", t->mode) != NULL)
		return FATE_WAITED;
	return t->mode == 'A' || t->kind == 'T' ? FATE_DETACHED : FATE_LEFT;
}

static int64_t
clamp(int64_t t, int64_t lo, int64_t hi)
{
	return t > hi ? hi : t < lo ? lo : t;
}

/* The events that a task contributes to its parent's program.  What the recording shows after the parent's exit (the waiter
 * was another thread of the process) happens at the parent's end. */
static size_t
events_of(const struct trace *trace, uint32_t child, struct event *e)
{
	const struct task *t = &trace->task[child], *p = &trace->task[t->parent - 1];
	int64_t end = end_of(trace, p), spawn = clamp(t->spawn, p->spawn, end), wait;

	e[0] = (struct event){ .time = spawn, .until = spawn, .task = t->parent - 1, .kind = STEP_SPAWN, .child = child };
	if (fate_of(t) != FATE_WAITED)
		return 1;
	wait = clamp(t->wait != TRACE_NOT_SEEN ? t->wait : t->reap, spawn, end);
	e[1] = (struct event){ .time = wait, .until = wait, .task = t->parent - 1, .kind = STEP_WAIT, .child = child };
	if (t->mode == 'N')
		e[1].kind = STEP_POLL;
	else if (t->reap > wait)
		e[1].until = t->reap;
	return 2;
}

static int
by_task_and_time(const void *a, const void *b)
{
	const struct event *x = a, *y = b;

	if (x->task != y->task)
		return x->task < y->task ? -1 : 1;
	if (x->time != y->time)
		return x->time < y->time ? -1 : 1;
	if (x->kind != y->kind)
		return x->kind < y->kind ? -1 : 1;
	return (x->child > y->child) - (x->child < y->child);
}

struct writer {
	struct program *program;
	size_t	 steps;
};

static void
write_step(struct writer *w, enum step_kind kind, uint64_t arg)
{
	w->program->step[w->steps++] = (struct step){ .kind = kind, .arg = arg & (UINT64_MAX >> 3) };
}

static void
write_run(struct writer *w, int64_t us)
{
	if (us <= 0)
		return;
	w->program->body_us += (double)us;
	write_step(w, STEP_RUN, (uint64_t)us);
}

static void
write_program(struct writer *w, uint32_t task, const struct event *e, const struct event *end)
{
	const struct trace *trace = w->program->trace;
	int64_t now = trace->task[task].spawn;

	w->program->first[task] = (uint32_t)w->steps;
	for (; e < end; e++) {
		write_run(w, e->time - now);
		write_step(w, e->kind, e->child);
		if (e->until > now)
			now = e->until;
	}
	write_run(w, end_of(trace, &trace->task[task]) - now);
	write_step(w, STEP_END, 0);
}

struct edge {
	int64_t	 time;
	int	 change;
};

static int
by_time(const void *a, const void *b)
{
	const struct edge *x = a, *y = b;

	if (x->time != y->time)
		return x->time < y->time ? -1 : 1;
	return x->change - y->change;
}

static int
count_live(struct program *program)
{
	const struct trace *trace = program->trace;
	struct edge *edge = calloc(trace->tasks * 2, sizeof(*edge));
	size_t i, live = 0;

	if (edge == NULL)
		return -1;
	for (i = 0; i < trace->tasks; i++) {
		edge[2 * i] = (struct edge){ trace->task[i].spawn, 1 };
		edge[2 * i + 1] = (struct edge){ end_of(trace, &trace->task[i]) + 1, -1 };
	}
	qsort(edge, trace->tasks * 2, sizeof(*edge), by_time);
	for (i = 0; i < trace->tasks * 2; i++) {
		live = edge[i].change > 0 ? live + 1 : live - 1;
		if (live > program->live_max)
			program->live_max = live;
	}
	free(edge);
	return 0;
}

static void
write_all(struct program *program, const struct event *e, size_t events)
{
	struct writer w = { .program = program };
	const struct event *end = e + events, *next;
	uint32_t i;

	for (i = 0; i < program->trace->tasks; i++, e = next) {
		for (next = e; next < end && next->task == i; next++)
			;
		program->fate[i] = (unsigned char)fate_of(&program->trace->task[i]);
		write_program(&w, i, e, next);
	}
}

int
program_compile(const struct trace *trace, struct program *program)
{
	struct event *event = calloc(trace->tasks * 2, sizeof(*event));
	size_t events = 0;
	uint32_t i;

	*program = (struct program){ .trace = trace };
	program->first = calloc(trace->tasks, sizeof(*program->first));
	program->fate = calloc(trace->tasks, sizeof(*program->fate));
	/* at most: a run before each event, and a run and an END for each task */
	program->step = calloc(trace->tasks * 6, sizeof(*program->step));
	if (event == NULL || program->first == NULL || program->fate == NULL || program->step == NULL ||
	    count_live(program) != 0) {
		free(event);
		program_free(program);
		return -1;
	}
	for (i = 1; i < trace->tasks; i++)
		events += events_of(trace, i, &event[events]);
	qsort(event, events, sizeof(*event), by_task_and_time);
	write_all(program, event, events);
	free(event);
	return 0;
}

void
program_free(struct program *program)
{
	free(program->step);
	free(program->first);
	free(program->fate);
	*program = (struct program){ .trace = program->trace };
}
