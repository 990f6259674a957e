/* SPDX-License-Identifier: ISC */
/*
 * choose.h: what may be asked of a context in this state; for choose.c and tidy.c.
 */
#ifndef REAP_TESTS_FUZZ_CHOOSE_H
#define REAP_TESTS_FUZZ_CHOOSE_H

#include "model.h"

extern struct plan *plan;	/* the one that is being made */

bool	is_live(int x);
bool	is_child(int x);		/* of the actor */
bool	is_held(int x);
bool	is_plain(int x);
bool	is_resumed(int x);		/* and has not come back */
bool	is_destroyable_now(int x);
bool	may_run_here(int x);

int	pick(bool (*fits)(int), unsigned n);	/* the nth, modulo how many there are; NOBODY */
bool	target(bool (*fits)(int), unsigned n);	/* the same, into the plan */

#endif
