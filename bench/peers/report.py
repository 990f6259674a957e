# SPDX-License-Identifier: ISC
"""The results: as tables, and as a dictionary for JSON."""
import textwrap

from figures import median_interval, ratios

WIDTH = 131
CROSSED = 0.9


class Cell:
    """All samples of one peer in one shape, or why there are none."""

    def __init__(self, shape, peer):
        self.shape, self.peer = shape, peer
        self.samples = {}       # round: what the program printed
        self.why = None         # a limit of the peer, a skip
        self.failure = None     # a crash, or an answer that makes no sense
        self.least = 1          # the smallest share that crossed
        self.count = None       # how many contexts it was asked for, where that is a number

    def add(self, number, sample):
        """A sample counts if it is of what was asked for: nine of ten really went from worker to worker."""
        self.least = min(self.least, sample['notes'].get('crossed', 1))
        if sample['items'] > 0 and sample['notes'].get('crossed', 1) >= CROSSED:
            self.samples[number] = sample

    def per_item(self, what):
        return {r: s[what] / s['items'] for r, s in self.samples.items() if s.get(what, 0) > 0}

    def additions(self):
        """CPU time as a multiple of the calibration loop that ran just before, in the same process."""
        return {r: s['cpu_ns'] / s['items'] / s['add_ns'] for r, s in self.samples.items() if s.get('add_ns', 0) > 0}

    def note(self, key):
        values = [s['notes'][key] for s in self.samples.values() if key in s['notes']]
        return median_interval(values)[0] if values else None

    def remarks(self):
        """What must be known beside the figures."""
        if self.failure or self.why:
            return self.failure or self.why
        words = []
        batches, counted = self.note('batches'), self.note('counted')
        if batches:
            words.append('%.0f%% of batches' % (100 * counted / batches))
        if self.least < CROSSED:
            words.append('not counted: as little as %.0f%% crossed' % (100 * self.least))
        elif not self.samples:
            words.append('no batch was shared')
        return ', '.join(words)


def number(value):
    if value is None:
        return '-'
    if abs(value) >= 1e5:
        return '{:,.0f}'.format(value)
    return '%.1f' % value if abs(value) >= 100 else '%.2f' % value if abs(value) >= 0.1 else '%.4f' % value


def spread(values, form=number):
    if not values:
        return '', ''
    middle, low, high = median_interval(values)
    return form(middle), '[%s-%s]' % (form(low), form(high)) if len(values) > 1 else ''


def row(title, *columns):
    line = '  %-38s' % title
    for text, width in columns:
        line += (' %*s' % (width, text)) if width > 0 else (' %-*s' % (-width, text))
    return line.rstrip()


def mib(cell, key):
    value = cell.note(key)
    return '-' if value is None else '%.1f' % (value / 1024)


def reference_of(cells):
    """What the others are compared with: the first of ours that has figures."""
    for cell in cells:
        if cell.samples and cell.peer.key in ('private', 'runtime'):
            return cell
    return None


def ratio_of(cell, reference):
    if reference is None or not cell.samples:
        return []
    return ratios(cell.per_item('cpu_ns'), reference.per_item('cpu_ns'))


def times(cells):
    reference = reference_of(cells)
    yield row('', ('CPU ns', 11), ('95%', -21), ('wall ns', 11), ('additions', 10), ('x libreap', 10), ('95%', -17))
    for cell in cells:
        if not cell.samples:
            yield row(cell.peer.title, (cell.remarks(), -1))
            continue
        cpu, between = spread(list(cell.per_item('cpu_ns').values()))
        wall, _ = spread(list(cell.per_item('wall_ns').values()))
        adds, _ = spread(list(cell.additions().values()))
        ratio, ratio_between = spread(ratio_of(cell, reference))
        yield row(cell.peer.title, (cpu, 11), (between, -21), (wall, 11), (adds, 10), (ratio, 10), (ratio_between, -17),
                  (cell.remarks(), -1))


def handoffs(cells):
    yield row('', ('CPU ns', 11), ('95%', -21), ('wall ns', 11), ('peak MiB', 10), ('stacks', 8), ('times', 10))
    for cell in cells:
        if not cell.samples:
            yield row(cell.peer.title, (cell.remarks(), -1))
            continue
        cpu, between = spread(list(cell.per_item('cpu_ns').values()))
        wall, _ = spread(list(cell.per_item('wall_ns').values()))
        stacks = cell.note('stacks')
        most = max(s['items'] for s in cell.samples.values())
        yield row(cell.peer.title, (cpu, 11), (between, -21), (wall, 11), (mib(cell, 'peak_kib'), 10),
                  ('-' if stacks is None else '%.0f' % stacks, 8), ('{:,.0f}'.format(most), 10))


def crowds(cells):
    yield row('', ('CPU ns', 9), ('95%', -17), ('make', 9), ('end', 9), ('trim', 9), ('maps', 8), ('KiB each', 9), ('tables', 7))
    for cell in cells:
        if not cell.samples:
            yield row(cell.peer.title, (cell.remarks(), -1))
            continue
        cpu, between = spread(list(cell.per_item('cpu_ns').values()), '{:.0f}'.format)
        each = cell.note('rss_kib') / cell.count
        tables = cell.note('tables_kib') / cell.count
        columns = [(number(cell.note(key)), 9) for key in ('make_cpu_ns', 'end_cpu_ns', 'trim_cpu_ns')]
        asked = '' if cell.count == cell.shape_count else '({:,} contexts)'.format(cell.count)
        yield row(cell.peer.title, (cpu, 9), (between, -17), *columns, ('%.0f' % cell.note('maps'), 8), ('%.2f' % each, 9),
                  ('%.2f' % tables, 7), (asked, -1))


def mappings(cells):
    yield row('', ('mappings', 9), ('contexts', 9))
    for cell in cells:
        yield row(cell.peer.title, ('%.0f' % cell.note('maps'), 9), (cell.count, 9)) if cell.samples else row(
            cell.peer.title, (cell.remarks(), -1))


def burst(cells):
    yield row('', ('contexts', 9), ('peak MiB', 9), ('ended', 9), ('idle 2.5 s', 11), ('trimmed', 9))
    for cell in cells:
        yield row(cell.peer.title, (cell.count, 9), (mib(cell, 'peak_kib'), 9), (mib(cell, 'at_once_kib'), 9),
                  (mib(cell, 'idle_kib'), 11), (mib(cell, 'trimmed_kib'), 9), (cell.remarks(), -1)) if cell.samples else row(
                      cell.peer.title, (cell.remarks(), -1))


def zombies(cells):
    yield row('', ('bytes each', 11), ('CPU ns', 9))
    for cell in cells:
        yield row(cell.peer.title, ('%.0f' % cell.note('bytes_each'), 11),
                  (spread(list(cell.per_item('cpu_ns').values()))[0], 9)) if cell.samples else row(
                      cell.peer.title, (cell.remarks(), -1))


TABLES = {'handoff': handoffs, 'live': crowds, 'million': crowds, 'maps': mappings, 'rss': burst, 'zombies': zombies}


def table(shape, count, cells):
    """The lines of one shape's table."""
    for cell in cells:
        cell.shape_count = count
    title = shape.title if count is None else '{:,} contexts {}'.format(count, shape.title)
    yield from textwrap.wrap('%s: %s' % (shape.name, title), WIDTH, subsequent_indent='    ')
    yield from TABLES.get(shape.name, times)(cells)


def cell_record(cell, reference):
    """A cell for JSON."""
    record = {'shape': cell.shape.name, 'peer': cell.peer.key, 'count': cell.count, 'skipped': cell.why, 'failure': cell.failure}
    if not cell.samples:
        return record
    for key, values in (('cpu_ns', list(cell.per_item('cpu_ns').values())), ('wall_ns', list(cell.per_item('wall_ns').values())),
                        ('additions', list(cell.additions().values())), ('ratio', ratio_of(cell, reference))):
        if values:
            middle, low, high = median_interval(values)
            record[key] = {'median': middle, 'low': low, 'high': high, 'rounds': values}
    if 'ratio' in record:
        record['ratio']['to'] = reference.peer.key
    names = sorted({key for s in cell.samples.values() for key in s['notes']})
    record['notes'] = {key: cell.note(key) for key in names}
    record['items'] = [s['items'] for s in cell.samples.values()]
    return record
