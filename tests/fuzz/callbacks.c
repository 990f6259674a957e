/* SPDX-License-Identifier: ISC */
/*
 * callbacks.c: what the library calls: the host, the embedder, memory.  Each callback must be the next that the model expects.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "inside.h"

const char *event_names[] = {
	"next", "ready", "wake", "on_switch", "after_switch", "child_exited", "publish", "listener", "dying", "window", "off_cpu",
	"off_cpu's act", "unjoined"
};

static void
happens(enum event kind, int a, intptr_t b)
{
	int i = m.seen++;

	if (model.unordered) {
		for (i = 0; i < model.nevents; i++)
			if (!m.matched[i] && model.event[i].kind == kind && model.event[i].a == a && model.event[i].b == b) {
				m.matched[i] = true;
				return;
			}
		fail("%s(%d, %ld) must not happen", event_names[kind], a, (long)b);
	}
	if (i >= model.nevents)
		fail("%s(%d, %ld) happens, nothing more must", event_names[kind], a, (long)b);
	if (model.event[i].kind != kind || model.event[i].a != a || model.event[i].b != b)
		fail("%s(%d, %ld) happens, %s(%d, %ld) must", event_names[kind], a, (long)b, event_names[model.event[i].kind],
		    model.event[i].a, (long)model.event[i].b);
}

int
id_of(const struct reap_context *context)
{
	intptr_t x = (intptr_t)reap_context_user(context) - 1;

	if (x < 0 || x >= CTX_MAX || m.context[x] != context)
		fail("a callback names a context that is not there (its word is %ld)", (long)x + 1);
	return (int)x;
}

static int
id_or_nobody(const struct reap_context *context)
{
	return context != NULL ? id_of(context) : NOBODY;
}

static int
thread_of(const struct reap_worker *worker)
{
	return (int)(intptr_t)reap_worker_user(worker) - 1;
}

void
enqueue(struct reap_context *context)
{
	struct reap_context **link = &m.head;

	while (*link != NULL)
		link = reap_context_link(*link);
	*reap_context_link(context) = NULL;
	*link = context;
}

void
unqueue(const struct reap_context *context)
{
	struct reap_context **link;

	for (link = &m.head; *link != NULL; link = reap_context_link(*link))
		if (*link == context) {
			*link = *reap_context_link(*link);
			return;
		}
}

struct reap_context *
host_next(struct reap_worker *worker)
{
	struct reap_context **link, *context;

	for (link = &m.head; (context = *link) != NULL; link = reap_context_link(context)) {
		const struct reap_worker *home = reap_context_home(context);

		if (home == NULL || home == worker) {
			*link = *reap_context_link(context);
			break;
		}
	}
	happens(EV_NEXT, thread_of(worker), id_or_nobody(context));
	return context;
}

void
host_ready(struct reap_context *context)
{
	happens(EV_READY, id_of(context), 0);
	enqueue(context);
}

void
host_wake(struct reap_worker *worker)
{
	happens(EV_WAKE, thread_of(worker), 0);
}

void
host_idle(struct reap_worker *worker)
{
	one_operation(id_of(reap_worker_base(worker)), true);
}

void
host_on_switch(struct reap_worker *worker, struct reap_context *from, struct reap_context *to)
{
	(void)worker;
	happens(EV_ON_SWITCH, id_of(from), id_of(to));
}

void
host_after_switch(struct reap_worker *worker, struct reap_context *prev, bool dead)
{
	(void)worker;
	happens(EV_AFTER_SWITCH, id_of(prev), dead);
}

void
host_child_exited(struct reap_context *parent, struct reap_context *child)
{
	happens(EV_CHILD_EXITED, id_of(parent), id_of(child));
}

bool
host_locks_held(struct reap_context *dying)
{
	(void)dying;
	return false;
}

void
before_final_switch(struct reap_context *dying)
{
	enum reap_state	state;
	struct reap_result result;
	int		x = id_of(dying);

	happens(EV_DYING, x, 0);
	SAME_OF("the state in exit", x, reap_context_state(dying), REAP_STATE_EXITING);
	if (m.handle[x].generation != 0) {
		SAME_OF("a peek in exit", x, reap_peek(m.handle[x], &state, &result), 0);
		SAME_OF("the state by a peek in exit", x, state, REAP_STATE_EXITING);
		SAME_OF("the status in exit", x, result.status, model.life[x].status);
	}
	if (m.seen < model.nevents && model.event[m.seen].kind == EV_WINDOW) {
		int to = (int)model.event[m.seen].b;	/* who has the turn in the end may be another one, whose window closes */

		happens(EV_WINDOW, x, to);
		baton_give(to);
	}
}

/* The model has said that it happens: here it does. */
static void
act_off_cpu(struct reap_context *context, int x)
{
	int i = m.seen++, ret = 0;

	switch (model.life[x].off_act) {
	case OFF_HOLD:
		m.handle[x] = reap_context_handle(context);
		ret = reap_hold(m.handle[x]);
		break;
	case OFF_CREATE:
		ret = create_off_cpu();
		break;
	case OFF_DRAIN:
		ret = reap_adopter_drain(m.adopter[0], 1);
		break;
	case OFF_TRIM:
		(void)reap_trim(m.domain);
		break;
	case OFF_JOIN:
		m.handle[x] = reap_context_handle(context);
		ret = reap_join(m.handle[x], REAP_NOHANG, NULL);
		SAME_OF("detach in off_cpu()", x, reap_detach(m.handle[x]), ret);
		break;
	default:
		break;
	}
	SAME_OF("what off_cpu() gets", x, ret, model.event[i].b);
}

void
off_cpu(struct reap_context *context, intptr_t status)
{
	int x = id_of(context);

	happens(EV_OFF_CPU, x, status);
	SAME_OF("the state in off_cpu()", x, reap_context_state(context), REAP_STATE_ZOMBIE);
	if (model.life[x].stack == STACK_BORROWED) {
		m.buffer[model.life[x].buffer] = buffers[model.life[x].buffer];
		/* It is ours again: what the library still wrote to it would be seen by the next to live there. */
		memset(buffers[model.life[x].buffer], 0x5a, 64);
	}
	if (m.seen < model.nevents && model.event[m.seen].kind == EV_OFF_ACT && model.event[m.seen].a == x)
		act_off_cpu(context, x);
}

void
unjoined(struct reap_context *context, void *arg)
{
	(void)arg;
	happens(EV_UNJOINED, id_of(context), 0);
}

bool
publish(struct reap_context *parked, void *arg)
{
	bool stays = (uintptr_t)arg != 0;

	happens(EV_PUBLISH, id_of(parked), stays);
	return stays;
}

void
exiting(struct reap_exit_listener *listener, struct reap_context *dying, intptr_t status)
{
	int x = id_of(dying), i = (int)(listener - m.listener[x]);

	SAME_OF("the status that a listener is told", x, status, model.life[x].exit_status);
	happens(EV_LISTENER, x, i);
	if (model.life[x].acts[i])
		one_operation(x, false);
}

static int
ops_alloc(void *cookie, size_t size, void **base)
{
	(void)cookie;
	*base = aligned_alloc(64, (size + 63) & ~(size_t)63);
	if (*base == NULL)
		return -ENOMEM;
	m.foreign++;
	return 0;
}

static void
ops_free(void *cookie, void *base, size_t size)
{
	(void)cookie;
	(void)size;
	m.foreign--;
	free(base);
}

const struct reap_stack_ops stack_ops = { ops_alloc, ops_free, NULL };

uint64_t
clock_now(void *arg)
{
	(void)arg;
	return model.now;
}

/*
 * Memory: the linker sends what the library allocates through here (--wrap).  A leak detector alone is not enough: stale pointers
 * on all these stacks hide what is lost.
 */
long blocks;		/* by who has the baton */

void	*__real_malloc(size_t);
void	*__real_calloc(size_t, size_t);
void	*__real_aligned_alloc(size_t, size_t);
void	 __real_free(void *);
void	*__wrap_malloc(size_t);
void	*__wrap_calloc(size_t, size_t);
void	*__wrap_aligned_alloc(size_t, size_t);
void	 __wrap_free(void *);

void *
__wrap_malloc(size_t n)
{
	blocks++;
	return __real_malloc(n);
}

void *
__wrap_calloc(size_t n, size_t size)
{
	blocks++;
	return __real_calloc(n, size);
}

void *
__wrap_aligned_alloc(size_t alignment, size_t n)
{
	blocks++;
	return __real_aligned_alloc(alignment, n);
}

void
__wrap_free(void *p)
{
	blocks -= p != NULL;
	__real_free(p);
}
