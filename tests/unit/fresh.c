/* SPDX-License-Identifier: ISC */
/*
 * fresh.c: contexts that have not run.  Their stack is promised, and given to them when they run: of the worker's cache, or of the
 * one who ends for them, which is in fresh_launch.c.
 */
#include "os/os.h"

#include "fresh.h"

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

#if REAP__LSAN
static intptr_t
frees(void *arg)
{
	free(arg);
	return 0;
}

/* Nobody but the child knows of the block; what this function knew is overwritten. */
static __attribute__((noinline)) struct reap_context *
spawn_with_a_block(struct host *h)
{
	return spawn_fresh(h, frees, malloc(77));
}

static __attribute__((noinline)) void
overwrite(void)
{
	volatile char stack[4096];

	for (size_t i = 0; i < sizeof(stack); i++)
		stack[i] = 0;
}
#endif

TEST(fresh, what_it_will_be_given_is_no_leak)
{
#if REAP__LSAN
	struct reap_context	*child;
	struct host		h;

	open_fresh(&h, (struct reap_domain_options){ 0 });
	warm(4);
	child = spawn_with_a_block(&h);
	overwrite();
	CHECK_EQ(__lsan_do_recoverable_leak_check(), 0);
	wait_for(child, 0);
	host_close(&h);
#else
	SKIP("there is no LeakSanitizer to be asked");
#endif
}

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

/* It is settled where it runs: until then nothing of the stack is read or written. */
TEST(fresh, one_that_is_shared_takes_its_stack_along)
{
	struct host			h;
	struct reap_exit_listener	stale = { .exiting = must_not_hear };
	struct reap_context		*child;
	struct reap__stack		*stack;
	struct reap__live		*live;
	bool				dirty;

	open_fresh(&h, (struct reap_domain_options){ 0 });
	warm(4);
	child = spawn_fresh(&h, host_return, (void *)5);
	stack = h.worker->cache.list;
	live = reap__live_of(stack);
	dirty = promises(&h) && !HOST_SANITIZED;	/* sanitizers know that it is nobody's */
	if (dirty) {
		live->clean = NULL;
		live->young.listeners = &stale;
	}
	CHECK_EQ(reap_context_share(child), 0);
	CHECK_EQ(reap__fresh(child), promises(&h));
	CHECK_EQ(reap_context_state(child), REAP_STATE_NEW);
	CHECK(!promises(&h) || (child->stack == stack && child->live == live));
	CHECK(!dirty || live->young.listeners == &stale);
	CHECK_EQ(reap_exit_unlisten(child, &stale), -ENOENT);
	wait_for(child, 5);
	CHECK_EQ(host_stats(&h).live, 0);
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

static void *
joins(void *arg)
{
	CHECK_EQ(reap_join(*(struct reap_handle *)arg, 0, NULL), 0);
	return NULL;
}

static intptr_t
loses_to_joiners(void *arg)
{
	static struct reap_handle handle[40];
	struct reap_context	*last;
	pthread_t		joiner;

	(void)arg;
	for (unsigned i = 0; i < 40; i++)
		handle[i] = reap_context_handle(host_spawn(host_return, NULL));
	host_yield();
	for (unsigned i = 0; i < 40; i++) {
		CHECK_EQ(pthread_create(&joiner, NULL, joins, &handle[i]), 0);
		CHECK_EQ(pthread_join(joiner, NULL), 0);
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
