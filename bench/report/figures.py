# SPDX-License-Identifier: ISC
"""figures.py: medians, intervals, and what may be claimed of them."""
import bisect
import itertools
import math
import random
from collections import namedtuple

RESAMPLES = 400
NEGLIGIBLE = 0.05       # a difference that nobody would act on
QUIET = 0.05            # a machine that wavers by no more than this is called quiet ...
NOISY = 0.25            # ... by more than this, noisy

# lo and hi: 95%.  n: samples.  mid None: nothing was measured.
Interval = namedtuple('Interval', 'mid lo hi n')
NONE = Interval(None, None, None, 0)


def known(values):
    return [v for v in values if v is not None and math.isfinite(v)]


def quantile(values, q):
    """Of a sorted or unsorted list, by linear interpolation; None of an empty one."""
    values = sorted(known(values))
    if not values:
        return None
    at = q * (len(values) - 1)
    low = int(at)
    high = min(low + 1, len(values) - 1)
    return values[low] + (values[high] - values[low]) * (at - low)


def median(values):
    values = sorted([v for v in values if v is not None])
    n = len(values)
    return (values[(n - 1) // 2] + values[n // 2]) / 2 if n else None


def bootstrap(samples, statistic):
    """The 95% interval of statistic(samples); each of the samples is a list and is drawn from anew.  The same data give the
    same."""
    samples = [known(sample) for sample in samples]
    samples = [sample for sample in samples if sample]
    if not samples:
        return NONE
    if all(len(set(sample)) == 1 for sample in samples):
        middle = statistic(samples)
        return Interval(middle, middle, middle, min(len(sample) for sample in samples))
    draw = random.Random(1).random
    drawn = sorted(statistic([[sample[int(draw() * len(sample))] for _ in sample] for sample in samples]) for _ in range(RESAMPLES))
    edge = RESAMPLES // 40
    return Interval(statistic(samples), drawn[edge], drawn[-1 - edge], min(len(sample) for sample in samples))


def of_rounds(values, noise=0, name=''):
    """The median of one figure over its rounds."""
    return widen(bootstrap([values], lambda samples: median(samples[0])), noise, name)


def ratios(ours, theirs):
    """Round by round: what disturbs neighbours in time disturbs both."""
    return [a / b for a, b in zip(ours, theirs) if a is not None and b is not None and a >= 0 and b > 0]


def mean_ratio(pairs, noise=0, name=''):
    """The geometric mean over places of the medians of paired ratios.  Places with fewer than three rounds count only where there
    are no others."""
    samples = [ratios(a, b) for a, b in pairs]
    samples = [s for s in samples if len(s) >= 3] or samples

    def geometric(samples):
        return math.exp(sum(math.log(max(median(sample), 1e-9)) for sample in samples) / len(samples))
    return widen(bootstrap(samples, geometric), noise, name)


def is_tail(name):
    return name.endswith(('p99', 'p99.9', 'max'))


def widen(interval, noise, name=''):
    """Differences that are not larger than what the machine itself wavered by are not to be claimed; tails not at all where it was
    noisy: who was kept waiting by others for one time in a hundred has their tail, not its own."""
    if interval.mid is None or noise <= QUIET:
        return interval
    if is_tail(name) and noise > NOISY:
        return Interval(interval.mid, 0, math.inf, interval.n)
    return Interval(interval.mid, interval.lo / (1 + noise), interval.hi * (1 + noise), interval.n)


LESS, MORE, SAME, UNKNOWN = 'less', 'more', 'same', 'unknown'


def claim(ratio):
    """Fewer than three rounds claim nothing."""
    if ratio.mid is None:
        return UNKNOWN
    if ratio.n < 3 or ratio.lo <= 1 <= ratio.hi or abs(ratio.mid - 1) < NEGLIGIBLE:
        return SAME
    return LESS if ratio.mid < 1 else MORE


def text(value):
    """Three significant digits, k and M above 10,000."""
    if value is None or math.isnan(value):
        return '–'
    if math.isinf(value):
        return '∞'
    suffix = ''
    if abs(value) >= 1e7:
        value, suffix = value / 1e6, 'M'
    elif abs(value) >= 1e4:
        value, suffix = value / 1e3, 'k'
    if value == 0 or abs(value) >= 100:
        return '%.0f%s' % (value, suffix)
    return '%.*f%s' % (1 if abs(value) >= 10 else 2 if abs(value) >= 1 else 3, value, suffix)


def times(interval):
    """A ratio with its interval, for a sentence."""
    if interval.mid is None:
        return 'an unknown multiple'
    return '%s× [%s–%s]' % (text(interval.mid), text(interval.lo), text(interval.hi))


def between(interval, unit=''):
    """A figure with its interval, for a sentence."""
    if interval.mid is None:
        return 'unknown'
    return '%s%s [%s–%s]' % (text(interval.mid), ' ' + unit if unit else '', text(interval.lo), text(interval.hi))


class Latency:
    """A histogram as the programs write it: value, count, value, count ... in nanoseconds."""

    def __init__(self, data):
        flat = data['buckets']
        self.buckets = sorted(zip(flat[::2], flat[1::2]))
        self.count, self.max = data['count'], data['max']
        self.values = [min(value, self.max) for value, _ in self.buckets]
        self.below = list(itertools.accumulate(n for _, n in self.buckets))     # so many are no larger than the value beside it

    def quantile(self, q):
        """Nanoseconds."""
        if q >= 1:
            return self.max
        return self.values[min(bisect.bisect_left(self.below, math.ceil(q * self.count)), len(self.values) - 1)]

    def curve(self):
        """(1/(1-share below), microseconds): from the median to the largest."""
        points, seen = [], 0
        for value, n in self.buckets:
            seen += n
            left = self.count - seen
            if seen * 2 >= self.count:
                points.append((self.count / left if left > 0 else self.count * 2, max(min(value, self.max), 1) / 1000))
        return [(2, points[0][1])] + points if points and points[0][0] > 2 else points

    def table(self):
        """The percentile table in the text form of HdrHistogram, values in microseconds."""
        lines = ['%12s %14s %10s %14s' % ('Value', 'Percentile', 'TotalCount', '1/(1-Percentile)'), '']
        percent, half = 0.0, 1
        while True:
            value = self.quantile(percent / 100)
            below = self.below[bisect.bisect_right(self.values, value) - 1]
            lines.append('%12.3f %14.12f %10d %14.2f' % (value / 1000, percent / 100, below, 1 / (1 - percent / 100)))
            if value >= self.max or below >= self.count:
                break
            half = 2 ** (int(math.log2(100 / (100 - percent))) + 1)
            percent += 100 / (half * 5)
        lines.append('%12.3f %14.12f %10d' % (self.max / 1000, 1, self.count))
        mean = sum(v * n for v, n in self.buckets) / self.count
        deviation = math.sqrt(sum((v - mean) ** 2 * n for v, n in self.buckets) / self.count)
        lines.append('#[Mean    = %12.3f, StdDeviation   = %12.3f]' % (mean / 1000, deviation / 1000))
        lines.append('#[Max     = %12.3f, Total count    = %12d]' % (self.max / 1000, self.count))
        lines.append('#[Buckets = %12d, SubBuckets     = %12d]' % (36, 32))
        return '\n'.join(lines)
