/* SPDX-License-Identifier: ISC */
/*
 * create.c: making domains, workers and contexts: what is refused, and that a refusal changes nothing.
 */
#include "context.h"
#include "host.h"

static int
try_domain(struct reap_domain_options options)
{
	struct reap_domain	*domain = NULL;
	int			 error;

	options.size = sizeof(options);
	error = reap_domain_create(&options, &domain);
	if (error == 0)
		CHECK_EQ(reap_domain_destroy(domain, NULL, NULL), 0);
	else
		CHECK(domain == NULL);
	return error;
}

TEST(domain, options_are_checked)
{
	const struct reap_domain_options sizeless = { .size = 0 }, right = { .size = sizeof(right) };
	const struct reap_host	hooks = { .next = NULL }, no_ready = { .next = host_next }, no_next = { .ready = host_ready };
	const struct reap_stack_ops half = { .alloc = NULL };
	struct reap_domain	*domain;

	CHECK_EQ(try_domain(right), 0);
	CHECK_EQ(reap_domain_create(NULL, &domain), -EINVAL);
	CHECK_EQ(reap_domain_create(&right, NULL), -EINVAL);
	CHECK_EQ(reap_domain_create(&sizeless, &domain), -EINVAL);
	CHECK_EQ(try_domain((struct reap_domain_options){ .policy = (enum reap_policy)6 }), -EINVAL);
	CHECK_EQ(try_domain((struct reap_domain_options){ .notify = (enum reap_notify)3 }), -EINVAL);
	CHECK_EQ(try_domain((struct reap_domain_options){ .limit = 4, .reserve = 5 }), -EINVAL);
	CHECK_EQ(try_domain((struct reap_domain_options){ .reserve = 1 }), -EINVAL);
	CHECK_EQ(try_domain((struct reap_domain_options){ .limit = 4, .reserve = 4 }), 0);
	CHECK_EQ(try_domain((struct reap_domain_options){ .host = &hooks }), 0);
	CHECK_EQ(try_domain((struct reap_domain_options){ .host = &no_next }), -EINVAL);
	CHECK_EQ(try_domain((struct reap_domain_options){ .host = &no_ready }), -EINVAL);
	CHECK_EQ(try_domain((struct reap_domain_options){ .stack = { .size = 1 } }), -EINVAL);
	CHECK_EQ(try_domain((struct reap_domain_options){ .stack = { .cache = 1 } }), -EINVAL);
	CHECK_EQ(try_domain((struct reap_domain_options){ .stack = { .flags = 0x80 } }), -EINVAL);
	CHECK_EQ(try_domain((struct reap_domain_options){ .stack = { .ops = &half } }), -EINVAL);
	CHECK_EQ(reap_domain_destroy(NULL, NULL, NULL), -EINVAL);
}

TEST(domain, user_word_and_host_are_copied)
{
	struct reap_host	host = host_alone;
	struct host		h;

	host_open(&h, (struct reap_domain_options){ .host = &host });
	host = (struct reap_host){ .next = NULL };
	CHECK(reap_domain_user(h.domain) == &h);
	CHECK_EQ(reap_wait(host_spawn(host_return, NULL), 0, NULL), 0);
	host_close(&h);
}

TEST(worker, looks_about)
{
	struct host		h;
	struct reap_worker	*second = NULL;

	CHECK(reap_worker_self() == NULL);
	host_open(&h, (struct reap_domain_options){ 0 });
	CHECK(reap_worker_self() == h.worker);
	CHECK(reap_worker_domain(h.worker) == h.domain);
	CHECK(reap_worker_user(h.worker) == &h.base);
	CHECK(reap_worker_current(h.worker) == reap_worker_base(h.worker));
	CHECK_EQ(reap_context_state(reap_worker_base(h.worker)), REAP_STATE_RUNNING);
	CHECK(reap_context_home(reap_worker_base(h.worker)) == h.worker);
	CHECK_EQ(reap_worker_start(h.domain, NULL, &second), -EBUSY);
	CHECK_EQ(reap_worker_start(NULL, NULL, &second), -EINVAL);
	CHECK_EQ(reap_worker_start(h.domain, NULL, NULL), -EINVAL);
	CHECK(second == NULL);
	host_close(&h);
	CHECK(reap_worker_self() == NULL);
}

/* Every way in which a create is refused; the statistics must not tell the difference. */
static int
no_stack(void *cookie, size_t size, void **base)
{
	(void)cookie;
	(void)size;
	(void)base;
	return -ENOMEM;
}

TEST(create, refusals_change_nothing)
{
	static char		memory[65536] __attribute__((aligned(64)));
	const struct reap_stack_ops half = { .alloc = NULL }, *whole = &half, without_free = { .alloc = no_stack };
	const struct reap_domain_options plain = { .size = sizeof(plain) };
	struct reap_context_options o[] = {
		{ .size = 0, .entry = host_return },
		{ .size = sizeof(o[0]) - 1, .entry = host_return },
		{ .size = sizeof(o[0]) },
		{ .size = sizeof(o[0]), .entry = host_return, .flags = 0x100 },
		{ .size = sizeof(o[0]), .entry = host_return, .policy = (enum reap_policy)6 },
		{ .size = sizeof(o[0]), .entry = host_return, .notify = (enum reap_notify)3 },
		{ .size = sizeof(o[0]), .entry = host_return, .stack_size = 1 },
		{ .size = sizeof(o[0]), .entry = host_return, .stack_size = reap_stack_minimum() - 1 },
		{ .size = sizeof(o[0]), .entry = host_return, .stack = memory },
		{ .size = sizeof(o[0]), .entry = host_return, .stack = memory, .stack_size = reap_stack_minimum() - 1 },
		{ .size = sizeof(o[0]), .entry = host_return, .stack = memory, .stack_size = sizeof(memory), .stack_ops = whole },
		{ .size = sizeof(o[0]), .entry = host_return, .stack_ops = &half },
		{ .size = sizeof(o[0]), .entry = host_return, .policy = REAP_POLICY_THREAD },	/* none runs */
		{ .size = sizeof(o[0]), .entry = host_return, .stack_ops = &without_free },
		{ .size = sizeof(o[0]), .entry = host_return, .group = NULL },			/* of another domain, as the last */
		{ .size = sizeof(o[0]), .entry = host_return, .adopter = NULL },		/* of another domain: below */
	};
	const struct reap_context_options right = { .size = sizeof(right), .entry = host_return };
	const size_t		n = sizeof(o) / sizeof(o[0]);
	struct host		h;
	struct reap_domain	*other;
	struct reap_stats	before, after;
	struct reap_context	*context = NULL;
	struct {
		struct reap_context_options	options;
		unsigned char			more[8];
	} newer = { .more = { 0 } };

	host_open(&h, (struct reap_domain_options){ .limit = 10 });
	CHECK_EQ(reap_domain_create(&plain, &other), 0);
	o[n - 1].adopter = reap_adopter_default(other);
	CHECK_EQ(reap_group_create(other, &o[n - 2].group), 0);
	CHECK_EQ(reap_wait(host_spawn(host_return, NULL), 0, NULL), 0);
	before = host_stats(&h);
	for (size_t i = 0; i < n; i++) {
		CHECK_EQ(reap_context_create(h.domain, &o[i], &context), -EINVAL);
		CHECK(context == NULL);
		CHECK_EQ(reap_children(), 0);
	}
	/* Options of a later version: what is not known here must not be used. */
	newer.options = right;
	newer.options.size = sizeof(newer);
	for (size_t i = 0; i < sizeof(newer.more); i++) {
		newer.more[i] = 1;
		CHECK_EQ(reap_context_create(h.domain, &newer.options, &context), -EINVAL);
		newer.more[i] = 0;
	}
	CHECK_EQ(reap_context_create(NULL, &right, &context), -EINVAL);
	CHECK_EQ(reap_context_create(h.domain, NULL, &context), -EINVAL);
	CHECK_EQ(reap_context_create(h.domain, &right, NULL), -EINVAL);
	CHECK_EQ(reap_spawn(NULL, host_return, NULL, &context), -EINVAL);
	CHECK_EQ(reap_spawn(h.worker, NULL, NULL, &context), -EINVAL);
	CHECK_EQ(reap_spawn(h.worker, host_return, NULL, NULL), -EINVAL);
	after = host_stats(&h);
	CHECK_EQ(memcmp(&before, &after, sizeof(before)), 0);
	CHECK_EQ(reap_group_destroy(o[n - 2].group), 0);
	CHECK_EQ(reap_domain_destroy(other, NULL, NULL), 0);
	for (int i = 0; i < 10; i++)		/* nor have refusals cost any of the limit */
		(void)host_spawn(host_return, NULL);
	while (reap_wait_any(0, NULL) == 0)
		continue;
	host_close(&h);
}

static struct host outside;

static void *
create_outside(void *arg)
{
	const struct reap_context_options pinned = { .size = sizeof(pinned), .entry = host_return, .flags = REAP_CONTEXT_PINNED };
	const struct reap_context_options plain = { .size = sizeof(plain), .entry = host_return, .arg = arg };
	struct reap_context	*context = NULL;
	struct reap_result	r;

	CHECK_EQ(reap_context_create(outside.domain, &pinned, &context), -EPERM);
	CHECK(context == NULL);
	CHECK_EQ(reap_context_create(outside.domain, &plain, &context), 0);
	CHECK(reap_context_parent(context) == NULL);
	host_ready(context);
	CHECK_EQ(reap_join(reap_context_handle(context), 0, &r), 0);
	CHECK_EQ(r.status, (intptr_t)arg);
	reap_adopter_interrupt(reap_adopter_default(outside.domain));
	return NULL;
}

TEST(create, an_os_thread_makes_contexts_without_parent)
{
	pthread_t thread;

	host_open_shared(&outside, (struct reap_domain_options){ 0 });
	CHECK_EQ(pthread_create(&thread, NULL, create_outside, (void *)17), 0);
	CHECK_EQ(reap_adopter_wait(reap_adopter_default(outside.domain)), -ECANCELED);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	CHECK_EQ(host_stats(&outside).reaped, 1);
	host_close(&outside);
}

static struct gate look_gate = GATE_INIT;

static intptr_t
look_at_self(void *arg)
{
	struct reap_context	*self = reap_worker_current(reap_worker_self());
	const void		*lo, *sp, *hi;
	char			 here;

	CHECK(self == *(struct reap_context **)arg);
	CHECK_EQ(reap_context_state(self), REAP_STATE_RUNNING);
	CHECK_EQ(reap_context_stack(self, &lo, &sp, &hi), 0);
	CHECK(sp == NULL);
	CHECK(HOST_SANITIZED || ((uintptr_t)&here >= (uintptr_t)lo && (uintptr_t)&here < (uintptr_t)hi));
	CHECK(reap_context_parent(self) == reap_worker_base(reap_worker_self()));
	gate_pass(&look_gate);
	return 0;
}

TEST(create, accessors_tell_what_was_asked_for)
{
	struct host		h;
	struct reap_context	*child, *base;
	const void		*lo, *sp, *hi;
	int			word;

	host_open(&h, (struct reap_domain_options){ .policy = REAP_POLICY_PARENT });
	base = reap_worker_base(h.worker);
	child = host_create((struct reap_context_options){
		.entry = look_at_self, .arg = &child, .user = &word, .stack_size = 200000, .policy = REAP_POLICY_SUCCESSOR });
	CHECK(reap_context_user(child) == &word);
	reap_context_set_user(child, &h);
	CHECK(reap_context_user(child) == &h);
	CHECK(reap_context_domain(child) == h.domain);
	CHECK(reap_context_parent(child) == base);
	CHECK(reap_context_home(child) == (host_private() ? h.worker : NULL));
	CHECK_EQ(reap_context_policy(child), REAP_POLICY_SUCCESSOR);
	CHECK_EQ(reap_context_state(child), REAP_STATE_NEW);
	CHECK_EQ(reap_context_stack(child, &lo, &sp, &hi), 0);
	CHECK((uintptr_t)lo <= (uintptr_t)sp && (uintptr_t)sp < (uintptr_t)hi);
	CHECK((size_t)((const char *)hi - (const char *)lo) >= 200000);
	CHECK_EQ(reap_context_stack(base, &lo, &sp, &hi), -ENOENT);
	host_run();
	CHECK_EQ(reap_context_state(child), REAP_STATE_SUSPENDED);
	CHECK_EQ(reap_context_stack(child, &lo, &sp, &hi), 0);
	CHECK((uintptr_t)lo <= (uintptr_t)sp && (uintptr_t)sp < (uintptr_t)hi);
	gate_open(&look_gate);
	host_run();
	CHECK_EQ(reap_context_state(child), REAP_STATE_ZOMBIE);
	CHECK_EQ(reap_wait(child, 0, NULL), 0);
	child = host_spawn(look_at_self, &child);
	CHECK_EQ(reap_context_policy(child), REAP_POLICY_PARENT);
	CHECK(reap_context_user(child) == NULL);
	CHECK(*reap_context_link(child) == NULL);
	CHECK_EQ(reap_wait(child, 0, NULL), 0);
	host_close(&h);
}

static unsigned seen_live, seen_dead;

static void
visit(struct reap_context *context, void *arg)
{
	CHECK(reap_context_domain(context) == arg);
	if (reap_context_state(context) == REAP_STATE_ZOMBIE)
		seen_dead++;
	else
		seen_live++;
}

TEST(domain, for_each_visits_all_that_are_not_reaped)
{
	struct host		h;
	struct gate		gate = GATE_INIT;

	host_open(&h, (struct reap_domain_options){ 0 });
	for (int i = 0; i < 5; i++)
		(void)host_spawn(host_return, NULL);
	(void)host_spawn(host_gated, &gate);
	host_run();
	CHECK_EQ(reap_wait_any(0, NULL), 0);
	CHECK_EQ(reap_domain_for_each(h.domain, visit, h.domain), 1 + 4 + 1);
	CHECK_EQ(seen_live, 2);			/* the base context, and the one at the gate */
	CHECK_EQ(seen_dead, 4);
	gate_open(&gate);
	while (reap_wait_any(0, NULL) == 0)
		continue;
	CHECK_EQ(reap_domain_for_each(h.domain, NULL, NULL), 1);
	host_close(&h);
}

TEST(stats, fill_only_what_the_caller_knows)
{
	struct host		h;
	struct reap_stats	stats;

	host_open(&h, (struct reap_domain_options){ .limit = 77 });
	memset(&stats, 0x5a, sizeof(stats));
	stats.size = 0;
	CHECK_EQ(reap_domain_stats(h.domain, &stats), -EINVAL);
	stats.size = offsetof(struct reap_stats, reaped);
	CHECK_EQ(reap_domain_stats(h.domain, &stats), 0);
	CHECK_EQ(stats.created, 0);
	CHECK_EQ(stats.reaped, 0x5a5a5a5a5a5a5a5a);
	CHECK_EQ(host_stats(&h).limit, 77);
	CHECK_EQ(reap_domain_stats(NULL, &stats), -EINVAL);
	CHECK_EQ(reap_domain_stats(h.domain, NULL), -EINVAL);
	host_close(&h);
}

TEST(domain, destroy_refuses_while_something_remains)
{
	const struct reap_domain_options options = { .size = sizeof(options) };
	struct reap_domain	*domain;
	struct reap_worker	*worker;
	struct reap_adopter	*adopter;
	struct reap_context	*child;

	CHECK_EQ(reap_domain_create(&options, &domain), 0);
	CHECK_EQ(reap_worker_start(domain, NULL, &worker), 0);
	CHECK_EQ(reap_domain_destroy(domain, NULL, NULL), -EBUSY);
	CHECK_EQ(reap_spawn(worker, host_return, NULL, &child), 0);	/* still usable */
	CHECK_EQ(reap_worker_stop(worker), 0);
	CHECK_EQ(reap_domain_destroy(domain, NULL, NULL), -EBUSY);
	CHECK_EQ(reap_context_destroy(child, 0), 0);
	CHECK_EQ(reap_adopter_create(domain, NULL, &adopter), 0);
	CHECK_EQ(reap_domain_destroy(domain, NULL, NULL), -EBUSY);
	CHECK_EQ(reap_adopter_destroy(adopter), 0);
	CHECK_EQ(reap_domain_destroy(domain, NULL, NULL), 0);
}

static unsigned unjoined, unjoined_sum, buried;

static void
list_unjoined(struct reap_context *context, void *arg)
{
	CHECK(arg == &unjoined);
	CHECK_EQ(reap_context_state(context), REAP_STATE_ZOMBIE);
	unjoined++;
	unjoined_sum += (unsigned)(uintptr_t)reap_context_user(context);
}

static void
count_buried(struct reap_context *context, intptr_t status)
{
	(void)context;
	(void)status;
	buried++;
}

TEST(domain, destroy_lists_and_reaps_the_unjoined)
{
	const struct reap_domain_options options = { .size = sizeof(options), .policy = REAP_POLICY_PARENT };
	struct reap_domain	*domain;

	CHECK_EQ(reap_domain_create(&options, &domain), 0);
	for (unsigned i = 1; i <= 3; i++) {
		const struct reap_context_options o = { .size = sizeof(o), .entry = host_return, .off_cpu = count_buried,
			.user = (void *)(uintptr_t)i };
		struct reap_context	*context;

		CHECK_EQ(reap_context_create(domain, &o, &context), 0);
		CHECK_EQ(reap_context_destroy(context, 0), 0);
	}
	CHECK_EQ(buried, 0);
	CHECK_EQ(reap_domain_destroy(domain, list_unjoined, &unjoined), 0);
	CHECK_EQ(unjoined, 3);
	CHECK_EQ(unjoined_sum, 6);
	CHECK_EQ(buried, 3);
}

/* A parent counts its uncollected children in a part of a word.  Sixteen million would take long: the count is moved by hand. */
TEST(create, too_many_children_are_refused)
{
	struct host		h;
	struct reap_context	*base, *child = NULL;
	uint64_t		created;

	host_open(&h, (struct reap_domain_options){ 0 });
	base = reap_worker_base(h.worker);
	base->kids += REAP__KIDS_MAX;
	while (reap_spawn(h.worker, host_return, NULL, &child) == 0)
		host_ready(child);
	created = host_stats(&h).created;
	CHECK(created < 1000);		/* it is looked at when the worker has no descriptor left */
	CHECK_EQ(reap_spawn(h.worker, host_return, NULL, &child), -ENOMEM);
	base->kids -= REAP__KIDS_MAX;
	for (uint64_t i = 0; i < created; i++)
		CHECK_EQ(reap_wait_any(0, NULL), 0);
	CHECK_EQ(reap_wait_any(0, NULL), -ECHILD);
	host_close(&h);
}

/* What a create that fails gives back. */
TEST(create, a_create_that_fails_keeps_nothing)
{
	struct reap_context_options	options = { .size = sizeof(options), .entry = host_return };
	struct reap_context		*last, *context;
	struct reap_group		*group;
	struct host			h;

	host_open(&h, (struct reap_domain_options){ .limit = 1 });
	CHECK_EQ(reap_group_create(h.domain, &group), 0);
	(void)host_create((struct reap_context_options){ .entry = host_return, .group = group });
	host_run();
	CHECK_EQ(reap_adopter_drain(reap_adopter_default(h.domain), 4), 1);
	last = host_spawn(host_return, NULL);
	CHECK_EQ(reap_wait(last, 0, NULL), 0);
	for (int i = 0; i < 4; i++) {
		options.group = i % 2 ? group : NULL;
		options.stack_size = i % 2 ? 0 : 1;
		CHECK_EQ(reap_context_create(h.domain, &options, &context), i % 2 ? -ESRCH : -EINVAL);
		context = host_spawn(host_return, NULL);
		CHECK(context == last);		/* the descriptor that was used last is the next one's */
		CHECK_EQ(reap_wait(context, 0, NULL), 0);
	}
	CHECK_EQ(reap_group_destroy(group), 0);
	host_close(&h);
}

/* Owned by a thread that was no worker. */
static struct reap_context *made;

static void *
makes_owned(void *arg)
{
	struct reap_context_options options = {
		.size = sizeof(options), .entry = host_return, .arg = (void *)6, .flags = REAP_CONTEXT_OWNED,
	};

	CHECK_EQ(reap_context_create(arg, &options, &made), 0);
	return NULL;
}

TEST(create, who_is_owned_by_a_stranger_runs_anywhere)
{
	struct reap_passed	passed = { 0, NULL };
	pthread_t		thread;
	struct host		h;

	host_open(&h, (struct reap_domain_options){ 0 });
	CHECK_EQ(pthread_create(&thread, NULL, makes_owned, h.domain), 0);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	CHECK(reap_context_home(made) == NULL);
	CHECK_EQ(reap_resume(made, 0, &passed), REAP_ENDED);
	CHECK_EQ(passed.word, 6);
	host_close(&h);
}

/* What a domain lists at its end. */
TEST(domain, a_domain_lists_orphans_and_not_the_detached)
{
	for (int listed = 0; listed < 2; listed++) {
		unsigned	n = 0;
		struct host	h;

		host_open(&h, (struct reap_domain_options){ 0 });
		for (int i = 0; i < 1500; i++)		/* more than one drain takes */
			(void)host_create((struct reap_context_options){ .entry = host_return, .flags = REAP_CONTEXT_DETACHED });
		for (int i = 0; i < 3; i++)
			(void)host_spawn(host_return, NULL);
		host_run();
		CHECK_EQ(reap_worker_stop(h.worker), 0);
		CHECK_EQ(reap_domain_destroy(h.domain, listed ? host_unjoined : NULL, &n), 0);
		CHECK_EQ(n, listed ? 3 : 0);
	}
}
