/* SPDX-License-Identifier: ISC */
/*
 * explore.h: what a scenario is, and what it may ask of the explorer.
 */
#ifndef EXPLORE_H
#define EXPLORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define EXPLORE_THREADS	3
#define EXPLORE_TICK	50000	/* nanoseconds between two readings of the clock: who searches for 20 us looks once */

struct explore_scenario {
	const char	*name;
	unsigned	 threads;
	unsigned	 variants;			/* run once for each, see explore_variant */
	unsigned	 bound;				/* pre-emptions; 0: random schedules alone, they are too many to count */
	unsigned	 long_bound;			/* with --long */
	void	       (*setup)(void);			/* alone, before the threads */
	void	       (*thread[EXPLORE_THREADS])(void);
	void	       (*finish)(void);			/* alone, after them */
};

struct explore_scenarios {
	const struct explore_scenario *first;
	unsigned	 n;
};

extern const struct explore_scenarios explore_words, explore_family, explore_names, explore_private, explore_adopter,
    explore_runtime;
extern unsigned	explore_variant;

/* The schedule is wrong: says why, and ends it. */
__attribute__((noreturn)) void	explore_fail(const char *why);
#define EXPLORE_CHECK(x)	do { if (!(x)) explore_fail(#x); } while (0)

/* A plain access to a byte that stands for all that its owner has written there. */
void	explore_touch(const void *);
void	explore_yield(void);

/*
 * A scheduler without errors: a queue that each worker takes from what is anybody's, or its own.  What comes before ready()
 * happens before what follows next(), and what comes before wake() before what follows idle(); that is all the order it gives.
 */
void	explore_is(const void *worker);			/* the calling thread */
void	explore_ready(void *what, const void *worker);	/* NULL: for whoever comes */
void   *explore_next(void);
void	explore_idle(bool serving);	/* until somebody has been readied, or woken; serving: or all is over */
void	explore_wake(const void *worker);

/* So many contexts more are to reach their final switch; when the last one has, all is over. */
void	explore_left(int more);
bool	explore_over(void);

/* The body of the thread that the library starts, here: returns when it has begun and ended. */
void	explore_started(void);

/* Nobody sleeps too long: whoever sleeps for a certain time wakes up, unless he is woken before; until then time stands still. */
void	explore_time(void);

/* One thread after the other, and no order between them: stages count up; await() blocks until the nth has come. */
void	explore_stage(unsigned n);
void	explore_await(unsigned n);

/* From one thread to another, as by a queue: receive() blocks. */
void	explore_send(void *what);
void   *explore_receive(void);

#ifdef __cplusplus
}
#endif

#endif
