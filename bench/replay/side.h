/* SPDX-License-Identifier: ISC */
/*
 * side.h: what is compared.  All sides have the same stacks, caches, limits and workers; they differ in who reaps, and when the
 * parent is told.
 */
#ifndef REPLAY_SIDE_H
#define REPLAY_SIDE_H

#include <reap.h>

enum side_name { SIDE_ADAPTIVE, SIDE_PARENT, SIDE_SUCCESSOR, SIDE_ADOPTER, SIDE_EARLY, SIDE_PLAIN, SIDE_BATCHING, SIDES };

struct side {
	const char *name;		/* on the command line, in tables and files */
	const char *about;
	enum reap_policy policy;
	enum reap_notify notify;
	int	 batch;			/* of the reaper thread; -1: there is none */
};

extern const struct side side[SIDES];

/* Parse a comma-separated list of names; `thread' is both reapers.  0 and a bit per side in *set, or -1 and the word that is no side in bad[]. */
int	side_parse(const char *list, unsigned *set, char *bad, size_t bad_size);

#endif
