"""NEWS2 sub-scores, cell by cell of the published chart."""

from __future__ import annotations

import dataclasses
from decimal import Decimal

import pytest

from ingest_service.alerts.news2 import (
    Scale,
    SubScores,
    of_pulse,
    of_spo2,
    of_systolic,
    sub_scores,
)

# Source of all cells: Royal College of Physicians, National Early Warning Score (NEWS) 2, 2017,
# chart 1. Each cell by its first and its last whole number; the open ones by one far out too.


@pytest.mark.parametrize(
    ("first", "last", "score"),
    [(40, 90, 3), (91, 100, 2), (101, 110, 1), (111, 219, 0), (220, 300, 3)],
)
def test_systolic(first: int, last: int, score: int) -> None:
    assert {of_systolic(Decimal(value)) for value in range(first, last + 1)} == {score}


@pytest.mark.parametrize(
    ("first", "last", "score"),
    [(20, 40, 3), (41, 50, 1), (51, 90, 0), (91, 110, 1), (111, 130, 2), (131, 300, 3)],
)
def test_pulse(first: int, last: int, score: int) -> None:
    assert {of_pulse(Decimal(value)) for value in range(first, last + 1)} == {score}


@pytest.mark.parametrize("is_on_oxygen", [True, False, None])
@pytest.mark.parametrize(
    ("first", "last", "score"), [(50, 91, 3), (92, 93, 2), (94, 95, 1), (96, 100, 0)]
)
def test_spo2_on_scale_1_heeds_no_oxygen(
    first: int, last: int, score: int, *, is_on_oxygen: bool | None
) -> None:
    scores = {
        of_spo2(Decimal(value), scale=Scale.ONE, is_on_oxygen=is_on_oxygen)
        for value in range(first, last + 1)
    }

    assert scores == {score}


@pytest.mark.parametrize(
    ("first", "last", "on_air", "on_oxygen", "unknown"),
    [
        (50, 83, 3, 3, 3),
        (84, 85, 2, 2, 2),
        (86, 87, 1, 1, 1),
        (88, 92, 0, 0, 0),
        # A13: from 93 on there is no score where nobody knows of oxygen.
        (93, 94, 0, 1, None),
        (95, 96, 0, 2, None),
        (97, 100, 0, 3, None),
    ],
)
def test_spo2_on_scale_2(
    first: int, last: int, on_air: int, on_oxygen: int, unknown: int | None
) -> None:
    for value in range(first, last + 1):
        scores = [
            of_spo2(Decimal(value), scale=Scale.TWO, is_on_oxygen=is_on_oxygen)
            for is_on_oxygen in (False, True, None)
        ]
        assert scores == [on_air, on_oxygen, unknown]


@pytest.mark.parametrize(
    ("value", "score"), [("110.3", 1), ("110.9", 1), ("90.1", 3), ("219.5", 3), ("100.0", 2)]
)
def test_between_two_cells_the_higher_score_holds(value: str, score: int) -> None:
    assert of_systolic(Decimal(value)) == score


def test_between_two_cells_of_which_one_is_not_defined_there_is_no_score() -> None:
    assert of_spo2(Decimal("92.5"), scale=Scale.TWO, is_on_oxygen=None) is None
    assert of_spo2(Decimal("92.5"), scale=Scale.TWO, is_on_oxygen=True) == 1


def test_what_was_not_measured_has_no_score() -> None:
    assert sub_scores(spo2=Decimal(90), scale=Scale.ONE, is_on_oxygen=None) == SubScores(
        systolic=None, pulse=None, spo2=3
    )


def test_there_is_no_total() -> None:
    assert [field.name for field in dataclasses.fields(SubScores)] == ["systolic", "pulse", "spo2"]
