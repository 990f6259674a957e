#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Recorded process trees as green threads, reap against reaper thread: a report that answers eight questions.

usage: bench/run [option ...] [FILE.csv ...]

Without files the bundled recordings are replayed; the whole takes about two minutes.  Writes results/report.html, which needs
nothing but itself, and behind it report.json, figures.csv, percentiles.txt, tables.txt, timeline.json.

  --quick            fewer rounds and shorter bodies: some 25 seconds
  --out DIR          write there, not into results/
  --tables           print the tables of every trace as well
  --scenes LIST      of the scenes below only these; none: the replay alone
  --scene NAME       only that, and only a table of it: paced, lazy, budget, costly, workers, stack, or handoff
  --waits            only the table of waits, from the measuring build
  --verdict          renew the figures in docs/verdict.md when the run is complete
  --list, --policy LIST, --copies K[,K], --workers N[,N], --scale S, --rounds N, --pages N, --seconds N, --traces DIR
                     the replay's; `--replay-help' explains them
  --peers, --micro   other benchmarks; `--peers --help' explains them

Ctrl-C ends the run: the report is then written of what was measured by that time.
Exit status: 0, all ran; 1, something failed or could not be written; 2, wrong usage or a malformed recording, nothing was run;
130, interrupted.
"""
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time

import figures as N
import report
import results as R
import verdict

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
SCENES = ('paced', 'lazy', 'budget', 'costly', 'workers', 'stack')
SECONDS = {'replay': 70, 'scene': 3.2, 'handoff': 2, 'waits': 10, 'timeline': 1}
QUICK = {'replay': 9, 'scene': 1.4, 'handoff': 1, 'waits': 3, 'timeline': 1}


class Interrupted(Exception):
    """Ctrl-C."""


class Runner:
    """Runs the programs one by one; each is in a process group of its own, so that Ctrl-C comes to it by way of us, once."""

    def __init__(self):
        self.child, self.interrupted = None, False
        self.start = time.monotonic()
        signal.signal(signal.SIGINT, self.interrupt)
        signal.signal(signal.SIGTERM, self.interrupt)

    def interrupt(self, number, frame):
        del number, frame
        if self.interrupted:        # somebody means it
            if self.child:
                self.kill()
            sys.exit(130)
        self.interrupted = True
        if self.child:
            self.child.send_signal(signal.SIGINT)

    def kill(self):
        try:
            os.killpg(self.child.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass

    def run(self, command, **more):
        """Returns (status, standard output, what else the machine did)."""
        if self.interrupted:
            raise Interrupted
        before, own = machine_time(), resource.getrusage(resource.RUSAGE_CHILDREN)
        start = time.monotonic()
        self.child = subprocess.Popen(command, preexec_fn=os.setpgrp, text=True, encoding='utf-8', **more)
        output = self.child.communicate()[0]
        status, self.child = self.child.returncode, None
        return status, output, noise(before, own, start)


def machine_time():
    """Busy and stolen processor seconds since the machine's start; None where there is no /proc."""
    try:
        with open('/proc/stat', encoding='ascii') as file:
            v = [int(word) for word in file.readline().split()[1:9]]
    except (OSError, ValueError):
        return None
    tick = os.sysconf('SC_CLK_TCK')
    return (v[0] + v[1] + v[2] + v[5] + v[6]) / tick, v[7] / tick


def noise(before, own, start):
    after, now = machine_time(), resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = time.monotonic() - start
    ours = now.ru_utime + now.ru_stime - own.ru_utime - own.ru_stime
    if before is None or seconds <= 0:
        return {'seconds': seconds, 'others': None, 'stolen': None}
    capacity = seconds * (os.cpu_count() or 1)
    return {'seconds': seconds, 'others': max(0, after[0] - before[0] - ours) / capacity,
            'stolen': (after[1] - before[1]) / capacity}


class Progress:
    def __init__(self, seconds):
        self.left, self.shown = seconds, sys.stderr.isatty()

    def show(self, what):
        if self.shown:
            print('\r\033[K%s; %.0f s left' % (what, self.left), end='', file=sys.stderr, flush=True)

    def done(self, seconds):
        self.left = max(0, self.left - seconds)

    def clear(self):
        if self.shown:
            print('\r\033[K', end='', file=sys.stderr, flush=True)


def die(status, message):
    print('bench/run: ' + message, file=sys.stderr)
    sys.exit(status)


class Options:
    """Ours; what is not ours is the replay's."""

    def __init__(self, args):
        self.out, self.tree, self.waits_tree = os.path.join(ROOT, 'results'), None, None
        self.quick = self.tables = self.verdict = self.only_waits = self.list = False
        self.scene, self.replay, self.seconds, self.given = None, [], None, []
        self.scenes = ','.join(SCENES + ('handoff',))
        args = list(args)
        while args:
            arg = args.pop(0)
            name, _, value = arg.partition('=')
            before = len(args)
            if name in ('--out', '--tree', '--waits-tree', '--scene', '--scenes', '--seconds'):
                if not value:
                    if not args:
                        die(2, '%s: what is missing is its value' % name)
                    value = args.pop(0)
                if not value:
                    die(2, '%s: `\' is no value' % name)
                setattr(self, name[2:].replace('-', '_'), value)
            elif arg in ('--tables', '--verdict'):
                setattr(self, arg[2:], True)
            elif arg == '--waits':
                self.only_waits = True
            elif arg == '--help':
                print(__doc__.strip())
                sys.exit(0)
            elif arg == '--replay-help':
                self.replay = ['--help']
                self.list = True
            else:
                self.quick |= arg == '--quick'
                self.list |= arg == '--list'
                self.replay.append(arg)
            if name not in ('--tree', '--waits-tree'):
                self.given += [arg] + ([value] if len(args) < before else [])
        if self.scene and self.scene not in SCENES + ('handoff',):
            die(2, '--scene: `%s\' is not one of %s, handoff' % (self.scene, ', '.join(SCENES)))
        for name in self.scenes.split(','):
            if name not in SCENES + ('handoff', 'none'):
                die(2, '--scenes: `%s\' is not one of %s, handoff, none' % (name, ', '.join(SCENES)))
        if self.seconds is not None:
            try:
                self.seconds = float(self.seconds)
            except ValueError:
                die(2, '--seconds: `%s\' is no number' % self.seconds)

    def replay_args(self, more):
        chosen = any(a.partition('=')[0] in ('--copies', '--workers', '--scale', '--rounds') for a in self.replay)
        args = list(self.replay)
        if not chosen or self.seconds:
            args = ['--seconds', '%g' % (self.seconds or (QUICK if self.quick else SECONDS)['replay'])] + args
        return args + (['--more', '%g' % more] if more >= 1 else [])


class Run:
    def __init__(self, options):
        self.o, self.runner = options, Runner()
        self.seconds = dict(QUICK if options.quick else SECONDS)
        chosen = options.scenes.split(',')
        self.progress = Progress(sum(self.seconds['scene'] for name in SCENES if name in chosen) + self.seconds['timeline']
                                 + self.seconds['handoff'] * ('handoff' in chosen)
                                 + self.seconds['waits'] * bool(options.waits_tree))
        self.data = {'benchmark': 'report', 'format': 2, 'command': ['./bench/run'] + options.given, 'failures': []}
        self.status = 0

    def program(self, *path):
        return os.path.join(self.o.tree, 'bench', *path)

    def failed(self, what):
        self.progress.clear()
        print('bench/run: ' + what, file=sys.stderr)
        self.data['failures'].append(what + '.')
        self.status = 1

    def prepare(self):
        """A directory that cannot be written to is said before two minutes are spent."""
        try:
            os.makedirs(self.o.out, exist_ok=True)
            report.store(os.path.join(self.o.out, 'probe'), 'x' * 65536)
            os.unlink(os.path.join(self.o.out, 'probe'))
        except OSError as error:
            die(1, 'cannot write %s: %s' % (self.o.out, error.strerror))

    def replay(self):
        tables = os.path.join(self.o.out, 'tables.txt')
        with open(tables, 'w', encoding='utf-8') as file:
            status, _, _ = self.runner.run([self.program('replay', 'replay'), '--out', self.o.out]
                                           + self.o.replay_args(self.progress.left), stdout=file)
        if status == 2:
            sys.exit(2)
        path = os.path.join(self.o.out, 'results.json')
        if status != 0:
            self.status = 1
        try:
            with open(path, encoding='utf-8') as file:
                self.data['replay'] = json.load(file)
        except (OSError, ValueError):
            die(1, 'the replay left no results')
        if status < 0:
            die(1, 'the replay was killed by signal %d' % -status)
        if self.data['replay']['complete'] != 'yes':
            self.data['interrupted'] = True
        if self.o.tables:
            with open(tables, encoding='utf-8') as file:
                print(file.read())

    def workers(self):
        return max(2, min(os.cpu_count() or 1, 4))

    def scene(self, name, rounds):
        self.progress.show('scene ' + name)
        status, output, noisy = self.runner.run([self.program('synthetic', 'synthetic'), name, str(rounds), str(self.workers()),
                                                 '%g' % self.seconds['scene']],
                                                stdout=subprocess.PIPE)
        self.progress.done(self.seconds['scene'])
        if self.runner.interrupted:
            raise Interrupted
        if status != 0:
            self.failed('scene %s: ended with status %d' % (name, status))
            return
        data = json.loads(output)
        data['noise'] = dict(noisy, pace=data['pace'], pace_min=min(data['pace']))
        self.data.setdefault('scenes', {})[name] = data

    def handoff(self):
        self.progress.show('slot against register')
        status, output, noisy = self.runner.run([self.program('synthetic', 'handoff'), '--json'], stdout=subprocess.PIPE,
                                                stderr=subprocess.DEVNULL)
        self.progress.done(self.seconds['handoff'])
        if self.runner.interrupted:
            raise Interrupted
        if status == 0:
            self.data['handoff'] = json.loads(output)
            self.data['handoff']['noise'] = dict(noisy, pace=[1], pace_min=1)
        elif status != 77:
            self.failed('slot against register: ended with status %d' % status)

    def waits(self, rounds):
        """The table of waits, and what the measuring build costs: both builds by turns, A B A B."""
        trace = self.replay_file()
        if trace is None or not self.o.waits_tree:
            return
        # one second of bodies in all that is played: 2 builds, 2 turns, 3 sides, two kinds of rounds and their warming up
        bodies, tasks = trace['bodies_s'], trace['tasks']
        budget = self.seconds['waits'] / (2 * 2 * 3 * (2 * rounds + 2))
        scale = max(1, bodies / max(budget - 5e-6 * tasks, 0.002))
        cells = {'ordinary': [], 'measuring': []}
        with tempfile.TemporaryDirectory() as directory:
            for turn in range(2):
                for build, tree in (('ordinary', self.o.tree), ('measuring', self.o.waits_tree)):
                    self.progress.show('waits, %s build' % build)
                    status, _, noisy = self.runner.run(
                        [os.path.join(tree, 'bench', 'replay', 'replay'), '--copies', '1', '--workers', str(self.workers()),
                         '--policy',
                         'adaptive,plain,batching', '--rounds', str(rounds), '--scale', '%g' % scale, '--out', directory,
                         trace['path']],
                        stdout=subprocess.DEVNULL)
                    if self.runner.interrupted:
                        raise Interrupted
                    if status != 0:
                        self.failed('waits: the %s build ended with status %d' % (build, status))
                        return
                    with open(os.path.join(directory, 'results.json'), encoding='utf-8') as file:
                        cells[build].append({cell['side']: cell for cell in json.load(file)['cells']})
                    self.progress.done(self.seconds['waits'] / 4)
        self.data['waits'] = waits_of(cells, self.workers(), trace['name'], noisy)

    def timeline(self):
        """One tree on two sides, in one file, as two processes."""
        traces = self.data['replay']['traces']
        trace = min((t for t in traces if t['tasks'] >= 300), key=lambda t: t['tasks'], default=traces[0])
        events = []
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, 'timeline')
            for number, side in enumerate(('adaptive', 'plain')):
                self.progress.show('timeline')
                status, _, _ = self.runner.run([self.program('replay', 'replay'), '--timeline', path, '--policy', side, '--copies',
                                                '1',
                                                '--workers', str(self.workers()), '--scale', '%g'
                                                % max(1, trace['bodies_s'] / 0.02),
                                                trace['path']])
                if self.runner.interrupted:
                    raise Interrupted
                if status != 0:
                    self.failed('timeline: ended with status %d' % status)
                    return
                with open(path, encoding='utf-8') as file:
                    for event in json.load(file)['traceEvents']:
                        event['pid'] = number + 1
                        if 'id' in event:
                            event['id'] += '-%s' % side
                        events.append(event)
        self.progress.done(self.seconds['timeline'])
        report.store(os.path.join(self.o.out, 'timeline.json'), json.dumps({'displayTimeUnit': 'ns', 'traceEvents': events},
                                                                           separators=(',', ':')))
        self.data['timeline'] = ('timeline.json shows one replay of %s, adaptive and plain, in Perfetto (ui.perfetto.dev) or '
                                 'chrome://tracing: a track per OS thread, and a span per context, as contexts migrate: its '
                                 'life, exiting until the landing, zombie until the reap.' % trace['name'])

    def replay_file(self):
        """The trace in which most parents waited, of those that were replayed."""
        traces = {trace['name']: trace for trace in self.data['replay']['traces']} if 'replay' in self.data else {}
        if not traces:
            return None
        return max(traces.values(), key=lambda t: t['modes']['B'])

    def all(self):
        rounds = 3 if self.o.quick else 7
        try:
            self.replay()
            for name in SCENES:
                if name in self.o.scenes.split(','):
                    self.scene(name, rounds)
            if 'handoff' in self.o.scenes.split(','):
                self.handoff()
            self.waits(2 if self.o.quick else 3)
            self.timeline()
        except Interrupted:
            self.data['interrupted'] = True
        self.progress.clear()
        self.data['seconds'] = time.monotonic() - self.runner.start

    def write(self):
        path = os.path.join(self.o.out, 'report.json')
        report.store(path, json.dumps(self.data, separators=(',', ':')))
        results = R.Results(self.data)
        print(report.short_form(results, report.write_all(results, self.o.out)))
        if self.o.verdict:
            if self.status or not {'waits', 'scenes'} <= set(self.data) or len(self.data['scenes']) < len(SCENES):
                raise R.Bad('%s: not renewed: something was not measured' % verdict.VERDICT)
            verdict.renew(results)
        print('\n%s' % os.path.join(self.o.out, 'report.html'))

    def only_waits(self):
        """The bundled recording in which most parents wait."""
        path = os.path.join(ROOT, 'bench', 'traces', 'hello_dpkg.csv')
        for arg in self.o.replay:
            if not arg.startswith('-'):
                path = arg
        with open(path, encoding='utf-8') as file:
            rows = [line.split(',') for line in file.read().splitlines()[1:]]
        bodies = sum(int(r[4]) - int(r[3]) for r in rows if r[3] and r[4]) / 1e6 / 4
        self.data['replay'] = {'traces': [{'name': os.path.basename(path)[:-4], 'path': path, 'tasks': len(rows),
                                           'bodies_s': bodies, 'modes': {'B': 1}}]}
        try:
            self.waits(3)
        except Interrupted:
            return 130
        self.progress.clear()
        if 'waits' in self.data:
            show_waits(self.data['waits'])
        return self.status

    def one_scene(self):
        """A table on standard output; nothing is written."""
        try:
            if self.o.scene == 'handoff':
                status, output, _ = self.runner.run([self.program('synthetic', 'handoff')])
                return status
            self.seconds['scene'] = 20
            self.scene(self.o.scene, 7)
        except Interrupted:
            return 130
        self.progress.clear()
        scene = self.data.get('scenes', {}).get(self.o.scene)
        if scene:
            show_scene(scene)
        return self.status


def waits_of(cells, workers, trace, noisy):
    sides, both = [], []
    for side in cells['measuring'][0]:
        ours = [turn[side] for turn in cells['measuring']]
        figures = [{f['name']: f for f in cell['figures']} for cell in ours]
        before = [{f['name']: f for f in turn[side]['figures']} for turn in cells['ordinary']]
        both.append(([v for f in figures for v in f['CPU per exit']['rounds']],
                     [v for f in before for v in f['CPU per exit']['rounds']]))
        seconds = sum(cell['seconds'] for cell in ours)
        rows = {}
        for cell in ours:
            for row in cell.get('waits', []):
                who = row['who'] if side in R.REAPERS or row['who'] == 'workers' else 'the benchmark\'s'
                key = (who, row['kind'], row['object'].lstrip('&'), row['caller'])
                count, ns = rows.get(key, (0, 0))
                rows[key] = (count + int(row['count']), ns + int(row['ns']))
        threads = {}
        for who, n in (('reaper thread', 1), ('workers', workers)):
            if who + ' running' in figures[0]:
                share = {k: sum(N.median(f[who + ' ' + words]['rounds']) for f in figures) / len(figures)
                         for k, words in (('running', 'running'), ('queued', 'in the run queue'), ('stopped', 'stopped'))}
                threads['%s (%d)' % (who, n)] = {k: v / 100 * seconds * 1e9 * n for k, v in share.items()}
        sides.append({'side': side, 'trace': trace, 'exits': int(sum(cell['contexts'] * cell['rounds'] for cell in ours)),
                      'threads': threads,
                      'seconds': seconds,
                      'rows': [{'who': k[0], 'kind': k[1], 'object': k[2], 'caller': k[3], 'count': c, 'ns': ns} for k,
                               (c, ns) in rows.items()]})
    cost = N.mean_ratio(both, R.Results.waver(dict(noisy, pace=[1], pace_min=1)))
    return {'sides': sides, 'overhead': list(cost),
            'overhead_text': 'From a build of its own, in which every place that may wait reads the clock: it needs %s of the '
                             'ordinary build’s CPU per exit (A B A B, bodies included).' % N.times(cost)}


def show_waits(waits):
    print(waits['overhead_text'])
    for side in waits['sides']:
        print('\n%s, %s: %d exits' % (side['side'], side['trace'], side['exits']))
        for who, t in side['threads'].items():
            total = sum(t.values()) or 1
            print('  %-18s running %5.1f%%  in the kernel\'s run queue %5.1f%%  stopped %5.1f%%'
                  % ((who,) + tuple(100 * t[k] / total for k in ('running', 'queued', 'stopped'))))
        print('  %-14s %-13s %-24s %-20s %10s %14s %10s' % ('thread', 'kind', 'symbol', 'caller', 'count', 'ns', 'ns/exit'))
        for row in sorted(side['rows'], key=lambda r: -r['ns']):
            print('  %-14s %-13s %-24s %-20s %10d %14d %10.1f' % (row['who'], row['kind'], row['object'], row['caller'],
                                                                  row['count'], row['ns'],
                                                            row['ns'] / side['exits']))


def show_scene(scene):
    waver = R.Results.waver(scene['noise'])
    print('%s: medians of %d rounds with 95%% intervals; %d worker%s; the machine was %s\n'
          % (scene['scene'], scene['rounds'], scene['workers'], 's' * (scene['workers'] != 1), report.steadiness(waver)))
    names = ['%s%s' % (f['name'], ', ' + f['unit'] if f['unit'] else '') for f in scene['points'][0]['figures']]
    print('%-28s %-10s' % (scene['x'], 'side') + ''.join('%28s' % name for name in names))
    for point in scene['points']:
        cells = [N.between(N.of_rounds(f['rounds'], 0 if f['name'] in R.NOT_TIMES else waver)) for f in point['figures']]
        print('%-28g %-10s' % (point['x'], point['side']) + ''.join('%28s' % cell for cell in cells))


def main():
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)       # who reads no further wants no more
    options = Options(sys.argv[1:])
    if not options.tree:
        die(2, 'no --tree; start it as bench/run')
    run = Run(options)
    if options.list:
        sys.exit(subprocess.call([run.program('replay', 'replay')] + options.replay))
    if options.scene:
        sys.exit(run.one_scene())
    if options.only_waits:
        sys.exit(run.only_waits())
    run.prepare()
    run.all()
    if 'replay' not in run.data:
        die(130, 'interrupted before anything was measured')
    run.write()
    sys.exit(130 if run.runner.interrupted else run.status)


if __name__ == '__main__':
    try:
        main()
    except R.Bad as wrong:
        die(1, str(wrong))
