/* SPDX-License-Identifier: ISC */
/*
 * json.h: a writer of JSON.  Commas, indentation and escapes are its business; key NULL: an element of an array.
 */
#ifndef REPLAY_JSON_H
#define REPLAY_JSON_H

#include <stdbool.h>
#include <stdio.h>

struct json {
	FILE	*out;
	unsigned depth;
	bool	 empty;		/* nothing has been written into what was opened last */
};

void	json_begin(struct json *j, FILE *out);
/* bracket: { or [ to open, } or ] to close. */
void	json_open(struct json *j, const char *key, char bracket);
void	json_close(struct json *j, char bracket);
/* NULL is null.  Bytes that are no UTF-8 become U+FFFD. */
void	json_string(struct json *j, const char *key, const char *value);
/* What is not finite is null. */
void	json_number(struct json *j, const char *key, double value);
/* An array on one line. */
void	json_numbers(struct json *j, const char *key, const double *value, size_t n);

#endif
