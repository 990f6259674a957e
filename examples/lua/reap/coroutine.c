/* SPDX-License-Identifier: ISC */
/*
 * coroutine.c: Lua 5.4 coroutines with C stacks of their own, as a module for the unmodified Lua:
 *
 *	local coroutine = require "reap.coroutine"
 *
 * Stock Lua cannot yield across a C function that it would have to return through: a comparison of table.sort, a callback of gsub,
 * a metamethod called from C.  Here a coroutine is a lua_newthread() and an owned context, whose entry runs lua_resume() on its
 * own stack.  To yield is to switch stacks: neither Lua nor the C functions in between notice.
 *
 *	lua_State of the coroutine				context
 *	  1	the anchor, a userdata -> struct co	<---->	  entry -> lua_resume() -> ... -> gsub -> ... -> yield
 *	  2	the function, then its frames
 *
 * The anchor is what the collector tells of the end of a coroutine that nobody can resume any more: only the lua_State refers to
 * it.  The C stack is dropped then, and nothing runs.  A coroutine gets anchor and context when it is resumed for the first time,
 * and loses them when it ends; what is left of it is an ordinary Lua thread, suspended or dead.
 *
 * From a lua_State to its struct co leads lua_getextraspace().  Lua does not initialise that of the main thread, of which all
 * others get a copy, and programs may use it: so what is found there is believed only if it points to one of ours that says the same.
 */
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <lauxlib.h>
#include <lua.h>

#include <reap.h>

#if defined(__has_include)
#if __has_include(<valgrind/memcheck.h>)
#include <valgrind/memcheck.h>
#endif
#endif
#ifndef VALGRIND_MAKE_MEM_DEFINED
#define VALGRIND_MAKE_MEM_DEFINED(at, size)	((void)0)
#endif

#define STACK_SIZE	((size_t)512 * 1024)	/* bytes of addresses: 198 C calls, Lua's limit, need up to 414 KiB (gsub in gsub) */
#define STACK_DEPOT	1024u			/* dead stacks kept; each may hold what it was used for */
#define NEST_MAX	190			/* resumes within resumes: as many as stock Lua's C-call limit lets through */
#define SPARE_MAX	256			/* anchors kept */
#define CO_MAX		((size_t)1 << 22)	/* coroutines of the process that have a C stack: addresses are reserved for so many */
#define PACE_MIN	1000u			/* suspended coroutines that are not worth a collection */

/* Of an OS thread: its worker.  All Lua states that it loads the module into share it. */
struct home {
	struct reap_domain *domain;
	struct reap_worker *worker;
	bool	 ours;			/* not the application's own worker */
	struct state *states;		/* that have not been closed; under the lock */
};

/* Of a Lua state: a userdata, upvalue of the module's functions. */
struct state {
	struct home *home;		/* under the lock, but that its own thread may read it; NULL: that thread has ended */
	struct reap_worker *worker;	/* of that thread; constant */
	struct state *next, **link;	/* home->states */
	struct co *running;		/* innermost; NULL: none of ours */
	struct co *all;			/* those with a context */
	lua_State *main;
	lua_State *spare;		/* a thread whose stack holds the anchors of the ended, for reuse */
	unsigned live, pace;		/* contexts there are; how many call for a collection */
	bool	 closed;		/* lua_close() has come by: nothing starts any more */
};

enum status { NORMAL, RUNNING, SUSPENDED, DEAD };

/* Of an anchor, all the time that there is one.  L and context are NULL while it is spare. */
struct co {
	lua_State *L;			/* the coroutine's own */
	struct reap_context *context;
	struct state *state;
	struct co *resumer;		/* of ours; NULL: none */
	int	 n;			/* values on top of L that go across the switch */
	int	 result;		/* LUA_YIELD: suspended; else what lua_resume() ended with */
	int	 depth;			/* of resumes */
	enum status status;
	bool	 forwarded;		/* it is C code's lua_yieldk() that has suspended it */
	void	*extra;			/* what was where the lua_State leads to this */
	struct co *next, **link;	/* state->all; without an anchor: the free ones */
};

static char anchor_key;			/* its address names the anchors' metatable in the registry */

/* All struct co lie here.  Under the lock, but that those with an anchor are its Lua state's. */
static struct co *table, *table_free;
static size_t table_size;			/* bytes; constant, as the address */
static size_t table_used;
static pthread_mutex_t table_lock = PTHREAD_MUTEX_INITIALIZER;

static pthread_key_t homes;		/* the thread's struct home */
static pthread_mutex_t homes_lock = PTHREAD_MUTEX_INITIALIZER;	/* a state may be closed by one thread when its own one ends */
static pthread_once_t once = PTHREAD_ONCE_INIT;
static int once_error;

/* The coroutine that a Lua thread is, NULL if it has no context: not resumed yet, dead, or not of ours. */
static inline struct co *
co_of(lua_State *L)
{
	struct co *co = *(struct co **)lua_getextraspace(L);

	return (uintptr_t)co - (uintptr_t)table < table_size && co->L == L ? co : NULL;
}

static void
co_bind(struct co *co, lua_State *L)
{
	void **extra = lua_getextraspace(L);

	co->L = L;
	co->extra = *extra;
	*extra = co;
}

static void
co_unbind(struct co *co)
{
	*(void **)lua_getextraspace(co->L) = co->extra;
	co->L = NULL;
}

static struct co *
co_alloc(void)
{
	struct co *co;

	pthread_mutex_lock(&table_lock);
	co = table_free;
	if (co != NULL)
		table_free = co->next;
	else if (table_used < table_size / sizeof(*co))
		co = &table[table_used++];
	pthread_mutex_unlock(&table_lock);
	return co;
}

static void
co_free(struct co *co)
{
	pthread_mutex_lock(&table_lock);
	co->next = table_free;
	table_free = co;
	pthread_mutex_unlock(&table_lock);
}

/* ---- the worker of an OS thread ---- */

static void	thread_ends(void *);

static void
prepare(void)
{
	size_t	 size = CO_MAX * sizeof(struct co);
	void	*map;

	while ((map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)) == MAP_FAILED)
		if ((size /= 2) < 1 << 16) {
			once_error = ENOMEM;
			return;
		}
	table_size = size;
	table = map;
	once_error = pthread_key_create(&homes, thread_ends);
}

static int
home_open(struct state *state)
{
	struct reap_domain_options options = {
		.size = sizeof(options), .stack = { .size = STACK_SIZE, .depot = STACK_DEPOT },
	};
	struct home	*home;
	int		 error = -pthread_once(&once, prepare);

	if (error != 0 || (error = -once_error) != 0)
		return error;
	home = pthread_getspecific(homes);
	if (home == NULL) {
		home = calloc(1, sizeof(*home));
		if (home == NULL)
			return -ENOMEM;
		home->worker = reap_worker_self();
		if (home->worker != NULL)
			home->domain = reap_worker_domain(home->worker);
		else {
			home->ours = true;
			error = reap_domain_create(&options, &home->domain);
			if (error == 0 && (error = reap_worker_start(home->domain, NULL, &home->worker)) != 0)
				(void)reap_domain_destroy(home->domain, NULL, NULL);
		}
		if (error == 0 && (error = -pthread_setspecific(homes, home)) != 0 && home->ours) {
			(void)reap_worker_stop(home->worker);
			(void)reap_domain_destroy(home->domain, NULL, NULL);
		}
		if (error != 0) {
			free(home);
			return error;
		}
	}
	pthread_mutex_lock(&homes_lock);
	state->home = home;
	state->worker = home->worker;
	state->next = home->states;
	state->link = &home->states;
	if (state->next != NULL)
		state->next->link = &state->next;
	home->states = state;
	pthread_mutex_unlock(&homes_lock);
	return 0;
}

/* ---- contexts ---- */

/* The coroutine's side: all of it runs here.  A yield that C code makes by lua_yieldk() comes back from lua_resume(). */
static intptr_t
body(void *arg)
{
	struct co *co = arg;
	int n = co->n;

	while ((co->result = lua_resume(co->L, NULL, n, &co->n)) == LUA_YIELD) {
		co->status = SUSPENDED;
		co->forwarded = true;
		(void)reap_suspend(NULL);
		co->forwarded = false;
		n = co->n;
	}
	return 0;
}

static void
forget(struct co *co)
{
	co->context = NULL;
	*co->link = co->next;
	if (co->next != NULL)
		co->next->link = co->link;
	co->state->live--;
}

/* Nobody will resume it: drop the C stack.  By its own thread, or by whichever collects or closes the Lua state. */
static void
drop(struct co *co)
{
	bool elsewhere = co->state->worker != reap_worker_self();

	if (elsewhere)
		pthread_mutex_lock(&homes_lock);
	if (co->context != NULL)
		(void)reap_context_discard(co->context, 0);
	if (elsewhere)
		pthread_mutex_unlock(&homes_lock);
	forget(co);
}

/* Under the lock, by the thread itself. */
static void
home_close(struct home *home)
{
	if (home->ours && reap_worker_stop(home->worker) == 0)
		(void)reap_domain_destroy(home->domain, NULL, NULL);
	free(home);
}

/* Some of its states have not been closed, or by another thread: of these nobody will resume anything any more. */
static void
thread_ends(void *arg)
{
	struct home *home = arg;

	pthread_mutex_lock(&homes_lock);
	for (struct state *state = home->states; state != NULL; state = state->next) {
		for (struct co *co = state->all; co != NULL; co = co->next)
			if (co->context != NULL && co->status == SUSPENDED) {
				(void)reap_context_destroy(co->context, 0);
				co->context = NULL;
			}
		state->home = NULL;
	}
	home_close(home);
	pthread_mutex_unlock(&homes_lock);
}

/*
 * __gc of an anchor: its lua_State is garbage, and may be gone.  A coroutine that runs, or has resumed another one, can only be
 * garbage because lua_close() was called within it: it goes on to exit().
 */
static int
anchor_gc(lua_State *L)
{
	struct co **anchor = lua_touserdata(L, 1), *co = *anchor;

	if (co == NULL || (co->L != NULL && co->status != SUSPENDED))
		return 0;
	if (co->L != NULL)
		drop(co);
	co->L = NULL;
	*anchor = NULL;
	co_free(co);
	return 0;
}

static int
state_gc(lua_State *L)
{
	struct state	*state = lua_touserdata(L, 1);
	struct home	*home;
	struct co	*co, *next;

	state->closed = true;
	for (co = state->all; co != NULL; co = next) {
		next = co->next;
		if (co->status == SUSPENDED) {
			drop(co);
			co_unbind(co);
		}
	}
	pthread_mutex_lock(&homes_lock);
	home = state->home;
	if (home != NULL && state->all == NULL) {
		*state->link = state->next;
		if (state->next != NULL)
			state->next->link = state->link;
		if (home->states == NULL && home->worker == reap_worker_self() && pthread_getspecific(homes) == home) {
			(void)pthread_setspecific(homes, NULL);
			home_close(home);
		}
	}
	pthread_mutex_unlock(&homes_lock);
	return 0;
}

/* Of the C function that runs. */
static struct state *
state_of(lua_State *L)
{
	return lua_touserdata(L, lua_upvalueindex(1));
}

/* ---- resume ---- */

/*
 * Lua's collector does not see what a C stack takes: if there are twice as many as it left the last time, it is time.  Unless the
 * program has stopped it, or a finalizer runs.
 */
static void
collect(lua_State *L, struct state *state)
{
	if (lua_gc(L, LUA_GCISRUNNING) == 1)
		(void)lua_gc(L, LUA_GCCOLLECT);
	(void)reap_trim_aged(state->home->domain);
	state->pace = state->live > PACE_MIN / 2 ? 2 * state->live : PACE_MIN;
}

static int
refuse(lua_State *L, const char *why)
{
	lua_pushstring(L, why);
	return -1;
}

/* On an application's own worker: whatever its stacks are like, the size is ours. */
static int
create_elsewhere(struct reap_domain *domain, struct co *co)
{
	struct reap_context_options options = {
		.size = sizeof(options), .entry = body, .arg = co, .flags = REAP_CONTEXT_OWNED, .stack_size = STACK_SIZE,
	};

	return reap_context_create(domain, &options, &co->context);
}

/* The first resume: an anchor and a context for it.  NULL, and an error message on L, if there is none to be had. */
static struct co *
start(lua_State *L, struct state *state, lua_State *thread)
{
	struct co	*co;
	int		 error;

	if (state->closed)
		return refuse(L, "the Lua state is being closed"), NULL;
	if (state->worker != reap_worker_self() || state->home == NULL)
		return refuse(L, "coroutines can only be started by the OS thread that has loaded the module"), NULL;
	if (state->live >= state->pace)
		collect(L, state);
	if (lua_gettop(state->spare) == 0) {
		struct co **anchor = lua_newuserdatauv(L, sizeof(*anchor), 0);

		*anchor = NULL;
		lua_rawgetp(L, LUA_REGISTRYINDEX, &anchor_key);
		lua_setmetatable(L, -2);
		*anchor = co = co_alloc();
		if (co == NULL)
			return refuse(L, "too many coroutines"), NULL;
		*co = (struct co){ .state = state };
		lua_xmove(L, state->spare, 1);
	}
	if (!lua_checkstack(thread, 1))
		return refuse(L, "not enough memory"), NULL;
	co = *(struct co **)lua_touserdata(state->spare, -1);
	error = state->home->ours ? reap_spawn_owned(state->home->worker, body, co, &co->context) :
	    create_elsewhere(state->home->domain, co);
	if (error != 0) {
		lua_pushfstring(L, "no C stack for a coroutine: %s", strerror(-error));
		return NULL;
	}
	lua_xmove(state->spare, thread, 1);
	lua_insert(thread, 1);
	co_bind(co, thread);
	co->status = SUSPENDED;
	co->forwarded = false;
	co->result = LUA_YIELD;
	co->link = &state->all;
	co->next = state->all;
	if (co->next != NULL)
		co->next->link = &co->next;
	state->all = co;
	state->live++;
	return co;
}

/* As stock Lua tells them apart. */
static enum status
stock_status(lua_State *L, lua_State *thread)
{
	lua_Debug ar;

	if (thread == L)
		return RUNNING;
	switch (lua_status(thread)) {
	case LUA_YIELD:
		return SUSPENDED;
	case LUA_OK:
		return lua_getstack(thread, 0, &ar) ? NORMAL : lua_gettop(thread) == 0 ? DEAD : SUSPENDED;
	default:
		return DEAD;
	}
}

static const char *const status_names[] = {
	[NORMAL] = "normal", [RUNNING] = "running", [SUSPENDED] = "suspended", [DEAD] = "dead"
};

static enum status
status_of(lua_State *L, lua_State *thread)
{
	const struct co *co = thread != L ? co_of(thread) : NULL;

	return co == NULL ? stock_status(L, thread) : co->status;
}

/* One that was made and yielded elsewhere, by a lua_yield() in the course of a lua_resume() of somebody else's. */
static int
resume_stock(lua_State *L, lua_State *thread, int n, bool say_true)
{
	int results, status;

	if (!lua_checkstack(thread, n))
		return refuse(L, "too many arguments to resume");
	lua_xmove(L, thread, n);
	status = lua_resume(thread, L, n, &results);
	if (status != LUA_OK && status != LUA_YIELD) {
		lua_xmove(thread, L, 1);
		return -1;
	}
	if (!lua_checkstack(L, results + 2)) {
		lua_pop(thread, results);
		return refuse(L, "too many results to resume");
	}
	if (say_true)
		lua_pushboolean(L, 1);
	lua_xmove(thread, L, results);
	return results;
}

/* It has ended.  Its anchor serves the next one, unless an error has left frames above it, for a traceback. */
static void
retire(struct co *co)
{
	lua_State *thread = co->L;

	forget(co);
	co_unbind(co);
	if (co->result == LUA_OK && lua_gettop(co->state->spare) < SPARE_MAX) {
		lua_settop(thread, 1);
		lua_xmove(thread, co->state->spare, 1);
	}
}

/* Room for n values.  So many are always there for a C function that has given its own away. */
static inline bool
has_room(lua_State *L, int n)
{
	return n < LUA_MINSTACK - 2 || lua_checkstack(L, n);
}

/*
 * Resume `thread' with the n values on top of L, which go.  Returns how many results were pushed instead, after `true' if that is
 * wanted; or -1, and an error message is on top.  Inline: every function that a switch goes through costs a return that the
 * processor predicts wrong.
 */
static inline __attribute__((always_inline)) int
resume(lua_State *L, lua_State *thread, int n, bool say_true)
{
	struct co	*co = co_of(thread);
	struct state	*state;
	enum status	 is;
	int		 error;

	if (co == NULL) {
		if (lua_status(thread) == LUA_YIELD)
			return resume_stock(L, thread, n, say_true);
		if ((is = stock_status(L, thread)) != SUSPENDED)
			return refuse(L, is == DEAD ? "cannot resume dead coroutine" : "cannot resume non-suspended coroutine");
		if ((co = start(L, state_of(L), thread)) == NULL)
			return -1;
	} else if (co->status != SUSPENDED)
		return refuse(L, "cannot resume non-suspended coroutine");
	state = co->state;
	co->depth = state->running != NULL ? state->running->depth + 1 : 1;
	if (co->depth > NEST_MAX)
		return refuse(L, "C stack overflow");
	if (co->forwarded ? !lua_checkstack(thread, n) : !has_room(thread, n))
		return refuse(L, "too many arguments to resume");
	lua_xmove(L, thread, n);
	if (say_true)
		lua_pushboolean(L, 1);
	co->n = n;
	co->resumer = state->running;
	if (co->resumer != NULL)
		co->resumer->status = NORMAL;
	co->status = RUNNING;
	state->running = co;
	error = reap_resume(co->context, 0, NULL);
	state->running = co->resumer;
	if (state->running != NULL)
		state->running->status = RUNNING;
	n = co->n;
	if (error == REAP_SUSPENDED) {
		if (!has_room(L, n + 1)) {
			lua_pop(thread, n);
			return refuse(L, "too many results to resume");
		}
		lua_xmove(thread, L, n);
		return n;
	}
	if (error != REAP_ENDED) {
		co->status = SUSPENDED;
		lua_pop(thread, n);
		return refuse(L, error == -EPERM || error == -EINVAL ? "a coroutine can only be resumed by the OS thread that it was started on" :
		    strerror(-error));
	}
	if (co->result != LUA_OK) {
		lua_xmove(thread, L, 1);
		retire(co);
		return -1;
	}
	n--;				/* all that is there, the anchor included */
	if (!has_room(L, n + 1)) {
		retire(co);
		return refuse(L, "too many results to resume");
	}
	lua_xmove(thread, L, n);
	retire(co);
	return n;
}

/* ---- the library ---- */

static lua_State *
thread_arg(lua_State *L)
{
	lua_State *thread = lua_tothread(L, 1);

	luaL_argexpected(L, thread != NULL, 1, "thread");
	return thread;
}

static int
co_create(lua_State *L)
{
	lua_State *thread;

	luaL_checktype(L, 1, LUA_TFUNCTION);
	thread = lua_newthread(L);
	*(void **)lua_getextraspace(thread) = NULL;
	lua_pushvalue(L, 1);
	lua_xmove(L, thread, 1);
	return 1;
}

static int
co_resume(lua_State *L)
{
	lua_State *thread = thread_arg(L);
	int n = resume(L, thread, lua_gettop(L) - 1, true);

	if (n < 0) {
		lua_pushboolean(L, 0);
		lua_insert(L, -2);
		return 2;
	}
	return n + 1;
}

static int
wrapped(lua_State *L)
{
	lua_State	*thread = lua_tothread(L, lua_upvalueindex(2));
	int		 n = resume(L, thread, lua_gettop(L), false), status;

	if (n >= 0)
		return n;
	status = lua_status(thread);
	if (status != LUA_OK && status != LUA_YIELD) {	/* an error in the coroutine: close its variables */
		status = lua_resetthread(thread);
		lua_xmove(thread, L, 1);
	}
	if (status != LUA_ERRMEM && lua_type(L, -1) == LUA_TSTRING) {
		luaL_where(L, 1);
		lua_insert(L, -2);
		lua_concat(L, 2);
	}
	return lua_error(L);
}

static int
co_wrap(lua_State *L)
{
	co_create(L);
	lua_pushvalue(L, lua_upvalueindex(1));
	lua_insert(L, -2);
	lua_pushcclosure(L, wrapped, 2);
	return 1;
}

/* Does a finalizer run, in this very coroutine?  Lua's collector is off until it returns. */
static bool
finalizing(lua_State *L)
{
	lua_Debug	ar;
	int		running = lua_gc(L, LUA_GCISRUNNING);

	/* Lua 5.4.4 and later refuse to answer within a finalizer; before, that looks as if the program had stopped it. */
	if (running > 0 || (running == 0 && LUA_VERSION_RELEASE_NUM >= 50404))
		return false;
	for (int level = 0; lua_getstack(L, level, &ar); level++)
		if (lua_getinfo(L, "n", &ar) && ar.name != NULL && strcmp(ar.name, "__gc") == 0 &&
		    strcmp(ar.namewhat, "metamethod") == 0)
			return true;
	return false;
}

static int
co_yield(lua_State *L)
{
	struct co *co = co_of(L);

	if (co == NULL || co->status != RUNNING)
		return lua_yield(L, lua_gettop(L));	/* somebody else's lua_resume(), or the main thread: Lua says which */
	if (finalizing(L))
		return luaL_error(L, "attempt to yield inside a __gc metamethod: no memory would be collected meanwhile");
	co->n = lua_gettop(L);
	co->status = SUSPENDED;
	(void)reap_suspend(NULL);
	return co->n;
}

static int
co_isyieldable(lua_State *L)
{
	lua_State *thread = lua_isnone(L, 1) ? L : thread_arg(L);
	const struct co *co = co_of(thread);

	lua_pushboolean(L, co == NULL || co->status != RUNNING ? lua_isyieldable(thread) || co != NULL : !finalizing(thread));
	return 1;
}

static int
co_status(lua_State *L)
{
	lua_pushstring(L, status_names[status_of(L, thread_arg(L))]);
	return 1;
}

static int
co_running(lua_State *L)
{
	int main = lua_pushthread(L);

	lua_pushboolean(L, main);
	return 2;
}

static int
co_close(lua_State *L)
{
	lua_State	*thread = thread_arg(L);
	struct co	*co = thread != L ? co_of(thread) : NULL;
	enum status	 status = status_of(L, thread);

	if (status != SUSPENDED && status != DEAD)
		return luaL_error(L, "cannot close a %s coroutine", status_names[status]);
	if (co != NULL) {
		drop(co);
		co_unbind(co);
	}
	if (lua_resetthread(thread) == LUA_OK) {
		lua_pushboolean(L, 1);
		return 1;
	}
	lua_pushboolean(L, 0);
	lua_xmove(thread, L, 1);
	return 2;
}

static const luaL_Reg library[] = {
	{ "close", co_close },
	{ "create", co_create },
	{ "isyieldable", co_isyieldable },
	{ "resume", co_resume },
	{ "running", co_running },
	{ "status", co_status },
	{ "wrap", co_wrap },
	{ "yield", co_yield },
	{ NULL, NULL }
};

static void
metatable(lua_State *L, lua_CFunction gc)
{
	lua_createtable(L, 0, 1);
	lua_pushcfunction(L, gc);
	lua_setfield(L, -2, "__gc");
}

__attribute__((visibility("default"))) int
luaopen_reap_coroutine(lua_State *L);

int
luaopen_reap_coroutine(lua_State *L)
{
	struct state	*state;
	int		 error;

	luaL_checkversion(L);
	luaL_newlibtable(L, library);
	state = lua_newuserdatauv(L, sizeof(*state), 1);
	*state = (struct state){ .pace = PACE_MIN };
	metatable(L, state_gc);
	lua_setmetatable(L, -2);
	lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_MAINTHREAD);
	state->main = lua_tothread(L, -1);
	(void)VALGRIND_MAKE_MEM_DEFINED(lua_getextraspace(state->main), LUA_EXTRASPACE);	/* whatever it is: co_of() copes */
	lua_pop(L, 1);
	state->spare = lua_newthread(L);
	if (!lua_checkstack(state->spare, SPARE_MAX))
		return luaL_error(L, "not enough memory");
	lua_setiuservalue(L, -2, 1);
	metatable(L, anchor_gc);
	lua_rawsetp(L, LUA_REGISTRYINDEX, &anchor_key);
	error = home_open(state);
	if (error != 0)
		return luaL_error(L, "reap.coroutine: %s", strerror(-error));
	luaL_setfuncs(L, library, 1);
	return 1;
}
