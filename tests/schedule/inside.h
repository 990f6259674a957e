/* SPDX-License-Identifier: ISC */
/*
 * inside.h: what inside.c tells the scenarios.
 */
#ifndef SCHEDULE_INSIDE_H
#define SCHEDULE_INSIDE_H

#include <reap/domain.h>

/* Of the limit, in the domain's own hands: all of them once the workers have stopped. */
uint64_t	schedule_credits(const struct reap_domain *domain);

#endif
