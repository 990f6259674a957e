/* SPDX-License-Identifier: ISC */
/*
 * usage.c: run time per context, folded into its collector once; time of reaps in the ledger.  All by an injected clock.
 */
#include "host.h"

static uint64_t now;		/* nanoseconds; bodies and hooks let it pass */

static uint64_t
the_clock(void *arg)
{
	CHECK(arg == &now);
	return now;
}

#define CLOCKED	.clock = the_clock, .clock_arg = &now

static intptr_t
run_for(void *arg)
{
	now += (uintptr_t)arg;
	return 0;
}

TEST(usage, is_the_time_on_the_cpu)
{
	struct host		h;
	struct reap_result	r;

	host_open(&h, (struct reap_domain_options){ .usage = true, CLOCKED });
	now += 1000;				/* the base context's */
	CHECK_EQ(reap_wait(host_spawn(run_for, (void *)70), 0, &r), 0);
	CHECK_EQ(r.usage.run_ns, 70);
	CHECK_EQ(r.usage.runs, 1);
	CHECK_EQ(r.usage.children, 0);
	CHECK_EQ(r.usage.children_ns, 0);
	host_close(&h);
}

static intptr_t
run_in_slices(void *arg)
{
	(void)arg;
	now += 3;
	gate_pass(arg);
	now += 5;
	return 0;
}

TEST(usage, counts_slices_and_not_the_time_between)
{
	struct host		h;
	struct gate		gate = GATE_INIT;
	struct reap_context	*child;
	struct reap_result	r;

	host_open(&h, (struct reap_domain_options){ .usage = true, CLOCKED });
	child = host_spawn(run_in_slices, &gate);
	host_run();
	now += 100;
	gate_open(&gate);
	CHECK_EQ(reap_wait(child, 0, &r), 0);
	CHECK_EQ(r.usage.run_ns, 8);
	CHECK_EQ(r.usage.runs, 2);
	host_close(&h);
}

/* What an exit does after its last bookkeeping is the dying one's time too: accounted when it is off the CPU. */
static void
linger(struct reap_context *dying)
{
	(void)dying;
	now += 1000;
}

TEST(usage, includes_the_last_slice)
{
	struct host		h;
	struct reap_result	r;

	host_open(&h, (struct reap_domain_options){ .usage = true, CLOCKED, .before_final_switch = linger });
	CHECK_EQ(reap_wait(host_spawn(run_for, (void *)1), 0, &r), 0);
	CHECK_EQ(r.usage.run_ns, 1001);
	(void)host_spawn(run_for, (void *)2);
	(void)host_spawn(run_for, (void *)3);	/* its time must not begin before its own landing */
	host_run();
	CHECK_EQ(reap_wait_any(0, &r), 0);
	CHECK_EQ(r.usage.run_ns, 1002);
	CHECK_EQ(reap_wait_any(0, &r), 0);
	CHECK_EQ(r.usage.run_ns, 1003);
	host_close(&h);
}

static intptr_t
collect_two(void *arg)
{
	struct reap_result	r;
	struct reap_context	*child;

	(void)arg;
	now += 10;
	child = host_spawn(run_for, (void *)200);
	CHECK_EQ(reap_wait(child, REAP_PEEK, &r), 0);	/* folds nothing */
	CHECK_EQ(r.usage.run_ns, 200);
	CHECK_EQ(reap_wait(child, 0, &r), 0);
	(void)host_spawn(run_for, (void *)300);
	CHECK_EQ(reap_wait_any(REAP_PEEK, &r), 0);
	CHECK_EQ(reap_wait_any(0, &r), 0);
	CHECK_EQ(r.usage.run_ns, 300);
	return 0;
}

TEST(usage, is_folded_into_the_collector_once)
{
	struct host		h;
	struct reap_result	r;

	host_open(&h, (struct reap_domain_options){ .usage = true, CLOCKED });
	CHECK_EQ(reap_wait(host_spawn(collect_two, NULL), 0, &r), 0);
	CHECK_EQ(r.usage.run_ns, 10);
	CHECK_EQ(r.usage.children, 2);
	CHECK_EQ(r.usage.children_ns, 500);
	host_close(&h);
}

static intptr_t
collect_down(void *arg)
{
	now += 1;
	if (arg != NULL)
		CHECK_EQ(reap_wait(host_spawn(collect_down, (void *)((uintptr_t)arg - 1)), 0, NULL), 0);
	return 0;
}

TEST(usage, is_folded_through_generations)
{
	struct host		h;
	struct reap_result	r;

	host_open(&h, (struct reap_domain_options){ .usage = true, CLOCKED });
	CHECK_EQ(reap_wait(host_spawn(collect_down, (void *)6), 0, &r), 0);
	CHECK_EQ(r.usage.run_ns, 1);
	CHECK_EQ(r.usage.children, 6);
	CHECK_EQ(r.usage.children_ns, 6);
	host_close(&h);
}

static intptr_t
leave_to_adopter(void *arg)
{
	(void)arg;
	now += 1;
	(void)host_create((struct reap_context_options){ .entry = run_for, .arg = (void *)500, .flags = REAP_CONTEXT_DETACHED });
	host_yield();
	return 0;
}

TEST(usage, of_the_adopted_is_nobodys)
{
	struct host		h;
	struct reap_result	r;

	host_open(&h, (struct reap_domain_options){ .usage = true, CLOCKED });
	CHECK_EQ(reap_wait(host_spawn(leave_to_adopter, NULL), 0, &r), 0);
	CHECK_EQ(reap_adopter_drain(reap_adopter_default(h.domain), 10), 1);
	CHECK_EQ(r.usage.children, 0);
	CHECK_EQ(r.usage.children_ns, 0);
	host_close(&h);
}

TEST(usage, costs_nothing_unless_asked_for)
{
	struct host		h;
	struct reap_result	r;

	host_open(&h, (struct reap_domain_options){ CLOCKED });
	CHECK_EQ(reap_wait(host_spawn(collect_down, (void *)3), 0, &r), 0);
	CHECK_EQ(r.usage.run_ns + r.usage.runs + r.usage.children + r.usage.children_ns, 0);
	host_close(&h);
}

/* The ledger's time: every reap reads the clock before and after; off_cpu() lets it pass. */
static void
slow_off_cpu(struct reap_context *context, intptr_t status)
{
	(void)context;
	now += (uint64_t)status;
}

static struct reap_context *
spawn_slow(intptr_t cost, unsigned flags)
{
	return host_create((struct reap_context_options){
		.entry = host_return, .arg = (void *)cost, .flags = flags, .off_cpu = slow_off_cpu });
}

static struct reap_handle slow_name;

static void *
join_slow(void *arg)
{
	(void)arg;
	CHECK_EQ(reap_join(slow_name, 0, NULL), 0);
	return NULL;
}

TEST(ledger, time_is_charged_to_the_payer)
{
	struct host		h;
	struct reap_stats	s;
	pthread_t		thread;

	host_open(&h, (struct reap_domain_options){ .ledger_time = true, CLOCKED });
	CHECK_EQ(reap_wait(spawn_slow(100, 0), 0, NULL), 0);
	(void)spawn_slow(20, 0);
	CHECK_EQ(reap_wait_any(0, NULL), 0);
	(void)spawn_slow(3000, REAP_CONTEXT_DETACHED);
	host_run();
	CHECK_EQ(reap_adopter_drain(reap_adopter_default(h.domain), 10), 1);
	slow_name = reap_context_handle(spawn_slow(50000, 0));
	host_run();
	CHECK_EQ(pthread_create(&thread, NULL, join_slow, NULL), 0);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	s = host_stats(&h);
	CHECK_EQ(s.ledger[REAP_PAYER_PARENT].ns, 120);
	CHECK_EQ(s.ledger[REAP_PAYER_ADOPTER].ns, 3000);
	CHECK_EQ(s.ledger[REAP_PAYER_JOINER].ns, 50000);
	CHECK_EQ(s.ledger[REAP_PAYER_THREAD].ns, 0);
	CHECK_EQ(s.ledger[REAP_PAYER_PARENT].contexts, 2);
	CHECK_EQ(s.ledger[REAP_PAYER_JOINER].contexts, 1);
	CHECK_EQ(s.ledger[REAP_PAYER_ADOPTER].contexts, 1);
	host_close(&h);
}

static uint64_t	 reads;

static uint64_t
counted_clock(void *arg)
{
	(void)arg;
	reads++;
	return 0;
}

TEST(ledger, without_time_no_reap_reads_the_clock)
{
	struct host	h;
	uint64_t	before;

	host_open(&h, (struct reap_domain_options){ .clock = counted_clock });
	CHECK_EQ(reap_wait(host_spawn(host_return, NULL), 0, NULL), 0);
	before = reads;
	for (int i = 0; i < 100; i++)
		CHECK_EQ(reap_wait(host_spawn(host_return, NULL), 0, NULL), 0);
	CHECK_EQ(reads, before);
	host_close(&h);
}
