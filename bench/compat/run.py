#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Stock programs on their own switch, and on libreap-compat's.

usage: run.py --compat LIBRARY --work DIR [--cc CC] [--cxx CXX] [--rounds N] [--quick] [--tap] [--json FILE] [PROGRAM...]

Each program runs as Debian has it, or is compiled against Debian's libraries: without the library, with it preloaded, and,
where it found signal masks to keep, once more with REAP_COMPAT_SIGMASK=skip, which a program must be able to bear: `wrong'
says that it is not.  What the others print must be the same.  Times are the processor's, of the process and its children; the
rounds alternate; shown are the smallest, and the median of the ratios of a round with the smallest and the largest.  How many
switches were served is counted in a run of its own, which is not timed: a program that calls none of what is exported gains
nothing, whatever its times say.

--tap prints TAP instead of a table, for the tests: one case for each program, skipped with the reason where it is not installed.
"""
import argparse
import hashlib
import json
import os
import pathlib
import re
import resource
import shlex
import shutil
import statistics
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent


class Missing(Exception):
    """Why a program cannot be run here."""


def tool(name, package):
    path = shutil.which(name)
    if path is None:
        raise Missing('%s is not installed (%s)' % (name, package))
    return path


class Make:
    """Compiles the programs of this directory."""

    def __init__(self, args):
        self.work, self.compilers = args.work, {'.c': shlex.split(args.cc), '.cc': shlex.split(args.cxx)}

    def __call__(self, name, header='', package='', *libraries):
        source = HERE / name
        compiler = self.compilers[source.suffix]
        tool(compiler[0], 'gcc or g++')
        if header:
            probe = subprocess.run(compiler + ['-x', 'c++' if source.suffix == '.cc' else 'c', '-E', '-'], text=True,
                                   input='#include <%s>\n' % header, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                   check=False)
            if probe.returncode:
                raise Missing('%s is not installed' % package)
        exe = self.work / source.stem
        subprocess.run(compiler + ['-O2', '-o', str(exe), str(source)] + list(libraries), check=True)
        return str(exe)


def swap(make, scale):
    return [make('swap.c'), str(2000000 * scale)]


def pth(make, scale):
    return [make('pth.c', 'pth.h', 'libpth-dev', '-lpth'), str(1000 * scale)]


def boost_context(make, scale):
    return [make('boost_context.cc', 'boost/context/fiber.hpp', 'libboost-context-dev', '-lboost_context'), str(5000000 * scale)]


def boost_fiber(make, scale):
    return [make('boost_fiber.cc', 'boost/fiber/all.hpp', 'libboost-fiber-dev', '-lboost_fiber', '-lboost_context', '-pthread'),
            str(5000 * scale)]


def ruby(_, scale):
    return [tool('ruby', 'ruby'), str(HERE / 'fibers.rb'), str(100000 * scale)]


def qemu(make, scale):
    """An image to qcow2, checked, and back: the sum of what came back.  Its coroutines are made by swapcontext(), and no more."""
    tool('qemu-img', 'qemu-utils')
    image = make.work / 'image.raw'
    chunk = b''.join(hashlib.sha256(b'%d' % i).digest() for i in range(2048))
    with open(image, 'wb') as out:
        for i in range(64 * scale):
            out.write(chunk)
            out.seek(len(chunk) * (i % 5), 1)
        out.truncate((out.tell() // 65536 + 1) * 65536)
    script = '''
        cd "$1"
        qemu-img convert -W -m 8 -f raw -O qcow2 image.raw image.qcow2
        qemu-img check image.qcow2 | grep -o "No errors.*\\|.*allocated"     # how fragmented it is, chance decides
        qemu-img convert -m 8 -f qcow2 -O raw image.qcow2 again.raw
        sha256sum <again.raw
        cmp image.raw again.raw'''
    return ['sh', '-ec', script, 'sh', str(make.work)]


def openssl(_, scale):
    """Its asynchronous jobs: a fixed time, so what counts is the rate, which it prints.  The rest of the output is the result."""
    return [tool('openssl', 'openssl'), 'speed', '-seconds', str(scale), '-async_jobs', '8', '-bytes', '16', '-evp', 'sha256']


def uwsgi(make, scale):
    """Requests to a WSGI application whose answer comes in parts, each by a switch of uGreen."""
    tool('uwsgi-core', 'uwsgi-core')
    for plugin in ('python3', 'ugreen'):
        if not os.path.exists('/usr/lib/uwsgi/plugins/%s_plugin.so' % plugin):
            raise Missing('the plugin %s of uWSGI is not installed (uwsgi-plugin-python3)' % plugin)
    return [sys.executable, str(HERE / 'ugreen.py'), str(make.work), str(20 * scale)]


PROGRAMS = {
    'swapcontext': swap, 'libpth': pth, 'Boost.Context': boost_context, 'Boost.Fiber': boost_fiber, 'Ruby': ruby,
    'qemu-img': qemu, 'openssl speed': openssl, 'uWSGI uGreen': uwsgi,
}


class Run:
    """One run: what it printed, and what it took."""

    def __init__(self, command, compat, sigmask, report=None):
        env = {k: v for k, v in os.environ.items() if not k.startswith('REAP_COMPAT') and k != 'LD_PRELOAD'}
        if compat:
            env.update(LD_PRELOAD=str(compat), REAP_COMPAT_SIGMASK=sigmask)
        if report:
            env.update(REAP_COMPAT_REPORT=str(report))
        before, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        done = subprocess.run(command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              errors='replace', timeout=600, check=False)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        self.wall = time.monotonic() - wall
        self.seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        self.status, self.out, self.err = done.returncode, done.stdout, done.stderr
        self.result, self.rate = self.out, None
        if 'speed' in command:          # numbers that say how fast it was are not what must be equal
            rate = re.search(r'^sha256 +([\d.]+)k', self.out, re.M)
            self.rate = float(rate.group(1)) if rate else None
            self.result = 'sha256, %d column' % len(re.findall(r'^sha256 ', self.out, re.M))

    @property
    def cost(self):
        """What is compared: seconds, or the inverse of a rate."""
        return self.seconds if self.rate is None else 1 / self.rate


def counted(report):
    """Of a report: how many switches of each kind, and what became of signal masks."""
    total, masks = {}, set()
    for line in report.read_text(encoding='utf-8').splitlines() if report.exists() else []:
        for name, number in re.findall(r' (\w+) (\d+)[,;]', line):
            total[name] = total.get(name, 0) + int(number)
        masks.add(line.partition('signal masks ')[2])
    return total, masks


def try_one(name, args, make):
    command = PROGRAMS[name](make, 1 if args.quick else 10)
    report = args.work / 'report'
    report.unlink(missing_ok=True)
    count = Run(command, args.compat, 'auto', report)
    switches, masks = counted(report)
    ways = [('stock', None, ''), ('compat', args.compat, 'auto')]
    if any(m.startswith('kept') for m in masks):
        ways.append(('skip', args.compat, 'skip'))
    runs = {way: [] for way, _, _ in ways}
    for _ in range(args.rounds):
        for way, compat, sigmask in ways:
            runs[way].append(Run(command, compat, sigmask))
    wrong = ['%s: status %d: %s' % (way, run.status, (run.err or run.out)[-400:]) for way, rs in
             list(runs.items()) + [('counted', [count])] for run in rs if run.status]
    results = {run.result for way in ('stock', 'compat') for run in runs[way]} | {count.result}
    if not wrong and len(results) != 1:
        wrong.append('results differ: %s' % sorted(results))
    if not switches:
        wrong.append('nothing was reported: was it preloaded?')
    row = {'program': name, 'switches': switches, 'masks': sorted(masks), 'result': hashlib.sha256(
        ''.join(sorted(results)).encode()).hexdigest()[:12], 'wrong': wrong}
    for way, rs in runs.items():
        ratios = [run.cost / stock.cost if stock.cost else 0 for run, stock in zip(rs, runs['stock'])]
        row[way] = {'equal': {run.result for run in rs} == results, 'seconds': min(r.seconds for r in rs),
                    'wall': min(r.wall for r in rs), 'rate': max((r.rate or 0) for r in rs), 'ratio': statistics.median(ratios), 'least': min(ratios), 'most': max(ratios)}
    return row


def show(row):
    if 'skipped' in row:
        return '%-14s skipped: %s' % (row['program'], row['skipped'])

    def took(way):
        if way not in row:
            return '%22s' % ''
        r = row[way]
        value = '%7.0f kB/s' % r['rate'] if r['rate'] else '%9.2f s' % r['seconds']
        return value if way == 'stock' else '%s %.2f [%.2f-%.2f]%s' % (
            value, r['ratio'], r['least'], r['most'], '' if r['equal'] or row['wrong'] else ' wrong')
    served = ', '.join('%s %d' % (k, v) for k, v in row['switches'].items() if v) or 'no switch'
    return '%-14s %-12s  %-27s  %-33s  %-7s  %s' % (row['program'], took('stock'), took('compat'), took('skip'),
                                                'DIFFERS' if row['wrong'] else 'equal', served)


def main():
    parser = argparse.ArgumentParser(usage=__doc__.split('\n\n')[1][len('usage: '):])
    parser.add_argument('--compat', type=lambda p: pathlib.Path(p).resolve(), required=True)
    parser.add_argument('--work', type=lambda p: pathlib.Path(p).resolve(), required=True)
    parser.add_argument('--cc', default=os.environ.get('CC') or 'cc')
    parser.add_argument('--cxx', default=os.environ.get('CXX') or 'g++')
    parser.add_argument('--rounds', type=int)
    parser.add_argument('--quick', action='store_true')
    parser.add_argument('--tap', action='store_true')
    parser.add_argument('--json')
    parser.add_argument('program', nargs='*')
    args = parser.parse_args()
    args.rounds = args.rounds or (2 if args.quick else 5)
    unknown = [p for p in args.program if p not in PROGRAMS]
    if unknown:
        parser.error('no such program: %s; there are: %s' % (', '.join(unknown), ', '.join(PROGRAMS)))
    if args.tap and os.environ.get('REAP_TEST_LONG', '0') in ('', '0'):
        print('1..0 # SKIP a minute: only with --long')
        return 0
    args.work.mkdir(parents=True, exist_ok=True)
    make = Make(args)
    names = args.program or list(PROGRAMS)
    if args.tap:
        print('TAP version 13\n1..%d' % len(names))
    else:
        print('%-14s %-12s  %-27s  %-33s  %-7s  %s' % (
            'program', 'stock', 'libreap-compat, ratio', 'masks skipped, ratio', 'result', 'switches served'))
    rows = []
    for n, name in enumerate(names, 1):
        try:
            row = try_one(name, args, make)
        except Missing as why:
            row = {'program': name, 'skipped': str(why)}
        rows.append(row)
        wrong = row.get('wrong', [])
        if args.tap:
            print('%s %d - %s%s' % ('not ok' if wrong else 'ok', n, name, ' # SKIP ' + row['skipped'] if 'skipped' in row else ''),
                  flush=True)
        else:
            print(show(row), flush=True)
        for sentence in wrong:
            print('%s: %s' % (name, sentence), file=sys.stderr)
    if args.json:
        pathlib.Path(args.json).write_text(json.dumps(rows, indent=1) + '\n', encoding='utf-8')
    return 1 if any(row.get('wrong') for row in rows) else 0


if __name__ == '__main__':
    sys.exit(main())
