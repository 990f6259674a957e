/* SPDX-License-Identifier: ISC */
/*
 * group.h: contexts that end as one, like the threads of a process.  Members leave no zombies: the adopter reaps them.  The
 * status of the last one standing is the group's.
 */
#ifndef REAP_GROUP_H
#define REAP_GROUP_H

#include <reap/base.h>
#include <reap/domain.h>

REAP_BEGIN_DECLS

struct reap_group;

/*
 * reap_group_create -- make a group without members.  reap_context_create() adds them.
 *
 *   context    Any thread.
 *   ownership  *group is the caller's, until reap_group_wait() or reap_group_destroy().
 *   ordering   None.
 *   cost       Allocates.
 *   returns    0; -EINVAL; -ENOMEM.
 */
REAP_API int	reap_group_create(struct reap_domain *domain, struct reap_group **group);

/*
 * reap_group_wait -- wait until the last member is off the CPU, then free the group.
 *
 *   context    A running context that is no member, or any OS thread; one at a time.
 *   ownership  Consumes the group on success.
 *   ordering   All that any member did happens before the return.
 *   cost       As reap_wait().
 *   returns    0, *status (may be NULL) is the last one's; -EAGAIN: REAP_NOHANG and not ended; -ECHILD: it never had a
 *              member; -EBUSY: somebody else waits; -EDEADLK: the caller is a member, or a base context that nothing can wake;
 *              -EINVAL: flags.
 */
REAP_API int	reap_group_wait(struct reap_group *group, unsigned flags, intptr_t *status);

/*
 * reap_group_destroy -- free a group that nobody will wait for.
 *
 *   context    Any thread.
 *   ownership  Consumes the group on success.
 *   ordering   As reap_group_wait().
 *   cost       A load, a free.
 *   returns    0; -EINVAL; -EBUSY: members are left, nothing changed.
 */
REAP_API int	reap_group_destroy(struct reap_group *group);

/*
 * reap_group_members -- how many have not ended yet?
 *
 *   context    Any thread.
 *   ownership  None.
 *   ordering   None: a gauge.
 *   cost       A load.
 *   returns    The number.
 */
REAP_API size_t	reap_group_members(const struct reap_group *group);

REAP_END_DECLS

#endif
