/* SPDX-License-Identifier: ISC */
/*
 * actor.h: a context that plays a task, and what all actors of an engine share.
 */
#ifndef REPLAY_ACTOR_H
#define REPLAY_ACTOR_H

#include <pthread.h>
#include <reap.h>
#include <reap/runtime.h>

#include "engine.h"
#include "process.h"

struct actor {
	struct reap_context *context;	/* its parent, which alone asks for it */
	uint64_t exit_ns;		/* itself, just before reap_exit() */
	struct actor *next_late;	/* its parent: polled children that were alive still */
	uint32_t task;			/* constant during a round, from 0 */
	bool	 polled_late;		/* its parent: it went onto the list of late ones */
	/* measuring rounds only */
	bool	 awaited;		/* its parent, when it waits; the landing glances at it */
	bool	 recycled;		/* the landing: its stack went into the worker's cache, as far as can be seen there */
	bool	 whole;			/* the reap: it was collected with its stack */
	uint64_t land_ns;		/* its successor, in the landing */
};

struct engine {
	struct engine_setup setup;
	double	 slice;			/* loops between two pauses */
	double	 loops_per_us;		/* loops per recorded us, for this scale and number of copies */
	uint64_t sample_mask;		/* gauges are sampled at every (mask + 1)th exit of a worker */
	struct reap_context_options spawn;
	struct actor *actor;		/* copies times tasks, one tree after the other */
	size_t	 actors;
	struct tallies tallies;
	struct reap_runtime *runtime;
	struct reap_domain *domain;
	struct reap_adopter *adopter;
	long	 reaper;		/* thread id of the reaper thread; 0: none, or not found */
	struct process_threads workers;	/* the runtime's threads */
	pthread_t asker;		/* the thread that asks for rounds */
	struct reap_parking go;		/* the conductor sleeps here between rounds */
	bool	 ending;		/* the one who asks, before it unparks the conductor: there is no other round */
	/* ... and says here, under the lock, how often it was done: at its start, after every round, and at its end */
	pthread_mutex_t lock;
	pthread_cond_t done;
	uint64_t times;
	uint64_t start, end;		/* of the last round */
};

/* The only one of this process. */
extern struct engine *engine;

/* actor.c */
intptr_t	 actor_main(void *arg);
/* Make the actor a child of the running context and let it run. */
void		 actor_spawn(struct actor *actor);

/* observe.c: what an actor cannot see itself; measuring rounds only */
void		 observe_landing(struct reap_worker *worker, struct reap_context *prev, bool dead);
void		 observe_reap(struct reap_context *context, intptr_t status);
void		 observe_exit(const struct actor *actor);
void		 observe_drain(void);
void		 observe_spawn(const struct actor *actor);
/* A parent that waited has it back. */
void		 observe_collected(struct tally *tally, const struct actor *child, uint64_t now);
/* What was sampled during the round. */
void		 observe_series(struct series *series, uint64_t start, uint64_t end);
void		 observe_step(void);
uint64_t	 observe_clock(void *arg);
/* Have all departures been noted?  Asked when all contexts are reaped. */
bool		 observe_complete(void);
/* Pair the landings with the departures. */
void		 observe_pair(struct hist *to_free);

/* engine.c: end the process: the library gave an answer that it must not give here. */
_Noreturn void	 engine_fail(const char *call, int error);

#endif
