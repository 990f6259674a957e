/* SPDX-License-Identifier: ISC */
/*
 * policy.c: who frees the stack: what is left of a dead context under each policy, and who is charged for it.
 */
#include <sys/mman.h>

#include "context.h"
#include "host.h"

static uint64_t
stacks_live(const struct host *h)
{
	struct reap_stats stats = host_stats(h);

	return stats.stacks_mapped - stats.stacks_cached;
}

static bool
is_fat(const struct reap_context *zombie)
{
	const void	*lo, *sp, *hi;
	int		 error = reap_context_stack(zombie, &lo, &sp, &hi);

	CHECK(error == 0 || error == -ENOENT);
	return error == 0;
}

TEST(policy, a_thin_zombie_is_two_cache_lines)
{
	CHECK(sizeof(void *) != 8 || sizeof(struct reap_context) <= 128);
}

static void
check_zombie(enum reap_policy policy, bool fat, enum reap_payer stack_payer)
{
	struct host		h;
	struct reap_context	*child;
	struct reap_result	r;

	host_open(&h, (struct reap_domain_options){ .policy = policy });
	child = host_spawn(host_return, (void *)5);
	CHECK_EQ(reap_context_policy(child), policy);
	CHECK_EQ(stacks_live(&h), 1);
	host_run();				/* nobody waits */
	CHECK_EQ(reap_context_state(child), REAP_STATE_ZOMBIE);
	CHECK_EQ(is_fat(child), fat);
	if (policy == REAP_POLICY_ADOPTER) {
		CHECK_EQ(reap_adopter_backlog(reap_adopter_default(h.domain)), 1);	/* the stack alone */
		CHECK_EQ(reap_adopter_drain(reap_adopter_default(h.domain), 10), 1);
	}
	CHECK_EQ(stacks_live(&h), fat);
	CHECK_EQ(host_stats(&h).zombies, 1);
	CHECK_EQ(reap_wait(child, 0, &r), 0);
	CHECK_EQ(r.status, 5);
	CHECK_EQ(stacks_live(&h), 0);
	CHECK_EQ(host_stats(&h).ledger[stack_payer].stacks, 1);
	CHECK_EQ(host_stats(&h).ledger[REAP_PAYER_PARENT].contexts, 1);
	for (int i = 0; i < REAP_PAYERS; i++) {
		CHECK_EQ(host_stats(&h).ledger[i].stacks, i == (int)stack_payer);
		CHECK_EQ(host_stats(&h).ledger[i].ns, 0);	/* not asked for */
	}
	host_close(&h);
}

TEST(policy, parent_leaves_a_fat_zombie)
{
	check_zombie(REAP_POLICY_PARENT, true, REAP_PAYER_PARENT);
}

TEST(policy, successor_leaves_a_thin_zombie)
{
	check_zombie(REAP_POLICY_SUCCESSOR, false, REAP_PAYER_SUCCESSOR);
}

TEST(policy, adopter_leaves_a_thin_zombie)
{
	check_zombie(REAP_POLICY_ADOPTER, false, REAP_PAYER_ADOPTER);
}

TEST(policy, adaptive_without_waiter_leaves_a_thin_zombie)
{
	check_zombie(REAP_POLICY_ADAPTIVE, false, REAP_PAYER_SUCCESSOR);
}

/* With a waiter there at the landing, it gets the whole corpse. */
static intptr_t
wait_one(void *arg)
{
	return arg != NULL ? reap_wait(host_spawn(host_return, NULL), 0, NULL) :
	    (host_spawn(host_return, NULL), reap_wait_any(0, NULL));
}

TEST(policy, adaptive_with_waiter_gives_it_the_whole_corpse)
{
	for (int way = 0; way < 4; way++) {
		/* Told early, the waiter is no longer on the completion when the dead one lands: it waits nonetheless. */
		enum reap_notify	notify = way & 1 ? REAP_NOTIFY_EARLY : REAP_NOTIFY_LATE;
		struct host		h;
		struct reap_result	r;

		host_open(&h, (struct reap_domain_options){ .notify = notify });
		CHECK_EQ(reap_wait(host_spawn(wait_one, way & 2 ? NULL : &h), 0, &r), 0);
		CHECK_EQ(r.status, 0);
		/* Both the child, whose parent slept, and the parent, for which the base context waited. */
		CHECK_EQ(host_stats(&h).ledger[REAP_PAYER_PARENT].stacks, 2);
		CHECK_EQ(host_stats(&h).ledger[REAP_PAYER_SUCCESSOR].stacks, 0);
		CHECK_EQ(stacks_live(&h), 0);
		host_close(&h);
	}
}

TEST(policy, of_a_context_overrides_its_domains)
{
	struct host		h;
	struct reap_context	*fat, *thin;

	host_open(&h, (struct reap_domain_options){ .policy = REAP_POLICY_SUCCESSOR });
	fat = host_create((struct reap_context_options){ .entry = host_return, .policy = REAP_POLICY_PARENT });
	thin = host_spawn(host_return, NULL);
	host_run();
	CHECK(is_fat(fat) && !is_fat(thin));
	CHECK_EQ(reap_wait(fat, 0, NULL), 0);
	CHECK_EQ(reap_wait(thin, 0, NULL), 0);
	host_close(&h);
}

/* Detached: the adopter reaps the descriptor under every policy; the stack too, unless the landing could recycle it. */
TEST(policy, of_the_detached)
{
	static const struct {
		enum reap_policy policy;
		enum reap_payer	 payer;
	} rows[] = {
		{ REAP_POLICY_PARENT, REAP_PAYER_ADOPTER }, { REAP_POLICY_ADOPTER, REAP_PAYER_ADOPTER },
		{ REAP_POLICY_SUCCESSOR, REAP_PAYER_SUCCESSOR }, { REAP_POLICY_ADAPTIVE, REAP_PAYER_SUCCESSOR }
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct host h;

		host_open(&h, (struct reap_domain_options){ .policy = rows[i].policy });
		(void)host_create((struct reap_context_options){ .entry = host_return, .flags = REAP_CONTEXT_DETACHED });
		host_run();
		CHECK_EQ(reap_adopter_drain(reap_adopter_default(h.domain), 10), 1);
		CHECK_EQ(host_stats(&h).ledger[REAP_PAYER_ADOPTER].contexts, 1);
		CHECK_EQ(host_stats(&h).ledger[rows[i].payer].stacks, 1);
		CHECK_EQ(stacks_live(&h), 0);
		host_close(&h);
	}
}

/* Stacks of the embedder's. */
struct ledger {
	unsigned allocated, freed;
	void	*last;
	size_t	 size;
	struct reap_context *owner;	/* must not be running when its stack is freed */
};

static int
book_alloc(void *cookie, size_t size, void **base)
{
	struct ledger *ledger = cookie;

	ledger->allocated++;
	ledger->size = size;
	*base = ledger->last = aligned_alloc(64, (size + 63) & ~(size_t)63);
	return *base != NULL ? 0 : -ENOMEM;
}

static void
book_free(void *cookie, void *base, size_t size)
{
	struct ledger	*ledger = cookie;
	char		 here;

	CHECK(base == ledger->last);
	CHECK_EQ(size, ledger->size);
	/* Never on the dead stack. */
	CHECK(HOST_SANITIZED || (uintptr_t)&here < (uintptr_t)base || (uintptr_t)&here >= (uintptr_t)base + size);
	ledger->freed++;
	free(base);
}

static const enum reap_policy all[] = {
	REAP_POLICY_ADAPTIVE, REAP_POLICY_PARENT, REAP_POLICY_SUCCESSOR, REAP_POLICY_ADOPTER, REAP_POLICY_THREAD
};

TEST(stack_ops, get_back_what_they_gave_exactly_once)
{
	struct ledger		ledger = { 0, 0, NULL, 0, NULL };
	const struct reap_stack_ops ops = { book_alloc, book_free, &ledger };
	struct host		h;
	unsigned		n = 0;

	host_open(&h, (struct reap_domain_options){ 0 });
	CHECK_EQ(reap_thread_start(h.domain, 4), 0);
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		for (int lazy = 0; lazy < 2; lazy++) {
			struct reap_context *child = host_create((struct reap_context_options){
				.entry = host_return, .policy = all[i], .stack_ops = &ops, .stack_size = 40000 });

			CHECK_EQ(ledger.allocated, ++n);
			CHECK_EQ(ledger.size, 40000);
			if (lazy)
				host_run();
			if (lazy && all[i] != REAP_POLICY_THREAD)
				CHECK_EQ(ledger.freed, n - 1);	/* whole until it is collected: no landing frees it */
			CHECK_EQ(reap_wait(child, 0, NULL), 0);
			CHECK_EQ(ledger.freed, n);
		}
	CHECK_EQ(host_stats(&h).stacks_mapped, 0);
	CHECK_EQ(reap_thread_stop(h.domain), 0);
	host_close(&h);
}

TEST(stack_ops, of_a_domain_serve_all_its_contexts)
{
	struct ledger		ledger = { 0, 0, NULL, 0, NULL };
	const struct reap_stack_ops ops = { book_alloc, book_free, &ledger };
	struct host		h;

	host_open(&h, (struct reap_domain_options){ .stack = { .ops = &ops } });
	for (unsigned i = 1; i <= 10; i++) {
		CHECK_EQ(reap_wait(host_spawn(host_return, NULL), 0, NULL), 0);
		CHECK_EQ(ledger.allocated, i);
		CHECK_EQ(ledger.freed, i);
	}
	CHECK_EQ(ledger.size, REAP_STACK_SIZE_DEFAULT);
	(void)host_create((struct reap_context_options){ .entry = host_return, .flags = REAP_CONTEXT_DETACHED });
	host_run();
	CHECK_EQ(ledger.freed, 10);
	CHECK_EQ(reap_adopter_drain(reap_adopter_default(h.domain), 10), 1);
	CHECK_EQ(ledger.freed, 11);
	host_close(&h);
}

static char	 own[65536] __attribute__((aligned(64)));
static unsigned	 given_back;

static void
stack_is_back(struct reap_context *context, intptr_t status)
{
	CHECK_EQ(reap_context_state(context), REAP_STATE_ZOMBIE);
	CHECK_EQ(status, 3);
	given_back++;
}

static intptr_t
on_own_stack(void *arg)
{
	char here;

	(void)arg;
	CHECK(HOST_SANITIZED || (&here >= own && &here < own + sizeof(own)));
	return 3;
}

TEST(stack, supplied_by_the_embedder_comes_back_through_off_cpu)
{
	struct host	h;

	host_open(&h, (struct reap_domain_options){ 0 });
	CHECK_EQ(reap_thread_start(h.domain, 0), 0);
	for (unsigned i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		struct reap_context	*child = host_create((struct reap_context_options){
			.entry = on_own_stack, .policy = all[i], .stack = own, .stack_size = sizeof(own), .off_cpu = stack_is_back });

		host_run();
		CHECK_EQ(given_back, i);
		CHECK_EQ(reap_wait(child, 0, NULL), 0);
		CHECK_EQ(given_back, i + 1);
		memset(own, 0xa5, sizeof(own));
	}
	CHECK_EQ(reap_thread_stop(h.domain), 0);
	host_close(&h);
}

static void
unmap_stack(struct reap_context *context, intptr_t status)
{
	(void)status;
	CHECK_EQ(munmap(reap_context_user(context), sizeof(own)), 0);
}

/* Nothing of the library's is read from it afterwards, the record at its upper end included. */
TEST(stack, supplied_by_the_embedder_may_be_unmapped_in_off_cpu)
{
	struct host	h;

	host_open(&h, (struct reap_domain_options){ .usage = true, .ledger_time = true });
	CHECK_EQ(reap_thread_start(h.domain, 0), 0);
	for (unsigned i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		for (int how = 0; how < 3; how++) {
			void *memory = mmap(NULL, sizeof(own), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
			struct reap_context *context;

			CHECK(memory != MAP_FAILED);
			CHECK_EQ(reap_context_create(h.domain, &(struct reap_context_options){ .size = sizeof(struct reap_context_options),
				.entry = host_return, .policy = all[i], .user = memory, .stack = memory, .stack_size = sizeof(own),
				.flags = how == 1 ? REAP_CONTEXT_DETACHED : 0, .off_cpu = unmap_stack }, &context), 0);
			if (how == 2)
				CHECK_EQ(reap_context_destroy(context, 0), 0);
			else {
				host_ready(context);
				host_run();
			}
			if (how != 1)
				CHECK_EQ(reap_wait(context, 0, NULL), 0);
			while (reap_adopter_backlog(reap_adopter_default(h.domain)) != 0)
				(void)reap_adopter_drain(reap_adopter_default(h.domain), 10);
		}
	CHECK_EQ(reap_thread_stop(h.domain), 0);
	host_close(&h);
}

/* Landings may fill the depot beyond its cap; who collects brings it back, in steps, without being asked to trim. */
TEST(policy, collectors_keep_the_depot_at_its_cap)
{
	static struct reap_context *child[3000];
	struct host	h;

	host_open(&h, (struct reap_domain_options){
		.policy = REAP_POLICY_SUCCESSOR, .stack = { .cache = 8, .depot = 16 } });
	for (int i = 0; i < 3000; i++)
		child[i] = host_spawn(host_return, NULL);
	host_run();
	CHECK(host_stats(&h).stacks_resident > 2900);
	for (int i = 0; i < 3000; i++)
		CHECK_EQ(reap_wait(child[i], 0, NULL), 0);
	CHECK(host_stats(&h).stacks_resident <= 8 + 17);	/* the depot counts in bytes, colours included */
	host_close(&h);
}

/* Bounded: an adopter that never drains, and landings that recycle, need no more memory than lives at a time. */
TEST(policy, dead_stacks_are_bounded_though_nobody_drains)
{
	struct host	h;
	uint64_t	most = 0;

	host_open(&h, (struct reap_domain_options){
		.policy = REAP_POLICY_SUCCESSOR, .stack = { .cache = 8, .depot = 16 } });
	for (int round = 0; round < 20; round++) {
		for (int i = 0; i < 200; i++)
			(void)host_create((struct reap_context_options){ .entry = host_return, .flags = REAP_CONTEXT_DETACHED });
		host_run();
		if (host_stats(&h).stacks_mapped > most)
			most = host_stats(&h).stacks_mapped;
	}
	CHECK(most < 400);
	CHECK_EQ(reap_adopter_drain(reap_adopter_default(h.domain), 10000), 4000);
	(void)reap_trim(h.domain);
	CHECK_EQ(host_stats(&h).stacks_resident, 0);
	host_close(&h);
}

/* What a full cache does not take at a collect is not lost. */
TEST(policy, stacks_beyond_the_cache_are_not_lost)
{
	static const enum reap_policy policies[] = { REAP_POLICY_PARENT, REAP_POLICY_SUCCESSOR, REAP_POLICY_ADAPTIVE };

	for (size_t p = 0; p < sizeof(policies) / sizeof(policies[0]); p++)
		for (unsigned n = 1; n < 100; n += 7) {
			struct host h;

			host_open(&h, (struct reap_domain_options){ .policy = policies[p] });
			for (int round = 0; round < 3; round++) {
				for (unsigned i = 0; i < n; i++)
					(void)host_spawn(host_return, NULL);
				CHECK_EQ(host_stats(&h).stacks_mapped - host_stats(&h).stacks_cached, n);
				host_run();
				for (unsigned i = 0; i < n; i++)
					CHECK_EQ(reap_wait_any(0, NULL), 0);
				CHECK_EQ(host_stats(&h).stacks_mapped, host_stats(&h).stacks_cached);
			}
			CHECK(reap_trim(h.domain) > 0);
			CHECK_EQ(host_stats(&h).stacks_mapped, 0);
			host_close(&h);
		}
}
