/* SPDX-License-Identifier: ISC */
/*
 * runtime.c: the whole runtime, when threads, memory or initialisations are not to be had: nothing is run, or all is; and nothing
 * is left.
 */
#include <reap/runtime.h>

#include "fault.h"

#define LOAD(p)		__atomic_load_n((p), __ATOMIC_ACQUIRE)
#define ADD(p, n)	__atomic_add_fetch((p), (n), __ATOMIC_ACQ_REL)

static bool
may_fail(int error)
{
	return fault_hits() > 0 && (error == -ENOMEM || error == -EAGAIN);
}

static long ran;

static intptr_t
nothing(void *arg)
{
	(void)ADD(&ran, 1);
	return (intptr_t)arg;
}

static intptr_t
brief(void *arg)
{
	(void)arg;
	return 0;
}

struct kind {
	unsigned workers;
	enum reap_policy policy;
	unsigned batch;
	unsigned flags;
};

static struct reap_runtime_options
options_of(const struct kind *kind, struct reap_domain_options *domain)
{
	*domain = (struct reap_domain_options){ .size = sizeof(*domain), .policy = kind->policy, .limit = 64,
	    .stack = { .flags = kind->flags, .cache = 4, .depot = 4 } };
	return (struct reap_runtime_options){ .size = sizeof(struct reap_runtime_options), .workers = kind->workers,
	    .reaper_batch = kind->batch, .domain = domain };
}

static void
create_and_destroy(const void *arg)
{
	struct reap_domain_options	 domain;
	struct reap_runtime_options	 options = options_of(arg, &domain);
	struct reap_context_options	 go = { .size = sizeof(go), .entry = nothing, .arg = (void *)3 };
	struct reap_runtime		*runtime = NULL;
	struct reap_handle		 name;
	struct reap_result		 result;
	int				 error = reap_runtime_create(&options, &runtime);

	CHECK_EQ(fault_held(), 0);
	if (error != 0) {
		CHECK(may_fail(error));
		CHECK(runtime == NULL);
		fault_lift();
		if (fault_stubborn())
			(void)ledger_unmap_rest();	/* what munmap refused, and refused again */
		ledger_must_be_empty();			/* no thread, no memory, no domain */
		CHECK_EQ(reap_runtime_create(&options, &runtime), 0);
		fault_resume();
	}
	error = reap_runtime_go(runtime, &go, &name);
	if (error != 0) {
		CHECK(fault_hits() > 0);
		CHECK_EQ(error, -ENOMEM);
		fault_lift();
		CHECK_EQ(reap_runtime_go(runtime, &go, &name), 0);
		fault_resume();
	}
	CHECK_EQ(reap_join(name, 0, &result), 0);
	CHECK_EQ(result.status, 3);
	fault_relent();
	CHECK_EQ(reap_runtime_destroy(runtime), 0);
}

static const struct kind kinds[] = {
	{ .workers = 1 },
	{ .workers = 4, .flags = REAP_STACK_NO_GUARD_INSTALL },
	{ .workers = 3, .policy = REAP_POLICY_THREAD, .batch = 8 },
};
#define KINDS	(sizeof(kinds) / sizeof(kinds[0]))

TEST(fault_runtime, create_has_no_threads)
{
	for (size_t i = 0; i < KINDS; i++)
		CHECK(fault_sweep(create_and_destroy, &kinds[i], FAULT_THREAD, 0) >= (long)kinds[i].workers);
}

TEST(fault_runtime, create_has_no_memory)
{
	for (size_t i = 0; i < KINDS; i++)
		CHECK(fault_sweep(create_and_destroy, &kinds[i], FAULT_ALL, 0) > 10);
}

/* A program: contexts of all kinds, each of which copes with what it cannot get. */
static intptr_t
sleeper(void *arg)
{
	(void)arg;
	for (int i = 0; i < 2; i++) {
		int error = reap_sleep_until(UINT64_MAX / 2 + (uint64_t)i);

		CHECK(error == 0 || (error == -ENOMEM && fault_hits() > 0));
		if (error == 0)
			break;		/* until the end: it is destroyed asleep */
	}
	return 0;
}

static intptr_t
program(void *arg)
{
	struct reap_context *child[8];
	int made = 0, error;

	(void)arg;
	for (int i = 0; i < 8; i++) {
		const struct reap_context_options options = {
			.size = sizeof(options), .entry = i == 7 ? sleeper : nothing, .stack_size = i % 2 == 0 ? 0 : 1 << 17,
			.flags = i == 6 || i == 7 ? REAP_CONTEXT_DETACHED : 0, .arg = (void *)(intptr_t)i,
		};

		error = i == 0 ? reap_go(nothing, NULL, &child[made]) : reap_go_with(&options, &child[made]);
		CHECK(error == 0 || (error == -ENOMEM && fault_hits() > 0));
		made += error == 0 && i < 6;
	}
	while (made > 0)
		CHECK_EQ(reap_wait(child[--made], 0, NULL), 0);
	reap_pause();
	(void)reap_trim(reap_runtime_domain(reap_runtime_self()));
	return 9;
}

static void
run_program(const void *arg)
{
	struct reap_domain_options	 domain;
	struct reap_runtime_options	 options = options_of(arg, &domain);
	intptr_t			 status = 0;
	int				 error = reap_run(&options, program, NULL, &status);

	CHECK(error == 0 ? status == 9 : may_fail(error) && status == 0);
	CHECK(reap_worker_self() == NULL);
	CHECK_EQ(fault_held(), 0);
	fault_lift();
	if (fault_stubborn())
		(void)ledger_unmap_rest();
	ledger_must_be_empty();
	if (error != 0) {
		CHECK_EQ(reap_run(&options, program, NULL, &status), 0);
		CHECK_EQ(status, 9);
	}
}

TEST(fault_runtime, run_copes_or_runs_nothing)
{
	for (size_t i = 0; i < KINDS; i++)
		CHECK(fault_sweep(run_program, &kinds[i], FAULT_ALL, 0) > 20);
}

/* Threads fail one after the other, with all else in order. */
TEST(fault_runtime, run_has_no_threads)
{
	for (size_t i = 1; i < KINDS; i++)
		CHECK(fault_sweep(run_program, &kinds[i], FAULT_THREAD, 0) >= (long)kinds[i].workers - 1);
}

TEST(fault_runtime, workers_wake_for_nothing)
{
	static const int early[] = { EINTR, FAULT_SPURIOUS };

	for (size_t e = 0; e < 2; e++)
		for (long first = 1; first < 20; first++)
			for (long length = 1; length <= 100; length *= 10) {
				fault_plan(FAULT_COND | FAULT_FUTEX, first, length, early[e]);
				create_and_destroy(&kinds[first % (long)KINDS]);
				fault_lift();
				ledger_must_be_empty();
			}
}

/* Spawn until there is no more, then end: whether they ran or not, all of them are gone. */
static long refused;

static intptr_t
hungry(void *arg)
{
	struct reap_context	*child;
	int			 error;
	long			 made = 0;

	fault_plan(FAULT_MAP | FAULT_ALLOC, 1, FAULT_EVER, 0);
	while ((error = reap_go(brief, NULL, &child)) == 0 && made < 10000)
		made++;
	CHECK_EQ(error, -ENOMEM);
	refused++;
	if (arg != NULL) {	/* the wise way: wait, and go on */
		while (reap_wait_any(0, NULL) == 0)
			made--;
		CHECK_EQ(made, 0);
		CHECK_EQ(reap_go(brief, NULL, &child), 0);	/* of what came back */
		CHECK_EQ(reap_wait(child, 0, NULL), 0);
	}
	fault_lift();
	return 4;
}

TEST(fault_runtime, spawns_until_there_is_no_more)
{
	refused = 0;
	for (long i = 0; i < 6; i++) {
		struct reap_domain_options	domain;
		struct reap_runtime_options	options = options_of(&kinds[i % 2], &domain);
		intptr_t			status = 0;

		domain.limit = 0;
		CHECK_EQ(reap_run(&options, hungry, (void *)(i / 2 % 2), &status), 0);
		CHECK_EQ(status, 4);
		ledger_must_be_empty();
	}
	CHECK_EQ(refused, 6);
}
