/* SPDX-License-Identifier: ISC */
/*
 * tally.h: what one OS thread has counted and timed during a round.  Nothing in it is written by two threads.
 */
#ifndef REPLAY_TALLY_H
#define REPLAY_TALLY_H

#include <stdbool.h>
#include <stdint.h>

#include "hist.h"
#include "timeline.h"

struct actor;

/* What became of a child, against its recorded mode. */
enum outcome {
	OUTCOME_WAITED,		/* the parent was waiting when it ended */
	OUTCOME_LATE,		/* it had ended when the parent waited */
	OUTCOME_POLLED,		/* a no-hang call got it, at its place in the parent's program */
	OUTCOME_POLLED_LATER,	/* a later one */
	OUTCOME_AT_END,		/* none did: the parent waited at its end */
	OUTCOME_ADOPTED,	/* it was detached */
	OUTCOME_ORPHAN,		/* its parent ended first */
	OUTCOME_UNREAPED,	/* it was a zombie until its parent ended */
	OUTCOMES
};

enum mode { MODE_B, MODE_L, MODE_N, MODE_A, MODE_O, MODE_U, MODES };

extern const char mode_letters[MODES + 1];

enum mode	tally_mode(char letter);

/* One sample. */
struct gauge {
	uint64_t ns;
	uint64_t zombies, bytes, backlog;
};

#define GAUGES	8192u

struct tally {
	uint64_t waits, waited_first;
	uint64_t outcome[MODES][OUTCOMES];
	/* The rest is of measuring rounds only.  These are read by others while the round runs. */
	uint64_t exited;
	uint64_t stacks;		/* given up, as far as this thread saw it */
	uint64_t reaped;		/* descriptors given up */
	/* These when it is over. */
	uint64_t peak_zombies, peak_bytes, peak_backlog;
	/* These too; only where stacks go another way than their contexts. */
	struct actor **landing;		/* whose landings were here, in order */
	size_t	 landings;
	struct departure *departure;	/* which stacks were given up here, in order */
	size_t	 departures;
	uint64_t departed;		/* their number; with release, the end of the round depends on it */
	unsigned undrained;		/* goes and pauses since the last drain */
	struct hist to_parent;		/* exit to the parent's return, where it waited already */
	struct hist to_collected;	/* the same for every child that its parent collected */
	struct hist to_free;		/* exit until its stack is given up */
	struct hist to_landing;		/* of those in to_parent: exit until it is off the CPU */
	struct hist landed;		/* ... and from there to the parent's return */
	struct gauge gauge[GAUGES];	/* what was sampled here, in order; a full log takes no more */
	unsigned gauges;
	struct event_log log;		/* of a timeline; no room: none is made */
	bool	 reaper;		/* the reaper thread's */
};

/* So many stacks were given up at this time; whose they were is not seen. */
struct departure {
	uint64_t ns;
	uint64_t stacks;
};

struct tallies {
	struct tally **tally;
	unsigned room;
	unsigned used;			/* any thread, by addition */
};

/* Room for `threads' OS threads.  logged: entries of landing[] and departure[].  0, or -1: out of memory. */
int	tally_init(struct tallies *tallies, unsigned threads, size_t logged);

/* The calling OS thread's.  Never keep it across a switch. */
struct tally	*tally_mine(struct tallies *tallies);

/* Before a round, and while nothing runs. */
void	tally_reset(struct tallies *tallies);

/* How many of tally[] are in use.  They are all there from the start: reading one whose thread has just come is harmless. */
unsigned	tally_count(const struct tallies *tallies);

/* A counter with one writer and many readers, who want no more than its value: relaxed. */
#define TALLY_ADD(counter, n)	__atomic_store_n((counter), *(counter) + (n), __ATOMIC_RELAXED)
#define TALLY_READ(counter)	__atomic_load_n((counter), __ATOMIC_RELAXED)

#endif
