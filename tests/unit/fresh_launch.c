/* SPDX-License-Identifier: ISC */
/*
 * fresh_launch.c: contexts that have not run, and what launches them: a worker that sleeps, or one who ends and leaves them its stack.
 */
#include <unwind.h>

#include "fresh.h"
#include "misuse.h"

#if defined(REAP_MD_LAUNCH) && !REAP__SAN_WATCHES_STACKS
#define HANDS_OVER	true
#else
#define HANDS_OVER	false		/* a sanitizer is told who is on which stack, or the machine layer does not launch */
#endif

/* Where contexts have run: at most so many places are told apart. */
static struct {
	uintptr_t	at[256];
	unsigned	n, runs;
} stacks;

static intptr_t
notes_its_stack(void *arg)
{
	struct reap_stack_info	info;
	unsigned		i;

	CHECK_EQ(reap_stack_lookup(arg, __builtin_frame_address(0), &info), 0);
	CHECK(info.context == reap_worker_current(reap_worker_self()));
	CHECK(!info.guard);
	for (i = 0; i < stacks.n && stacks.at[i] != (uintptr_t)info.lo; i++)
		continue;
	if (i == stacks.n && i < sizeof(stacks.at) / sizeof(stacks.at[0]))
		stacks.at[stacks.n++] = (uintptr_t)info.lo;
	stacks.runs++;
	return 3;
}

TEST(fresh, one_after_the_other_runs_on_one_stack)
{
	struct host	h;
	const unsigned	n = REAP_STACK_CACHE_DEFAULT / 2;

	open_fresh(&h, (struct reap_domain_options){ 0 });
	warm(n);
	if (!promises(&h))
		SKIP("this machine layer makes the frame of a context at its birth");
	for (unsigned i = 0; i < n; i++)
		(void)spawn_fresh(&h, notes_its_stack, h.domain);
	host_run();
	CHECK_EQ(stacks.runs, n);
	/* Else who ends puts its stack back when the next one has one already. */
	CHECK_EQ(stacks.n, HANDS_OVER ? 1 : 2);
	for (unsigned i = 0; i < n; i++)
		CHECK_EQ(reap_wait_any(0, NULL), 0);
	host_close(&h);
}

TEST(fresh, a_thousand_touch_few_stacks)
{
	struct host		h;
	const unsigned		n = 1000, batch = REAP_STACK_CACHE_DEFAULT / 2;
	struct reap_stats	stats;

	open_fresh(&h, (struct reap_domain_options){ 0 });
	warm(n);
	if (!promises(&h))
		SKIP("this machine layer makes the frame of a context at its birth");
	for (unsigned i = 0; i < n; i++)
		(void)host_spawn(notes_its_stack, h.domain);
	stats = host_stats(&h);
	CHECK_EQ(stats.live, n);
	host_run();
	CHECK_EQ(stacks.runs, n);
	CHECK(stacks.n <= n / batch + 4);	/* who comes when the cache is empty brings a batch, and has one of that */
	for (unsigned i = 0; i < n; i++)
		CHECK_EQ(reap_wait_any(0, NULL), 0);
	stats = host_stats(&h);
	CHECK_EQ(stats.created, 2 * n);
	CHECK_EQ(stats.exited, 2 * n);
	CHECK_EQ(stats.reaped, 2 * n);
	CHECK_EQ(stats.landings_posted, 2 * n);
	CHECK_EQ(stats.handed_direct + stats.handed_base, 2 * n);
	CHECK_EQ(stats.ledger[REAP_PAYER_SUCCESSOR].stacks, 2 * n);
	CHECK_EQ(stats.stacks_cached, stats.stacks_mapped);
	CHECK_EQ(stats.stacks_mapped, n > stats.stacks_mapped ? 0 : stats.stacks_mapped);
	host_close(&h);
}

#ifdef __x86_64__

enum { NEAREST, DOWN, UP, TO_ZERO };

static intptr_t
rounding(void *arg)
{
	uint16_t x87;

	(void)arg;
	__asm__ volatile ("fnstcw %0" : "=m" (x87));
	return (x87 >> 10 & 3) | (intptr_t)(__builtin_ia32_stmxcsr() >> 13 & 3) << 8;
}

/* The two units need not agree: so it is seen which of them was forgotten. */
static void
round_so(unsigned mxcsr, unsigned x87)
{
	uint16_t cw;

	__asm__ volatile ("fnstcw %0" : "=m" (cw));
	cw = (uint16_t)((cw & ~0xc00u) | x87 << 10);
	__asm__ volatile ("fldcw %0" : : "m" (cw));
	__builtin_ia32_ldmxcsr((__builtin_ia32_stmxcsr() & ~0x6000u) | mxcsr << 13);
}

static intptr_t
spawns_rounding(void *arg)
{
	struct reap_context	*child[16];
	struct host		*h = arg;

	for (unsigned i = 0; i < 16; i++) {
		round_so(i % 4, i / 4);
		child[i] = spawn_fresh(h, rounding, NULL);
	}
	/* The first is launched by us, who sleep; each other one by the one before; the last again by one who sleeps. */
	round_so(DOWN, UP);
	for (unsigned i = 0; i < 16; i++)
		wait_for(child[i], i / 4 | i % 4 << 8);
	CHECK_EQ(rounding(NULL), UP | DOWN << 8);
	round_so(NEAREST, TO_ZERO);
	child[0] = spawn_fresh(h, rounding, NULL);
	round_so(DOWN, UP);
	wait_for(child[0], TO_ZERO | NEAREST << 8);
	CHECK_EQ(rounding(NULL), UP | DOWN << 8);
	return 0;
}

TEST(fresh, rounds_as_its_maker_did)
{
	struct host		h;
	struct reap_context	*child[4];

	open_fresh(&h, (struct reap_domain_options){ 0 });
	warm(24);
	wait_for(spawn_fresh(&h, spawns_rounding, &h), 0);
	/* And by a base context. */
	for (unsigned i = 0; i < 4; i++) {
		round_so(i, 3 - i);
		child[i] = spawn_fresh(&h, rounding, NULL);
	}
	for (unsigned i = 0; i < 4; i++) {
		round_so(UP, UP);
		wait_for(child[i], (3 - i) | i << 8);
	}
	round_so(NEAREST, NEAREST);
	host_close(&h);
}

#endif

/* A backtrace on a stack that was handed over ends at its bottom. */
static _Unwind_Reason_Code
count_frame(struct _Unwind_Context *uc, void *arg)
{
	unsigned *frames = arg;

	if (_Unwind_GetIP(uc) == 0 || ++*frames == 64)
		return _URC_END_OF_STACK;
	return _URC_NO_REASON;
}

static intptr_t
backtraces(void *arg)
{
	unsigned frames = 0;

	(void)arg;
	(void)_Unwind_Backtrace(count_frame, &frames);
	return frames;
}

TEST(fresh, a_backtrace_ends)
{
	struct host		h;
	struct reap_result	result;

	open_fresh(&h, (struct reap_domain_options){ 0 });
	warm(8);
	for (unsigned i = 0; i < 4; i++)
		(void)spawn_fresh(&h, backtraces, NULL);
	host_run();
	for (unsigned i = 0; i < 4; i++) {
		CHECK_EQ(reap_wait_any(0, &result), 0);
		CHECK(result.status >= 2 && result.status < 16);
	}
	host_close(&h);
}

/* -- who ends, and is followed by one who is fresh */

static struct {
	struct reap_handle	 handle;	/* of the one who ends */
	pthread_t		 joiner;
	struct reap_context	*it;		/* whose name next() gives away; then NULL */
	struct reap_result	 result;
} named;

static void *
joins(void *arg)
{
	(void)arg;
	CHECK_EQ(reap_join(named.handle, 0, &named.result), 0);
	return NULL;
}

/* A thread that is no worker waits for the one who has just ended. */
static struct reap_context *
next_names(struct reap_worker *worker)
{
	struct reap_context *dying = reap_worker_current(worker);

	if (dying == named.it) {
		named.it = NULL;
		named.handle = reap_context_handle(dying);
		CHECK_EQ(pthread_create(&named.joiner, NULL, joins, NULL), 0);
		while (REAP_LOAD_RELAXED(&dying->done.reap__word) == REAP__PENDING)
			(void)sched_yield();
	}
	return host_next(worker);
}

TEST(fresh, follows_one_who_was_named_at_its_end)
{
	struct reap_host	callbacks = host_alone;
	struct host		h;
	struct reap_context	*next;

	callbacks.next = next_names;
	open_fresh(&h, (struct reap_domain_options){ .host = &callbacks });
	warm(4);
	named.it = spawn_fresh(&h, host_return, (void *)4);
	next = spawn_fresh(&h, host_return, (void *)5);
	host_run();
	CHECK_EQ(pthread_join(named.joiner, NULL), 0);
	CHECK_EQ(named.result.status, 4);
	wait_for(next, 5);
	CHECK_EQ(reap_children(), 0);
	host_close(&h);
}

/* Aligned: what is left of its address where an inbox should be looks like a list then. */
static __attribute__((aligned(16))) intptr_t
waits_for_three(void *arg)
{
	struct host		*h = arg;
	struct reap_result	result;
	struct reap_context	*child[3];
	intptr_t		seen = 0;

	for (unsigned i = 0; i < 3; i++)
		child[i] = spawn_fresh(h, host_return, (void *)(uintptr_t)(1u << i));
	for (unsigned i = 0; i < 3; i++) {
		CHECK_EQ(reap_wait_any(0, &result), 0);
		seen |= result.status;
	}
	for (unsigned i = 0; i < 3; i++)
		child[i] = spawn_fresh(h, host_return, (void *)(uintptr_t)(8u << i));
	/* We sleep for the last; the first two end for one who is fresh, the last one for us. */
	for (unsigned i = 3; i-- > 0;) {
		CHECK_EQ(reap_wait(child[i], 0, &result), 0);
		seen |= result.status;
	}
	return seen;
}

TEST(fresh, siblings_of_one_whose_parent_sleeps)
{
	struct host		h;
	struct reap_host	callbacks = host_alone;

	for (unsigned direct = 0; direct < 2; direct++)
		for (enum reap_policy policy = REAP_POLICY_ADAPTIVE; policy <= REAP_POLICY_SUCCESSOR; policy++) {
			struct reap_context	*parent[3];
			struct reap_stats	 stats;

			callbacks.direct = direct;
			open_fresh(&h, (struct reap_domain_options){ .host = &callbacks, .policy = policy });
			warm(24);
			/* The first is switched to, the others are launched. */
			parent[0] = spawn_fresh(&h, host_return, (void *)1);
			parent[1] = spawn_fresh(&h, waits_for_three, &h);
			parent[2] = spawn_fresh(&h, waits_for_three, &h);
			host_run();
			wait_for(parent[0], 1);
			wait_for(parent[1], 63);
			wait_for(parent[2], 63);
			wait_for(spawn_fresh(&h, waits_for_three, &h), 63);
			stats = host_stats(&h);
			CHECK_EQ(stats.stacks_cached, stats.stacks_mapped);
			CHECK_EQ(stats.ledger[REAP_PAYER_PARENT].contexts, stats.created);
			if (policy == REAP_POLICY_PARENT)
				CHECK_EQ(stats.ledger[REAP_PAYER_PARENT].stacks, stats.created);
			else if (policy == REAP_POLICY_SUCCESSOR)
				CHECK_EQ(stats.ledger[REAP_PAYER_SUCCESSOR].stacks, stats.created);
			host_close(&h);
		}
}

/* Plain ones, shared ones, pinned ones and such as have run, each behind each. */
TEST(fresh, follows_and_is_followed_by_all_kinds)
{
	struct host		h;
	struct reap_result	result;
	intptr_t		sum = 0;
	unsigned		n = 0;

	open_fresh(&h, (struct reap_domain_options){ 0 });
	warm(40);
	for (unsigned i = 0; i < 64; i++)
		for (unsigned k = 0; k < 3; k++) {
			uintptr_t	status = ++n;
			unsigned	kind = (i >> 2 * k) & 3;

			if (kind == 0)
				(void)host_spawn(host_return, (void *)status);
			else if (kind == 1)
				(void)host_create((struct reap_context_options){ .entry = host_return, .arg = (void *)status,
				    .flags = REAP_CONTEXT_PINNED });
			else if (kind == 2)
				(void)host_spawn(yields, (void *)status);
			else
				(void)reap_context_handle(host_spawn(host_return, (void *)status));
			sum -= (intptr_t)status;
		}
	host_run();
	while (reap_wait_any(0, &result) == 0)
		sum += result.status;
	CHECK_EQ(sum, 0);
	CHECK_EQ(host_stats(&h).stacks_cached, host_stats(&h).stacks_mapped);
	host_close(&h);
}

/* -- nobody runs those of another worker */

static struct reap_context *theirs;
static struct latch made = LATCH_INIT, met = LATCH_INIT;

static void *
makes_one(void *arg)
{
	struct host		*h = arg;
	struct host_worker	 me = { .host = h };
	struct reap_worker	*worker;

	CHECK_EQ(reap_worker_start(h->domain, &me, &worker), 0);
	/* In turn: a worker that has a stack at hand. */
	CHECK_EQ(reap_wait(host_spawn(host_return, NULL), 0, NULL), 0);
	CHECK_EQ(reap_spawn(worker, host_return, NULL, &theirs), 0);
	latch_hit(&made);
	latch_await(&met, 1);
	host_ready(theirs);
	CHECK_EQ(reap_wait(theirs, 0, NULL), 0);
	CHECK_EQ(reap_worker_stop(worker), 0);
	return NULL;
}

static bool choosing;

static struct reap_context *
next_theirs(struct reap_worker *worker)
{
	struct reap_context *context = host_next(worker);

	return context == NULL && choosing ? theirs : context;
}

static void
runs_to_the_end(void *arg)
{
	struct reap_context *child;

	(void)arg;
	choosing = true;
	CHECK_EQ(reap_spawn(reap_worker_self(), host_return, NULL, &child), 0);
	host_ready(child);
	(void)reap_yield(reap_worker_self());
}

static intptr_t
sleeps_for_theirs(void *arg)
{
	struct reap_context *child;

	(void)arg;
	CHECK_EQ(reap_spawn(reap_worker_self(), host_return, NULL, &child), 0);
	(void)reap_wait(child, 0, NULL);	/* nobody readies it */
	return 0;
}

static void
runs_to_sleep(void *arg)
{
	(void)arg;
	choosing = true;
	(void)host_spawn(sleeps_for_theirs, NULL);
	(void)reap_yield(reap_worker_self());
}

TEST(fresh, of_another_worker_is_not_run)
{
	struct reap_host	callbacks = { .next = next_theirs, .ready = host_ready, .shares = true };
	struct host		h;
	pthread_t		thread;

	callbacks.idle = host_idle;
	callbacks.wake = host_wake;
	host_open(&h, (struct reap_domain_options){ .host = &callbacks });
	CHECK_EQ(reap_wait(host_spawn(host_return, NULL), 0, NULL), 0);
	CHECK_EQ(pthread_create(&thread, NULL, makes_one, &h), 0);
	latch_await(&made, 1);
	CHECK_MISUSE("pinned", runs_to_the_end, NULL);
	CHECK_MISUSE("pinned", runs_to_sleep, NULL);
	latch_hit(&met);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	host_close(&h);
}
