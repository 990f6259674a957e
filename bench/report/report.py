#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""report.py: report.json into report.html, figures.csv, percentiles.txt, and the short form for a terminal.

usage: report.py REPORT.json [DIR]
"""
import csv
import io
import os
import sys

import figures as N
import page
import questions
import results as R
from results import REAP, SIDES

STEADY = ((N.QUIET, 'quiet'), (N.NOISY, 'unsteady'), (float('inf'), 'noisy'))


def steadiness(noise):
    return next(word for limit, word in STEADY if noise <= limit)


def store(path, text):
    """Whole or not at all."""
    try:
        with open(path + '.partial', 'w', encoding='utf-8', newline='') as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(path + '.partial', path)
    except OSError as error:
        try:
            os.unlink(path + '.partial')
        except OSError:
            pass
        raise R.Bad('cannot write %s: %s' % (path, error.strerror)) from error


# ---- what stands above the answers ----

def warnings(results):
    said = []
    if results.replay.get('complete', 'yes') != 'yes' or results.data.get('interrupted'):
        said.append('This run was interrupted: what follows is what had been measured by then.')
    for cell in results.cells.values():
        if cell.get('failure'):
            said.append('%s, %s: %s.' % (questions.where(results, results.place(cell)), cell['side'], cell['failure']))
    for what in results.data.get('failures', []):
        said.append(what)
    noise = results.noise()
    if noise > N.QUIET:
        worst = max(results.watched.values(), key=results.waver)
        said.append('This machine was %s: others used up to %.0f%% of its processors while rounds were played, its host kept '
                    '%.0f%%, and a fixed loop took up to %.2f times its best. Intervals are widened by up to that, %.0f%% to '
                    'either side%s: fewer differences are claimed than a quiet machine would show.'
                    % (steadiness(noise), 100 * (worst['others'] or 0), 100 * (worst['stolen'] or 0),
                       (N.quantile(worst['pace'], 0.75) or 1) / (worst['pace_min'] or 1), 100 * noise,
                       ', and tails, from p99 on, are not claimed at all' if noise > N.NOISY else ''))
    few = min((cell['rounds'] for cell in results.cells.values()), default=0)
    if few < 3:
        said.append('Some places had fewer than three rounds: nothing is claimed of them.')
    return said


def verdict(results):
    """One paragraph of what the ratios allow."""
    one = results.one() or results.many()
    parts = []
    for reaper in R.REAPERS:
        cpu, p99 = (results.ratio(one, REAP, reaper, name) for name in ('CPU per exit', 'exit to parent p99'))
        if cpu.mid is not None:
            parts.append('%s of the %s reaper’s CPU and %s of its p99 exit-to-parent latency'
                         % (N.times(cpu), reaper, N.times(p99)))
    if not parts:
        return 'No verdict: it takes a side with a reaper thread and one without.'
    claims = [N.claim(ratio) for *_, ratio in results.comparisons()]
    return ('Over %d trace%s, %s tree%s at a time, reap (adaptive) needs %s. Of %d comparisons in all, %d show a difference that '
            'this run can claim.' % (len(one), 's' * (len(one) != 1), *(('one', '') if results.one() else ('many', 's')),
                                     ', and '.join(parts), len(claims),
                            sum(c in (N.LESS, N.MORE) for c in claims)))


# ---- the page ----

def machine_table(results):
    r = results.replay
    rows = [['machine', '%s, %d processors' % (r['machine']['cpu'], r['machine']['processors'])], ['kernel', r['kernel']],
            ['compiler', r['compiler']], ['libreap', r['commit']], ['date', r['date']],
            ['command', ' '.join(results.data.get('command', r['command']))],
            ['took', '%.0f s' % results.data.get('seconds', r['seconds'])],
            ['load average', '%.2f before, %.2f after' % (r['load_before'][0], r['load_after'][0])],
            ['reading the clock', '%.1f ns' % r['clock_ns']]]
    return page.table(['', ''], rows, left=2)


def load_table(results):
    rows = []
    for place, group in results.watched.items():
        noise = results.waver(group)
        rows.append([questions.where(results, place), '%.0f s' % group['seconds'], '%.1f%%' % (100 * (group['others'] or 0)),
                     '%.1f%%' % (100 * (group['stolen'] or 0)), '%.0f' % group['pace_min'], '%.0f' % group['pace_median'], '%.0f'
                     % group['pace_max'],
                     '%d' % group['paces'], steadiness(noise), '±%.0f%%' % (100 * noise) if noise > N.QUIET else '–'])
    for name, scene in results.data.get('scenes', {}).items():
        group = scene.get('noise')
        if group:
            noise = results.waver(group)
            rows.append(['scene ' + name, '%.0f s' % group['seconds'], '%.1f%%' % (100 * (group['others'] or 0)), '%.1f%%'
                         % (100 * (group['stolen'] or 0)),
                         '%.0f' % group['pace_min'], '%.0f' % N.median(group['pace']), '%.0f' % max(group['pace']), '%d'
                         % len(group['pace']),
                         steadiness(noise), '±%.0f%%' % (100 * noise) if noise > N.QUIET else '–'])
    return page.table(['while', 'took', 'others’ CPU', 'kept by the host', 'loop: best µs', 'median', 'worst', 'times', 'machine',
                       'widened'], rows,
                      'What else the machine did. The loop is the same work each time, before every round.')


METHOD = '''
<p>Every side of a group runs in a process of its own, warmed up by a round that does not count. Rounds are interleaved A B C, C
B A, and so on; a process that waits for its turn sleeps. Ratios are taken round by round, between neighbours in time; what is
shown is the median, over several traces the geometric mean of the medians, with a 95% interval by bootstrap over the rounds
(400 draws). A difference is claimed if the interval leaves out 1, the median is 5% off it at least, and there are three rounds
or more.</p>
<p>While rounds are played the report watches what other processes use, what a host keeps from this machine, and how long a
fixed loop takes. If it wavered by more than 5%, that widens every interval of the place, to either side; by more than 25%, and
tails (p99 and beyond) are not claimed at all, since who was kept waiting by others once in a hundred times has their tail and
not its own.</p>
<p>Latencies are stamped at every exit, none is sampled and none is left out; they go into log-linear histograms, off by at most
1.6%; the largest is exact. The replay is a closed loop, as the recorded programs are: a side that is slow has its next exits
later. The scene <i>paced</i> is an open loop: there a latency counts from when the end was due (no coordinated omission). “Exit
to parent” counts parents that were waiting already. Fewer than ten samples in a round have no quantiles.</p>
<p>Zombies, backlog, who paid and the time until memory is free come from measuring rounds in processes of their own, as they
cost time.</p>
'''


def ratio_table(results):
    rows = []
    for place, ours, theirs, name, ratio in results.comparisons():
        rows.append([questions.where(results, place), '%s to %s' % (ours, theirs), name,
                     (N.text(ratio.mid) + '×', questions.kind_of(name, ratio)),
                     '%s–%s' % (N.text(ratio.lo), N.text(ratio.hi)), ratio.n])
    return page.table(['where', 'ratio', 'figure', 'median', '95% interval', 'rounds'], rows, left=3)


def sweep_pictures(results):
    import plot
    pictures = []
    for scene, what in (('workers', 'A life of a microsecond’s body, in batches of 100, against the number of workers.'),
                        ('stack', 'The same on one worker, against the addresses reserved per stack; a page of each is touched.'),
                        ('costly', 'Detached contexts with a body of 10 µs that leave work behind, one worker. A reaper thread '
                                   'with a processor of its own does that work beside the worker: where it is much, reap loses.')):
        for name in ('CPU per life', 'time per life'):
            series = []
            unit = ''
            for side in results.scene_sides(scene):
                points = []
                for x in results.xs(scene, side):
                    i = results.point_interval(scene, side, x, name)
                    points.append((x, i.mid, i.lo, i.hi))
                series.append((side, points))
            data = results.scene(scene)
            if data:
                unit = next(f['unit'] for f in data['points'][0]['figures'] if f['name'] == name)
                pictures.append(plot.lines(series, '%s: %s' % (scene, name), what, data['x'], '%s, %s' % (name, unit),
                                           scene in ('stack', 'workers'),
                                           False, True, x_ticks=[(x, '%g' % x) for x in results.xs(scene)]))
    return ''.join(p for p in pictures if p)


def percentiles(results):
    """HdrHistogram's text form, for the places where most parents waited."""
    parts = []
    what = questions.told(results)
    place = questions.with_most(results, results.one() or results.many())
    for side in SIDES:
        found = results.latency(place, side, what) if place else None
        if found and found.count >= 10:
            parts.append(('%s, %s, %s, µs' % (what, side, questions.where(results, place)), found.table()))
    data = results.scene('paced')
    for point in data['points'] if data else ():
        if point['x'] == 50e3 and 'latency' in point:
            parts.append(('due to parent, %s, paced at 50,000 ends a second, µs' % point['side'],
                          N.Latency(point['latency']).table()))
    return parts


def losing_rows(results):
    rows, total, claimed = questions.losses(results)
    return rows, total, claimed, [[w, name, 'to ' + theirs, (N.text(r.mid) + '×', 'lose' if said else ''), '%s–%s'
                                   % (N.text(r.lo), N.text(r.hi)),
                                   'yes' if said else 'no', again] for w, name, theirs, r, again, said in rows]


def build_page(results, answers):
    body = ['<h1>Reap, or a reaper thread?</h1>',
            '<p class="sub">%s · %s · %s · libreap %s</p>' % tuple(page.esc(results.replay[k] if k != 'cpu'
                                                                            else results.replay['machine']['cpu'])
                                                              for k in ('date', 'cpu', 'kernel', 'commit'))]
    body += ['<p class="warn">%s</p>' % page.esc(w) for w in warnings(results)]
    body.append('<p class="verdict">%s</p>' % page.esc(verdict(results)))
    body.append('<p>A context that exits cannot free the stack it runs on. <b>Reap</b>: its successor posts “off the CPU”, and '
                'the waiting parent or the landing frees. <b>Plain</b>: a reaper thread as in the mails, woken at every exit, '
                'one corpse at a time under a mutex. <b>Batching</b>: a reaper thread that takes all there is, without a lock. '
                'The sides differ in nothing else.</p>')
    body.append('<nav><ol>%s</ol></nav>' % ''.join('<li><a href="#q%d">%s</a></li>' % (a.number, page.esc(a.title))
                                                   for a in answers))
    for a in answers:
        body.append('<h2 id="q%d">%d. %s</h2><p class="answer">%s</p>' % (a.number, a.number, page.esc(a.title),
                                                                          page.esc(a.sentence)))
        body += [p for p in a.pictures if p]
        body += [t for t in a.tables if t]
        body.append(page.command(a.command))
    _, total, claimed, rows = losing_rows(results)
    body.append('<h2 id="loses">Where reap loses</h2><p>%s</p>' % (
        'Of %d comparisons, %d are lost beyond doubt; the worst:' % (total, claimed) if claimed else
        'None of %d comparisons is lost beyond doubt in this run. The worst that was found, none of which can be claimed:' % total))
    body.append(page.table(['where', 'figure', 'reap', 'times as bad', '95% interval', 'claimed', 'again'], rows, left=3))
    body.append('<h2>Sweeps</h2>' + sweep_pictures(results))
    timeline = results.data.get('timeline')
    if timeline:
        body.append('<h2>Timeline</h2><p>%s</p>' % page.esc(timeline))
    body.append('<h2>Method</h2>' + METHOD + machine_table(results) + load_table(results))
    body.append('<h2>All ratios</h2>' + ratio_table(results))
    body.append('<h2>Percentiles</h2><p class="soft">The resolution of a value is 1/64 of itself. More in percentiles.txt.</p>')
    body += ['<h3>%s</h3><pre>%s</pre>' % (page.esc(t), page.esc(text)) for t, text in percentiles(results)]
    return page.page('Reap, or a reaper thread?', '\n'.join(body))


# ---- the files behind it ----

def figures_csv(results):
    out = io.StringIO()
    writer = csv.writer(out, lineterminator='\n')
    writer.writerow(['what', 'trace or scene', 'copies', 'workers', 'x', 'side', 'figure', 'unit', 'round', 'value'])
    for cell in results.cells.values():
        for figure in cell['figures']:
            for i, value in enumerate(figure['rounds']):
                writer.writerow(['replay', cell['trace'], cell['copies'], cell['workers'], '', cell['side'], figure['name'],
                                 figure['unit'], i + 1,
                                 '' if value is None else repr(value)])
    for name, scene in results.data.get('scenes', {}).items():
        for point in scene['points']:
            for figure in point['figures']:
                for i, value in enumerate(figure['rounds']):
                    writer.writerow(['scene', name, '', scene['workers'], point['x'], point['side'], figure['name'],
                                     figure['unit'], i + 1, repr(value)])
    return out.getvalue()


def all_percentiles(results):
    parts = []
    for cell in results.cells.values():
        for name, data in cell['latencies'].items():
            parts.append('%s, %s, %s, µs\n\n%s\n' % (name, cell['side'], questions.where(results, results.place(cell)),
                                                     N.Latency(data).table()))
    return '\n'.join(parts)


def write_all(results, directory):
    answers = questions.answers(results)
    store(os.path.join(directory, 'report.html'), build_page(results, answers))
    store(os.path.join(directory, 'figures.csv'), figures_csv(results))
    store(os.path.join(directory, 'percentiles.txt'), all_percentiles(results))
    return answers


# ---- the terminal ----

def fold(text, width=100, indent='   '):
    lines, line = [], ''
    for word in text.split():
        if line and len(line) + 1 + len(word) > width - len(indent):
            lines.append(line)
            line = word
        else:
            line = (line + ' ' + word) if line else word
    return '\n'.join(indent + l for l in lines + [line])


def terminal_bars(bars, unit, width=48):
    bars = [(label, i) for label, i in bars if i is not None and i.mid is not None]
    top = max((i.mid for _, i in bars), default=0)
    if top <= 0:
        return ''
    wide = max(len(label) for label, _ in bars)
    return '\n'.join('     %-*s %s %s %s' % (wide, label, '█' * max(1 if i.mid > 0 else 0, round(width * i.mid / top)),
                                             N.text(i.mid), unit) for label, i in bars)


def short_form(results, answers):
    out = []
    for a in answers:
        out.append('%d. %s' % (a.number, a.title))
        out.append(fold(a.sentence))
        picture = terminal_bars(a.bars, a.unit)
        if picture:
            out.append(picture)
        out.append('   again: ' + a.command)
        out.append('')
    rows, total, claimed, _ = losing_rows(results)
    out.append('Where reap loses: %d of %d comparisons beyond doubt%s' % (claimed, total, '' if claimed
                                                                          else '; the worst, not to be claimed'))
    for w, name, theirs, ratio, _, _ in rows[:5]:
        out.append('   %s of %s: %s, %s' % (N.times(ratio), theirs, name, w))
    out.append('')
    for warning in warnings(results):
        out.append(fold(warning, indent=''))
    out.append(fold('verdict: ' + verdict(results), indent=''))
    return '\n'.join(out)


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__.strip())
    try:
        results = R.load(sys.argv[1])
        answers = write_all(results, sys.argv[2] if len(sys.argv) == 3 else os.path.dirname(sys.argv[1]) or '.')
    except R.Bad as error:
        sys.exit('report: %s' % error)
    print(short_form(results, answers))


if __name__ == '__main__':
    main()
