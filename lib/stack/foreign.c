/* SPDX-License-Identifier: ISC */
/*
 * foreign.c: stacks that are not libreap's: from the embedder's allocator, or memory that it supplied.
 *
 *	base = lo                                    top            hi = base + size
 *	+--------------------------------------------+--------------+
 *	|                                   frames ->| the record   |
 *	+--------------------------------------------+--------------+
 */
#include <errno.h>

#include "stack/depot.h"

struct reap__foreign {
	struct reap__stack	s;
	struct reap_stack_ops	ops;	/* whose free() gets it back; unused if adopted */
};

static void
place(char *base, size_t size, enum reap__stack_kind kind, const struct reap_stack_ops *ops, struct reap__stack **out)
{
	const uintptr_t line = sizeof(struct reap__stack);
	char *top = base + size - sizeof(struct reap__foreign);
	struct reap__foreign *f;

	top -= (uintptr_t)top % line;
	f = (void *)top;
	*f = (struct reap__foreign){
		.s = { .lo = base, .hi = base + size, .top = top, .kind = (uint8_t)kind }
	};
	if (ops != NULL)
		f->ops = *ops;
	*out = &f->s;
}

int
reap__foreign_get(size_t size, const struct reap_stack_ops *ops, struct reap__stack **out)
{
	void *base = NULL;
	int error;

	if (size < reap_stack_minimum())
		return -EINVAL;
	if ((error = ops->alloc(ops->cookie, size, &base)) != 0)
		return error;
	place(base, size, REAP__STACK_OPS, ops, out);
	return 0;
}

int
reap__stack_adopt(struct reap__depot *depot, void *base, size_t size, struct reap__stack **out)
{
	(void)depot;
	if (base == NULL || size < reap_stack_minimum())
		return -EINVAL;
	place(base, size, REAP__STACK_ADOPTED, NULL, out);
	return 0;
}

void
reap__foreign_put(struct reap__stack *s)
{
	if (s->kind == REAP__STACK_OPS) {
		const struct reap_stack_ops ops = ((struct reap__foreign *)s)->ops;	/* the record goes with the memory */

		ops.free(ops.cookie, s->lo, (size_t)(s->hi - s->lo));
	}
}
