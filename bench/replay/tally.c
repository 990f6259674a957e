/* SPDX-License-Identifier: ISC */
#include "tally.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char mode_letters[MODES + 1] = "BLNAOU";

enum mode
tally_mode(char letter)
{
	int m = 0;

	while (m < MODES - 1 && mode_letters[m] != letter)
		m++;
	return (enum mode)m;
}

static _Thread_local struct tally *mine;

/* Not inlined, and opaque: the address of a thread-local variable must not be kept across a switch. */
static __attribute__((noinline)) struct tally **
mine_here(void)
{
	__asm__ volatile("" ::: "memory");
	return &mine;
}

int
tally_init(struct tallies *tallies, unsigned threads, size_t logged)
{
	unsigned i;

	*tallies = (struct tallies){ .room = threads };
	tallies->tally = calloc(threads, sizeof(*tallies->tally));
	if (tallies->tally == NULL)
		return -1;
	for (i = 0; i < threads; i++) {
		struct tally *t = calloc(1, sizeof(*t));

		tallies->tally[i] = t;
		if (t == NULL)
			return -1;
		if (logged == 0)
			continue;
		t->landing = calloc(logged, sizeof(*t->landing));
		t->departure = calloc(logged, sizeof(*t->departure));
		if (t->landing == NULL || t->departure == NULL)
			return -1;
	}
	return 0;
}

static struct tally *
arrive(struct tallies *tallies)
{
	unsigned i = __atomic_fetch_add(&tallies->used, 1, __ATOMIC_RELAXED);

	if (i >= tallies->room) {
		fprintf(stderr, "replay: more OS threads than expected take part\n");
		abort();
	}
	return tallies->tally[i];
}

struct tally *
tally_mine(struct tallies *tallies)
{
	struct tally **here = mine_here();

	if (*here == NULL)
		*here = arrive(tallies);
	return *here;
}

unsigned
tally_count(const struct tallies *tallies)
{
	return TALLY_READ(&tallies->used);
}

void
tally_reset(struct tallies *tallies)
{
	unsigned i;

	for (i = 0; i < tallies->room; i++) {
		struct tally *t = tallies->tally[i];
		struct actor **landing = t->landing;
		struct departure *departure = t->departure;

		memset(t, 0, offsetof(struct tally, gauge));	/* not the samples: pages that no side touches stay away */
		t->gauges = 0;
		t->log.events = t->log.dropped = 0;
		t->landing = landing;
		t->departure = departure;
	}
}
