/* SPDX-License-Identifier: ISC */
/*
 * group.c: contexts that end as one.
 */
#include "host.h"

static struct reap_context *
join_group(struct reap_group *group, reap_entry *entry, void *arg)
{
	return host_create((struct reap_context_options){ .entry = entry, .arg = arg, .group = group });
}

struct late {
	struct gate	gate;
	intptr_t	status;
};

static intptr_t
end_late(void *arg)
{
	struct late *late = arg;

	gate_pass(&late->gate);
	return late->status;
}

TEST(group, status_is_that_of_the_last_one_standing)
{
	struct host		h;
	struct reap_group	*group;
	struct late		late[3];
	static const int	order[3] = { 1, 2, 0 };
	intptr_t		status = -1;

	host_open(&h, (struct reap_domain_options){ 0 });
	CHECK_EQ(reap_group_create(h.domain, &group), 0);
	CHECK_EQ(reap_group_members(group), 0);
	for (int i = 0; i < 3; i++) {
		late[i] = (struct late){ GATE_INIT, 100 + i };
		(void)join_group(group, end_late, &late[i]);
		CHECK_EQ(reap_group_members(group), i + 1);
	}
	host_run();
	for (int i = 0; i < 3; i++) {
		CHECK_EQ(reap_group_wait(group, REAP_NOHANG, &status), -EAGAIN);
		CHECK_EQ(reap_group_destroy(group), -EBUSY);
		gate_open(&late[order[i]].gate);
		host_run();
		CHECK_EQ(reap_group_members(group), 2 - i);
	}
	CHECK_EQ(reap_group_wait(group, REAP_NOHANG, &status), 0);
	CHECK_EQ(status, 100);
	CHECK_EQ(reap_adopter_drain(reap_adopter_default(h.domain), 10), 3);
	host_close(&h);
}

TEST(group, members_leave_no_zombie_to_their_creator)
{
	struct host		h;
	struct reap_group	*group;
	struct reap_context	*member;

	host_open(&h, (struct reap_domain_options){ 0 });
	CHECK_EQ(reap_group_create(h.domain, &group), 0);
	member = join_group(group, host_return, NULL);
	CHECK_EQ(reap_children(), 0);
	CHECK_EQ(reap_wait(member, 0, NULL), -ECHILD);
	CHECK_EQ(reap_join(reap_context_handle(member), 0, NULL), -ESRCH);
	CHECK_EQ(reap_detach(reap_context_handle(member)), -ESRCH);
	CHECK_EQ(reap_wait_any(0, NULL), -ECHILD);
	CHECK_EQ(reap_group_wait(group, 0, NULL), 0);
	CHECK_EQ(reap_adopter_backlog(reap_adopter_default(h.domain)), 1);
	CHECK_EQ(reap_adopter_drain(reap_adopter_default(h.domain), 10), 1);
	host_close(&h);
}

static intptr_t
wait_group(void *arg)
{
	intptr_t	status = -1;
	int		error = reap_group_wait(arg, 0, &status);

	return error != 0 ? error : status;
}

static void *
wait_group_thread(void *arg)
{
	return (void *)wait_group(arg);
}

TEST(group, is_waited_for_by_contexts_and_threads)
{
	struct host		h;

	host_open(&h, (struct reap_domain_options){ 0 });
	for (int by_thread = 0; by_thread < 2; by_thread++) {
		struct reap_group	*group;
		struct reap_context	*waiter = NULL;
		struct late		late = { GATE_INIT, 33 };
		struct reap_result	r;
		pthread_t		thread;
		void			*said;

		CHECK_EQ(reap_group_create(h.domain, &group), 0);
		(void)join_group(group, end_late, &late);
		(void)join_group(group, host_return, NULL);
		if (by_thread)
			CHECK_EQ(pthread_create(&thread, NULL, wait_group_thread, group), 0);
		else
			waiter = host_spawn(wait_group, group);
		host_run();
		CHECK_EQ(reap_group_members(group), 1);
		gate_open(&late.gate);
		host_run();
		if (by_thread) {
			CHECK_EQ(pthread_join(thread, &said), 0);
			CHECK_EQ((intptr_t)said, 33);
		} else {
			CHECK_EQ(reap_wait(waiter, 0, &r), 0);
			CHECK_EQ(r.status, 33);
		}
	}
	CHECK_EQ(reap_adopter_drain(reap_adopter_default(h.domain), 10), 4);
	host_close(&h);
}

TEST(group, one_waits_at_a_time)
{
	struct host		h;
	struct reap_group	*group;
	struct reap_context	*waiter;
	struct late		late = { GATE_INIT, 1 };
	struct reap_result	r;

	host_open(&h, (struct reap_domain_options){ 0 });
	CHECK_EQ(reap_group_create(h.domain, &group), 0);
	(void)join_group(group, end_late, &late);
	waiter = host_spawn(wait_group, group);
	host_run();
	CHECK_EQ(reap_group_wait(group, 0, NULL), -EBUSY);
	CHECK_EQ(reap_wait(host_spawn(wait_group, group), 0, &r), 0);
	CHECK_EQ(r.status, -EBUSY);
	gate_open(&late.gate);
	CHECK_EQ(reap_wait(waiter, 0, &r), 0);
	CHECK_EQ(r.status, 1);
	CHECK_EQ(reap_adopter_drain(reap_adopter_default(h.domain), 10), 1);
	host_close(&h);
}

static struct reap_group *own_group;

static intptr_t
wait_for_own_group(void *arg)
{
	(void)arg;
	CHECK_EQ(reap_group_wait(own_group, 0, NULL), -EDEADLK);
	CHECK_EQ(reap_group_wait(own_group, REAP_NOHANG, NULL), -EDEADLK);
	return 8;
}

TEST(group, a_member_cannot_wait_for_its_own)
{
	struct host	h;
	intptr_t	status;

	host_open(&h, (struct reap_domain_options){ 0 });
	CHECK_EQ(reap_group_create(h.domain, &own_group), 0);
	(void)join_group(own_group, wait_for_own_group, NULL);
	CHECK_EQ(reap_group_wait(own_group, 0, &status), 0);
	CHECK_EQ(status, 8);
	CHECK_EQ(reap_adopter_drain(reap_adopter_default(h.domain), 10), 1);
	host_close(&h);
}

TEST(group, that_never_had_a_member)
{
	struct host		h;
	struct reap_group	*group;

	host_open(&h, (struct reap_domain_options){ 0 });
	CHECK_EQ(reap_group_create(h.domain, &group), 0);
	CHECK_EQ(reap_group_wait(group, 0, NULL), -ECHILD);
	CHECK_EQ(reap_group_wait(group, REAP_NOHANG, NULL), -ECHILD);
	CHECK_EQ(reap_group_wait(group, REAP_PEEK, NULL), -EINVAL);
	CHECK_EQ(reap_group_destroy(group), 0);
	host_close(&h);
}

TEST(group, that_has_ended_takes_nobody)
{
	const struct reap_context_options proto = { .size = sizeof(proto), .entry = host_return };
	struct reap_context_options options = proto;
	struct host		h;
	struct reap_context	*context = NULL;
	struct reap_group	*group;
	struct reap_stats	before, after;

	host_open(&h, (struct reap_domain_options){ 0 });
	CHECK_EQ(reap_group_create(h.domain, &group), 0);
	(void)join_group(group, host_return, NULL);
	host_run();
	CHECK_EQ(reap_group_members(group), 0);
	options.group = group;
	before = host_stats(&h);
	CHECK_EQ(reap_context_create(h.domain, &options, &context), -ESRCH);
	after = host_stats(&h);
	CHECK_EQ(memcmp(&before, &after, sizeof(before)), 0);
	CHECK_EQ(reap_group_destroy(group), 0);
	CHECK_EQ(reap_adopter_drain(reap_adopter_default(h.domain), 10), 1);
	host_close(&h);
}

TEST(group, a_create_that_fails_leaves_it_as_it_was)
{
	struct reap_context_options options = { .size = sizeof(options), .entry = host_return, .stack_size = 1 };
	struct host		h;
	struct reap_context	*context = NULL;
	struct reap_group	*group;

	host_open(&h, (struct reap_domain_options){ 0 });
	CHECK_EQ(reap_group_create(h.domain, &group), 0);
	options.group = group;
	CHECK_EQ(reap_context_create(h.domain, &options, &context), -EINVAL);
	CHECK_EQ(reap_group_members(group), 0);
	CHECK_EQ(reap_group_wait(group, 0, NULL), -ECHILD);
	(void)join_group(group, host_return, (void *)5);
	CHECK_EQ(reap_context_create(h.domain, &options, &context), -EINVAL);
	CHECK_EQ(reap_group_members(group), 1);
	CHECK_EQ(reap_group_wait(group, 0, NULL), 0);
	CHECK_EQ(reap_adopter_drain(reap_adopter_default(h.domain), 10), 1);
	host_close(&h);
}

/* It ends when its last member is off the CPU, not at its exit: its code may be unloaded then. */
static struct reap_group *watched;
static unsigned	 seen;

static void
group_stands(struct reap_context *dying)
{
	(void)dying;
	seen++;
	CHECK_EQ(reap_group_members(watched), 1);
	CHECK_EQ(reap_group_destroy(watched), -EBUSY);
}

TEST(group, ends_when_its_last_member_is_off_the_cpu)
{
	struct host h;

	host_open(&h, (struct reap_domain_options){ .before_final_switch = group_stands });
	CHECK_EQ(reap_group_create(h.domain, &watched), 0);
	(void)join_group(watched, host_return, NULL);
	host_run();
	CHECK_EQ(seen, 1);
	CHECK_EQ(reap_group_members(watched), 0);
	CHECK_EQ(reap_group_destroy(watched), 0);
	CHECK_EQ(reap_adopter_drain(reap_adopter_default(h.domain), 10), 1);
	host_close(&h);
}

TEST(group, keeps_its_domain_busy)
{
	const struct reap_domain_options options = { .size = sizeof(options) };
	struct reap_domain	*domain;
	struct reap_group	*group;

	CHECK_EQ(reap_domain_create(&options, &domain), 0);
	CHECK_EQ(reap_group_create(domain, &group), 0);
	CHECK_EQ(reap_domain_destroy(domain, NULL, NULL), -EBUSY);
	CHECK_EQ(reap_group_destroy(group), 0);
	CHECK_EQ(reap_domain_destroy(domain, NULL, NULL), 0);
}

/* Members of a group count until they are off the CPU. */
static size_t	 members_before_switch;

static void
count_members(struct reap_context *dying)
{
	(void)dying;
	members_before_switch = reap_group_members(watched);
	CHECK_EQ(reap_group_destroy(watched), -EBUSY);
}

TEST(group, a_member_that_still_runs_has_not_left)
{
	intptr_t		status = 0;
	struct host		h;

	host_open(&h, (struct reap_domain_options){ .before_final_switch = count_members });
	CHECK_EQ(reap_group_create(h.domain, &watched), 0);
	(void)host_create((struct reap_context_options){ .entry = host_return, .arg = (void *)4, .group = watched });
	host_run();
	CHECK_EQ(members_before_switch, 1);
	CHECK_EQ(reap_group_members(watched), 0);
	CHECK_EQ(reap_group_wait(watched, REAP_NOHANG, &status), 0);
	CHECK_EQ(status, 4);
	CHECK_EQ(reap_adopter_drain(reap_adopter_default(h.domain), 4), 1);
	host_close(&h);
}

/* A member may wait for another group, and who has a member's stack is none. */
static intptr_t
waits_for_the_group(void *arg)
{
	CHECK_EQ(reap_group_wait(arg, 0, NULL), 0);
	return 0;
}

TEST(group, who_is_no_member_may_wait)
{
	struct gate		gate = GATE_INIT;
	struct reap_group	*group, *another;
	struct host		h;

	host_open(&h, (struct reap_domain_options){ .policy = REAP_POLICY_SUCCESSOR });
	for (int i = 0; i < 2; i++) {
		gate.open = false;
		CHECK_EQ(reap_wait(host_spawn(host_return, NULL), 0, NULL), 0);
		CHECK_EQ(reap_group_create(h.domain, &group), 0);
		CHECK_EQ(reap_group_create(h.domain, &another), 0);
		(void)host_create((struct reap_context_options){ .entry = host_gated, .arg = &gate, .group = group });
		(void)host_create((struct reap_context_options){ .entry = host_return, .group = group });
		host_run();
		if (i == 1)
			(void)host_spawn(waits_for_the_group, group);	/* on the stack of the one that has ended */
		host_run();
		(void)host_create((struct reap_context_options){ .entry = i == 0 ? waits_for_the_group : host_return,
		    .arg = group, .group = another });
		host_run();
		gate_open(&gate);
		host_run();
		CHECK_EQ(reap_group_wait(another, 0, NULL), 0);
		CHECK_EQ(reap_wait_any(0, NULL), i == 1 ? 0 : -ECHILD);
		CHECK_EQ(reap_adopter_drain(reap_adopter_default(h.domain), 10), 3);
	}
	host_close(&h);
}
