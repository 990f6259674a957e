#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""The program as its users meet it: a short run, its results, and what it says when something is wrong.

usage: test_replay.py REPLAY TRACES
"""
import json
import os
import signal
import subprocess
import sys
import tempfile
import time

REPLAY, TRACES = sys.argv[1:3]
SHORT = ['--rounds', '1', '--copies', '1,20', '--workers', '1,2', '--scale', '20000']
SMALL = [os.path.join(TRACES, name) for name in ('spin_parent.csv', 'lazy_dash.csv')]


def replay(*args, **more):
    more.setdefault('stdout', subprocess.PIPE)
    return subprocess.run([REPLAY, *args], stderr=subprocess.PIPE, text=True, timeout=300, **more)


def expect(what, *context):
    if not what:
        raise AssertionError('\n'.join(str(c) for c in context))


def short_run_holds_every_figure(directory):
    ran = replay(*SHORT, '--out', directory, *SMALL)
    expect(ran.returncode == 0, ran.stderr, ran.stdout)
    lines = ran.stdout.splitlines()
    expect(lines[-1].startswith('verdict: over 2 traces, reap (adaptive) needs '), lines[-1])
    expect(all(len(line) <= 100 for line in lines[:-1]), max(lines[:-1], key=len))
    with open(os.path.join(directory, 'results.json'), encoding='utf-8') as file:
        results = json.load(file)
    expect(os.listdir(directory) == ['results.json'], os.listdir(directory))
    expect(results['verdict'] == lines[-1], results['verdict'])
    expect(all(results[key] for key in ('machine', 'kernel', 'compiler', 'commit', 'command', 'date', 'traces')), results)
    expect(len(results['cells']) == 2 * 2 * 2 * 7, len(results['cells']))
    known = set()
    for cell in results['cells']:
        expect(cell['failure'] is None, cell)
        for figure in cell['figures']:
            expect(figure['n'] == 1 and figure['min'] <= figure['median'] <= figure['max'], figure)
            known.add(figure['name'] + (', ' + figure['unit'] if figure['unit'] else ''))
    rows, table = set(), False
    for line in lines:
        if table and line:
            rows.add(line[:36].strip())
        table = bool(line) and (table or line.startswith(' ' * 36))
    expect(len(rows) > 30 and rows <= known, rows - known, len(rows))


def all_contexts_are_accounted_for(directory):
    with open(os.path.join(directory, 'results.json'), encoding='utf-8') as file:
        results = json.load(file)
    tasks = {trace['name']: trace['tasks'] for trace in results['traces']}
    for cell in results['cells']:
        outcomes = sum(n for mode in cell['outcomes'].values() for n in mode.values())
        expect(outcomes == (tasks[cell['trace']] - 1) * cell['copies'], cell['trace'], cell['side'], outcomes)


def malformed_recording_runs_nothing(directory):
    bad = os.path.join(directory, 'bad.csv')
    with open(SMALL[0], encoding='utf-8') as file:
        lines = file.read().splitlines()
    lines[41] = lines[41].replace(',N,', ',Q,')
    with open(bad, 'w', encoding='utf-8') as file:
        file.write('\n'.join(lines) + '\n')
    out = os.path.join(directory, 'out')
    ran = replay('--out', out, SMALL[0], bad, '/nonexistent.csv')
    expect(ran.returncode == 2, ran.returncode)
    expect(ran.stdout == '' and not os.path.exists(out), ran.stdout)
    expect(ran.stderr.splitlines() == [bad + ":42: mode is `Q', not one of the letters BLNAOUR",
                                       '/nonexistent.csv: No such file or directory'], ran.stderr)


def wrong_usage_is_told(_):
    for args in (['--policy', 'adaptive,reaper'], ['--copies', '0'], ['--copies', '1,'], ['--workers', 'x'], ['--scale', '0'],
                 ['--rounds', '100'], ['--nonsense'], ['--traces', '/nonexistent'], ['--out', '']):
        ran = replay(*args)
        expect(ran.returncode == 2 and ran.stderr and not ran.stdout, args, ran)
    for args in (['--help'], ['--list']):
        ran = replay(*args)
        expect(ran.returncode == 0 and not ran.stderr and 'adaptive' in ran.stdout, args, ran)


def unwritable_results_are_told(directory):
    plain_file = os.path.join(directory, 'file')
    with open(plain_file, 'w', encoding='utf-8'):
        pass
    ran = replay('--out', plain_file, *SHORT, SMALL[0])
    expect(ran.returncode == 1 and not ran.stdout and 'Not a directory' in ran.stderr, ran)
    if os.path.exists('/dev/full'):
        with open('/dev/full', 'w', encoding='utf-8') as full:
            ran = replay(*SHORT, '--policy', 'adaptive', SMALL[0], stdout=full)
        expect(ran.returncode == 1 and 'No space left on device' in ran.stderr, ran)


def crash_of_a_cell_is_an_answer(_):
    if not os.path.exists('/proc/self/task/%d/children' % os.getpid()):
        return
    with subprocess.Popen([REPLAY, '--rounds', '20', '--copies', '50', '--scale', '1000', '--policy', 'adaptive,plain', SMALL[0]],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        children = []
        while len(children) < 2 and running.poll() is None:
            with open('/proc/%d/task/%d/children' % (running.pid, running.pid), encoding='ascii') as file:
                children = [int(child) for child in file.read().split()]
            time.sleep(0.001)
        os.kill(children[1], signal.SIGKILL)
        stdout, stderr = running.communicate(timeout=300)
    expect(running.returncode == 1, running.returncode, stderr)
    expect('plain: killed by signal 9' in stderr and 'plain FAILED: killed by signal 9' in stdout, stderr, stdout)
    expect(stdout.splitlines()[-1].startswith('verdict: '), stdout)


TESTS = [short_run_holds_every_figure, all_contexts_are_accounted_for, malformed_recording_runs_nothing, wrong_usage_is_told,
         unwritable_results_are_told, crash_of_a_cell_is_an_answer]


def main():
    failed = 0
    print('TAP version 13\n1..%d' % len(TESTS))
    with tempfile.TemporaryDirectory() as short, tempfile.TemporaryDirectory() as other:
        for i, test in enumerate(TESTS):
            try:
                test(short if i < 2 else other)
                print('ok %d - %s' % (i + 1, test.__name__), flush=True)
            except AssertionError as error:
                failed += 1
                print('not ok %d - %s' % (i + 1, test.__name__))
                print(error, file=sys.stderr, flush=True)
    return failed != 0


sys.exit(main())
