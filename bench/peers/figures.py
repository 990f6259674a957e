# SPDX-License-Identifier: ISC
"""Medians, and how far they can be trusted."""
import random
import statistics

RESAMPLES = 1000


def median_interval(values, seed=1):
    """(median, low, high): a 95% interval of the median by bootstrap; of one value that value."""
    values = list(values)
    middle = statistics.median(values)
    if len(values) < 2:
        return middle, middle, middle
    draw = random.Random(seed)          # the same samples give the same interval
    medians = sorted(statistics.median(draw.choices(values, k=len(values))) for _ in range(RESAMPLES))
    return middle, medians[int(RESAMPLES * 0.025)], medians[int(RESAMPLES * 0.975) - 1]


def ratios(values, references):
    """Round by round: both are {round: value}; rounds that only one of them has do not count."""
    return [values[r] / references[r] for r in sorted(values) if references.get(r, 0) > 0]
