/* SPDX-License-Identifier: ISC */
/*
 * gate.c: what run.py counts the instructions of.  One worker, a FIFO host that shares; `gate SUBJECT N' does N of the subject.
 * The host's own queue is part of the count: it is the same every time.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <reap.h>

#define BATCH	100

static struct reap_context *first, **last = &first;

static struct reap_context *
next(struct reap_worker *worker)
{
	struct reap_context *context = first;

	(void)worker;
	if (context != NULL && (first = *reap_context_link(context)) == NULL)
		last = &first;
	return context;
}

static void
ready(struct reap_context *context)
{
	*last = context;
	last = reap_context_link(context);
	*last = NULL;
}

static void
must(int error)
{
	if (error != 0) {
		fprintf(stderr, "gate: %s\n", strerror(-error));
		exit(1);
	}
}

static intptr_t
empty(void *arg)
{
	return (intptr_t)arg;
}

static struct reap_context *ping, *pong;

static intptr_t
back(void *arg)
{
	struct reap_worker *worker = reap_worker_self();

	(void)arg;
	for (;;)
		worker = reap_switch(worker, ping);
	return 0;
}

static void
switches(long n)
{
	struct reap_worker *worker = reap_worker_self();

	for (long i = 0; i < n / 2; i++)
		worker = reap_switch(worker, pong);
}

/* A landing that finds the slot empty: what door 1 adds to a switch of its own. */
static struct reap_slot slot = REAP_SLOT_INIT;

static void
landings(long n)
{
	for (long i = 0; i < n; i++) {
		__asm__ volatile("" ::: "memory");
		reap_slot_landed(&slot);
	}
}

static void
lives_one(long n)
{
	struct reap_worker *worker = reap_worker_self();
	struct reap_context *child;

	for (long i = 0; i < n; i++) {
		must(reap_spawn(worker, empty, NULL, &child));
		ready(child);
		must(reap_wait(child, 0, NULL));
	}
}

static void
lives_many(long n)
{
	struct reap_worker *worker = reap_worker_self();
	struct reap_context *child[BATCH];

	for (long i = 0; i < n / BATCH; i++) {
		for (int j = 0; j < BATCH; j++) {
			must(reap_spawn(worker, empty, NULL, &child[j]));
			ready(child[j]);
		}
		for (int j = 0; j < BATCH; j++)
			must(reap_wait(child[j], 0, NULL));
	}
}

static void
lives_any(long n)
{
	struct reap_worker *worker = reap_worker_self();
	struct reap_context *child;

	for (long i = 0; i < n / BATCH; i++) {
		for (int j = 0; j < BATCH; j++) {
			must(reap_spawn(worker, empty, NULL, &child));
			ready(child);
		}
		for (int j = 0; j < BATCH; j++)
			must(reap_wait_any(0, NULL));
	}
}

static void
lives_owned(long n)
{
	struct reap_worker *worker = reap_worker_self();
	struct reap_context *child;
	struct reap_passed passed = { 0 };

	for (long i = 0; i < n; i++) {
		must(reap_spawn_owned(worker, empty, NULL, &child));
		(void)reap_resume(child, 0, &passed);
	}
}

static intptr_t
generate(void *arg)
{
	(void)arg;
	for (intptr_t word = 0;; word++)
		(void)reap_suspend(&word);
	return 0;
}

static void
resumes(long n)
{
	struct reap_context *generator;
	struct reap_passed passed = { 0 };

	must(reap_spawn_owned(reap_worker_self(), generate, NULL, &generator));
	for (long i = 0; i < n; i++)
		(void)reap_resume(generator, 0, &passed);
	must(reap_context_destroy(generator, 0));
}

static const struct {
	const char *name;
	void	(*run)(long n);
} subjects[] = {
	{ "switch", switches },
	{ "landing-empty", landings },
	{ "life-one", lives_one },
	{ "life-many", lives_many },
	{ "life-any", lives_any },
	{ "life-owned", lives_owned },
	{ "resume", resumes },
};

static void	(*subject)(long n);
static long	count;

static intptr_t
start(void *arg)
{
	(void)arg;
	ping = reap_worker_current(reap_worker_self());
	subject(10 * BATCH);	/* warm: caches are filled, slabs carved */
	subject(count);
	return 0;
}

int
main(int argc, char **argv)
{
	struct reap_host host = { .next = next, .ready = ready, .shares = true, .direct = true };
	struct reap_domain_options options = { .size = sizeof(options), .host = &host, .stack = { .cache = 2 * BATCH } };
	struct reap_domain *domain;
	struct reap_worker *worker;
	struct reap_context *context;

	for (size_t i = 0; argc == 3 && i < sizeof(subjects) / sizeof(subjects[0]); i++)
		if (strcmp(argv[1], subjects[i].name) == 0)
			subject = subjects[i].run;
	if (subject == NULL || (count = atol(argv[2])) <= 0) {
		fprintf(stderr, "usage: gate SUBJECT N\n");
		return 2;
	}
	must(reap_domain_create(&options, &domain));
	must(reap_worker_start(domain, NULL, &worker));
	must(reap_spawn(worker, back, NULL, &pong));
	must(reap_spawn(worker, start, NULL, &context));
	ready(context);
	must(reap_wait(context, 0, NULL));
	must(reap_context_destroy(pong, 0));
	must(reap_wait(pong, 0, NULL));
	must(reap_worker_stop(worker));
	must(reap_domain_destroy(domain, NULL, NULL));
	return 0;
}
