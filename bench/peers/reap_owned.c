/* SPDX-License-Identifier: ISC */
/*
 * reap_owned.c: libreap without a scheduler: owned contexts, which their maker resumes, as Boost.Context's are.
 *
 * To join is the resume in which the context ends.  Everything is on that is on by default: a guard page below each stack, a bounded
 * cache that gives back what is idle, the ledger's counts, and the cheap internal checks.
 */
#include <reap.h>

#include "shape.h"

static struct reap_worker *worker;
static long ran;

static void
must(int error, const char *what)
{
	if (error == 0)
		return;
	errno = -error;
	peer_must(false, what);
}

static struct reap_context *
spawn(reap_entry *entry)
{
	struct reap_context *context;

	must(reap_spawn_owned(worker, entry, NULL, &context), "reap_spawn_owned");
	return context;
}

static void
resume(struct reap_context *context, int expected)
{
	peer_must(reap_resume(context, 0, NULL) == expected, "reap_resume");
}

static intptr_t
empty(void *arg)
{
	ran++;
	return (intptr_t)arg;
}

static intptr_t
yields(void *arg)
{
	ran++;
	(void)reap_suspend(NULL);
	return (intptr_t)arg;
}

static intptr_t
back(void *arg)
{
	(void)arg;
	for (;;) {
		ran++;
		(void)reap_suspend(NULL);
	}
	return 0;
}

static void
switches(long n)
{
	struct reap_context *pong = spawn(back);

	ran = 0;
	for (long i = 0; i < n / 2; i++)
		resume(pong, REAP_SUSPENDED);
	peer_must(ran == n / 2, "counting");
	must(reap_context_destroy(pong, 0), "reap_context_destroy");
}

static void
one(long n)
{
	ran = 0;
	for (long i = 0; i < n; i++)
		resume(spawn(empty), REAP_ENDED);
	peer_must(ran == n, "counting");
}

static void
batches(long n, reap_entry *entry, bool live)
{
	static struct reap_context *made[PEER_BATCH];

	ran = 0;
	for (long i = 0; i < n; i += PEER_BATCH) {
		for (int j = 0; j < PEER_BATCH; j++)
			made[j] = spawn(entry);
		for (int j = 0; live && j < PEER_BATCH; j++)
			resume(made[j], REAP_SUSPENDED);
		for (int j = 0; j < PEER_BATCH; j++)
			resume(made[j], REAP_ENDED);
	}
	peer_must(ran == n, "counting");
}

static void
live_1000(long n)
{
	batches(n, yields, true);
}

static void
batch_1000(long n)
{
	batches(n, empty, false);
}

static const struct peer_shape shapes[] = {
	{ "switch", PEER_TIMED, 1000, 1, switches },
	{ "life-one", PEER_TIMED, 1000, 1, one },
	{ "live-1000", PEER_TIMED, PEER_BATCH, 1, live_1000 },
	{ "batch-1000", PEER_TIMED, PEER_BATCH, 1, batch_1000 },
	{ NULL, PEER_ONCE, 0, 0, NULL }
};

int
main(int argc, char **argv)
{
	struct reap_domain_options options = { .size = sizeof(options), .stack = { .size = PEER_STACK } };
	struct reap_domain *domain;

	peer_args(argc, argv, shapes);
	must(reap_domain_create(&options, &domain), "reap_domain_create");
	must(reap_worker_start(domain, NULL, &worker), "reap_worker_start");
	peer_run();
	must(reap_worker_stop(worker), "reap_worker_stop");
	must(reap_domain_destroy(domain, NULL, NULL), "reap_domain_destroy");
	return 0;
}
