/* SPDX-License-Identifier: ISC */
/*
 * report.h: what was measured, for people (report_text.c) and for programs (report_json.c).
 */
#ifndef REPLAY_REPORT_H
#define REPLAY_REPORT_H

#include <stdio.h>

#include "machine.h"
#include "plan.h"

void	report_head(FILE *out, const struct plan *plan, const struct machine *machine);
void	report_group(FILE *out, const struct plan *plan, const struct group *group);
/* The summary, where reap loses, and the verdict as the last line. */
void	report_end(FILE *out, const struct plan *plan, const char *verdict);
/* What would be replayed. */
void	report_list(FILE *out, const struct plan *plan);

void	report_json(FILE *out, const struct plan *plan, const struct machine *machine, const char *verdict);

extern const char *const outcome_names[OUTCOMES];

#endif
