/* SPDX-License-Identifier: ISC */
/*
 * base.h: what every other header of libreap stands on.  Language glue only, no idea of its own.
 */
#ifndef REAP_BASE_H
#define REAP_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define REAP_VERSION_MAJOR	0
#define REAP_VERSION_MINOR	1
#define REAP_VERSION_PATCH	0

#ifdef __cplusplus
#define REAP_BEGIN_DECLS	extern "C" {
#define REAP_END_DECLS		}
#define REAP_NORETURN		[[noreturn]]
#else
#define REAP_BEGIN_DECLS
#define REAP_END_DECLS
#define REAP_NORETURN		_Noreturn
#endif

#define REAP_API		__attribute__((visibility("default")))
#define REAP_LIKELY(x)		__builtin_expect(!!(x), 1)
#define REAP_UNLIKELY(x)	__builtin_expect(!!(x), 0)

REAP_BEGIN_DECLS

/*
 * reap_version -- the version of the library that is running, not of the headers compiled against.
 *
 *   context    Any thread, any time.
 *   ownership  The string is the library's and constant.
 *   ordering   None.
 *   cost       A load.
 *   returns    "MAJOR.MINOR.PATCH".
 */
REAP_API const char	*reap_version(void);

/*
 * reap_misuse -- say which rule was broken, and abort.
 *
 *   context    Any.  Public inlines call it; a host may, for rules of its own.
 *   ownership  Nothing: the process ends.
 *   ordering   None.
 *   cost       One write to standard error, then abort().
 *   returns    Never.  `rule' is a word such as "slot-full", `why' a sentence.
 */
REAP_NORETURN REAP_API void	reap_misuse(const char *rule, const char *why);

REAP_END_DECLS

#endif
