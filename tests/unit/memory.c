/* SPDX-License-Identifier: ISC */
/*
 * memory.c: a crowd comes and goes, and its memory goes with it.
 */
#include <stdio.h>

#include "worker.h"

#include "host.h"

/* Counted page by page: the running total of statm is off by what each processor has not added yet. */
static size_t
resident(void)
{
	unsigned long	kib = 0;
	char		line[256];
	FILE		*f = fopen("/proc/self/smaps_rollup", "r");

	if (f == NULL)
		return 0;
	while (fgets(line, sizeof(line), f) != NULL && sscanf(line, "Rss: %lu", &kib) != 1)
		continue;
	fclose(f);
	return (size_t)kib * 1024;
}

static void
check_crowd(enum reap_policy policy)
{
	const unsigned	n = 100000;
	struct host	h;
	size_t		before, most;
	struct gate	gate = GATE_INIT;

	gate.open = true;
	host_open(&h, (struct reap_domain_options){ .policy = policy, .stack = { .flags = REAP_STACK_UNGUARDED, .size = 16384 } });
	CHECK_EQ(reap_wait(host_spawn(host_gated, &gate), 0, NULL), 0);
	before = resident();
	for (unsigned i = 0; i < n; i++)
		(void)host_spawn(host_gated, &gate);
	CHECK_EQ(host_stats(&h).live, n);
	host_run();
	most = resident();
	CHECK_EQ(host_stats(&h).zombies, n);
	for (unsigned i = 0; i < n; i++)
		CHECK_EQ(reap_wait_any(REAP_NOHANG, NULL), 0);
	CHECK_EQ(reap_wait_any(REAP_NOHANG, NULL), -ECHILD);
	CHECK(reap_trim(h.domain) > 0);
	CHECK_EQ(host_stats(&h).stacks_resident, 0);
	CHECK(most > before + n * 128);
	/* What is left is the headers of slabs, a page for each 8000 descriptors, and the blocks of those that live. */
	CHECK(resident() < before + ((size_t)1 << 19));
	CHECK_EQ(reap_wait(host_spawn(host_gated, &gate), 0, NULL), 0);		/* and it goes on */
	host_close(&h);
	CHECK(resident() < before + ((size_t)1 << 20));
}

TEST(memory, of_a_crowd_that_left_is_given_back)
{
	if (HOST_SANITIZED || check_emulated() || resident() == 0)
		SKIP("resident memory cannot be seen, or is a sanitizer's or an emulator's");
	check_crowd(REAP_POLICY_PARENT);
}

TEST(memory, of_thin_zombies_is_given_back)
{
	if (HOST_SANITIZED || check_emulated() || resident() == 0)
		SKIP("resident memory cannot be seen, or is a sanitizer's or an emulator's");
	check_crowd(REAP_POLICY_SUCCESSOR);
}

/* By age: time comes from an injected clock. */
static uint64_t	 now = 1;

static uint64_t
the_clock(void *arg)
{
	(void)arg;
	return now;
}

TEST(memory, of_idle_stacks_is_given_back_by_age)
{
	struct host	h;
	uint64_t	due;

	host_open(&h, (struct reap_domain_options){ .clock = the_clock, .stack = { .decay_ns = 1000 } });
	CHECK_EQ(reap_trim_aged(h.domain), UINT64_MAX);		/* nothing is cached */
	for (int i = 0; i < 50; i++)
		(void)host_spawn(host_return, NULL);
	while (reap_wait_any(0, NULL) == 0)
		continue;
	CHECK(host_stats(&h).stacks_resident > 0);
	due = reap_trim_aged(h.domain);
	CHECK(due > now && due <= now + 2000);
	CHECK(host_stats(&h).stacks_resident > 0);		/* not yet */
	for (int i = 0; i < 4 && host_stats(&h).stacks_resident > 0; i++) {
		CHECK(due != UINT64_MAX);
		now = due;
		due = reap_trim_aged(h.domain);
	}
	CHECK_EQ(host_stats(&h).stacks_resident, 0);
	CHECK_EQ(reap_trim_aged(h.domain), UINT64_MAX);
	CHECK(host_stats(&h).stack_bytes_returned > 0);
	host_close(&h);
}

/* Descriptors that have been carved from the domain's slabs. */
static uint32_t
carved(const struct reap_domain *domain)
{
	uint32_t n = 0;

	for (const struct reap__descriptors *slab = domain->slabs; slab != NULL; slab = slab->next)
		n += slab->carved;
	return n;
}

TEST(memory, of_idle_descriptors_is_given_back_by_age)
{
	const int	n = 20000;		/* two slabs and more */
	struct host	h;
	uint64_t	due;

	if (check_divided(100) != 100)
		SKIP("a crowd is too much for an instrumented build, or an emulator");
	host_open(&h, (struct reap_domain_options){ .clock = the_clock, .stack = { .decay_ns = 1000, .flags = REAP_STACK_UNGUARDED } });
	for (int i = 0; i < n; i++)
		(void)host_spawn(host_return, NULL);
	while (reap_wait_any(0, NULL) == 0)
		continue;
	due = reap_trim_aged(h.domain);
	CHECK(carved(h.domain) > (uint32_t)n);
	now += 999;
	(void)reap_trim_aged(h.domain);
	CHECK(carved(h.domain) > (uint32_t)n);		/* not yet */
	for (int i = 0; i < 4 && due != UINT64_MAX; i++) {
		now = due > now ? due : now + 1;
		due = reap_trim_aged(h.domain);
	}
	CHECK_EQ(due, UINT64_MAX);
	CHECK(carved(h.domain) < (uint32_t)n / 2);		/* but for the slab that the base context is in */
	host_close(&h);
}

/* Those that come back after a trim were needed until then, however many had been idle before it. */
TEST(memory, of_descriptors_is_idle_for_a_period_of_its_own)
{
	static struct reap_context	*child[4 * 16384];
	struct host			h;
	uint32_t			slab, left;

	if (check_divided(100) != 100)
		SKIP("a crowd is too much for an instrumented build, or an emulator");
	host_open(&h, (struct reap_domain_options){ .clock = the_clock, .stack = { .decay_ns = 1000, .flags = REAP_STACK_UNGUARDED } });
	slab = h.domain->slabs->capacity;
	CHECK(4 * slab <= sizeof(child) / sizeof(child[0]));
	for (uint32_t i = 0; i < 4 * slab; i++)
		child[i] = host_spawn(host_return, NULL);
	host_run();
	for (uint32_t i = slab - 128; i < 3 * slab + 128; i++)		/* two whole slabs, and little else */
		CHECK_EQ(reap_wait(child[i], 0, NULL), 0);
	now += 1000;
	(void)reap_trim_aged(h.domain);		/* a period begins */
	now += 1000;
	(void)reap_trim_aged(h.domain);
	left = carved(h.domain);
	CHECK(left < 3 * slab);
	now += 500;
	while (reap_wait_any(0, NULL) == 0)
		continue;
	now += 500;
	(void)reap_trim_aged(h.domain);		/* the others have been idle for half of it */
	CHECK_EQ(carved(h.domain), left);
	now += 1000;
	(void)reap_trim_aged(h.domain);
	CHECK(carved(h.domain) <= slab);	/* the one that the base context is in */
	host_close(&h);
}
