/* SPDX-License-Identifier: ISC */
/*
 * schedule.h: what the parts of the harness are to each other.
 *
 *	engine.c	threads that are coroutines of one OS thread; which of them goes on, again and again, until all ways of
 *			choosing have been tried; memory that faults as soon as it is freed
 *	shim.h		comes before everything else in the library's sources: shared words, locks and memory are the engine's
 *	inside.c	what the harness knows of the library's own structures
 *	scenarios.c	short lives, and what must be true of them
 *
 * A decision is a place where more than one thread could go on.  Number 0 of the choices there is the default: the same thread as
 * long as it can, else the next one in turn.  A schedule is what was chosen, written as
 *
 *	SCENARIO:VARIANT:GAP.CHOICE.GAP.CHOICE...
 *
 * GAP decisions by default, then CHOICE; after the last one all by default.
 */
#ifndef SCHEDULE_H
#define SCHEDULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SCHEDULE_THREADS	4

struct schedule_scenario {
	const char	*name;
	unsigned	 variants;		/* a bit for each that it is run with, see scenarios.c */
	unsigned	 bound;			/* pre-emptions up to which all schedules are tried */
	unsigned	 long_bound;		/* with --long */
	void	       (*setup)(void);		/* alone, before the threads; nothing is chosen there */
	void	       (*thread[SCHEDULE_THREADS])(void);
	void	       (*finish)(void);		/* alone, after them */
	const char	*what;
};

extern const struct schedule_scenario schedule_scenarios[];
extern const unsigned schedule_nscenarios;
extern unsigned	schedule_variant;

/* This schedule is wrong: says why, how to run it again, and ends the process. */
_Noreturn void	schedule_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
#define SCHEDULE_CHECK(x)								\
	do {										\
		if (!(x))								\
			schedule_fail("%s, %s:%d", #x, __func__, __LINE__);		\
	} while (0)

/* The place of a step in the sources, for the trace. */
struct schedule_site {
	const char	*what, *expr, *file, *function;
	int		 line;
};

/*
 * A step on a shared word: before, then the step itself, then after, with what the word held and what it holds.  Both ends are
 * places where another thread may go on.
 */
void	schedule_before(const struct schedule_site *, const void *word);
void	schedule_after(const struct schedule_site *, const void *word, uint64_t was, uint64_t is);

/* A step without a word, but before which others may do what matters: the machine switch. */
void	schedule_point(const char *what);

/* Not before the others have changed something; if they cannot, nothing will ever end this. */
void	schedule_yield(void);

/* Not before ready(arg), which others change; it is asked whenever there is something to be chosen. */
void	schedule_block(bool (*ready)(void *arg), void *arg, const char *on);

/* From +1 to -1 the thread is not pre-empted: what it does there is tried elsewhere. */
void	schedule_quiet(int n);

unsigned schedule_me(void);			/* the running thread's place in the scenario */
void   **schedule_self(void);			/* its word that stands for worker.c's thread-local one */
void	schedule_stack(const void **lo, size_t *size);
bool	schedule_running(void);			/* neither setup nor finish */

/* Mutexes and conditions are words of whatever type; an OS thread more. */
void	schedule_lock(const struct schedule_site *, void *mutex);
void	schedule_unlock(void *mutex);
void	schedule_cond_wait(void *cond, void *mutex);
void	schedule_cond_signal(void *cond);
int	schedule_thread_create(unsigned long *thread, void *(*fn)(void *), void *arg);
void	schedule_thread_join(unsigned long thread);

/* For the trace and the reasons: what lies there. */
void	schedule_name(const void *lo, size_t size, const char *name);
void	schedule_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Memory of this schedule; addresses are never used twice, what has been unmapped or freed faults. */
void   *schedule_map(size_t size, size_t align, const char *name);	/* align 1: one stack, and its record above it */
void	schedule_unmap(void *base, size_t size);
void	schedule_bar(const void *lo, size_t size);	/* faults until it is unbarred or unmapped */
void	schedule_unbar(const void *lo, size_t size);
void   *schedule_alloc(size_t size, bool zero, const char *name);
void	schedule_free(void *);

/* inside.c: called by the library's sources and by the engine */
void	schedule_inside_begin(void);
void	schedule_inside_end(void);
void	schedule_inside_access(const struct schedule_site *, const void *word, bool wrote);
void	schedule_inside_gone(const void *lo, size_t size);
const char *schedule_inside_value(const void *word, uint64_t value, char *text, size_t room);
extern int schedule_mutant;			/* 0: none; else its place in mutants.py, from 1 */

#endif
