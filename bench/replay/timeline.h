/* SPDX-License-Identifier: ISC */
/*
 * timeline.h: what one replay did when, as Chrome trace JSON: chrome://tracing and ui.perfetto.dev show it.
 *
 *	a track per OS thread	which context ran there
 *	a span per context	keyed by the context and not by a thread, since contexts migrate: its life, from spawn to reap;
 *				exiting, until the landing; zombie, from there on
 */
#ifndef REPLAY_TIMELINE_H
#define REPLAY_TIMELINE_H

#include <stdint.h>
#include <stdio.h>

#include "program.h"

enum event_kind { EVENT_RUNS, EVENT_SPAWNED, EVENT_EXITS, EVENT_LANDED, EVENT_REAPED, EVENT_STACK_FREED, EVENTS };

/* No task: the base context of a worker, or the conductor. */
#define EVENT_NOBODY	UINT32_MAX

struct event {
	uint64_t ns;
	uint32_t task;
	uint32_t kind;
};

/* What one OS thread has logged, in order of time. */
struct event_log {
	struct event *event;
	size_t	 events, room;		/* what does not fit is dropped, and counted */
	size_t	 dropped;
};

void	timeline_log(struct event_log *log, enum event_kind kind, uint32_t task);
/* log[i] is of the thread called who[i]; `side' names the process. */
void	timeline_write(FILE *out, const struct program *program, const char *side, const struct event_log *log,
	    const char *const *who, size_t logs, uint64_t start, uint64_t end);

#endif
