/* SPDX-License-Identifier: ISC */
/*
 * parent_dies_first.c: a parent ends while its children end: what it has not collected goes to the adopter, by the parent's
 * hand or by the child's own.  Strangers claim some of the orphans meanwhile, and leave tombstones on lists of the dead.
 *
 * Trees grow and nobody waits.  A descriptor stays while it has living children, tombstones or claimers, so in the end all
 * must have come back: from one round to the next the process does not grow.
 */
#include "host.h"

#define WORKERS		3
#define BOARD		64
#define DEPTH		4

static struct host host;
static long rounds;
static long made, reaped, joined, detached;
static bool over;

static pthread_mutex_t board_lock = PTHREAD_MUTEX_INITIALIZER;
static struct reap_handle board[BOARD];

/* What a context's user word points to: who it is, and who made it.  Never freed in a round. */
struct person {
	struct person	*parent;
	int		 depth;
};

static struct person *people;
static long npeople, allotted;

static void
count(struct reap_context *context, intptr_t status)
{
	CHECK_EQ(((struct person *)reap_context_user(context))->depth, status);
	(void)HOST_ADD(&reaped, 1);
}

/* The parent it is told of must be the parent, dead or alive, and no stranger who has its descriptor now. */
static void
child_exited(struct reap_context *parent, struct reap_context *child)
{
	struct person *person = reap_context_user(child);

	host_delay();
	CHECK(person == NULL || person->parent == NULL || reap_context_user(parent) == person->parent);
}

static void
publish(struct reap_context *context)
{
	pthread_mutex_lock(&board_lock);
	board[host_choose(BOARD)] = reap_context_handle(context);
	pthread_mutex_unlock(&board_lock);
}

static intptr_t
live(void *arg)
{
	struct person *me = arg;
	struct reap_context *child;
	unsigned n = me->depth < DEPTH ? host_choose(4) : 0;

	for (unsigned i = 0; i < n; i++) {
		struct reap_context_options options = {
			.size = sizeof(options),
			.entry = live,
			.policy = host_policies[host_choose(HOST_POLICIES)],
			.notify = host_choose(2) ? REAP_NOTIFY_EARLY : REAP_NOTIFY_LATE,
			.off_cpu = count,
		};
		long number = HOST_ADD(&npeople, 1);

		if (number > allotted)
			break;
		people[number - 1] = (struct person){ me, me->depth + 1 };
		options.arg = options.user = &people[number - 1];
		CHECK_EQ(reap_context_create(host.domain, &options, &child), 0);
		(void)HOST_ADD(&made, 1);
		publish(child);
		host_ready(child);
		host_delay();
	}
	/* Some collect a part of them, some let others run, some just go. */
	switch (host_choose(4)) {
	case 0:
		(void)reap_wait_any(0, NULL);
		break;
	case 1:
		(void)reap_wait_any(REAP_NOHANG, NULL);
		break;
	case 2:
		host_pause();
		break;
	}
	host_delay();
	return me->depth;
}

static void *
stranger(void *arg)
{
	host_thread(WORKERS);
	while (!HOST_LOAD(&over)) {
		struct reap_handle handle;
		int error;

		pthread_mutex_lock(&board_lock);
		handle = board[host_choose(BOARD)];
		pthread_mutex_unlock(&board_lock);
		if (host_choose(4) == 0) {
			if ((error = reap_detach(handle)) == 0)
				(void)HOST_ADD(&detached, 1);
		} else if ((error = reap_join(handle, 0, NULL)) == 0)
			(void)HOST_ADD(&joined, 1);
		CHECK(error == 0 || error == -ESRCH || error == -EBUSY);
		if (error != 0)
			(void)sched_yield();
	}
	return arg;
}

int
main(int argc, char **argv)
{
	struct reap_stats stats;
	pthread_t thread;
	long before = 0, after = 0;

	rounds = host_main(argc, argv, 240);
	allotted = 2000;
	people = calloc((size_t)allotted, sizeof(*people));
	CHECK(people != NULL);
	host_calls.child_exited = child_exited;
	host_begin(&host, host_options(), WORKERS);
	CHECK_EQ(pthread_create(&thread, NULL, stranger, NULL), 0);
	for (long n = 0; n < rounds; n++) {
		npeople = 0;
		/* Roots: nobody's children; their trees are left to themselves. */
		for (int i = 0; i < 40; i++) {
			struct person *root = &people[HOST_ADD(&npeople, 1) - 1];
			struct reap_context_options options = { .entry = live, .arg = root, .user = root, .off_cpu = count,
			    .flags = REAP_CONTEXT_DETACHED };

			*root = (struct person){ NULL, 0 };
			(void)HOST_ADD(&made, 1);
			CHECK_EQ(host_go_with(&host, options, NULL), 0);
		}
		while (HOST_LOAD(&reaped) < HOST_LOAD(&made))
			if (reap_adopter_drain(reap_adopter_default(host.domain), 64) <= 0)
				(void)sched_yield();
		if (n == rounds / 2)
			before = host_rss();
	}
	after = host_rss();
	HOST_STORE(&over, true);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	stats = host_stats(&host);
	host_end(&host);
	CHECK_EQ(reaped, made);
	CHECK(after - before < 4 << 20);
	free(people);
	printf("%ld contexts, %llu orphans, %ld joined and %ld detached by a stranger, all reaped once, none left behind\n", made,
	    (unsigned long long)stats.orphans, joined, detached);
	return 0;
}
