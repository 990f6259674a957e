/* SPDX-License-Identifier: ISC */
/*
 * test_parts.c: histogram, spreads, JSON and the file of results.
 */
#include <dirent.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "figure.h"
#include "hist.h"
#include "json.h"
#include "side.h"
#include "store.h"
#include "test.h"

/* Every value comes back within 1/64 of itself, alone in its histogram: as a quantile other than the exact maximum. */
static void
histogram_resolution(void)
{
	static struct hist h;
	uint64_t v, back, next;

	for (v = 0; v < UINT64_C(1) << 39; v = next) {
		memset(&h, 0, sizeof(h));
		hist_add(&h, v);
		hist_add(&h, UINT64_C(1) << 40);
		back = hist_quantile(&h, 0.5);
		CHECK(v < 64 ? back == v : (back > v ? back - v : v - back) <= v / 64 + 1);
		next = v < 4096 ? v + 1 : v + v / 37;
	}
}

static void
histogram_quantiles(void)
{
	static struct hist a, b;
	uint64_t i;

	CHECK_EQ(hist_quantile(&a, 0.5), 0);
	for (i = 1; i <= 1000; i++)
		hist_add(i % 2 == 0 ? &a : &b, i * 1000);
	hist_merge(&a, &b);
	CHECK_EQ(a.count, 1000);
	CHECK_EQ(hist_quantile(&a, 1), 1000000);
	CHECK(fabs((double)hist_quantile(&a, 0.5) / 500000 - 1) < 0.02);
	CHECK(fabs((double)hist_quantile(&a, 0.99) / 990000 - 1) < 0.02);
	CHECK(hist_quantile(&a, 0.999) <= 1000000);
	hist_add(&a, UINT64_MAX);
	CHECK(hist_quantile(&a, 1) == UINT64_MAX);
}

static void
spreads(void)
{
	const double a[] = { 3, 1, 2, NAN, 10 }, b[] = { 6, 2, 1, 1, 0 };
	struct spread s = spread_of(a, 5);

	CHECK(s.n == 4 && s.median == 2.5 && s.min == 1 && s.max == 10);
	s = spread_of(a, 0);
	CHECK(s.n == 0 && isnan(s.median));
	s = spread_ratio(a, b, 5);	/* one is not seen, one divides by zero */
	CHECK(s.n == 3 && s.median == 0.5 && s.min == 0.5 && s.max == 2);
	CHECK(!spread_differs(s));
	CHECK(spread_differs((struct spread){ 0.5, 0.4, 0.9, 3 }));
	CHECK(!spread_differs((struct spread){ 0.5, 0.4, 0.9, 2 }));
}

static void
numbers(void)
{
	static const struct { double value; const char *text; } row[] = {
		{ 0, "0" }, { 0.0834, "0.083" }, { 1.5, "1.50" }, { 12.34, "12.3" }, { 9999, "9999" }, { 12345, "12.3k" },
		{ 2.5e7, "25.0M" }, { -0.5, "-0.500" }, { NAN, "-" },
	};
	char text[16];
	size_t i;

	for (i = 0; i < sizeof(row) / sizeof(row[0]); i++)
		CHECK_STR_EQ(figure_text(row[i].value, text), row[i].text);
}

static void
sides(void)
{
	char bad[32];
	unsigned set;

	CHECK_EQ(side_parse("plain,adaptive", &set, bad, sizeof(bad)), 0);
	CHECK_EQ(set, 1u << SIDE_PLAIN | 1u << SIDE_ADAPTIVE);
	CHECK_EQ(side_parse("thread", &set, bad, sizeof(bad)), 0);
	CHECK_EQ(set, 1u << SIDE_PLAIN | 1u << SIDE_BATCHING);
	CHECK_EQ(side_parse("adaptive,reaper", &set, bad, sizeof(bad)), -1);
	CHECK_STR_EQ(bad, "reaper");
	CHECK_EQ(side_parse("", &set, bad, sizeof(bad)), -1);
}

static void
json_text(void)
{
	const double list[] = { 1, 0.5, INFINITY };
	char *text = NULL;
	struct json j;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	CHECK(out != NULL);
	json_begin(&j, out);
	json_open(&j, NULL, '{');
	json_string(&j, "a\"\\", "\n\x01 \xc3\xa9 \xff");
	json_string(&j, "b", NULL);
	json_number(&j, "c", NAN);
	json_open(&j, "d", '[');
	json_close(&j, ']');
	json_numbers(&j, "e", list, 3);
	json_close(&j, '}');
	CHECK(fclose(out) == 0);
	CHECK_STR_EQ(text, "{\n  \"a\\\"\\\\\": \"\\u000a\\u0001 \xc3\xa9 \\ufffd\",\n  \"b\": null,\n  \"c\": null,\n"
	    "  \"d\": [],\n  \"e\": [1, 0.5, null]\n}");
	free(text);
}

/* How many files are in it? */
static int
entries(const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	int n = 0;

	CHECK(d != NULL);
	while ((e = readdir(d)) != NULL)
		n += e->d_name[0] != '.';
	closedir(d);
	return n;
}

/* A disk that is full after some bytes: the old results stay, no partial file is left, and the caller is told. */
static void
full_disk(void)
{
	char dir[] = "/tmp/replay-store-XXXXXX", text[16] = "";
	struct rlimit limit = { 4096, 4096 };
	struct store store;
	FILE *file;
	int i, status;
	pid_t pid;

	CHECK(mkdtemp(dir) != NULL);
	CHECK_EQ(store_prepare(&store, dir), 0);
	CHECK_EQ(entries(dir), 0);
	file = store_begin(&store);
	CHECK(file != NULL && fputs("old", file) >= 0);
	CHECK_EQ(store_end(&store, file), 0);
	fflush(NULL);
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		signal(SIGXFSZ, SIG_IGN);
		CHECK_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
		CHECK(freopen("/dev/null", "w", stderr) != NULL);
		file = store_begin(&store);
		CHECK(file != NULL);
		for (i = 0; i < 10000; i++)
			fputs("0123456789", file);
		_exit(store_end(&store, file) == -1 ? 0 : 1);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
	CHECK_EQ(entries(dir), 1);
	file = fopen(store.path, "r");
	CHECK(file != NULL && fgets(text, sizeof(text), file) != NULL);
	fclose(file);
	CHECK_STR_EQ(text, "old");
	unlink(store.path);
	rmdir(dir);
}

int
main(void)
{
	static const struct test test[] = {
		{ "the histogram's resolution is 1/64", histogram_resolution },
		{ "quantiles are where they should be", histogram_quantiles },
		{ "median, extremes and ratios leave out what was not seen", spreads },
		{ "numbers are printed for people", numbers },
		{ "lists of sides are checked", sides },
		{ "JSON is escaped right", json_text },
		{ "a full disk leaves the old results alone", full_disk },
	};

	return test_run(test, sizeof(test) / sizeof(test[0]));
}
