#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""libreap side by side with what else there is: builds each peer's program, runs them interleaved, prints tables and JSON.

`bench/run --peers' calls it.  Every sample is a process of its own; a round runs all peers of a shape one after the other, every
other round in the opposite order, so that a change of the machine's speed hits neighbours alike.  Figures are medians over the
rounds, with a 95% interval by bootstrap; ratios are taken round by round.
"""
import argparse
import concurrent.futures
import json
import os
import platform
import shutil
import subprocess
import sys
import time

sys.dont_write_bytecode = True

import catalog      # noqa: E402
import report       # noqa: E402

HEAVY = 12          # KiB that a context may take, at the most, where many live at the same time: what to ask the machine for
LIBRARIES = ('micro', 'landing', 'costs', 'sweep workers', 'sweep stack', 'sweep pages', 'sweep batch')


def options_of(arguments):
    shapes, peers = [s.name for s in catalog.SHAPES], [p.key for p in catalog.PEERS]
    parser = argparse.ArgumentParser(prog='bench/run --peers', description=__doc__.split('\n\n')[0],
                                     epilog='shapes: %s.  peers: %s.' % (', '.join(shapes), ', '.join(peers)))
    parser.add_argument('--quick', action='store_true', help='less than a minute once all is built: fewer and shorter rounds')
    parser.add_argument('--long', action='store_true', help='longer rounds, and a million live contexts')
    parser.add_argument('--micro', action='store_true', help='libreap alone, and its microbenchmarks and sweeps')
    parser.add_argument('--rounds', type=int, help='default 9; 3 with --quick, 15 with --long')
    parser.add_argument('--time', type=float, metavar='MS', help='of a sample; default 60; 20 with --quick, 200 with --long')
    parser.add_argument('--shape', action='append', choices=shapes, help='only this one; may be repeated')
    parser.add_argument('--peer', action='append', choices=peers, help='only this one; may be repeated')
    parser.add_argument('--json', metavar='FILE', help='the figures, all rounds of them; written whole or not at all')
    parser.add_argument('--tree', required=True, help=argparse.SUPPRESS)
    parser.add_argument('--cc', default=os.environ.get('CC') or 'gcc', help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.quick and options.long:
        parser.error('--quick and --long contradict each other')
    options.rounds = options.rounds or (3 if options.quick else 15 if options.long else 9)
    options.time = options.time or (20 if options.quick else 200 if options.long else 60)
    if options.rounds < 1 or options.time <= 0:
        parser.error('nothing to measure')
    options.patience = 8 if options.quick else 60       # seconds that a program may take
    return options


def sample(command, patience):
    """Runs a program.  (what it printed, None), or (None, what went wrong)."""
    try:
        ran = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                             timeout=patience, check=False)
    except subprocess.TimeoutExpired:
        return None, 'no end within %g s' % patience
    if ran.returncode != 0:
        lines = ran.stderr.strip().splitlines()
        how = 'signal %d' % -ran.returncode if ran.returncode < 0 else 'status %d' % ran.returncode
        return None, 'failed, %s%s' % (how, ': ' + lines[-1] if lines else '')
    try:
        found = json.loads(ran.stdout)
        if 'stopped' not in found:
            sane = found['items'] >= 0 and found['cpu_ns'] >= 0 and found['wall_ns'] >= 0 and found['notes'] is not None
            if not sane:
                raise ValueError(ran.stdout)
    except (ValueError, KeyError, TypeError):
        return None, 'answered %r' % ran.stdout[:60]
    return found, None


def measure(cell, built, number, options, patience):
    """One sample of a cell.  What a peer cannot do is noted and not tried again; so is what fails."""
    arguments = ['--json', '--time', '%g' % options.time, '--adds', '%g' % options.adds]
    command = built.command(cell.shape.program or cell.shape.name, *arguments) + ([str(cell.count)] if cell.count else [])
    found, problem = sample(command, patience)
    if found is not None and 'stopped' in found and cell.shape.name == 'rss' and found['items'] > 2000:
        cell.count = found['items'] // 1000 * 1000 * 9 // 10        # as many as it can
        found, problem = sample(command[:-1] + [str(cell.count)], patience)
    if problem is not None and problem.startswith('no end') and (cell.peer.key not in catalog.OURS or options.quick):
        cell.why = problem      # slow, or on a machine that has no time
    elif problem is not None:
        cell.failure = problem
    elif 'stopped' in found:
        cell.why = 'stops at {:,}: {}'.format(found['items'], found['stopped'])
    else:
        cell.add(number, found)


def microsecond(builder):
    """So many additions are a body of a microsecond, in all programs alike: at the best speed that is seen."""
    built = builder.build(next(peer for peer in catalog.PEERS if peer.source == 'bare.c'))
    if built.path is None:
        return 0
    samples = [sample([built.path, '--json', '--time', '10', 'calibration'], 20)[0] for _ in range(5)]
    return max([s['items'] * 1000 / s['cpu_ns'] for s in samples if s] + [0])


def available_kib():
    try:
        with open('/proc/meminfo', encoding='ascii') as file:
            for line in file:
                if line.startswith('MemAvailable:'):
                    return int(line.split()[1])
    except OSError:
        pass
    return 1 << 40


def processors():
    return len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1


def plan(programs, options):
    """{shape: cells}: of the peers that know the shape, and of those that are not here."""
    cells = {}
    for shape in catalog.SHAPES:
        if shape.name == 'million' and not options.long or options.shape and shape.name not in options.shape:
            continue
        cells[shape] = []
        for built in programs:
            if built.path is not None and (shape.program or shape.name) not in built.shapes:
                continue
            if built.peer.only is not None and shape.name not in built.peer.only:
                continue
            if built.path is None and shape is not next(iter(cells)):
                continue            # is said once
            cell = report.Cell(shape, built.peer)
            cell.count = shape.quick if options.quick and shape.count else shape.count
            if built.peer.counts and shape.count:
                cell.count = built.peer.counts.get(shape.name, cell.count)
                if shape.name in ('maps', 'million'):
                    continue
            if built.missing is not None:
                cell.why = 'not installed (package %s)' % built.missing
            elif built.failure is not None:
                cell.failure = built.failure.splitlines()[0]
            elif shape.workers > processors():
                cell.why = 'skipped: one processor'
            elif shape.name in ('live', 'million', 'maps', 'rss') and cell.count * HEAVY > available_kib():
                cell.why = 'skipped: may need %d MiB' % (cell.count * HEAVY // 1024)
            cells[shape].append(cell)
    return cells


def runnable(cells):
    return [cell for cell in cells if cell.why is None and cell.failure is None]


def run(cells, programs, options):
    """Fills the cells.  Returns how many rounds there was time for."""
    built = {program.peer.key: program for program in programs}
    began, done = time.monotonic(), 0
    options.end = began + 45 if options.quick else float('inf')
    # With --quick what is timed gets three fifths of the time, the crowds the rest.
    timed_end = began + 0.6 * (options.end - began) if options.quick else float('inf')

    def progress(what):
        if sys.stderr.isatty():
            print('\r%-60s\r' % what, end='', file=sys.stderr, flush=True)

    for number in range(options.rounds):
        if number > 0 and time.monotonic() + (time.monotonic() - began) / number > timed_end:
            break
        for shape in catalog.TIMED:
            if shape not in cells:
                continue
            turn = runnable(cells[shape])
            for cell in turn if number % 2 == 0 else turn[::-1]:
                if time.monotonic() > timed_end:
                    cell.why = None if cell.samples else 'left out: no time left'
                    continue
                progress('round %d of %d: %s, %s' % (number + 1, options.rounds, shape.name, cell.peer.title))
                measure(cell, built[cell.peer.key], number, options, options.patience)
        done = number + 1
    for shape in cells:
        if shape in catalog.TIMED:
            continue
        rounds = 1 if options.quick or shape.name in ('maps', 'rss', 'zombies') else min(3, options.rounds)
        if shape.name == 'rss':
            # They sleep most of the time, and no time is shown.
            together = max(1, min(4, available_kib() // max([1] + [cell.count * HEAVY for cell in cells[shape]])))
            with concurrent.futures.ThreadPoolExecutor(together) as pool:
                for _ in pool.map(lambda cell: finish(cell, built[cell.peer.key], 0, options), runnable(cells[shape])):
                    pass
            continue
        for number in range(rounds):
            turn = runnable(cells[shape])
            for cell in turn if number % 2 == 0 else turn[::-1]:
                progress('%s, %s' % (shape.name, cell.peer.title))
                finish(cell, built[cell.peer.key], number, options)
    progress('')
    return done


def finish(cell, built, number, options):
    """A sample of a shape that has no rounds to leave out: within the time that is left."""
    left = options.end - time.monotonic()
    patience = options.patience * (4 if cell.shape.name == 'million' else 1)
    if left >= 1:
        measure(cell, built, number, options, min(patience, left))
    if left < 1 and not cell.samples or left < patience and cell.why is not None and cell.why.startswith('no end'):
        cell.why = 'left out: no time left'     # ours to blame, not the peer's


def microbenchmarks(options):
    """[(library, figures)] of the programs that measure libreap alone, which interleave by themselves."""
    found, failed = [], False
    rounds = ['3' if options.quick else '15']
    for line in LIBRARIES:
        name, *words = line.split()
        for library in ('static', 'shared'):
            path = os.path.join(options.tree, 'bench', 'micro', name + ('-shared' if library == 'shared' else ''))
            if not os.path.exists(path):
                continue            # landing has nothing of the library to link
            ran = subprocess.run([path, '--json', *words, *rounds], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                 check=False)
            if ran.returncode == 0:
                figures = json.loads(ran.stdout)
                found.append((line, library, figures))
                print('%s, %s library%s' % (line, library, '' if library == 'static' else ' (libreap.so)'))
                for figure in figures['figures']:
                    print(report.row(figure['name'], (report.number(figure['median']), 11),
                                     ('[%s-%s]' % (report.number(figure['min']), report.number(figure['max'])), -21),
                                     (report.number(figure['wall']) if 'wall' in figure else '', 11),
                                     (report.number(figure['of_calibration']), 10)))
            else:
                failed = failed or ran.returncode != 77
                print('%s, %s library: %s' % (line, library, (ran.stderr.strip().splitlines() or ['failed'])[-1]))
            print()
    return found, failed


def version_of(package):
    if not package or shutil.which('dpkg-query') is None:
        return None
    ran = subprocess.run(['dpkg-query', '-W', '-f', '${Version}', package], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                         text=True, check=False)
    return ran.stdout or None


def machine(options):
    processor = platform.processor() or platform.machine()
    try:
        with open('/proc/cpuinfo', encoding='utf-8') as file:
            processor = next((line.split(':', 1)[1].strip() for line in file if line.startswith('model name')), processor)
    except OSError:
        pass
    ran = subprocess.run([*options.cc.split(), '--version'], stdout=subprocess.PIPE, text=True, check=False)
    return {'processor': processor, 'processors': processors(), 'system': '%s %s' % (platform.system(), platform.release()),
            'compiler': (ran.stdout.splitlines() or [options.cc])[0], 'flags': catalog.OPTIMISE, 'load': os.getloadavg()[0],
            'date': time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())}


def store(path, results):
    partial = path + '.partial'
    with open(partial, 'w', encoding='utf-8') as file:
        json.dump(results, file, indent=1)
        file.write('\n')
    os.replace(partial, path)


def main(arguments):
    options = options_of(arguments)
    wanted = [peer for peer in catalog.PEERS if (not options.peer or peer.key in options.peer) and
              (not options.micro or peer.key in catalog.OURS or peer.source == 'bare.c')]
    builder = catalog.Builder(options.tree, os.path.join(options.tree, 'peers'), options.cc)
    options.adds = microsecond(builder)
    with concurrent.futures.ThreadPoolExecutor(processors()) as pool:
        programs = list(pool.map(builder.build, wanted))
    for program in programs:
        if program.failure is not None:
            print('%s: %s' % (program.peer.title, program.failure), file=sys.stderr)
    about = machine(options)
    print('%(processor)s, %(processors)d processors, %(system)s, %(compiler)s, load %(load).2f' % about)
    cells = plan(programs, options)
    done = run(cells, programs, options)
    additions = sorted(s['add_ns'] for group in cells.values() for cell in group for s in cell.samples.values() if s['add_ns'] > 0)
    if additions:
        about['addition_ns'] = additions[len(additions) // 2]
        print('one addition: %.3f ns [%.3f-%.3f]; %d rounds of %g ms%s' % (
            about['addition_ns'], additions[0], additions[-1], done, options.time,
            '' if done == options.rounds else ': %d were left out for want of time' % (options.rounds - done)))
    records = []
    for shape, group in cells.items():
        if not group:
            continue
        count = shape.quick if options.quick and shape.count else shape.count
        print()
        for line in report.table(shape, count, group):
            print(line)
        reference = report.reference_of(group)
        records += [report.cell_record(cell, reference) for cell in group]
    failed = any(cell.failure for group in cells.values() for cell in group)
    micro = []
    if options.micro:
        print()
        micro, micro_failed = microbenchmarks(options)
        failed = failed or micro_failed
    if options.json:
        store(options.json, {
            'machine': about, 'command': ['bench/run', *sys.argv[1:]], 'rounds': done, 'ms': options.time,
            'peers': [{'key': p.peer.key, 'title': p.peer.title, 'package': p.peer.package, 'version': version_of(p.peer.package),
                       'missing': p.missing, 'failure': p.failure} for p in programs],
            'cells': records,
            'micro': [dict(figures, name=name, library=library) for name, library, figures in micro]})
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
