/* SPDX-License-Identifier: ISC */
/*
 * inside.h: what the parts of the machine are to each other.
 *
 *	machine.c	the body of every context: the next operation, done with the library
 *	callbacks.c	what the library calls meanwhile
 *	compare.c	all that can be seen, against the model
 *	say.c		operations in words, and what went wrong
 */
#ifndef REAP_TESTS_FUZZ_INSIDE_H
#define REAP_TESTS_FUZZ_INSIDE_H

#include <reap.h>

#include "machine.h"
#include "model.h"

#define STACK_SIZE	((size_t)64 * 1024)	/* bytes; the sanitizers' frames are large */
#define TRACE_MAX	((int)FUZZ_OPS_MAX + 64 * CTX_MAX + 2)

extern struct machine {
	const struct program *program;
	struct reap_domain *domain;
	struct reap_context *context[CTX_MAX];
	struct reap_handle handle[CTX_MAX];
	const char *frame[CTX_MAX];		/* on its stack, once it has run */
	struct reap_exit_listener listener[CTX_MAX][LISTENERS];
	struct reap_worker *worker[THREADS];
	struct reap_adopter *adopter[ADOPTERS];
	struct reap_group *group[GROUPS];
	struct reap_context *head;		/* the host's queue, by reap_context_link() */
	char	*buffer[BUFFERS];		/* NULL: in use */
	unsigned foreign;			/* stacks out of our allocator */
	int	 seen;				/* events of this step that have come */
	bool	 matched[EVENTS_MAX];		/* the same, when they come in any order */
	struct {
		struct plan plan;
		int	 ret;
	} trace[TRACE_MAX];
	int	 ntrace;
} m;

/* machine.c */
extern int	baton;				/* the thread that runs; under a lock */
extern char	buffers[BUFFERS][STACK_SIZE];
void	baton_give(int to);			/* returns when the calling thread has it back */
void	one_operation(int me, bool idle);
int	create_off_cpu(void);

/* callbacks.c */
extern const struct reap_stack_ops stack_ops;
extern const char *event_names[];
extern long	blocks;				/* of memory that the library has; by who has the baton */
struct reap_context *host_next(struct reap_worker *);
void	host_ready(struct reap_context *);
void	host_wake(struct reap_worker *);
void	host_idle(struct reap_worker *);
void	host_on_switch(struct reap_worker *, struct reap_context *from, struct reap_context *to);
void	host_after_switch(struct reap_worker *, struct reap_context *prev, bool dead);
void	host_child_exited(struct reap_context *parent, struct reap_context *child);
bool	host_locks_held(struct reap_context *);
void	before_final_switch(struct reap_context *);
void	off_cpu(struct reap_context *, intptr_t status);
void	unjoined(struct reap_context *, void *);
bool	publish(struct reap_context *, void *);
void	exiting(struct reap_exit_listener *, struct reap_context *, intptr_t status);
uint64_t clock_now(void *);
int	id_of(const struct reap_context *);
void	enqueue(struct reap_context *);
void	unqueue(const struct reap_context *);

/* compare.c */
void	compare(void);

/* say.c */
void	fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
void	same(const char *what, int x, intmax_t lib, intmax_t want);

#define SAME(what, lib, want)		same(what, NOBODY, (intmax_t)(lib), (intmax_t)(want))
#define SAME_OF(what, x, lib, want)	same(what, x, (intmax_t)(lib), (intmax_t)(want))

#endif
