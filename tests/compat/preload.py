#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Asserts what libreap-compat exports, counts, refuses and leaves alone.

usage: preload.py --work DIR --nm NM --readelf READELF --cc CC --compat LIBRARY --stock PROGRAM LIBREAP...

LIBREAP: libraries that must not define what it exports.  Programs and false versions of Boost and Ruby are made by CC in DIR.
"""
import argparse
import os
import pathlib
import re
import shlex
import subprocess
import sys

SERVED = set('''getcontext makecontext setcontext swapcontext jump_fcontext make_fcontext ontop_fcontext
    coroutine_transfer'''.split())
MASKS = set('''sigprocmask pthread_sigmask pthread_attr_setsigmask_np sigaction __sigaction signal bsd_signal ssignal sysv_signal
    __sysv_signal sigset sighold sigrelse sigblock sigsetmask'''.split())
BAD = 127       # the status of a program that was refused

MAIN = '''
#include <dlfcn.h>
#include <stdio.h>
void *make_fcontext(void *, unsigned long, void (*)(void));
int main(int argc, char **argv)
{
	static char stack[4096];
	if (argc > 1 && dlopen(argv[1], RTLD_NOW) == NULL)
		return 2;
	puts("began");
	fflush(stdout);
	make_fcontext(stack + sizeof(stack), sizeof(stack), 0);
	puts("well");
	return 0;
}
'''

# As setproctitle() does it: the title over the arguments, and on over the environment.
TITLED = '''
#include <string.h>
extern char **environ;
int main(int argc, char **argv)
{
	for (int i = 0; i < argc; i++)
		memset(argv[i], 't', strlen(argv[i]));
	for (char **e = environ; *e != NULL; e++)
		memset(*e, 't', strlen(*e));
	return 0;
}
'''


def run(command, **env):
    base = {k: v for k, v in os.environ.items() if not k.startswith('REAP_COMPAT') and k != 'LD_PRELOAD'}
    done = subprocess.run(command, env=dict(base, **env), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          stdin=subprocess.DEVNULL, text=True, errors='replace', check=False)
    return done.returncode, done.stdout, done.stderr


def defined(nm, library):
    option = ['-D'] if '.so' in library else []
    said = subprocess.run([nm] + option + ['--defined-only', library], check=True, stdout=subprocess.PIPE, text=True).stdout
    return {re.sub(r'@.*', '', line.split()[-1]) for line in said.splitlines() if len(line.split()) == 3}


class Cases:
    def __init__(self):
        self.all = []

    def add(self, name, *wrong):
        """wrong: pairs of a condition that must hold and what is said if it does not."""
        self.all.append((name, [str(sentence) for holds, sentence in wrong if not holds]))

    def show(self):
        print('TAP version 13\n1..%d' % len(self.all))
        for n, (name, wrong) in enumerate(self.all, 1):
            print('%s %d - %s' % ('not ok' if wrong else 'ok', n, name))
            for sentence in wrong:
                print('%s: %s' % (name, sentence), file=sys.stderr)
        return 1 if any(wrong for _, wrong in self.all) else 0


def main():
    parser = argparse.ArgumentParser()
    for name in ('work', 'nm', 'readelf', 'cc', 'compat', 'stock'):
        parser.add_argument('--' + name, required=True)
    parser.add_argument('libreap', nargs='+')
    args = parser.parse_args()
    work = pathlib.Path(args.work)
    work.mkdir(parents=True, exist_ok=True)
    compat = str(pathlib.Path(args.compat).resolve())
    cases = Cases()

    found = defined(args.nm, compat)
    cases.add('it exports what it serves and what it has to see, and no more',
              (found == SERVED | MASKS, sorted(found ^ (SERVED | MASKS))))
    for library in args.libreap:
        names = defined(args.nm, library)
        cases.add('%s defines nothing of it' % pathlib.Path(library).name, (names, 'no symbol at all'),
                  (not names & (SERVED | MASKS), sorted(names & (SERVED | MASKS))))
    notes = subprocess.run([args.readelf, '-lW', compat], check=True, stdout=subprocess.PIPE, text=True).stdout
    cases.add('no executable stack', (re.search(r'GNU_STACK.* RW ', notes), notes))

    # A stock program: the same output, and the counts of all that it does.
    report = work / 'report'
    report.unlink(missing_ok=True)
    sound = run([args.stock, 'glibc'])
    shim = run([args.stock, 'auto'], LD_PRELOAD=compat, REAP_COMPAT_REPORT=str(report))
    lines = report.read_text().splitlines() if report.exists() else []
    counts = [dict((k, int(v)) for k, v in re.findall(r' (\w+) (\d+)[,;]', line)) for line in lines]
    cases.add('a stock program says the same', (sound[0] == 0, sound), (shim[0] == 0, shim), (shim[2] == '', shim[2]),
              (set(sound[1].splitlines()) - set(shim[1].splitlines()) <= {'the mask is kept by a system call'}, shim[1]))
    cases.add('the report counts what it served, and a child on its own',
              (len(lines) == 2, lines),
              (all(re.match(r'libreap-compat: %s\[\d+\]: ' % pathlib.Path(args.stock).name, s) for s in lines), lines),
              (sorted(c.get('swapcontext', -1) >= 1000000 for c in counts) == [False, True], counts),
              (any(c.get('swapcontext') == 0 and c.get('setcontext') == 1 for c in counts), counts),
              (sum('signal masks never touched' in s for s in lines) == 1 and
               sum('signal masks kept since sigprocmask' in s for s in lines) == 1, lines))
    quiet = run([args.stock, 'auto'], LD_PRELOAD=compat)
    cases.add('it says nothing unless asked', (quiet[0] == 0 and quiet[2] == '', quiet))
    titled = work / 'titled'
    subprocess.run(shlex.split(args.cc) + ['-x', 'c', '-', '-o', str(titled)], input=TITLED, text=True, check=True)
    report.unlink(missing_ok=True)
    status = run([str(titled)], LD_PRELOAD=compat, REAP_COMPAT_REPORT=str(report))
    said = report.read_text() if report.exists() else ''
    cases.add('a program that writes over its environment is reported where that was asked for, by its name',
              (status == (0, '', ''), status), (re.match(r'libreap-compat: titled\[\d+\]: ', said), said))
    for variable, value in (('REAP_COMPAT_SIGMASK', 'perhaps'), ('REAP_COMPAT_REPORT', 'yes'),
                            ('REAP_COMPAT_REPORT', '/' + 4095 * 'y')):
        status = run([args.stock, 'auto'], LD_PRELOAD=compat, **{variable: value})
        cases.add('%s=%.8s is refused, with the choices' % (variable, value), (status[0] == BAD, status),
                  ('%s=%s: it can be' % (variable, value) in status[2], status))

    # False versions.
    cc = shlex.split(args.cc)

    def library(name, text):
        path = work / name
        subprocess.run(cc + ['-shared', '-fPIC', '-Wl,-soname,' + name, '-x', 'c', '-', '-o', str(path)], input=text, text=True,
                       check=True)
        return str(path)

    def program(name, *libraries):
        path = work / name
        subprocess.run(cc + ['-x', 'c', '-', '-o', str(path), '-x', 'none', '-Wl,--no-as-needed'] + list(libraries) + [
            compat, '-Wl,-rpath,%s:%s' % (work.resolve(), pathlib.Path(compat).parent)], input=MAIN, text=True, check=True)
        return str(path)

    old = library('libboost_context.so.1.81.0', 'int old;')
    right = library('libboost_context.so.1.74.0', 'int right;')
    ruby = library('libruby-3.2.so.3.2', 'const int ruby_api_version[3] = { 3, 2, 0 };')
    rubies = library('libruby-3.1.so.3.1', 'const int ruby_api_version[3] = { 3, 1, 0 };')
    for name, libraries, sentence in (('boost', [old], 'libboost_context.so.1.81.0'), ('ruby', [ruby], 'Ruby 3.2')):
        path = program('other-' + name, *libraries)
        status = run([path])
        cases.add('another %s is refused by its name, at the start' % name, (status[0] == BAD and status[1] == '', status),
                  (sentence in status[2] and 'REAP_COMPAT_ANY_VERSION=1' in status[2], status))
        status = run([path], REAP_COMPAT_ANY_VERSION='1')
        cases.add('another %s is served if somebody insists' % name, (status == (0, 'began\nwell\n', ''), status))
    both = program('right', right, rubies)
    status = run([both])
    cases.add('the right ones are served', (status == (0, 'began\nwell\n', ''), status))
    status = run([both, old])
    cases.add('another Boost that is loaded later is refused when it makes its first context',
              (status[0] == BAD and status[1] == 'began\n' and 'libboost_context.so.1.81.0' in status[2], status))
    return cases.show()


if __name__ == '__main__':
    sys.exit(main())
