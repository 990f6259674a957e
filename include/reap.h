/* SPDX-License-Identifier: ISC */
/*
 * reap.h: deferred reclamation of dead execution contexts.
 *
 * A context that exits cannot free the stack it runs on.  It leaves its completion in the slot of the worker it runs on and
 * switches straight to its successor; the successor, first thing after the switch (the landing), posts "off the CPU"; who
 * owes the reap, the parent in wait or an adopter, then frees stack and descriptor.
 *
 *	create --> live --exit()--> EXITING --landing--> OFF CPU --reap--> gone
 *	                            result valid         completion posted
 *
 * Three doors, each usable alone:
 *	1  bring your own switch	completion.h			slot, landed(), completion; machine.h has a switch
 *	2  bring your own scheduler	domain.h worker.h context.h	next/ready/idle callbacks; our switch, stacks, life cycle
 *	3  bring nothing		reap/runtime.h			a small M:N work-stealing runtime (libreap-runtime)
 */
#ifndef REAP_H
#define REAP_H

#include <reap/base.h>
#include <reap/completion.h>
#include <reap/machine.h>
#include <reap/stack.h>
#include <reap/domain.h>
#include <reap/worker.h>
#include <reap/context.h>
#include <reap/resume.h>
#include <reap/wait.h>
#include <reap/adopter.h>
#include <reap/group.h>
#include <reap/stats.h>
#include <reap/scan.h>

#endif
