/* SPDX-License-Identifier: ISC */
/*
 * drive.c: replays, prints, shortens, and makes up inputs; without libFuzzer.
 *
 * usage: drive [--print | --minimise OUT | --plain] FILE...
 *        drive [--seconds N] [--seed S] [--save FILE] [--patience N] [DIRECTORY | FILE]...
 *
 * Replays what is named, directories included; with --seconds also what a generator makes up, until the time is over.  --save:
 * where the program that is running is written to, so that it is there after a crash.  --plain: writes the files anew, each
 * operation with the first of its codes, which the operations that are appended to the list do not change.  --patience: seconds
 * after which one that runs is taken to hang.
 */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../check.h"
#include "machine.h"

#define BLOCK		64	/* made-up programs between two looks at the clock */

static unsigned long replayed, made, operations;
static const char *running;		/* the file */
static const char *save;
static unsigned patience = 60;		/* seconds for one input: a thousand times what it takes under valgrind */
static struct program program;

static void
say(const char *text)
{
	if (write(STDERR_FILENO, text, strlen(text)) < 0)
		_exit(2);
}

/* On its own stack: whose stack it was called on may be what is wrong. */
static void
died(int signo)
{
	machine_trace();
	say(signo == SIGALRM ? "HANGS" : "DIES");
	if (running != NULL) {
		say(": ");
		say(running);
	}
	say("\n");
	signal(SIGABRT, SIG_DFL);
	abort();
}

static void
watch(void)
{
	static char	 stack[64 * 1024];
	static const int signals[] = { SIGSEGV, SIGBUS, SIGILL, SIGTRAP, SIGALRM };
	struct sigaction action = { .sa_handler = died, .sa_flags = SA_ONSTACK };
	stack_t		 alternate = { .ss_sp = stack, .ss_size = sizeof(stack) };

	(void)sigaltstack(&alternate, NULL);
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		(void)sigaction(signals[i], &action, NULL);
}

static void
run(void)
{
	(void)alarm(patience);
	operations += program.n;
	machine_run(&program);
}

static bool
load(const char *path)
{
	uint8_t	 bytes[FUZZ_BYTES_MAX];
	FILE	*file = fopen(path, "rb");
	size_t	 n;

	if (file == NULL) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		exit(2);
	}
	n = fread(bytes, 1, sizeof(bytes), file);
	fclose(file);
	program_decode(&program, bytes, n);
	return true;
}

static void
store(const char *path)
{
	uint8_t	 bytes[FUZZ_BYTES_MAX];
	size_t	 n = program_encode(&program, bytes);
	FILE	*file = fopen(path, "wb");

	if (file == NULL || fwrite(bytes, 1, n, file) != n || fclose(file) != 0) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		exit(2);
	}
}

static void
replay(const char *path)
{
	struct dirent	**names;
	struct stat	  st;
	int		  n;

	if (stat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
		n = scandir(path, &names, NULL, alphasort);
		for (int i = 0; i < n; i++) {
			char name[1024];

			if (names[i]->d_name[0] != '.') {
				snprintf(name, sizeof(name), "%s/%s", path, names[i]->d_name);
				replay(name);
			}
			free(names[i]);
		}
		if (n >= 0)
			free(names);
		return;
	}
	running = path;
	(void)load(path);
	run();
	replayed++;
	running = NULL;
}

static uint64_t
draw(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state * UINT64_C(0x2545f4914f6cdd1d) >> 32;
}

/*
 * Half of the programs keep to a few operations: what needs many of one kind is then less rare.  A third have a domain for plain
 * lives (nothing is observed, spawns are private), a sixth one for windows: two threads or three, and a hook in the exit.
 */
static void
make_up(uint64_t seed)
{
	uint64_t	 state = (seed + 1) * UINT64_C(0x9e3779b97f4a7c15) | 1;
	uint8_t		 few[6];
	bool		 narrow;

	for (int i = 0; i < 4; i++)
		(void)draw(&state);
	memset(&program, 0, sizeof(program));
	for (unsigned i = 0; i < FUZZ_HEAD; i++)
		program.head[i] = (uint8_t)draw(&state);
	switch (draw(&state) % 6) {
	case 0:
	case 1:
		program.head[0] = (uint8_t)(0x10 | (program.head[0] & 0x22));
		program.head[1] &= 0x4b;
		program.head[3] &= 0x4f;
		program.head[4] = 1;
		break;
	case 2:
		program.head[1] |= 2;
		program.head[4] = 0;
		break;
	default:
		break;
	}
	narrow = draw(&state) % 2 == 0;
	for (unsigned i = 0; i < sizeof(few); i++)
		few[i] = (uint8_t)draw(&state);
	few[0] = program_code(OP_CREATE);
	program.n = 4 + (unsigned)(draw(&state) % (draw(&state) % 4 == 0 ? FUZZ_OPS_MAX - 4 : 40));
	for (unsigned i = 0; i < program.n; i++) {
		program.ops[i].code = narrow && draw(&state) % 4 != 0 ? few[draw(&state) % sizeof(few)] : (uint8_t)draw(&state);
		program.ops[i].a = (uint8_t)(draw(&state) | (program.head[4] == 1 && draw(&state) % 2 ? 0x80 : 0));
		/* Plain arguments as often as others. */
		program.ops[i].b = draw(&state) % 2 ? (uint8_t)draw(&state) : 0;
		program.ops[i].c = draw(&state) % 2 ? (uint8_t)draw(&state) : 0;
	}
}

static double
now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void
generate(double seconds, uint64_t seed)
{
	double end = now() + seconds;

	do
		for (int i = 0; i < BLOCK; i++) {
			make_up(seed + made);
			if (save != NULL)
				store(save);
			run();
			made++;
		}
	while (now() < end);
}

/* Does it still fail?  In a process of its own, silently. */
static bool
fails(void)
{
	pid_t	pid = fork();
	int	status;

	if (pid == 0) {
		if (freopen("/dev/null", "w", stderr) == NULL)
			_exit(0);
		signal(SIGALRM, SIG_DFL);
		(void)alarm(patience < 3 ? patience : 3);
		machine_run(&program);
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		exit(2);
	return status != 0;
}

static void
make_plain(const char *path)
{
	(void)load(path);
	for (unsigned i = 0; i < program.n; i++)
		program.ops[i].code = program_code(program_op(program.ops[i].code));
	store(path);
}

/* Leaves out what is not needed: operations in ever smaller pieces, then bytes. */
static void
minimise(const char *out)
{
	struct program	 kept;
	bool		 shorter;

	if (!fails()) {
		fprintf(stderr, "it does not fail\n");
		exit(2);
	}
	do {
		shorter = false;
		for (unsigned piece = program.n / 2 + 1; piece > 0; piece /= 2)
			for (unsigned i = 0; i + piece <= program.n;) {
				kept = program;
				memmove(&program.ops[i], &program.ops[i + piece], sizeof(program.ops[0]) * (program.n - i - piece));
				program.n -= piece;
				if (fails())
					shorter = true;
				else {
					program = kept;
					i += piece;
				}
			}
	} while (shorter);
	for (size_t i = 0; i < FUZZ_HEAD + 4 * (size_t)program.n; i++) {
		uint8_t *byte = i < FUZZ_HEAD ? &program.head[i] : &program.ops[(i - FUZZ_HEAD) / 4].code + (i - FUZZ_HEAD) % 4;

		/* Codes stay; arguments become plain, bit by bit. */
		if (i >= FUZZ_HEAD && (i - FUZZ_HEAD) % 4 == 0)
			continue;
		for (int bit = 7; bit >= 0; bit--)
			if (*byte >> bit & 1) {
				*byte ^= (uint8_t)(1 << bit);
				if (!fails())
					*byte ^= (uint8_t)(1 << bit);
			}
	}
	store(out);
}

int
main(int argc, char **argv)
{
	double		 seconds = 0, begun = now(), took;
	uint64_t	 seed = 1;
	const char	*out = NULL;
	bool		 print = false, plain = false;
	int		 i;

	for (i = 1; i < argc && strncmp(argv[i], "--", 2) == 0; i++)
		if (strcmp(argv[i], "--print") == 0)
			print = true;
		else if (strcmp(argv[i], "--plain") == 0)
			plain = true;
		else if (i + 1 == argc)
			break;
		else if (strcmp(argv[i], "--minimise") == 0)
			out = argv[++i];
		else if (strcmp(argv[i], "--seconds") == 0)
			seconds = atof(argv[++i]);
		else if (strcmp(argv[i], "--seed") == 0)
			seed = strtoull(argv[++i], NULL, 0);
		else if (strcmp(argv[i], "--patience") == 0)
			patience = (unsigned)atoi(argv[++i]);
		else if (strcmp(argv[i], "--save") == 0)
			save = argv[++i];
		else
			break;
	if ((i == argc && seconds == 0) || (i < argc && argv[i][0] == '-')) {
		fprintf(stderr, "usage: drive [--print | --minimise OUT | --plain] FILE...\n"
		    "       drive [--seconds N] [--seed S] [--save FILE] [--patience N] [DIRECTORY | FILE]...\n");
		return 2;
	}
	watch();
	for (; i < argc; i++)
		if (print) {
			(void)load(argv[i]);
			machine_print(&program);
		} else if (plain)
			make_plain(argv[i]);
		else if (out != NULL) {
			(void)load(argv[i]);
			minimise(out);
		} else
			replay(argv[i]);
	if (print || plain || out != NULL)
		return 0;
	if (seconds > 0)
		generate(seconds, seed);
	took = now() - begun;
	printf("%lu replayed, %lu made up, %lu operations, %.0f programs a second\n", replayed, made, operations,
	    (double)(replayed + made) / (took > 0 ? took : 1));
	return 0;
}
