/* SPDX-License-Identifier: ISC */
/*
 * costs.c: what a guarantee, a promise of the host or a service costs each life, switched on or off by itself.
 *
 *	costs [--json] [ROUNDS]
 *
 * The shape is the same each time: 1000 contexts are spawned, run, end, and are waited for, on one worker.  `usual' is a host that
 * promises to share contexts before others run them, in a domain as it comes: guarded stacks, handles, bounded caches, a ledger.
 */
#include "figures.h"
#include "run_queue.h"

#define LIVES	100000
#define BATCH	1000

static void
told(struct reap_context *parent, struct reap_context *child)
{
	(void)parent;
	(void)child;
}

static void
switched(struct reap_worker *worker, struct reap_context *from, struct reap_context *to)
{
	(void)worker;
	(void)from;
	(void)to;
}

static intptr_t
empty(void *arg)
{
	return (intptr_t)arg;
}

enum which { USUAL, UNGUARDED, SHARED, NAMED, LIMIT, EARLY, PARENT, ADOPTER, CHILD_EXITED, ON_SWITCH, USAGE, LEDGER, SCRUB, COSTS };

static struct figures all = { .program = "costs", .n = COSTS, .rounds = 15, .of = {
	[USUAL] = { .name = "usual", .what = "the host shares; all that is on by default" },
	[UNGUARDED] = { .name = "stacks without guards", .what = "REAP_STACK_UNGUARDED: a guard costs nothing once it is there" },
	[SHARED] = { .name = "shared from birth", .what = "the host makes no promise: every word is atomic" },
	[NAMED] = { .name = "each is named", .what = "reap_context_handle() of each child, which shares it" },
	[LIMIT] = { .name = "a limit", .what = "counted against a limit of 100,000 at a time" },
	[EARLY] = { .name = "early notification", .what = "the parent is told before the landing" },
	[PARENT] = { .name = "policy: parent", .what = "stacks stay with the dead until they are waited for" },
	[ADOPTER] = { .name = "policy: adopter", .what = "stacks go to the adopter, and are drained after each thousand" },
	[CHILD_EXITED] = { .name = "child_exited()", .what = "the host is told of every end" },
	[ON_SWITCH] = { .name = "on_switch()", .what = "the host is told of every switch" },
	[USAGE] = { .name = "usage", .what = "run time of each context: the clock is read at every switch" },
	[LEDGER] = { .name = "ledger_time", .what = "every reap is timed: the clock is read twice" },
	[SCRUB] = { .name = "scrubbed stacks", .what = "REAP_STACK_SCRUB: a recycled stack reads as zero; a system call a life" },
} };

static enum which which;

static intptr_t
lives(void *arg)
{
	static struct reap_context *child[BATCH];
	struct reap_worker *worker = reap_worker_self();
	struct reap_domain *domain = reap_worker_domain(worker);
	long n = which == SCRUB ? LIVES / 10 : LIVES;
	double since = nanoseconds(CLOCK_PROCESS_CPUTIME_ID);

	for (long i = 0; i < n / BATCH; i++) {
		for (int j = 0; j < BATCH; j++) {
			must(reap_spawn(worker, empty, NULL, &child[j]));
			if (which == NAMED)
				(void)reap_context_handle(child[j]);
			ready(child[j]);
		}
		for (int j = 0; j < BATCH; j++)
			must(reap_wait(child[j], 0, NULL));
		while (which == ADOPTER && reap_adopter_drain(reap_adopter_default(domain), BATCH) > 0)
			continue;
	}
	*(double *)arg = (nanoseconds(CLOCK_PROCESS_CPUTIME_ID) - since) / (double)n;
	return 0;
}

static struct reap_domain *
domain_for(enum which w)
{
	struct reap_host host = {
		.next = next, .ready = ready, .shares = w != SHARED, .direct = true,
		.child_exited = w == CHILD_EXITED ? told : NULL,
		.on_switch = w == ON_SWITCH ? switched : NULL,
	};
	struct reap_domain_options options = {
		.size = sizeof(options), .host = &host,
		.limit = w == LIMIT ? 100000 : 0,
		.notify = w == EARLY ? REAP_NOTIFY_EARLY : REAP_NOTIFY_DEFAULT,
		.policy = w == PARENT ? REAP_POLICY_PARENT : w == ADOPTER ? REAP_POLICY_ADOPTER : REAP_POLICY_DEFAULT,
		.usage = w == USAGE,
		.ledger_time = w == LEDGER,
		.stack.flags = (w == SCRUB ? REAP_STACK_SCRUB : 0) | (w == UNGUARDED ? REAP_STACK_UNGUARDED : 0),
	};
	struct reap_domain *domain;

	must(reap_domain_create(&options, &domain));
	return domain;
}

int
main(int argc, char **argv)
{
	struct reap_domain *domain[COSTS];
	bool json = false;

	(void)figures_arguments(argc, argv, NULL, &all.rounds, &json);
	for (which = 0; which < COSTS; which++)
		domain[which] = domain_for(which);
	for (int round = -1; round < all.rounds; round++) {	/* the first one warms up */
		all.addition[round < 0 ? 0 : round] = time_addition();
		for (which = 0; which < COSTS; which++) {
			struct reap_worker *worker;
			struct reap_context *context;

			must(reap_worker_start(domain[which], NULL, &worker));
			must(reap_spawn(worker, lives, &all.of[which].cpu[round < 0 ? 0 : round], &context));
			ready(context);
			must(reap_wait(context, 0, NULL));
			must(reap_worker_stop(worker));
		}
	}
	for (which = 0; which < COSTS; which++)
		must(reap_domain_destroy(domain[which], NULL, NULL));
	figures_show(&all, json);
	return 0;
}
