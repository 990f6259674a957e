/* SPDX-License-Identifier: ISC */
/*
 * switch.h: leaving a context, and coming back.
 *
 * All of it is inline, into the function that the user called.  The machine switch comes back on another stack, where every
 * return still to be made was called for by somebody else: the processor predicts each of them wrong.  So there is to be one.
 */
#ifndef REAP_LIB_SWITCH_H
#define REAP_LIB_SWITCH_H

#include "arch/md.h"
#include "worker.h"

#define REAP__INLINE	static inline __attribute__((always_inline, unused))

/* Between two tests that both seldom hold: so that they stay two branches, instead of an expression with a value for each. */
#if defined(__GNUC__)
#define REAP__APART()	__asm__("")
#else
#define REAP__APART()	((void)0)
#endif

/* worker.c */
_Noreturn void	reap__refuse(const struct reap_context *to);
void		reap__depart_hooks(struct reap_worker *, struct reap_context *from, struct reap_context *to);

/* What a switch does before it leaves: the new current is known on every path before anything else can ask for it. */
REAP__INLINE void
reap__depart_home(struct reap_worker *worker, struct reap_context *to)
{
	if ((to->flags & (REAP__PINNED | REAP__BOUND)) != 0 && REAP_UNLIKELY(to->live->home != worker))
		reap_misuse("pinned", "a switch to a context that belongs to another worker, and was not shared");
	REAP_STORE_RELAXED(&to->sp, NULL);	/* no order: a peek is a snapshot */
	worker->current = to;
}

REAP__INLINE void *
reap__depart(struct reap_worker *worker, struct reap_context *from, struct reap_context *to)
{
	void *sp = to->sp;

	if (REAP_UNLIKELY(sp == NULL))
		reap__refuse(to);
	if (REAP_UNLIKELY(worker->hooks != 0))
		reap__depart_hooks(worker, from, to);
	if (sp == REAP__FRESH)
		sp = reap__bind(to);
	reap__depart_home(worker, to);
	return sp;
}

/* Whether there is more to it than to switch: a hook, a stack to be found, an error. */
REAP__INLINE bool
reap__departs_plainly(const struct reap_worker *worker, const struct reap_context *to)
{
	return (uintptr_t)to->sp > (uintptr_t)REAP__FRESH && worker->hooks == 0;
}

REAP__INLINE struct reap_worker *
reap__switch(struct reap_worker *worker, struct reap_context *to)
{
	struct reap_context	*from = worker->current;
	void			*sp = reap__depart(worker, from, to);

	REAP__COUNT(worker->domain, worker, switches);
	reap__san_before_switch(REAP__SAN(from->live), REAP__SAN(to->live), false);
	worker = reap_md_swap(&from->sp, sp, worker);
	reap__landed(worker);
	return worker;
}

/*
 * The same at the end of a function.  A machine layer that can returns from here to that function's caller without a mispredicted
 * return, see md.h; a sanitizer wants to see the swap in the function that leaves.
 */
#if defined(REAP_MD_TAIL) && !REAP__SAN_WATCHES_SWITCH
REAP__INLINE struct reap_worker *
reap__switch_plainly(struct reap_worker *worker, struct reap_context *to)
{
	struct reap_context	*from = worker->current;
	void			*sp = to->sp;

	reap__depart_home(worker, to);
	REAP__COUNT(worker->domain, worker, switches);
	return reap_md_switch(&from->sp, sp, worker);
}

REAP__INLINE struct reap_worker *
reap__switch_last(struct reap_worker *worker, struct reap_context *to)
{
	struct reap_context	*from = worker->current;
	void			*sp = reap__depart(worker, from, to);

	REAP__COUNT(worker->domain, worker, switches);
	return reap_md_switch(&from->sp, sp, worker);
}

/* Then after(worker, arg), whose first deed is the landing. */
REAP__INLINE int
reap__leave(struct reap_worker *worker, struct reap_context *to, int (*after)(struct reap_worker *, void *), void *arg)
{
	struct reap_context	*from = worker->current;
	void			*sp = reap__depart(worker, from, to);

	REAP__COUNT(worker->domain, worker, switches);
	return reap_md_leave(&from->sp, sp, worker, after, arg);
}

/* The same to one that is known to be stopped, on this worker, where there are no hooks. */
REAP__INLINE int
reap__leave_straight(struct reap_worker *worker, struct reap_context *to, int (*after)(struct reap_worker *, void *), void *arg)
{
	struct reap_context	*from = worker->current;
	void			*sp = to->sp;

	REAP_STORE_RELAXED(&to->sp, NULL);	/* no order: a peek is a snapshot */
	worker->current = to;
	reap__count_own(&worker->count.switches, 1);
	return reap_md_leave(&from->sp, sp, worker, after, arg);
}
#else
REAP__INLINE struct reap_worker *
reap__switch_plainly(struct reap_worker *worker, struct reap_context *to)
{
	return reap__switch(worker, to);
}

REAP__INLINE struct reap_worker *
reap__switch_last(struct reap_worker *worker, struct reap_context *to)
{
	return reap__switch(worker, to);
}

REAP__INLINE int
reap__leave(struct reap_worker *worker, struct reap_context *to, int (*after)(struct reap_worker *, void *), void *arg)
{
	struct reap_context	*from = worker->current;
	void			*sp = reap__depart(worker, from, to);

	REAP__COUNT(worker->domain, worker, switches);
	reap__san_before_switch(REAP__SAN(from->live), REAP__SAN(to->live), false);
	return after(reap_md_swap(&from->sp, sp, worker), arg);
}

REAP__INLINE int
reap__leave_straight(struct reap_worker *worker, struct reap_context *to, int (*after)(struct reap_worker *, void *), void *arg)
{
	return reap__leave(worker, to, after, arg);
}
#endif

/* For good. */
REAP__INLINE _Noreturn void
reap__jump(struct reap_worker *worker, struct reap_context *to)
{
	struct reap_context	*from = worker->current;
	void			*sp = reap__depart(worker, from, to);

	REAP__COUNT(worker->domain, worker, switches);
	reap__san_before_switch(REAP__SAN(from->live), REAP__SAN(to->live), true);
	reap_md_jump(sp, worker);
}

/* worker.c: the same, by who is plain; so that nobody else saves registers for it. */
_Noreturn void	reap__jump_cold(struct reap_worker *worker, struct reap_context *to) __attribute__((visibility("hidden")));

REAP__INLINE _Noreturn void
reap__jump_plainly(struct reap_worker *worker, struct reap_context *to)
{
	struct reap_context	*from = worker->current;
	void			*sp = to->sp;

	if (REAP_UNLIKELY(!reap__departs_plainly(worker, to)))
		reap__jump_cold(worker, to);
	reap__depart_home(worker, to);
	reap__san_before_switch(REAP__SAN(from->live), REAP__SAN(to->live), true);
	reap_md_jump(sp, worker);
}

/* For good, to one that is known to be stopped, on this worker, where there are no hooks; unless it runs after all. */
REAP__INLINE _Noreturn void
reap__jump_straight(struct reap_worker *worker, struct reap_context *to)
{
	struct reap_context	*from = worker->current;
	void			*sp = to->sp;

	if (REAP_UNLIKELY(sp == NULL))
		reap__jump_cold(worker, to);	/* says so */
	REAP_STORE_RELAXED(&to->sp, NULL);	/* no order: a peek is a snapshot */
	worker->current = to;
	reap__san_before_switch(REAP__SAN(from->live), REAP__SAN(to->live), true);
	reap_md_jump(sp, worker);
}

/* Who runs next: the host's choice, or the base context if nothing is runnable. */
REAP__INLINE struct reap_context *
reap__successor(struct reap_worker *worker)
{
	struct reap_context *to = worker->domain->hosted ? worker->domain->host.next(worker) : NULL;

	return to != NULL ? to : worker->base;
}

REAP__INLINE void
reap__slot_must_be_empty(struct reap_worker *worker)
{
	if (REAP_UNLIKELY(worker->slot.reap__prev != 0))
		reap_misuse("slot-full", "a switch found the slot of its worker full: a host callback must not switch");
}

/* All of a park but the switch to whom it returns. */
REAP__INLINE struct reap_context *
reap__to_park(struct reap_worker *worker, bool (*publish)(struct reap_context *, void *), void *arg)
{
	struct reap_context	*self = worker->current;
	struct reap__parking	*parking = &self->live->parking;

	if (REAP_UNLIKELY(self->flags & REAP__BASE))
		reap_misuse("park-base", "reap_park() by a base context, which is what runs when others park");
	reap__slot_must_be_empty(worker);
	*parking = (struct reap__parking){ self, publish, arg };
	worker->slot.reap__prev = (uintptr_t)parking | REAP__PREV_PARKED;
	return reap__successor(worker);
}

#endif
