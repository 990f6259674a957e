/* SPDX-License-Identifier: ISC */
/*
 * hold_vs_reap.c: tracers hold, peek at, join and release contexts that are reaped at that moment, and whose descriptors get
 * new owners.  The status says whose it is: a name is its owner's or stale, never a stranger's.
 */
#include "host.h"

#define WORKERS		2
#define TRACERS		2
#define BOARD		32

static struct host host;
static long rounds;
static long held, seen, stale;
static bool over;

static struct entry {
	struct reap_handle handle;
	intptr_t	 id;
} board[BOARD];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static intptr_t
body(void *arg)
{
	host_delay();
	return ~(intptr_t)arg;
}

static void
look(struct entry entry, bool is_held)
{
	struct reap_result result = { { 0, 0 }, NULL, 0, { 0, 0, 0, 0 } };
	enum reap_state state = REAP_STATE_NONE;
	int error = reap_peek(entry.handle, &state, &result);

	if (error != 0) {
		CHECK_EQ(error, -ESRCH);
		CHECK(!is_held);
		(void)HOST_ADD(&stale, 1);
		return;
	}
	CHECK(state != REAP_STATE_NONE);
	if (state >= REAP_STATE_EXITING) {
		CHECK_EQ(result.status, ~entry.id);
		CHECK_EQ((intptr_t)result.user, entry.id);
		CHECK(result.handle.where == entry.handle.where && result.handle.generation == entry.handle.generation);
		(void)HOST_ADD(&seen, 1);
	}
}

static void
trace(void)
{
	struct entry entry;
	int error;

	pthread_mutex_lock(&lock);
	entry = board[host_choose(BOARD)];
	pthread_mutex_unlock(&lock);
	if (entry.handle.generation == 0)
		return;
	switch (host_choose(4)) {
	case 0:
		look(entry, false);
		break;
	case 1:
		if (host_choose(4) == 0) {
			struct reap_result result;

			error = reap_join(entry.handle, host_choose(2) ? REAP_NOHANG : 0, &result);
			if (error == 0)
				CHECK_EQ(result.status, ~entry.id);
			else
				CHECK(error == -ESRCH || error == -EBUSY || error == -EAGAIN);
		}
		break;
	default:
		error = reap_hold(entry.handle);
		if (error != 0) {
			CHECK_EQ(error, -ESRCH);
			(void)HOST_ADD(&stale, 1);
			break;
		}
		(void)HOST_ADD(&held, 1);
		for (unsigned i = host_choose(4); i > 0; i--) {
			look(entry, true);
			host_delay();
		}
		CHECK_EQ(reap_release(entry.handle), 0);
	}
}

static void *
tracer(void *arg)
{
	host_thread(WORKERS + (unsigned)(uintptr_t)arg);
	while (!HOST_LOAD(&over))
		trace();
	return NULL;
}

static intptr_t
tracing(void *arg)
{
	while (!HOST_LOAD(&over)) {
		trace();
		host_pause();
	}
	return (intptr_t)arg;
}

/* Makes and collects; its children's names stay on the board until somebody else's replace them. */
static intptr_t
parent(void *arg)
{
	for (long n = 0; n < rounds; n++) {
		for (int i = 0; i < 4; i++) {
			intptr_t id = (n * 4 + i) * 2 + (intptr_t)arg;
			struct reap_context_options options = {
				.size = sizeof(options),
				.entry = body,
				.arg = (void *)id,
				.user = (void *)id,
				.policy = host_policies[host_choose(HOST_POLICIES)],
				.notify = host_choose(2) ? REAP_NOTIFY_EARLY : REAP_NOTIFY_LATE,
				.flags = host_choose(8) == 0 ? REAP_CONTEXT_DETACHED : 0,
			};
			struct reap_context *context;

			CHECK_EQ(reap_context_create(host.domain, &options, &context), 0);
			pthread_mutex_lock(&lock);
			board[host_choose(BOARD)] = (struct entry){ reap_context_handle(context), id };
			pthread_mutex_unlock(&lock);
			host_ready(context);
		}
		while (reap_wait_any(0, NULL) == 0)
			continue;
		(void)reap_adopter_drain(reap_adopter_default(host.domain), 16);
		if (n % 256 == 0)
			(void)reap_trim(host.domain);
	}
	return (intptr_t)arg;
}

int
main(int argc, char **argv)
{
	struct reap_domain_options options = host_options();
	struct reap_handle family[2], context;
	pthread_t thread[TRACERS];

	rounds = host_main(argc, argv, 4000);
	options.usage = true;
	host_begin(&host, options, WORKERS);
	for (intptr_t i = 0; i < 2; i++)
		family[i] = host_go(&host, parent, (void *)i);
	context = host_go(&host, tracing, NULL);
	for (uintptr_t i = 0; i < TRACERS; i++)
		CHECK_EQ(pthread_create(&thread[i], NULL, tracer, (void *)i), 0);
	for (int i = 0; i < 2; i++)
		CHECK_EQ(reap_join(family[i], 0, NULL), 0);
	HOST_STORE(&over, true);
	for (int i = 0; i < TRACERS; i++)
		CHECK_EQ(pthread_join(thread[i], NULL), 0);
	CHECK_EQ(reap_join(context, 0, NULL), 0);
	for (int i = 0; i < BOARD; i++)
		if (board[i].handle.generation != 0) {
			CHECK_EQ(reap_hold(board[i].handle), -ESRCH);
			CHECK_EQ(reap_release(board[i].handle), -ESRCH);
		}
	host_end(&host);
	printf("%ld contexts, held %ld times, %ld statuses read, %ld names stale, none a stranger's\n", rounds * 8, held, seen, stale);
	return 0;
}
