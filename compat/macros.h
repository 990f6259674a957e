/* SPDX-License-Identifier: ISC */
/*
 * macros.h: for the files of assembly.
 */
#include "arch/x86_64/resume.h"
#include "compat.h"

/* One that others call, unlike those of libreap. */
	.macro	EXPORTED name
	.p2align 5
	.globl	\name
	.type	\name, @function
\name:
	.endm

/* Counts, if that is asked for.  Flags are lost. */
	.macro	COUNT index
	testl	$REAP__COMPAT_COUNT, reap__compat_mode(%rip)
	je	.Lcounted\@
	lock incq reap__compat_count+8*\index(%rip)
.Lcounted\@:
	.endm
