/* SPDX-License-Identifier: ISC */
/*
 * fresh.c: contexts that have not run.  Their stack is promised, and given to them when they run: of the worker's cache, or of the
 * one who ends for them.
 */
#include <unwind.h>

#include "os/os.h"

#include "host.h"
#include "misuse.h"
#include "plain.h"

#if defined(REAP_MD_LAUNCH) && !REAP__SAN_WATCHES_STACKS
#define HANDS_OVER	true
#else
#define HANDS_OVER	false		/* a sanitizer is told who is on which stack, or the machine layer does not launch */
#endif

static void
open_fresh(struct host *h, struct reap_domain_options options)
{
	struct reap_host callbacks = options.host != NULL ? *options.host : host_alone;

	callbacks.shares = true;
	options.host = &callbacks;
	host_open(h, options);
}

/* Whether the worker's contexts are born plain, and have no stack until they run. */
static bool
promises(const struct host *h)
{
#ifdef REAP_MD_LAUNCH
	return h->worker->birth != 0;
#else
	(void)h;
	return false;
#endif
}

/* n lives at a time: so many stacks are in the cache, or in the depot, from then on. */
static void
warm(unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		(void)host_spawn(host_return, NULL);
	host_run();
	for (unsigned i = 0; i < n; i++)
		CHECK_EQ(reap_wait_any(0, NULL), 0);
}

static struct reap_context *
spawn_fresh(const struct host *h, reap_entry *entry, void *arg)
{
	struct reap_context *context = host_spawn(entry, arg);

	CHECK_EQ(reap__fresh(context), promises(h));
	return context;
}

static void
wait_for(struct reap_context *child, intptr_t status)
{
	struct reap_result result;

	CHECK_EQ(reap_wait(child, 0, &result), 0);
	CHECK_EQ(result.status, status);
}

struct holder {
	void	*wanted;
	unsigned found, states;
};

static void
look(struct reap_context *context, void *arg)
{
	struct holder	*holder = arg;
	const void	*lo, *sp, *hi;

	if (reap_context_stack(context, &lo, &sp, &hi) != 0 || sp == NULL)
		return;
	CHECK((uintptr_t)lo <= (uintptr_t)sp && (uintptr_t)sp < (uintptr_t)hi);
	for (void *const *p = sp; (uintptr_t)p < (uintptr_t)hi; p++)
		holder->found += *p == holder->wanted;
	holder->states += reap_context_state(context) == REAP_STATE_NEW;
}

TEST(fresh, has_no_stack_but_what_a_collector_needs)
{
	struct host		h;
	struct reap_context	*child;
	int			object;
	struct holder		holder = { &object, 0, 0 };

	open_fresh(&h, (struct reap_domain_options){ 0 });
	warm(4);
	child = spawn_fresh(&h, host_return, &object);
	CHECK_EQ(reap_context_state(child), REAP_STATE_NEW);
	CHECK(reap_context_home(child) == h.worker);
	CHECK_EQ(reap_domain_for_each(h.domain, look, &holder), 2);	/* and the base context */
	CHECK_EQ(holder.states, 1);
#if REAP__VALGRIND
	(void)VALGRIND_MAKE_MEM_DEFINED(&holder.found, sizeof(holder.found));	/* a collector reads what nobody wrote, too */
#endif
#if !HOST_SANITIZED
	CHECK(holder.found >= 1);
#endif
	CHECK_EQ(host_stats(&h).live, 1);
	wait_for(child, (intptr_t)&object);
	CHECK_EQ(host_stats(&h).live, 0);
	host_close(&h);
}

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

static intptr_t
must_not_run(void *arg)
{
	(void)arg;
	CHECK(!"it ran");
	return 0;
}

static void *
destroys(void *arg)
{
	CHECK_EQ(reap_context_destroy(arg, 12), 0);
	return NULL;
}

TEST(fresh, destroyed_before_it_ran)
{
	struct host		h;
	struct reap_context	*child[2];
	pthread_t		thread;

	open_fresh(&h, (struct reap_domain_options){ 0 });
	warm(4);
	for (unsigned i = 0; i < 2; i++) {
		CHECK_EQ(reap_spawn(h.worker, must_not_run, NULL, &child[i]), 0);
		CHECK_EQ(reap__fresh(child[i]), promises(&h));
	}
	CHECK_EQ(reap_context_destroy(child[0], 11), 0);
	/* Another thread, while this one stands still. */
	CHECK_EQ(pthread_create(&thread, NULL, destroys, child[1]), 0);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	wait_for(child[0], 11);
	wait_for(child[1], 12);
	warm(8);
	host_close(&h);
}

TEST(fresh, keeps_its_worker_from_stopping)
{
	struct host		h;
	struct reap_context	*child;

	open_fresh(&h, (struct reap_domain_options){ 0 });
	warm(4);
	child = spawn_fresh(&h, host_return, (void *)5);
	CHECK_EQ(reap_worker_stop(h.worker), -EBUSY);
	CHECK_EQ(reap_domain_destroy(h.domain, NULL, NULL), -EBUSY);
	wait_for(child, 5);
	host_close(&h);
}

TEST(fresh, shared_and_named)
{
	struct host		h;
	struct reap_context	*shared, *named;
	struct reap_handle	handle;
	enum reap_state		state;
	const void		*lo, *sp, *hi;

	open_fresh(&h, (struct reap_domain_options){ 0 });
	warm(4);
	shared = spawn_fresh(&h, host_return, (void *)1);
	named = spawn_fresh(&h, host_return, (void *)2);
	CHECK_EQ(reap_context_share(shared), 0);
	CHECK(reap_context_home(shared) == NULL);
	handle = reap_context_handle(named);
	CHECK_EQ(reap_peek(handle, &state, NULL), 0);
	CHECK_EQ(state, REAP_STATE_NEW);
	CHECK_EQ(reap_context_stack(named, &lo, &sp, &hi), 0);
	CHECK((uintptr_t)hi - (uintptr_t)lo > 1024);	/* a stack */
	CHECK_EQ(reap_join(handle, REAP_NOHANG, NULL), -EAGAIN);
	CHECK_EQ(reap_join(handle, 0, NULL), 0);
	CHECK_EQ(reap_join(handle, 0, NULL), -ESRCH);
	wait_for(shared, 1);
	host_close(&h);
}

TEST(fresh, one_that_is_shared_runs_elsewhere)
{
	struct host		h;
	struct host_thread	t;
	struct reap_host	callbacks = host_shared;
	struct reap_context	*child;
	struct latch		ran = LATCH_INIT;

	callbacks.shares = true;
	host_open_shared(&h, (struct reap_domain_options){ .host = &callbacks });
	warm(4);
	CHECK_EQ(reap_spawn(h.worker, host_return, (void *)9, &child), 0);
	CHECK_EQ(reap__fresh(child), promises(&h));
	CHECK_EQ(reap_context_share(child), 0);
	host_thread_start(&t, &h);
	host_ready(child);
	wait_for(child, 9);
	host_thread_stop(&t);
	CHECK_EQ(latch_count(&ran), 0);
	host_close(&h);
}

static unsigned heard;

static void
hears(struct reap_exit_listener *listener, struct reap_context *dying, intptr_t status)
{
	(void)listener;
	CHECK(dying == reap_worker_current(reap_worker_self()));
	CHECK_EQ(status, 6);
	heard++;
}

TEST(fresh, listened_to)
{
	struct host			h;
	struct reap_exit_listener	listener = { .exiting = hears }, other = { .exiting = hears };
	struct reap_context		*child, *deaf;

	open_fresh(&h, (struct reap_domain_options){ 0 });
	warm(4);
	deaf = spawn_fresh(&h, host_return, (void *)7);
	CHECK_EQ(reap_exit_unlisten(deaf, &other), -ENOENT);
	child = spawn_fresh(&h, host_return, (void *)6);
	reap_exit_listen(child, &listener);
	reap_exit_listen(child, &other);
	CHECK_EQ(reap_exit_unlisten(child, &other), 0);
	host_run();
	CHECK_EQ(heard, 1);
	wait_for(child, 6);
	wait_for(deaf, 7);
	/* Its stack is not to be taken for one on which a plain life ended. */
	warm(8);
	CHECK_EQ(heard, 1);
	host_close(&h);
}

static void
must_not_hear(struct reap_exit_listener *listener, struct reap_context *dying, intptr_t status)
{
	(void)listener;
	(void)dying;
	(void)status;
	CHECK(!"of one who was destroyed");
}

/* A stack knows whether it was left as a plain life leaves it. */
TEST(fresh, has_nothing_of_who_was_destroyed)
{
	struct host			h;
	struct reap_exit_listener	theirs = { .exiting = must_not_hear }, mine = { .exiting = hears };
	struct reap_context		*child;

	open_fresh(&h, (struct reap_domain_options){ 0 });
	warm(1);
	CHECK_EQ(reap_spawn(h.worker, must_not_run, NULL, &child), 0);
	CHECK_EQ(reap__fresh(child), promises(&h));
	reap_exit_listen(child, &theirs);
	CHECK_EQ(reap_context_destroy(child, 1), 0);
	wait_for(child, 1);
	child = spawn_fresh(&h, host_return, (void *)6);
	reap_exit_listen(child, &mine);
	wait_for(child, 6);
	CHECK_EQ(heard, 1);
	host_close(&h);
}

TEST(fresh, waited_for_without_patience)
{
	struct host		h;
	struct reap_context	*child;

	open_fresh(&h, (struct reap_domain_options){ 0 });
	warm(4);
	child = spawn_fresh(&h, host_return, (void *)8);
	CHECK_EQ(reap_wait(child, REAP_NOHANG, NULL), -EAGAIN);
	CHECK_EQ(reap_wait(child, REAP_NOHANG | REAP_PEEK, NULL), -EAGAIN);
	CHECK_EQ(reap_wait_any(REAP_NOHANG, NULL), -EAGAIN);
	CHECK_EQ(reap_children(), 1);
	wait_for(child, 8);
	CHECK_EQ(reap_wait_any(REAP_NOHANG, NULL), -ECHILD);
	host_close(&h);
}

TEST(fresh, detached)
{
	struct host		h;
	struct reap_context	*child;

	open_fresh(&h, (struct reap_domain_options){ 0 });
	warm(4);
	child = spawn_fresh(&h, host_return, NULL);
	CHECK_EQ(reap_detach(reap_context_handle(child)), 0);
	CHECK_EQ(reap_children(), 0);
	host_run();
	CHECK_EQ(reap_adopter_drain(reap_adopter_default(h.domain), 10), 1);
	CHECK_EQ(host_stats(&h).reaped, 5);
	host_close(&h);
}

TEST(fresh, what_is_promised_is_not_trimmed)
{
	struct host		h;
	struct reap_context	*child[20];

	open_fresh(&h, (struct reap_domain_options){ .stack = { .cache = 16 } });
	warm(40);
	for (unsigned i = 0; i < 5; i++)
		child[i] = spawn_fresh(&h, host_return, (void *)(uintptr_t)i);
	CHECK(reap_trim(h.domain) > 0);
	CHECK_EQ(host_stats(&h).stacks_resident, 0);
	CHECK_EQ(host_stats(&h).stacks_mapped - host_stats(&h).stacks_cached, promises(&h) ? 5 : 5);
	for (unsigned i = 5; i < 20; i++)
		child[i] = host_spawn(host_return, (void *)(uintptr_t)i);
	(void)reap_trim(h.domain);
	for (unsigned i = 20; i-- > 10;)
		wait_for(child[i], i);
	(void)reap_trim(h.domain);
	for (unsigned i = 0; i < 10; i++)
		wait_for(child[i], i);
	CHECK_EQ(host_stats(&h).stacks_cached, host_stats(&h).stacks_mapped);
	(void)reap_trim(h.domain);
	CHECK_EQ(host_stats(&h).stacks_resident, 0);
	host_close(&h);
}

static void *
trims(void *arg)
{
	(void)reap_trim(arg);
	return NULL;
}

TEST(fresh, a_create_follows_a_trim_by_another_thread)
{
	struct host		h;
	struct reap_context	*child;
	pthread_t		thread;

	open_fresh(&h, (struct reap_domain_options){ 0 });
	warm(8);
	CHECK_EQ(host_stats(&h).stacks_resident, 8);
	CHECK_EQ(pthread_create(&thread, NULL, trims, h.domain), 0);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	CHECK_EQ(host_stats(&h).stacks_resident, 8);
	child = host_spawn(host_return, NULL);
	CHECK_EQ(host_stats(&h).stacks_resident, 0);
	CHECK_EQ(reap_wait(child, 0, NULL), 0);
	host_close(&h);
}

static intptr_t
yields(void *arg)
{
	host_yield();
	return (intptr_t)arg;
}

/* In an order that has nothing to do with that of their birth; in odd rounds all are there at the same time. */
TEST(fresh, more_than_a_cache_holds)
{
	struct host		h;
	static struct reap_context *child[200];

	for (unsigned cache = 2; cache < 20; cache += 3) {
		open_fresh(&h, (struct reap_domain_options){ .stack = { .cache = cache, .depot = 50 } });
		warm(60);
		for (unsigned round = 0; round < 4; round++) {
			for (unsigned i = 0; i < 200; i++) {
				CHECK_EQ(reap_spawn(h.worker, round & 1 ? yields : host_return, (void *)(uintptr_t)i, &child[i]),
				    0);
				/* Some end meanwhile, and some are trimmed. */
				if (i % 7 == round) {
					host_ready(child[i]);
					wait_for(child[i], i);
					child[i] = NULL;
				}
				if (i == 50 * round)
					(void)reap_trim(h.domain);
			}
			for (unsigned i = 0; i < 200; i++)
				if (child[i * 77 % 200] != NULL)
					host_ready(child[i * 77 % 200]);
			for (unsigned i = 0; i < 200; i++)
				if (child[i] != NULL)
					wait_for(child[i], i);
			CHECK_EQ(host_stats(&h).stacks_cached, host_stats(&h).stacks_mapped);
		}
		host_close(&h);
	}
}

TEST(fresh, counts_against_the_limit)
{
	struct host		h;
	struct reap_context	*child[8], *more;

	open_fresh(&h, (struct reap_domain_options){ .limit = 8 });
	warm(8);
	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = 0; i < 8; i++)
			child[i] = spawn_fresh(&h, host_return, (void *)(uintptr_t)i);
		CHECK_EQ(reap_spawn(h.worker, host_return, NULL, &more), -EAGAIN);
		for (unsigned i = 0; i < 8; i++)
			wait_for(child[i], i);
	}
	CHECK_EQ(host_stats(&h).limit_hits, 3);
	host_close(&h);
}

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

TEST(fresh, a_burst_before_any_runs)
{
	struct host		h;
	/* Guards that are mappings of their own, and 32 bits, have room for fewer. */
	const unsigned		n = (unsigned)check_divided(HOST_SANITIZED || !reap__os_marker_works() || sizeof(void *) < 8 ?
				    4000 : 100000);
	struct reap_stats	stats;

	open_fresh(&h, (struct reap_domain_options){ .stack = { .size = reap_stack_minimum() } });
	warm(200);
	for (unsigned i = 0; i < n; i++)
		(void)host_spawn(host_return, (void *)(uintptr_t)(i & 3));
	CHECK_EQ(host_stats(&h).live, n);
	host_run();
	for (unsigned i = 0; i < n; i++)
		CHECK_EQ(reap_wait_any(0, NULL), 0);
	stats = host_stats(&h);
	CHECK_EQ(stats.live, 0);
	CHECK_EQ(stats.zombies, 0);
	CHECK_EQ(stats.stacks_cached, stats.stacks_mapped);
	/* Whoever collects brings the depot back to its cap, and has collected often enough. */
	CHECK(stats.stacks_resident <= REAP_STACK_CACHE_DEFAULT + REAP_STACK_DEPOT_DEFAULT);
	host_close(&h);
}

/* Fewer than make a worker hand on descriptors. */
TEST(fresh, a_burst_goes_back_to_the_cap)
{
	struct host	h;
	const unsigned	n = 900;

	open_fresh(&h, (struct reap_domain_options){ .stack = { .cache = 8, .depot = 16 } });
	for (unsigned i = 0; i < n; i++)
		(void)host_spawn(host_return, NULL);
	host_run();
	for (unsigned i = 0; i < n; i++)
		CHECK_EQ(reap_wait_any(0, NULL), 0);
	CHECK(host_stats(&h).stacks_resident <= 8 + 16);
	host_close(&h);
}

static intptr_t
looks_at_the_cache(void *arg)
{
	const struct reap__stack_cache *cache = &((struct host *)arg)->worker->cache;

	CHECK(cache->count <= cache->batch);
	CHECK(cache->nspare <= cache->batch);
	return 0;
}

/* Others have filled it again when those who were promised stacks run, and need none. */
TEST(fresh, does_not_overfill_the_cache)
{
	struct host		h;
	struct reap_context	*child[40];
	const unsigned		batch = 8;

	open_fresh(&h, (struct reap_domain_options){ .stack = { .cache = 2 * batch } });
	warm(64);
	for (unsigned i = 0; i < 40; i++)
		CHECK_EQ(reap_spawn(h.worker, looks_at_the_cache, &h, &child[i]), 0);
	warm(batch);
	for (unsigned i = 0; i < 40; i++)
		host_ready(child[i]);
	host_run();
	for (unsigned i = 0; i < 40; i++)
		CHECK_EQ(reap_wait_any(0, NULL), 0);
	CHECK_EQ(host_stats(&h).stacks_cached, host_stats(&h).stacks_mapped);
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

/* -- who is shared is counted as that */

static int shared_here;

static void
shares_parent(struct reap_context *dead, intptr_t status)
{
	(void)dead;
	(void)status;
	shared_here = reap_context_share(reap_worker_current(reap_worker_self()));
}

static intptr_t
collects_shared(void *arg)
{
	struct reap_context *child = host_create((struct reap_context_options){ .entry = host_return, .off_cpu = shares_parent });

	(void)arg;
	(void)reap_context_handle(child);
	CHECK_EQ(reap_wait(child, 0, NULL), 0);
	return 0;
}

TEST(fresh, a_parent_is_shared_when_its_last_child_is_collected)
{
	struct host h;

	open_fresh(&h, (struct reap_domain_options){ 0 });
	shared_here = 1;
	CHECK_EQ(reap_wait(host_spawn(collects_shared, NULL), 0, NULL), 0);
	CHECK_EQ(shared_here, 0);
	host_close(&h);
}

static intptr_t
loses_to_joiners(void *arg)
{
	static struct reap_handle handle[40];
	struct reap_context	*last;

	(void)arg;
	for (unsigned i = 0; i < 40; i++)
		handle[i] = reap_context_handle(host_spawn(host_return, NULL));
	host_yield();
	for (unsigned i = 0; i < 40; i++) {
		named.handle = handle[i];
		CHECK_EQ(pthread_create(&named.joiner, NULL, joins, NULL), 0);
		CHECK_EQ(pthread_join(named.joiner, NULL), 0);
	}
	CHECK_EQ(reap_children(), 0);
	last = host_spawn(host_return, NULL);	/* which makes us look */
	CHECK_EQ(reap_context_share(reap_worker_current(reap_worker_self())), -EBUSY);
	CHECK_EQ(reap_wait(last, 0, NULL), 0);
	CHECK_EQ(reap_context_share(reap_worker_current(reap_worker_self())), 0);
	return 0;
}

TEST(fresh, a_parent_is_shared_when_others_have_taken_its_children)
{
	struct host h;

	open_fresh(&h, (struct reap_domain_options){ 0 });
	CHECK_EQ(reap_wait(host_spawn(loses_to_joiners, NULL), 0, NULL), 0);
	host_close(&h);
}
