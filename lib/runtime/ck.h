/* SPDX-License-Identifier: ISC */
/*
 * ck.h: Concurrency Kit, if it is for this machine.
 *
 * ck_md.h is per architecture, and lies at the same path for all of them: a cross compiler may find the build machine's.
 * Concurrency Kit then takes the processor for one that orders its stores, and its fences are empty.  Nothing else says so.
 */
#ifndef REAP_RUNTIME_CK_H
#define REAP_RUNTIME_CK_H

#include <ck_pr.h>

#if defined(__x86_64__) || defined(__i386__)
#ifndef CK_MD_TSO
#error "ck_md.h is not for x86"
#endif
#elif defined(__aarch64__) || defined(__arm__) || defined(__powerpc__) || defined(__riscv)
#ifndef CK_MD_RMO
#error "ck_md.h is for a processor with another memory model than this one"
#endif
#else
#error "whether ck_md.h is for this processor cannot be told"
#endif

#endif
