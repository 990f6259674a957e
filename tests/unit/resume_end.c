/* SPDX-License-Identifier: ISC */
/*
 * resume_end.c: owned contexts whose end is not their resumer's business alone: cancel, destroy, discard, orphans, listeners, other
 * threads.
 */
#include "resume.h"

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
	struct host h;

	host_open(&h, (struct reap_domain_options){ 0 });
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
