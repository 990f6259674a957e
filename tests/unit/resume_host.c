/* SPDX-License-Identifier: ISC */
/*
 * resume_host.c: owned contexts that park, and those that wait for them in a resume: a base context which serves, and another one to
 * whom somebody switches nevertheless, on whatever worker.
 */
#include <sched.h>
#include <time.h>

#include "misuse.h"
#include "resume.h"

static struct reap_context *sleeping;	/* parked; whoever readies it takes it away */

static bool
publish(struct reap_context *parked, void *arg)
{
	(void)arg;
	__atomic_store_n(&sleeping, parked, __ATOMIC_RELEASE);
	return true;
}

static intptr_t
parks(void *arg)
{
	(void)reap_park(reap_worker_self(), publish, NULL);
	return (intptr_t)arg;
}

static intptr_t
suspends(void *arg)
{
	(void)reap_suspend(NULL);
	return (intptr_t)arg;
}

/* ---- a base context that serves */

static unsigned idles;

/* Waits for another one itself, first; then for nobody; then readies the sleeper. */
static void
idle_that_waits(struct reap_worker *worker)
{
	struct reap_context	*child;
	struct reap_result	r;

	switch (idles++) {
	case 0:
		CHECK_EQ(reap_spawn(worker, host_return, (void *)9, &child), 0);
		host_ready(child);
		CHECK_EQ(reap_join(reap_context_handle(child), 0, &r), 0);
		CHECK_EQ(r.status, 9);
		break;
	case 1:
		break;
	default:
		host_ready(sleeping);
	}
}

TEST(resume, a_base_context_may_wait_for_others_in_idle)
{
	struct reap_host	callbacks = host_alone;
	struct reap_passed	p = { 0 };
	struct reap_context	*before, *context;
	struct host		h;

	idles = 0;
	callbacks.idle = idle_that_waits;
	callbacks.shares = true;
	host_open(&h, (struct reap_domain_options){ .host = &callbacks });
	before = owned(&h, suspends, NULL);
	CHECK_EQ(reap_resume(before, 0, NULL), REAP_SUSPENDED);
	context = owned(&h, parks, (void *)4);
	CHECK_EQ(reap_resume(context, 0, &p), REAP_ENDED);
	CHECK(p.context == context);
	CHECK_EQ(p.word, 4);
	CHECK_EQ(idles, 3);
	CHECK_EQ(reap_resume(before, 0, &p), REAP_ENDED);
	CHECK_EQ(host_stats(&h).exited, 3);
	host_close(&h);
}

static void
resume_who_parks(void *unused)
{
	struct host h;

	(void)unused;
	host_open(&h, (struct reap_domain_options){ 0 });
	(void)reap_resume(owned(&h, parks, NULL), 0, NULL);
}

TEST(resume, a_base_context_that_can_never_go_on_aborts)
{
	check_misuse("no-idle", resume_who_parks, NULL);
}

/* ---- one that is no base context */

static intptr_t
switches_to_its_resumer(void *arg)
{
	(void)reap_switch(reap_worker_self(), reap_resumed_by(self()));
	return (intptr_t)arg;
}

static intptr_t
resumes_the_wrong_one(void *h)
{
	(void)reap_resume(owned(h, switches_to_its_resumer, NULL), 0, NULL);
	return 0;
}

static void
switch_to_a_resumer(void *unused)
{
	struct host h;

	(void)unused;
	host_open(&h, (struct reap_domain_options){ 0 });
	(void)host_spawn(resumes_the_wrong_one, &h);
	host_run();
}

TEST(resume, a_switch_to_who_waits_in_a_resume_aborts)
{
	check_misuse("switch-to-resumer", switch_to_a_resumer, NULL);
}

/*
 * Its resumer is at home on the first worker.  It is shared, parks, and goes on on the second; there it transfers to one of that
 * worker's own, which then has a resumer that it may not go back to.
 */
static struct reap_worker *first_worker;
static struct reap_context *for_first;
static bool first_is_asleep;

static struct reap_context *
next_of_each(struct reap_worker *worker)
{
	return __atomic_exchange_n(worker == first_worker ? &for_first : &sleeping, NULL, __ATOMIC_ACQ_REL);
}

static void
ready_on_first(struct reap_context *context)
{
	__atomic_store_n(&for_first, context, __ATOMIC_RELEASE);
}

static void
idle_for_ever(struct reap_worker *worker)
{
	(void)worker;
	__atomic_store_n(&first_is_asleep, true, __ATOMIC_RELEASE);
	(void)sched_yield();
}

static intptr_t
transfers_elsewhere(void *entry)
{
	struct reap_context *there;

	(void)reap_park(reap_worker_self(), publish, NULL);
	CHECK(reap_worker_self() != first_worker);
	CHECK_EQ(reap_spawn_owned(reap_worker_self(), *(reap_entry **)entry, NULL, &there), 0);
	(void)reap_transfer(there, NULL);
	return 0;
}

static intptr_t
resumes_a_shared_one(void *entry)
{
	struct reap_context *shared;

	CHECK_EQ(reap_spawn_owned(reap_worker_self(), transfers_elsewhere, entry, &shared), 0);
	CHECK_EQ(reap_context_share(shared), 0);
	(void)reap_resume(shared, 0, NULL);
	_exit(0);	/* on the wrong worker */
}

static void *
second_worker(void *domain)
{
	struct reap_worker *worker;

	CHECK_EQ(reap_worker_start(domain, NULL, &worker), 0);
	for (;;) {
		if (__atomic_load_n(&first_is_asleep, __ATOMIC_ACQUIRE))	/* then all are where they shall be */
			(void)reap_yield(worker);
		(void)sched_yield();
	}
	return NULL;
}

static void
go_back_to_a_resumer_elsewhere(void *entry)
{
	struct reap_host	callbacks = { .next = next_of_each, .ready = ready_on_first, .idle = idle_for_ever, .shares = true };
	struct reap_context	*resumer;
	struct host		h;
	pthread_t		thread;

	host_open(&h, (struct reap_domain_options){ .host = &callbacks });
	first_worker = h.worker;
	CHECK_EQ(pthread_create(&thread, NULL, second_worker, h.domain), 0);
	CHECK_EQ(reap_spawn(h.worker, resumes_a_shared_one, entry, &resumer), 0);
	ready_on_first(resumer);
	(void)reap_wait(resumer, 0, NULL);
}

TEST(resume, a_transfer_does_not_take_a_resumer_to_another_worker)
{
	reap_entry *ends = host_return, *suspend = suspends;

	check_misuse("pinned", go_back_to_a_resumer_elsewhere, &ends);
	check_misuse("pinned", go_back_to_a_resumer_elsewhere, &suspend);
}
