/* SPDX-License-Identifier: ISC */
/*
 * parts.h: what the parts of the model are to each other.
 *
 *	books.c		who is whose child, who may collect, what is owed, who has to be woken
 *	flow.c		who runs, sleeps, is woken
 *	owned.c		who is resumed by whom
 *	model.c		what each operation does
 */
#ifndef REAP_TESTS_FUZZ_PARTS_H
#define REAP_TESTS_FUZZ_PARTS_H

#include "model.h"

#define LIFE(x)		(&model.life[x])
#define CONFIG		(&model.config)

void	event(enum event kind, int a, intptr_t b);

/* books.c */
bool	adopted(int x);
bool	there(int x);		/* there is a descriptor, and whoever keeps it there may use its address */
bool	live(int x);
void	ready(int x);
int	taken(int sleeper);	/* these return who is to be readied, or NOBODY */
int	kick(int parent);
int	kick_adopter(int k);
int	take_waiter(int x);
void	wake(int sleeper);
void	share_words(int x);
int	open_heir(int k);
int	to_adopter(int x, int k);
int	let_go(int parent);
int	oldest(int parent, int adopter, bool only_posted, unsigned after);
void	disinherit(int parent);
void	tell(int *told, int *ntold, int sleeper);
void	bequeath(int x, int *told, int *ntold);
void	tell_host(int x);
void	ended(bool worker, int x, const int *told, int ntold);	/* it is off the CPU: the landing, or a destroy */
void	result(int x, struct want *);
void	give_up_stack(int x, int payer);
void	collect(int x, int collector, int payer, struct want *);

/* flow.c */
enum flow { DONE, GO };		/* the actor goes on; somebody else runs */

void	dequeue(int x);
int	next(int thread);
void	disarm(int x);
void	go(int thread, int to);
void	leave(int thread, enum slot, int to);
int	successor(int thread);
void	switch_to(int thread, enum sleep why, int to);
int	claim(int x, int self, int gone);
enum flow barrier(int thread, int target, unsigned flags, bool quiet);
enum flow wait_any(int thread, unsigned flags);
enum flow adopter_wait(int thread, int k);
enum flow group_wait(int thread, int g, unsigned flags);
void	group_over(int g, struct want *);
void	resume(int thread);
void	go_on(int thread);
void	take_turn(int thread);

/* owned.c */
bool	born_simple(int x);		/* of who is owned, and spawned */
void	back_from_resume(int x);
int	owned_resume(const struct plan *, enum flow *);
int	owned_suspend(const struct plan *, enum flow *);
int	owned_transfer(const struct plan *, enum flow *);
int	owned_discard(const struct plan *);
int	discarded(int thread);		/* how many were destroyed */

/* model.c */
int	create(const struct plan *);
int	destroy(const struct plan *);
int	drain(int k, unsigned budget);

#endif
