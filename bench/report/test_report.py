#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""The report, its sentences, the recorder, the comparison and the verdict, as their users meet them.

usage: test_report.py BUILD TRACES
"""
import csv
import html.parser
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time

BUILD, TRACES = sys.argv[1:3]
HERE = os.path.dirname(os.path.abspath(__file__))
sys.dont_write_bytecode = True
sys.path.insert(0, HERE)

import figures as N         # noqa: E402
import questions            # noqa: E402
import record               # noqa: E402
import report               # noqa: E402
import results as R         # noqa: E402
import verdict              # noqa: E402

REPLAY = os.path.join(BUILD, 'bench', 'replay', 'replay')
SMALL = [os.path.join(TRACES, name) for name in ('spin_parent.csv', 'lazy_dash.csv', 'sed_make.csv')]
SIDES = ('adaptive', 'early', 'plain', 'batching', 'parent')


class Skipped(Exception):
    """Cannot be tried here."""


def expect(what, *context):
    if not what:
        raise AssertionError('\n'.join(str(c) for c in context))


def bench_run(*args, **more):
    return subprocess.Popen([sys.executable, os.path.join(HERE, 'run.py'), '--tree', BUILD, *args], stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True, encoding='utf-8', **more)


# ---- data of our own making: figures whose answers are known ----

QUIET = {'seconds': 1, 'own_cpu': 1, 'others': 0.01, 'stolen': 0, 'pace': [1000, 1001, 1002], 'pace_min': 1000, 'pace_median': 1001,
         'pace_max': 1002, 'paces': 3}


def made(delay=0.0, noise=None, batching=8.0):
    """Reap takes 1 us, plain 10 us, batching 8 us to tell the parent; delay, us: added to reap."""
    base = {'adaptive': 1.0 + delay, 'parent': 1.2 + delay, 'early': 1.1 + delay, 'plain': 10.0, 'batching': batching}
    cells = []
    for trace in ('one', 'two'):
        for side in SIDES:
            wobble = [0.97, 1.0, 1.01, 1.02, 0.99]
            figures = {'exit to parent ' + q: ('us', base[side] * factor) for q, factor in (('p50', 1), ('p90', 2), ('p99', 5),
                                                                                            ('max', 50))}
            figures.update({'CPU per exit': ('us', 2 + base[side]), 'CPU per exit, beyond bodies': ('us', base[side]),
                            'throughput': ('exits/s', 1e6 / base[side]), 'parents waiting, count': ('exits', 100),
                            'OS thread switches per exit': ('', 2 if side in R.REAPERS else 0.1),
                            'context switches per exit': ('', 3),
                            'peak zombie memory': ('KiB', 100 if side == 'parent' else 10), 'paid by parents per exit': ('ns', 60),
                            'paid by adopter per exit': ('ns', 0), 'paid by successors per exit': ('ns', 0),
                            'paid by reaper per exit': ('ns', 50 if side in R.REAPERS else 0)})
            cells.append({'trace': trace, 'copies': 1, 'copies_asked': 1, 'workers': 2, 'side': side, 'scale': 100, 'pages': 2,
                          'contexts': 1000, 'rounds': 5, 'measuring_rounds': 5, 'failure': None, 'outcomes': {}, 'seconds': 1,
                          'figures': [{'name': name, 'unit': unit, 'n': 5, 'rounds': [value * w for w in wobble]}
                                      for name, (unit, value) in figures.items()],
                          'latencies': {'exit to parent': {'count': 100, 'max': base[side] * 50000,
                                                           'buckets': [base[side] * 1000, 90, base[side] * 5000, 9,
                                                                       base[side] * 50000, 1]}}})
    ratios = [{'trace': t, 'copies_asked': 1, 'workers': 2, 'of': 'adaptive', 'to': to, 'name': name}
              for t in ('one', 'two') for to in R.REAPERS for name in ('exit to parent p50', 'throughput', 'CPU per exit')]
    watched = [dict(QUIET, **(noise or {}), trace=t, copies_asked=1, workers=2) for t in ('one', 'two')]
    return {'format': 2, 'failures': [], 'seconds': 10, 'command': ['./bench/run'], 'replay': {
        'complete': 'yes',
        'machine': {'cpu': 'a processor', 'processors': 2}, 'kernel': 'Linux', 'compiler': 'gcc', 'commit': 'abc',
        'command': ['replay'], 'date': '2026-01-01T00:00:00Z', 'load_before': [0, 0, 0], 'load_after': [0, 0, 0], 'seconds': 10,
        'clock_ns': 20,
        'traces': [{'name': t, 'path': '/x/bench/traces/%s.csv' % t, 'tasks': 1000} for t in ('one', 'two')], 'cells': cells,
        'noise': watched,
        'ratios': ratios}}


class Wellformed(html.parser.HTMLParser):
    VOID = {'meta', 'br', 'line', 'rect', 'circle', 'path'}

    def __init__(self, text):
        super().__init__()
        self.open, self.links, self.tags, self.bad = [], [], set(), []
        self.feed(text)
        self.bad += self.open

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.links += [value for name, value in attrs if name in ('src', 'href', 'xlink:href', 'srcset', 'data', 'action')
                       or name.startswith('on')]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.add(tag)

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.bad.append('/' + tag)


def check_page(path):
    with open(path, encoding='utf-8') as file:
        text = file.read()
    page = Wellformed(text)
    expect(not page.bad, page.bad)
    expect(not page.tags & {'script', 'link', 'iframe', 'img', 'object', 'embed'}, page.tags)
    expect(all(link.startswith('#') for link in page.links), page.links)
    expect('url(' not in text and '@import' not in text)
    expect('prefers-color-scheme: dark' in text and '@media print' in text)
    expect(all('id="q%d"' % n in text for n in range(1, 9)) and 'Where reap loses' in text)
    return text


# ---- the tests ----

def intervals_hold_what_they_say(_):
    pairs = [([1, 1.1, 0.9, 1.05, 0.95], [2, 2, 2, 2, 2])]
    ratio = N.mean_ratio(pairs)
    expect(ratio.mid == 0.5 and 0.45 <= ratio.lo < 0.5 < ratio.hi <= 0.55 and ratio.n == 5, ratio)
    expect(N.claim(ratio) == N.LESS)
    wide = N.mean_ratio(pairs, 1.5)
    expect(wide.lo < ratio.lo and wide.hi > 1 and N.claim(wide) == N.SAME, wide)
    expect(N.claim(N.mean_ratio([([1, 1], [2, 2])])) == N.SAME, 'two rounds claim nothing')
    expect(N.claim(N.Interval(0.97, 0.96, 0.98, 9)) == N.SAME, 'less than 5%')
    expect(N.claim(N.NONE) == N.UNKNOWN)
    expect(N.mean_ratio(pairs) == N.mean_ratio(pairs), 'the same data give the same')


def percentile_table_is_hdrhistograms(_):
    latency = N.Latency({'count': 1000, 'max': 5000, 'buckets': [1000, 900, 2000, 90, 5000, 10]})
    table = latency.table().splitlines()
    expect([latency.quantile(q) for q in (0.5, 0.9, 0.901, 0.99, 0.991, 1)] == [1000, 1000, 2000, 2000, 5000, 5000])
    expect(table[0].split() == ['Value', 'Percentile', 'TotalCount', '1/(1-Percentile)'], table[0])
    rows = [line.split() for line in table[2:] if not line.startswith('#')]
    expect(rows[0] == ['1.000', '0.000000000000', '900', '1.00'], rows[0])
    expect(rows[-1] == ['5.000', '1.000000000000', '1000'], rows[-1])
    expect(all(float(a[0]) <= float(b[0]) and float(a[1]) < float(b[1]) for a, b in zip(rows, rows[1:])), rows)
    expect([r[2] for r in rows if float(r[1]) == 0.95] == ['990'], rows)
    expect(re.match(r'#\[Mean    =\s+1\.130, StdDeviation', table[-3]) and 'Total count    =         1000' in table[-2], table[-3:])


def sentences_say_what_the_data_say(_):
    quick = R.Results(made())
    sentence = questions.latency(quick).sentence
    expect(sentence.startswith('Yes. ') and '0.100× [0.' in sentence, sentence)
    expect('2.00 switches of OS threads per exit, libreap 0.100: 1.90 saved' in questions.switches(quick).sentence,
           questions.switches(quick).sentence)
    expect(questions.lock(quick).sentence.startswith('In part. '), questions.lock(quick).sentence)
    for batching, delay, word in ((10.0, 0, 'No. '), (8.0, 50, 'Yes. '), (10.0, 9.1, 'No difference can be claimed')):
        sentence = questions.lock(R.Results(made(delay, batching=batching))).sentence
        expect(sentence.startswith(word), word, sentence)
    expect(questions.notification(quick).sentence.startswith('Late. '), questions.notification(quick).sentence)
    slow = R.Results(made(delay=50))
    expect(questions.latency(slow).sentence.startswith('No: it is longer. '), questions.latency(slow).sentence)
    even = R.Results(made(delay=9.1))
    expect(questions.latency(even).sentence.startswith('No difference can be claimed'), questions.latency(even).sentence)
    more, less = N.Interval(2, 1.9, 2.1, 5), N.Interval(0.5, 0.4, 0.6, 5)
    expect([questions.kind_of(name, r) for name in ('throughput', 'CPU per exit') for r in (more, less, N.NONE)]
           == ['win', 'lose', '', 'lose', 'win', ''])
    rows, _, claimed = questions.losses(slow)
    expect(claimed > 0 and rows[0][-1] is True, rows)


def noisy_machine_claims_less_and_says_so(_):
    noisy = R.Results(made(noise={'others': 0.9, 'pace': [1000, 20000, 30000]}))
    expect(any('noisy' in w for w in report.warnings(noisy)), report.warnings(noisy))
    expect(questions.latency(noisy).sentence.startswith('No difference can be claimed'), questions.latency(noisy).sentence)
    expect(not report.warnings(R.Results(made())), report.warnings(R.Results(made())))
    busy = R.Results(made(noise={'others': 0.3}))
    claims = [N.claim(busy.ratio(busy.one(), 'adaptive', 'plain', 'exit to parent ' + q)) for q in ('p50', 'p99', 'max')]
    expect(claims == [N.LESS, N.SAME, N.SAME], claims)


def delay_in_the_landing_shows(directory):
    """5 us in each landing: in the sentence, in the figures, and in the comparison."""
    paths = []
    for name, delay in (('before', 0), ('after', 5)):
        paths.append(os.path.join(directory, name + '.json'))
        with open(paths[-1], 'w', encoding='utf-8') as file:
            json.dump(made(delay), file)
    ran = subprocess.run([os.path.join(HERE, '..', 'compare'), *paths], stdout=subprocess.PIPE, text=True, check=False)
    expect(ran.returncode == 1 and re.search(r'one, 1 trees, 2 workers, adaptive +exit to parent p50 .* 6\.00x', ran.stdout),
           ran.stdout)
    same = subprocess.run([os.path.join(HERE, '..', 'compare'), paths[0], paths[0]], stdout=subprocess.PIPE, text=True, check=False)
    expect(same.returncode == 0 and 'worse: 0 of' in same.stdout, same.stdout)
    back = subprocess.run([os.path.join(HERE, '..', 'compare'), *paths[::-1]], stdout=subprocess.PIPE, text=True, check=False)
    expect(back.returncode == 0 and 'better: 0 of' not in back.stdout, back.stdout)
    bad = subprocess.run([os.path.join(HERE, '..', 'compare'), paths[0], os.path.join(HERE, 'page.py')], stderr=subprocess.PIPE,
                         text=True, check=False)
    expect(bad.returncode == 2 and 'is not JSON' in bad.stderr, bad.stderr)
    fast, slow = R.load(paths[0]), R.load(paths[1])
    expect(abs(slow.ratio(slow.one(), 'adaptive', 'plain', 'exit to parent p50').mid - 0.6) < 0.01)
    expect(questions.latency(fast).sentence != questions.latency(slow).sentence)


def verdict_is_renewed_from_the_data(directory):
    path = os.path.join(directory, 'verdict.md')
    shutil.copy(verdict.VERDICT, path)
    data = R.Results(made())
    verdict.renew(data, path)
    with open(path, encoding='utf-8') as file:
        text = file.read()
    expect(all(text.count('<!-- measured %s -->' % n) == 1 for n in ('machine', 'summary', 'loses', *'12345678')), text)
    expect('a processor, 2 processors' in text
           and ' '.join(questions.latency(data).sentence.replace('×', 'x').split())[:60] in ' '.join(text.split()))
    verdict.renew(data, path)
    with open(path, encoding='utf-8') as file:
        expect(file.read() == text, 'twice is once')
    interrupted = made()
    interrupted['interrupted'] = True
    try:
        verdict.renew(R.Results(interrupted), path)
        expect(False, 'an interrupted run renews nothing')
    except R.Bad:
        pass
    try:
        verdict.fill(text.replace('<!-- measured 3 -->', ''), verdict.blocks(data))
        expect(False, 'a block that is not there is told')
    except R.Bad as bad:
        expect('3' in str(bad), bad)


def whole_run_answers_from_its_raw_data(directory):
    with bench_run('--quick', '--out', directory, '--rounds', '3', '--copies', '1', '--workers', '2', '--scale', '30000',
                   '--policy',
                   'adaptive,early,plain,batching', '--scenes', 'budget', SMALL[0], SMALL[2]) as ran:
        stdout, stderr = ran.communicate(timeout=300)
    expect(ran.returncode == 0, ran.returncode, stderr, stdout)
    names = {'report.html', 'report.json', 'results.json', 'figures.csv', 'percentiles.txt', 'tables.txt', 'timeline.json'}
    expect(set(os.listdir(directory)) == names, os.listdir(directory))
    check_page(os.path.join(directory, 'report.html'))
    data = R.load(os.path.join(directory, 'report.json'))
    # the first sentence's first ratio, from the CSV alone
    rounds = {}
    with open(os.path.join(directory, 'figures.csv'), encoding='utf-8') as file:
        for row in csv.DictReader(file):
            if row['figure'] == 'exit to parent p50' and row['value']:
                rounds.setdefault((row['trace or scene'], row['side']), {})[row['round']] = float(row['value'])
    pairs = [(trace, [ours[r] / rounds[trace, 'plain'][r] for r in ours if r in rounds.get((trace, 'plain'), {})])
             for (trace, side), ours in rounds.items() if side == 'adaptive']
    usable = [ratio for _, ratio in pairs if len(ratio) >= 3] or [ratio for _, ratio in pairs if ratio]
    product = 1
    for ratio in usable:
        product *= N.median(ratio) ** (1 / len(usable))
    sentence = questions.latency(data).sentence
    # A figure that lies between two roundings may get either, by the order in which it is computed.
    expect(any(N.text(product * near) + '×' in sentence for near in (1 - 1e-9, 1, 1 + 1e-9)) if usable else
           sentence == questions.NOT_MEASURED, product, sentence)
    for line in questions.answers(data):
        expect(' '.join(line.sentence.split()) in ' '.join(stdout.split()), line.sentence)
    with open(os.path.join(directory, 'timeline.json'), encoding='utf-8') as file:
        check_timeline(json.load(file)['traceEvents'])


def check_timeline(events):
    expect({e['ph'] for e in events} <= set('MXbei'), {e['ph'] for e in events})
    expect({e['pid'] for e in events} == {1, 2})
    spans = {}
    for e in sorted((e for e in events if e['ph'] in 'be'), key=lambda e: e['ts']):
        key = (e['id'], e['name'])
        spans.setdefault(key, []).append(e['ph'])
    expect(all(sorted(phases) == ['b', 'e'] for phases in spans.values()), [s for s in spans.items() if len(s[1]) != 2][:5])
    tracks = {}
    for e in events:
        if e['ph'] == 'X':
            expect(e['dur'] >= 0, e)
            tracks.setdefault((e['pid'], e['tid']), []).append((e['ts'], e['dur']))
    for track in tracks.values():
        track.sort()
        expect(all(a[0] + a[1] <= b[0] + 0.001 for a, b in zip(track, track[1:])), 'one thread runs one context at a time')


def interrupted_run_leaves_a_valid_report(directory):
    with bench_run('--out', directory, '--rounds', '99', '--copies', '1', '--workers', '2', '--scale', '20', SMALL[0]) as ran:
        tables = os.path.join(directory, 'tables.txt')
        until = time.monotonic() + 60
        while not (os.path.exists(tables) and os.path.getsize(tables)) and time.monotonic() < until:
            time.sleep(0.02)
        time.sleep(1)
        ran.send_signal(signal.SIGINT)
        stdout, stderr = ran.communicate(timeout=120)
    expect(ran.returncode == 130, ran.returncode, stderr)
    expect('This run was interrupted' in check_page(os.path.join(directory, 'report.html')))
    data = R.load(os.path.join(directory, 'report.json'))
    expect(data.replay['complete'].startswith('no') and 'interrupted' in stdout, data.replay['complete'])
    expect(not [name for name in os.listdir(directory) if name.endswith('.partial')], os.listdir(directory))


def full_disk_is_told(directory):
    def limited():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)       # no file may be larger: a disk that is full in every other way
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
    with bench_run('--out', directory, *SMALL[:1], preexec_fn=limited) as ran:
        stdout, stderr = ran.communicate(timeout=60)
    expect(ran.returncode == 1 and not stdout, ran.returncode, stdout)
    expect(re.search(r'^bench/run: cannot write .*: File too large$', stderr, re.M) and 'Traceback' not in stderr, stderr)
    expect(not os.listdir(directory), os.listdir(directory))


def bad_trace_is_told(directory):
    bad = os.path.join(directory, 'bad.csv')
    with open(bad, 'w', encoding='utf-8') as file:
        file.write(record.HEADER + '\n1,0,P,0,10,10,10,,,R,0,x\n2,7,P,1,5,5,5,1,5,B,0,y\n')
    out = os.path.join(directory, 'out')
    with bench_run('--out', out, bad) as ran:
        stdout, stderr = ran.communicate(timeout=60)
    expect(ran.returncode == 2 and bad + ':3:' in stderr and 'Traceback' not in stderr, ran.returncode, stderr)
    expect(not stdout and not os.path.exists(os.path.join(out, 'report.html')), stdout)
    for args in (['--scene', 'nonsense'], ['--scene'], ['--seconds', 'x'], ['--nonsense']):
        with bench_run('--out', out, *args) as ran:
            _, stderr = ran.communicate(timeout=60)
        expect(ran.returncode == 2 and stderr and 'Traceback' not in stderr, args, stderr)


FTRACE = '''# tracer: nop
              sh-100     [000] .....     1.000000: task_newtask: pid=101 comm=sh clone_flags=1200000 oom_score_adj=0
              sh-100     [000] .....     1.000010: sched_process_fork: comm=sh pid=100 child_comm=sh child_pid=101
              sh-100     [000] .....     1.000020: sys_wait4(upid: ffffffffffffffff, stat_addr: 0, options: 0, ru: 0)
      odd-name 1-101     [001] .....     1.000100: sched_process_exit: comm=odd-name 1 pid=101 prio=120
      odd-name 1-101     [001] d....     1.000110: signal_generate: sig=17 errno=0 code=1 comm=sh pid=100 grp=1 res=0
      odd-name 1-101     [001] d....     1.000115: sched_switch: prev_comm=odd-name 1 prev_pid=101 prev_state=X ==> next_comm=sh
              sh-100     [000] .....     1.000120: sys_wait4 -> 0x65
              sh-100     [000] .....     1.000140: task_newtask: pid=102 comm=sh clone_flags=3d0f00 oom_score_adj=0
              sh-100     [000] .....     1.000150: sched_process_fork: comm=sh pid=100 child_comm=sh child_pid=102
              sh-102     [000] .....     1.000160: sched_process_exit: comm=sh pid=102 prio=120
           other-900     [000] .....     1.000165: sched_process_exit: comm=other pid=900 prio=120
              sh-100     [000] .....     1.000200: sched_process_exit: comm=sh pid=100 prio=120
'''
STRACE = '''200 10.000000 execve("/bin/sh", 0x7ffe, 0x7ffe) = 0
200 10.000100 clone(child_stack=NULL, flags=CLONE_CHILD_SETTID|SIGCHLD <unfinished ...>
201 10.000150 exit_group(0)             = ?
200 10.000160 <... clone resumed>, child_tidptr=0x7f) = 201
201 10.000170 +++ exited with 0 +++
200 10.000180 wait4(-1, 0x7ffe, WNOHANG, NULL) = 201
200 10.000200 vfork( <unfinished ...>
202 10.000210 execve("/bin/true", 0x7ffe, 0x7ffe) = 0
200 10.000215 <... vfork resumed>)      = 202
200 10.000220 wait4(-1,  <unfinished ...>
202 10.000230 exit_group(0)             = ?
202 10.000240 +++ exited with 0 +++
200 10.000250 <... wait4 resumed>0x7ffe, 0, NULL) = 202
200 10.000300 exit_group(0)             = ?
200 10.000310 +++ exited with 0 +++
'''


def recordings_become_traces(directory):
    path = os.path.join(directory, 'recording')
    for recorder, text, root, wanted in (
            (record.Tracefs(1), FTRACE, 100, ['1,0,P,0,200,,,,,R,0,sh', '2,1,P,10,100,110,115,20,120,B,1,odd-name 1',
                                              '3,1,T,150,160,,,,,A,0,sh']),
            (record.Strace(1), STRACE, None, ['1,0,P,0,300,310,,,,R,0,sh', '2,1,P,150,150,170,,180,180,N,0,sh',
                                              '3,1,V,210,230,240,,220,250,B,0,true'])):
        with open(path, 'w', encoding='utf-8') as file:
            file.write(text)
        out = path + '.csv'
        record.write(out, recorder.read(path, root))
        with open(out, encoding='utf-8') as file:
            lines = file.read().splitlines()
        expect(lines == [record.HEADER] + wanted, '\n'.join(lines))
        listed = subprocess.run([REPLAY, '--list', out], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        expect(listed.returncode == 0 and 'recording: 3 tasks' in listed.stdout, listed.stdout)


def record_with(kind, directory):
    out = os.path.join(directory, kind + '.csv')
    ran = subprocess.run([sys.executable, os.path.join(HERE, 'record.py'), '-o', out, '--with', kind, '--no-cost', '--', 'sh', '-c',
                          'true & (sleep 0.02; exit 3); /bin/true; wait; exit 7'], stderr=subprocess.PIPE, text=True, check=False)
    if ran.returncode == record.FAILED:
        raise Skipped(ran.stderr.strip())
    expect(ran.returncode == 7 and 'by ' + kind in ran.stderr, ran.returncode, ran.stderr)
    listed = subprocess.run([REPLAY, '--list', out], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    expect(listed.returncode == 0, listed.stdout)
    with open(out, encoding='utf-8') as file:
        rows = list(csv.DictReader(file))
    expect(len(rows) >= 4 and all(row['mode'] in 'BLN' for row in rows[1:]), rows)


def record_by_strace(directory):
    record_with('strace', directory)


def record_by_tracefs(directory):
    record_with('tracefs', directory)


TESTS = [intervals_hold_what_they_say, percentile_table_is_hdrhistograms, sentences_say_what_the_data_say,
         noisy_machine_claims_less_and_says_so,
         delay_in_the_landing_shows, verdict_is_renewed_from_the_data, whole_run_answers_from_its_raw_data,
         interrupted_run_leaves_a_valid_report, full_disk_is_told, bad_trace_is_told, recordings_become_traces, record_by_strace,
         record_by_tracefs]


def main():
    failed = 0
    print('TAP version 13\n1..%d' % len(TESTS))
    for i, test in enumerate(TESTS):
        with tempfile.TemporaryDirectory() as directory:
            try:
                test(directory)
                print('ok %d - %s' % (i + 1, test.__name__), flush=True)
            except Skipped as why:
                print('ok %d - %s # SKIP %s' % (i + 1, test.__name__, why), flush=True)
            except AssertionError as error:
                failed += 1
                print('not ok %d - %s' % (i + 1, test.__name__), flush=True)
                print(error, file=sys.stderr, flush=True)
    return failed != 0


sys.exit(main())
