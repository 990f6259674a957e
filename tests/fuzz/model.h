/* SPDX-License-Identifier: ISC */
/*
 * model.h: the reference: plain arrays, one operation after the other.
 *
 * model_step() takes an operation and computes all that must follow from it up to the moment at which somebody can take the
 * next one: who runs then, what every call that returned must have said, and every callback of the host on the way, in order.
 * It never asks the library.  machine.c then does the same with the library, and compares.
 *
 * OS threads (three at most) move in lock-step: one of them has the baton, and runs until an operation gives it to another,
 * or until it dies with the window open: between its last bookkeeping and its final switch.  A thread is a worker, or it is
 * not: then it acts as any foreign thread.
 */
#ifndef REAP_TESTS_FUZZ_MODEL_H
#define REAP_TESTS_FUZZ_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include "program.h"

#define CTX_MAX		72	/* lives of one program, base contexts included */
#define THREADS		3
#define ADOPTERS	4	/* the first is the domain's */
#define GROUPS		3
#define LISTENERS	3	/* of one context at a time */
#define BUFFERS		4	/* stacks that the embedder supplies */
#define EVENTS_MAX	512	/* of one step */
#define NOBODY		(-1)

enum { POLICY_DEFAULT, POLICY_ADAPTIVE, POLICY_PARENT, POLICY_SUCCESSOR, POLICY_ADOPTER, POLICY_THREAD };
enum { PAYER_PARENT, PAYER_JOINER, PAYER_ADOPTER, PAYER_SUCCESSOR, PAYER_THREAD, PAYERS };
enum { FLAG_NOHANG = 1, FLAG_PEEK = 2 };
enum { HAS_ENDED, HAS_SUSPENDED };	/* what a resume returns */

enum where { IS_NONE, IS_NEW, IS_SUSPENDED, IS_RUNNING, IS_EXITING, IS_ZOMBIE };	/* as enum reap_state */

enum fate {		/* who may collect it */
	FATE_FREE,	/* nobody: it is no more, or never was */
	FATE_LIVE,
	FATE_CLAIMED,
	FATE_ZOMBIE,
	FATE_ADOPTED,
	FATE_ORPHANED,
	FATE_REAPED	/* done; the name is held */
};

enum sleep {		/* why it does not run */
	SLEEP_NONE,	/* it runs, or has never run */
	SLEEP_PLAIN,	/* it yielded, parked, or switched away */
	SLEEP_DONE,	/* until the post of `target', which it has claimed */
	SLEEP_ANY,	/* in wait_any, until something comes */
	SLEEP_GROUP,
	SLEEP_ADOPTER,
	SLEEP_RESUME,	/* until whom it has resumed comes back */
	SLEEP_SUSPENDED	/* owned: until it is resumed */
};

enum stack { STACK_DEFAULT, STACK_SIZED, STACK_BORROWED, STACK_OPS };

enum event {		/* callbacks of the host, and what the machine does amid a step */
	EV_NEXT,	/* thread, who */
	EV_READY,	/* who */
	EV_WAKE,	/* thread */
	EV_ON_SWITCH,	/* from, to */
	EV_AFTER_SWITCH, /* prev, dead */
	EV_CHILD_EXITED, /* parent, child */
	EV_PUBLISH,	/* who, whether it stays parked */
	EV_LISTENER,	/* who, which */
	EV_DYING,	/* who */
	EV_WINDOW,	/* who, to which thread the baton goes */
	EV_OFF_CPU,	/* who, status */
	EV_OFF_ACT,	/* who, what its off_cpu() gets for what it does (enum off_act) */
	EV_UNJOINED	/* who */
};

enum off_act {		/* what off_cpu() does besides, at the moment of the reap */
	OFF_NOTHING,
	OFF_HOLD,	/* takes the name, and holds it */
	OFF_CREATE,	/* makes a context: a child of who reaps */
	OFF_DRAIN,	/* drains the default adopter, which may be what goes on */
	OFF_TRIM,
	OFF_JOIN,	/* tries to collect the dead one itself */
	OFF_ACTS
};

struct config {
	int	 policy, nthreads;
	bool	 early, hosted, shares, direct, usage, ledger_time, scrub;
	bool	 on_switch, after_switch, child_exited, idle, hooked, locks; /* callbacks that there are */
	bool	 ops;			/* all stacks are from the embedder's allocator */
	bool	 leave_zombies;		/* domain_destroy() is to list them */
	unsigned cache, depot, quarantine;
	uint64_t limit, reserve;
};

struct usage {
	uint64_t run_ns, runs, children_ns, children;
};

/* What a call must return. */
struct want {
	int	 ret;
	int	 who;		/* of whom a result must be there; NOBODY: none */
	intptr_t status;
	struct usage usage;
	int	 came;		/* who comes back from a resume; NOBODY: it is another call */
	intptr_t word;		/* what comes with the control */
};

struct life {
	enum fate	 fate;
	int		 base;		/* the thread whose base context it is, or NOBODY */
	bool		 named;		/* its handle is known to the machine */
	bool		 fresh, running, exited, posted;
	bool		 queued, reserved; /* in the host's queue; taken from there by an exit that has not switched yet */
	int		 parent, adopter, group, claimer;
	int		 policy;
	bool		 early, pinned, shared, bound, off_cpu, has_stack, awaited, no_zombies, closed;
	bool		 kin;		/* it has, or had, a child that is shared */
	enum stack	 stack;
	enum off_act	 off_act;
	int		 buffer;	/* STACK_BORROWED */
	int		 home;		/* pinned, bound: the thread */
	int		 private_kids, kids;
	unsigned	 holds;
	unsigned	 arrival;	/* place among the dead of its parent, or of its adopter; 0: on no list */
	int		 owed_by;	/* the adopter on whose list it is */
	intptr_t	 status;
	struct usage	 usage;

	enum sleep	 sleep;
	int		 target, flags;	/* of the wait */
	bool		 quiet;		/* the wait wants no result */
	bool		 wants_peek;
	bool		 publish;	/* SLEEP_PLAIN by park: stays parked */
	bool		 armed;		/* its waiter is where the waker looks */
	bool		 limbo;		/* taken from there, not readied yet */
	bool		 readied;	/* a base context: by its waker */
	int		 error;		/* of arming */
	int		 waiter;	/* who is armed on its completion */

	bool		 exiting;	/* has called exit, listeners are running */
	intptr_t	 exit_status;
	int		 window;	/* the thread that is to have the baton during its exit, or NOBODY */
	int		 nlisteners, listener[LISTENERS]; /* oldest first; the machine's number */
	bool		 acts[LISTENERS]; /* by number: this listener performs an operation */
	unsigned	 used;		/* bits: numbers that are taken */

	/* Owned: its claimer is who has resumed it. */
	bool		 owned, discarded; /* pushed to its worker, not destroyed yet */
	bool		 simple;	/* its end is its resumer's alone to see */
	bool		 cancelled;
	intptr_t	 word;		/* passed to it, or by it, last */
	int		 came;		/* SLEEP_RESUME: who comes back */
	bool		 served;	/* the same, a base context: others have run meanwhile */

	struct want	 want;		/* of its last call */
};

enum slot { SLOT_EMPTY, SLOT_DEAD, SLOT_PARKED, SLOT_YIELDED, SLOT_SWITCHED };

struct worker {
	bool		 on;
	int		 base, current;
	enum slot	 slot;
	int		 prev;		/* what is in the slot */
	int		 told[3], ntold;
	bool		 dying;		/* in the window: `current' is dying, `to' is next */
	int		 to;
	uint64_t	 slice;
	struct want	 want;		/* as a thread that is no worker */
	int		 discarded[CTX_MAX], ndiscarded; /* newest last */
};

struct heir {
	bool		 on, closed, draining;
	int		 heir;
	unsigned	 stacks;	/* owed, without their contexts */
	bool		 interrupted;
	int		 sleeper;
};

struct club {
	bool		 on, ever, posted;
	unsigned	 members;
	intptr_t	 status;
	int		 waiter, sleepers; /* armed; in group_wait altogether */
};

struct counts {
	uint64_t created, exited, reaped, switches, direct, base, barrier, orphans, detached, limit_hits;
	uint64_t stacks[PAYERS], contexts[PAYERS];
};

struct model {
	struct config	 config;
	struct life	 life[CTX_MAX];
	int		 nlives;
	struct worker	 worker[THREADS];
	int		 turn;		/* who has the baton */
	struct heir	 heir[ADOPTERS];
	struct club	 club[GROUPS];
	struct counts	 count;
	int		 queue[CTX_MAX], nqueue;
	unsigned	 arrivals;
	uint64_t	 now;
	bool		 buffers[BUFFERS]; /* in use */
	unsigned	 foreign;	/* stacks out of the embedder's allocator */
	bool		 discarding;	/* some thread destroys what was discarded */
	int		 mine, tidied;	/* steps so far: of the program, and of the tidying up */
	bool		 begun, ended;

	struct {
		enum event kind;
		int	 a;
		intptr_t b;
	} event[EVENTS_MAX];
	int		 nevents;
	bool		 unordered;	/* the events of this step come in any order */
	const char	*broken;	/* the model itself is in trouble */
};

/* An operation, its targets decided. */
struct plan {
	enum op	 op;
	int	 thread, actor;	/* who does it; actor NOBODY: the thread, which is no worker */
	bool	 idle;		/* within the host's idle() */
	int	 x;		/* a context */
	int	 k;		/* an adopter, a group, a thread, the number of who is made */
	int	 l;		/* an heir */
	unsigned flags;
	intptr_t v;		/* a status, a budget, a time, a word */
	bool	 name;		/* the handle is taken first */
	bool	 quiet;		/* no result wanted */
	bool	 dequeue;	/* the host takes it off its queue first */
	bool	 done;		/* it came to its end in its own step */
	bool	 returns;	/* an exit that returns from its entry; a spawn */
	struct {
		int	 policy, notify, group, adopter;
		bool	 owned, ready, off_cpu, spawn, detached, privileged, pinned, small;
		enum stack stack;
		enum off_act off_act;
		int	 listeners;
		bool	 acts;
	} create;
};

extern struct model model;

void	 model_init(const uint8_t head[FUZZ_HEAD]);
void	 model_step(const struct program *, struct plan *);	/* *plan: what the actor is to do */
void	 model_open(void);		/* a new domain */
int	 model_actor(void);		/* who takes the next operation; NOBODY: the thread that has the turn */
bool	 model_idle(void);		/* and in idle()? */
enum where model_where(int x);
int	 model_home(int x);
unsigned model_children(int x);
unsigned model_backlog(int adopter);
struct want *model_want(const struct plan *);
bool	 model_same_worker(int x, int thread);

/* choose.c: what an operation of the program means now; what is to be done when there are no more. */
void	 choose(struct plan *, unsigned code, unsigned a, unsigned b, unsigned c);
void	 tidy(struct plan *);

/* Writes one line about an operation, without its result; returns what snprintf() does. */
int	 model_describe(const struct plan *, char *line, size_t size);

#endif
