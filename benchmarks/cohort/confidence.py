"""How far figures of a cohort can be trusted."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, sqrt
from typing import Final

from benchmarks.cohort.draws import Draws

#: Two-sided, 95 %: the 97.5th percentile of the standard normal distribution.
Z: Final = 1.959963984540054
Interval = tuple[float, float]


def wilson(found: int, of: int) -> Interval | None:
    """Return Wilson's 95 % interval of a share; ``None`` where there is nothing to share.

    Source: E. B. Wilson, J Am Stat Assoc 1927;22:209, without continuity correction.
    """
    if of == 0:
        return None
    share = found / of
    scale = 1 + Z**2 / of
    middle = (share + Z**2 / (2 * of)) / scale
    half = Z * sqrt(share * (1 - share) / of + Z**2 / (4 * of**2)) / scale
    return max(0.0, middle - half), min(1.0, middle + half)


def ratio_interval(
    pairs: Sequence[tuple[int, int]], *, resamples: int, seed: int
) -> Interval | None:
    """Return the 95 % percentile bootstrap interval of a ratio of sums, patients resampled.

    Alerts of one patient hang together, so whole patients are drawn: ``pairs`` has, for each, the
    count above and the count below the line.
    """
    draws = Draws(seed, "bootstrap")
    ratios: list[float] = []
    for resample in range(resamples):
        above = below = 0
        for index in _indices(draws, resample, len(pairs)):
            above += pairs[index][0]
            below += pairs[index][1]
        if below:
            ratios.append(above / below)
    if not ratios:
        return None
    ratios.sort()
    return _rank(ratios, 0.025), _rank(ratios, 0.975)


def percentile(values: Sequence[float], share: float) -> float | None:
    """Return the smallest value that at least that share of the values does not exceed."""
    return _rank(sorted(values), share) if values else None


def _rank(ordered: Sequence[float], share: float) -> float:
    return ordered[max(ceil(share * len(ordered)), 1) - 1]


def _indices(draws: Draws, resample: int, count: int) -> Sequence[int]:
    found: list[int] = []
    block = 0
    while len(found) < count:
        found += [int(one * count) for one in draws.uniforms(f"resample {resample}", block)]
        block += 1
    return found[:count]
