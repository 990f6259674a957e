/* SPDX-License-Identifier: ISC */
#include "trace.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "utf8.h"

static const char header[] = "id,parent,kind,spawn,exit,zomb,off,wait,reap,mode,early,name";

enum column { ID, PARENT, KIND, SPAWN, EXIT, ZOMB, OFF, WAIT, REAP, MODE, EARLY, NAME, COLUMNS };

static const char *const column_names[COLUMNS] = {
	"id", "parent", "kind", "spawn", "exit", "zomb", "off", "wait", "reap", "mode", "early", "name"
};

/* A file being read: where we are, and where to say what is wrong. */
struct reader {
	const char *path;
	unsigned long line;	/* from 1; 0: the file as a whole */
	char	*why;
	size_t	 why_size;
	struct trace *trace;
	size_t	 room;		/* tasks that trace->task has space for */
};

struct field {
	const char *s;		/* not terminated */
	size_t	 len;
};

__attribute__((format(printf, 2, 3))) static int
fail(struct reader *r, const char *format, ...)
{
	char reason[256];
	va_list args;

	va_start(args, format);
	vsnprintf(reason, sizeof(reason), format, args);
	va_end(args);
	if (r->line == 0)
		snprintf(r->why, r->why_size, "%s: %s", r->path, reason);
	else
		snprintf(r->why, r->why_size, "%s:%lu: %s", r->path, r->line, reason);
	return -1;
}

/* What a reader of the message needs to see of a field, printable. */
static const char *
shown(struct field f, char text[32])
{
	size_t n = f.len < 24 ? f.len : 24, i;

	for (i = 0; i < n; i++)
		text[i] = f.s[i] >= 0x20 && f.s[i] < 0x7f ? f.s[i] : '?';
	snprintf(text + n, 32 - n, "%s", n < f.len ? "..." : "");
	return text;
}

static int
read_number(struct reader *r, enum column column, struct field f, int64_t max, int64_t *value)
{
	char text[32];
	size_t i;

	if (f.len == 0)
		return fail(r, "%s is empty", column_names[column]);
	*value = 0;
	for (i = 0; i < f.len; i++) {
		if (f.s[i] < '0' || f.s[i] > '9')
			return fail(r, "%s is `%s', not a whole number of 0 or more", column_names[column], shown(f, text));
		*value = *value * 10 + (f.s[i] - '0');
		if (*value > max)
			return fail(r, "%s is `%s', more than %" PRId64, column_names[column], shown(f, text), max);
	}
	return 0;
}

static int
read_time(struct reader *r, enum column column, struct field f, int64_t *value)
{
	*value = TRACE_NOT_SEEN;
	return f.len == 0 ? 0 : read_number(r, column, f, TRACE_TIME_MAX, value);
}

static int
read_letter(struct reader *r, enum column column, struct field f, const char *allowed, char *value)
{
	char text[32];

	if (f.len != 1 || strchr(allowed, f.s[0]) == NULL)
		return fail(r, "%s is `%s', not one of the letters %s", column_names[column], shown(f, text), allowed);
	*value = f.s[0];
	return 0;
}

/* The name is checked and forgotten: the replay has no use for it. */
static int
check_name(struct reader *r, struct field f)
{
	size_t i = 0, n, characters = 0, end = f.len;
	bool quoted = f.len > 0 && f.s[0] == '"';

	if (quoted) {
		i = 1;
		if (f.len < 2 || f.s[f.len - 1] != '"')
			return fail(r, "name starts with a quote that is not closed");
		end--;
	}
	for (; i < end; i += n, characters++) {
		n = utf8_length((const unsigned char *)f.s + i, end - i);
		if (n == 0)
			return fail(r, "name is not UTF-8");
		if (!quoted && f.s[i] == ',')
			return fail(r, "more than %d fields", COLUMNS);
		if (quoted && f.s[i] == '"') {
			if (i + 1 >= end || f.s[i + 1] != '"')
				return fail(r, "name has a quote inside that is not doubled");
			n = 2;
		}
	}
	if (characters > TRACE_NAME_MAX)
		return fail(r, "name has %zu characters, more than %u", characters, TRACE_NAME_MAX);
	return 0;
}

/* All but the name are split at commas; the name is the rest, so that it may be quoted. */
static int
split(struct reader *r, const char *s, size_t len, struct field field[COLUMNS])
{
	const char *end = s + len, *comma;
	int i;

	for (i = 0; i < COLUMNS - 1; i++) {
		comma = memchr(s, ',', (size_t)(end - s));
		if (comma == NULL)
			return fail(r, "%d fields instead of %d", i + 1, COLUMNS);
		field[i] = (struct field){ s, (size_t)(comma - s) };
		s = comma + 1;
	}
	field[NAME] = (struct field){ s, (size_t)(end - s) };
	return 0;
}

static int
check_order(struct reader *r, const char *first, int64_t a, const char *second, int64_t b, int64_t noise)
{
	if (a == TRACE_NOT_SEEN || b == TRACE_NOT_SEEN || a <= b + noise)
		return 0;
	return fail(r, "%s %" PRId64 " is before %s %" PRId64, second, b, first, a);
}

static int
check_id(struct reader *r, int64_t id)
{
	int64_t expected = (int64_t)r->trace->tasks + 1;

	if (id == expected)
		return 0;
	return fail(r, "id %" PRId64 "%s: ids count 1, 2, 3 in order of spawn, here %" PRId64 " is due", id,
	    id >= 1 && id < expected ? " was there before" : "", expected);
}

/* One task against its parent, when all are read. */
static int
check_parent(struct reader *r, size_t i)
{
	const struct trace *trace = r->trace;
	const struct task *t = &trace->task[i], *p;

	if ((t->parent == 0) != (i == 0))
		return fail(r, i == 0 ? "the first task is the root: its parent must be 0" : "a second root: parent is 0");
	if ((t->mode == 'R') != (i == 0))
		return fail(r, i == 0 ? "the root's mode must be R" : "mode R, but this is not the root");
	if (i == 0)
		return 0;
	if (t->parent > trace->tasks)
		return fail(r, "parent %" PRIu32 " is not in the file, which has %zu tasks", t->parent, trace->tasks);
	if (t->parent == i + 1)
		return fail(r, "task %zu is its own parent", i + 1);
	p = &trace->task[t->parent - 1];
	/* Who is seen before its parent's own fork has returned may come first, but then the times are in order. */
	if (t->parent > i && p->spawn > t->spawn)
		return fail(r, "parent %" PRIu32 " comes after its child %zu", t->parent, i + 1);
	if (check_order(r, "its parent's spawn", p->spawn, "spawn", t->spawn, TRACE_NOISE) != 0)
		return -1;
	return check_order(r, "spawn", t->spawn, "its parent's exit", p->exit, TRACE_NOISE);
}

/* Do all lines of descent end at the root?  seen[]: by task, from which one it was first reached. */
static int
check_descent(struct reader *r, uint32_t *seen)
{
	const struct trace *trace = r->trace;
	size_t i, at;

	seen[0] = 1;
	for (i = 1; i < trace->tasks; i++) {
		for (at = i; seen[at] == 0; at = trace->task[at].parent - 1)
			seen[at] = (uint32_t)i + 1;
		if (seen[at] == i + 1) {
			r->line = (unsigned long)i + 2;
			return fail(r, "task %zu is its own ancestor", i + 1);
		}
	}
	return 0;
}

static int
check_families(struct reader *r)
{
	const struct trace *trace = r->trace;
	uint32_t *seen;
	int err;
	size_t i;

	for (i = 0; i < trace->tasks; i++) {
		r->line = (unsigned long)i + 2;	/* the header is line 1 */
		if (check_parent(r, i) != 0)
			return -1;
	}
	seen = calloc(trace->tasks, sizeof(*seen));
	if (seen == NULL)
		return fail(r, "%s", strerror(ENOMEM));
	err = check_descent(r, seen);
	free(seen);
	return err;
}

static int
check_life(struct reader *r, const struct task *t)
{
	const struct trace *trace = r->trace;

	if (trace->tasks > 0 &&
	    check_order(r, "the spawn of the line above", trace->task[trace->tasks - 1].spawn, "spawn", t->spawn, TRACE_NOISE))
		return -1;
	if (check_order(r, "spawn", t->spawn, "exit", t->exit, 0) != 0 ||
	    check_order(r, "exit", t->exit, "zomb", t->zomb, TRACE_NOISE) != 0 ||
	    check_order(r, "exit", t->exit, "off", t->off, TRACE_NOISE) != 0 ||
	    check_order(r, "exit", t->exit, "reap", t->reap, TRACE_NOISE) != 0 ||
	    check_order(r, "wait", t->wait, "reap", t->reap, 0) != 0)
		return -1;
	if (strchr("BLN", t->mode) == NULL)
		return 0;
	if (t->exit == TRACE_NOT_SEEN)
		return fail(r, "mode %c, but no exit: only what has ended can be waited for", t->mode);
	if (t->wait == TRACE_NOT_SEEN && t->reap == TRACE_NOT_SEEN)
		return fail(r, "mode %c needs the time of wait or reap", t->mode);
	return 0;
}

static void
note_end(struct trace *trace, const struct task *t)
{
	const int64_t times[] = { t->spawn, t->exit, t->zomb, t->off, t->wait, t->reap };
	size_t i;

	for (i = 0; i < sizeof(times) / sizeof(times[0]); i++)
		if (times[i] > trace->end)
			trace->end = times[i];
}

static int
append(struct reader *r, const struct task *t)
{
	struct trace *trace = r->trace;
	struct task *grown;

	if (trace->tasks == TRACE_TASKS_MAX)
		return fail(r, "more than %zu tasks", TRACE_TASKS_MAX);
	if (trace->tasks == r->room) {
		r->room = r->room == 0 ? 1024 : r->room * 2;
		grown = realloc(trace->task, r->room * sizeof(*grown));
		if (grown == NULL)
			return fail(r, "%s", strerror(ENOMEM));
		trace->task = grown;
	}
	trace->task[trace->tasks++] = *t;
	trace->modes[(unsigned char)t->mode]++;
	note_end(trace, t);
	return 0;
}

static int
read_task(struct reader *r, const char *s, size_t len)
{
	struct field f[COLUMNS];
	struct task t = { 0 };
	int64_t id, parent;
	char early;

	if (split(r, s, len, f) != 0 ||
	    read_number(r, ID, f[ID], (int64_t)TRACE_TASKS_MAX, &id) != 0 ||
	    read_number(r, PARENT, f[PARENT], (int64_t)TRACE_TASKS_MAX, &parent) != 0 ||
	    read_letter(r, KIND, f[KIND], "PVT", &t.kind) != 0 ||
	    read_number(r, SPAWN, f[SPAWN], TRACE_TIME_MAX, &t.spawn) != 0 ||
	    read_time(r, EXIT, f[EXIT], &t.exit) != 0 ||
	    read_time(r, ZOMB, f[ZOMB], &t.zomb) != 0 ||
	    read_time(r, OFF, f[OFF], &t.off) != 0 ||
	    read_time(r, WAIT, f[WAIT], &t.wait) != 0 ||
	    read_time(r, REAP, f[REAP], &t.reap) != 0 ||
	    read_letter(r, MODE, f[MODE], "BLNAOUR", &t.mode) != 0 ||
	    read_letter(r, EARLY, f[EARLY], "01", &early) != 0 ||
	    check_name(r, f[NAME]) != 0 ||
	    check_id(r, id) != 0)
		return -1;
	t.parent = (uint32_t)parent;
	t.early = early == '1';
	return check_life(r, &t) != 0 ? -1 : append(r, &t);
}

static int
read_line(struct reader *r, const char *s, size_t len)
{
	if (len > TRACE_LINE_MAX)
		return fail(r, "the line has %zu bytes, more than %u", len, TRACE_LINE_MAX);
	if (len > 0 && s[len - 1] == '\r')
		return fail(r, "the line ends in CR LF; LF alone is expected");
	if (memchr(s, '\0', len) != NULL)
		return fail(r, "a NUL byte: this is not text");
	if (r->line > 1)
		return len == 0 ? fail(r, "an empty line") : read_task(r, s, len);
	if (len != strlen(header) || memcmp(s, header, len) != 0)
		return fail(r, "the first line must be `%s'", header);
	return 0;
}

static int
read_lines(struct reader *r, const char *s, size_t len)
{
	const char *end = s + len, *newline;

	r->line = 1;
	if (len == 0)
		return fail(r, "the file is empty; the first line must be `%s'", header);
	for (; s < end; s = newline + 1, r->line++) {
		newline = memchr(s, '\n', (size_t)(end - s));
		if (newline == NULL) {
			if ((size_t)(end - s) > TRACE_LINE_MAX)
				return read_line(r, s, (size_t)(end - s));
			return fail(r, "the last line has no newline: the file seems cut off");
		}
		if (read_line(r, s, (size_t)(newline - s)) != 0)
			return -1;
	}
	return r->trace->tasks == 0 ? fail(r, "no task: the root, at least, must be there") : check_families(r);
}

/* The whole file, also from a pipe. */
static int
slurp(struct reader *r, char **text, size_t *len)
{
	FILE *file = fopen(r->path, "rb");
	size_t room = 0;
	char *grown;

	*text = NULL;
	*len = 0;
	if (file == NULL)
		return fail(r, "%s", strerror(errno));
	while (!feof(file)) {
		if (*len == room) {
			room = room == 0 ? 65536 : room * 2;
			grown = realloc(*text, room);
			if (grown == NULL) {
				errno = ENOMEM;
				break;
			}
			*text = grown;
		}
		errno = 0;
		*len += fread(*text + *len, 1, room - *len, file);
		if (ferror(file))
			break;
	}
	if (!feof(file)) {
		fail(r, "%s", strerror(errno != 0 ? errno : EIO));
		fclose(file);
		free(*text);
		return -1;
	}
	fclose(file);
	return 0;
}

static void
set_name(struct trace *trace, const char *path)
{
	const char *slash = strrchr(path, '/'), *base = slash == NULL ? path : slash + 1;
	size_t len = strlen(base);

	if (len > 4 && strcmp(base + len - 4, ".csv") == 0)
		len -= 4;
	snprintf(trace->name, sizeof(trace->name), "%.*s", (int)(len < sizeof(trace->name) ? len : sizeof(trace->name)), base);
}

int
trace_load(const char *path, struct trace *trace, char *why, size_t why_size)
{
	struct reader r = { .path = path, .why = why, .why_size = why_size, .trace = trace };
	char *text;
	size_t len;
	int err;

	*trace = (struct trace){ .path = path };
	set_name(trace, path);
	if (slurp(&r, &text, &len) != 0)
		return -1;
	err = read_lines(&r, text, len);
	free(text);
	if (err != 0)
		trace_free(trace);
	return err;
}

void
trace_free(struct trace *trace)
{
	free(trace->task);
	trace->task = NULL;
	trace->tasks = 0;
}
