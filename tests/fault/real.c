/* SPDX-License-Identifier: ISC */
/*
 * real.c: the system's own limits, reached in earnest: addresses, mappings, threads, files, locked memory.  What the sweeps
 * imitate happens here, all at once and in the kernel's own order.
 */
#include <grp.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <reap/runtime.h>

#include "os/os.h"

#include "../unit/stack_pool.h"
#include "fault.h"

#define MOST	20000
#define NOBODY	65534

static struct reap_context *made[MOST];

/* Contexts of two sizes until there are no more; all of them are undone again. */
static int
until_enomem(size_t most)
{
	struct reap_context_options options = { .size = sizeof(options), .entry = host_return };
	struct reap_stats before = host_stats(), after;
	int n, error = 0;

	for (n = 0; n < MOST; n++) {
		options.stack_size = n % 2 == 0 ? 0 : most;
		made[n] = NULL;
		if ((error = reap_context_create(host_domain, &options, &made[n])) != 0)
			break;
	}
	CHECK_EQ(error, -ENOMEM);
	CHECK(made[n] == NULL);
	CHECK_EQ(fault_held(), 0);
	after = host_stats();
	CHECK_EQ(after.created, before.created + (uint64_t)n);
	CHECK(after.enomem_memory + after.enomem_maps > before.enomem_memory + before.enomem_maps || n == 0);
	for (int i = 0; i < n; i++) {
		CHECK_EQ(reap_context_destroy(made[i], 0), 0);
		CHECK_EQ(reap_wait(made[i], 0, NULL), 0);
	}
	return n;
}

static void
live_once(void)
{
	struct reap_context *context;

	CHECK_EQ(reap_spawn(host_worker, host_return, NULL, &context), 0);
	host_queue(context);
	CHECK_EQ(reap_wait(context, 0, NULL), 0);
}

static size_t
addresses(void)
{
	unsigned long pages = 0;
	FILE *f = fopen("/proc/self/statm", "r");

	CHECK(f != NULL);
	CHECK_EQ(fscanf(f, "%lu", &pages), 1);
	CHECK_EQ(fclose(f), 0);
	return (size_t)pages * (size_t)sysconf(_SC_PAGESIZE);
}

static void
limit_addresses(size_t n)
{
	struct rlimit limit;

	CHECK_EQ(getrlimit(RLIMIT_AS, &limit), 0);
	limit.rlim_cur = n;
	CHECK_EQ(setrlimit(RLIMIT_AS, &limit), 0);
}

static void
lift_addresses(void)
{
	struct rlimit limit;

	CHECK_EQ(getrlimit(RLIMIT_AS, &limit), 0);
	limit.rlim_cur = limit.rlim_max;
	CHECK_EQ(setrlimit(RLIMIT_AS, &limit), 0);
}

TEST(fault_real, addresses_run_out)
{
	size_t	room;
	int	some = 0, all = 0;

	if (!numbers_are_ours())
		SKIP("a sanitizer or an emulator needs addresses of its own");
	for (unsigned flags = 0; flags <= REAP_STACK_NO_GUARD_INSTALL; flags += REAP_STACK_NO_GUARD_INSTALL)
		for (room = 0; room < (size_t)64 << 20; room = room * 2 + 100000) {
			fault_lift();
			host_open((struct reap_domain_options){ .stack = { .flags = flags } });
			limit_addresses(addresses() + room);
			some = until_enomem(300000);
			(void)reap_trim(host_domain);
			all = until_enomem(300000);		/* as many again: nothing was lost */
			lift_addresses();
			CHECK(all >= some);
			live_once();
			host_close();
			ledger_must_be_empty();
		}
	CHECK(some > 100);
}

TEST(fault_real, domain_and_worker_without_addresses)
{
	struct reap_domain_options options = { .size = sizeof(options), .host = &host_calls };
	int domains = 0, workers = 0;

	if (!numbers_are_ours())
		SKIP("a sanitizer or an emulator needs addresses of its own");
	for (size_t room = 0; room < (size_t)4 << 20; room += 512 << 10) {
		struct reap_context *context;
		int error, started = -ENOMEM, spawned = -ENOMEM;

		limit_addresses(addresses() + room);
		error = reap_domain_create(&options, &host_domain);
		if (error == 0)
			started = reap_worker_start(host_domain, NULL, &host_worker);
		if (started == 0)
			spawned = reap_spawn(host_worker, host_return, NULL, &context);
		lift_addresses();
		CHECK(error == 0 || error == -ENOMEM);
		CHECK(started == 0 || started == -ENOMEM);
		CHECK(spawned == 0 || spawned == -ENOMEM);
		if (error != 0) {
			ledger_must_be_empty();
			continue;
		}
		domains++;
		workers += started == 0;
		if (started != 0)
			CHECK_EQ(reap_worker_start(host_domain, NULL, &host_worker), 0);
		if (spawned == 0) {
			host_queue(context);
			CHECK_EQ(reap_wait(context, 0, NULL), 0);
		}
		live_once();
		host_close();
		ledger_must_be_empty();
	}
	CHECK(workers > 0 && workers < domains);
}

static intptr_t
program(void *arg)
{
	struct reap_context *child;

	(void)arg;
	CHECK_EQ(reap_go(host_return, NULL, &child), 0);
	CHECK_EQ(reap_wait(child, 0, NULL), 0);
	return 8;
}

static void
runs(void)
{
	const struct reap_runtime_options options = { .size = sizeof(options), .workers = 4 };
	intptr_t status = 0;

	CHECK_EQ(reap_run(&options, program, NULL, &status), 0);
	CHECK_EQ(status, 8);
	ledger_must_be_empty();
}

TEST(fault_real, runtime_without_addresses)
{
	const struct reap_runtime_options options = { .size = sizeof(options), .workers = 8 };
	struct reap_runtime *runtime = NULL;
	int refused = 0;

	if (!numbers_are_ours())
		SKIP("a sanitizer or an emulator needs addresses of its own");
	/* Room for the domain and none, some or all of the threads' own stacks. */
	for (size_t room = 0; room < (size_t)96 << 20; room = room * 2 + (2 << 20)) {
		int error;

		limit_addresses(addresses() + room);
		error = reap_runtime_create(&options, &runtime);
		lift_addresses();
		CHECK(error == 0 || error == -ENOMEM || error == -EAGAIN);
		refused += error != 0;
		if (error == 0)
			CHECK_EQ(reap_runtime_destroy(runtime), 0);
		ledger_must_be_empty();
		runs();
	}
	CHECK(refused > 1);
}

/* Threads: the limit counts those of a user, and root has none; so become somebody else, in a process of its own. */
static void
few_threads(void)
{
	const struct reap_runtime_options options = { .size = sizeof(options), .workers = 8 };
	struct reap_runtime	*runtime = NULL;
	struct rlimit		 limit;
	intptr_t		 status = 0;
	int			 error, refused = 0;

	if (getuid() == 0 && (setgroups(0, NULL) != 0 || setresgid(NOBODY, NOBODY, NOBODY) != 0 ||
	    setresuid(NOBODY, NOBODY, NOBODY) != 0))
		_exit(CHECK_SKIPPED);
	for (rlim_t most = 1; most < 6; most++) {
		CHECK_EQ(getrlimit(RLIMIT_NPROC, &limit), 0);
		limit.rlim_cur = most < limit.rlim_max ? most : limit.rlim_max;
		CHECK_EQ(setrlimit(RLIMIT_NPROC, &limit), 0);
		error = reap_runtime_create(&options, &runtime);
		if (error == 0)
			_exit(CHECK_SKIPPED);		/* a limit that does not count here */
		CHECK_EQ(error, -EAGAIN);
		ledger_must_be_empty();
		CHECK_EQ(reap_run(&options, program, NULL, &status), -EAGAIN);
		CHECK_EQ(status, 0);
		ledger_must_be_empty();
		refused++;
		limit.rlim_cur = limit.rlim_max;
		CHECK_EQ(setrlimit(RLIMIT_NPROC, &limit), 0);
	}
	error = reap_runtime_create(&options, &runtime);
	CHECK(error == 0 || error == -EAGAIN);		/* others of this user may have used up the hard limit */
	if (error == 0)
		CHECK_EQ(reap_runtime_destroy(runtime), 0);
	ledger_must_be_empty();
	CHECK_EQ(refused, 5);
	_exit(0);
}

TEST(fault_real, threads_run_out)
{
	int	status;
	pid_t	pid;

	if (!numbers_are_ours())
		SKIP("a sanitizer or an emulator has threads of its own");
	CHECK((pid = fork()) >= 0);
	if (pid == 0)
		few_threads();
	while (waitpid(pid, &status, 0) < 0)
		CHECK_EQ(errno, EINTR);
	CHECK(WIFEXITED(status));
	if (WEXITSTATUS(status) == CHECK_SKIPPED)
		SKIP("the number of threads cannot be limited here");
	CHECK_EQ(WEXITSTATUS(status), 0);
}

TEST(fault_real, files_run_out)
{
	struct rlimit limit, none;

	CHECK_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
	none = limit;
	none.rlim_cur = 0;
	CHECK_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
	fault_lift();
	host_open((struct reap_domain_options){ 0 });	/* nobody can be asked: guards by mprotect, the usual limit of mappings */
	live_once();
	host_close();
	CHECK_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
	ledger_must_be_empty();
	host_open((struct reap_domain_options){ 0 });
	live_once();
	host_close();
	ledger_must_be_empty();
}

/* Locked, pages go back in another way, and markers do not work. */
TEST(fault_real, memory_is_locked)
{
	if (FAULT_SANITIZED)
		SKIP("what a sanitizer maps cannot be locked");
	fault_lift();
	host_open((struct reap_domain_options){ .stack = { .cache = 2, .depot = 2 } });
	live_once();
	if (mlockall(MCL_FUTURE) != 0)
		SKIP("memory may not be locked here");
	for (int round = 0; round < 3; round++) {
		struct reap_context *context;

		for (int i = 0; i < 40; i++) {
			CHECK_EQ(reap_spawn(host_worker, host_return, NULL, &context), 0);
			host_queue(context);
		}
		while (reap_wait_any(0, NULL) == 0)
			continue;
		(void)reap_trim(host_domain);
		CHECK_EQ(host_stats().stacks_resident, 0);
	}
	CHECK_EQ(munlockall(), 0);
	host_close();
	ledger_must_be_empty();
}

/* Use up the mappings of this process: every second page of a large range is made read-only. */
static size_t
build_wall(char **base)
{
	size_t page = reap__os_page(), pages = 2 * reap__os_max_maps();

	*base = mmap(NULL, pages * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	CHECK(*base != MAP_FAILED);
	for (size_t i = 0; i < pages; i += 2)
		if (mprotect(*base + i * page, page, PROT_READ) != 0)
			break;
	return pages * page;
}

struct side {
	struct reap_domain *domain;
	struct reap_context *context[60];
};

static void
side_open(struct side *side)
{
	const struct reap_domain_options options = { .size = sizeof(options), .host = &host_calls,
	    .stack = { .flags = REAP_STACK_NO_GUARD_INSTALL, .maps = 1u << 30 } };

	CHECK_EQ(reap_domain_create(&options, &side->domain), 0);
	for (int i = 0; i < 60; i++) {
		const struct reap_context_options wanted = {
			.size = sizeof(wanted), .entry = host_return, .stack_size = i % 2 == 0 ? 0 : 200000
		};

		CHECK_EQ(reap_context_create(side->domain, &wanted, &side->context[i]), 0);
	}
}

static void
side_close(struct side *side)
{
	for (int i = 0; i < 60; i++) {
		struct reap_handle name = reap_context_handle(side->context[i]);

		CHECK_EQ(reap_context_destroy(side->context[i], 0), 0);
		CHECK_EQ(reap_join(name, 0, NULL), 0);
	}
	CHECK_EQ(reap_domain_destroy(side->domain, NULL, NULL), 0);
}

/*
 * At the limit of mappings munmap(2) itself fails, where it would have to split one; and a domain may end there.  What it cannot
 * give back then has no memory behind it.
 */
TEST(fault_real, mappings_run_out)
{
	static struct side side[5];
	char		*wall;
	size_t		 size, resident;

	if (!numbers_are_ours())
		SKIP("a sanitizer or an emulator needs mappings of its own");
	if (reap__os_max_maps() > 1 << 20)
		SKIP("too many mappings are allowed here to use them up");
	fault_lift();
	host_open((struct reap_domain_options){ .stack = { .flags = REAP_STACK_NO_GUARD_INSTALL, .maps = 1u << 30 } });
	live_once();
	resident = ledger_resident();
	for (int i = 0; i < 5; i++)		/* side by side, as the kernel puts them: they share mappings */
		side_open(&side[i]);
	CHECK(ledger_resident() > resident + 5);
	size = build_wall(&wall);
	for (int i = 0; i < 3; i++) {
		int some = until_enomem(100000);

		(void)reap_trim(host_domain);
		CHECK(until_enomem(100000) >= some);
		live_once();
	}
	for (int i = 1; i < 5; i += 2)		/* between others, and not */
		side_close(&side[i]);
	for (int i = 0; i < 5; i += 2)
		side_close(&side[i]);
	CHECK_EQ(munmap(wall, size), 0);
	host_close();
	CHECK_EQ(ledger_resident(), 0);
	(void)ledger_unmap_rest();
	ledger_must_be_empty();
}
