/* SPDX-License-Identifier: ISC */
/*
 * group.c: contexts that end as one.  A member counts until it is off the CPU, not until its exit: who has seen the group end
 * may unload the code that its members ran.
 */
#include <errno.h>
#include <stdlib.h>

#include <reap/atomic.h>

#include "barrier.h"

#define EVER	((uint32_t)1 << 31)	/* it has had a member; the other bits count them */

struct reap_group {
	uint32_t		 members;	/* any thread */
	struct reap_completion	 done;		/* posted by the landing of the last one */
	intptr_t		 status;	/* the last one's; before the post */
	struct reap_domain	*domain;	/* constant */
};

int
reap_group_create(struct reap_domain *domain, struct reap_group **out)
{
	struct reap_group *group;

	if (domain == NULL || out == NULL)
		return -EINVAL;
	group = calloc(1, sizeof(*group));
	if (group == NULL)
		return -ENOMEM;
	group->domain = domain;
	reap_completion_init(&group->done);
	(void)REAP_ADD_RELAXED(&domain->ngroups, 1);
	*out = group;
	return 0;
}

struct reap_domain *
reap__group_domain(const struct reap_group *group)
{
	return group->domain;
}

static void
group_free(struct reap_group *group)
{
	(void)REAP_ADD_RELAXED(&group->domain->ngroups, (unsigned)-1);
	free(group);
}

int
reap__group_join(struct reap_group *group)
{
	uint32_t members = REAP_LOAD_RELAXED(&group->members);

	do {
		if (members == EVER)
			return -ESRCH;
		/* pairs with the decrement of the last: either it is not the last, or we are too late. */
	} while (!REAP_CAS_ACQ_REL(&group->members, &members, (members + 1) | EVER));
	return 0;
}

void
reap__group_left(struct reap_group *group, intptr_t status)
{
	/* Acquire and release: pairs with itself in the other members' landings: what they did happens before the post. */
	if (REAP_ADD_ACQ_REL(&group->members, (uint32_t)-1) != EVER)
		return;
	group->status = status;
	reap_completion_post(&group->done);	/* the group may be gone */
}

int
reap_group_wait(struct reap_group *group, unsigned flags, intptr_t *status)
{
	struct reap_worker	*worker = reap_worker_self();
	int			 error;

	if (group == NULL || (flags & ~REAP_NOHANG) != 0)
		return -EINVAL;
	if (REAP_LOAD_RELAXED(&group->members) == 0)
		return -ECHILD;
	if (worker != NULL && reap__flags(worker->current) & REAP__GROUPED && worker->current->live->group == group)
		return -EDEADLK;
	if (!reap_completion_posted(&group->done)) {
		if (flags & REAP_NOHANG)
			return -EAGAIN;
		error = reap__await(&group->done, NULL);
		if (error != 0)
			return error;
	}
	if (status != NULL)
		*status = group->status;
	group_free(group);
	return 0;
}

int
reap_group_destroy(struct reap_group *group)
{
	if (group == NULL)
		return -EINVAL;
	if (REAP_LOAD_RELAXED(&group->members) != 0 && !reap_completion_posted(&group->done))
		return -EBUSY;
	group_free(group);
	return 0;
}

size_t
reap_group_members(const struct reap_group *group)
{
	return REAP_LOAD_RELAXED(&group->members) & ~EVER;
}
