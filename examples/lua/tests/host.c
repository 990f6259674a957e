/* SPDX-License-Identifier: ISC */
/*
 * host.c: programs that embed Lua and load the module: states that come and go, several on a thread, one for each thread, one
 * that another thread closes; Lua within contexts of the program's own.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#include <reap.h>

#include "../../../tests/check.h"

static const char sorts[] =
	"coroutine = require 'reap.coroutine'\n"
	"local function body(n)\n"
	"	local t, yields = {}, 0\n"
	"	for i = 1, n do t[i] = n - i end\n"
	"	table.sort(t, function(a, b) yields = yields + coroutine.yield(1) return a < b end)\n"
	"	for i = 2, n do assert(t[i - 1] <= t[i]) end\n"
	"	return -yields\n"
	"end\n"
	"local function run(n)\n"
	"	local f = coroutine.wrap(body)\n"
	"	local v = f(n)\n"
	"	while v > 0 do v = f(v) end\n"
	"	return -v\n"
	"end\n"
	"for n = 10, 60, 10 do assert(run(n) > n / 2) end\n"
	"left = coroutine.wrap(body)\n"	/* suspended until the state is closed */
	"assert(left(9) == 1)\n";

static lua_State *
open_state(const char *code)
{
	lua_State *L = luaL_newstate();

	CHECK(L != NULL);
	luaL_openlibs(L);
	if (luaL_dostring(L, code) != LUA_OK) {
		fprintf(stderr, "%s\n", lua_tostring(L, -1));
		exit(1);
	}
	return L;
}

static void
run_state(const char *code)
{
	lua_close(open_state(code));
}

static void *
a_thread(void *arg)
{
	(void)arg;
	for (int i = 0; i < 5; i++)
		run_state(sorts);
	return NULL;
}

struct passed_on {
	lua_State *L;
	bool	 close;
};

/* A thread's coroutines are its own: others are told so, and may close the state. */
static void *
another_thread(void *arg)
{
	struct passed_on *p = arg;

	CHECK(luaL_dostring(p->L, "local ok, e = pcall(left, 1) assert(not ok and e:find('OS thread', 1, true), e)\n"
	    "ok, e = pcall(coroutine.wrap(function() end)) assert(not ok and e:find('OS thread', 1, true), e)") == LUA_OK);
	if (p->close)
		lua_close(p->L);
	return NULL;
}

/* Ends with a state of its own that another thread has closed, or nobody. */
static void *
leaves_a_state(void *arg)
{
	struct passed_on	*p = arg;
	pthread_t		 thread;

	p->L = open_state(sorts);
	CHECK(pthread_create(&thread, NULL, another_thread, p) == 0);
	CHECK(pthread_join(thread, NULL) == 0);
	if (p->close)
		run_state(sorts);	/* what the other one has discarded goes now */
	return NULL;
}

static intptr_t
in_a_context(void *arg)
{
	run_state(sorts);
	return (intptr_t)arg;
}

int
main(void)
{
	struct reap_domain_options options = { .size = sizeof(options), .stack.size = (size_t)1 << 20 };
	struct reap_domain	*domain;
	struct reap_worker	*worker;
	struct reap_context	*context;
	struct reap_passed	 passed = { .word = 0 };
	struct passed_on	 p;
	pthread_t		 threads[4];
	lua_State		*a, *b;

	/* More often than a process has keys for pthread_key_create(3). */
	for (int i = 0; i < 1500; i++)
		run_state("require('reap.coroutine').wrap(function() end)()");
	a = open_state(sorts);
	b = open_state(sorts);
	lua_close(a);
	CHECK(luaL_dostring(b, "assert(left(1) == 1)") == LUA_OK);
	lua_close(b);
	CHECK(reap_worker_self() == NULL);

	for (int i = 0; i < 4; i++)
		CHECK(pthread_create(&threads[i], NULL, a_thread, NULL) == 0);
	for (int i = 0; i < 4; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);

	for (int i = 0; i < 2; i++) {
		p = (struct passed_on){ .close = i == 1 };
		CHECK(pthread_create(&threads[0], NULL, leaves_a_state, &p) == 0);
		CHECK(pthread_join(threads[0], NULL) == 0);
		if (!p.close)
			lua_close(p.L);
	}

	/* On a worker that is the program's, within one of its contexts. */
	CHECK(reap_domain_create(&options, &domain) == 0);
	CHECK(reap_worker_start(domain, NULL, &worker) == 0);
	run_state(sorts);
	CHECK(reap_spawn_owned(worker, in_a_context, (void *)3, &context) == 0);
	CHECK(reap_resume(context, 0, &passed) == REAP_ENDED && passed.word == 3);
	CHECK(reap_worker_stop(worker) == 0);
	CHECK(reap_domain_destroy(domain, NULL, NULL) == 0);
	puts("host: ok");
	return 0;
}
