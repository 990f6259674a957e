/* SPDX-License-Identifier: ISC */
/*
 * machine.c: every context has the same body: take the next operation, perform it, compare.  So whoever runs is whose turn it
 * is, and the switches, waits and wakeups of the library are the control flow of the test.
 *
 * Nothing here keeps a thread-local address: a context may go on in another thread.  Who has the baton is who runs.
 */
#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "inside.h"
#include "misuse.h"

struct machine m;

char buffers[BUFFERS][STACK_SIZE] __attribute__((aligned(64)));

/*
 * The baton.
 */
static pthread_mutex_t	baton_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t	baton_given[THREADS] = { PTHREAD_COND_INITIALIZER, PTHREAD_COND_INITIALIZER, PTHREAD_COND_INITIALIZER };
int			baton;
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

/* Returns when the calling thread has it back. */
void
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
		    (plan->create.privileged ? REAP_CONTEXT_PRIVILEGED : 0) | (plan->create.pinned ? REAP_CONTEXT_PINNED : 0) |
		    (plan->create.owned ? REAP_CONTEXT_OWNED : 0),
		.off_cpu = plan->create.off_cpu ? off_cpu : NULL,
		.group = plan->create.group != NOBODY ? m.group[plan->create.group] : NULL,
		.adopter = plan->create.adopter != NOBODY ? m.adopter[plan->create.adopter] : NULL
	};

	if (plan->create.spawn)
		ret = (plan->create.owned ? reap_spawn_owned : reap_spawn)(reap_worker_self(), body, (void *)(intptr_t)x, &context);
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
int
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

/* What has come with the control. */
static void
passed(const struct plan *plan, int ret, intptr_t word)
{
	returned(plan, ret);
	if (!plan->quiet && ret != -EPERM && ret != -EINVAL && ret != -EBUSY)
		SAME("the word that is passed", word, model_want(plan)->word);
}

static void
resume(const struct plan *plan, struct reap_context *x)
{
	struct reap_passed p = { .word = plan->v };
	int		 ret = reap_resume(x, plan->flags != 0 ? REAP_CANCEL : 0, plan->quiet ? NULL : &p);

	passed(plan, ret, p.word);
	if (ret >= 0 && !plan->quiet && p.context != m.context[model_want(plan)->came])
		fail("somebody else than c%d comes back", model_want(plan)->came);
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
	case OP_OWN:
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
	case OP_RESUME:
		resume(plan, x);
		break;
	case OP_SUSPEND:
		status = plan->v;
		ret = reap_suspend(plan->quiet ? NULL : &status);
		passed(plan, ret, status);
		break;
	case OP_TRANSFER:
		status = plan->v;
		ret = reap_transfer(x, plan->quiet ? NULL : &status);
		passed(plan, ret, status);
		break;
	case OP_DISCARD:
		returned(plan, reap_context_discard(x, plan->v));
		break;
	case OP_DISCARDED:
		returned(plan, (int)reap_worker_discarded(self));
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

void
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

	m.frame[me] = __builtin_frame_address(0);
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
