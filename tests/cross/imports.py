#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Asserts that libreap asks of a system what lib/os says, and no more.

usage: imports.py NM OS SOURCE_ROOT LIBRARY...

What a shared library imports must be POSIX, or on the short list below.  And no source file but those of lib/os may name
what only Linux has.
"""
import pathlib
import re
import subprocess
import sys

# A linker, a C library or a compiler put these there.
GLUE = re.compile(r'_ITM_\w+|__gmon_start__|__cxa_finalize|__+tls_get_\w+|__errno_location|__stack_chk_\w+|__aeabi_\w+|__gnu_\w+|'
                  r'__getauxval|'
                  r'_GLOBAL_OFFSET_TABLE_|__libc_\w+|__cxa_get_globals|_dl_\w+|\.TOC\.|__\w+_chk|reap_\w+|_?_?(?:mem(?:set|cpy|move|cmp))')

POSIX = set('''
    abort aligned_alloc calloc clock_gettime fclose fopen free fscanf malloc mmap mprotect munmap realloc sched_yield strlen
    strtoul sysconf write writev
    pthread_cond_broadcast pthread_cond_destroy pthread_cond_init pthread_cond_signal pthread_cond_timedwait pthread_cond_wait
    pthread_condattr_destroy pthread_condattr_init pthread_condattr_setclock pthread_create pthread_join pthread_key_create
    pthread_mutex_destroy pthread_mutex_init pthread_mutex_lock pthread_mutex_unlock pthread_once pthread_setcancelstate
    pthread_setspecific pthread_sigmask fegetenv fesetenv
    getcontext makecontext setcontext swapcontext
    '''.split())            # the last line: POSIX.1-2001, and asked for by -Dswitch=ucontext
EVERYWHERE = {'madvise'}    # not POSIX, but on every Unix; the hint is refused where it is unknown
WORKERS = {'sched_getaffinity', '__sched_cpucount'}     # the runtime, where there is Linux: the processors that it may use
LINUX = set('syscall getauxval pipe2 open read close'.split())

LINUX_WORDS = re.compile(r'\b(?:futex|FUTEX_\w+|membarrier|MEMBARRIER_\w+|MADV_\w+|madvise|mprotect|mmap|munmap|syscall|SYS_\w+|'
                         r'__NR_\w+|getauxval|prctl|eventfd|linux/\w+\.h)\b|/proc/')
COMMENT = re.compile(r'/\*.*?\*/|//[^\n]*', re.S)


def imports(nm, library):
    run = subprocess.run([nm, '-D', '--undefined-only', library], check=True, stdout=subprocess.PIPE, text=True)
    names = set()
    for line in run.stdout.splitlines():
        name = re.sub(r'@.*', '', line.split()[-1])
        name = re.sub(r'^__isoc\d+_', '', name)             # what the C library calls them by standard
        names.add(re.sub(r'^(mmap|open|fopen)64$|^__(clock_gettime|futex)64$', r'\1\2', name))
    return names


def main():
    nm, system, root = sys.argv[1:4]
    allowed = POSIX | EVERYWHERE | (LINUX if system == 'linux' else set())
    tests = []
    for library in sys.argv[4:]:
        found = imports(nm, library)
        name = pathlib.Path(library).name
        mine = allowed | (WORKERS if 'runtime' in name else set())
        tests.append(('%s imports something' % name, [] if found & POSIX else ['nothing']))
        tests.append(('%s imports what -Dos=%s may' % (name, system), sorted(n for n in found - mine if not GLUE.fullmatch(n))))
    wrong, files = [], 0
    for top in ['lib', 'include']:
        for path in sorted((pathlib.Path(root) / top).rglob('*.[chS]')):
            files += 1
            if path.parent.name != 'os' and path.name != 'waits.h':     # that wraps the calls, of a build that measures
                code = COMMENT.sub(' ', path.read_text())
                wrong += ['%s: %s' % (path.relative_to(root), w) for w in sorted(set(LINUX_WORDS.findall(code)))]
    tests.append(('only lib/os names what a system has of its own', wrong if files else ['no source']))
    print('TAP version 13\n1..%d' % len(tests))
    for name, bad in tests:
        print('%s - %s' % ('not ok' if bad else 'ok', name))
        if bad:
            print('not so: %s: %s' % (name, ', '.join(bad)), file=sys.stderr)
    return any(bad for _, bad in tests)


if __name__ == '__main__':
    sys.exit(main())
