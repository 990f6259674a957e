/* SPDX-License-Identifier: ISC */
/*
 * resume_end.c: owned contexts whose end is not their resumer's business alone: cancel, destroy, discard, orphans, listeners, other
 * threads.  And what any end leaves behind.
 */
#include "resume.h"
#include "worker.h"

static unsigned unwound;

static intptr_t
cancellable(void *arg)
{
	intptr_t word = 0;

	CHECK_EQ(reap_suspend(&word), -ECANCELED);
	CHECK_EQ(word, 9);
	unwound++;
	/* It said so once: what it does with it is its own business. */
	CHECK_EQ(reap_suspend(NULL), 0);
	return (intptr_t)arg;
}

TEST(resume, cancel_is_returned_where_it_was_suspended)
{
	struct host		h;
	struct reap_passed	p = { .word = 9 };
	struct reap_context	*context;

	host_open(&h, (struct reap_domain_options){ 0 });
	context = owned(&h, cancellable, (void *)4);
	CHECK_EQ(reap_resume(context, 0, NULL), REAP_SUSPENDED);
	CHECK_EQ(reap_resume(context, REAP_CANCEL, &p), REAP_SUSPENDED);
	CHECK_EQ(unwound, 1);
	CHECK_EQ(reap_resume(context, 0, &p), REAP_ENDED);
	CHECK_EQ(p.word, 4);
	host_close(&h);
}

static unsigned off;

static void
count_off(struct reap_context *context, intptr_t status)
{
	(void)context;
	CHECK_EQ(status, -ECANCELED);
	off++;
}

TEST(resume, cancel_of_a_new_one_never_runs_it)
{
	struct reap_context_options options = {
		.size = sizeof(options), .entry = cancellable, .flags = REAP_CONTEXT_OWNED, .off_cpu = count_off,
	};
	struct host		h;
	struct reap_passed	p = { 0 };
	struct reap_context	*context;

	host_open(&h, (struct reap_domain_options){ 0 });
	CHECK_EQ(reap_context_create(h.domain, &options, &context), 0);
	CHECK_EQ(reap_resume(context, REAP_CANCEL, &p), REAP_ENDED);
	CHECK_EQ(p.word, -ECANCELED);
	CHECK_EQ(unwound, 0);
	CHECK_EQ(off, 1);
	host_close(&h);
}

TEST(resume, destroy_of_a_suspended_one_reaps_it_and_runs_nothing)
{
	struct host		h;
	struct reap_context	*context;

	host_open(&h, (struct reap_domain_options){ 0 });
	context = owned(&h, cancellable, NULL);
	CHECK_EQ(reap_resume(context, 0, NULL), REAP_SUSPENDED);
	CHECK_EQ(reap_context_destroy(context, 0), 0);
	CHECK_EQ(unwound, 0);
	CHECK_EQ(host_stats(&h).reaped, 1);
	CHECK_EQ(host_stats(&h).live, 0);
	host_close(&h);
}

static intptr_t
resumes_itself(void *arg)
{
	CHECK_EQ(reap_resume(self(), 0, NULL), -EBUSY);
	CHECK_EQ(reap_suspend(NULL), -EPERM);
	return (intptr_t)arg;
}

static intptr_t
destroys_resumer(void *arg)
{
	CHECK_EQ(reap_context_destroy(arg, 0), -EBUSY);
	CHECK_EQ(reap_context_discard(arg, 0), -EBUSY);
	return 0;
}

static intptr_t
is_to_be_destroyed(void *arg)
{
	CHECK_EQ(reap_resume(owned(arg, destroys_resumer, self()), 0, NULL), REAP_ENDED);
	return 3;
}

TEST(resume, a_resumer_that_is_not_owned_is_not_destroyed_either)
{
	struct host		h;
	struct reap_result	result;
	struct reap_context	*child;

	host_open(&h, (struct reap_domain_options){ 0 });
	child = host_spawn(is_to_be_destroyed, &h);
	host_run();
	CHECK_EQ(reap_wait(child, 0, &result), 0);
	CHECK_EQ(result.status, 3);
	host_close(&h);
}

/* Run by a host instead, it is an orphan: its adopter gets it. */
TEST(resume, one_that_nobody_has_resumed_goes_to_the_adopter)
{
	struct reap_context	*before[2];
	struct host		 h;

	host_open(&h, (struct reap_domain_options){ 0 });
	/* One stack for it, and one that is at hand when it resumes itself. */
	for (int i = 0; i < 2; i++)
		before[i] = owned(&h, host_return, NULL);
	for (int i = 0; i < 2; i++)
		CHECK_EQ(reap_resume(before[i], 0, NULL), REAP_ENDED);
	host_ready(owned(&h, resumes_itself, NULL));
	host_run();
	CHECK_EQ(reap_adopter_drain(reap_adopter_default(h.domain), 2), 1);
	host_close(&h);
}

static intptr_t
leaves_a_child(void *arg)
{
	struct reap_context *child;

	CHECK_EQ(reap_spawn(reap_worker_self(), host_return, (void *)8, &child), 0);
	*(struct reap_context **)arg = child;
	return 5;
}

TEST(resume, of_one_that_is_a_parent_leaves_orphans)
{
	struct host		h;
	struct reap_passed	p = { 0 };
	struct reap_context	*child = NULL;

	host_open(&h, (struct reap_domain_options){ 0 });
	CHECK_EQ(reap_resume(owned(&h, leaves_a_child, &child), 0, &p), REAP_ENDED);
	CHECK_EQ(p.word, 5);
	host_ready(child);
	host_run();
	CHECK_EQ(host_stats(&h).orphans, 1);
	CHECK_EQ(reap_adopter_drain(reap_adopter_default(h.domain), 2), 1);
	host_close(&h);
}

struct ending {
	struct reap_exit_listener listener;
	unsigned heard;
};

static void
suspend_once_more(struct reap_exit_listener *listener, struct reap_context *context, intptr_t status)
{
	struct ending *e = (struct ending *)listener;

	CHECK(context == self());
	CHECK_EQ(status, 6);
	e->heard++;
	CHECK_EQ(reap_suspend(NULL), 0);
	e->heard++;
}

static intptr_t
listens(void *arg)
{
	struct ending *e = arg;

	reap_exit_listen(self(), &e->listener);
	return 6;
}

TEST(resume, a_listener_may_suspend)
{
	struct host		h;
	struct ending		e = { .listener.exiting = suspend_once_more };
	struct reap_passed	p = { 0 };
	struct reap_context	*context;

	host_open(&h, (struct reap_domain_options){ 0 });
	context = owned(&h, listens, &e);
	CHECK_EQ(reap_resume(context, 0, &p), REAP_SUSPENDED);
	CHECK_EQ(e.heard, 1);
	CHECK_EQ(reap_resume(context, 0, &p), REAP_ENDED);
	CHECK_EQ(e.heard, 2);
	CHECK_EQ(p.word, 6);
	host_close(&h);
}

struct foreign {
	struct host *host;
	struct reap_context *context;
	int	 resumed, discarded;
};

static void *
resume_elsewhere(void *arg)
{
	struct foreign		*f = arg;
	struct reap_worker	*worker;

	CHECK_EQ(reap_resume(f->context, 0, NULL), -EPERM);
	CHECK_EQ(reap_worker_start(f->host->domain, &f->host->base, &worker), 0);
	CHECK_EQ(reap_resume(owned(f->host, host_return, NULL), 0, NULL), REAP_ENDED);	/* a stack is at hand here as well */
	f->resumed = reap_resume(f->context, 0, NULL);
	CHECK_EQ(reap_worker_stop(worker), 0);
	f->discarded = reap_context_discard(f->context, -5);
	return NULL;
}

static intptr_t off_status;

static void
note_status(struct reap_context *context, intptr_t status)
{
	(void)context;
	off_status = status;
	off++;
}

static void
discarded_elsewhere(struct host *h)
{
	struct reap_context_options options = {
		.size = sizeof(options), .entry = cancellable, .flags = REAP_CONTEXT_OWNED, .off_cpu = note_status,
	};
	struct foreign	f = { .host = h };
	pthread_t	thread;

	CHECK_EQ(reap_context_create(h->domain, &options, &f.context), 0);
	CHECK_EQ(reap_resume(f.context, 0, NULL), REAP_SUSPENDED);
	CHECK_EQ(pthread_create(&thread, NULL, resume_elsewhere, &f), 0);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	CHECK_EQ(f.resumed, -EPERM);
	CHECK_EQ(f.discarded, 1);
}

TEST(resume, elsewhere_is_refused_and_discard_is_left_to_the_owner)
{
	struct host h;

	host_open_shared(&h, (struct reap_domain_options){ 0 });
	discarded_elsewhere(&h);
	CHECK_EQ(off, 0);
	CHECK_EQ(reap_worker_discarded(h.worker), 1);
	CHECK_EQ(reap_worker_discarded(h.worker), 0);
	CHECK_EQ(off, 1);
	CHECK_EQ(off_status, -5);
	/* The next create does it too, and so does the worker's end. */
	discarded_elsewhere(&h);
	CHECK_EQ(reap_context_destroy(owned(&h, host_return, NULL), 0), 0);
	CHECK_EQ(off, 2);
	discarded_elsewhere(&h);
	host_close(&h);
	CHECK_EQ(off, 3);
}

TEST(resume, cancel_or_destroy_of_one_without_a_stack)
{
	struct host		h;
	struct reap_passed	p = { 0 };
	struct reap_context	*context;

	host_open(&h, (struct reap_domain_options){ 0 });
	context = fresh(&h, cancellable, NULL);
	CHECK_EQ(reap_context_state(context), REAP_STATE_NEW);
	CHECK(reap_resumed_by(context) == NULL);
	CHECK_EQ(reap_resume(context, REAP_CANCEL, &p), REAP_ENDED);
	CHECK_EQ(p.word, -ECANCELED);
	CHECK(p.context == context);
	CHECK_EQ(unwound, 0);
	CHECK_EQ(reap_context_destroy(fresh(&h, cancellable, NULL), 0), 0);
	CHECK_EQ(unwound, 0);
	host_close(&h);
}

static void
leave_elsewhere(struct host *h, struct reap_context *context)
{
	struct foreign	f = { .host = h, .context = context };
	pthread_t	thread;

	CHECK_EQ(pthread_create(&thread, NULL, resume_elsewhere, &f), 0);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	CHECK_EQ(f.resumed, -EPERM);
	CHECK_EQ(f.discarded, 1);
	CHECK_EQ(reap_worker_discarded(h->worker), 1);
}

TEST(resume, simple_ones_run_and_die_at_home)
{
	struct host		h;
	struct reap_context	*context;

	host_open_shared(&h, (struct reap_domain_options){ 0 });
	context = fresh(&h, cancellable, NULL);
	leave_elsewhere(&h, context);
	context = fresh(&h, cancellable, NULL);
	CHECK_EQ(reap_resume(context, 0, NULL), REAP_SUSPENDED);
	leave_elsewhere(&h, context);
	CHECK_EQ(unwound, 0);
	host_close(&h);
}

static intptr_t
suspend_twice(void *arg)
{
	(void)arg;
	CHECK_EQ(reap_suspend(NULL), 0);
	CHECK_EQ(reap_suspend(NULL), 0);
	return 0;
}

TEST(resume, a_shared_one_runs_anywhere)
{
	struct host		h;
	struct reap_context	*context;
	struct foreign		f = { .host = &h };
	pthread_t		thread;

	host_open_shared(&h, (struct reap_domain_options){ 0 });
	f.context = context = owned(&h, suspend_twice, NULL);
	CHECK_EQ(reap_resume(context, 0, NULL), REAP_SUSPENDED);
	CHECK_EQ(reap_context_share(context), 0);
	CHECK(reap_context_home(context) == NULL);
	CHECK_EQ(pthread_create(&thread, NULL, resume_elsewhere, &f), 0);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	CHECK_EQ(f.resumed, REAP_SUSPENDED);
	CHECK_EQ(f.discarded, 0);
	host_close(&h);
}

static void *
discard_elsewhere(void *arg)
{
	struct foreign *f = arg;

	f->discarded = reap_context_discard(f->context, 0);
	return NULL;
}

static intptr_t
waits_for_one(void *arg)
{
	CHECK_EQ(reap_wait(host_spawn(host_gated, arg), 0, NULL), 0);
	return 0;
}

TEST(resume, discard_by_others_of_one_that_waits_is_refused)
{
	struct host	h;
	struct gate	gate = GATE_INIT;
	struct foreign	f = { .host = &h };
	pthread_t	thread;

	host_open(&h, (struct reap_domain_options){ 0 });
	f.context = host_create((struct reap_context_options){
		.entry = waits_for_one, .arg = &gate, .flags = REAP_CONTEXT_PINNED });
	host_run();
	CHECK_EQ(pthread_create(&thread, NULL, discard_elsewhere, &f), 0);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	CHECK_EQ(f.discarded, -EBUSY);
	gate_open(&gate);
	host_run();
	CHECK_EQ(reap_wait(f.context, 0, NULL), 0);
	host_close(&h);
}

/* ---- what any end leaves behind */

/* By the fast path, whatever else the contexts of this test are. */
static struct reap_context *
spawned(struct host *h, reap_entry *entry, void *arg)
{
	struct reap_context *context;

	CHECK_EQ(reap_spawn_owned(h->worker, entry, arg, &context), 0);
	return context;
}

static intptr_t
suspend_once(void *arg)
{
	CHECK_EQ(reap_suspend(NULL), 0);
	return (intptr_t)arg;
}

TEST(resume, ends_are_counted_where_they_go)
{
	struct host	h;
	uint64_t	base;

	host_open(&h, (struct reap_domain_options){ 0 });
	CHECK_EQ(reap_wait(host_spawn(waits_for_one, &(struct gate){ .lock = PTHREAD_MUTEX_INITIALIZER, .open = true }), 0, NULL), 0);
	base = host_stats(&h).handed_base;
	for (uint64_t i = 1; i <= 3; i++) {
		uint64_t direct = host_stats(&h).handed_direct;

		CHECK_EQ(reap_resume(spawned(&h, host_return, NULL), 0, NULL), REAP_ENDED);
		CHECK_EQ(host_stats(&h).handed_base, base + i);
		CHECK_EQ(host_stats(&h).handed_direct, direct);
	}
	host_close(&h);
}

#define MANY	(3 * REAP__DESCRIPTORS_KEPT)

/* So many that have run at a time: so many stacks are needed. */
static void
live_together(struct host *h, unsigned n)
{
	static struct reap_context	*context[MANY];
	const struct reap__stack_cache	*cache = &h->worker->cache;

	for (unsigned i = 0; i < n; i++) {
		context[i] = spawned(h, suspend_once, NULL);
		CHECK_EQ(reap_resume(context[i], 0, NULL), REAP_SUSPENDED);
	}
	CHECK_EQ(host_stats(h).stacks_mapped - host_stats(h).stacks_cached, n);
	for (unsigned i = 0; i < n; i++) {
		CHECK_EQ(reap_resume(context[i], 0, NULL), REAP_ENDED);
		CHECK(cache->count <= cache->batch);
		CHECK(h->worker->room >= 0);
	}
	CHECK_EQ(host_stats(h).stacks_mapped, host_stats(h).stacks_cached);
}

TEST(resume, stacks_and_descriptors_beyond_what_a_worker_keeps_are_handed_on)
{
	struct host h;

	host_open(&h, (struct reap_domain_options){ .stack = { .cache = 8 } });
	for (unsigned n = 1; n < MANY; n += 149)
		live_together(&h, n);
	host_close(&h);
}

TEST(resume, a_birth_from_memory_at_hand_sees_to_what_was_discarded)
{
	struct host		h;
	struct reap_context	*context;

	host_open_shared(&h, (struct reap_domain_options){ 0 });
	live_together(&h, 4);
	discarded_elsewhere(&h);
	CHECK_EQ(off, 0);
	context = spawned(&h, host_return, NULL);
	CHECK_EQ(off, 1);
	CHECK_EQ(reap_resume(context, 0, NULL), REAP_ENDED);
	host_close(&h);
}

static void *
trims(void *arg)
{
	(void)reap_trim(arg);
	return NULL;
}

TEST(resume, a_birth_follows_a_trim_by_another_thread)
{
	struct host		h;
	struct reap_context	*context;
	pthread_t		thread;

	host_open(&h, (struct reap_domain_options){ 0 });
	live_together(&h, 8);
	CHECK_EQ(pthread_create(&thread, NULL, trims, h.domain), 0);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	CHECK_EQ(host_stats(&h).stacks_resident, 8);
	context = spawned(&h, host_return, NULL);
	CHECK_EQ(host_stats(&h).stacks_resident, 0);
	CHECK_EQ(reap_resume(context, 0, NULL), REAP_ENDED);
	host_close(&h);
}

TEST(resume, ends_bring_back_to_its_cap_what_landings_have_filled)
{
	enum { BURST = 900 };
	struct host h;

	host_open(&h, (struct reap_domain_options){ .policy = REAP_POLICY_SUCCESSOR, .stack = { .cache = 8, .depot = 16 } });
	for (int i = 0; i < BURST; i++)
		(void)host_spawn(host_return, NULL);
	host_run();
	for (int i = 0; i < BURST; i++)
		CHECK_EQ(reap_resume(spawned(&h, host_return, NULL), 0, NULL), REAP_ENDED);
	CHECK(host_stats(&h).stacks_resident <= 8 + 17);	/* as in policy.c */
	for (int i = 0; i < BURST; i++)
		CHECK_EQ(reap_wait_any(0, NULL), 0);
	host_close(&h);
}
