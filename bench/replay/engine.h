/* SPDX-License-Identifier: ISC */
/*
 * engine.h: one cell of the benchmark: one program, on one side, replayed round by round in a runtime of its own.
 */
#ifndef REPLAY_ENGINE_H
#define REPLAY_ENGINE_H

#include <stdio.h>

#include "figure.h"
#include "hist.h"
#include "program.h"
#include "side.h"
#include "tally.h"

struct engine_setup {
	const struct program *program;
	const struct side *side;
	unsigned copies;		/* trees at once */
	unsigned workers;
	unsigned pages;			/* of stack that each context touches */
	double	 loops_per_us;		/* loops of burn() in a microsecond */
	double	 scale;			/* a recorded microsecond is replayed in 1/scale, and in 1/copies of that */
	bool	 timeline;		/* log every event of a measuring round */
	bool	 measuring;		/* watch every landing and reap, and keep the ledger's time: not to be timed */
};

/* Whole distributions of a round: the report's percentile curves. */
enum latency { LATENCY_PARENT, LATENCY_COLLECTED, LATENCY_FREE, LATENCY_LANDING, LATENCY_LANDED, LATENCIES };

/* A round's time in equal parts, and the most that was seen in each.  NAN: nothing was. */
#define SERIES	200
struct series {
	double	 zombies[SERIES], bytes[SERIES], backlog[SERIES];
};

/* What the library's measuring build has seen (lib/waits.h); empty in every other build.  The names are constants of this
 * program, which a cell shares with the one that asks it. */
#define WAITS_MAX	96u
struct waits {
	unsigned n;
	struct wait {
		const char *kind, *object, *caller;
		bool	 reaper;	/* on the reaper thread; else on a worker */
		uint64_t count, ns;
	} wait[WAITS_MAX];
};

struct round {
	double	 figure[FIGURES];	/* NAN: not seen */
	uint64_t outcome[MODES][OUTCOMES];
	double	 seconds;		/* how long the round took */
	struct hist latency[LATENCIES];
	struct series series;		/* measuring rounds only */
	struct waits waits;
};

/*
 * Start a runtime that is ready for rounds; play one; end it.  One per process, as the hooks of a runtime carry no argument.
 * What fails says why on standard error and ends the process with status 3.
 */
void	engine_start(const struct engine_setup *setup);
void	engine_round(struct round *round);
void	engine_stop(void);
/* Write what the last round logged. */
void	engine_timeline(FILE *out);

/* A context lets others run after so much recorded time, us, so that scale and copies do not change who waits for whom: a
 * few slices of a kernel's scheduler.  Never more than the second, in replayed time. */
#define ENGINE_SLICE_RECORDED	20000.0
#define ENGINE_SLICE_REPLAYED	50.0

/* Bytes of a thin zombie: its descriptor. */
#define ENGINE_THIN_BYTES	128u

#endif
