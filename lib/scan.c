/* SPDX-License-Identifier: ISC */
/*
 * scan.c: what a collector asks for while the world stands still, at whatever instruction.
 *
 * A switch stores sp == NULL in who comes before it stores the stack pointer of who leaves: in between both are told as running,
 * with all of their stacks.  A context is listed from the store of its claim, before which its creator's own stack holds what it
 * will use, until it is off the CPU: whoever takes the stack away has seen the post, or is the landing.
 */
#include <reap/atomic.h>
#include <reap/scan.h>

#include "worker.h"

struct scan {
	void	(*visit)(const struct reap_scan *, void *);
	void	*arg;
	size_t	 n;
};

static void
scan_one(struct reap_context *context, void *arg)
{
	struct scan		*scan = arg;
	struct reap__stack	*stack = context->stack;
	uint32_t		 flags = reap__flags(context);
	struct reap_scan	 it = {
		.context = context, .state = reap_context_state(context), .base = (flags & REAP__BASE) != 0,
		.sp = REAP_LOAD_RELAXED(&context->sp), .user = context->user,
	};

	if (it.state == REAP_STATE_NONE || it.state == REAP_STATE_ZOMBIE)
		return;
	if (reap__fresh(context)) {
		it.sp = NULL;
		it.word = (intptr_t)context->fresh.arg;
	} else if (!it.base) {
		if (stack == NULL)
			return;		/* dying, and its landing has taken the stack: it is off the CPU */
		it.lo = stack->lo;
		it.hi = stack->hi;
		if (flags & REAP__OWNED && it.state != REAP_STATE_NEW && it.state != REAP_STATE_EXITING)
			it.word = context->live->word;
	}
	scan->n++;
	scan->visit(&it, scan->arg);
}

size_t
reap_domain_scan(struct reap_domain *domain, void (*visit)(const struct reap_scan *, void *), void *arg)
{
	struct scan scan = { visit, arg, 0 };

	(void)reap_domain_for_each(domain, scan_one, &scan);
	return scan.n;
}

size_t
reap_stack_room(void)
{
	const struct reap_worker	*worker = reap__here;
	const struct reap__stack	*stack = worker != NULL ? worker->current->stack : NULL;
	/* Not the address of a variable: AddressSanitizer may keep those elsewhere. */
	const char			*here = __builtin_frame_address(0);

	return stack != NULL ? (size_t)(here - stack->lo) : SIZE_MAX;
}
