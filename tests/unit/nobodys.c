/* SPDX-License-Identifier: ISC */
/*
 * nobodys.c: what the library says of memory that is nobody's, to who asks.  A touch of it would be an error.
 */
#include "host.h"
#include "context.h"

#if REAP__ASAN
/* The far end of its stack, which it never comes to, and one past the near one. */
static const void *deep, *top;

static intptr_t
shows_its_stack(void *arg)
{
	const void *sp;

	CHECK_EQ(reap_context_stack(reap_worker_current(reap_worker_self()), &deep, &sp, &top), 0);
	CHECK(!__asan_address_is_poisoned(deep));
	return (intptr_t)arg;
}

static void
leave_behind(struct reap_context *context, intptr_t status)
{
	(void)context;
	(void)status;
}

/* uncommon: by a create that asks for something, so that nothing is plain. */
static struct reap_context *
begin(struct host *h, bool uncommon)
{
	struct reap_context_options options = { .size = sizeof(options), .entry = shows_its_stack, .off_cpu = leave_behind };
	struct reap_context *context;

	if (!uncommon)
		return host_spawn(shows_its_stack, NULL);
	CHECK_EQ(reap_context_create(h->domain, &options, &context), 0);
	host_ready(context);
	return context;
}

static void
live_and_be_nobodys(enum reap_policy policy, bool uncommon)
{
	struct reap_context	*child;
	struct host		h;

	host_open(&h, (struct reap_domain_options){ .policy = policy });
	if (policy == REAP_POLICY_THREAD)
		CHECK_EQ(reap_thread_start(h.domain, 0), 0);
	for (int i = 0; i < 3; i++) {	/* the first from a fresh slab, the next recycled */
		child = begin(&h, uncommon);
		CHECK(!__asan_address_is_poisoned(&child->sp));
		CHECK_EQ(reap_wait(child, 0, NULL), 0);
		while (reap_adopter_drain(reap_adopter_default(h.domain), 16) > 0)
			continue;
		CHECK(__asan_address_is_poisoned(deep));
		CHECK(__asan_address_is_poisoned(&child->sp));
		CHECK(__asan_address_is_poisoned(&child->live));
		CHECK(__asan_address_is_poisoned(&child->prev));
	}
	if (policy == REAP_POLICY_THREAD)
		CHECK_EQ(reap_thread_stop(h.domain), 0);
	host_close(&h);
}

static void
end_and_be_nobodys(void)
{
	struct reap_context	*owned;
	struct host		h;

	host_open(&h, (struct reap_domain_options){ 0 });
	for (int i = 0; i < 3; i++) {
		CHECK_EQ(reap_spawn_owned(h.worker, shows_its_stack, NULL, &owned), 0);
		CHECK_EQ(reap_resume(owned, 0, NULL), REAP_ENDED);
		CHECK(__asan_address_is_poisoned(deep));
		CHECK(__asan_address_is_poisoned((const char *)top - 1));
		CHECK(__asan_address_is_poisoned(&owned->sp));
		CHECK(__asan_address_is_poisoned(&owned->prev));
	}
	host_close(&h);
}
#else
static void
live_and_be_nobodys(enum reap_policy policy, bool uncommon)
{
	(void)policy;
	(void)uncommon;
	SKIP("there is no AddressSanitizer to be told");
}

static void
end_and_be_nobodys(void)
{
	SKIP("there is no AddressSanitizer to be told");
}
#endif

TEST(nobodys, stack_and_descriptor_collected_by_a_parent)
{
	live_and_be_nobodys(REAP_POLICY_PARENT, false);
	live_and_be_nobodys(REAP_POLICY_PARENT, true);
}

TEST(nobodys, stack_put_away_by_a_landing)
{
	live_and_be_nobodys(REAP_POLICY_SUCCESSOR, false);
	live_and_be_nobodys(REAP_POLICY_SUCCESSOR, true);
	live_and_be_nobodys(REAP_POLICY_ADAPTIVE, false);
	live_and_be_nobodys(REAP_POLICY_ADAPTIVE, true);
}

TEST(nobodys, stack_owed_to_an_adopter)
{
	live_and_be_nobodys(REAP_POLICY_ADOPTER, false);
	live_and_be_nobodys(REAP_POLICY_ADOPTER, true);
}

TEST(nobodys, stack_freed_by_the_reaper_thread)
{
	live_and_be_nobodys(REAP_POLICY_THREAD, false);
	live_and_be_nobodys(REAP_POLICY_THREAD, true);
}

TEST(nobodys, stack_and_descriptor_of_an_owned_one)
{
	end_and_be_nobodys();
}
