/* SPDX-License-Identifier: ISC */
/*
 * machine.c: every context has the same body: take the next operation, perform it, compare.  So whoever runs is whose turn it
 * is, and the switches, waits and wakeups of the library are the control flow of the test.
 *
 * Nothing here keeps a thread-local address: a context may go on in another thread.  Who has the baton is who runs.
 */
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <reap.h>

#include "machine.h"
#include "misuse.h"
#include "model.h"

#define STACK_SIZE	((size_t)64 * 1024)	/* bytes; the sanitizers' frames are large */
#define TRACE_MAX	((int)FUZZ_OPS_MAX + 64 * CTX_MAX + 2)

static struct {
	const struct program *program;
	struct reap_domain *domain;
	struct reap_context *context[CTX_MAX];
	struct reap_handle handle[CTX_MAX];
	struct reap_exit_listener listener[CTX_MAX][LISTENERS];
	struct reap_worker *worker[THREADS];
	struct reap_adopter *adopter[ADOPTERS];
	struct reap_group *group[GROUPS];
	struct reap_context *head;		/* the host's queue, by reap_context_link() */
	char	*buffer[BUFFERS];		/* NULL: in use */
	unsigned foreign;			/* stacks out of our allocator */
	int	 seen;				/* events of this step that have come */
	bool	 matched[EVENTS_MAX];		/* the same, when they come in any order */
	struct {
		struct plan plan;
		int	 ret;
	} trace[TRACE_MAX];
	int	 ntrace;
} m;

static char buffers[BUFFERS][STACK_SIZE] __attribute__((aligned(64)));

/*
 * The baton.
 */
static pthread_mutex_t	baton_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t	baton_given[THREADS] = { PTHREAD_COND_INITIALIZER, PTHREAD_COND_INITIALIZER, PTHREAD_COND_INITIALIZER };
static int		baton;			/* the thread that runs; under the lock */
static bool		threads[THREADS];	/* it exists; by who has the baton */

static void
baton_take(int thread)
{
	pthread_mutex_lock(&baton_lock);
	while (baton != thread)
		pthread_cond_wait(&baton_given[thread], &baton_lock);
	pthread_mutex_unlock(&baton_lock);
}

static void	*other_thread(void *);

static void	fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

/* Returns when the calling thread has it back. */
static void
baton_give(int to)
{
	static int	 numbers[THREADS] = { 0, 1, 2 };
	pthread_t	 thread;
	int		 me = baton;

	if (to != 0 && !threads[to]) {
		threads[to] = true;
		if (pthread_create(&thread, NULL, other_thread, &numbers[to]) != 0)
			fail("no thread to be had");
		(void)pthread_detach(thread);
	}
	pthread_mutex_lock(&baton_lock);
	baton = to;
	pthread_cond_signal(&baton_given[to]);
	pthread_mutex_unlock(&baton_lock);
	baton_take(me);
}

/*
 * Saying what went wrong.
 */
static void
put(const char *text, size_t n)
{
	if (write(STDERR_FILENO, text, n) < 0)
		_exit(2);
}

static int
put_line(char *line, size_t size, int number, const struct plan *plan, int ret)
{
	int n = snprintf(line, size, "%4d  ", number);

	n += model_describe(plan, line + n, size - (size_t)n);
	if (plan->done && ret != 0)
		n += snprintf(line + n, size - (size_t)n, " -> %d", ret);
	n += snprintf(line + n, size - (size_t)n, "\n");
	return n;
}

void
machine_trace(void)
{
	char line[256];

	for (int i = 0; i < m.ntrace; i++)
		put(line, (size_t)put_line(line, sizeof(line), i, &m.trace[i].plan, m.trace[i].ret));
}

static void
fail(const char *format, ...)
{
	char	 text[256];
	va_list	 ap;
	int	 n;

	machine_trace();
	put("MISMATCH: ", 10);
	va_start(ap, format);
	n = vsnprintf(text, sizeof(text) - 1, format, ap);
	va_end(ap);
	if (n > (int)sizeof(text) - 2)
		n = (int)sizeof(text) - 2;
	text[n] = '\n';
	put(text, (size_t)n + 1);
	abort();
}

#define SAME(what, lib, want)	same(what, NOBODY, (intmax_t)(lib), (intmax_t)(want))
#define SAME_OF(what, x, lib, want) same(what, x, (intmax_t)(lib), (intmax_t)(want))

static void
same(const char *what, int x, intmax_t lib, intmax_t want)
{
	if (lib == want)
		return;
	if (x == NOBODY)
		fail("%s is %jd, must be %jd", what, lib, want);
	fail("%s of c%d is %jd, must be %jd", what, x, lib, want);
}

/*
 * Callbacks.
 */
static const char *event_names[] = {
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

static int
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

static void
enqueue(struct reap_context *context)
{
	struct reap_context **link = &m.head;

	while (*link != NULL)
		link = reap_context_link(*link);
	*reap_context_link(context) = NULL;
	*link = context;
}

static void
unqueue(const struct reap_context *context)
{
	struct reap_context **link;

	for (link = &m.head; *link != NULL; link = reap_context_link(*link))
		if (*link == context) {
			*link = *reap_context_link(*link);
			return;
		}
}

static struct reap_context *
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

static void
host_ready(struct reap_context *context)
{
	happens(EV_READY, id_of(context), 0);
	enqueue(context);
}

static void
host_wake(struct reap_worker *worker)
{
	happens(EV_WAKE, thread_of(worker), 0);
}

static void	one_operation(int me, bool idle);

static void
host_idle(struct reap_worker *worker)
{
	one_operation(id_of(reap_worker_base(worker)), true);
}

static void
host_on_switch(struct reap_worker *worker, struct reap_context *from, struct reap_context *to)
{
	(void)worker;
	happens(EV_ON_SWITCH, id_of(from), id_of(to));
}

static void
host_after_switch(struct reap_worker *worker, struct reap_context *prev, bool dead)
{
	(void)worker;
	happens(EV_AFTER_SWITCH, id_of(prev), dead);
}

static void
host_child_exited(struct reap_context *parent, struct reap_context *child)
{
	happens(EV_CHILD_EXITED, id_of(parent), id_of(child));
}

static bool
host_locks_held(struct reap_context *dying)
{
	(void)dying;
	return false;
}

static void
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
		happens(EV_WINDOW, x, model.turn);
		baton_give(model.turn);
	}
}

static int	create_off_cpu(void);

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

static void
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

static void
unjoined(struct reap_context *context, void *arg)
{
	(void)arg;
	happens(EV_UNJOINED, id_of(context), 0);
}

static bool
publish(struct reap_context *parked, void *arg)
{
	bool stays = (uintptr_t)arg != 0;

	happens(EV_PUBLISH, id_of(parked), stays);
	return stays;
}

static void
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

static const struct reap_stack_ops stack_ops = { ops_alloc, ops_free, NULL };

static uint64_t
clock_now(void *arg)
{
	(void)arg;
	return model.now;
}

/*
 * Memory: the linker sends what the library allocates through here (--wrap).  A leak detector alone is not enough: stale pointers
 * on all these stacks hide what is lost.
 */
static long blocks;		/* by who has the baton */

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

/*
 * Comparing.
 */
static void
compare_stats(void)
{
	const struct counts	*c = &model.count;
	struct reap_stats	 s = { .size = sizeof(s) };
	uint64_t		 backlog = 0, stacks = 0;

	SAME("reap_domain_stats()", reap_domain_stats(m.domain, &s), 0);
	SAME("stats.created", s.created, c->created);
	SAME("stats.exited", s.exited, c->exited);
	SAME("stats.reaped", s.reaped, c->reaped);
	SAME("stats.live", s.live, c->created - c->exited);
	SAME("stats.zombies", s.zombies, c->exited - c->reaped);
	SAME("stats.switches", s.switches, c->switches);
	SAME("stats.landings_posted", s.landings_posted, c->exited);	/* no reaper thread */
	SAME("stats.handed_direct", s.handed_direct, c->direct);
	SAME("stats.handed_base", s.handed_base, c->base);
	SAME("stats.barrier_waits", s.barrier_waits, c->barrier);
	SAME("stats.orphans", s.orphans, c->orphans);
	SAME("stats.detached", s.detached, c->detached);
	SAME("stats.limit", s.limit, model.config.limit);
	SAME("stats.limit_hits", s.limit_hits, c->limit_hits);
	SAME("stats.enomem_memory", s.enomem_memory, 0);
	SAME("stats.enomem_maps", s.enomem_maps, 0);
	for (int payer = 0; payer < PAYERS; payer++) {
		SAME_OF("the ledger's stacks", payer, s.ledger[payer].stacks, c->stacks[payer]);
		SAME_OF("the ledger's contexts", payer, s.ledger[payer].contexts, c->contexts[payer]);
		SAME_OF("the ledger's time", payer, s.ledger[payer].ns, 0);	/* the clock stands still meanwhile */
	}
	for (int k = 0; k < ADOPTERS; k++)
		if (model.heir[k].on) {
			SAME_OF("reap_adopter_backlog()", k, reap_adopter_backlog(m.adopter[k]), model_backlog(k));
			backlog += model_backlog(k);
			stacks += model.heir[k].stacks;
		}
	SAME("stats.backlog", s.backlog, backlog);
	for (int x = 0; x < model.nlives; x++)
		stacks += model.life[x].has_stack && model.life[x].stack < STACK_BORROWED;
	/* What is neither in use nor kept is lost; what is kept and in use is given out twice. */
	SAME("stacks in use", s.stacks_mapped - s.stacks_cached, model.config.ops ? 0 : stacks);
	if (s.stacks_resident > s.stacks_cached)
		fail("more stacks are resident than are free");
	SAME("stacks out of the embedder's allocator", m.foreign, model.foreign);
}

static void
compare_life(int x)
{
	const struct life	*l = &model.life[x];
	enum where		 where = model_where(x);
	enum reap_state		 state = REAP_STATE_RUNNING;
	struct reap_result	 result;
	const void		*lo, *sp, *hi;

	if (l->named && m.handle[x].generation != 0) {
		SAME_OF("reap_peek()", x, reap_peek(m.handle[x], &state, &result), where == IS_NONE ? -ESRCH : 0);
		SAME_OF("the state by name", x, state, where);
		if (where >= IS_EXITING) {
			SAME_OF("the status by name", x, result.status, l->status);
			SAME_OF("the handle by name", x, result.handle.generation, m.handle[x].generation);
			SAME_OF("the user word by name", x, (intptr_t)result.user, x + 1);
		}
	}
	if (l->fate == FATE_FREE || l->fate == FATE_REAPED)
		return;
	SAME_OF("reap_context_state()", x, reap_context_state(m.context[x]), where);
	SAME_OF("reap_context_user()", x, (intptr_t)reap_context_user(m.context[x]), x + 1);
	SAME_OF("reap_context_stack()", x, reap_context_stack(m.context[x], &lo, &sp, &hi), l->has_stack ? 0 : -ENOENT);
	if (reap_context_domain(m.context[x]) != m.domain)
		fail("c%d is of another domain", x);
	if (l->base == NOBODY)
		SAME_OF("reap_context_policy()", x, reap_context_policy(m.context[x]), l->policy);
	if (l->fate == FATE_LIVE && reap_context_parent(m.context[x]) != (l->parent != NOBODY ? m.context[l->parent] : NULL))
		fail("the parent of c%d must be c%d", x, l->parent);
	if (!l->exited) {
		int home = model_home(x);

		if (reap_context_home(m.context[x]) != (home != NOBODY ? m.worker[home] : NULL))
			fail("the home of c%d must be that of T%d", x, home);
	}
}

static void
compare(void)
{
	const struct reap_context *context = m.head;
	size_t	 visible = 0;
	int	 actor = model_actor();

	for (int i = 0; i < model.nqueue; i++) {
		if (context == NULL)
			fail("c%d must be in the host's queue", model.queue[i]);
		SAME("who is in the queue", id_of(context), model.queue[i]);
		context = *reap_context_link((struct reap_context *)(uintptr_t)context);
	}
	if (context != NULL)
		fail("c%d must not be in the host's queue", id_of(context));
	compare_stats();
	for (int x = 0; x < model.nlives; x++) {
		compare_life(x);
		visible += model.life[x].fate != FATE_FREE && model.life[x].fate != FATE_REAPED;
	}
	SAME("reap_domain_for_each()", reap_domain_for_each(m.domain, NULL, NULL), visible);
	SAME("reap_children()", reap_children(), actor != NOBODY ? model_children(actor) : 0);
	for (int g = 0; g < GROUPS; g++)
		if (model.club[g].on)
			SAME_OF("reap_group_members()", g, reap_group_members(m.group[g]), model.club[g].members);
	if (reap_domain_user(m.domain) != &m || (actor != NOBODY && reap_worker_domain(reap_worker_self()) != m.domain))
		fail("the domain or its user word is not ours");
	if (actor != NOBODY && reap_worker_current(reap_worker_self()) != m.context[actor])
		fail("the current context must be c%d", actor);
}

/* The next operation, for `me': a context's number; NOBODY: the thread itself, or its base context. */
static void
fetch(int me, bool idle, struct plan *plan)
{
	int actor = model_actor();

	if (model.broken != NULL)
		fail("%s", model.broken);
	if (m.seen != model.nevents)
		fail("%s(%d) must have happened", event_names[model.event[m.seen].kind], model.event[m.seen].a);
	SAME("the thread that runs", baton, model.turn);
	if (me == NOBODY && actor != NOBODY && model.life[actor].base != NOBODY)
		me = actor;
	if (me != actor || idle != model_idle())
		fail("c%d%s runs on T%d, c%d%s must", me, idle ? " (idle)" : "", baton, actor, model_idle() ? " (idle)" : "");
	compare();
	model_step(m.program, plan);
	m.seen = 0;
	if (model.unordered)
		memset(m.matched, 0, sizeof(m.matched));
	if (m.ntrace < TRACE_MAX) {
		m.trace[m.ntrace].plan = *plan;
		m.trace[m.ntrace++].ret = model_want(plan)->ret;
	}
}

static void
returned(const struct plan *plan, int ret)
{
	same(program_name(plan->op), NOBODY, ret, model_want(plan)->ret);
}

static void
with_result(const struct plan *plan, int ret, const struct reap_result *result)
{
	const struct want	*want = model_want(plan);
	int			 x = want->who;

	returned(plan, ret);
	if (x == NOBODY)
		return;
	if (result->handle.where != (uintptr_t)m.context[x])
		fail("the result is not of c%d (its word is %ld)", x, (long)(intptr_t)result->user);
	if (m.handle[x].generation == 0)
		m.handle[x] = result->handle;
	SAME_OF("the handle in the result", x, result->handle.generation, m.handle[x].generation);
	SAME_OF("the user word in the result", x, (intptr_t)result->user, x + 1);
	SAME_OF("the status in the result", x, result->status, want->status);
	SAME_OF("usage.run_ns", x, result->usage.run_ns, want->usage.run_ns);
	SAME_OF("usage.runs", x, result->usage.runs, want->usage.runs);
	SAME_OF("usage.children_ns", x, result->usage.children_ns, want->usage.children_ns);
	SAME_OF("usage.children", x, result->usage.children, want->usage.children);
}

/*
 * Doing.
 */
static intptr_t	body(void *arg);

static void
domain_open(void)
{
	const struct config *config = &model.config;
	struct reap_host host = {
		.next = host_next, .ready = host_ready,
		.idle = config->idle ? host_idle : NULL, .wake = config->idle ? host_wake : NULL,
		.shares = config->shares, .direct = config->direct,
		.on_switch = config->on_switch ? host_on_switch : NULL,
		.after_switch = config->after_switch ? host_after_switch : NULL,
		.child_exited = config->child_exited ? host_child_exited : NULL,
		.locks_held = config->locks ? host_locks_held : NULL
	};
	struct reap_domain_options options = {
		.size = sizeof(options), .host = config->hosted ? &host : NULL, .user = &m,
		.policy = (enum reap_policy)config->policy, .notify = config->early ? REAP_NOTIFY_EARLY : REAP_NOTIFY_DEFAULT,
		.limit = config->limit, .reserve = config->reserve, .usage = config->usage, .ledger_time = config->ledger_time,
		.clock = clock_now, .before_final_switch = config->hooked ? before_final_switch : NULL,
		.stack = { .size = STACK_SIZE, .cache = config->cache, .depot = config->depot, .quarantine = config->quarantine,
		    .flags = config->scrub ? REAP_STACK_SCRUB : 0, .decay_ns = 1000, .ops = config->ops ? &stack_ops : NULL }
	};

	SAME("reap_domain_create()", reap_domain_create(&options, &m.domain), 0);
	m.adopter[0] = reap_adopter_default(m.domain);
	memset(m.handle, 0, sizeof(m.handle));
}

static int
create(const struct plan *plan)
{
	int			 x = plan->k, ret;
	struct reap_context	*context;
	struct reap_context_options options = {
		.size = sizeof(options), .entry = body, .arg = (void *)(intptr_t)x, .user = (void *)(intptr_t)(x + 1),
		.policy = (enum reap_policy)plan->create.policy, .notify = (enum reap_notify)plan->create.notify,
		.flags = (plan->create.detached ? REAP_CONTEXT_DETACHED : 0) |
		    (plan->create.privileged ? REAP_CONTEXT_PRIVILEGED : 0) | (plan->create.pinned ? REAP_CONTEXT_PINNED : 0),
		.off_cpu = plan->create.off_cpu ? off_cpu : NULL,
		.group = plan->create.group != NOBODY ? m.group[plan->create.group] : NULL,
		.adopter = plan->create.adopter != NOBODY ? m.adopter[plan->create.adopter] : NULL
	};

	if (plan->create.spawn)
		ret = reap_spawn(reap_worker_self(), body, (void *)(intptr_t)x, &context);
	else {
		switch (plan->create.stack) {
		case STACK_DEFAULT:
			break;
		case STACK_SIZED:
			options.stack_size = 2 * STACK_SIZE;
			break;
		case STACK_BORROWED:
			options.stack_size = STACK_SIZE;
			for (int i = 0; options.stack == NULL; i++)
				options.stack = m.buffer[i];
			break;
		case STACK_OPS:
			options.stack_ops = &stack_ops;
			break;
		}
		if (plan->create.small)
			options.stack_size = 1;
		ret = reap_context_create(m.domain, &options, &context);
	}
	returned(plan, ret);
	if (ret != 0)
		return ret;
	reap_context_set_user(context, (void *)(intptr_t)(x + 1));
	m.context[x] = context;
	m.handle[x] = (struct reap_handle){ 0, 0 };
	if (plan->create.stack == STACK_BORROWED)
		m.buffer[model.life[x].buffer] = NULL;
	for (int i = 0; i < plan->create.listeners; i++) {
		m.listener[x][i].exiting = exiting;
		reap_exit_listen(context, &m.listener[x][i]);
	}
	if (plan->create.ready)
		enqueue(context);
	return ret;
}

/* The numbers are given in the order in which the lives begin: in a step there is one such, or a few of these. */
static int
create_off_cpu(void)
{
	struct reap_context	*context;
	struct reap_context_options options = { .size = sizeof(options), .entry = body };
	int			 x = 0, ret;

	while (m.context[x] != NULL)
		x++;
	options.arg = (void *)(intptr_t)x;
	options.user = (void *)(intptr_t)(x + 1);
	ret = reap_context_create(m.domain, &options, &context);
	if (ret == 0)
		m.context[x] = context;
	return ret;
}

static void
lookup(const struct plan *plan)
{
	struct reap_context	*context = m.context[plan->x];
	const void		*lo, *sp, *hi;
	struct reap_stack_info	 info;
	int			 ret = reap_context_stack(context, &lo, &sp, &hi);

	if (ret == 0) {
		bool stopped = plan->k != 0;	/* then; the model is ahead of us */

		SAME_OF("whether there is a stack pointer", plan->x, sp != NULL, stopped);
		if (stopped && (sp < lo || sp >= hi))
			fail("the stack pointer of c%d is not on its stack", plan->x);
		if (reap_context_state(context) == REAP_STATE_NEW && (const char *)hi - (const char *)lo == 2 * sizeof(void *)) {
			returned(plan, 0);	/* it has none yet: that is where its argument is */
			return;
		}
		ret = reap_stack_lookup(m.domain, lo, &info);
		if (ret == 0 && (info.context != context || info.guard || info.lo != lo))
			fail("the stack of c%d is not known by its address", plan->x);
		if (ret == 0 && reap_stack_lookup(m.domain, (const char *)lo - 1, &info) == 0 && !info.guard)
			fail("below the stack of c%d there is no guard", plan->x);
	}
	returned(plan, ret);
}

static void
trim(const struct plan *plan)
{
	struct reap_stats before = { .size = sizeof(before) }, after = { .size = sizeof(after) };
	size_t		  bytes;

	(void)reap_domain_stats(m.domain, &before);
	bytes = reap_trim(m.domain);
	(void)reap_domain_stats(m.domain, &after);
	SAME("what a trim gives back", bytes, after.stack_bytes_returned - before.stack_bytes_returned);
	returned(plan, 0);
}

static void
trim_aged(const struct plan *plan)
{
	struct reap_stats stats = { .size = sizeof(stats) };
	uint64_t	  due = reap_trim_aged(m.domain);

	(void)reap_domain_stats(m.domain, &stats);
	if (due <= model.now)
		fail("a stack is due in the past");
	if (due != UINT64_MAX && stats.stacks_resident == 0)
		fail("a stack is due, none is there");
	returned(plan, 0);
}

static int
end_domain(void)
{
	int ret = reap_domain_destroy(m.domain, unjoined, NULL);

	if (ret == 0)
		domain_open();
	return ret;
}

static void
act(const struct plan *plan)
{
	struct reap_context	*x = plan->x != NOBODY ? m.context[plan->x] : NULL;
	struct reap_result	 result = { .status = 0 }, *wanted = plan->quiet ? NULL : &result;
	struct reap_worker	*self = reap_worker_self();
	struct reap_handle	 name = { 0, 0 };
	intptr_t		 status = 0;
	int			 ret;

	if (plan->name)
		m.handle[plan->x] = reap_context_handle(x);
	if (plan->x != NOBODY)
		name = m.handle[plan->x];
	if (plan->dequeue)
		unqueue(x);
	switch (plan->op) {
	case OP_CREATE:
		(void)create(plan);
		break;
	case OP_READY:
		enqueue(x);
		break;
	case OP_SWITCH:
		(void)reap_switch(self, x);
		break;
	case OP_YIELD:
		(void)reap_yield(self);
		break;
	case OP_PARK:
		(void)reap_park(self, publish, (void *)(uintptr_t)plan->k);
		break;
	case OP_EXIT:
		reap_exit(plan->v);
	case OP_WAIT:
		with_result(plan, reap_wait(x, plan->flags, wanted), &result);
		break;
	case OP_WAIT_ANY:
		with_result(plan, reap_wait_any(plan->flags, wanted), &result);
		break;
	case OP_JOIN:
		with_result(plan, reap_join(name, plan->flags, wanted), &result);
		break;
	case OP_DETACH:
		returned(plan, reap_detach(name));
		break;
	case OP_NO_ZOMBIES:
		returned(plan, reap_no_zombies(plan->k != 0));
		break;
	case OP_HOLD:
		returned(plan, reap_hold(name));
		break;
	case OP_RELEASE:
		returned(plan, reap_release(name));
		break;
	case OP_DESTROY:
		returned(plan, reap_context_destroy(x, plan->v));
		break;
	case OP_DRAIN:
		returned(plan, reap_adopter_drain(m.adopter[plan->k], (unsigned)plan->v));
		break;
	case OP_ADOPTER:
		returned(plan, reap_adopter_create(m.domain, m.adopter[plan->l], &m.adopter[plan->k]));
		break;
	case OP_ADOPTER_END:
		returned(plan, reap_adopter_destroy(m.adopter[plan->k]));
		break;
	case OP_ASSUME:
		returned(plan, reap_adopter_assume(m.adopter[plan->k]));
		break;
	case OP_ADOPTER_WAIT:
		returned(plan, reap_adopter_wait(m.adopter[plan->k]));
		break;
	case OP_INTERRUPT:
		reap_adopter_interrupt(m.adopter[plan->k]);
		break;
	case OP_GROUP:
		returned(plan, reap_group_create(m.domain, &m.group[plan->k]));
		break;
	case OP_GROUP_WAIT:
		ret = reap_group_wait(m.group[plan->k], plan->flags, &status);
		returned(plan, ret);
		if (ret == 0)
			SAME_OF("the group's status", plan->k, status, model_want(plan)->status);
		break;
	case OP_GROUP_END:
		returned(plan, reap_group_destroy(m.group[plan->k]));
		break;
	case OP_TRIM:
		trim(plan);
		break;
	case OP_TRIM_AGED:
		trim_aged(plan);
		break;
	case OP_LISTEN:
		m.listener[plan->x][plan->k].exiting = exiting;
		reap_exit_listen(x, &m.listener[plan->x][plan->k]);
		break;
	case OP_UNLISTEN:
		returned(plan, reap_exit_unlisten(x, &m.listener[plan->x][plan->k]));
		break;
	case OP_SHARE:
		returned(plan, reap_context_share(x));
		break;
	case OP_LOOKUP:
		lookup(plan);
		break;
	case OP_START:
		ret = reap_worker_start(m.domain, (void *)(intptr_t)(plan->thread + 1), &self);
		returned(plan, ret);
		if (ret == 0) {
			m.worker[plan->thread] = self;
			m.context[plan->k] = reap_worker_base(self);
			m.handle[plan->k] = (struct reap_handle){ 0, 0 };
			reap_context_set_user(reap_worker_base(self), (void *)(intptr_t)(plan->k + 1));
		}
		break;
	case OP_STOP:
		returned(plan, reap_worker_stop(self));
		break;
	case OP_BATON:
		baton_give(plan->k);
		break;
	case OP_DOMAIN:
		returned(plan, end_domain());
		break;
	case OP_MISUSE:
		misuse(m.domain, (unsigned)plan->k, fail);
		break;
	case OP_NAME:
	case OP_PEEK:		/* that is done for all, after every operation */
	case OP_NONE:
	case OP_END:
		break;
	}
}

static void
one_operation(int me, bool idle)
{
	struct plan plan;

	fetch(me, idle, &plan);
	/* A listener is asked to end only between its operations. */
	act(&plan);
}

static intptr_t
body(void *arg)
{
	int		 me = (int)(intptr_t)arg;
	struct plan	 plan;

	for (;;) {
		fetch(me, false, &plan);
		if (plan.op == OP_EXIT && plan.returns)
			return plan.v;
		act(&plan);
	}
}

static void *
other_thread(void *arg)
{
	int		 me = *(const int *)arg;
	struct plan	 plan;

	baton_take(me);
	for (;;) {
		fetch(NOBODY, false, &plan);
		act(&plan);
	}
	return NULL;
}

void
machine_run(const struct program *program)
{
	struct plan plan;

	model_init(program->head);
	memset(&m, 0, sizeof(m));
	blocks = 0;
	m.program = program;
	for (int i = 0; i < BUFFERS; i++)
		m.buffer[i] = buffers[i];
	domain_open();
	do {
		fetch(NOBODY, false, &plan);
		act(&plan);
	} while (plan.op != OP_END);
	SAME("the last reap_domain_destroy()", reap_domain_destroy(m.domain, unjoined, NULL), 0);
	SAME("stacks that the embedder has got back", m.foreign, 0);
	for (int i = 0; i < BUFFERS; i++)
		if (m.buffer[i] == NULL)
			fail("the embedder's stack %d has not been given back", i);
	SAME("blocks of memory that are not given back", blocks, 0);
}

void
machine_print(const struct program *program)
{
	struct plan	 plan;
	char		 line[256];
	int		 n;
	const struct config *c = &model.config;

	model_init(program->head);
	printf("domain: policy %d%s%s%s%s%s, %d threads%s%s%s, limit %d reserve %d, cache %u depot %u quarantine %u%s%s\n",
	    c->policy, c->early ? " early" : "", c->hosted ? "" : " no host", c->shares ? " shares" : "", c->direct ? " direct" : "",
	    c->hooked ? " hooked" : "", c->nthreads, c->idle ? " idle()" : "", c->usage ? " usage" : "",
	    c->leave_zombies ? " leaves zombies" : "", (int)c->limit, (int)c->reserve, c->cache, c->depot, c->quarantine,
	    c->scrub ? " scrub" : "", c->ops ? " ops" : "");
	for (int i = 0;; i++) {
		model_step(program, &plan);
		n = put_line(line, sizeof(line), i, &plan, model_want(&plan)->ret);
		fwrite(line, 1, (size_t)n, stdout);
		if (model.broken != NULL || plan.op == OP_END)
			break;
	}
	if (model.broken != NULL)
		printf("broken: %s\n", model.broken);
}
