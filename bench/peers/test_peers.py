#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""The peers: each that is installed builds without a warning and answers in each of its shapes; and what the driver makes of
answers.

usage: test_peers.py BUILD-DIRECTORY -- CC...
"""
import json
import os
import stat
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import catalog      # noqa: E402
import figures      # noqa: E402
import report       # noqa: E402
import run          # noqa: E402

TREE, CC = sys.argv[1], ' '.join(sys.argv[3:])
SMALL = {'live': 200, 'million': 200, 'maps': 300, 'rss': 200, 'zombies': 100, 'handoff': 1100}
GOOD = {'shape': 'life-one', 'items': 10, 'cpu_ns': 1000, 'wall_ns': 2000, 'add_ns': 0.5, 'notes': {}}


def expect(what, *context):
    if not what:
        raise AssertionError('\n'.join(str(c) for c in context))


def answering(directory, text, status=0):
    """A program that says this, whatever it is asked."""
    path = os.path.join(directory, 'fake')
    with open(path, 'w', encoding='utf-8') as file:
        file.write("#!/bin/sh\ncat <<'EOF'\n%s\nEOF\n%s\n" % (text, status if isinstance(status, str) else 'exit %d' % status))
    os.chmod(path, stat.S_IRWXU)
    return path


def a_cell(name='life-one', key='st'):
    shape = next(s for s in catalog.SHAPES if s.name == name)
    return report.Cell(shape, next(p for p in catalog.PEERS if p.key == key))


def measured(directory, text, status=0, cell=None, patience=20):
    cell = cell or a_cell()
    built = catalog.Built(cell.peer, path=answering(directory, text, status), shapes=(cell.shape.name,))
    options = run.options_of(['--tree', TREE])
    options.adds = 3000
    run.measure(cell, built, 0, options, patience)
    return cell


def medians_and_intervals(_):
    expect(figures.median_interval([3, 1, 2])[0] == 2, figures.median_interval([3, 1, 2]))
    expect(figures.median_interval([7]) == (7, 7, 7))
    expect(figures.median_interval([4] * 9) == (4, 4, 4))
    middle, low, high = figures.median_interval([10, 11, 12, 13, 14, 15, 16, 17, 100])
    expect(middle == 14 and 10 <= low < 14 < high <= 100, low, high)
    expect(high < 100, 'one outlier of nine is not in the interval', high)
    expect(figures.median_interval(range(100))[1:] == figures.median_interval(range(100))[1:], 'it is not repeatable')


def ratios_are_of_the_same_round(_):
    expect(figures.ratios({0: 2, 1: 9, 3: 8}, {0: 1, 1: 3, 2: 5}) == [2, 3])


def a_good_answer_is_a_sample(directory):
    cell = measured(directory, json.dumps(GOOD))
    expect(cell.per_item('cpu_ns') == {0: 100} and cell.per_item('wall_ns') == {0: 200}, cell.samples, cell.failure)
    expect(cell.additions() == {0: 200}, cell.additions())


def a_crash_is_a_failure(directory):
    for status in (3, 'kill -SEGV $$'):
        cell = measured(directory, json.dumps(GOOD), status)
        expect(cell.failure and not cell.samples, cell.failure, cell.samples)


def nonsense_is_a_failure(directory):
    for text in ('', 'hello', '[]', '{}', json.dumps(dict(GOOD, cpu_ns=-1)), json.dumps(dict(GOOD, items=-5))):
        cell = measured(directory, text)
        expect(cell.failure and not cell.samples, text, cell.failure, cell.samples)


def a_hang_ends(directory):
    began = time.monotonic()
    cell = measured(directory, '', 'exec sleep 90', patience=0.5)
    expect(cell.why == 'no end within 0.5 s' and not cell.failure, cell.why, cell.failure)
    ours = measured(directory, '', 'exec sleep 90', a_cell(key='private'), 0.5)
    expect(ours.failure == 'no end within 0.5 s', ours.failure)
    expect(time.monotonic() - began < 60)


def a_limit_is_a_result(directory):
    limit = dict(shape='live', items=32753, stopped='mprotect: Cannot allocate memory')
    cell = measured(directory, json.dumps(limit), cell=a_cell('live'))
    expect(cell.why == 'stops at 32,753: mprotect: Cannot allocate memory' and not cell.failure, cell.why, cell.failure)
    expect(any('stops at 32,753' in line for line in report.table(cell.shape, 100000, [cell])))


def memory_is_asked_for_as_many_as_it_can(directory):
    cell = a_cell('rss')
    cell.count = 100000
    notes = dict(peak_kib=1, at_once_kib=1, idle_kib=1)
    script = """case "$*" in
*" 28800") echo '%s' ;;
*) echo '{"shape": "rss", "items": 32753, "stopped": "mprotect"}' ;;
esac"""
    measured(directory, '', script % json.dumps(dict(GOOD, notes=notes)), cell)
    expect(cell.samples and cell.count == 28800, cell.count, cell.why, cell.failure)


def what_one_worker_did_alone_is_not_shown(directory):
    cell = measured(directory, json.dumps(dict(GOOD, items=0, cpu_ns=0, wall_ns=0, notes={'batches': 5, 'counted': 0})),
                    cell=a_cell('two-empty', 'go'))
    expect(not cell.samples and cell.remarks() == 'no batch was shared', cell.remarks())


def what_did_not_cross_is_not_shown(directory):
    for share, counts in ((0.5, False), (0.95, True)):
        cell = measured(directory, json.dumps(dict(GOOD, notes={'crossed': share})), cell=a_cell('cross', 'go'))
        expect(bool(cell.samples) == counts, share, cell.samples)
    expect('50%' in measured(directory, json.dumps(dict(GOOD, notes={'crossed': 0.5})), cell=a_cell('cross', 'go')).remarks())


def what_is_not_installed_is_named(directory):
    path = os.environ['PATH']
    os.environ['PATH'] = directory
    try:
        go = next(p for p in catalog.PEERS if p.key == 'go')
        built = catalog.Builder(TREE, os.path.join(directory, 'none'), 'cc').build(go)
    finally:
        os.environ['PATH'] = path
    expect(built.path is None and built.missing == 'golang-go', built.missing)
    cells = run.plan([built], run.options_of(['--tree', TREE, '--shape', 'life-one']))
    shown = [line for shape in cells for line in report.table(shape, None, cells[shape])]
    expect(any('not installed (package golang-go)' in line for line in shown), shown)


def a_header_that_is_missing_is_noticed(directory):
    peer = next(p for p in catalog.PEERS if p.key == 'st')._replace(needs='no/such/header.h')
    built = catalog.Builder(TREE, directory, CC).build(peer)
    expect(built.missing == 'libst-dev', built.missing)


def a_warning_is_an_error_here(directory):
    builder = catalog.Builder(TREE, directory, CC, werror=True)
    with open(os.path.join(directory, 'warns.c'), 'w', encoding='utf-8') as file:
        file.write('int main(void) { int unused; return 0; }\n')
    peer = next(p for p in catalog.PEERS if p.key == 'ucontext')._replace(source=os.path.join(directory, 'warns.c'))
    expect((builder.build(peer).failure or '').startswith('did not build'), 'a warning passed')


def a_run_with_tables_and_json(directory):
    path = os.path.join(directory, 'peers.json')
    command = [sys.executable, os.path.join(catalog.HERE, 'run.py'), '--tree', TREE, '--cc', CC, '--json', path, '--rounds', '3',
               '--time', '1', '--shape', 'life-one', '--shape', 'zombies', '--peer', 'private', '--peer', 'ucontext', '--peer',
               'pthread']
    ran = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    expect(ran.returncode == 0, ran.stdout)
    with open(path, encoding='utf-8') as file:
        results = json.load(file)
    cells = {(c['shape'], c['peer']): c for c in results['cells']}
    expect(set(cells) == {('life-one', 'private'), ('life-one', 'ucontext'), ('life-one', 'pthread'), ('zombies', 'private'),
                          ('zombies', 'pthread')}, sorted(cells))
    for cell in results['cells']:
        expect(cell['failure'] is None and cell['skipped'] is None, cell)
        for key in ('cpu_ns', 'wall_ns', 'additions'):
            f = cell[key]
            expect(0 < f['low'] <= f['median'] <= f['high'] and len(f['rounds']) == (3 if cell['shape'] == 'life-one' else 1), cell)
    expect(cells['life-one', 'private']['ratio']['median'] == 1 and cells['life-one', 'pthread']['ratio']['to'] == 'private', cells)
    bytes_each = {peer: cells['zombies', peer]['notes']['bytes_each'] for peer in ('private', 'pthread')}
    expect(0 < bytes_each['private'] < bytes_each['pthread'], bytes_each)
    expect(results['machine']['addition_ns'] > 0 and results['rounds'] == 3, results)
    for title in ('libreap.a, private contexts', 'glibc ucontext', 'pthreads'):
        expect(title in ran.stdout, title, ran.stdout)
    expect(all(len(line) <= 132 for line in ran.stdout.splitlines()), max(ran.stdout.splitlines(), key=len))
    expect(not os.path.exists(path + '.partial'))


DRIVER = (medians_and_intervals, ratios_are_of_the_same_round, a_good_answer_is_a_sample, a_crash_is_a_failure,
          nonsense_is_a_failure, a_hang_ends, a_limit_is_a_result, memory_is_asked_for_as_many_as_it_can,
          what_one_worker_did_alone_is_not_shown, what_did_not_cross_is_not_shown, what_is_not_installed_is_named,
          a_header_that_is_missing_is_noticed, a_warning_is_an_error_here, a_run_with_tables_and_json)


def answers(built, shape):
    """One shape of one peer, for a moment."""
    command = built.command(shape.program or shape.name, '--json', '--time', '1', '--idle', '1')
    found, problem = run.sample(command + ([str(SMALL[shape.name])] if shape.name in SMALL else []), 120)
    expect(problem is None, command, problem)
    if 'stopped' in found:
        raise LookupError('stops at %d: %s' % (found['items'], found['stopped']))
    if shape.name in SMALL:
        expect(found['items'] == SMALL[shape.name] or shape.name == 'handoff' and found['items'] > 0, found)
    elif shape.workers == 1:
        expect(found['items'] > 0 and found['cpu_ns'] > 0, found)
    wanted = {'live': 'maps', 'maps': 'maps', 'rss': 'at_once_kib', 'zombies': 'bytes_each', 'handoff': 'peak_kib',
              'cross': 'crossed', 'two-empty': 'counted', 'two-1us': 'counted'}.get(shape.name)
    expect(wanted is None or wanted in found['notes'], found)


def main():
    number, failures, lines = 0, 0, []

    def say(name, problem=None, skip=None):
        nonlocal number, failures
        number += 1
        failures += problem is not None
        print('%sok %d - %s%s' % ('not ' if problem else '', number, name, ' # SKIP ' + skip if skip else ''))
        for line in (problem or '').splitlines():
            print('# ' + line)
        sys.stdout.flush()

    print('TAP version 13')
    with tempfile.TemporaryDirectory() as directory:
        builder = catalog.Builder(TREE, os.path.join(TREE, 'peers-test'), CC, werror=True)
        for peer in catalog.PEERS:
            built = builder.build(peer)
            if built.missing is not None:
                lines.append((peer.title, None, 'not installed (package %s)' % built.missing))
                continue
            if built.failure is not None:
                lines.append((peer.title, built.failure, None))
                continue
            for shape in catalog.SHAPES:
                knows = (shape.program or shape.name) in built.shapes and (not peer.only or shape.name in peer.only)
                if knows and shape.name != 'million':
                    lines.append(('%s: %s' % (peer.title, shape.name), (built, shape), None))
        print('1..%d' % (len(lines) + len(DRIVER)))
        for case in DRIVER:
            place = os.path.join(directory, case.__name__)
            os.mkdir(place)
            try:
                case(place)
                say(case.__name__.replace('_', ' '))
            except AssertionError as error:
                say(case.__name__.replace('_', ' '), str(error) or 'failed')
        for name, what, skip in lines:
            if not isinstance(what, tuple):
                say(name, what, skip)
            elif what[1].workers > run.processors():
                say(name, skip='one processor')
            else:
                try:
                    answers(*what)
                    say(name)
                except AssertionError as error:
                    say(name, str(error) or 'failed')
                except LookupError as error:
                    say(name, skip=str(error))
    return 1 if failures else 0


if __name__ == '__main__':
    sys.exit(main())
