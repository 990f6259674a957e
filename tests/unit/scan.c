/* SPDX-License-Identifier: ISC */
/*
 * scan.c: what a collector is told: every stack that may be alive, and how much of it.
 */
#include <reap/scan.h>

#include "host.h"

#define SEEN_MAX	64

struct seen {
	const struct host *host;
	unsigned n;
	struct reap_scan of[SEEN_MAX];
};

static void
note(const struct reap_scan *scan, void *arg)
{
	struct seen *seen = arg;

	CHECK(seen->n < SEEN_MAX);
	seen->of[seen->n++] = *scan;
}

static void
look(struct seen *seen)
{
	seen->n = 0;
	CHECK_EQ(reap_domain_scan(seen->host->domain, note, seen), seen->n);
}

static const struct reap_scan *
find(const struct seen *seen, const struct reap_context *context)
{
	for (unsigned i = 0; i < seen->n; i++)
		if (seen->of[i].context == context)
			return &seen->of[i];
	return NULL;
}

struct sleeper {
	struct gate gate;
	const volatile void *local;	/* of its own, alive while it sleeps */
	struct seen *seen;		/* what it sees itself */
	struct reap_context *self;
};

static intptr_t
sleep_with_a_local(void *arg)
{
	struct sleeper		*s = arg;
	volatile uintptr_t	 local = 42;

	s->local = &local;
	gate_pass(&s->gate);
	return (intptr_t)local;
}

/* AddressSanitizer may keep it on a stack of its own. */
static bool
holds(const struct reap_scan *scan, const volatile void *at)
{
	return HOST_SANITIZED || ((const volatile char *)at >= (const char *)scan->sp && (const volatile char *)at < (const char *)scan->hi);
}

TEST(scan, of_the_suspended_and_the_new_begins_where_they_stopped)
{
	struct host		h;
	struct sleeper		s = { .gate = GATE_INIT };
	struct seen		seen = { .host = &h };
	const struct reap_scan	*it;
	struct reap_context	*sleeper, *fresh, *base;
	uintptr_t		 word = 0;
	const char		*at;

	host_open(&h, (struct reap_domain_options){ 0 });
	base = reap_worker_base(h.worker);
	sleeper = host_spawn(sleep_with_a_local, &s);
	host_run();
	CHECK_EQ(reap_spawn(h.worker, host_return, &word, &fresh), 0);
	reap_context_set_user(fresh, &s);
	look(&seen);
	CHECK_EQ(seen.n, 3);
	it = find(&seen, sleeper);
	CHECK(it != NULL && it->state == REAP_STATE_SUSPENDED && it->lo < it->sp && it->sp < it->hi && !it->base);
	CHECK(holds(it, s.local));
	it = find(&seen, fresh);
	CHECK(it != NULL && it->state == REAP_STATE_NEW && it->user == &s);
	/* The argument is where a collector will find it. */
	for (at = it->sp; at < (const char *)it->hi && *(const uintptr_t *)(const void *)at != (uintptr_t)&word; at += sizeof(word))
		continue;
	CHECK(at < (const char *)it->hi);
	it = find(&seen, base);
	CHECK(it != NULL && it->base && it->state == REAP_STATE_RUNNING && it->sp == NULL && it->lo == NULL && it->hi == NULL);
	CHECK_EQ(reap_context_destroy(fresh, 0), 0);
	look(&seen);
	CHECK_EQ(seen.n, 2);		/* who has ended for good has nothing to show, collected or not */
	CHECK_EQ(reap_wait(fresh, 0, NULL), 0);
	gate_open(&s.gate);
	host_run();
	look(&seen);
	CHECK_EQ(seen.n, 1);
	CHECK_EQ(reap_wait(sleeper, 0, NULL), 0);
	host_close(&h);
}

static intptr_t
look_at_oneself(void *arg)
{
	struct sleeper *s = arg;

	s->self = reap_worker_current(reap_worker_self());
	look(s->seen);
	return 0;
}

TEST(scan, of_who_runs_is_whole_and_the_base_is_suspended)
{
	struct host		h;
	struct seen		seen = { .host = &h };
	struct sleeper		s = { .seen = &seen };
	const struct reap_scan	*it;
	const volatile char	 here = 0;

	host_open(&h, (struct reap_domain_options){ 0 });
	(void)host_spawn(look_at_oneself, &s);
	host_run();
	it = find(&seen, s.self);
	CHECK(it != NULL && it->state == REAP_STATE_RUNNING && it->sp == NULL && it->lo < it->hi);
	it = find(&seen, reap_worker_base(h.worker));
	CHECK(it != NULL && it->base && it->state == REAP_STATE_SUSPENDED && it->sp != NULL);
	CHECK(HOST_SANITIZED || (const volatile char *)it->sp < &here);
	CHECK_EQ(reap_wait_any(0, NULL), 0);
	host_close(&h);
}

static struct seen dying_seen;
static struct reap_context *dying;

static void
look_at_the_dying(struct reap_context *context)
{
	dying = context;
	look(&dying_seen);
}

TEST(scan, the_dying_are_listed_until_they_are_off_the_cpu)
{
	struct host		h;
	const struct reap_scan	*it;

	host_open(&h, (struct reap_domain_options){ .before_final_switch = look_at_the_dying });
	dying_seen.host = &h;
	(void)host_spawn(host_return, NULL);
	host_run();
	it = find(&dying_seen, dying);
	CHECK(it != NULL && it->state == REAP_STATE_EXITING && it->sp == NULL && it->lo < it->hi);
	look(&dying_seen);
	CHECK(find(&dying_seen, dying) == NULL);
	CHECK_EQ(reap_wait_any(0, NULL), 0);
	host_close(&h);
}

static intptr_t
suspend_with(void *arg)
{
	intptr_t word = (intptr_t)arg;

	CHECK_EQ(reap_suspend(&word), 0);
	return 0;
}

TEST(scan, the_word_in_passing_is_shown)
{
	struct reap_context_options options = { .size = sizeof(options), .entry = suspend_with, .flags = REAP_CONTEXT_OWNED };
	struct host		h;
	struct seen		seen = { .host = &h };
	struct reap_context	*context;

	host_open(&h, (struct reap_domain_options){ 0 });
	options.arg = &h;
	CHECK_EQ(reap_context_create(h.domain, &options, &context), 0);
	CHECK_EQ(reap_resume(context, 0, NULL), REAP_SUSPENDED);
	look(&seen);
	CHECK_EQ(find(&seen, context)->word, (intptr_t)&h);
	CHECK_EQ(reap_resume(context, 0, &(struct reap_passed){ .word = 9 }), REAP_ENDED);
	/* On the same stack: that nothing has been passed yet is not to be seen as what was passed to its last user. */
	CHECK_EQ(reap_context_create(h.domain, &options, &context), 0);
	look(&seen);
	CHECK_EQ(find(&seen, context)->word, 0);
	CHECK_EQ(reap_context_destroy(context, 0), 0);
	host_close(&h);
}

static __attribute__((noinline)) size_t
room_below(size_t depth)
{
	volatile char	frame[1024];
	size_t		room;

	frame[0] = (char)depth;
	__asm__ volatile("" : : "r"(frame) : "memory");		/* all of it is needed, and in each call */
	room = depth == 0 ? reap_stack_room() : room_below(depth - 1);
	frame[1023] = frame[0];
	return room;
}

static intptr_t
measure_room(void *arg)
{
	size_t		*room = arg, sixteen = room_below(16);
	const void	*lo, *sp, *hi;

	room[0] = reap_stack_room();
	CHECK(HOST_SANITIZED || (room[0] - sixteen >= 16 * 1024 && room[0] - sixteen < 32 * 1024));
	CHECK_EQ(reap_context_stack(reap_worker_current(reap_worker_self()), &lo, &sp, &hi), 0);
	CHECK(room[0] < (size_t)((const char *)hi - (const char *)lo));
	CHECK(room[0] > (size_t)((const char *)hi - (const char *)lo) - 16384);
	return 0;
}

TEST(scan, room_shrinks_as_calls_nest)
{
	struct host	h;
	size_t		room = 0;

	host_open(&h, (struct reap_domain_options){ .stack.size = (size_t)256 * 1024 });
	CHECK_EQ(reap_stack_room(), SIZE_MAX);
	(void)host_spawn(measure_room, &room);
	host_run();
	CHECK_EQ(reap_wait_any(0, NULL), 0);
	CHECK(room > 200000);
	host_close(&h);
	CHECK_EQ(reap_stack_room(), SIZE_MAX);
}
