"""Far from the patient's own values: the numbers of docs/reference/alerts.md, worked by hand."""

from __future__ import annotations

from decimal import Decimal

import pytest

from ingest_service.admission.likeness import is_far


@pytest.mark.parametrize(
    ("measure", "value", "median", "spread", "is_it"),
    [
        ("systolic", 118, 160, 8, True),  # 42 away; 35 and 3 x 8 are both less
        ("systolic", 125, 160, 8, False),  # just 35 is not more than 35
        ("systolic", 118, 160, 15, False),  # a patient who varies: 3 x 15 = 45
        ("diastolic", 60, 92, 5, True),
        ("diastolic", 70, 92, 5, False),
        ("spo2", 78, 91, 2, True),  # the lady of rule A1
        ("spo2", 84, 91, 2, False),
        ("spo2", 78, 91, 5, False),  # 10.8 % within a day is usual in COPD (A14)
        ("weight", 92, 71, 1, True),
        ("weight", 76, 71, 1, False),
    ],
)
def test_is_far(measure: str, value: int, median: int, spread: int, *, is_it: bool) -> None:
    assert is_far(measure, Decimal(value), median=Decimal(median), spread=Decimal(spread)) is is_it
