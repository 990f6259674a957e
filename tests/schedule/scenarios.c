/* SPDX-License-Identifier: ISC */
/*
 * scenarios.c: short lives in which threads meet, and what must be true of every one of them.
 *
 * Each context has a record here, a life, which says what has happened to it: that it ran once, was left once, was reaped once and
 * collected by one at most, with the right status.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <reap.h>

#include "inside.h"
#include "schedule.h"

#define CHECK	SCHEDULE_CHECK

/* -- what a scenario is run with */

static const struct {
	enum reap_policy policy;
	enum reap_notify notify;
	bool		 mapped;	/* each stack is a mapping of its own, else they come from the pool and its caches */
} variants[] = {
	{ REAP_POLICY_ADAPTIVE, REAP_NOTIFY_LATE, false },
	{ REAP_POLICY_PARENT, REAP_NOTIFY_EARLY, true },
	{ REAP_POLICY_SUCCESSOR, REAP_NOTIFY_LATE, false },
	{ REAP_POLICY_PARENT, REAP_NOTIFY_LATE, true },
	{ REAP_POLICY_ADOPTER, REAP_NOTIFY_EARLY, true },
	{ REAP_POLICY_ADAPTIVE, REAP_NOTIFY_EARLY, true },
	{ REAP_POLICY_PARENT, REAP_NOTIFY_LATE, false },
};

#define V_POOL		0x01u
#define V_EARLY		0x02u
#define V_SUCCESSOR	0x04u
#define V_LATE		0x08u
#define V_ADOPTER	0x10u
#define V_ADAPTIVE_EARLY 0x20u
#define V_PARENT	0x40u
#define V_TWO		(V_POOL | V_EARLY)
#define V_FOUR		(V_TWO | V_LATE | V_ADAPTIVE_EARLY)
#define V_ALL		0x3fu
#define V_PLAIN		(V_POOL | V_SUCCESSOR | V_PARENT)

static struct with {
	int		 making;	/* so many threads make contexts, and say when they have made the last */
	int		 only;		/* all contexts run on this thread, counted from 1 */
	int		 thread;	/* a reaper thread with this batch, counted from 1 */
	uint64_t	 limit, reserve;
	bool		 shares, offers;	/* the host promises to share; and does so whenever it can */
	bool		 direct, lifo, told, usage;
	bool		 spawns;	/* by reap_spawn() */
	bool		 plain;		/* and with nothing that would make them uncommon */
	unsigned	 cache;		/* stacks that a worker keeps; 0: 2 */
	const char	*names;		/* the host names this one when it ends, and posts that */
} with;

/* -- lives */

#define LIVES	8

struct life {
	const char	*name;
	intptr_t	 status;
	struct reap_context *context;
	struct reap_handle handle;
	reap_entry	*entry;
	int		 ran, left, off_cpu, collected;
	bool		 spawned;	/* without an off_cpu() */
	bool		 destroyed;
	bool		 refused;	/* it has never been one */
};

static struct life	 lives[LIVES];
static unsigned		 nlives;
static unsigned		 alive;		/* made, and not yet at its final switch */
static unsigned		 making;	/* threads that will make more */

static struct reap_domain *domain;

/* A word of the harness's own: that it changes lets others go on. */
static void
add(const char *what, unsigned *word, int n)
{
	const struct schedule_site site = { "add", what, __FILE__, __func__, __LINE__ };
	unsigned was;

	schedule_quiet(1);
	schedule_before(&site, word);
	was = *word;
	*word = was + (unsigned)n;
	schedule_after(&site, word, was, *word);
	schedule_quiet(-1);
}

static void
made_all(void)
{
	add("making", &making, -1);
}

static bool
over(void)
{
	return alive == 0 && making == 0;
}

/* -- the host: a queue for all, and one for each worker for those who must run there */

struct queue {
	struct reap_context *head, **tail;
};

static struct queue	 everybodys, own[SCHEDULE_THREADS];
static bool		 woken[SCHEDULE_THREADS];

static bool
queued(const struct queue *q, const struct reap_context *context)
{
	for (struct reap_context *c = q->head; c != NULL; c = *reap_context_link(c))
		if (c == context)
			return true;
	return false;
}

static void
queue_put(struct queue *q, struct reap_context *context)
{
	static const struct schedule_site site = { "store", "ready", __FILE__, "queue_put", __LINE__ };
	const void *lo, *sp, *hi;

	schedule_before(&site, q);
	CHECK(reap_context_stack(context, &lo, &sp, &hi) == 0);
	if (sp == NULL)
		schedule_fail("a context was made runnable that is on a CPU, or dead");
	if (queued(&everybodys, context))
		schedule_fail("a context was made runnable that is queued");
	for (unsigned i = 0; i < SCHEDULE_THREADS; i++)
		if (queued(&own[i], context))
			schedule_fail("a context was made runnable that is queued");
	if (with.lifo) {
		*reap_context_link(context) = q->head;
		if (q->head == NULL)
			q->tail = reap_context_link(context);
		q->head = context;
	} else {
		*reap_context_link(context) = NULL;
		*q->tail = context;
		q->tail = reap_context_link(context);
	}
	schedule_after(&site, q, 0, (uintptr_t)context);
}

static struct reap_context *
queue_get(struct queue *q)
{
	static const struct schedule_site empty = { "load", "next", __FILE__, "queue_get", __LINE__ };
	static const struct schedule_site taken = { "store", "next", __FILE__, "queue_get", __LINE__ };
	struct reap_context *context;

	schedule_before(&empty, q);
	if ((context = q->head) == NULL) {
		schedule_after(&empty, q, 0, 0);
		return NULL;
	}
	if ((q->head = *reap_context_link(context)) == NULL)
		q->tail = &q->head;
	schedule_after(&taken, q, (uintptr_t)context, (uintptr_t)q->head);
	return context;
}

static void	name_dying(struct reap_context *);

static struct reap_context *
next(struct reap_worker *worker)
{
	struct reap_context *context = queue_get(&own[(intptr_t)reap_worker_user(worker)]);

	if (with.names != NULL)
		name_dying(reap_worker_current(worker));
	return context != NULL ? context : queue_get(&everybodys);
}

static void
ready(struct reap_context *context)
{
	struct reap_worker *home = reap_context_home(context);

	if (with.offers && home != NULL && home == reap_worker_self() && reap_context_share(context) == 0)
		home = NULL;
	queue_put(home != NULL ? &own[(intptr_t)reap_worker_user(home)] : with.only != 0 ? &own[with.only - 1] : &everybodys,
	    context);
}

static bool
has_something(void *arg)
{
	return everybodys.head != NULL || own[(intptr_t)arg].head != NULL || woken[(intptr_t)arg];
}

static bool
has_something_or_over(void *arg)
{
	return has_something(arg) || over();
}

static void
idle(struct reap_worker *worker)
{
	schedule_block(has_something, reap_worker_user(worker), "idle");
	woken[(intptr_t)reap_worker_user(worker)] = false;
}

static void
wake(struct reap_worker *worker)
{
	static const struct schedule_site site = { "store", "wake", __FILE__, "wake", __LINE__ };
	bool *w = &woken[(intptr_t)reap_worker_user(worker)], was;

	schedule_before(&site, w);
	was = *w;
	*w = true;
	schedule_after(&site, w, was, true);
}

/* The debug hook: the last of a dying one's own.  Where there is none, as near to that as can be. */
static void
leaving(struct reap_context *dying)
{
	struct life *life = reap_context_user(dying);

	CHECK(life->left++ == 0);
	add("alive", &alive, -1);
}

static intptr_t
live(void *arg)
{
	struct life *life = arg;
	intptr_t status = life->entry(arg);

	if (with.plain)
		leaving(life->context);
	return status;
}

static void
child_exited(struct reap_context *parent, struct reap_context *child)
{
	struct life *life = reap_context_user(child);

	CHECK(reap_context_parent(child) == parent);
	CHECK(life->off_cpu == 0);
}

static void
off_cpu(struct reap_context *context, intptr_t status)
{
	struct life *life = reap_context_user(context);

	CHECK(life >= lives && life < lives + LIVES && life->context == context);
	schedule_say("%s is reaped", life->name);
	if (life->off_cpu++ != 0)
		schedule_fail("%s is reaped twice", life->name);
	CHECK(life->left == 1 || life->destroyed);
	CHECK(status == life->status);
}

static int
stack_alloc(void *cookie, size_t size, void **base)
{
	(void)cookie;
	*base = schedule_map(size, 1, "stack");
	return 0;
}

static void
stack_free(void *cookie, void *base, size_t size)
{
	(void)cookie;
	schedule_unmap(base, size);
}

static const struct reap_stack_ops stack_ops = { stack_alloc, stack_free, NULL };

static void
begin(struct with w)
{
	const struct reap_host host = { .next = next, .ready = ready, .idle = idle, .wake = wake, .shares = w.shares,
	    .direct = w.direct, .child_exited = w.told ? child_exited : NULL };
	struct reap_domain_options options = {
		.size = sizeof(options),
		.host = &host,
		.policy = w.thread != 0 ? REAP_POLICY_THREAD : variants[schedule_variant].policy,
		.notify = variants[schedule_variant].notify,
		.limit = w.limit,
		.reserve = w.reserve,
		.usage = w.usage,
		.before_final_switch = w.plain ? NULL : leaving,
		.stack = {
			.size = (size_t)32 << 10,
			.cache = w.cache != 0 ? w.cache : 2,
			.flags = REAP_STACK_UNGUARDED,
			.ops = variants[schedule_variant].mapped ? &stack_ops : NULL,
		},
	};

	with = w;
	memset(lives, 0, sizeof(lives));
	nlives = alive = 0;
	making = (unsigned)w.making;
	everybodys = (struct queue){ NULL, &everybodys.head };
	for (int i = 0; i < SCHEDULE_THREADS; i++) {
		own[i] = (struct queue){ NULL, &own[i].head };
		woken[i] = false;
	}
	CHECK(reap_domain_create(&options, &domain) == 0);
	schedule_name(domain, 4096, "domain");
}

static void
unexpected(struct reap_context *context, void *arg)
{
	struct life *life = reap_context_user(context);

	(void)arg;
	schedule_fail("%s was never collected", life != NULL ? life->name : "a context");
}

static void
finish(void)
{
	struct reap_stats stats = { .size = sizeof(stats) };
	uint64_t contexts = 0, stacks = 0, n = 0;

	while (reap_adopter_drain(reap_adopter_default(domain), 100) > 0)
		continue;
	CHECK(over());
	CHECK(everybodys.head == NULL);
	for (unsigned i = 0; i < nlives; i++) {
		const struct life *life = &lives[i];

		if (life->refused)
			continue;
		n++;
		if (!life->destroyed && (life->ran != 1 || life->left != 1))
			schedule_fail("%s ran %d times, and left %d times", life->name, life->ran, life->left);
		if (!life->spawned && life->off_cpu != 1)
			schedule_fail("%s was reaped %d times", life->name, life->off_cpu);
		if (life->collected > 1)
			schedule_fail("%s was collected %d times", life->name, life->collected);
	}
	CHECK(reap_domain_stats(domain, &stats) == 0);
	CHECK(stats.created == n && stats.exited == n && stats.reaped == n);
	CHECK(stats.live == 0 && stats.zombies == 0 && stats.backlog == 0);
	CHECK(stats.stacks_cached == stats.stacks_mapped);
	for (int i = 0; i < REAP_PAYERS; i++) {
		contexts += stats.ledger[i].contexts;
		stacks += stats.ledger[i].stacks;
	}
	CHECK(contexts == n && stacks == n);
	CHECK(with.thread != 0 || stats.landings_posted == n);
	CHECK(schedule_credits(domain) == with.limit);
	CHECK(reap_domain_for_each(domain, NULL, NULL) == 0);
	CHECK(reap_domain_destroy(domain, unexpected, NULL) == 0);
}

/* -- contexts */

static struct life *
self(void)
{
	return reap_context_user(reap_worker_current(reap_worker_self()));
}

static intptr_t
body(void *arg)
{
	struct life *life = arg;

	CHECK(self() == life);
	life->ran++;
	return life->status;
}

static void
named(struct life *life)
{
	const void *lo, *sp, *hi;
	char text[40];

	schedule_name(life->context, 128, life->name);
	if (reap_context_stack(life->context, &lo, &sp, &hi) == 0) {
		(void)snprintf(text, sizeof(text), "on %s", life->name);
		schedule_name(lo, (size_t)((const char *)hi - (const char *)lo), text);
	}
}

static struct life *
make_with(const char *name, reap_entry *entry, struct reap_context_options options)
{
	struct life *life = &lives[nlives];
	int error;

	CHECK(nlives < LIVES);
	*life = (struct life){ .name = name, .status = 100 + (intptr_t)nlives, .entry = entry };
	nlives++;
	if (with.spawns && (options.flags & ~REAP_CONTEXT_OWNED) == 0 && reap_worker_self() != NULL) {
		life->spawned = true;
		error = (options.flags != 0 ? reap_spawn_owned : reap_spawn)(reap_worker_self(), live, life, &life->context);
		if (error == 0)
			reap_context_set_user(life->context, life);
	} else {
		options.size = sizeof(options);
		options.entry = live;
		options.arg = options.user = life;
		options.off_cpu = off_cpu;
		error = reap_context_create(domain, &options, &life->context);
	}
	if (error != 0) {
		CHECK(error == -EAGAIN && with.limit != 0);
		life->refused = true;
		return NULL;
	}
	add("alive", &alive, 1);
	named(life);
	return life;
}

static struct life *
make(const char *name, reap_entry *entry, unsigned flags)
{
	return make_with(name, entry, (struct reap_context_options){ .flags = flags });
}

/* Ready to run.  It may be gone when this returns. */
static struct life *
go(const char *name, reap_entry *entry, unsigned flags)
{
	struct life *life = make(name, entry, flags);

	ready(life->context);
	return life;
}

static void
collected(const struct reap_result *result)
{
	struct life *life = result->user;

	CHECK(life >= lives && life < lives + LIVES);
	schedule_say("%s is collected", life->name);
	CHECK(result->status == life->status);
	if (++life->collected != 1)
		schedule_fail("%s is collected twice", life->name);
}

static void
wait_for(struct life *life)
{
	struct reap_result result;

	CHECK(reap_wait(life->context, 0, &result) == 0);
	CHECK(result.user == life);
	collected(&result);
}

static int
wait_any(void)
{
	struct reap_result result;
	int error = reap_wait_any(0, &result);

	if (error == 0)
		collected(&result);
	return error;
}

static int
join(struct reap_handle handle)
{
	struct reap_result result;
	int error = reap_join(handle, 0, &result);

	if (error == 0)
		collected(&result);
	return error;
}

static void
start_loud(void)
{
	struct reap_worker *worker;

	CHECK(reap_worker_start(domain, (void *)(intptr_t)schedule_me(), &worker) == 0);
}

static void
stop_loud(void)
{
	CHECK(reap_worker_stop(reap_worker_self()) == 0);
}

static void
start(void)
{
	schedule_quiet(1);
	start_loud();
	schedule_quiet(-1);
}

static void
stop(void)
{
	schedule_quiet(1);
	stop_loud();
	schedule_quiet(-1);
}

/* A base context that has nothing else to do. */
static void
serve(void)
{
	while (!over()) {
		struct reap_worker *worker = reap_worker_self();
		struct reap_context *context = next(worker);

		if (context != NULL)
			(void)reap_switch(worker, context);
		else {
			schedule_block(has_something_or_over, reap_worker_user(worker), "serve");
			woken[(intptr_t)reap_worker_user(worker)] = false;
		}
	}
}

static void
serving(void)
{
	start();
	serve();
	stop();
}

static void
serving_loud(void)
{
	start_loud();
	serve();
	stop_loud();
}

/* Names, from one thread to another, as by a queue of its own. */
static struct reap_handle mail[4];
static unsigned	posted;

static bool
has_mail(void *arg)
{
	return posted > (uintptr_t)arg;
}

static void
post(struct reap_handle handle)
{
	mail[posted] = handle;
	add("post", &posted, 1);
}

static void
name_dying(struct reap_context *context)
{
	struct life *life = reap_context_user(context);

	if (life != NULL && strcmp(life->name, with.names) == 0 && reap_context_state(context) == REAP_STATE_EXITING)
		post(reap_context_handle(context));
}

static struct reap_handle
receive(unsigned i)
{
	schedule_block(has_mail, (void *)(uintptr_t)i, "receive");
	return mail[i];
}

/* -- setups */

static void
one_makes(void)
{
	posted = 0;
	begin((struct with){ .making = 1 });
}

static void
one_spawns(void)
{
	begin((struct with){ .making = 1, .spawns = true });
}

static void
one_spawns_private(void)
{
	begin((struct with){ .making = 1, .spawns = true, .shares = true, .offers = true });
}

static void
plain_and_kept(void)
{
	posted = 0;
	begin((struct with){ .making = 1, .spawns = true, .plain = true, .shares = true });
}

static void
plain_and_offered(void)
{
	posted = 0;
	begin((struct with){ .making = 1, .spawns = true, .plain = true, .shares = true, .offers = true });
}

static void
plain_and_named(void)
{
	posted = 0;
	begin((struct with){ .making = 1, .spawns = true, .plain = true, .shares = true, .cache = 8, .names = "second" });
}

static void
plain_and_direct(void)
{
	posted = 0;
	begin((struct with){ .making = 1, .spawns = true, .plain = true, .shares = true, .direct = true });
}

static void
one_makes_direct(void)
{
	begin((struct with){ .making = 1, .direct = true });
}

static void
one_makes_lifo(void)
{
	begin((struct with){ .making = 1, .lifo = true, .told = true });
}

static void
all_run_on_the_second(void)
{
	begin((struct with){ .making = 1, .only = 2 });
}

static void
private_and_kept(void)
{
	posted = 0;
	begin((struct with){ .making = 1, .shares = true });
}

static void
private_and_offered(void)
{
	posted = 0;
	begin((struct with){ .making = 1, .shares = true, .offers = true });
}

static void
reaper_one_by_one(void)
{
	begin((struct with){ .making = 1, .thread = 1 });
}

static void
reaper_in_batches(void)
{
	begin((struct with){ .making = 1, .thread = 3 });
}

/* -- one waits for one */

static void
base_waits(void)
{
	struct life *child;

	start();
	child = go("child", body, 0);
	made_all();
	wait_for(child);
	stop();
}

static intptr_t
parent_body(void *arg)
{
	intptr_t status = body(arg);

	wait_for(go("child", body, 0));
	return status;
}

static void
family(reap_entry *entry)
{
	start();
	(void)go("parent", entry, REAP_CONTEXT_DETACHED);
	made_all();
	serve();
	stop();
}

static void
context_waits(void)
{
	family(parent_body);
}

static void
thread_waits(void)
{
	struct life *child = make("child", body, 0);

	child->handle = reap_context_handle(child->context);
	ready(child->context);
	made_all();
	CHECK(join(child->handle) == 0);
}

/* -- several want one */

static void
makes_for_another(void)
{
	struct life *child = make("child", body, 0);
	int error;

	post(reap_context_handle(child->context));
	ready(child->context);
	made_all();
	error = join(mail[0]);
	CHECK(error == 0 || error == -EBUSY || error == -ESRCH);
}

static void
joins(void)
{
	int error = join(receive(0));

	CHECK(error == 0 || error == -EBUSY || error == -ESRCH);
}

static void
joins_second(void)
{
	int error = join(receive(1));

	CHECK(error == 0 || error == -EBUSY || error == -ESRCH);
}

static void
joined_by_one(void)
{
	CHECK(lives[0].collected == 1);
	finish();
}

static void
base_joins(void)
{
	start();
	joins();
	stop();
}

static struct life *
make_named(const char *name, reap_entry *entry)
{
	struct life *child = make(name, entry, 0);

	post(reap_context_handle(child->context));
	return child;
}

/* The parent takes what it gets, until there is nothing left. */
static void
named_and_waited_for(void)
{
	struct life *child;
	int error;

	start();
	child = make_named("child", body);
	ready(child->context);
	made_all();
	while ((error = wait_any()) == 0)
		continue;
	CHECK(error == -ECHILD);
	serve();
	stop();
}

static void
two_named_and_waited_for(void)
{
	struct life *child[2];
	int error;

	start();
	child[0] = make_named("child 0", body);
	child[1] = make_named("child 1", body);
	ready(child[0]->context);
	ready(child[1]->context);
	made_all();
	while ((error = wait_any()) == 0)
		continue;
	CHECK(error == -ECHILD);
	serve();
	stop();
}

static void
named_and_waited_for_by_name(void)
{
	struct life *child;
	int error;

	start();
	child = make_named("child", body);
	ready(child->context);
	made_all();
	error = join(mail[0]);
	CHECK(error == 0 || error == -EBUSY || error == -ESRCH);
	CHECK((error = wait_any()) == -ECHILD);
	stop();
}

static void
named_and_left(void)
{
	struct life *child;

	start();
	child = make_named("child", body);
	ready(child->context);
	made_all();
	serve();
	stop_loud();
}

static void
detaches(void)
{
	int error = reap_detach(receive(0));

	CHECK(error == 0 || error == -EBUSY || error == -ESRCH);
}

static intptr_t
joins_body(void *arg)
{
	intptr_t status = body(arg);
	int error = join(mail[0]);

	CHECK(error == 0 || error == -EBUSY || error == -ESRCH);
	return status;
}

/* Two contexts, and neither is the other's parent. */
static void
context_joins(void)
{
	struct life *child;

	start();
	child = make_named("child", body);
	ready(child->context);
	(void)go("joiner", joins_body, REAP_CONTEXT_DETACHED);
	made_all();
	serve();
	stop();
}

static int deadlocks;

static intptr_t
joins_friend_body(void *arg)
{
	struct life *life = arg;
	int error;

	(void)body(arg);
	error = join(mail[life == &lives[0] ? 1 : 0]);
	CHECK(error == 0 || error == -EDEADLK || error == -ESRCH || error == -EBUSY);
	deadlocks += error == -EDEADLK;
	return life->status;
}

static void
mutual(void)
{
	struct life *a, *b;

	deadlocks = 0;
	start();
	a = make_named("a", joins_friend_body);
	b = make_named("b", joins_friend_body);
	ready(a->context);
	ready(b->context);
	made_all();
	serve();
	stop();
}

static void
mutual_finish(void)
{
	/* Whoever of the two waits, waits for one who does not. */
	CHECK(deadlocks > 0 || lives[0].collected + lives[1].collected > 0);
	finish();
}

/* -- whichever ends first */

static intptr_t
parent_of_two_body(void *arg)
{
	intptr_t status = body(arg);

	(void)go("child 0", body, 0);
	(void)go("child 1", body, 0);
	CHECK(wait_any() == 0);
	CHECK(wait_any() == 0);
	CHECK(wait_any() == -ECHILD);
	return status;
}

static void
context_waits_for_two(void)
{
	family(parent_of_two_body);
}

static void
base_waits_for_two(void)
{
	start();
	(void)go("child 0", body, 0);
	(void)go("child 1", body, 0);
	made_all();
	CHECK(wait_any() == 0);
	CHECK(wait_any() == 0);
	CHECK(wait_any() == -ECHILD);
	stop();
}

static intptr_t
parent_without_zombies_body(void *arg)
{
	intptr_t status = body(arg);

	CHECK(reap_no_zombies(true) == 0);
	(void)go("child 0", body, 0);
	(void)go("child 1", body, 0);
	CHECK(wait_any() == -ECHILD);
	return status;
}

static void
context_wants_no_zombies(void)
{
	family(parent_without_zombies_body);
}

/* -- the parent ends first */

static intptr_t
orphaning_body(void *arg)
{
	intptr_t status = body(arg);

	(void)go("child", body, 0);
	return status;
}

static void
context_orphans(void)
{
	family(orphaning_body);
}

static intptr_t
orphaning_named_body(void *arg)
{
	intptr_t status = body(arg);

	ready(make_named("child", body)->context);
	return status;
}

static void
context_orphans_named(void)
{
	family(orphaning_named_body);
}

/* The parent is collected while the child lets go of it. */
static void
base_waits_for_orphaning(void)
{
	struct life *parent;

	start();
	parent = go("parent", orphaning_body, 0);
	made_all();
	wait_for(parent);
	serve();
	stop();
}

/* The parent is the base context of a worker that stops. */
static void
base_orphans(void)
{
	start();
	(void)go("child", body, 0);
	made_all();
	stop_loud();
}

/* -- the adopter */

static void
two_detached(void)
{
	start();
	(void)go("a", body, REAP_CONTEXT_DETACHED);
	(void)go("b", body, REAP_CONTEXT_DETACHED);
	made_all();
	serve();
	stop();
}

static void
drains(void)
{
	for (int n = 0; n < 2;) {
		int drained = reap_adopter_drain(reap_adopter_default(domain), 1);

		CHECK(drained >= 0);
		n += drained;
		if (drained == 0)
			schedule_yield();
	}
	CHECK(reap_adopter_drain(reap_adopter_default(domain), 1) == 0);
	CHECK(reap_adopter_backlog(reap_adopter_default(domain)) == 0);
}

static void
drains_and_sleeps(void)
{
	struct reap_adopter *adopter = reap_adopter_default(domain);

	for (int n = 0; n < 2;) {
		int drained = reap_adopter_drain(adopter, 1);

		CHECK(drained >= 0);
		n += drained;
		/* What is owed may not be off the CPU yet: then the wait returns at once, and there is nothing to sleep for. */
		if (drained == 0 && reap_adopter_backlog(adopter) != 0)
			schedule_yield();
		else if (n < 2)
			CHECK(reap_adopter_wait(adopter) == 0);
	}
}

static void
detached_and_interrupt(void)
{
	start();
	(void)go("a", body, REAP_CONTEXT_DETACHED);
	made_all();
	serve();
	stop();
	reap_adopter_interrupt(reap_adopter_default(domain));
}

static void
drains_until_interrupted(void)
{
	struct reap_adopter *adopter = reap_adopter_default(domain);
	int error;

	while ((error = reap_adopter_wait(adopter)) == 0)
		if (reap_adopter_drain(adopter, 8) <= 0)
			schedule_yield();
	CHECK(error == -ECANCELED);
}

static void
drains_once(void)
{
	CHECK(reap_adopter_drain(reap_adopter_default(domain), 8) >= -EBUSY);
}

static struct reap_adopter *sub;

static void
sub_adopter(void)
{
	one_makes();
	CHECK(reap_adopter_create(domain, NULL, &sub) == 0);
}

static void
ends_into_sub_adopter(void)
{
	struct life *a, *b;

	start();
	a = make_with("a", body, (struct reap_context_options){ .flags = REAP_CONTEXT_DETACHED, .adopter = sub });
	b = make_with("b", orphaning_body, (struct reap_context_options){ .adopter = sub });
	add("post", &posted, 1);
	ready(a->context);
	ready(b->context);
	made_all();
	CHECK(wait_any() == 0);
	serve();
	stop();
}

static void
destroys_sub_adopter(void)
{
	(void)receive(0);
	CHECK(reap_adopter_drain(sub, 1) >= 0);
	CHECK(reap_adopter_destroy(sub) == 0);
}

/* -- holds, peeks, stale names */

static void
named_and_reaped(void)
{
	struct life *child;

	start();
	child = make_named("child", body);
	ready(child->context);
	made_all();
	wait_for(child);
	stop();
}

static void
holds(void)
{
	struct reap_handle handle = receive(0);
	struct reap_result result;
	enum reap_state state;

	if (reap_hold(handle) != 0) {
		/* Another may hold it still. */
		CHECK((reap_peek(handle, &state, NULL) == 0) == (state == REAP_STATE_ZOMBIE));
		return;
	}
	CHECK(reap_peek(handle, &state, &result) == 0);
	if (state >= REAP_STATE_EXITING)
		CHECK(result.status == lives[0].status && result.user == &lives[0]);
	CHECK(reap_release(handle) == 0);
}

static void
named_and_peeked_at(void)
{
	struct reap_result result;
	struct life *child;
	int error;

	start();
	child = make_named("child", body);
	ready(child->context);
	made_all();
	error = reap_wait_any(REAP_PEEK, &result);
	CHECK(error == 0 || error == -ECHILD);
	CHECK(error != 0 || result.status == child->status);
	while ((error = wait_any()) == 0)
		continue;
	CHECK(error == -ECHILD);
	serve();
	stop();
}

static unsigned	about_to;

static bool
is_about_to(void *arg)
{
	(void)arg;
	return about_to != 0;
}

static void
stale_names(void)
{
	about_to = 0;
	private_and_kept();
}

/*
 * Somebody is about to hold the first.  Its descriptor serves a second life, a private one, which nobody counts; and a third, whose
 * end is counted again.
 */
static void
first_and_second(void)
{
	struct life *child;

	child = make_named("first", body);
	schedule_block(is_about_to, NULL, "until held");
	ready(child->context);
	wait_for(child);
	wait_for(go("second", body, 0));
}

static void
third(void)
{
	struct life *child = make_named("third", body);

	ready(child->context);
	made_all();
	wait_for(child);
}

static void
named_reused(void)
{
	start();
	first_and_second();
	third();
	stop();
}

static void
named_trimmed(void)
{
	start();
	first_and_second();
	stop();
	(void)reap_trim(domain);
	start();
	third();
	stop();
}

static void
holds_late(void)
{
	(void)receive(0);
	add("about to", &about_to, 1);
	holds();
}

static void
joined_and_reused(void)
{
	int error;

	start();
	ready(make_named("child", body)->context);
	while ((error = wait_any()) == 0)
		continue;
	CHECK(error == -ECHILD);
	(void)go("again", body, 0);
	made_all();
	CHECK(wait_any() == 0);
	CHECK(wait_any() == -ECHILD);
	stop();
}

/* -- other users of the slot */

static intptr_t
yielding_body(void *arg)
{
	intptr_t status = body(arg);

	(void)reap_yield(reap_worker_self());
	return status;
}

static void
two_yield(void)
{
	start();
	(void)go("a", yielding_body, 0);
	(void)go("b", yielding_body, 0);
	made_all();
	CHECK(wait_any() == 0);
	CHECK(wait_any() == 0);
	stop();
}

/*
 * A permit: the parked one, or a token, or nothing.  As the bundled runtime has it.
 */
#define TOKEN	((uintptr_t)1)

static uintptr_t permit;
static int	 taken;

static bool
take_permit(struct reap_context *parked, void *arg)
{
	uintptr_t was = 0;

	(void)arg;
	if (REAP_CAS_ACQ_REL(&permit, &was, (uintptr_t)parked))
		return true;
	CHECK(was == TOKEN);
	REAP_STORE_RELEASE(&permit, 0);
	return false;
}

static void
give_permit(void)
{
	uintptr_t was = REAP_LOAD_RELAXED(&permit);

	while (!REAP_CAS_ACQ_REL(&permit, &was, was > TOKEN ? 0 : TOKEN))
		continue;
	if (was > TOKEN)
		ready((struct reap_context *)was);
}

static intptr_t
parking_body(void *arg)
{
	intptr_t status = body(arg);

	(void)reap_park(reap_worker_self(), take_permit, NULL);
	taken++;
	return status;
}

static void
one_parks(void)
{
	permit = 0;
	taken = 0;
	one_makes();
}

static void
parks(void)
{
	struct life *child;

	start();
	child = go("child", parking_body, 0);
	made_all();
	wait_for(child);
	CHECK(taken == 1);
	stop();
}

static void
unparks(void)
{
	give_permit();
}

static intptr_t
unparking_body(void *arg)
{
	intptr_t status = body(arg);

	give_permit();
	return status;
}

/* Readied by a context on whatever worker, it goes on there. */
static void
parks_and_is_unparked(void)
{
	start();
	(void)go("parks", parking_body, 0);
	(void)go("unparks", unparking_body, 0);
	made_all();
	CHECK(wait_any() == 0);
	CHECK(wait_any() == 0);
	CHECK(taken == 1);
	stop();
}

/* Each exits into one that has not run yet; the last one into the base context. */
static void
three_in_a_row(void)
{
	start();
	(void)go("a", body, 0);
	(void)go("b", body, 0);
	(void)go("c", body, 0);
	made_all();
	for (int i = 0; i < 3; i++)
		CHECK(wait_any() == 0);
	stop();
}

static void
hears(struct reap_exit_listener *listener, struct reap_context *dying, intptr_t status)
{
	struct life *life = reap_context_user(dying);

	(void)listener;
	CHECK(status == life->status);
	(void)reap_yield(reap_worker_self());	/* and comes back on another worker, perhaps */
}

static intptr_t
listened_to_body(void *arg)
{
	struct life *life = arg;
	struct reap_exit_listener listener = { hears, NULL };

	(void)body(arg);
	reap_exit_listen(life->context, &listener);
	reap_exit(life->status);
}

static void
two_with_listeners(void)
{
	start();
	(void)go("a", listened_to_body, 0);
	(void)go("b", body, 0);
	made_all();
	CHECK(wait_any() == 0);
	CHECK(wait_any() == 0);
	stop();
}

/* -- stacks by way of the depot */

static void
creates_for_another(void)
{
	struct life *child[2];

	start();
	for (int round = 0; round < 2; round++) {
		child[0] = go("child 0", body, 0);
		child[1] = go("child 1", body, 0);
		if (round == 1)
			made_all();
		wait_for(child[0]);
		wait_for(child[1]);
	}
	stop();
}

/* -- private, and then shared */

static intptr_t
named_by_itself_body(void *arg)
{
	struct life *life = arg;

	(void)body(arg);
	post(reap_context_handle(life->context));
	return life->status;
}

static void
names_itself(void)
{
	int error;

	start();
	(void)go("child", named_by_itself_body, 0);
	made_all();
	while ((error = wait_any()) == 0)
		continue;
	CHECK(error == -ECHILD);
	serve();
	stop();
}

static intptr_t
private_parent_body(void *arg)
{
	intptr_t status = body(arg);

	(void)go("child 0", body, 0);
	(void)go("child 1", named_by_itself_body, 0);
	while (wait_any() == 0)
		continue;
	return status;
}

static void
private_parent(void)
{
	family(private_parent_body);
}

/* Three plain lives, the second of which gives its name away while it runs; then it is as if nothing had been. */
static intptr_t
plain_parent_body(void *arg)
{
	intptr_t status = body(arg);

	wait_for(go("first", body, 0));
	(void)go("second", named_by_itself_body, 0);
	while (wait_any() == 0)
		continue;
	(void)go("third", body, 0);
	CHECK(wait_any() == 0);
	CHECK(wait_any() == -ECHILD);
	return status;
}

static void
plain_parent(void)
{
	start();
	(void)go("parent", plain_parent_body, 0);
	made_all();
	CHECK(wait_any() == 0);
	stop();
}

/* The parent sleeps for any: a plain child that ends here may wake it, or a thread that takes its named one off its hands. */
static intptr_t
kin_body(void *arg)
{
	intptr_t status = body(arg);

	(void)go("second", named_by_itself_body, 0);
	(void)go("third", body, 0);
	while (wait_any() == 0)
		continue;
	return status;
}

static void
plain_kin(void)
{
	start();
	(void)go("parent", kin_body, 0);
	made_all();
	CHECK(wait_any() == 0);
	stop();
}

/* Each ends for the next one, who is fresh: its stack goes with that, unless the host has named it. */
static void
plain_row(void)
{
	static const char *const names[] = { "early", "early", "early", "first", "second", "third", "fourth" };
	int error;

	start();
	for (unsigned i = 0; i < 7; i++) {
		(void)go(names[i], body, 0);
		if (i == 2)
			while (wait_any() == 0)
				continue;
	}
	made_all();
	(void)reap_yield(reap_worker_self());	/* all of them: nobody waits for the first */
	while ((error = wait_any()) == 0)
		continue;
	CHECK(error == -ECHILD);
	stop();
}

/* The parent gives its own name away, while its children are private; and is joined by another. */
static intptr_t
plain_parent_named_body(void *arg)
{
	struct life *life = arg, *child;
	intptr_t status = body(arg);

	child = go("child", body, 0);
	post(reap_context_handle(life->context));
	wait_for(child);
	wait_for(go("another", body, 0));
	return status;
}

static void
plain_parent_named(void)
{
	int error;

	start();
	(void)go("parent", plain_parent_named_body, 0);
	made_all();
	while ((error = wait_any()) == 0)
		continue;
	CHECK(error == -ECHILD);
	serve();
	stop();
}

static intptr_t
grandparent_body(void *arg)
{
	intptr_t status = body(arg);

	(void)go("parent", orphaning_body, 0);
	(void)reap_yield(reap_worker_self());
	CHECK(wait_any() == 0);
	return status;
}

static void
private_orphans(void)
{
	start();
	(void)go("grandparent", grandparent_body, REAP_CONTEXT_DETACHED);
	made_all();
	serve();
	stop();
}

/* -- destroyed while it is suspended */

static void
destroyed(struct life *life)
{
	life->destroyed = true;
	add("alive", &alive, -1);
	CHECK(reap_context_destroy(life->context, life->status) == 0);
}

static void
named_and_destroyed(void)
{
	struct life *child;
	int error;

	start();
	child = make_named("child", body);
	made_all();
	destroyed(child);
	while ((error = wait_any()) == 0)
		continue;
	CHECK(error == -ECHILD);
	serve();
	stop();
}

/* -- limits */

static int	 claims;	/* contexts that exist, or are being made, or reaped: at most */
static int	 peak[SCHEDULE_THREADS];

static void
count_claim(int n)
{
	claims += n;
	for (int i = 0; i < SCHEDULE_THREADS; i++)
		if (claims > peak[i])
			peak[i] = claims;
}

static struct life *
try_make(const char *name)
{
	struct life *life;

	count_claim(1);
	peak[schedule_me()] = claims;
	life = make(name, body, 0);
	if (life == NULL) {
		/* All credits must have been in somebody's hands at one moment. */
		if (peak[schedule_me()] <= (int)(with.limit - with.reserve))
			schedule_fail("%s was refused, when there were %d others at most, and the limit is %d", name,
			    peak[schedule_me()] - 1, (int)(with.limit - with.reserve));
		count_claim(-1);
	}
	return life;
}

static void
unmake(struct life *life)
{
	if (life == NULL)
		return;
	wait_for(life);
	count_claim(-1);
}

static void
limited(void)
{
	claims = 0;
	memset(peak, 0, sizeof(peak));
	begin((struct with){ .making = 2, .limit = 3 });
}

static void
uses_all(void)
{
	struct life *life[3];

	start();
	for (int i = 0; i < 3; i++)
		if ((life[i] = try_make("one of three")) != NULL)
			ready(life[i]->context);
	made_all();
	for (int i = 0; i < 3; i++)
		unmake(life[i]);
	stop();
}

static void
uses_one(void)
{
	struct life *life;

	start();
	if ((life = try_make("one")) != NULL)
		ready(life->context);
	made_all();
	unmake(life);
	stop();
}

static void
uses_one_twice(void)
{
	struct life *life;

	start();
	for (int i = 0; i < 2; i++) {
		if ((life = try_make("one of two")) != NULL)
			ready(life->context);
		if (i == 1)
			made_all();
		unmake(life);
	}
	stop();
}

static void
limited_to_one(void)
{
	claims = 0;
	memset(peak, 0, sizeof(peak));
	begin((struct with){ .making = 2, .limit = 1 });
}

/* Credits travel two at a time, and there are two. */
static void
limited_by_reserve(void)
{
	claims = 0;
	memset(peak, 0, sizeof(peak));
	begin((struct with){ .making = 2, .limit = 34, .reserve = 32 });
}

/* -- groups */

static struct reap_group *group;

static void
grouped(void)
{
	one_makes();
	CHECK(reap_group_create(domain, &group) == 0);
}

static void
two_members(void)
{
	struct life *a, *b;

	start();
	a = make_with("a", body, (struct reap_context_options){ .group = group });
	b = make_with("b", body, (struct reap_context_options){ .group = group });
	add("post", &posted, 1);
	ready(a->context);
	ready(b->context);
	made_all();
	serve();
	stop();
}

static void
waits_for_group(void)
{
	intptr_t status = 0;

	(void)receive(0);
	CHECK(reap_group_wait(group, 0, &status) == 0);
	CHECK(status == lives[0].status || status == lives[1].status);
	CHECK(lives[0].left == 1 && lives[1].left == 1);
}

/* -- usage */

static void
used(void)
{
	posted = 0;
	begin((struct with){ .making = 1, .usage = true });
}

/* One child, and one of that, which it waits for: whoever collects answers for all, once. */
static void
charges(void)
{
	struct reap_result result;
	struct life *life;

	start();
	life = go("parent", parent_body, 0);
	made_all();
	CHECK(reap_wait(life->context, 0, &result) == 0);
	collected(&result);
	CHECK(result.usage.children == 1 && result.usage.runs >= 1);
	CHECK(result.usage.run_ns > 0 && result.usage.children_ns > 0);
	stop();
}

/* -- the reaper thread */

static void
with_reaper(void)
{
	struct life *child;

	CHECK(reap_thread_start(domain, (unsigned)with.thread - 1) == 0);
	start();
	child = go("child", body, 0);
	(void)go("detached", body, REAP_CONTEXT_DETACHED);
	made_all();
	wait_for(child);
	serve();
	stop();
	CHECK(reap_thread_stop(domain) == 0);
}

/* -- door 1: a completion, and memory that goes with it */

static struct dead {
	struct reap_completion	done;
	struct reap_waiter	waiter;
	int			data;
} *dead;

static void
door1(void)
{
	dead = schedule_alloc(sizeof(*dead), true, "dead");
	reap_completion_init(&dead->done);
}

static void
nothing(void)
{
}

static void
posts(void)
{
	struct reap_slot slot = REAP_SLOT_INIT;

	dead->data = 1;
	reap_slot_put(&slot, &dead->done);
	reap_slot_landed(&slot);
}

static void
bury(void)
{
	CHECK(dead->data == 1);
	schedule_free(dead);
}

static void
waits_for_post(void)
{
	CHECK(reap_completion_wait(&dead->done) == 0);
	bury();
}

struct asks {
	struct reap_waiter	waiter;
	uint32_t		told;
};

static void
tell(struct reap_waiter *waiter)
{
	REAP_STORE_RELEASE(&((struct asks *)waiter)->told, 1);
}

static void
disarms(void)
{
	struct asks asks = { { tell }, 0 };

	if (reap_completion_arm(&dead->done, &asks.waiter) == 0) {
		if (reap_completion_disarm(&dead->done, &asks.waiter) == 0) {
			asks.told = 2;
			CHECK(reap_completion_wait(&dead->done) == 0);
			CHECK(asks.told == 2);
		} else
			while (REAP_LOAD_ACQUIRE(&asks.told) == 0)
				schedule_yield();
	}
	bury();
}

/* -- owned, and given up by others */

static struct life *garbage[2];

static intptr_t
suspends_once(void *arg)
{
	struct life *life = arg;

	life->ran++;
	(void)reap_suspend(NULL);
	return life->status;
}

static void
resume(struct life *life, unsigned flags, int want)
{
	struct reap_passed passed = { .word = 0 };

	CHECK(reap_resume(life->context, flags, &passed) == want);
	CHECK(passed.context == life->context);
	if (want == REAP_ENDED) {
		CHECK(passed.word == life->status);
		life->collected++;
	}
}

static struct life *
make_garbage(const char *name)
{
	struct life *life = make(name, suspends_once, REAP_CONTEXT_OWNED);

	resume(life, 0, REAP_SUSPENDED);
	life->destroyed = true;
	garbage[posted] = life;
	add("post", &posted, 1);
	return life;
}

/* No more than others give up: its worker cannot stop before it has destroyed them, and hears of each. */
static void
stop_when_it_can(void)
{
	int error;

	while ((error = reap_worker_stop(reap_worker_self())) != 0) {
		CHECK(error == -EBUSY);
		schedule_block(has_something, (void *)(intptr_t)schedule_me(), "stop");
		woken[schedule_me()] = false;
	}
}

static void
owns_one(void)
{
	start();
	(void)make_garbage("garbage");
	resume(make("second", body, REAP_CONTEXT_OWNED), 0, REAP_ENDED);
	resume(make("third", body, REAP_CONTEXT_OWNED), 0, REAP_ENDED);
	made_all();
	stop_when_it_can();
}

static void
owns_two(void)
{
	start();
	(void)make_garbage("garbage");
	(void)make_garbage("litter");
	made_all();
	stop_when_it_can();
}

static void
discards(unsigned i)
{
	struct life *life;

	schedule_block(has_mail, (void *)(uintptr_t)i, "discards");
	life = garbage[i];
	add("alive", &alive, -1);
	CHECK(reap_context_discard(life->context, life->status) == 1);
}

static void
discards_first(void)
{
	discards(0);
}

static void
discards_second(void)
{
	discards(1);
}

static void
owned(void)
{
	posted = 0;
	begin((struct with){ .making = 1, .spawns = true, .plain = true });
}

/* Shared, and cancelled by another worker while its own one stops. */
static void
gives_away(void)
{
	struct life *life;

	start();
	life = make("cancelled", suspends_once, REAP_CONTEXT_OWNED);
	resume(life, 0, REAP_SUSPENDED);
	CHECK(reap_context_share(life->context) == 0);
	garbage[0] = life;
	add("post", &posted, 1);
	made_all();
	stop_loud();
}

static void
cancels(void)
{
	start_loud();
	schedule_block(has_mail, NULL, "cancels");
	resume(garbage[0], REAP_CANCEL, REAP_ENDED);
	stop_loud();
}

const struct schedule_scenario schedule_scenarios[] = {
	{ "completion_waited_for", V_POOL, 8, 20, door1, { posts, waits_for_post }, nothing,
	    "a thread sleeps until the post, and frees what the completion lies in" },
	{ "completion_disarmed", V_POOL, 8, 20, door1, { posts, disarms }, nothing,
	    "the waiter is taken back while the post is made" },

	{ "base_waits", V_ALL, 2, 3, one_makes, { base_waits, serving }, finish,
	    "the parent is a base context, the child runs there or on another worker" },
	{ "base_waits_spawned", V_TWO, 2, 3, one_spawns, { base_waits, serving }, finish, "the same, by reap_spawn()" },
	{ "base_waits_direct", V_TWO, 2, 3, one_makes_direct, { base_waits, serving }, finish,
	    "the same, straight to the sleeper" },
	{ "context_waits", V_ALL, 2, 3, one_makes, { context_waits, serving }, finish,
	    "the parent parks, and is readied by the child's landing, or early" },
	{ "context_waits_spawned", V_TWO, 2, 3, one_spawns, { context_waits, serving }, finish, "the same, by reap_spawn()" },
	{ "context_waits_direct", V_TWO, 2, 3, one_makes_direct, { context_waits, serving }, finish,
	    "the same, straight to the sleeper" },
	{ "thread_waits", V_FOUR, 2, 4, one_makes, { serving, thread_waits }, finish,
	    "who waits is no worker: it sleeps in the kernel" },

	{ "two_joiners", V_FOUR, 1, 2, one_makes, { serving, makes_for_another, joins }, joined_by_one,
	    "two threads join one: one of them gets it" },
	{ "parent_and_joiner", V_TWO, 2, 3, one_makes, { named_and_waited_for, joins }, finish,
	    "the parent waits for any child, a thread joins its only one" },
	{ "parent_joins_too", V_TWO, 2, 3, one_makes, { named_and_waited_for_by_name, joins }, joined_by_one,
	    "the parent and a thread join the same one" },
	{ "base_joins", V_TWO, 2, 3, one_makes, { named_and_left, base_joins }, finish,
	    "the joiner is the base context of another worker" },
	{ "context_joins", V_TWO, 1, 2, one_makes, { context_joins, serving }, finish,
	    "the joiner is a context that is not the parent" },
	{ "mutual_joins", V_TWO, 2, 3, one_makes, { mutual, serving }, mutual_finish,
	    "two contexts join each other: nobody sleeps for ever" },
	{ "two_joined_away", V_TWO, 1, 2, one_makes, { two_named_and_waited_for, joins, joins_second }, finish,
	    "a parent waits for any of two children, both are joined by others: it hears of both" },

	{ "wait_any", V_FOUR, 1, 2, one_makes, { context_waits_for_two, serving }, finish,
	    "a context waits for whichever of two ends first" },
	{ "wait_any_base", V_TWO, 1, 2, one_makes, { base_waits_for_two, serving }, finish, "a base context does" },
	{ "wait_any_spawned", V_POOL, 1, 2, one_spawns, { context_waits_for_two, serving }, finish, "the same, by reap_spawn()" },
	{ "no_zombies", V_TWO, 1, 2, one_makes, { context_wants_no_zombies, serving }, finish,
	    "a parent that wants no zombies hears when none is left" },

	{ "detach", V_TWO, 2, 3, one_makes, { named_and_left, detaches }, finish, "detach against exit, and the parent's end" },
	{ "detach_awaited", V_TWO, 2, 3, one_makes, { named_and_waited_for, detaches }, finish,
	    "the parent waits for the one that is detached" },
	{ "orphan", V_FOUR, 2, 3, one_makes, { context_orphans, serving }, finish, "the parent ends while the child does" },
	{ "orphan_of_collected", V_TWO, 2, 3, one_makes, { base_waits_for_orphaning, serving }, finish,
	    "the same, and the parent is collected meanwhile" },
	{ "orphan_told", V_TWO, 2, 3, one_makes_lifo, { context_orphans, serving }, finish,
	    "the same, with a host that is told of ends, last in first out" },
	{ "orphan_joined", V_TWO, 1, 2, one_makes, { context_orphans_named, serving, joins }, finish,
	    "the same, and somebody joins the child" },
	{ "worker_stop", V_FOUR, 2, 3, one_makes, { base_orphans, serving_loud }, finish,
	    "a worker stops, whose base context is the parent of one that ends elsewhere: the last one there is" },

	{ "drain", V_FOUR, 2, 3, one_makes, { two_detached, drains }, finish, "one at a time, while others end" },
	{ "drain_asleep", V_TWO, 2, 3, one_makes, { two_detached, drains_and_sleeps }, finish,
	    "the drainer sleeps until something is owed" },
	{ "drain_interrupted", V_POOL | V_ADOPTER, 2, 3, one_makes, { detached_and_interrupt, drains_until_interrupted }, finish,
	    "until it is interrupted" },
	{ "drain_for_another", V_POOL, 2, 3, one_makes, { detached_and_interrupt, drains_until_interrupted, drains_once }, finish,
	    "one drains while another waits until it is interrupted" },
	{ "sub_adopter", V_POOL | V_ADOPTER, 2, 3, sub_adopter, { ends_into_sub_adopter, destroys_sub_adopter }, finish,
	    "an adopter is destroyed while contexts end into it" },

	{ "hold", V_TWO, 2, 3, one_makes, { named_and_reaped, holds }, finish, "hold, peek and release against the reap" },
	{ "hold_twice", V_POOL, 1, 2, one_makes, { named_and_reaped, holds, holds }, finish, "two hold it at the same time" },
	{ "hold_stale", V_POOL, 3, 4, stale_names, { named_reused, holds_late }, finish,
	    "the descriptor serves another life meanwhile" },
	{ "hold_trimmed", V_POOL, 2, 3, stale_names, { named_trimmed, holds_late }, finish,
	    "descriptors are given back meanwhile" },
	{ "join_stale", V_POOL, 2, 3, one_makes, { joined_and_reused, joins }, finish, "a name is joined that has become stale" },
	{ "peek", V_TWO, 2, 3, one_makes, { named_and_peeked_at, joins }, finish,
	    "the parent looks and leaves it there, a thread joins it" },

	{ "yield", V_TWO, 1, 2, one_makes, { two_yield, serving }, finish, "two that yield, in the slots of two workers" },
	{ "park", V_TWO, 2, 3, one_parks, { parks, unparks }, finish, "a permit is given by a thread, before, while or after" },
	{ "migration", V_TWO, 1, 2, one_parks, { parks_and_is_unparked, serving }, finish,
	    "parked on one worker, readied on another, ends there" },
	{ "fresh_successors", V_FOUR, 1, 2, all_run_on_the_second, { three_in_a_row, serving }, finish,
	    "each exits into one that has not run yet" },
	{ "listener", V_TWO, 1, 2, one_makes, { two_with_listeners, serving }, finish,
	    "an exit listener yields, and comes back on another worker" },
	{ "depot", V_POOL | V_SUCCESSOR, 1, 2, all_run_on_the_second, { creates_for_another, serving }, finish,
	    "stacks that die on one worker serve another" },

	{ "private_named", V_TWO, 2, 3, private_and_kept, { names_itself, joins }, finish,
	    "a private context gives its name away while it runs" },
	{ "private_parent", V_TWO, 1, 2, private_and_offered, { private_parent, serving, joins }, finish,
	    "private children, one of which names itself; the host shares whom it can" },
	{ "private_spawned", V_TWO, 1, 2, one_spawns_private, { context_waits_for_two, serving }, finish,
	    "spawned, and shared by the host when it can" },
	{ "plain", V_PLAIN, 1, 2, plain_and_kept, { plain_parent, joins }, finish,
	    "plain lives, one of which gives its name away while it runs" },
	{ "plain_direct", V_PLAIN, 1, 2, plain_and_direct, { plain_parent, joins }, finish, "the same, straight to the sleeper" },
	{ "plain_kin", V_PLAIN, 2, 3, plain_and_kept, { plain_kin, joins }, finish, "one that gave its name away, and one that is plain" },
	{ "plain_parent", V_PLAIN, 1, 2, plain_and_kept, { plain_parent_named, joins }, finish,
	    "their parent gives its name away" },
	{ "plain_row", V_PLAIN, 1, 2, plain_and_named, { plain_row, joins }, finish,
	    "each ends for one that is fresh; the host names one that ends, somebody joins that" },
	{ "plain_offered", V_PLAIN, 1, 2, plain_and_offered, { context_waits_for_two, serving }, finish,
	    "the host lets another worker run them when it can" },
	{ "private_orphan", V_TWO, 1, 2, private_and_offered, { private_orphans, serving }, finish,
	    "private children whose parent ends first" },

	{ "destroy", V_TWO, 2, 4, one_makes, { named_and_destroyed, joins }, finish,
	    "a suspended context is destroyed, somebody joins it" },
	{ "discard", V_POOL, 2, 3, one_makes, { owns_one, discards_first }, finish,
	    "a suspended one is given up by a thread, while its worker runs others, and stops" },
	{ "discard_simple", V_POOL, 2, 3, owned, { owns_one, discards_first }, finish, "the same, by reap_spawn_owned()" },
	{ "discard_two", V_POOL, 1, 2, one_makes, { owns_two, discards_first, discards_second }, finish,
	    "two threads give one up at the same time" },
	{ "cancel", V_POOL, 1, 2, one_makes, { gives_away, cancels }, finish,
	    "another worker cancels one, while that which made it stops" },
	{ "limit", V_TWO, 1, 2, limited, { uses_all, uses_one }, finish, "refused only when all credits were in use" },
	{ "limit_one", V_TWO, 2, 3, limited_to_one, { uses_one_twice, uses_one }, finish, "the same with one credit" },
	{ "limit_reserve", V_POOL, 2, 3, limited_by_reserve, { uses_one, uses_one }, finish,
	    "the same with two, which are drawn together: above them is the reserve" },
	{ "group", V_TWO, 1, 2, grouped, { two_members, serving, waits_for_group }, finish,
	    "two members end on two workers, somebody waits for their group" },
	{ "usage", V_TWO, 1, 2, used, { charges, serving }, finish, "what a context has used is charged once" },
	{ "reaper", V_LATE, 1, 2, reaper_one_by_one, { with_reaper }, finish, "the reaper thread, one at a time" },
	{ "reaper_batches", V_LATE | V_POOL, 1, 2, reaper_in_batches, { with_reaper }, finish, "the reaper thread, in batches" },
};

const unsigned schedule_nscenarios = sizeof(schedule_scenarios) / sizeof(schedule_scenarios[0]);
