/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "misuse.h"

static struct reap_domain *domain;

static intptr_t
nothing(void *arg)
{
	return (intptr_t)arg;
}

static int
alloc_nothing(void *cookie, size_t size, void **base)
{
	(void)cookie;
	(void)size;
	(void)base;
	return -ENOMEM;
}

static int
create(struct reap_context_options options)
{
	struct reap_context *context;

	if (options.size == 0)
		options.size = sizeof(options);
	return reap_context_create(domain, &options, &context);
}

static int
create_domain(struct reap_domain_options options)
{
	struct reap_domain *other = NULL;

	if (options.size == 0)
		options.size = sizeof(options);
	return reap_domain_create(&options, &other);
}

static int
no_domain(void)
{
	struct reap_context_options options = { .size = sizeof(options), .entry = nothing };
	struct reap_context *context;

	return reap_context_create(NULL, &options, &context);
}

static int
no_options(void)
{
	struct reap_context *context;

	return reap_context_create(domain, NULL, &context);
}

static int
nowhere_to_put_it(void)
{
	struct reap_context_options options = { .size = sizeof(options), .entry = nothing };

	return reap_context_create(domain, &options, NULL);
}

static int
no_entry(void)
{
	return create((struct reap_context_options){ .entry = NULL });
}

static int
short_options(void)
{
	return create((struct reap_context_options){ .size = offsetof(struct reap_context_options, off_cpu), .entry = nothing });
}

static int
longer_options(void)
{
	struct {
		struct reap_context_options known;
		uint64_t unknown;
	} options = { { .size = sizeof(options), .entry = nothing }, 1 };
	struct reap_context *context;

	return reap_context_create(domain, &options.known, &context);
}

static int
unknown_flag(void)
{
	return create((struct reap_context_options){ .entry = nothing, .flags = 0x80 });
}

static int
unknown_policy(void)
{
	return create((struct reap_context_options){ .entry = nothing, .policy = (enum reap_policy)6 });
}

static int
unknown_notify(void)
{
	return create((struct reap_context_options){ .entry = nothing, .notify = (enum reap_notify)3 });
}

static int
no_reaper_thread(void)
{
	return create((struct reap_context_options){ .entry = nothing, .policy = REAP_POLICY_THREAD });
}

static int
stack_without_size(void)
{
	static char memory[64];

	return create((struct reap_context_options){ .entry = nothing, .stack = memory });
}

static int
half_an_allocator(void)
{
	struct reap_stack_ops ops = { alloc_nothing, NULL, NULL };

	return create((struct reap_context_options){ .entry = nothing, .stack_ops = &ops });
}

/* An adopter, an heir, a group of another domain. */
static int
foreign(unsigned what)
{
	struct reap_domain_options options = { .size = sizeof(options) };
	struct reap_domain	*mine = domain, *other;
	struct reap_adopter	*adopter;
	struct reap_group	*group;
	int			 error = reap_domain_create(&options, &other);

	if (error != 0)
		return error;
	switch (what) {
	case 0:
		error = create((struct reap_context_options){ .entry = nothing, .adopter = reap_adopter_default(other) });
		break;
	case 1:
		error = reap_adopter_create(mine, reap_adopter_default(other), &adopter);
		break;
	case 2:
		error = reap_worker_self() != NULL ? reap_adopter_assume(reap_adopter_default(other)) : -EINVAL;
		break;
	default:
		error = reap_group_create(other, &group);
		if (error == 0) {
			error = create((struct reap_context_options){ .entry = nothing, .group = group });
			if (reap_domain_destroy(other, NULL, NULL) != -EBUSY || reap_group_destroy(group) != 0)
				error = -EPROTO;
		}
		break;
	}
	return reap_domain_destroy(other, NULL, NULL) != 0 ? -EPROTO : error;
}

static int
foreign_adopter(void)
{
	return foreign(0);
}

static int
foreign_heir(void)
{
	return foreign(1);
}

static int
foreign_assumed(void)
{
	return foreign(2);
}

static int
foreign_group(void)
{
	return foreign(3);
}

static int
wait_for_nobody(void)
{
	return reap_wait(NULL, 0, NULL);
}

static int
wait_any_flags(void)
{
	return reap_wait_any(4, NULL);
}

static int
join_flags(void)
{
	return reap_join((struct reap_handle){ 0, 0 }, 8, NULL);
}

static int
join_peek(void)
{
	return reap_join((struct reap_handle){ 0, 0 }, REAP_PEEK, NULL);
}

static int
join_nobody(void)
{
	return reap_join((struct reap_handle){ 0, 0 }, 0, NULL);
}

static int
detach_nobody(void)
{
	return reap_detach((struct reap_handle){ 0, 0 });
}

static int
hold_nobody(void)
{
	return reap_hold((struct reap_handle){ 0, 0 });
}

static int
release_nobody(void)
{
	return reap_release((struct reap_handle){ 0, 0 });
}

static int
peek_nobody(void)
{
	enum reap_state state = REAP_STATE_ZOMBIE;
	int error = reap_peek((struct reap_handle){ 0, 0 }, &state, NULL);

	return state == REAP_STATE_NONE ? error : -EPROTO;
}

static void
never_ready(struct reap_context *context)
{
	(void)context;
}

static int
domain_no_next(void)
{
	struct reap_host host = { .ready = never_ready };	/* to ready is half a scheduler */

	return create_domain((struct reap_domain_options){ .host = &host });
}

static int
domain_policy(void)
{
	return create_domain((struct reap_domain_options){ .policy = (enum reap_policy)6 });
}

static int
domain_notify(void)
{
	return create_domain((struct reap_domain_options){ .notify = (enum reap_notify)3 });
}

static int
domain_reserve(void)
{
	return create_domain((struct reap_domain_options){ .limit = 3, .reserve = 4 });
}

static int
domain_reserve_of_none(void)
{
	return create_domain((struct reap_domain_options){ .reserve = 1 });
}

static int
domain_stack_flags(void)
{
	return create_domain((struct reap_domain_options){ .stack = { .flags = 0x100 } });
}

static int
domain_small_stack(void)
{
	return create_domain((struct reap_domain_options){ .stack = { .size = 1 } });
}

static int
domain_small_cache(void)
{
	return create_domain((struct reap_domain_options){ .stack = { .cache = 1 } });
}

static int
domain_no_options(void)
{
	struct reap_domain *other;

	return reap_domain_create(NULL, &other);
}

static int
no_domain_to_destroy(void)
{
	return reap_domain_destroy(NULL, NULL, NULL);
}

static int
adopter_of_no_domain(void)
{
	struct reap_adopter *adopter;

	return reap_adopter_create(NULL, NULL, &adopter);
}

static int
default_adopter(void)
{
	return reap_adopter_destroy(reap_adopter_default(domain));
}

static int
no_adopter(void)
{
	return reap_worker_self() != NULL ? reap_adopter_assume(NULL) : -EINVAL;
}

static int
group_of_no_domain(void)
{
	struct reap_group *group;

	return reap_group_create(NULL, &group);
}

static int
no_group(void)
{
	return reap_group_wait(NULL, 0, NULL);
}

static int
no_group_to_destroy(void)
{
	return reap_group_destroy(NULL);
}

static int
worker_of_no_domain(void)
{
	struct reap_worker *worker;

	return reap_worker_start(NULL, NULL, &worker);
}

static int
spawn_nothing(void)
{
	struct reap_context *context;

	return reap_spawn(reap_worker_self(), NULL, NULL, &context);
}

static int
no_thread(void)
{
	return reap_thread_stop(domain);
}

static int
stats_of_no_size(void)
{
	struct reap_stats stats = { .size = 0 };

	return reap_domain_stats(domain, &stats);
}

static int
stats_of_some_size(void)
{
	struct reap_stats stats;

	memset(&stats, 0x5a, sizeof(stats));
	stats.size = offsetof(struct reap_stats, exited);
	if (reap_domain_stats(domain, &stats) != 0)
		return -EPROTO;
	return stats.exited == UINT64_C(0x5a5a5a5a5a5a5a5a) ? -EINVAL : -EPROTO;	/* nothing beyond it was written */
}

static int
nobodys_stack(void)
{
	static struct reap_stack_info info;

	return reap_stack_lookup(domain, &info, &info) == -ENOENT ? -EINVAL : 0;
}

static const struct {
	const char *name;
	int	(*call)(void);
	int	 error;
} cases[] = {
#define X(call, error)	{ #call, call, error }
	X(no_domain, -EINVAL), X(no_options, -EINVAL), X(nowhere_to_put_it, -EINVAL), X(no_entry, -EINVAL),
	X(short_options, -EINVAL), X(longer_options, -EINVAL), X(unknown_flag, -EINVAL), X(unknown_policy, -EINVAL),
	X(unknown_notify, -EINVAL), X(no_reaper_thread, -EINVAL), X(stack_without_size, -EINVAL), X(half_an_allocator, -EINVAL),
	X(foreign_adopter, -EINVAL), X(foreign_heir, -EINVAL), X(foreign_assumed, -EINVAL), X(foreign_group, -EINVAL),
	X(wait_for_nobody, -EINVAL), X(wait_any_flags, -EINVAL), X(join_flags, -EINVAL), X(join_peek, -EINVAL),
	X(join_nobody, -ESRCH), X(detach_nobody, -ESRCH), X(hold_nobody, -ESRCH), X(release_nobody, -ESRCH),
	X(peek_nobody, -ESRCH), X(domain_no_next, -EINVAL), X(domain_policy, -EINVAL), X(domain_notify, -EINVAL),
	X(domain_reserve, -EINVAL), X(domain_reserve_of_none, -EINVAL), X(domain_stack_flags, -EINVAL),
	X(domain_small_stack, -EINVAL), X(domain_small_cache, -EINVAL), X(domain_no_options, -EINVAL),
	X(no_domain_to_destroy, -EINVAL), X(adopter_of_no_domain, -EINVAL), X(default_adopter, -EINVAL), X(no_adopter, -EINVAL),
	X(group_of_no_domain, -EINVAL), X(no_group, -EINVAL), X(no_group_to_destroy, -EINVAL), X(worker_of_no_domain, -EINVAL),
	X(spawn_nothing, -EINVAL), X(no_thread, -ESRCH), X(stats_of_no_size, -EINVAL), X(stats_of_some_size, -EINVAL),
	X(nobodys_stack, -EINVAL)
#undef X
};

void
misuse(struct reap_domain *whose, unsigned n, void (*fail)(const char *format, ...))
{
	int ret;

	n %= sizeof(cases) / sizeof(cases[0]);
	domain = whose;
	ret = cases[n].call();
	if (ret != cases[n].error)
		fail("misuse: %s gives %d, must %d", cases[n].name, ret, cases[n].error);
}
