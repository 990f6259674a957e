/* SPDX-License-Identifier: ISC */
/*
 * say.c: operations in words, and what went wrong.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "inside.h"

static void
put(const char *text, size_t n)
{
	if (write(STDERR_FILENO, text, n) < 0)
		_exit(2);
}

static int
put_line(char *line, size_t size, int number, const struct plan *plan, int ret)
{
	int n = snprintf(line, size, "%4d  ", number);

	n += model_describe(plan, line + n, size - (size_t)n);
	if (plan->done && ret != 0)
		n += snprintf(line + n, size - (size_t)n, " -> %d", ret);
	n += snprintf(line + n, size - (size_t)n, "\n");
	return n;
}

void
machine_trace(void)
{
	char line[256];

	for (int i = 0; i < m.ntrace; i++)
		put(line, (size_t)put_line(line, sizeof(line), i, &m.trace[i].plan, m.trace[i].ret));
}

void
fail(const char *format, ...)
{
	char	 text[256];
	va_list	 ap;
	int	 n;

	machine_trace();
	put("MISMATCH: ", 10);
	va_start(ap, format);
	n = vsnprintf(text, sizeof(text) - 1, format, ap);
	va_end(ap);
	if (n > (int)sizeof(text) - 2)
		n = (int)sizeof(text) - 2;
	text[n] = '\n';
	put(text, (size_t)n + 1);
	abort();
}

void
same(const char *what, int x, intmax_t lib, intmax_t want)
{
	if (lib == want)
		return;
	if (x == NOBODY)
		fail("%s is %jd, must be %jd", what, lib, want);
	fail("%s of c%d is %jd, must be %jd", what, x, lib, want);
}

void
machine_print(const struct program *program)
{
	struct plan	 plan;
	char		 line[256];
	int		 n;
	const struct config *c = &model.config;

	model_init(program->head);
	printf("domain: policy %d%s%s%s%s%s, %d threads%s%s%s, limit %d reserve %d, cache %u depot %u quarantine %u%s%s\n",
	    c->policy, c->early ? " early" : "", c->hosted ? "" : " no host", c->shares ? " shares" : "", c->direct ? " direct" : "",
	    c->hooked ? " hooked" : "", c->nthreads, c->idle ? " idle()" : "", c->usage ? " usage" : "",
	    c->leave_zombies ? " leaves zombies" : "", (int)c->limit, (int)c->reserve, c->cache, c->depot, c->quarantine,
	    c->scrub ? " scrub" : "", c->ops ? " ops" : "");
	for (int i = 0;; i++) {
		model_step(program, &plan);
		n = put_line(line, sizeof(line), i, &plan, model_want(&plan)->ret);
		fwrite(line, 1, (size_t)n, stdout);
		if (model.broken != NULL || plan.op == OP_END)
			break;
	}
	if (model.broken != NULL)
		printf("broken: %s\n", model.broken);
}
