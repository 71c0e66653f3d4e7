"""Readings without an owner: red for anybody whose they may be is red (A1).

Expected levels from the project's clinical notes: home systems call >= 180 or >= 110 critical;
NEWS2's highest score: systolic <= 90, pulse <= 40 or >= 131; SpO2 below 88.
"""

from __future__ import annotations

from decimal import Decimal

import pytest

from ingest_service.alerts.unowned import is_red
from ingest_service.plans.limits import Limits, Measure, PlanLimits

HIGH: PlanLimits = {Measure.SYSTOLIC: Limits(red_high=Decimal(220))}
LOW: PlanLimits = {Measure.SYSTOLIC: Limits(red_high=Decimal(150))}


@pytest.mark.parametrize(
    ("measure", "value", "expected"),
    [
        (Measure.SYSTOLIC, 180, True),
        (Measure.SYSTOLIC, 179, False),
        (Measure.SYSTOLIC, 90, True),
        (Measure.SYSTOLIC, 91, False),
        (Measure.DIASTOLIC, 110, True),
        (Measure.DIASTOLIC, 109, False),
        (Measure.SPO2, 87, True),
        (Measure.SPO2, 88, False),
        (Measure.PULSE, 40, True),
        (Measure.PULSE, 41, False),
        (Measure.PULSE, 131, True),
        (Measure.PULSE, 130, False),
    ],
)
def test_where_nobody_is_known_the_safety_net_decides(
    measure: Measure, value: int, *, expected: bool
) -> None:
    assert is_red({measure: Decimal(value)}, []) is expected


@pytest.mark.parametrize(
    ("plans", "expected"),
    [([HIGH], False), ([LOW], True), ([HIGH, LOW], True), ([HIGH, {}], True)],
)
def test_it_is_red_if_it_is_red_for_anybody_it_may_belong_to(
    plans: list[PlanLimits], *, expected: bool
) -> None:
    assert is_red({Measure.SYSTOLIC: Decimal(190)}, plans) is expected


def test_a_measure_without_limits_falls_into_the_net() -> None:
    assert is_red({Measure.SPO2: Decimal(80)}, [HIGH])
