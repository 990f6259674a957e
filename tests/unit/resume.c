/* SPDX-License-Identifier: ISC */
/*
 * resume.c: owned contexts: resume and suspend, transfer, and what is refused.  How they end otherwise is in resume_end.c.
 */
#include "misuse.h"
#include "resume.h"

/* Suspends with 1, 2, ... until it is sent 0; says so with its status. */
static intptr_t
count(void *arg)
{
	intptr_t word = reap_resumed_word(self());

	for (intptr_t i = 1; word != 0; i++) {
		word = i;
		CHECK_EQ(reap_suspend(&word), 0);
	}
	return (intptr_t)arg;
}

TEST(resume, passes_words_both_ways_and_reaps_at_the_end)
{
	struct host		h;
	struct reap_passed	p = { .word = 5 };
	struct reap_context	*context;

	host_open(&h, (struct reap_domain_options){ 0 });
	context = owned(&h, count, (void *)77);
	CHECK(reap_resumed_by(context) == NULL);
	for (int i = 1; i <= 3; i++) {
		CHECK_EQ(reap_resume(context, 0, &p), REAP_SUSPENDED);
		CHECK_EQ(p.word, i);
		CHECK(p.context == context);
		CHECK_EQ(reap_context_state(context), REAP_STATE_SUSPENDED);
	}
	p.word = 0;
	CHECK_EQ(reap_resume(context, 0, &p), REAP_ENDED);
	CHECK_EQ(p.word, 77);
	CHECK(p.context == context);
	CHECK_EQ(host_stats(&h).reaped, 1);
	CHECK_EQ(h.readied, 0);
	host_close(&h);
}

static unsigned left, landed;

static void
count_left(struct reap_worker *worker, struct reap_context *from, struct reap_context *to)
{
	(void)worker;
	CHECK(from != to);
	left++;
}

static void
count_landed(struct reap_worker *worker, struct reap_context *prev, bool dead)
{
	(void)prev;
	CHECK(worker == reap_worker_self());
	landed += dead ? 100 : 1;
}

TEST(resume, hooks_are_called_also_without_a_scheduler)
{
	static const struct reap_host hooks = { .on_switch = count_left, .after_switch = count_landed };
	struct reap_domain_options options = { .size = sizeof(options), .host = &hooks };
	struct host		h = { 0 };
	struct reap_context	*context;

	CHECK_EQ(reap_domain_create(&options, &h.domain), 0);
	CHECK_EQ(reap_worker_start(h.domain, NULL, &h.worker), 0);
	context = owned(&h, count, NULL);
	CHECK_EQ(reap_resume(context, 0, &(struct reap_passed){ .word = 1 }), REAP_SUSPENDED);
	CHECK_EQ(left, 2);
	CHECK_EQ(landed, 2);
	CHECK_EQ(reap_resume(context, 0, NULL), REAP_ENDED);
	CHECK_EQ(left, 4);
	CHECK_EQ(landed, 103);
	CHECK(reap_yield(h.worker) == h.worker);
	CHECK_EQ(reap_worker_stop(h.worker), 0);
	CHECK_EQ(reap_domain_destroy(h.domain, NULL, NULL), 0);
}

TEST(resume, needs_no_host)
{
	struct reap_domain_options options = { .size = sizeof(options) };
	struct host		h = { 0 };
	struct reap_context	*context;

	CHECK_EQ(reap_domain_create(&options, &h.domain), 0);
	CHECK_EQ(reap_worker_start(h.domain, NULL, &h.worker), 0);
	context = owned(&h, count, NULL);
	CHECK(reap_context_home(context) == h.worker);
	CHECK_EQ(reap_resume(context, 0, &(struct reap_passed){ .word = 1 }), REAP_SUSPENDED);
	CHECK_EQ(reap_worker_stop(h.worker), -EBUSY);
	CHECK_EQ(reap_resume(context, 0, NULL), REAP_ENDED);
	CHECK_EQ(reap_worker_stop(h.worker), 0);
	CHECK_EQ(reap_domain_destroy(h.domain, NULL, NULL), 0);
}

struct nest {
	struct host *host;
	unsigned depth;
};

static intptr_t
nested(void *arg)
{
	struct nest		*nest = arg, deeper = { nest->host, nest->depth - 1 };
	struct reap_passed	 p = { 0 };
	struct reap_context	*inner;
	intptr_t		 sum = nest->depth;

	if (nest->depth > 0) {
		inner = owned(nest->host, nested, &deeper);
		CHECK_EQ(reap_resume(inner, 0, &p), REAP_SUSPENDED);
		CHECK_EQ(reap_resume(inner, 0, &p), REAP_ENDED);
		sum += p.word;
	}
	CHECK_EQ(reap_suspend(NULL), 0);
	return sum;
}

TEST(resume, nests_and_each_goes_back_to_its_own_resumer)
{
	struct host		h;
	struct nest		hundred = { &h, 100 };
	struct reap_passed	p = { 0 };
	struct reap_context	*context;

	host_open(&h, (struct reap_domain_options){ 0 });
	context = owned(&h, nested, &hundred);
	CHECK_EQ(reap_resume(context, 0, &p), REAP_SUSPENDED);
	CHECK_EQ(reap_resume(context, 0, &p), REAP_ENDED);
	CHECK_EQ(p.word, 5050);
	CHECK_EQ(host_stats(&h).reaped, 101);
	host_close(&h);
}

static intptr_t
resume_it(void *arg)
{
	struct reap_context *active = reap_resumed_by(self());

	/* Who runs, who has resumed another one, and one that nobody owns. */
	CHECK_EQ(reap_resume(self(), 0, NULL), -EBUSY);
	CHECK_EQ(reap_resume(active, 0, NULL), arg != NULL ? -EBUSY : -EINVAL);
	if (arg != NULL) {
		CHECK_EQ(reap_context_destroy(active, 0), -EBUSY);
		CHECK_EQ(reap_context_discard(active, 0), -EBUSY);
		CHECK_EQ(reap_transfer(active, NULL), -EBUSY);
	}
	return 0;
}

static intptr_t
resume_another(void *arg)
{
	struct reap_context *another = owned(arg, resume_it, arg);

	CHECK_EQ(reap_resume(another, 0, NULL), REAP_ENDED);
	return 0;
}

TEST(resume, of_one_that_is_not_suspended_is_refused)
{
	struct host		h;
	struct reap_context	*child;

	host_open(&h, (struct reap_domain_options){ 0 });
	CHECK_EQ(reap_resume(owned(&h, resume_it, NULL), 0, NULL), REAP_ENDED);
	CHECK_EQ(reap_resume(owned(&h, resume_another, &h), 0, NULL), REAP_ENDED);
	CHECK_EQ(reap_resume(NULL, 0, NULL), -EINVAL);
	CHECK_EQ(reap_suspend(NULL), -EPERM);
	CHECK_EQ(reap_spawn(h.worker, host_return, NULL, &child), 0);
	CHECK_EQ(reap_resume(child, 0, NULL), -EINVAL);
	CHECK_EQ(reap_transfer(child, NULL), -EPERM);
	CHECK_EQ(reap_context_destroy(child, 0), 0);
	CHECK_EQ(reap_wait(child, 0, NULL), 0);
	host_close(&h);
}

TEST(resume, options_that_contradict_it_are_refused)
{
	struct reap_context_options options = { .size = sizeof(options), .entry = host_return };
	struct host		h;
	struct reap_context	*context = NULL;

	host_open(&h, (struct reap_domain_options){ 0 });
	options.flags = REAP_CONTEXT_OWNED | REAP_CONTEXT_DETACHED;
	CHECK_EQ(reap_context_create(h.domain, &options, &context), -EINVAL);
	options.flags = REAP_CONTEXT_OWNED;
	options.policy = REAP_POLICY_THREAD;
	CHECK_EQ(reap_context_create(h.domain, &options, &context), -EINVAL);
	options.policy = REAP_POLICY_DEFAULT;
	CHECK_EQ(reap_context_create(h.domain, &options, &context), 0);
	CHECK_EQ(reap_resume(context, REAP_CANCEL << 1, NULL), -EINVAL);
	CHECK_EQ(reap_context_destroy(context, 0), 0);
	host_close(&h);
}

TEST(resume, nobody_else_can_collect_it)
{
	struct host		h;
	struct reap_context	*context;
	struct reap_handle	handle;

	host_open(&h, (struct reap_domain_options){ 0 });
	context = owned(&h, count, NULL);
	CHECK_EQ(reap_resume(context, 0, &(struct reap_passed){ .word = 1 }), REAP_SUSPENDED);
	CHECK_EQ(reap_wait(context, 0, NULL), -ECHILD);
	CHECK_EQ(reap_wait_any(REAP_NOHANG, NULL), -ECHILD);
	handle = reap_context_handle(context);
	CHECK_EQ(reap_join(handle, 0, NULL), -EBUSY);
	CHECK_EQ(reap_resume(context, 0, NULL), REAP_ENDED);
	CHECK_EQ(reap_join(handle, 0, NULL), -ESRCH);
	host_close(&h);
}

static intptr_t
transfer_to(void *arg)
{
	intptr_t word = 10;

	CHECK_EQ(reap_transfer(arg, &word), 0);
	return word + 1;
}

static intptr_t
word_plus_one(void *arg)
{
	(void)arg;
	return reap_resumed_word(self()) + 1;
}

TEST(resume, transfer_goes_back_to_the_resumer_of_the_first)
{
	struct host		h;
	struct reap_passed	p = { 0 };
	struct reap_context	*a, *b;

	host_open(&h, (struct reap_domain_options){ 0 });
	b = owned(&h, word_plus_one, NULL);
	a = owned(&h, transfer_to, b);
	CHECK_EQ(reap_resume(a, 0, &p), REAP_ENDED);
	CHECK(p.context == b);
	CHECK_EQ(p.word, 11);
	CHECK_EQ(reap_resume(a, 0, &p), REAP_ENDED);
	CHECK(p.context == a);
	CHECK_EQ(p.word, 12);
	host_close(&h);
}

struct relay {
	struct gate gate;
	struct reap_context *generator;
	intptr_t words[3];
};

/* A generator that sleeps in its host: its resumer sleeps as well. */
static intptr_t
generate(void *arg)
{
	struct relay *relay = arg;

	for (intptr_t i = 0; i < 2; i++) {
		intptr_t word = i + 1;

		gate_pass(&relay->gate);
		CHECK_EQ(reap_suspend(&word), 0);
	}
	return 3;
}

static intptr_t
consume(void *arg)
{
	struct relay		*relay = arg;
	struct reap_passed	 p;

	relay->generator = owned(host_of(reap_worker_self()), generate, relay);
	for (int i = 0; i < 3; i++) {
		p.word = 0;
		CHECK_EQ(reap_resume(relay->generator, 0, &p), i < 2 ? REAP_SUSPENDED : REAP_ENDED);
		relay->words[i] = p.word;
	}
	return 0;
}

TEST(resume, one_that_parks_comes_back_to_its_resumer)
{
	struct host		h;
	struct relay		relay = { .gate = GATE_INIT };
	struct reap_context	*consumer;

	host_open(&h, (struct reap_domain_options){ 0 });
	consumer = host_spawn(consume, &relay);
	host_run();
	CHECK(relay.gate.parked == relay.generator);
	CHECK_EQ(reap_resume(relay.generator, 0, NULL), -EBUSY);
	gate_open(&relay.gate);
	host_run();
	CHECK_EQ(reap_wait(consumer, 0, NULL), 0);
	CHECK_EQ(relay.words[0], 1);
	CHECK_EQ(relay.words[1], 2);
	CHECK_EQ(relay.words[2], 3);
	host_close(&h);
}

static struct gate *shut;

static void
opens_when_idle(struct reap_worker *worker)
{
	(void)worker;
	gate_open(shut);
}

static intptr_t
sleeps_twice(void *arg)
{
	gate_pass(arg);
	CHECK_EQ(reap_suspend(NULL), 0);
	shut->open = false;
	gate_pass(arg);
	return 4;
}

TEST(resume, a_base_context_runs_others_while_the_one_that_it_resumed_sleeps)
{
	struct reap_host	callbacks = host_alone;
	struct host		h;
	struct gate		gate = GATE_INIT;
	struct reap_passed	p = { 0 };
	struct reap_context	*before, *context;

	shut = &gate;
	callbacks.idle = opens_when_idle;
	host_open(&h, (struct reap_domain_options){ .host = &callbacks });
	/* Somebody has come back before: that is not to be taken for an answer. */
	before = owned(&h, count, NULL);
	CHECK_EQ(reap_resume(before, 0, &(struct reap_passed){ .word = 1 }), REAP_SUSPENDED);
	context = owned(&h, sleeps_twice, &gate);
	CHECK_EQ(reap_resume(context, 0, &p), REAP_SUSPENDED);
	CHECK(p.context == context);
	CHECK_EQ(reap_resume(context, 0, &p), REAP_ENDED);
	CHECK(p.context == context);
	CHECK_EQ(p.word, 4);
	CHECK_EQ(host_stats(&h).reaped, 1);
	CHECK_EQ(reap_context_destroy(before, 0), 0);
	host_close(&h);
}

static intptr_t
park_for_nobody(void *arg)
{
	gate_pass(arg);
	return 0;
}

static void
park_without_host(void *arg)
{
	struct reap_domain_options options = { .size = sizeof(options) };
	struct host		h = { 0 };
	struct gate		gate = GATE_INIT;

	(void)arg;
	CHECK_EQ(reap_domain_create(&options, &h.domain), 0);
	CHECK_EQ(reap_worker_start(h.domain, NULL, &h.worker), 0);
	(void)reap_resume(owned(&h, park_for_nobody, &gate), 0, NULL);
}

TEST(resume, one_that_parks_without_a_host_aborts)
{
	check_misuse("no-host", park_without_host, NULL);
}

static intptr_t
join_resumer(void *arg)
{
	CHECK_EQ(reap_join(reap_context_handle(arg), 0, NULL), -EDEADLK);
	return 0;
}

static intptr_t
resume_a_joiner(void *arg)
{
	CHECK_EQ(reap_resume(owned(arg, join_resumer, self()), 0, NULL), REAP_ENDED);
	return 0;
}

TEST(resume, waiting_for_ones_own_resumer_is_told)
{
	struct host		h;
	struct reap_context	*child;

	host_open(&h, (struct reap_domain_options){ 0 });
	child = host_spawn(resume_a_joiner, &h);
	host_run();
	CHECK_EQ(reap_wait(child, 0, NULL), 0);
	host_close(&h);
}

static struct reap_handle circle;

static intptr_t
joins_the_first(void *arg)
{
	(void)arg;
	CHECK_EQ(reap_join(circle, 0, NULL), 0);
	return 0;
}

static intptr_t
resumes_who_joins(void *arg)
{
	CHECK_EQ(reap_resume(owned(arg, joins_the_first, NULL), 0, NULL), REAP_ENDED);
	return 0;
}

static intptr_t
waits_for_a_resumer(void *arg)
{
	struct reap_context *child;

	circle = reap_context_handle(self());
	CHECK_EQ(reap_spawn(reap_worker_self(), resumes_who_joins, arg, &child), 0);
	host_ready(child);
	(void)reap_yield(reap_worker_self());
	CHECK_EQ(reap_wait(child, 0, NULL), -EDEADLK);
	return 0;
}

TEST(resume, a_circle_through_a_resume_is_told_whoever_closes_it)
{
	struct host h;

	host_open(&h, (struct reap_domain_options){ 0 });
	(void)host_spawn(waits_for_a_resumer, &h);
	host_run();
	CHECK_EQ(host_stats(&h).live, 0);
	CHECK_EQ(host_stats(&h).orphans, 1);
	CHECK_EQ(reap_adopter_drain(reap_adopter_default(h.domain), 2), 1);
	host_close(&h);
}

/* ---- simple ones */

static intptr_t
note_word(void *arg)
{
	*(intptr_t *)arg = reap_resumed_word(self());
	return 0;
}

TEST(resume, the_first_word_is_its_own_resumers)
{
	struct host		h;
	struct reap_passed	p = { .word = 8 };
	intptr_t		word = 1;

	host_open(&h, (struct reap_domain_options){ 0 });
	CHECK_EQ(reap_resume(fresh(&h, note_word, &word), 0, NULL), REAP_ENDED);
	CHECK_EQ(word, 0);
	CHECK_EQ(reap_resume(fresh(&h, note_word, &word), 0, &p), REAP_ENDED);
	CHECK_EQ(word, 8);
	CHECK_EQ(p.word, 0);
	host_close(&h);
}

TEST(resume, transfer_to_one_without_a_stack)
{
	struct host		h;
	struct reap_passed	p = { 0 };
	struct reap_context	*a, *b;

	host_open(&h, (struct reap_domain_options){ 0 });
	/* Two stacks are at hand then. */
	a = owned(&h, host_return, NULL);
	b = fresh(&h, word_plus_one, NULL);
	CHECK_EQ(reap_resume(a, 0, NULL), REAP_ENDED);
	a = owned(&h, transfer_to, b);
	CHECK_EQ(reap_resume(a, 0, &p), REAP_ENDED);
	CHECK(p.context == b);
	CHECK_EQ(p.word, 11);
	CHECK_EQ(reap_resume(a, 0, &p), REAP_ENDED);
	CHECK_EQ(p.word, 12);
	host_close(&h);
}

/* Words and cancellations that are not there are not those of before. */
static struct reap_context *partner;

static intptr_t
passes_nothing(void *arg)
{
	struct reap_context	*self = reap_worker_current(reap_worker_self());
	intptr_t		 word = 5;

	CHECK(reap_resumed_by(self) == arg);
	CHECK_EQ(reap_suspend(&word), 0);
	CHECK_EQ(reap_suspend(NULL), -ECANCELED);
	CHECK_EQ(reap_suspend(&word), 0);	/* transferred to, with nothing: not cancelled again */
	CHECK_EQ(word, 0);
	return 3;
}

static intptr_t
transfers_nothing(void *arg)
{
	CHECK_EQ(reap_transfer(partner, NULL), 0);
	return (intptr_t)arg;
}

static intptr_t
is_resumed_by_nobody(void *arg)
{
	host_yield();				/* who waits for us has claimed us */
	CHECK(reap_resumed_by(reap_worker_current(reap_worker_self())) == NULL);
	return (intptr_t)arg;
}

static intptr_t
waits_for_it(void *arg)
{
	CHECK_EQ(reap_wait(host_spawn(is_resumed_by_nobody, arg), 0, NULL), 0);
	return 0;
}

TEST(resume, what_is_not_passed_is_nothing)
{
	struct reap_passed	passed = { 9, NULL };
	struct reap_context	*first, *base;
	struct host		h;

	host_open(&h, (struct reap_domain_options){ 0 });
	base = reap_worker_base(h.worker);
	CHECK_EQ(reap_spawn_owned(h.worker, passes_nothing, base, &partner), 0);
	CHECK_EQ(reap_spawn_owned(h.worker, transfers_nothing, (void *)4, &first), 0);
	CHECK_EQ(reap_resume(partner, 0, &passed), REAP_SUSPENDED);
	CHECK_EQ(passed.word, 5);
	passed.word = 8;
	CHECK_EQ(reap_resume(partner, 0, &passed), REAP_SUSPENDED);
	CHECK_EQ(passed.word, 0);
	passed.word = 8;
	CHECK_EQ(reap_resume(partner, REAP_CANCEL, &passed), REAP_SUSPENDED);
	CHECK_EQ(reap_resume(first, 0, &passed), REAP_ENDED);
	CHECK(passed.context == partner && passed.word == 3);
	CHECK_EQ(reap_resume(first, 0, &passed), REAP_ENDED);
	CHECK_EQ(passed.word, 4);
	CHECK_EQ(reap_wait(host_spawn(waits_for_it, NULL), 0, NULL), 0);
	host_close(&h);
}

/* ---- where it must not be */

TEST(resume, of_another_domain_is_refused)
{
	struct host			h;
	struct reap_domain		*domain;
	struct reap_domain_options	options = { .size = sizeof(options) };
	struct reap_context_options	owner = { .size = sizeof(owner), .entry = host_return, .flags = REAP_CONTEXT_OWNED };
	struct reap_context		*context;

	host_open(&h, (struct reap_domain_options){ 0 });
	CHECK_EQ(reap_domain_create(&options, &domain), 0);
	CHECK_EQ(reap_context_create(domain, &owner, &context), 0);
	CHECK_EQ(reap_resume(context, 0, NULL), -EPERM);
	CHECK_EQ(reap_context_state(context), REAP_STATE_NEW);
	CHECK_EQ(reap_context_destroy(context, 0), 0);
	CHECK_EQ(reap_domain_destroy(domain, NULL, NULL), 0);
	host_close(&h);
}

static struct reap_context *hooked, *hook_to;
static int (*hook_does)(void);

static void
leaves_in_hook(struct reap_worker *worker, struct reap_context *from, struct reap_context *to)
{
	(void)worker;
	(void)to;
	if (from == hooked && reap_context_state(from) == REAP_STATE_EXITING) {
		hooked = NULL;
		(void)hook_does();
	}
}

static int hook_resumes(void) { return reap_resume(hook_to, 0, NULL); }
static int hook_suspends(void) { return reap_suspend(NULL); }
static int hook_transfers(void) { return reap_transfer(hook_to, NULL); }

static void
end_under_hook(void *owned_too)
{
	struct reap_host	callbacks = host_alone;
	struct host		h;

	callbacks.on_switch = leaves_in_hook;
	host_open(&h, (struct reap_domain_options){ .host = &callbacks });
	hook_to = owned(&h, host_return, NULL);
	if (owned_too != NULL) {
		hooked = owned(&h, host_return, NULL);
		(void)reap_resume(hooked, 0, NULL);
	} else {
		hooked = host_spawn(host_return, NULL);
		host_run();
	}
}

TEST(resume, a_hook_that_leaves_aborts)
{
	hook_does = hook_resumes;
	check_misuse("slot-full", end_under_hook, NULL);
	hook_does = hook_suspends;
	check_misuse("slot-full", end_under_hook, &hook_to);
	hook_does = hook_transfers;
	check_misuse("slot-full", end_under_hook, &hook_to);
}

static intptr_t
park_once(void *arg)
{
	(void)arg;
	(void)reap_park(reap_worker_self(), NULL, NULL);
	return 0;
}

static struct reap_context *
leaves_in_next(struct reap_worker *worker)
{
	(void)worker;
	(void)hook_does();
	return NULL;
}

/* Who asks for the next one has put itself into the slot. */
static void
park_with_such_a_next(void *unused)
{
	struct reap_host	callbacks = host_alone;
	struct host		h;

	(void)unused;
	callbacks.next = leaves_in_next;
	host_open(&h, (struct reap_domain_options){ .host = &callbacks });
	hook_to = owned(&h, host_return, NULL);
	(void)reap_resume(owned(&h, park_once, NULL), 0, NULL);
}

TEST(resume, a_next_that_leaves_aborts)
{
	hook_does = hook_resumes;
	check_misuse("slot-full", park_with_such_a_next, NULL);
	hook_does = hook_suspends;
	check_misuse("slot-full", park_with_such_a_next, NULL);
	hook_does = hook_transfers;
	check_misuse("slot-full", park_with_such_a_next, NULL);
}
