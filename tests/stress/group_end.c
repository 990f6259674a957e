/* SPDX-License-Identifier: ISC */
/*
 * group_end.c: the members of a group end together, on several workers, while others try to join it and fail.  The last one's
 * post ends the group, once, and its status is the group's; a create that fails must not swallow it.
 */
#include "host.h"

#define WORKERS		2
#define MEMBERS		4
#define LIMIT		(MEMBERS + 2)	/* the members, the latecomer, and one that it makes */

static struct host host;
static long rounds;
static long refused, hopeless;
static int running;			/* members on a CPU, or to be */

struct team {
	struct reap_group *group;
	int		 finished;	/* numbers members in the order of their ends */
	int		 latecomers;
};

static void
off_cpu(struct reap_context *context, intptr_t status)
{
	(void)context;
	(void)status;
	(void)HOST_ADD(&running, -1);
}

static intptr_t
member(void *arg)
{
	struct team *team = arg;

	host_delay();
	return HOST_ADD(&team->finished, 1);
}

/* A create that is in the group already, and fails when all others have left it. */
static int
alloc_fails(void *cookie, size_t size, void **base)
{
	struct team *team = cookie;

	(void)size;
	(void)base;
	for (int i = 0; i < 200 && reap_group_members(team->group) > 1; i++)
		(void)sched_yield();
	return -ENOMEM;
}

static void
free_never(void *cookie, void *base, size_t size)
{
	(void)cookie;
	(void)base;
	CHECK_EQ(size, 0);
}

/* Wants into the group as it ends: there may be no room in the domain, or no group any more. */
static intptr_t
latecomer(void *arg)
{
	struct team *team = arg;
	struct reap_context_options options = { .entry = member, .arg = team, .group = team->group, .off_cpu = off_cpu };
	struct reap_stack_ops ops = { alloc_fails, free_never, team };
	struct reap_context *context;
	intptr_t made = 0;

	options.size = sizeof(options);
	for (int i = 0; i < 8; i++) {
		int error;

		options.stack_ops = host_choose(8) == 0 ? &ops : NULL;
		error = reap_context_create(host.domain, &options, &context);

		if (error == 0) {
			(void)HOST_ADD(&running, 1);
			host_ready(context);
			made++;
		} else if (error == -EAGAIN || error == -ENOMEM)
			(void)HOST_ADD(&refused, 1);
		else {
			CHECK_EQ(error, -ESRCH);
			(void)HOST_ADD(&hopeless, 1);
		}
	}
	(void)HOST_ADD(&team->latecomers, (int)made);
	return made;
}

static void
one_group(long n)
{
	struct reap_context_options options = { .entry = member, .off_cpu = off_cpu };
	struct reap_context *member_of[MEMBERS];
	struct reap_handle late;
	struct team team = { NULL, 0, 0 };
	intptr_t status = 0;
	int error, members = 0;

	CHECK_EQ(reap_group_create(host.domain, &team.group), 0);
	CHECK_EQ(reap_group_wait(team.group, 0, &status), -ECHILD);
	options.size = sizeof(options);
	options.arg = &team;
	options.group = team.group;
	options.notify = n % 2 ? REAP_NOTIFY_EARLY : REAP_NOTIFY_LATE;
	for (int i = 0; i < MEMBERS; i++) {
		error = reap_context_create(host.domain, &options, &member_of[members]);
		if (error == 0)
			members++;
		else
			CHECK_EQ(error, -EAGAIN);
	}
	(void)HOST_ADD(&running, members);
	error = host_go_with(&host, (struct reap_context_options){ .entry = latecomer, .arg = &team }, &late);
	CHECK(error == 0 || error == -EAGAIN);
	for (int i = 0; i < members; i++)
		host_ready(member_of[i]);
	/* While somebody may still create into it the group is looked at, not taken. */
	if (error == 0)
		CHECK_EQ(reap_join(late, 0, NULL), 0);
	if (members + team.latecomers == 0)
		CHECK_EQ(reap_group_destroy(team.group), 0);
	else {
		CHECK_EQ(reap_group_wait(team.group, 0, &status), 0);
		/* All members have finished; the last one off the CPU is one of those who finished last. */
		CHECK_EQ(team.finished, members + team.latecomers);
		CHECK(status >= 1 && status <= team.finished);
	}
	while (HOST_LOAD(&running) > 0)
		if (reap_adopter_drain(reap_adopter_default(host.domain), 16) <= 0)
			(void)sched_yield();
}

int
main(int argc, char **argv)
{
	struct reap_domain_options options = host_options();

	rounds = host_main(argc, argv, 16000);
	options.limit = LIMIT;
	host_begin(&host, options, WORKERS);
	for (long n = 0; n < rounds; n++)
		one_group(n);
	host_end(&host);
	printf("%ld groups ended, %ld creates refused meanwhile, %ld too late\n", rounds, refused, hopeless);
	return 0;
}
