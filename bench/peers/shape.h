/* SPDX-License-Identifier: ISC */
/*
 * shape.h: the shapes that every peer is measured in, and how a program says what it has measured.  C11 and C++17.
 *
 *	PROGRAM [--variant NAME] [--rounds N] [--time MS] [--idle MS] [--adds N] [--json] SHAPE [COUNT]
 *	PROGRAM --shapes			their names
 *
 *	switch		one-way switch between two contexts
 *	life-one	spawn, run empty, exit, join; one at a time
 *	live-1000	1000 spawned, each yields once, then all are joined: 1000 stacks are in use
 *	batch-1000	1000 spawned, none blocks, then all are joined
 *	two-empty	batch-1000 on two workers; only batches of which each worker ran a tenth are counted
 *	two-1us		the same with bodies of a microsecond: as many additions as --adds says, else as many as it then takes
 *	cross		spawned on one worker, run and ended on the other, joined on the first
 *	live		COUNT contexts at a time, a page of stack touched in each; notes: phases, mappings, memory
 *	rss		memory after COUNT contexts ended: at once, after 2.5 idle seconds, after whatever trims
 *	zombies		memory of COUNT contexts that have ended and are not joined
 *	handoff		one creates, another joins, COUNT times; notes: the most memory at a time
 *
 * A peer has those that mean something to it.  Each item's cost is process CPU time and wall time.  Before each sample stands
 * one of the calibration loop, a chain of additions, one per clock cycle: between machines compare multiples of that.
 *
 * With one round the output is a line per sample, an object of JSON; with more, a summary.
 */
#ifndef SHAPE_H
#define SHAPE_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PEER_STACK	65536		/* bytes: every peer that can be told gets this */
#define PEER_BATCH	1000
#define PEER_SAMPLE	8		/* of so many bodies one says which worker it runs on: asking costs, too */
#define PEER_ROUNDS	99

enum peer_kind {
	PEER_TIMED,	/* run(n): n items, a multiple of unit */
	PEER_BATCHES,	/* run(unit): one batch on two workers */
	PEER_ONCE	/* run(COUNT): adds to peer_spent and peer_items itself */
};

struct peer_shape {
	const char *name;
	enum peer_kind kind;
	long	 unit;			/* PEER_ONCE: the default COUNT */
	unsigned workers;
	void	(*run)(long n);
};

struct peer_time {
	double	 cpu, wall;		/* nanoseconds */
};

static const struct peer_shape *peer_shape;	/* the one that was asked for */
static const char *peer_variant = "";
static long	 peer_count;			/* COUNT, or 0 */
static int	 peer_rounds = 1;
static double	 peer_budget = 50e6;		/* ns of wall time that a sample of a timed shape takes */
static int	 peer_idle_ms = 2500;		/* longer than two periods of libreap's decay */
static bool	 peer_json;

static struct peer_time peer_spent;
static double	 peer_items;
static long	 peer_ran[2];			/* bodies that said on which of two workers they ran */
static double	 peer_adds;			/* additions per microsecond; 0: not known yet */
static struct {
	const char *key;
	double	 value;
} peer_notes[24];
static unsigned	 peer_nnotes;

#if defined(__GNUC__)
#define PEER_UNUSED	__attribute__((unused))
#else
#define PEER_UNUSED
#endif

static inline double
peer_clock(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static inline struct peer_time
peer_now(void)
{
	struct peer_time t;

	t.cpu = peer_clock(CLOCK_PROCESS_CPUTIME_ID);
	t.wall = peer_clock(CLOCK_MONOTONIC);
	return t;
}

static inline void
peer_charge(struct peer_time since)
{
	struct peer_time t = peer_now();

	peer_spent.cpu += t.cpu - since.cpu;
	peer_spent.wall += t.wall - since.wall;
}

PEER_UNUSED static void
peer_note(const char *key, double value)
{
	if (peer_nnotes < sizeof(peer_notes) / sizeof(peer_notes[0])) {
		peer_notes[peer_nnotes].key = key;
		peer_notes[peer_nnotes++].value = value;
	}
}

/* A failure of the program, not a limit of the peer. */
PEER_UNUSED static void
peer_must(bool well, const char *what)
{
	if (well)
		return;
	fprintf(stderr, "%s: %s failed: %s\n", peer_shape != NULL ? peer_shape->name : "peer", what, strerror(errno));
	exit(1);
}

/* A dependent chain of additions, sixteen a turn: a turn of one lasts as long as its jump, two cycles where that crosses a line. */
static inline void
peer_add(long n)
{
	uint64_t x = 0;

#define PEER_ADD	do { x += 1; __asm__ volatile("" : "+r"(x)); } while (0)
#define PEER_ADD_4	do { PEER_ADD; PEER_ADD; PEER_ADD; PEER_ADD; } while (0)
	for (; n >= 16; n -= 16) {
		PEER_ADD_4;
		PEER_ADD_4;
		PEER_ADD_4;
		PEER_ADD_4;
	}
	while (n-- > 0)
		PEER_ADD;
#undef PEER_ADD_4
#undef PEER_ADD
}

/* Nanoseconds of CPU time per addition: the best of three, as what disturbs it only makes it slower. */
static inline double
peer_addition(void)
{
	double best = 0;

	for (int i = 0; i < 3; i++) {
		double t = peer_clock(CLOCK_PROCESS_CPUTIME_ID);

		peer_add(1000000);
		t = (peer_clock(CLOCK_PROCESS_CPUTIME_ID) - t) / 1e6;
		if (i == 0 || t < best)
			best = t;
	}
	return best;
}

PEER_UNUSED static void
peer_burn(void)
{
	peer_add((long)peer_adds);
}

/* body() number i says on which of the two workers it runs. */
PEER_UNUSED static void
peer_on(int worker)
{
	__atomic_fetch_add(&peer_ran[worker != 0], 1, __ATOMIC_RELAXED);
}

/* A figure in KiB of this process, from a file that the kernel makes up as it is read. */
static inline double
peer_kib(const char *file, const char *key)
{
	FILE *f = fopen(file, "r");
	char line[256];
	double kib = -1;

	if (f == NULL)
		return -1;
	while (kib < 0 && fgets(line, sizeof(line), f) != NULL)
		if (strncmp(line, key, strlen(key)) == 0)
			kib = atof(line + strlen(key));
	fclose(f);
	return kib;
}

/* Counted page by page where the kernel can: its running total is off by what each processor has not added yet. */
static inline double
peer_rss(void)
{
	double kib = peer_kib("/proc/self/smaps_rollup", "Rss:");

	return kib >= 0 ? kib : peer_kib("/proc/self/status", "VmRSS:");
}

PEER_UNUSED static double
peer_maps(void)
{
	FILE *f = fopen("/proc/self/maps", "r");
	double n = 0;
	int c;

	if (f == NULL)
		return -1;
	while ((c = getc(f)) != EOF)
		n += c == '\n';
	fclose(f);
	return n;
}

static void
peer_print(double adds_ns)
{
	double items = peer_items > 0 ? peer_items : 1;

	if (peer_json) {
		printf("{\"shape\": \"%s\", \"items\": %.0f, \"cpu_ns\": %.0f, \"wall_ns\": %.0f, \"add_ns\": %.4f, \"notes\": {",
		    peer_shape->name, peer_items, peer_spent.cpu, peer_spent.wall, adds_ns);
		for (unsigned i = 0; i < peer_nnotes; i++)
			printf("%s\"%s\": %.6g", i > 0 ? ", " : "", peer_notes[i].key, peer_notes[i].value);
		printf("}}\n");
	} else {
		printf("%-12s %10.2f ns CPU %10.2f ns wall %9.1f additions, of %.0f", peer_shape->name, peer_spent.cpu / items,
		    peer_spent.wall / items, adds_ns > 0 ? peer_spent.cpu / items / adds_ns : 0, peer_items);
		for (unsigned i = 0; i < peer_nnotes; i++)
			printf("; %s %.6g", peer_notes[i].key, peer_notes[i].value);
		printf("\n");
	}
	fflush(stdout);
}

/* The peer can do no more than `reached': its limit is a result.  Does not return, and leaves no peer's cleanup to do. */
PEER_UNUSED static void
peer_stopped(long reached, const char *what, int error)
{
	if (peer_json)
		printf("{\"shape\": \"%s\", \"items\": %ld, \"stopped\": \"%s: %s\"}\n", peer_shape->name, reached, what,
		    strerror(error));
	else
		printf("%-12s stopped at %ld: %s: %s\n", peer_shape->name, reached, what, strerror(error));
	fflush(stdout);
	_exit(0);
}

static int
peer_by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void
peer_spread(const char *name, double *v, int n, const char *unit)
{
	qsort(v, (size_t)n, sizeof(*v), peer_by_value);
	if (peer_json)
		printf(", \"%s\": {\"median\": %.4f, \"min\": %.4f, \"max\": %.4f}", name, (v[n / 2] + v[(n - 1) / 2]) / 2, v[0],
		    v[n - 1]);
	else
		printf(" %10.2f [%.2f-%.2f] %s", (v[n / 2] + v[(n - 1) / 2]) / 2, v[0], v[n - 1], unit);
}

/* One sample; returns its wall time. */
static double
peer_sample(long n)
{
	struct peer_time t;

	memset(&peer_spent, 0, sizeof(peer_spent));
	peer_items = 0;
	peer_nnotes = 0;
	if (peer_shape->kind == PEER_BATCHES) {
		long batches = 0, counted = 0;
		double end = peer_clock(CLOCK_MONOTONIC) + peer_budget;

		do {
			long least, sum;

			peer_ran[0] = peer_ran[1] = 0;
			t = peer_now();
			peer_shape->run(peer_shape->unit);
			least = peer_ran[0] < peer_ran[1] ? peer_ran[0] : peer_ran[1];
			sum = peer_ran[0] + peer_ran[1];
			batches++;
			if (least * 10 >= sum && sum > 0) {
				peer_charge(t);
				counted++;
				peer_items += (double)peer_shape->unit;
			}
		} while (peer_clock(CLOCK_MONOTONIC) < end);
		peer_note("batches", (double)batches);
		peer_note("counted", (double)counted);
	} else if (peer_shape->kind == PEER_TIMED) {
		t = peer_now();
		peer_shape->run(n);
		peer_charge(t);
		peer_items = (double)n;
	} else
		peer_shape->run(n);
	return peer_spent.wall;
}

/* How many items take the time that a sample may take: the way there is the warming up. */
static long
peer_size(void)
{
	long n = peer_shape->unit;
	double t;

	while ((t = peer_sample(n)) < peer_budget / 4) {
		double more = t > 0 ? peer_budget / t : 16;

		n *= more > 16 ? 16 : more < 2 ? 2 : (long)more;
	}
	n = (long)((double)n * peer_budget / t);
	n -= n % peer_shape->unit;
	return n > peer_shape->unit ? n : peer_shape->unit;
}

/* Called where the peer's contexts can be made: in its first context, if it has such a thing. */
PEER_UNUSED static void
peer_run(void)
{
	static double cpu[PEER_ROUNDS], wall[PEER_ROUNDS], adds[PEER_ROUNDS];
	long n = peer_count > 0 ? peer_count : peer_shape->unit;
	int got = 0;

	if (peer_adds == 0)
		peer_adds = 1000 / peer_addition();
	if (peer_shape->kind == PEER_TIMED && peer_count == 0)
		n = peer_size();
	else if (peer_shape->kind == PEER_ONCE)
		peer_rounds = 1;	/* a second one would find the memory of the first */
	else
		(void)peer_sample(n);
	for (int i = 0; i < peer_rounds; i++) {
		double addition = peer_addition();

		(void)peer_sample(n);
		if (peer_rounds == 1)
			peer_print(addition);
		if (peer_items == 0)
			continue;	/* no batch was counted */
		cpu[got] = peer_spent.cpu / peer_items;
		wall[got] = peer_spent.wall / peer_items;
		adds[got] = cpu[got] / addition;
		got++;
	}
	if (peer_rounds > 1 && got == 0) {
		printf(peer_json ? "{\"shape\": \"%s\", \"rounds\": 0}\n" : "%-12s no batch counted\n", peer_shape->name);
	} else if (peer_rounds > 1) {
		if (peer_json)
			printf("{\"shape\": \"%s\", \"variant\": \"%s\", \"unit\": \"ns\", \"rounds\": %d, \"items\": %.0f", peer_shape->name,
			    peer_variant, got, peer_items);
		else
			printf("%-12s", peer_shape->name);
		peer_spread("cpu", cpu, got, "ns CPU");
		peer_spread("wall", wall, got, "ns wall");
		peer_spread("additions", adds, got, "additions");
		printf(peer_json ? "}\n" : "\n");
	}
	fflush(stdout);
}

/* `live', of its phases. */
PEER_UNUSED static void
peer_live(long n, void (*make)(long), void (*end)(long), void (*trim)(void))
{
	double maps = peer_maps(), rss = peer_rss(), tables = peer_kib("/proc/self/status", "VmPTE:");
	struct peer_time t[4];

	t[0] = peer_now();
	make(n);
	peer_charge(t[0]);
	t[1] = peer_spent;
	peer_note("maps", peer_maps() - maps);
	peer_note("rss_kib", peer_rss() - rss);
	peer_note("tables_kib", peer_kib("/proc/self/status", "VmPTE:") - tables);
	t[0] = peer_now();
	end(n);
	peer_charge(t[0]);
	t[2] = peer_spent;
	t[0] = peer_now();
	if (trim != NULL)
		trim();
	peer_charge(t[0]);
	t[3] = peer_spent;
	peer_items = (double)n;
	peer_note("make_cpu_ns", t[1].cpu / peer_items);
	peer_note("end_cpu_ns", (t[2].cpu - t[1].cpu) / peer_items);
	if (trim != NULL)
		peer_note("trim_cpu_ns", (t[3].cpu - t[2].cpu) / peer_items);
}

/* `rss': two bursts, one that is left alone and one that is trimmed. */
PEER_UNUSED static void
peer_burst(long n, void (*make)(long), void (*end)(long), void (*idle)(int ms), void (*trim)(void))
{
	double rss = peer_rss();
	struct peer_time t = peer_now();

	make(n);
	peer_note("peak_kib", peer_rss() - rss);
	end(n);
	peer_charge(t);
	peer_items = (double)n;
	peer_note("at_once_kib", peer_rss() - rss);
	idle(peer_idle_ms);
	peer_note("idle_kib", peer_rss() - rss);
	make(n);
	end(n);
	if (trim != NULL) {
		trim();
		peer_note("trimmed_kib", peer_rss() - rss);
	}
}

/* `zombies'. */
PEER_UNUSED static void
peer_zombies(long n, void (*make)(long), void (*collect)(long), void (*trim)(void))
{
	double rss;
	struct peer_time t;

	make(n / 100 + 1);		/* the first allocations of a program are not theirs */
	collect(n / 100 + 1);
	if (trim != NULL)
		trim();
	rss = peer_rss();
	t = peer_now();
	make(n);
	peer_charge(t);
	if (trim != NULL)
		trim();
	peer_note("bytes_each", (peer_rss() - rss) * 1024 / (double)n);
	t = peer_now();
	collect(n);
	peer_charge(t);
	peer_items = (double)n;
}

/* `handoff': pass(n) returns how many it did before peer_late(). */
static double	 peer_deadline;

PEER_UNUSED static bool
peer_late(void)
{
	return peer_clock(CLOCK_MONOTONIC) > peer_deadline;
}

PEER_UNUSED static void
peer_handoff(long n, long (*pass)(long))
{
	FILE *f = fopen("/proc/self/clear_refs", "w");
	double rss = peer_rss();
	struct peer_time t = peer_now();

	if (f != NULL) {
		fputs("5", f);		/* the high-water mark starts anew */
		fclose(f);
	}
	peer_deadline = t.wall + peer_budget * 20;
	peer_items = (double)pass(n);
	peer_charge(t);
	peer_note("peak_kib", peer_kib("/proc/self/status", "VmHWM:") - rss);
}

/* The arguments.  `shapes' ends with a name of NULL. */
PEER_UNUSED static void
peer_args(int argc, char **argv, const struct peer_shape *shapes)
{
	const struct peer_shape *s;

	for (int i = 1; i < argc; i++)
		if (strcmp(argv[i], "--shapes") == 0) {
			for (s = shapes; s->name != NULL; s++)
				printf("%s\n", s->name);
			exit(0);
		} else if (strcmp(argv[i], "--json") == 0)
			peer_json = true;
		else if (strcmp(argv[i], "--variant") == 0 && i + 1 < argc)
			peer_variant = argv[++i];
		else if (strcmp(argv[i], "--rounds") == 0 && i + 1 < argc)
			peer_rounds = atoi(argv[++i]);
		else if (strcmp(argv[i], "--time") == 0 && i + 1 < argc)
			peer_budget = atof(argv[++i]) * 1e6;
		else if (strcmp(argv[i], "--adds") == 0 && i + 1 < argc)
			peer_adds = atof(argv[++i]);
		else if (strcmp(argv[i], "--idle") == 0 && i + 1 < argc)
			peer_idle_ms = atoi(argv[++i]);
		else if (peer_shape != NULL)
			peer_count = atol(argv[i]);
		else {
			for (s = shapes; s->name != NULL && strcmp(s->name, argv[i]) != 0; s++)
				continue;
			if (s->name == NULL)
				break;
			peer_shape = s;
		}
	if (peer_shape == NULL || peer_rounds < 1 || peer_rounds > PEER_ROUNDS || !(peer_budget > 0) || peer_count < 0 ||
	    !(peer_adds >= 0)) {
		fprintf(stderr, "usage: %s [--variant NAME] [--rounds N] [--time MS] [--idle MS] [--adds N] [--json] SHAPE [COUNT]\n"
		    "shapes:", argv[0]);
		for (s = shapes; s->name != NULL; s++)
			fprintf(stderr, " %s", s->name);
		fprintf(stderr, "\n");
		exit(2);
	}
}

#endif
