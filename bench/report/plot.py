# SPDX-License-Identifier: ISC
"""plot.py: charts as SVG that takes its colours from the page, so that one picture serves light, dark and paper.

A series is (name, points) or (name, points, colour); points are (x, y) or (x, y, lo, hi); None for y breaks the line.
"""
import html
import math

WIDTH, HEIGHT = 680, 330
LEFT, RIGHT, TOP, BOTTOM = 64, 16, 14, 44
COLOURS = 8
DASHES = ('', '7 3', '2 3', '9 3 2 3', '', '5 5', '3 2', '8 2 2 2')
SIDE_COLOUR = {'adaptive': 0, 'parent': 2, 'successor': 3, 'adopter': 4, 'early': 5, 'plain': 1, 'batching': 6}


def colour_of(name, i):
    return SIDE_COLOUR.get(name, i % COLOURS)


def esc(text):
    return html.escape(str(text), quote=True)


def number(value):
    if value == 0:
        return '0'
    if abs(value) >= 1e6:
        return '%gM' % (value / 1e6)
    if abs(value) >= 1e4:
        return '%gk' % (value / 1e3)
    return '%g' % float('%.4g' % value)


class Axis:
    """Maps values to pixels, and knows its ticks."""

    def __init__(self, values, low, high, log=False, zero=False, room=0.06):
        values = [v for v in values if v is not None and math.isfinite(v) and (v > 0 or not log)] or [1]
        self.log, self.low, self.high = log, low, high
        lo, hi = min(values), max(values)
        if log:
            lo, hi = math.log10(lo), math.log10(hi)
            if hi - lo < 0.5:
                lo, hi = lo - 0.25, hi + 0.25
            self.lo, self.hi = lo - room * (hi - lo) / 2, hi + room * (hi - lo)
        else:
            lo = 0 if zero else lo
            if hi <= lo:
                hi = lo + 1
            self.lo, self.hi = lo, hi + room * (hi - lo)

    def __call__(self, value):
        if self.log:
            value = math.log10(value) if value > 0 else self.lo
        return self.low + (value - self.lo) / (self.hi - self.lo) * (self.high - self.low)

    def ticks(self):
        if self.log:
            decades = range(math.ceil(self.lo - 1e-9), math.floor(self.hi + 1e-9) + 1)
            if len(decades) >= 2:
                every = max(1, len(decades) // 7)
                return [10.0 ** d for d in decades if (d - decades[0]) % every == 0]
            marks = [m * 10.0 ** d for d in range(math.floor(self.lo) - 1, math.ceil(self.hi) + 1) for m in (1, 2, 5)]
            return [m for m in marks if self.lo <= math.log10(m) <= self.hi]
        step = 10 ** math.floor(math.log10((self.hi - self.lo) / 4))
        step *= next(m for m in (1, 2, 5, 10) if (self.hi - self.lo) / (step * m) <= 6)
        first = math.ceil(self.lo / step - 1e-9)
        return [step * i for i in range(first, math.floor(self.hi / step + 1e-9) + 1)]


def frame(parts, x, y, x_name, y_name, x_ticks, height):
    bottom = height - BOTTOM
    for value in y.ticks():
        at = y(value)
        parts.append('<line class="grid" x1="%d" x2="%d" y1="%.1f" y2="%.1f"/>' % (LEFT, WIDTH - RIGHT, at, at))
        parts.append('<text class="tick" x="%d" y="%.1f" text-anchor="end">%s</text>' % (LEFT - 6, at + 4, number(value)))
    for value, label in x_ticks:
        parts.append('<line class="grid" x1="%.1f" x2="%.1f" y1="%d" y2="%d"/>' % (x(value), x(value), TOP, bottom))
        parts.append('<text class="tick" x="%.1f" y="%d" text-anchor="middle">%s</text>' % (x(value), bottom + 16, esc(label)))
    parts.append('<line class="axis" x1="%d" x2="%d" y1="%d" y2="%d"/>' % (LEFT, WIDTH - RIGHT, bottom, bottom))
    parts.append('<text class="name" x="%d" y="%d" text-anchor="middle">%s</text>'
                 % ((LEFT + WIDTH - RIGHT) / 2, height - 8, esc(x_name)))
    parts.append('<text class="name" transform="translate(14 %d) rotate(-90)" text-anchor="middle">%s</text>'
                 % ((TOP + bottom) / 2, esc(y_name)))


def legend(names):
    """HTML below the picture: it wraps, and its order is that of the lines."""
    items = ['<span class="key"><svg width="26" height="10" aria-hidden="true"><line class="line c%d" x1="1" x2="25" y1="5" y2="5"'
             ' stroke-dasharray="%s"/></svg>%s</span>' % (c, DASHES[c], esc(n)) for n, c in names]
    return '<div class="legend">%s</div>' % ''.join(items)


def boxes(names):
    items = ['<span class="key"><svg width="14" height="10" aria-hidden="true"><rect class="fill c%d" width="14" '
             'height="10"/></svg>'
             '%s</span>' % (c, esc(n)) for n, c in names]
    return '<div class="legend">%s</div>' % ''.join(items)


def figure(picture, keys, title, caption, height=HEIGHT):
    return ('<figure><svg viewBox="0 0 %d %d" role="img" aria-label="%s">%s</svg>%s<figcaption>%s</figcaption></figure>'
            % (WIDTH, height, esc(title), ''.join(picture), keys, caption))


def lines(series, title, caption, x_name, y_name, log_x=False, log_y=False, zero=False, x_ticks=None, steps=False):
    """None if there is nothing to draw."""
    series = [(s[0], [p for p in s[1] if p[1] is None or not log_y or p[1] > 0], s[2] if len(s) > 2 else colour_of(s[0], i))
              for i, s in enumerate(series)]
    series = [s for s in series if any(p[1] is not None for p in s[1])]
    if not series:
        return None
    xs = [p[0] for s in series for p in s[1]]
    ys = [v for s in series for p in s[1] for v in p[1:] if v is not None]
    x = Axis(xs, LEFT, WIDTH - RIGHT, log_x, room=0.02)
    y = Axis(ys, HEIGHT - BOTTOM, TOP, log_y, zero)
    parts = []
    frame(parts, x, y, x_name, y_name, x_ticks or [(v, number(v)) for v in x.ticks()], HEIGHT)
    for _, points, colour in series:
        path, pen = [], False
        for point in points:
            if point[1] is None:
                pen = False
                continue
            at = (x(point[0]), y(point[1]))
            if pen and steps:
                path.append('H%.1f' % at[0])
            path.append('%s%.1f %.1f' % ('L' if pen else 'M', *at))
            pen = True
        parts.append('<path class="line c%d" d="%s" stroke-dasharray="%s"/>' % (colour, ''.join(path), DASHES[colour]))
        few = len(points) <= 12
        for point in points:
            if point[1] is None:
                continue
            if len(point) == 4 and point[2] is not None and math.isfinite(point[3]) and (point[2] > 0 or not log_y):
                parts.append('<line class="whisker c%d" x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f"/>'
                             % (colour, x(point[0]), x(point[0]), y(point[2]), y(point[3])))
            if few:
                parts.append('<circle class="fill c%d" cx="%.1f" cy="%.1f" r="3"/>' % (colour, x(point[0]), y(point[1])))
    return figure(parts, legend([(s[0], s[2]) for s in series]), title, caption)


def bars(rows, title, caption, x_name, log=False):
    """Horizontal bars.  rows: (label, [(part, value), ...] or Interval).  Parts are stacked."""
    stacked = any(isinstance(row[1], list) for row in rows)
    rows = [row for row in rows if (row[1] if stacked else row[1].mid is not None)]
    if not rows:
        return None
    names = list(dict.fromkeys(part for _, parts_ in rows for part, _ in parts_)) if stacked else []
    height = TOP + BOTTOM + 30 * len(rows)
    left = 150
    if not stacked:             # a tail on a noisy machine has no interval to show
        rows = [(label, i if math.isfinite(i.hi) else i._replace(lo=i.mid, hi=i.mid)) for label, i in rows]
    top = [sum(v for _, v in row[1]) if stacked else row[1].hi for row in rows]
    x = Axis(top + ([row[1].lo for row in rows] if log else []), left, WIDTH - RIGHT - 60, log, zero=True)
    parts = []
    for value in x.ticks():
        parts.append('<line class="grid" x1="%.1f" x2="%.1f" y1="%d" y2="%d"/>' % (x(value), x(value), TOP, height - BOTTOM))
        parts.append('<text class="tick" x="%.1f" y="%d" text-anchor="middle">%s</text>' % (x(value), height - BOTTOM + 16,
                                                                                            number(value)))
    for i, (label, content) in enumerate(rows):
        y = TOP + 30 * i + 4
        parts.append('<text class="label" x="%d" y="%d" text-anchor="end">%s</text>' % (left - 8, y + 15, esc(label)))
        if stacked:
            at = 0
            for part, value in content:
                width = x(at + value) - x(at)
                if width > 0:
                    parts.append('<rect class="fill c%d" x="%.1f" y="%d" width="%.1f" height="20"/>'
                                 % (names.index(part) % COLOURS, x(at), y, width))
                at += value
            parts.append('<text class="tick" x="%.1f" y="%d">%s</text>' % (x(at) + 5, y + 15, number(float('%.3g' % at))))
        else:
            colour = colour_of(label, i)
            parts.append('<rect class="fill c%d" x="%d" y="%d" width="%.1f" height="20"/>'
                         % (colour, left, y, max(x(content.mid) - left, 0)))
            parts.append('<line class="axis" x1="%.1f" x2="%.1f" y1="%d" y2="%d"/>' % (x(content.lo), x(content.hi), y + 10, y
                                                                                       + 10))
            parts.append('<text class="tick" x="%.1f" y="%d">%s</text>'
                         % (x(content.hi) + 5, y + 15, number(float('%.3g' % content.mid))))
    parts.append('<text class="name" x="%d" y="%d" text-anchor="middle">%s</text>' % ((left + WIDTH) / 2, height - 8, esc(x_name)))
    return figure(parts, boxes([(n, i % COLOURS) for i, n in enumerate(names)]) if stacked else '', title, caption, height)
