/* SPDX-License-Identifier: ISC */
#include "json.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "utf8.h"

void
json_begin(struct json *j, FILE *out)
{
	*j = (struct json){ .out = out, .empty = true };
}

static void
put_escaped(FILE *out, const char *s)
{
	const unsigned char *p = (const unsigned char *)s, *end = p + strlen(s);
	size_t n;

	putc('"', out);
	for (; p < end; p += n) {
		n = utf8_length(p, (size_t)(end - p));
		if (n == 0) {
			fputs("\\ufffd", out);
			n = 1;
		} else if (*p == '"' || *p == '\\')
			fprintf(out, "\\%c", *p);
		else if (*p < 0x20 || *p == 0x7f)
			fprintf(out, "\\u%04x", *p);
		else
			fwrite(p, 1, n, out);
	}
	putc('"', out);
}

static void
begin_value(struct json *j, const char *key)
{
	if (j->depth > 0)
		fprintf(j->out, "%s\n%*s", j->empty ? "" : ",", 2 * (int)j->depth, "");
	j->empty = false;
	if (key == NULL)
		return;
	put_escaped(j->out, key);
	fputs(": ", j->out);
}

void
json_open(struct json *j, const char *key, char bracket)
{
	begin_value(j, key);
	putc(bracket, j->out);
	j->depth++;
	j->empty = true;
}

void
json_close(struct json *j, char bracket)
{
	j->depth--;
	if (!j->empty)
		fprintf(j->out, "\n%*s", 2 * (int)j->depth, "");
	putc(bracket, j->out);
	j->empty = false;
}

void
json_string(struct json *j, const char *key, const char *value)
{
	begin_value(j, key);
	if (value == NULL)
		fputs("null", j->out);
	else
		put_escaped(j->out, value);
}

static void
put_number(FILE *out, double value)
{
	if (!isfinite(value))
		fputs("null", out);
	else
		fprintf(out, "%.15g", value);
}

void
json_number(struct json *j, const char *key, double value)
{
	begin_value(j, key);
	put_number(j->out, value);
}

void
json_numbers(struct json *j, const char *key, const double *value, size_t n)
{
	size_t i;

	begin_value(j, key);
	putc('[', j->out);
	for (i = 0; i < n; i++) {
		fputs(i == 0 ? "" : ", ", j->out);
		put_number(j->out, value[i]);
	}
	putc(']', j->out);
}
