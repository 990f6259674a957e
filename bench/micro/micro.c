/* SPDX-License-Identifier: ISC */
/*
 * micro.c: what a switch and a life cost on one worker, with every guarantee on.
 *
 *	micro [--json] [ROUNDS]
 *
 * Each twice: of contexts that are private to their worker, as the host promises to say when one may migrate (reap_host.shares);
 * and of contexts that are shared from the start.  The same shapes beside other libraries: bench/peers.
 */
#include "figures.h"
#include "run_queue.h"

#define LIVES	200000
#define BATCH	1000

static intptr_t
empty(void *arg)
{
	return (intptr_t)arg;
}

static intptr_t
yields(void *arg)
{
	(void)reap_yield(reap_worker_self());
	return (intptr_t)arg;
}

static intptr_t
generates(void *arg)
{
	(void)arg;
	for (intptr_t word = 0;; word++)
		(void)reap_suspend(&word);
	return 0;
}

static struct reap_context *ping, *pong;

static intptr_t
back(void *arg)
{
	struct reap_worker *worker = reap_worker_self();

	(void)arg;
	for (;;)
		worker = reap_switch(worker, ping);
	return 0;
}

/* The bare switches, to a stack that switches back. */
static _Alignas(64) char bare_stack[2][65536];
static void *here, *there;

static void
swaps_back(void *pass)
{
	for (;;)
		pass = reap_machine_swap(&there, here, pass);
}

#ifdef REAP_POINT
static struct reap_point home, away;
#define points(save, to)	((void)reap_point_switch(save, to, NULL))

static void
points_back(void *pass)
{
	(void)pass;
	for (;;)
		points(&away, &home);
}
#else
static int home, away;
#define points(save, to)	((void)(save), (void)(to))
#endif

/* One after the other; each measurement runs inside a context, as a host's would. */
enum which { SWITCH, ONE, MANY, ANY, LIVE, DETACHED, OWNED, RESUME, BARE, POINT, SHAPES };
#define ONCE	(SHAPES - OWNED)		/* these have nothing to do with sharing */

static struct figures all = { .program = "micro", .n = 2 * SHAPES - ONCE, .rounds = 15, .of = {
	[SWITCH] = { .name = "switch", .what = "one way, out of line, landing included" },
	[BARE] = { .name = "bare switch", .what = "one way, out of line: reap_machine_swap()" },
	[POINT] = { .name = "bare switch, inline", .what = "one way: reap_point_switch()" },
	[ONE] = { .name = "life, one at a time", .what = "spawn, run empty, exit, wait, recycled" },
	[MANY] = { .name = "life, 1000 then waited for", .what = "the same, 1000 stacks at a time" },
	[ANY] = { .name = "life, 1000 then wait-any", .what = "the same, collected by whichever ended" },
	[LIVE] = { .name = "life, 1000 that yield", .what = "1000 live stacks: each yields once before it ends" },
	[OWNED] = { .name = "life, owned", .what = "spawn owned, resume: it runs empty, ends, is recycled" },
	[RESUME] = { .name = "resume and suspend", .what = "there and back, a word across each way" },
	[DETACHED] = { .name = "life, detached", .what = "create detached, run empty, exit, drained" },
} };

static double
measure(enum which which)
{
	static struct reap_context *child[BATCH];
	struct reap_worker *worker = reap_worker_self();
	struct reap_domain *domain = reap_worker_domain(worker);
	struct reap_context_options detached = {
		.size = sizeof(detached), .entry = empty, .flags = REAP_CONTEXT_DETACHED,
	};
	struct reap_passed passed = { 0 };
	double since = nanoseconds(CLOCK_PROCESS_CPUTIME_ID);
	long n = LIVES;

	switch (which) {
	case SWITCH:
		n = 4000000;
		ping = reap_worker_current(worker);
		for (long i = 0; i < n / 2; i++)
			worker = reap_switch(worker, pong);
		break;
	case BARE:
		n = 4000000;
		for (long i = 0; i < n / 2; i++)
			(void)reap_machine_swap(&here, there, NULL);
		break;
	case POINT:
		n = 4000000;
		for (long i = 0; i < n / 2; i++)
			points(&home, &away);
		break;
	case ONE:
		for (long i = 0; i < n; i++) {
			must(reap_spawn(worker, empty, NULL, &child[0]));
			ready(child[0]);
			must(reap_wait(child[0], 0, NULL));
		}
		break;
	case MANY:
	case ANY:
	case LIVE:
		for (long i = 0; i < n / BATCH; i++) {
			for (int j = 0; j < BATCH; j++) {
				must(reap_spawn(worker, which == LIVE ? yields : empty, NULL, &child[j]));
				ready(child[j]);
			}
			for (int j = 0; j < BATCH; j++)
				must(which == ANY ? reap_wait_any(0, NULL) : reap_wait(child[j], 0, NULL));
		}
		break;
	case DETACHED:
		for (long i = 0; i < n / 32; i++) {
			for (int j = 0; j < 32; j++) {
				must(reap_context_create(domain, &detached, &child[j]));
				ready(child[j]);
			}
			(void)reap_yield(worker);
			while (reap_adopter_drain(reap_adopter_default(domain), 64) > 0)
				continue;
		}
		break;
	case OWNED:
		for (long i = 0; i < n; i++) {
			must(reap_spawn_owned(worker, empty, NULL, &child[0]));
			(void)reap_resume(child[0], 0, &passed);
		}
		break;
	case RESUME:
		n = 2000000;
		must(reap_spawn_owned(worker, generates, NULL, &child[0]));
		for (long i = 0; i < n; i++)
			(void)reap_resume(child[0], 0, &passed);
		must(reap_context_destroy(child[0], 0));
		break;
	case SHAPES:
		break;
	}
	return (nanoseconds(CLOCK_PROCESS_CPUTIME_ID) - since) / (double)n;
}

static intptr_t
round_of(void *arg)
{
	double *sample = arg;

	for (int i = 0; i < SHAPES; i++)
		sample[i] = measure((enum which)i);
	return 0;
}

/* One round of all shapes in this domain. */
static void
measure_all(struct reap_domain *domain, double sample[SHAPES])
{
	struct reap_worker *worker;
	struct reap_context *context;

	must(reap_worker_start(domain, NULL, &worker));
	must(reap_spawn(worker, back, NULL, &pong));
	must(reap_spawn(worker, round_of, sample, &context));
	ready(context);
	must(reap_wait(context, 0, NULL));
	must(reap_context_destroy(pong, 0));
	must(reap_wait(pong, 0, NULL));
	must(reap_worker_stop(worker));
}

int
main(int argc, char **argv)
{
	struct reap_host host = { .next = next, .ready = ready, .shares = true, .direct = true };
	struct reap_domain_options options = { .size = sizeof(options), .host = &host };
	struct reap_domain *domains[2];
	double sample[SHAPES];
	bool json = false;

	there = reap_machine_make(bare_stack[0] + sizeof(bare_stack[0]), swaps_back);
#ifdef REAP_POINT
	reap_point_make(&away, bare_stack[1] + sizeof(bare_stack[1]), points_back);
#endif
	(void)figures_arguments(argc, argv, NULL, &all.rounds, &json);
	must(reap_domain_create(&options, &domains[0]));
	host.shares = false;
	must(reap_domain_create(&options, &domains[1]));
	for (int i = 0; i < SHAPES - ONCE; i++) {
		snprintf(all.of[SHAPES + i].name, sizeof(all.of[0].name), "shared: %s", all.of[i].name);
		all.of[SHAPES + i].what = all.of[i].what;
	}
	for (int round = -1; round < all.rounds; round++) {	/* the first one warms up */
		all.addition[round < 0 ? 0 : round] = time_addition();
		for (int d = 0; d < 2; d++) {
			measure_all(domains[d], sample);
			for (int i = 0; i < SHAPES - d * ONCE; i++)
				all.of[d * SHAPES + i].cpu[round < 0 ? 0 : round] = sample[i];
		}
	}
	for (int d = 0; d < 2; d++)
		must(reap_domain_destroy(domains[d], NULL, NULL));
	figures_show(&all, json);
	return 0;
}
