# SPDX-License-Identifier: ISC
"""questions.py: the eight questions of the mails, each answered by a sentence, a picture, a table and a command.

A sentence says yes or no only where the interval allows it.
"""
import math
from collections import namedtuple

import figures as N
import page
import plot
from results import REAP, REAPERS, SIDES

# sentence: plain text, the answer.  key: {name: Interval or number}: what the sentence rests on, for compare and the verdict.
# bars: [(label, Interval)] and unit, for a terminal.
Answer = namedtuple('Answer', 'number title sentence key bars unit pictures tables command')

NOT_MEASURED = 'Not measured in this run.'
MORE_IS_BETTER = {'throughput', 'kept up'}


def with_most(results, places, name='parents waiting, count'):
    """The place where the most parents waited: that is what percentiles are made of."""
    def waiting(place):
        return N.median(results.rounds(place, REAP, name)) or 0
    return max(places, key=waiting, default=None)


def where(results, place):
    trace, _, workers = place
    copies = results.copies(place)
    return '%s, %d tree%s, %d worker%s' % (trace, copies, 's' * (copies != 1), workers, 's' * (workers != 1))


def again(results, place, sides=None):
    paths = {trace['name']: trace['path'] for trace in results.replay['traces']}
    path = paths.get(place[0], place[0] + '.csv')
    short = path[path.rindex('bench/traces/'):] if 'bench/traces/' in path else path
    return './bench/run %s --copies %d --workers %d%s' % (short, results.copies(place), place[2],
                                                           ' --policy ' + ','.join(sides) if sides else '')


def again_all(results, sides=None):
    """All traces, one tree at a time."""
    paths = [trace['path'] for trace in results.replay['traces']]
    files = [] if all('bench/traces/' in path for path in paths) else paths
    return ' '.join(['./bench/run'] + files + ['--copies 1 --workers %d' % results.workers]
                    + (['--policy ' + ','.join(sides)] if sides else []))


def curves(results, place, latency, sides, title, caption):
    series = []
    for side in sides:
        found = results.latency(place, side, latency)
        if found and found.count >= 10:
            series.append((side, found.curve()))
    ticks = [(2, '50%'), (10, '90%'), (100, '99%'), (1e3, '99.9%'), (1e4, '99.99%'), (1e5, '99.999%'), (1e6, '99.9999%')]
    most = max((p[0] for s in series for p in s[1]), default=2)
    return plot.lines(series, title, caption, 'share of exits that took less (percentiles, logarithmic towards 100%)',
                      'µs, logarithmic', True, True, x_ticks=[t for t in ticks if t[0] <= most * 1.1], steps=True)


def kind_of(name, ratio):
    """How a ratio is shown."""
    claimed = N.claim(ratio)
    if claimed not in (N.LESS, N.MORE):
        return ''
    return 'win' if (claimed == N.MORE) == (name in MORE_IS_BETTER) else 'lose'


def ratio_rows(results, groups, pairs, names):
    rows = []
    for label, places in groups:
        for ours, theirs in pairs:
            for name in names:
                ratio = results.ratio(places, ours, theirs, name)
                if ratio.mid is not None:
                    kind = kind_of(name, ratio)
                    rows.append([label, '%s to %s' % (ours, theirs), name, (N.text(ratio.mid) + '×', kind),
                                 '%s–%s' % (N.text(ratio.lo), N.text(ratio.hi)), ratio.n, len(places)])
    return page.table(['', 'ratio', 'figure', 'median', '95% interval', 'rounds', 'traces'], rows, left=3) if rows else ''


def groups_of(results):
    return [(label, places) for label, places in (('one tree', results.one()), ('many trees', results.many())) if places]


WAITING = 'exit to parent'


def told(results):
    """The latency that matters: of the parents that were waiting, or, if there were none, of all."""
    return WAITING if any(N.known(results.rounds(p, REAP, WAITING + ' p50')) for p in results.places) else 'exit to collected'


def latency(results):
    title = 'Does removing the reaper shorten the time from exit to parent?'
    groups, what = groups_of(results), told(results)
    key = {}
    for label, places in groups:
        for reaper in REAPERS:
            for q in ('p50', 'p90', 'p99', 'max'):
                key['%s, %s, %s' % (label, reaper, q)] = results.ratio(places, REAP, reaper, what + ' ' + q)
    label, places = groups[0] if groups else ('', [])
    p50, p99 = key.get('%s, plain, p50' % label, N.NONE), key.get('%s, plain, p99' % label, N.NONE)
    if p50.mid is None:
        return Answer(1, title, NOT_MEASURED, key, [], '', [], [], './bench/run')
    said = {N.claim(p50)} | ({N.claim(p99)} if p99.mid is None or math.isfinite(p99.hi) else set())
    word = 'Yes.' if said == {N.LESS} else 'Only in part.' if N.LESS in said else 'No: it is longer.' if N.MORE in said else \
        'No difference can be claimed from this run.'
    batching = key.get('%s, batching, p50' % label, N.NONE)
    if what == WAITING:
        sentence = ('%s With %s at a time a waiting parent has its child back in %s of the time that it takes with the plain '
                    'reaper '
                    'thread (median of the exits; p99: %s), and in %s of the batching one’s.'
                    % (word, label, N.times(p50), N.times(p99), N.times(batching)))
    else:
        sentence = ('No parent waited when its child ended, so that none could be told sooner: when a child is collected depends '
                    'on '
                    'when its parent looks. From exit to collected it is %s of the plain reaper’s time (median; p99: %s), and %s '
                    'of '
                    'the batching one’s.' % (N.times(p50), N.times(p99), N.times(batching)))
    place = with_most(results, places)
    sides = [s for s in ('adaptive', 'successor', 'parent', 'adopter', 'plain', 'batching') if results.cell(place, s)]
    bars = [(s, results.figure(place, s, what + ' p50')) for s in sides]
    middle = {name: N.median(results.rounds(place, REAP, name)) for name in
              (what + ' p50', 'exit to landing p50', 'landing to parent p50')}
    theirs = N.median(results.rounds(place, 'plain', what + ' p50'))
    if theirs is not None and middle[what + ' p50'] is not None:
        sentence += ' In %s: %s µs against %s µs' % (place[0], N.text(middle[what + ' p50']), N.text(theirs))
        if middle['exit to landing p50'] is not None and middle['landing to parent p50'] is not None:
            sentence += ('; where both steps are timed, %s µs to the landing and %s µs from there'
                         % (N.text(middle['exit to landing p50']), N.text(middle['landing to parent p50'])))
        sentence += '.'
    key['adaptive p50, us'] = results.figure(place, REAP, what + ' p50')
    key['landing p50, us'] = results.figure(place, REAP, 'exit to landing p50')
    pictures = [curves(results, place, what, sides, what + ' by policy',
                       'From just before the exit to the parent’s return, by policy: %s. All timed rounds together.'
                       % where(results, place))]
    pictures.append(paced_picture(results))
    steps = []
    for side in sides + ['early']:
        row = [side]
        for name in ('exit to landing p50', 'landing to parent p50', what + ' p50', what + ' p99', what + ' max'):
            row.append(N.between(results.figure(place, side, name)))
        if any(cell != 'unknown' for cell in row[1:]):
            steps.append(row)
    tables = [page.table(['µs', 'exit to landing p50', 'landing to parent p50', what + ' p50', 'p99', 'max'], steps,
                         'Where the time goes, %s. The first two are from measuring rounds, which are slower.'
                         % where(results, place)),
              ratio_rows(results, groups, [(REAP, r) for r in REAPERS],
                         [what + ' ' + q for q in ('p50', 'p90', 'p99', 'max')])]
    return Answer(1, title, sentence, key, bars, 'us', pictures, tables, again(results, place))


def paced_picture(results):
    series = []
    for side in results.scene_sides('paced'):
        points = []
        for x in results.xs('paced', side):
            y = results.point_interval('paced', side, x, 'due to parent p99')
            points.append((x, y.mid, y.lo, y.hi))
        series.append((side, points))
    return plot.lines(series, 'p99 against rate', 'An open loop: ends fall due at a fixed rate, one parent waits for each, and '
                                                  'the time counts from when the end was due. A side that cannot keep up runs '
                                                  'off; one that merely omits its own delays cannot hide them.',
                      'ends that fall due per second', 'due to parent p99, µs', True, True)


def switches(results):
    title = 'Do the saved context switches matter?'
    places = results.one() or results.many()
    rows, key, bars = [], {}, []
    for side in SIDES:
        os_switches = [N.median(results.rounds(p, side, 'OS thread switches per exit')) for p in places]
        contexts = [N.median(results.rounds(p, side, 'context switches per exit')) for p in places]
        cpu = [N.median(results.rounds(p, side, 'CPU per exit, beyond bodies')) for p in places]
        if N.known(os_switches):
            rows.append((side, N.bootstrap([os_switches], lambda s: sum(s[0]) / len(s[0])), contexts, cpu))
    by_side = {row[0]: row for row in rows}
    if REAP not in by_side or 'plain' not in by_side:
        return Answer(2, title, NOT_MEASURED, key, [], '', [], [], './bench/run')
    mean = lambda values: sum(N.known(values)) / len(N.known(values)) if N.known(values) else None
    ours, theirs = mean_per_place(results, places, REAP), mean_per_place(results, places, 'plain')
    saved = theirs - ours
    ratio = results.ratio(places, REAP, 'plain', 'OS thread switches per exit')
    cpu = results.ratio(places, REAP, 'plain', 'CPU per exit')
    extra = mean(by_side['plain'][3]) - mean(by_side[REAP][3])
    key = {'OS thread switches, to plain': ratio, 'CPU per exit, to plain': cpu, 'saved per exit': saved}
    share = 100 * saved / theirs if theirs > 0 else 0
    word = {N.LESS: 'Yes.', N.MORE: 'No: it costs more.'}.get(N.claim(cpu),
                                                              'They are saved, but no difference in CPU can be claimed.'
                                                                   if N.claim(ratio) == N.LESS
                                                              else 'No difference can be claimed from this run.')
    sentence = ('%s The plain reaper takes %s switches of OS threads per exit, libreap %s: %s saved for each exit, %.0f%% of all '
                'that happen with the reaper (ratio %s); CPU per exit, bodies included, is %s of the reaper’s.'
                % (word, N.text(theirs), N.text(ours), N.text(saved), share, N.times(ratio), N.times(cpu)))
    table = page.table(['side', 'OS thread switches per exit', 'context switches per exit', 'CPU per exit beyond bodies, µs'],
                       [[r[0], N.text(mean_per_place(results, places, r[0])), N.text(mean(r[2])), N.text(mean(r[3]))]
                        for r in rows],
                       'Means over the traces, one tree at a time. Beyond bodies the plain reaper costs %s µs more per exit.'
                       % N.text(extra))
    bars = [(r[0], r[1]) for r in rows]
    picture = plot.bars(bars, 'OS thread switches per exit', 'OS thread switches per exit, mean over the traces with its '
                                                             'interval over them; one tree at a time.',
                        'OS thread switches per exit')
    return Answer(2, title, sentence, key, bars, '', [picture],
                  [table, ratio_rows(results, groups_of(results), [(REAP, r) for r in REAPERS],
                                     ['OS thread switches per exit', 'context switches per exit', 'CPU per exit', 'throughput'])],
                  again_all(results, ['adaptive', 'plain', 'batching']))


def mean_per_place(results, places, side, name='OS thread switches per exit'):
    values = N.known([N.median(results.rounds(p, side, name)) for p in places])
    return sum(values) / len(values) if values else 0


PAYERS = (('parents', 'paid by parents per exit'), ('adopter', 'paid by adopter per exit'),
          ('successors', 'paid by successors per exit'),
          ('reaper', 'paid by reaper per exit'))


def payers(results):
    title = 'Who pays?'
    places = results.one() or results.many()
    rows, stacked, key = [], [], {}
    for side in SIDES:
        paid = [(name, mean_per_place(results, places, side, figure)) for name, figure in PAYERS]
        if not any(results.rounds(p, side, PAYERS[0][1]) for p in places):
            continue
        thread = 1000 * mean_per_place(results, places, side, 'reaper thread\'s CPU per exit')
        ledger = dict(paid)
        beyond = max(0, thread - ledger['reaper'])
        stacked.append((side, paid + [('reaper thread besides', beyond)]))
        rows.append([side] + [N.text(v) for _, v in paid] + [N.text(thread) if thread else '–']
                    + [N.text(mean_per_place(results, places, side, 'stacks freed by ' + who))
                       for who in ('parents', 'successors', 'adopter', 'reaper')])
        for name, value in paid:
            key['%s, %s' % (side, name)] = value
        key['%s, reaper thread' % side] = thread
    if REAP + ', parents' not in key or 'plain, parents' not in key:
        return Answer(3, title, NOT_MEASURED, key, [], '', [], [], './bench/run')
    ratio = results.ratio(places, REAP, 'plain', 'paid by parents per exit')
    key['parents, to plain'] = ratio
    total = sum(key['%s, %s' % (REAP, name)] for name, _ in PAYERS)
    sentence = ('Parents pay %s ns per exit, %s of what they pay beside a plain reaper thread; successors and adopter %s ns; in '
                'all %s ns. The plain reaper thread itself uses %s ns of CPU per exit, of which %s ns are the freeing and the '
                'rest is falling asleep and waking.' % (N.text(key[REAP + ', parents']), N.times(ratio),
                                 N.text(key[REAP + ', successors'] + key[REAP + ', adopter']),
                                 N.text(total), N.text(key['plain, reaper thread']), N.text(key['plain, reaper'])))
    picture = plot.bars(stacked, 'CPU by payer', 'Nanoseconds of CPU per exit by who spends them, means over the traces, one '
                                                 'tree at a time; from the ledger, whose two readings of the clock (%.0f ns '
                                                 'each) are in every payment. What the reaper thread uses besides is what its '
                                                 'sleeping and waking costs.' % results.replay.get('clock_ns', 25), 'ns per exit')
    table = page.table(['ns per exit', 'parents', 'adopter', 'successors', 'reaper', 'its CPU', 'stacks by: parents', 'successors',
                        'adopter', 'reaper'],
                       rows, 'The last four: who freed the stack, in % of all.')
    bars = [(side, N.Interval(sum(v for _, v in parts), sum(v for _, v in parts), sum(v for _, v in parts), 1)) for side,
            parts in stacked]
    return Answer(3, title, sentence, key, bars, 'ns', [picture], [table], again_all(results))


def over_time(results, place, what, scale, title, caption, y_name):
    series = []
    for side in ('adaptive', 'parent', 'successor', 'adopter', 'plain', 'batching'):
        cell = results.cell(place, side)
        if not cell or 'series' not in cell:
            continue
        seconds, values = cell['series']['seconds'], cell['series'][what]
        points = [(1000 * seconds * i / len(values), v / scale) for i, v in enumerate(values) if v is not None]
        series.append((side, points))
    return plot.lines(series, title, caption, 'ms since the round began', y_name, zero=True)


def lazy(results):
    title = 'What do lazy parents cost?'
    key, bars, pictures, tables = {}, [], [], []
    xs = results.xs('lazy')
    place = next((p for p in results.one() if p[0].startswith('lazy')), None) or \
        with_most(results, results.one() or results.many(), 'peak zombies')
    if xs:
        late = xs[-1]
        held = {side: results.point_interval('lazy', side, late, 'memory held') for side in results.scene_sides('lazy')}
        ratio = results.point_ratio('lazy', REAP, 'parent', late, 'memory held')
        plain = results.point_ratio('lazy', REAP, 'plain', late, 'memory held')
        collect = results.point_ratio('lazy', REAP, 'parent', late, 'collecting, per child')
        key = {'held, to parent': ratio, 'held, to plain': plain, 'collecting, to parent': collect, 'adaptive, KiB': held.get(REAP)}
        bars = list(held.items())
        sentence = ('A parent that is %g ms late with 400 children holds %s KiB if parents alone free, %s KiB with the adaptive '
                    'policy: %s of it, and %s of what the plain reaper leaves. Collecting them late then takes %s of the time '
                    'per child.'
                    % (late, N.text(held['parent'].mid), N.text(held[REAP].mid), N.times(ratio), N.times(plain), N.times(collect)))
        for name, y_name, what in (('memory held', 'KiB held when the parent comes',
                                    'Memory that 400 dead children hold when their parent comes back, against how late it is.'),
                                   ('collecting, per child', 'ns per child',
                                    'Time that the parent then needs for each of them. At 0 ms the children have yet to run, and '
                                    'the time includes their lives.')):
            series = [(side, [(max(x, 0.3), i.mid, i.lo, i.hi) for x in results.xs('lazy', side)
                              for i in [results.point_interval('lazy', side, x, name)]]) for side in results.scene_sides('lazy')]
            pictures.append(plot.lines(series, name, what, 'parent’s delay, ms', y_name, True, True,
                                       x_ticks=[(max(x, 0.3), '%g' % x) for x in xs]))
    else:
        sentence = 'The scene was not measured in this run.'
    if place:
        peaks = [(side, N.median(results.rounds(place, side, 'peak zombie memory'))) for side in (REAP, 'parent', 'plain')]
        if all(peak is not None for _, peak in peaks):
            sentence += ' In the replay of %s they hold at most %s.' % (
                place[0], ', '.join('%s KiB (%s)' % (N.text(peak), side) for side, peak in peaks))
        pictures.append(over_time(results, place, 'zombies', 1, 'zombies over time',
                                  'Zombies over time by policy: %s; one measuring round.'
                                  % where(results, place), 'zombies'))
        pictures.append(over_time(results, place, 'bytes', 1024, 'zombie memory over time',
                                  'What they hold: a thin one is 128 bytes, a fat one its touched pages besides.', 'KiB'))
        tables.append(page.table(['%s' % where(results, place), 'peak zombies', 'peak KiB', 'exit to memory free p50, µs',
                                  'p99, µs'],
                                 [[side] + [N.between(results.figure(place, side, name)) for name in
                                            ('peak zombies', 'peak zombie memory', 'exit to memory free p50',
                                             'exit to memory free p99')]
                                  for side in SIDES if results.cell(place, side)]))
    return Answer(4, title, sentence, key, bars, 'KiB', pictures, tables, './bench/run --scene lazy')


def adopter(results):
    title = 'Does the adopter become a dumping ground?'
    xs, key = results.xs('budget'), {}
    peak = {x: results.point_interval('budget', REAP, x, 'peak backlog') for x in xs}
    tables, pictures = [], []
    backlog = [(N.median(results.rounds(p, s, 'peak backlog')), p, s) for p in results.places for s in ('adaptive', 'adopter')
               if results.rounds(p, s, 'peak backlog')]
    if not xs:
        return Answer(5, title, NOT_MEASURED, key, [], '', [], [], './bench/run --scene budget')
    enough = next((x for x in xs if peak[x].mid is not None and peak[x].mid <= 32), None)
    held = {s: results.point_interval('budget', s, xs[0], 'memory held') for s in results.scene_sides('budget')}
    key = {'enough': enough, 'worst backlog': peak[xs[0]], 'held, adaptive': held.get(REAP), 'held, parent': held.get('parent')}
    worst = max(backlog, default=None, key=lambda b: b[0])
    sentence = ('Only if it is given less than what comes: of every 32 that end, a budget of %s keeps the backlog at %s; %d '
                'leaves %s of 20,000 behind, %s KiB of thin zombies (%s KiB where stacks wait for their collector too).%s'
                % (enough if enough is None else '%g' % enough, N.text(peak[enough].mid) if enough is not None else '–', xs[0],
                   N.text(peak[xs[0]].mid), N.text(held[REAP].mid), N.text(held['parent'].mid) if 'parent' in held else '–',
                   ' In the replays, where the runtime drains 32 at a time, the highest peak was %s: %s, %s.'
                   % (N.text(worst[0]), worst[2], where(results, worst[1])) if worst else ''))
    series = [(side, [(x, max(i.mid, 0.5), max(i.lo, 0.5), max(i.hi, 0.5)) for x in results.xs('budget', side)
                      for i in [results.point_interval('budget', side, x, 'peak backlog')] if i.mid is not None])
              for side in results.scene_sides('budget')]
    pictures.append(plot.lines(series[:1], 'peak backlog against budget',
                               'Peak backlog of the adopter over 20,000 detached contexts, against how many it may reap for '
                               'every 32 that end. It grows only below 32. (0 is drawn at 0.5.)',
                               'reaped for every 32 that end', 'corpses, logarithmic', False, True))
    data = results.scene('budget')
    over = [('%g of 32' % p['x'], [(100 * i / len(p['series']), v) for i, v in enumerate(p['series'])]) for p in data['points']
            if p['side'] == REAP and p['x'] <= 40]
    pictures.append(plot.lines(over, 'backlog over time', 'The same over the time of one round, adaptive.', '% of the round',
                               'corpses', zero=True))
    tables.append(page.table(['budget', 'side', 'peak backlog', 'mean backlog', 'peak KiB held', 'draining the rest, µs',
                              'CPU per life, ns'],
                             [['%g of 32' % x, s] + [N.between(results.point_interval('budget', s, x, name)) for name in
                              ('peak backlog', 'mean backlog', 'memory held', 'draining the rest', 'CPU per life')]
                              for x in xs for s in results.scene_sides('budget')], left=2))
    bars = [('%g of 32' % x, peak[x]) for x in xs]
    return Answer(5, title, sentence, key, bars, '', pictures, tables, './bench/run --scene budget')


def lock(results):
    title = 'Is it the lock and not the reaper?'
    groups = groups_of(results)
    places = groups[0][1] if groups else []
    unlocked = results.ratio(places, 'batching', 'plain', told(results) + ' p50')
    ours = results.ratio(places, REAP, 'batching', told(results) + ' p50')
    key = {'batching to plain, p50': unlocked, 'adaptive to batching, p50': ours}
    waits = results.data.get('waits')
    shares = {}
    tables, pictures, bars = [], [], []
    if waits:
        tables, pictures, shares = waiting(waits)
        bars = [('%s: %s' % (side, kind), N.Interval(v, v, v, 1)) for side in shares for kind,
                v in sorted(shares[side].items(), key=lambda i: -i[1])]
        for side in shares:
            for kind, value in shares[side].items():
                key['%s, %s, ns per exit' % (side, kind)] = value
    if unlocked.mid is None:
        return Answer(6, title, NOT_MEASURED, key, bars, 'ns per exit', pictures, tables, './bench/run')
    lock_matters, thread_matters = N.claim(unlocked) == N.LESS, N.claim(ours) == N.LESS
    word = {(True, True): 'In part.', (False, True): 'No.', (True, False): 'Yes.'}.get(
        (lock_matters, thread_matters), 'No difference can be claimed from this run.')
    sentence = ('%s With the batching reaper thread, which takes no lock, a parent has its child back in %s of the plain one’s '
                'time (median); without a thread it is %s of the batching one’s.' % (word, N.times(unlocked), N.times(ours)))
    if 'plain' in shares:
        plain, ours = shares['plain'], shares.get(REAP, {})
        sentence += (' With the plain reaper waits for a mutex are %s ns per exit, and waking sleepers takes %s ns (adaptive: %s '
                     'and %s).'
                     % tuple(N.text(s.get(kind, 0)) for s in (plain, ours) for kind in ('mutex', 'futex wake')))
    return Answer(6, title, sentence, key, bars, 'ns per exit', pictures, tables, again_all(results).split(' --')[0] + ' --waits')


KINDS = ('futex', 'futex wake', 'mutex', 'barrier spin', 'CAS retry', 'run queue')


def waiting(waits):
    """The sampling table of the second mail, for each side."""
    tables, stacked, shares = [], [], {}
    threads = []
    for side in waits['sides']:
        exits = side['exits']
        shares[side['side']] = kinds = {}
        for row in side['rows']:
            kinds[row['kind']] = kinds.get(row['kind'], 0) + row['ns'] / exits
        stacked.append((side['side'], [(kind, kinds.get(kind, 0)) for kind in KINDS if kind != 'futex']))
        for who, times in side['threads'].items():
            total = sum(times.values()) or 1
            threads.append([side['side'], who] + ['%s ms (%.1f%%)' % (N.text(times[k] / 1e6), 100 * times[k] / total)
                                                  for k in ('running', 'queued', 'stopped')])
        rows = [[row['who'], row['kind'], row['object'], row['caller'], '{:,}'.format(row['count']), '{:,}'.format(row['ns']),
                 N.text(row['ns'] / row['count'] if row['count'] else None), N.text(row['ns'] / exits)]
                for row in sorted(side['rows'], key=lambda r: (KINDS.index(r['kind']), -r['ns'])) if row['count'] > 0]
        rows += [['–', kind, 'none was seen', '', '0', '0', '–', '0'] for kind in KINDS if kind not in kinds]
        tables.append(page.table(['thread', 'kind', 'symbol', 'caller', 'count', 'ns', 'ns each', 'ns per exit'], rows,
                                 'Waits, side <b>%s</b>: %s, {:,} exits.'.format(exits)
                                 % (page.esc(side['side']), page.esc(side['trace'])), left=4))
    tables.insert(0, page.table(['side', 'threads', 'running', 'in the kernel’s run queue', 'stopped'], threads,
                                'Time of the reaper thread and of the payers, the workers, as the kernel’s scheduler counts it. %s'
                                % page.esc(waits.get('overhead_text', '')), left=2))
    picture = plot.bars(stacked, 'waits by kind', 'Nanoseconds waited per exit by kind, all threads; sleeps (futex) are left out '
                                                  'here, as idle workers sleep on every side: the table has them.', 'ns per exit')
    return tables, [picture], shares


def notification(results):
    title = 'Early or late notification?'
    groups = groups_of(results)
    key = {}
    for label, places in groups:
        for q in ('p50', 'p99'):
            key['%s, %s' % (label, q)] = results.ratio(places, 'early', REAP, told(results) + ' ' + q)
        key[label + ', CPU'] = results.ratio(places, 'early', REAP, 'CPU per exit')
    label = groups[0][0] if groups else ''
    p50, p99, cpu = (key.get('%s, %s' % (label, k), N.NONE) for k in ('p50', 'p99', 'CPU'))
    if p50.mid is None:
        return Answer(7, title, NOT_MEASURED, key, [], '', [], [], './bench/run')
    place = with_most(results, groups[0][1])
    word = {N.LESS: 'Early.', N.MORE: 'Late.'}.get(N.claim(p50), 'It makes no difference that this run can claim.')
    sentence = ('%s Told at the exit, a waiting parent returns in %s of the time that it takes when the landing tells it (p99: '
                '%s), for %s of the CPU.'
                % (word, N.times(p50), N.times(p99), N.times(cpu)))
    bars = [(s, results.figure(place, s, told(results) + ' p50')) for s in (REAP, 'early')]
    picture = curves(results, place, told(results), (REAP, 'early'), 'early against late',
                     'Late (adaptive) against early: %s.' % where(results, place))
    return Answer(7, title, sentence, key, bars, 'us', [picture],
                  [ratio_rows(results, groups, [('early', REAP)], [told(results) + ' p50', told(results) + ' p99', 'CPU per exit',
                                                                   'throughput'])],
                  again(results, place, (REAP, 'early')))


def handoff(results):
    title = 'Slot or register?'
    data = results.data.get('handoff')
    if not data:
        return Answer(8, title, 'Not measured here: the switch of this measurement is written for x86-64.', {}, [], '', [], [],
                      './bench/run --scene handoff')
    by_name = {f['name']: f for f in data['figures']}
    noise = results.scene_noise(data)

    def each(name):
        f = by_name[name]
        return N.widen(N.Interval(f['median'], f['min'], f['max'], data['rounds']), noise)

    def difference(a, b):
        return N.Interval(by_name[a]['median'] - by_name[b]['median'], by_name[a]['min'] - by_name[b]['max'],
                          by_name[a]['max'] - by_name[b]['min'], data['rounds'])
    nobody, ends = difference('slot, empty', 'register, nobody'), difference('slot, an end', 'register, an end')
    key = {'nobody, ns': nobody, 'an end, ns': ends}
    apart = [d for d in (nobody, ends) if d.lo > 0 or d.hi < 0]
    word = 'They differ by nanoseconds.' if apart else 'No difference can be claimed from this run.'
    sentence = ('%s With nobody to post, a switch with the slot takes %s ns and with the register %s ns, %s ns apart; with an '
                'end each time %s and %s ns, %s ns apart.' % (word, N.text(by_name['slot, empty']['median']),
                                                N.text(by_name['register, nobody']['median']),
                                                N.between(nobody), N.text(by_name['slot, an end']['median']),
                                                N.text(by_name['register, an end']['median']), N.between(ends)))
    names = ('switch', 'slot, empty', 'register, nobody', 'slot, an end', 'register, an end')
    bars = [(name, each(name)) for name in names]
    picture = plot.bars(bars, 'slot against register', 'One way, process CPU time; line: smallest to largest of the rounds.', 'ns')
    table = page.table(['ns', 'median', 'smallest–largest', 'of one addition'],
                       [[name, N.text(by_name[name]['median']), '%s–%s'
                         % (N.text(by_name[name]['min']), N.text(by_name[name]['max'])),
                         N.text(by_name[name]['of_calibration']) + '×'] for name in names])
    return Answer(8, title, sentence, key, bars, 'ns', [picture], [table], './bench/run --scene handoff')


def answers(results):
    return [question(results) for question in (latency, switches, payers, lazy, adopter, lock, notification, handoff)]


SMALL_KIB = 64      # a zombie more or less is no loss that anybody would act on


def inverse(ratio):
    if not ratio.mid:
        return N.NONE
    return N.Interval(1 / ratio.mid, 1 / ratio.hi, 1 / ratio.lo if ratio.lo else math.inf, ratio.n)


def losses(results, most=8):
    """Where reap loses: in the replays, and in the scenes; worst first.  (where, figure, to whom, Interval, claimed)."""
    found = []
    for place, ours, theirs, name, ratio in results.comparisons():
        worse = inverse(ratio) if name in MORE_IS_BETTER else ratio
        if worse.mid is not None:
            pair = [N.median(results.rounds(place, side, name)) or 0 for side in (ours, theirs)]
            if name == 'peak zombie memory' and max(pair) < SMALL_KIB:
                continue
            found.append((where(results, place), name, theirs, worse, again(results, place, (ours, theirs))))
    for scene, name in (('costly', 'time per life'), ('costly', 'CPU per life'), ('workers', 'time per life'),
                        ('stack', 'CPU per life'),
                        ('lazy', 'collecting, per child'), ('lazy', 'memory held'), ('paced', 'due to parent p99')):
        for x in results.xs(scene):
            for theirs in REAPERS:
                ratio = results.point_ratio(scene, REAP, theirs, x, name)
                if ratio.mid is not None:
                    found.append(('%s, %g %s' % (scene, x, results.scene(scene)['x']), name, theirs, ratio, './bench/run --scene '
                                  + scene))
    claimed = sorted((f for f in found if N.claim(f[3]) == N.MORE), key=lambda f: -f[3].mid)
    worst = sorted((f for f in found if N.claim(f[3]) != N.MORE and f[3].mid > 1),
                   key=lambda f: (math.isinf(f[3].hi), -f[3].mid))
    return [f + (True,) for f in claimed[:most]] or [f + (False,) for f in worst[:3]], len(found), len(claimed)
