/* SPDX-License-Identifier: ISC */
/*
 * wx.c: no memory of the library's is ever executable, all of its stacks say that they are stacks, and no mapping of a program
 * that uses it can be written and executed.
 *
 * Linked with -Wl,--wrap=mmap,--wrap=mmap64,--wrap=mprotect; the C library chooses which of the first two it is.
 */
#include <stdio.h>
#include <sys/mman.h>
#include <sys/types.h>

#include <reap.h>

#include "../check.h"

#define CONTEXTS	100

#ifndef MAP_STACK		/* os/unix.c says where it is wanted */
#define MAP_STACK	0
#endif
#ifdef __FreeBSD__
#undef MAP_STACK
#define MAP_STACK	0
#endif

#ifdef __GLIBC__
#define REAL_MMAP	__real_mmap64
#define WRAP_MMAP	__wrap_mmap64
#else
#define REAL_MMAP	__real_mmap
#define WRAP_MMAP	__wrap_mmap
#endif

static unsigned maps, protections, ends;

void	*REAL_MMAP(void *, size_t, int, int, int, off_t);
void	*WRAP_MMAP(void *, size_t, int, int, int, off_t);
int	 __real_mprotect(void *, size_t, int);
int	 __wrap_mprotect(void *, size_t, int);

void *
WRAP_MMAP(void *address, size_t size, int protection, int flags, int fd, off_t offset)
{
	CHECK_EQ(protection & PROT_EXEC, 0);
	CHECK_EQ(flags & MAP_STACK, MAP_STACK);
	maps++;
	return REAL_MMAP(address, size, protection, flags, fd, offset);
}

int
__wrap_mprotect(void *address, size_t size, int protection)
{
	CHECK_EQ(protection & PROT_EXEC, 0);
	protections++;
	return __real_mprotect(address, size, protection);
}

static intptr_t
end(void *arg)
{
	ends++;
	return (intptr_t)arg;
}

static struct reap_context *
next(struct reap_worker *worker)
{
	(void)worker;
	return NULL;
}

static void
ready(struct reap_context *context)
{
	(void)context;
}

/* Contexts made, run, reaped and trimmed: the pool maps, guards, decommits, unmaps. */
static void
lives(void)
{
	static const struct reap_host host = { .next = next, .ready = ready };
	struct reap_domain_options options = { .size = sizeof(options), .host = &host };
	struct reap_context *context[CONTEXTS];
	struct reap_domain *domain;
	struct reap_worker *worker;

	CHECK_EQ(reap_domain_create(&options, &domain), 0);
	CHECK_EQ(reap_worker_start(domain, NULL, &worker), 0);
	for (int i = 0; i < CONTEXTS; i++)
		CHECK_EQ(reap_spawn(worker, end, NULL, &context[i]), 0);
	for (int i = 0; i < CONTEXTS; i++) {
		worker = reap_switch(worker, context[i]);
		CHECK_EQ(reap_wait(context[i], 0, NULL), 0);
	}
	(void)reap_trim(domain);
	CHECK_EQ(reap_spawn(worker, end, NULL, &context[0]), 0);
	worker = reap_switch(worker, context[0]);
	CHECK_EQ(reap_wait(context[0], 0, NULL), 0);
	CHECK_EQ(reap_worker_stop(worker), 0);
	CHECK_EQ(reap_domain_destroy(domain, NULL, NULL), 0);
	CHECK_EQ(ends, CONTEXTS + 1);
}

int
main(void)
{
	char line[512], permissions[8];
	unsigned seen = 0;
	FILE *f;

	lives();
	CHECK(maps > 0);
	printf("%u mappings, %u protections: none executable, all of them stacks\n", maps, protections);
	if ((f = fopen("/proc/self/maps", "r")) == NULL) {
		puts("this system does not list mappings: those of others were not looked at");
		return 0;
	}
	while (fgets(line, sizeof(line), f) != NULL)
		if (sscanf(line, "%*s %7s", permissions) == 1) {
			if (strchr(permissions, 'w') != NULL && strchr(permissions, 'x') != NULL) {
				printf("writable and executable: %s", line);
				return 1;
			}
			seen++;
		}
	fclose(f);
	CHECK(seen > 2);
	printf("%u mappings in all: none writable and executable\n", seen);
	return 0;
}
