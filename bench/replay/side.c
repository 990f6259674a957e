/* SPDX-License-Identifier: ISC */
#include "side.h"

#include <stdio.h>
#include <string.h>

#define BATCH	32

const struct side side[SIDES] = {
	[SIDE_ADAPTIVE] = { "adaptive", "the waiter if one is there at the landing, else the successor (the default policy)",
	    REAP_POLICY_ADAPTIVE, REAP_NOTIFY_LATE, -1 },
	[SIDE_PARENT] = { "parent", "the parent frees all: fat zombies until it waits",
	    REAP_POLICY_PARENT, REAP_NOTIFY_LATE, -1 },
	[SIDE_SUCCESSOR] = { "successor", "the landing takes the stack: thin zombies",
	    REAP_POLICY_SUCCESSOR, REAP_NOTIFY_LATE, -1 },
	[SIDE_ADOPTER] = { "adopter", "the adopter takes the stack, drained by yielding and idle workers",
	    REAP_POLICY_ADOPTER, REAP_NOTIFY_LATE, -1 },
	[SIDE_EARLY] = { "early", "adaptive, but the parent is told at exit and then meets the barrier",
	    REAP_POLICY_ADAPTIVE, REAP_NOTIFY_EARLY, -1 },
	[SIDE_PLAIN] = { "plain", "a reaper thread, woken at every exit, one corpse at a time under a mutex",
	    REAP_POLICY_THREAD, REAP_NOTIFY_LATE, 0 },
	[SIDE_BATCHING] = { "batching", "a reaper thread that takes what is there, without a lock, and spins before it sleeps",
	    REAP_POLICY_THREAD, REAP_NOTIFY_LATE, BATCH },
};

static int
find(const char *word, size_t len)
{
	int i;

	for (i = 0; i < SIDES; i++)
		if (strlen(side[i].name) == len && memcmp(side[i].name, word, len) == 0)
			return i;
	return -1;
}

int
side_parse(const char *list, unsigned *set, char *bad, size_t bad_size)
{
	size_t len;
	int i;

	*set = 0;
	for (;; list += len + 1) {
		len = strcspn(list, ",");
		i = find(list, len);
		if (len == strlen("thread") && memcmp(list, "thread", len) == 0)
			*set |= 1u << SIDE_PLAIN | 1u << SIDE_BATCHING;
		else if (i >= 0)
			*set |= 1u << i;
		else {
			snprintf(bad, bad_size, "%.*s", (int)len, list);
			return -1;
		}
		if (list[len] == '\0')
			return 0;
	}
}
