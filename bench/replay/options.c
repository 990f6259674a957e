/* SPDX-License-Identifier: ISC */
#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "side.h"

#define COPIES_MAX	1000000
#define WORKERS_MAX	256
#define PAGES_MAX	8		/* 64 KiB of stack less what the frames need */

static const char usage[] =
"usage: replay [option ...] [FILE.csv ...]\n"
"\n"
"Replays recorded process trees as green threads, and measures reaping without a reaper thread against\n"
"reaping with one.  Without files, the bundled recordings are replayed.\n"
"\n"
"  --quick            fewer rounds and shorter bodies: less than 20 seconds\n"
"  --out DIR          write every figure to DIR/results.json\n"
"  --policy LIST      sides to run, of adaptive,parent,successor,adopter,early,plain,batching (see --list);\n"
"                     thread is both plain and batching\n"
"  --copies K[,K]     so many trees at once (default: 1, and 1000 or as many as the time allows)\n"
"  --workers N[,N]    so many OS threads (default: 1, and one per processor up to 4)\n"
"  --scale S          bodies S times shorter than recorded (default: so that all fits into its time)\n"
"  --rounds N         rounds per side, at most 99 (default: 5, with --quick 3)\n"
"  --pages N          pages of stack that each body touches, at most 8 (default: 2)\n"
"  --seconds N        how long a default run may take (default: 108)\n"
"  --traces DIR       where the bundled recordings are\n"
"  --timeline FILE    write one replay of the first recording, on the first side, as Chrome trace JSON; nothing else\n"
"  --list             say what would be replayed, and on which sides\n"
"  --help             this text\n"
"\n"
"The default run takes less than two minutes.  Exit status: 0, all ran; 1, a cell failed or results could not\n"
"be written; 2, wrong usage or a malformed recording, nothing was run.\n";

static int
wrong(const char *option, const char *value, const char *expected)
{
	fprintf(stderr, "replay: %s: `%s' is not %s\n", option, value, expected);
	return 2;
}

static int
parse_number(const char *option, const char *text, unsigned max, unsigned *value)
{
	char expected[64], *end;
	unsigned long n;

	errno = 0;
	n = strtoul(text, &end, 10);
	if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || n < 1 || n > max) {
		snprintf(expected, sizeof(expected), "a whole number from 1 to %u", max);
		return wrong(option, text, expected);
	}
	*value = (unsigned)n;
	return 0;
}

static int
parse_list(const char *option, const char *text, unsigned max, unsigned *list, unsigned *n)
{
	char word[32];
	size_t len;

	*n = 0;
	for (;; text += len + 1) {
		len = strcspn(text, ",");
		snprintf(word, sizeof(word), "%.*s", (int)len, text);
		if (len >= sizeof(word) || *n == OPTIONS_LIST_MAX)
			return wrong(option, text, "a short list of numbers");
		if (parse_number(option, word, max, &list[*n]) != 0)
			return 2;
		++*n;
		if (text[len] == '\0')
			return 0;
	}
}

static int
parse_scale(const char *text, double *scale)
{
	char *end;

	*scale = strtod(text, &end);
	if (end == text || *end != '\0' || !isfinite(*scale) || *scale < 1 || *scale > 1e9)
		return wrong("--scale", text, "a number from 1 to 1e9");
	return 0;
}

static int
parse_seconds(const char *option, const char *text, double *seconds)
{
	char *end;

	*seconds = strtod(text, &end);
	if (end == text || *end != '\0' || !isfinite(*seconds) || *seconds < 1 || *seconds > 1e6)
		return wrong(option, text, "a number from 1 to 1e6");
	return 0;
}

static int
parse_sides(const char *text, unsigned *sides)
{
	char bad[64];

	if (side_parse(text, sides, bad, sizeof(bad)) == 0)
		return 0;
	return wrong("--policy", bad, "one of adaptive, parent, successor, adopter, early, plain, batching, thread");
}

static int
parse_word(const char *option, const char *text, const char **word)
{
	if (text[0] == '\0')
		return wrong(option, text, "a name");
	*word = text;
	return 0;
}

static int
parse_option(struct options *o, int option, const char *arg)
{
	switch (option) {
	case 'q':
		o->quick = true;
		return 0;
	case 'l':
		o->list = true;
		return 0;
	case 'o':
		return parse_word("--out", arg, &o->out);
	case 't':
		return parse_word("--traces", arg, &o->traces);
	case 'p':
		o->sides_given = true;
		return parse_sides(arg, &o->sides);
	case 'c':
		return parse_list("--copies", arg, COPIES_MAX, o->copies, &o->ncopies);
	case 'w':
		return parse_list("--workers", arg, WORKERS_MAX, o->workers, &o->nworkers);
	case 's':
		return parse_scale(arg, &o->scale);
	case 'r':
		return parse_number("--rounds", arg, OPTIONS_ROUNDS_MAX, &o->rounds);
	case 'g':
		return parse_number("--pages", arg, PAGES_MAX, &o->pages);
	case 'i':
		return parse_word("--timeline", arg, &o->timeline);
	case 'm':
		return parse_seconds("--more", arg, &o->more);
	case 'd':
		return parse_seconds("--seconds", arg, &o->seconds);
	case 'h':
		fputs(usage, stdout);
		return 1;
	default:
		fputs("replay: `replay --help' says what there is\n", stderr);
		return 2;
	}
}

int
options_parse(struct options *options, int argc, char **argv)
{
	static const struct option table[] = {
		{ "quick", no_argument, NULL, 'q' },
		{ "list", no_argument, NULL, 'l' },
		{ "out", required_argument, NULL, 'o' },
		{ "traces", required_argument, NULL, 't' },
		{ "policy", required_argument, NULL, 'p' },
		{ "copies", required_argument, NULL, 'c' },
		{ "workers", required_argument, NULL, 'w' },
		{ "scale", required_argument, NULL, 's' },
		{ "rounds", required_argument, NULL, 'r' },
		{ "pages", required_argument, NULL, 'g' },
		{ "more", required_argument, NULL, 'm' },	/* bench/run's: so much work of its own follows */
		{ "seconds", required_argument, NULL, 'd' },
		{ "timeline", required_argument, NULL, 'i' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 }
	};
	int option, err;

	*options = (struct options){ .traces = REPLAY_TRACES, .sides = (1u << SIDES) - 1, .pages = 2 };
	while ((option = getopt_long(argc, argv, "", table, NULL)) != -1)
		if ((err = parse_option(options, option, optarg)) != 0)
			return err;
	options->files = argv + optind;
	options->nfiles = argc - optind;
	return 0;
}
