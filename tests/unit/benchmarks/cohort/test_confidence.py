from __future__ import annotations

import pytest

from benchmarks.cohort.confidence import percentile, ratio_interval, wilson


# R. G. Newcombe, Stat Med 1998;17:857, table I, method 3: the score method without continuity
# correction.
@pytest.mark.parametrize(
    ("found", "of", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_intervals_are_those_of_newcombe(
    found: int, of: int, low: float, high: float
) -> None:
    assert wilson(found, of) == pytest.approx((low, high), abs=0.00005)


def test_nothing_has_no_interval() -> None:
    assert wilson(0, 0) is None
    assert ratio_interval([], resamples=10, seed=1) is None


def test_a_percentile_is_the_nearest_rank() -> None:
    # Nearest rank, by hand: of ten values the ninth is the 90th, of five the fifth.
    assert percentile([10, 9, 8, 7, 6, 5, 4, 3, 2, 1], 0.9) == 9
    assert percentile([5, 1, 2, 3, 4], 0.9) == 5
    assert percentile([7], 0.9) == 7
    assert percentile([], 0.9) is None


def test_patients_who_are_all_alike_leave_no_doubt_of_a_ratio() -> None:
    assert ratio_interval([(1, 4)] * 50, resamples=200, seed=1) == (0.25, 0.25)


def test_a_ratios_interval_holds_the_ratio_and_is_the_same_again() -> None:
    pairs = [(place % 3, 2 + place % 5) for place in range(60)]

    interval = ratio_interval(pairs, resamples=500, seed=1)

    assert interval is not None
    # 60 over 240.
    assert interval[0] < 0.25 < interval[1]
    assert interval == ratio_interval(pairs, resamples=500, seed=1)
