/* SPDX-License-Identifier: ISC */
/*
 * domain.c: making and ending a domain, its workers, adopters, groups and the reaper thread, when any of their calls fails.
 */
#include <signal.h>
#include <sys/wait.h>

#include "fault.h"

/* What a child process of the sweep says besides 1, which is a failed check. */
#define HIT	40
#define CLEAN	41

static const struct reap_stack_ops no_stacks;
static const struct reap_domain_options kinds_of_domain[] = {
	{ .limit = 0 },
	{ .limit = 10, .reserve = 2, .usage = true, .policy = REAP_POLICY_SUCCESSOR },
	{ .stack = { .flags = REAP_STACK_NO_GUARD_INSTALL, .quarantine = 4 } },
	{ .stack = { .flags = REAP_STACK_UNGUARDED | REAP_STACK_SCRUB, .size = 1 << 20, .cache = 2 } },
};
#define KINDS	(sizeof(kinds_of_domain) / sizeof(kinds_of_domain[0]))

static void
use(struct reap_domain *domain)
{
	struct reap_worker	*worker;
	struct reap_context	*context;

	CHECK_EQ(reap_worker_start(domain, NULL, &worker), 0);
	CHECK_EQ(reap_spawn(worker, host_return, NULL, &context), 0);
	CHECK(reap_switch(worker, context) == worker);
	CHECK_EQ(reap_wait(context, 0, NULL), 0);
	CHECK_EQ(reap_worker_stop(worker), 0);
	CHECK_EQ(reap_domain_destroy(domain, NULL, NULL), 0);
}

/*
 * The page that the probe for guards was refused to unmap stays, at most one in a process, since it asks only once.  What it may
 * cost is told here, so that nothing else hides behind it.
 */
static void
only_the_probe_is_left(void)
{
	struct ledger left = ledger_read();

	CHECK(left.bytes == 0 || (left.ranges == 1 && left.bytes == (size_t)sysconf(_SC_PAGESIZE) && fault_hits() > 0));
	(void)ledger_unmap_rest();
	ledger_must_be_empty();
}

static int
create_once(const struct reap_domain_options *kind, unsigned kinds, long first, long length, int error)
{
	struct reap_domain_options	 options = *kind;
	struct reap_domain		*domain = NULL;
	bool				 hit;
	int				 made;

	options.size = sizeof(options);
	fault_plan(kinds, first, length, error);
	made = reap_domain_create(&options, &domain);
	fault_lift();
	hit = fault_hits() > 0;
	CHECK_EQ(fault_held(), 0);
	if (made != 0) {
		CHECK(hit);
		CHECK_EQ(made, -ENOMEM);
		CHECK(domain == NULL);
		only_the_probe_is_left();
		CHECK_EQ(reap_domain_create(&options, &domain), 0);
	}
	use(domain);
	only_the_probe_is_left();
	return hit ? HIT : CLEAN;
}

static int
in_a_process(const struct reap_domain_options *kind, unsigned kinds, long first, long length, int error)
{
	int	status;
	pid_t	pid = fork();

	CHECK(pid >= 0);
	if (pid == 0)
		_exit(create_once(kind, kinds, first, length, error));
	while (waitpid(pid, &status, 0) < 0)
		CHECK_EQ(errno, EINTR);
	CHECK(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* What a process asks the kernel once, a process of its own asks each time. */
static void
create_sweep(unsigned kinds, int error)
{
	static const long lengths[] = { 1, 2, FAULT_EVER };

	for (size_t k = 0; k < KINDS; k++)
		for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
			int	said;
			long	first = 0;

			do {
				said = in_a_process(&kinds_of_domain[k], kinds, ++first, lengths[i], error);
				CHECK(said == HIT || said == CLEAN);
			} while (said == HIT);
			CHECK(first >= 2);
		}
}

TEST(fault_domain, create_has_no_memory)
{
	create_sweep(FAULT_ALL, 0);
}

TEST(fault_domain, create_has_no_files)
{
	create_sweep(FAULT_FILE | FAULT_ALLOC, 0);
}

TEST(fault_domain, create_is_refused_advice)
{
	create_sweep(FAULT_ADVISE | FAULT_ALLOC, EINVAL);	/* no such advice: an old kernel, locked memory */
	create_sweep(FAULT_ADVISE | FAULT_ALLOC, EPERM);
}

/* Options that are refused leave nothing either. */
TEST(fault_domain, create_with_bad_options_leaves_nothing)
{
	static const struct reap_domain_options bad[] = {
		{ .stack = { .size = 1 } }, { .stack = { .cache = 1 } }, { .stack = { .flags = ~0u } },
		{ .stack = { .ops = &no_stacks } }, { .stack = { .guard = SIZE_MAX } }, { .stack = { .size = SIZE_MAX } },
		{ .reserve = 1 }, { .limit = 1, .reserve = 2 }, { .policy = (enum reap_policy)99 },
	};
	struct reap_domain *domain = NULL;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct reap_domain_options options = bad[i];

		options.size = sizeof(options);
		CHECK_EQ(reap_domain_create(&options, &domain), -EINVAL);
		CHECK(domain == NULL);
		ledger_must_be_empty();
	}
}

static void
worker_comes_and_goes(const void *arg)
{
	struct reap_domain_options options = *(const struct reap_domain_options *)arg;

	host_open(options);
	for (int i = 0; i < 3; i++) {
		struct reap_worker *second = NULL;

		CHECK_EQ(reap_worker_start(host_domain, NULL, &second), -EBUSY);
		CHECK(second == NULL);
		CHECK_EQ(reap_domain_destroy(host_domain, NULL, NULL), -EBUSY);
		CHECK_EQ(reap_worker_stop(host_worker), 0);
		ATTEMPT(reap_worker_start(host_domain, NULL, &host_worker), -ENOMEM);
	}
	host_close();
}

TEST(fault_domain, worker_comes_and_goes)
{
	for (size_t k = 0; k < KINDS; k++)
		CHECK(fault_sweep(worker_comes_and_goes, &kinds_of_domain[k], FAULT_ALL, 0) > 5);
}

static void
adopters_and_groups(const void *arg)
{
	struct reap_adopter	*adopter[3];
	struct reap_group	*group[2];

	(void)arg;
	host_open((struct reap_domain_options){ 0 });
	for (int i = 0; i < 3; i++)
		ATTEMPT(reap_adopter_create(host_domain, i > 0 ? adopter[i - 1] : NULL, &adopter[i]), -ENOMEM);
	for (int i = 0; i < 2; i++)
		ATTEMPT(reap_group_create(host_domain, &group[i]), -ENOMEM);
	CHECK_EQ(reap_adopter_assume(adopter[2]), 0);
	CHECK_EQ(reap_adopter_assume(adopter[1]), 0);
	for (int i = 0; i < 3; i++)
		CHECK_EQ(reap_adopter_destroy(adopter[i]), 0);
	for (int i = 0; i < 2; i++)
		CHECK_EQ(reap_group_destroy(group[i]), 0);
	host_close();
}

TEST(fault_domain, adopters_and_groups)
{
	CHECK(fault_sweep(adopters_and_groups, NULL, FAULT_ALL, 0) > 8);
}

/* Started and stopped, and not to be had. */
static void
reaper_thread(const void *arg)
{
	const unsigned *batch = arg;
	const struct reap_context_options options = {
		.size = sizeof(options), .entry = host_return, .policy = REAP_POLICY_THREAD
	};

	host_open((struct reap_domain_options){ .limit = 8 });
	for (int i = 0; i < 3; i++) {
		struct reap_context	*context = NULL;
		struct reap_stats	 before = host_stats(), after;
		int			 error;

		error = reap_thread_start(host_domain, *batch);
		CHECK_EQ(fault_held(), 0);
		if (error != 0) {
			CHECK(fault_hits() > 0);
			CHECK_EQ(error, -EAGAIN);
			CHECK_EQ(reap_thread_stop(host_domain), -ESRCH);
			CHECK_EQ(reap_context_create(host_domain, &options, &context), -EINVAL);
			CHECK(context == NULL);
			after = host_stats();		/* and its cache of stacks is no longer one of the domain's */
			CHECK_EQ(after.stacks_cached, before.stacks_cached);
			fault_lift();
			CHECK_EQ(reap_thread_start(host_domain, *batch), 0);
			fault_resume();
		}
		CHECK_EQ(reap_thread_start(host_domain, *batch), -EBUSY);
		ATTEMPT(reap_context_create(host_domain, &options, &context), -ENOMEM);
		host_queue(context);
		CHECK_EQ(reap_wait(context, 0, NULL), 0);
		CHECK_EQ(reap_thread_stop(host_domain), 0);
		CHECK_EQ(reap_thread_stop(host_domain), -ESRCH);
	}
	host_close();
}

TEST(fault_domain, reaper_thread)
{
	static const unsigned batches[] = { 0, 4 };

	for (size_t i = 0; i < 2; i++)
		CHECK(fault_sweep(reaper_thread, &batches[i], FAULT_ALL, 0) > 10);
}

TEST(fault_domain, reaper_thread_wakes_for_nothing)
{
	static const unsigned batches[] = { 0, 4 };

	for (size_t i = 0; i < 2; i++) {
		fault_sweep(reaper_thread, &batches[i], FAULT_COND | FAULT_FUTEX | FAULT_THREAD, EAGAIN);
		fault_sweep(reaper_thread, &batches[i], FAULT_COND | FAULT_FUTEX | FAULT_THREAD, EINTR);
	}
}

/* Refused for ever, memory goes all the same: the addresses stay, and nothing is behind them. */
TEST(fault_domain, end_without_munmap_keeps_addresses_only)
{
	const struct reap_context_options options = { .size = sizeof(options), .entry = host_return, .stack_size = 1 << 18 };
	struct reap_context *context[40];

	fault_plan(FAULT_UNMAP, 1, FAULT_EVER, 0);
	host_open((struct reap_domain_options){ .stack = { .flags = REAP_STACK_UNGUARDED } });
	for (int i = 0; i < 40; i++) {
		if (i % 2 == 0)
			CHECK_EQ(reap_spawn(host_worker, host_return, NULL, &context[i]), 0);
		else
			CHECK_EQ(reap_context_create(host_domain, &options, &context[i]), 0);
		host_queue(context[i]);
	}
	host_run();
	while (reap_wait_any(0, NULL) == 0)
		continue;
	CHECK(ledger_resident() >= 40);
	CHECK_EQ(reap_worker_stop(host_worker), 0);
	CHECK_EQ(reap_domain_destroy(host_domain, NULL, NULL), 0);
	fault_lift();
	CHECK(fault_hits() > 0);
	CHECK(ledger_read().bytes > 0);
	CHECK_EQ(ledger_resident(), 0);
	(void)ledger_unmap_rest();
	ledger_must_be_empty();
}
