/* SPDX-License-Identifier: ISC */
/*
 * test_trace.c: every kind of malformed recording is refused with file, line and reason; what is odd but real is accepted;
 * programs follow the recorded events.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "program.h"
#include "test.h"
#include "trace.h"

#define HEADER	"id,parent,kind,spawn,exit,zomb,off,wait,reap,mode,early,name\n"
#define ROOT	"1,0,P,0,900,910,915,,,R,0,root\n"

static char path[64];

static void
put_bytes(const char *text, size_t len)
{
	FILE *file = fopen(path, "wb");

	CHECK(file != NULL);
	CHECK(fwrite(text, 1, len, file) == len);
	CHECK(fclose(file) == 0);
}

static void
put(const char *text)
{
	put_bytes(text, strlen(text));
}

/* The file is refused at this line, 0: as a whole, with a reason that contains these words. */
static void
refused_bytes(const char *text, size_t len, unsigned line, const char *words)
{
	char why[512], place[128];
	struct trace trace;

	put_bytes(text, len);
	if (trace_load(path, &trace, why, sizeof(why)) == 0) {
		fprintf(stderr, "accepted: %s\n", text);
		CHECK(!"refused");
	}
	snprintf(place, sizeof(place), line == 0 ? "%s: " : "%s:%u: ", path, line);
	if (strncmp(why, place, strlen(place)) != 0 || strstr(why, words) == NULL) {
		fprintf(stderr, "said `%s', expected `%s...%s...'\n", why, place, words);
		CHECK(!"the right reason");
	}
	CHECK(trace.task == NULL);
}

static void
refused(const char *text, unsigned line, const char *words)
{
	refused_bytes(text, strlen(text), line, words);
}

static struct trace
accepted(const char *text)
{
	struct trace trace;
	char why[512];

	put(text);
	if (trace_load(path, &trace, why, sizeof(why)) != 0) {
		fprintf(stderr, "%s\n", why);
		CHECK(!"accepted");
	}
	return trace;
}

/* ---- what is refused ---- */

static void
files(void)
{
	char why[512], line[400];
	struct trace trace;

	CHECK(trace_load("/nonexistent/x.csv", &trace, why, sizeof(why)) != 0);
	CHECK_STR_EQ(why, "/nonexistent/x.csv: No such file or directory");
	CHECK(trace_load("/", &trace, why, sizeof(why)) != 0);
	CHECK_STR_EQ(why, "/: Is a directory");
	refused("", 1, "empty");
	refused("hello\n", 1, "the first line must be");
	refused("id,parent\n", 1, "the first line must be");
	refused(HEADER, 2, "no task");
	refused(HEADER ROOT "2,1,P,1,2", 3, "cut off");
	refused("id,parent,kind", 1, "cut off");
	refused("id,parent,kind,spawn,exit,zomb,off,wait,reap,mode,early,name\r\n", 1, "CR LF");
	refused(HEADER "1,0,P,0,900,910,915,,,R,0,root\r\n", 2, "CR LF");
	refused(HEADER ROOT "\n", 3, "empty line");
	refused_bytes(HEADER "1,0,P,0,9,,,,,R,0,a\0b\n", strlen(HEADER) + 22, 2, "NUL");
	memset(line, 'x', sizeof(line));
	memcpy(line, HEADER "1,0,P,0,9,,,,,R,0,", strlen(HEADER) + 18);
	line[sizeof(line) - 2] = '\n';
	line[sizeof(line) - 1] = '\0';
	refused(line, 2, "bytes, more than 255");
	line[sizeof(line) - 2] = 'x';
	refused(line, 2, "bytes, more than 255");
}

static void
fields(void)
{
	refused(HEADER "1,0,P\n", 2, "3 fields instead of 12");
	refused(HEADER "1,0,P,0,9,,,,,R,0\n", 2, "11 fields instead of 12");
	refused(HEADER "1,0,P,0,9,,,,,R,0,a,b\n", 2, "more than 12 fields");
	refused(HEADER "x,0,P,0,9,,,,,R,0,a\n", 2, "id is `x'");
	refused(HEADER "-1,0,P,0,9,,,,,R,0,a\n", 2, "id is `-1'");
	refused(HEADER ",0,P,0,9,,,,,R,0,a\n", 2, "id is empty");
	refused(HEADER "1,,P,0,9,,,,,R,0,a\n", 2, "parent is empty");
	refused(HEADER "1,0,P,,9,,,,,R,0,a\n", 2, "spawn is empty");
	refused(HEADER "1,0,P,1.5,9,,,,,R,0,a\n", 2, "spawn is `1.5'");
	refused(HEADER "1,0,P,0, 9,,,,,R,0,a\n", 2, "exit is ` 9'");
	refused(HEADER "1,0,P,0,99999999999999999999999999,,,,,R,0,a\n", 2, "more than 1000000000000");
	refused(HEADER "1,0,P,0,1000000000001,,,,,R,0,a\n", 2, "more than 1000000000000");
	refused(HEADER "99999999,0,P,0,9,,,,,R,0,a\n", 2, "id is `99999999', more than");
	refused(HEADER "1,0,X,0,9,,,,,R,0,a\n", 2, "kind is `X'");
	refused(HEADER "1,0,,0,9,,,,,R,0,a\n", 2, "kind is `'");
	refused(HEADER ROOT "2,1,P,1,2,3,4,5,6,Z,0,a\n", 3, "mode is `Z'");
	refused(HEADER ROOT "2,1,P,1,2,3,4,5,6,BB,0,a\n", 3, "mode is `BB'");
	refused(HEADER ROOT "2,1,P,1,2,3,4,5,6,B,2,a\n", 3, "early is `2'");
	refused(HEADER "1,0,P,0,9,,,,,R,0,\xff\xfe\n", 2, "name is not UTF-8");
	refused(HEADER "1,0,P,0,9,,,,,R,0,\xc3\n", 2, "name is not UTF-8");
	refused(HEADER "1,0,P,0,9,,,,,R,0,abcdefghijklmnop\n", 2, "16 characters");
	refused(HEADER "1,0,P,0,9,,,,,R,0,\"a\n", 2, "quote that is not closed");
	refused(HEADER "1,0,P,0,9,,,,,R,0,\"a\"b\"\n", 2, "quote inside");
}

static void
families(void)
{
	refused(HEADER "2,0,P,0,9,,,,,R,0,a\n", 2, "here 1 is due");
	refused(HEADER ROOT "3,1,P,1,2,3,4,1,6,B,0,a\n", 3, "here 2 is due");
	refused(HEADER ROOT "2,1,P,1,2,3,4,1,6,B,0,a\n2,1,P,1,2,3,4,1,6,B,0,a\n", 4, "id 2 was there before");
	refused(HEADER "1,1,P,0,9,,,,,R,0,a\n", 2, "its parent must be 0");
	refused(HEADER ROOT "2,2,P,1,2,3,4,1,6,B,0,a\n", 3, "task 2 is its own parent");
	refused(HEADER ROOT "2,7,P,1,2,3,4,1,6,B,0,a\n", 3, "parent 7 is not in the file");
	refused(HEADER ROOT "2,3,P,1,2,3,4,1,6,B,0,a\n3,1,P,2,9,,,,,O,0,b\n", 3, "parent 3 comes after its child 2");
	refused(HEADER ROOT "2,1,P,1,9,,,,,O,0,a\n3,4,P,1,9,,,,,O,0,b\n4,3,P,1,9,,,,,O,0,c\n", 4, "task 3 is its own ancestor");
	refused(HEADER ROOT "2,0,P,1,2,3,4,1,6,B,0,a\n", 3, "second root");
	refused(HEADER ROOT "2,1,P,1,2,3,4,1,6,R,0,a\n", 3, "not the root");
	refused(HEADER "1,0,P,0,9,,,,,O,0,a\n", 2, "root's mode must be R");
}

static void
times(void)
{
	refused(HEADER "1,0,P,10,9,,,,,R,0,a\n", 2, "exit 9 is before spawn 10");
	refused(HEADER ROOT "2,1,P,1,90000,3,,1,90000,B,0,a\n", 3, "zomb 3 is before exit 90000");
	refused(HEADER ROOT "2,1,P,1,90000,,3,1,90000,B,0,a\n", 3, "off 3 is before exit 90000");
	refused(HEADER ROOT "2,1,P,1,90000,,,1,3,B,0,a\n", 3, "reap 3 is before exit 90000");
	refused(HEADER ROOT "2,1,P,1,20,,,30,25,B,0,a\n", 3, "reap 25 is before wait 30");
	refused(HEADER "1,0,P,0,90000,,,,,R,0,a\n2,1,P,50000,60000,,,,,O,0,a\n3,1,P,42000,60000,,,,,O,0,a\n"
	    "4,2,P,34000,60000,,,,,O,0,a\n", 5, "before its parent's spawn 50000");
	refused(HEADER ROOT "2,1,P,50000,60000,,,,,O,0,a\n", 3, "its parent's exit 900 is before spawn 50000");
	refused(HEADER "1,0,P,0,,,,,,R,0,a\n2,1,P,90000,90001,,,,,U,0,a\n3,1,P,1,2,,,,,U,0,b\n", 4,
	    "before the spawn of the line above");
	refused(HEADER ROOT "2,1,P,1,,,,1,6,B,0,a\n", 3, "no exit");
	refused(HEADER ROOT "2,1,P,1,20,,,,,N,0,a\n", 3, "needs the time of wait or reap");
}

/* ---- what is odd, but real ---- */

static void
oddities(void)
{
	struct trace t = accepted(HEADER "1,0,P,0,,,,,,R,0,server\n");	/* still ran when the recording ended */

	trace_free(&t);
	t = accepted(HEADER ROOT "2,1,T,5,,,,,,U,0,\"a,\"\"b\"\n");	/* a thread without an end; a quoted name */
	trace_free(&t);
	t = accepted(HEADER ROOT "2,1,P,5,20,,,,25,L,0,\xc3\xa9\n");	/* the wait's entry was not seen; UTF-8 */
	trace_free(&t);
	t = accepted(HEADER ROOT "2,1,P,5,20,22,30,6,25,B,1,a\n");	/* released before it was off the CPU */
	CHECK(t.task[1].early);
	trace_free(&t);
	t = accepted(HEADER ROOT "2,1,P,5,800,,,6,1300,B,0,a\n");	/* reaped by another thread, after the parent's exit */
	trace_free(&t);
	t = accepted(HEADER ROOT "2,3,T,5,8,,,,,O,0,a\n3,1,P,5,9,,,6,9,B,0,b\n");	/* seen before its parent's fork returned */
	CHECK_EQ(t.task[1].parent, 3);
	trace_free(&t);
	t = accepted(HEADER ROOT "2,1,P,5,800,,,,,U,0,a\n3,2,P,6,,,,,,O,0,\n");
	CHECK_EQ(t.tasks, 3);
	CHECK_EQ(t.modes['O'], 1);
	CHECK_EQ(t.end, 915);
	trace_free(&t);
}

/* ---- programs ---- */

static void
program_is(const struct program *p, unsigned task, const char *expected)
{
	static const char *const word[] = { "run", "spawn", "wait", "poll", "end" };
	const struct step *step = &p->step[p->first[task]];
	char text[256] = "";
	size_t len = 0;

	for (;; step++) {
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s", len > 0 ? " " : "", word[step->kind]);
		if (step->kind == STEP_END)
			break;
		len += (size_t)snprintf(text + len, sizeof(text) - len, " %u", (unsigned)step->arg);
	}
	CHECK_STR_EQ(text, expected);
}

static void
programs(void)
{
	struct trace t = accepted(HEADER
	    "1,0,P,0,1000,1010,1015,,,R,0,a\n"
	    "2,1,P,100,300,310,315,120,320,B,0,b\n"		/* waited for at once: 200 us of the root are blocked */
	    "3,1,V,400,500,510,515,450,460,N,0,c\n"		/* a no-hang call, for what has not ended yet */
	    "4,1,T,600,700,710,715,,,A,0,d\n"			/* nobody waits for it */
	    "5,1,P,650,1200,1210,1215,,,O,0,e\n"
	    "6,2,P,150,,,,,,U,0,f\n"				/* no end: lives as long as the recording */
	    "7,1,P,700,900,,,950,1300,L,0,g\n");		/* the wait ends after the parent */
	struct program p;

	CHECK_EQ(program_compile(&t, &p), 0);
	program_is(&p, 0, "run 100 spawn 1 run 20 wait 1 run 80 spawn 2 run 50 poll 2 run 150 spawn 3 run 50 spawn 4 run 50 "
	    "spawn 6 run 250 wait 6 end");
	program_is(&p, 1, "run 50 spawn 5 run 150 end");
	program_is(&p, 2, "run 100 end");
	program_is(&p, 5, "run 1150 end");
	CHECK_EQ(p.fate[0], FATE_WAITED);
	CHECK_EQ(p.fate[3], FATE_DETACHED);
	CHECK_EQ(p.fate[4], FATE_LEFT);
	CHECK_EQ(p.fate[5], FATE_LEFT);
	CHECK_EQ(p.live_max, 5);
	CHECK_EQ(p.body_us, 750 + 200 + 100 + 100 + 550 + 1150 + 200);
	program_free(&p);
	trace_free(&t);
}

/* A wait that is recorded before its child's spawn, or after the parent's end, still stands behind the one, before the other. */
static void
misplaced_waits(void)
{
	struct trace t = accepted(HEADER ROOT
	    "2,1,P,100,200,,,50,210,B,0,b\n"
	    "3,1,P,300,800,,,1000,1100,L,0,c\n");
	struct program p;

	CHECK_EQ(program_compile(&t, &p), 0);
	program_is(&p, 0, "run 100 spawn 1 wait 1 run 90 spawn 2 run 600 wait 2 end");
	program_free(&p);
	trace_free(&t);
}

/* Fifty thousand tasks: a server that forks, and its children theirs. */
static void
big(void)
{
	const unsigned tasks = 50000;
	FILE *file = fopen(path, "w");
	struct program p;
	struct trace t;
	char why[512];
	unsigned i;

	CHECK(file != NULL);
	fputs(HEADER "1,0,P,0,,,,,,R,0,server\n", file);
	for (i = 2; i <= tasks; i++)
		fprintf(file, "%u,%u,P,%u,%u,%u,%u,%u,%u,%c,0,child\n", i, i / 8 + (i < 8), 10 * i, 10 * i + 5000000, 10 * i + 5000002,
		    10 * i + 5000003, 10 * i + 5000100, 10 * i + 5000200, "BLN"[i % 3]);
	CHECK(fclose(file) == 0);
	if (trace_load(path, &t, why, sizeof(why)) != 0) {
		fprintf(stderr, "%s\n", why);
		CHECK(!"accepted");
	}
	CHECK_EQ(t.tasks, tasks);
	CHECK_EQ(program_compile(&t, &p), 0);
	CHECK_EQ(p.live_max, tasks);
	CHECK_EQ(p.step[p.first[tasks - 1] + 1].kind, STEP_END);
	program_free(&p);
	trace_free(&t);
}

int
main(void)
{
	static const struct test test[] = {
		{ "malformed files are refused", files },
		{ "malformed fields are refused", fields },
		{ "impossible families are refused", families },
		{ "impossible times are refused", times },
		{ "what is odd but real is accepted", oddities },
		{ "a program follows the recorded events", programs },
		{ "a wait stands between its child's spawn and its parent's end", misplaced_waits },
		{ "fifty thousand tasks load", big },
	};
	int fd, status;

	snprintf(path, sizeof(path), "/tmp/replay-test-XXXXXX");
	fd = mkstemp(path);
	CHECK(fd >= 0);
	close(fd);
	status = test_run(test, sizeof(test) / sizeof(test[0]));
	unlink(path);
	return status;
}
