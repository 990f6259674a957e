/* SPDX-License-Identifier: ISC */
#include "timeline.h"

#include <inttypes.h>

#include "burn.h"
#include "json.h"

void
timeline_log(struct event_log *log, enum event_kind kind, uint32_t task)
{
	if (log->events == log->room) {
		log->dropped++;
		return;
	}
	log->event[log->events++] = (struct event){ now_ns(), task, kind };
}

static void
begin(struct json *j, const char *phase, const char *name, double us, double pid, double tid)
{
	json_open(j, NULL, '{');
	json_string(j, "ph", phase);
	json_string(j, "name", name);
	json_number(j, "ts", us);
	json_number(j, "pid", pid);
	json_number(j, "tid", tid);
}

/* The name of a thread, or of the process (tid 0). */
static void
name(struct json *j, const char *what, const char *words, double tid)
{
	begin(j, "M", what, 0, 1, tid);
	json_open(j, "args", '{');
	json_string(j, "name", words);
	json_close(j, '}');
	json_close(j, '}');
}

/* One edge of a span that belongs to a context. */
static void
edge(struct json *j, const char *phase, const char *what, uint32_t task, double us, double tid)
{
	char id[24];

	begin(j, phase, what, us, 1, tid);
	json_string(j, "cat", "context");
	snprintf(id, sizeof(id), "0x%" PRIx32, task + 1);
	json_string(j, "id", id);
	json_close(j, '}');
}

static const char *
title(uint32_t task, char text[32])
{
	snprintf(text, 32, "task %" PRIu32, task + 1);
	return text;
}

static void
thread(struct json *j, const struct event_log *log, double tid, uint64_t start, uint64_t end)
{
	uint32_t runs = EVENT_NOBODY;
	uint64_t since = start;
	char text[32];
	size_t i;

	for (i = 0; i <= log->events; i++) {
		const struct event *e = i < log->events ? &log->event[i] : &(struct event){ end, EVENT_NOBODY, EVENT_RUNS };
		double us = e->ns > start ? (double)(e->ns - start) / 1000 : 0;

		switch ((enum event_kind)e->kind) {
		case EVENT_RUNS:
			if (runs != EVENT_NOBODY) {
				begin(j, "X", title(runs, text), (double)(since - start) / 1000, 1, tid);
				json_number(j, "dur", us - (double)(since - start) / 1000);
				json_close(j, '}');
			}
			runs = e->task;
			since = e->ns > start ? e->ns : start;
			break;
		case EVENT_SPAWNED:
			edge(j, "b", title(e->task, text), e->task, us, tid);
			break;
		case EVENT_EXITS:
			edge(j, "b", "exiting", e->task, us, tid);
			break;
		case EVENT_LANDED:
			edge(j, "e", "exiting", e->task, us, tid);
			edge(j, "b", "zombie", e->task, us, tid);
			break;
		case EVENT_REAPED:
			edge(j, "e", "zombie", e->task, us, tid);
			edge(j, "e", title(e->task, text), e->task, us, tid);
			break;
		case EVENT_STACK_FREED:
			begin(j, "i", "a stack is given up", us, 1, tid);
			json_string(j, "s", "t");
			json_close(j, '}');
			break;
		case EVENTS:
			break;
		}
	}
}

void
timeline_write(FILE *out, const struct program *program, const char *side, const struct event_log *log, const char *const *who,
    size_t logs, uint64_t start, uint64_t end)
{
	char words[128];
	struct json j;
	size_t i;

	json_begin(&j, out);
	json_open(&j, NULL, '{');
	json_string(&j, "displayTimeUnit", "ns");
	json_open(&j, "traceEvents", '[');
	snprintf(words, sizeof(words), "%.60s, %s", program->trace->name, side);
	name(&j, "process_name", words, 0);
	for (i = 0; i < logs; i++) {
		name(&j, "thread_name", who[i], (double)i + 1);
		thread(&j, &log[i], (double)i + 1, start, end);
	}
	json_close(&j, ']');
	json_close(&j, '}');
	putc('\n', out);
}
