/* SPDX-License-Identifier: ISC */
/*
 * inbox.c: many push, one takes, and may sleep.  List, sleeper and end share one word, so that no wakeup can fall between
 * looking and sleeping, and nobody can push to one who has ended.
 */
#include <reap/atomic.h>

#include "context.h"

static bool
is_list(uintptr_t head)
{
	return (head & 7) == 0 && head != 0;
}

/* False: closed.  *sleeper: who slept there, NULL: nobody; the caller readies it. */
bool
reap__inbox_push(struct reap__inbox *inbox, struct reap_context *context, struct reap_waiter **sleeper)
{
	uintptr_t head = REAP_LOAD_RELAXED(&inbox->head);

	do {
		if (head == REAP__INBOX_CLOSED)
			return false;
		context->next = is_list(head) ? (struct reap_context *)head : NULL;
		/* Release: pairs with the exchange in reap__inbox_take(), which must see status and `next'.  Acquire: pairs
		 * with reap__inbox_await(), whose waiter is about to be read. */
	} while (!REAP_CAS_ACQ_REL(&inbox->head, &head, (uintptr_t)context));
	*sleeper = head & REAP__INBOX_WAITER ? (struct reap_waiter *)(head & ~REAP__INBOX_WAITER) : NULL;
	return true;
}

/* Put a list that was pushed, newest first, behind the corpses, oldest first. */
static void
append_list(struct reap__inbox *inbox, uintptr_t head)
{
	struct reap_context *context = (struct reap_context *)head, *oldest_first = NULL;

	while (context != NULL) {
		struct reap_context *older = context->next;

		context->next = oldest_first;
		oldest_first = context;
		context = older;
	}
	while (oldest_first != NULL) {
		struct reap_context *newer = oldest_first->next;

		reap__inbox_append(inbox, oldest_first);
		oldest_first = newer;
	}
}

/* Move what has come to the corpses.  A sleeper stays: somebody else drains while it sleeps. */
void
reap__inbox_take_cold(struct reap__inbox *inbox)
{
	uintptr_t head = REAP_LOAD_RELAXED(&inbox->head);

	while (is_list(head) || head == REAP__INBOX_KICKED)
		/* Acquire: pairs with the pushes and kicks: statuses and links, and the children that were let go.
		 * Release: a kick that comes later must come after this in the word's order, see reap__inbox_kick(). */
		if (REAP_CAS_ACQ_REL(&inbox->head, &head, 0)) {
			if (is_list(head))
				append_list(inbox, head);
			return;
		}
}

/* Something has come, or the parent sleeps there. */
struct reap_waiter *
reap__inbox_receive_cold(struct reap_context *parent, struct reap_context *child)
{
	struct reap__inbox	*inbox = &parent->inbox;
	uintptr_t		 head = REAP_LOAD_RELAXED(&inbox->head);

	if (is_list(head))
		reap__inbox_take_cold(inbox);
	reap__inbox_append(inbox, child);
	if ((head & REAP__INBOX_WAITER) == 0)
		return NULL;
	if (reap__flags(parent) & REAP__KIN)
		return reap__inbox_kick(inbox);	/* shared children may be about to wake it as well */
	REAP_STORE_RELAXED(&inbox->head, 0);
	return (struct reap_waiter *)(head & ~REAP__INBOX_WAITER);
}

/* The taker is about to sleep (it is off the CPU).  False: something has come, or another sleeps there: do not. */
bool
reap__inbox_await(struct reap__inbox *inbox, struct reap_waiter *waiter)
{
	uintptr_t none = 0;

	/* Release: pairs with the acquire of push and kick, which read the waiter. */
	return REAP_CAS_ACQ_REL(&inbox->head, &none, (uintptr_t)waiter | REAP__INBOX_WAITER);
}

/* The sleeper takes itself back.  False: it has been taken, and is being readied. */
bool
reap__inbox_unawait(struct reap__inbox *inbox, struct reap_waiter *waiter)
{
	uintptr_t me = (uintptr_t)waiter | REAP__INBOX_WAITER;

	/* Acquire on failure: pairs with the push that took the waiter. */
	return REAP_CAS_ACQ_REL(&inbox->head, &me, 0);
}

/*
 * Let the taker look again.  Always writes the word, even when nothing changes in it: the taker clears the word and *then*
 * reads what the kick is about.  Had the kick only read KICKED or a list, both could miss each other (store buffering).
 */
struct reap_waiter *
reap__inbox_kick(struct reap__inbox *inbox)
{
	uintptr_t head = REAP_LOAD_RELAXED(&inbox->head), then;

	do {
		then = head == 0 ? REAP__INBOX_KICKED : head & REAP__INBOX_WAITER ? 0 : head;
		/* Release: pairs with reap__inbox_take().  Acquire: pairs with reap__inbox_await(). */
	} while (!REAP_CAS_ACQ_REL(&inbox->head, &head, then));
	return head & REAP__INBOX_WAITER ? (struct reap_waiter *)(head & ~REAP__INBOX_WAITER) : NULL;
}

/* The taker ends: what has come becomes its corpses, nothing more will come.  Returns a sleeper that was there. */
struct reap_waiter *
reap__inbox_close(struct reap__inbox *inbox)
{
	/* Acquire and release; pairs with the pushes: each of them is in the list, or sees CLOSED. */
	uintptr_t head = REAP_XCHG_ACQ_REL(&inbox->head, REAP__INBOX_CLOSED);

	if (is_list(head))
		append_list(inbox, head);
	return head & REAP__INBOX_WAITER ? (struct reap_waiter *)(head & ~REAP__INBOX_WAITER) : NULL;
}
