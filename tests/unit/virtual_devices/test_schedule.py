"""Scripts: what a line may say, and what becomes of a line that is none."""

from __future__ import annotations

import random
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtual_devices import schedule
from virtual_devices.schedule import CuffStep, Fault, OximeterStep


def test_a_reading_keeps_its_digits() -> None:
    line = b'{"systolic": 18.90, "diastolic": 11, "unit": "kPa", "irregular": true}'

    step = schedule.parse(line, CuffStep)

    assert step == CuffStep(
        systolic=Decimal("18.9"), diastolic=Decimal(11), unit="kPa", irregular=True
    )


def test_a_line_with_a_fault_is_one() -> None:
    step = schedule.parse(b'{"after_s": 2, "fault": "out_of_range", "for_s": 5}', OximeterStep)

    assert step == Fault(after_s=2, fault="out_of_range", for_s=5)


@pytest.mark.parametrize(
    ("line", "named"),
    [
        (b'{"sistolic": 120}', "sistolic"),
        (b'{"systolic": "high"}', "systolic"),
        (b'{"fault": "explode"}', "explode"),
        (b"[]", "object"),
        (b"{", "malformed|truncated"),
        (b" " * 5000, "longer"),
    ],
)
def test_a_line_that_is_none_names_what_is_wrong(line: bytes, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        schedule.parse(line, CuffStep)


@given(st.binary(max_size=64))
def test_any_line_is_a_step_or_a_value_error(line: bytes) -> None:
    try:
        step = schedule.parse(line, CuffStep)
    except ValueError:
        return
    assert isinstance(step, CuffStep | Fault)


async def test_a_script_goes_on_after_a_bad_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "script"
    file.write_text('{"systolic": 120}\nnonsense\n\n{"systolic": 121}\n', encoding="utf-8")

    steps = [step async for step in schedule.script(file, CuffStep)]

    assert steps == [CuffStep(systolic=Decimal(120)), CuffStep(systolic=Decimal(121))]
    assert [record.__dict__["line"] for record in caplog.records] == [2]


async def test_a_walk_is_the_same_for_the_same_seed_and_stays_near() -> None:
    async def first(seed: int) -> list[Decimal]:
        chance = random.Random(seed)  # noqa: S311 - readings are no secret
        walk = schedule.cuff_walk(CuffStep(systolic=Decimal(130)), 0.0, chance)
        return [(await anext(walk)).systolic for _ in range(50)]

    values = await first(1)

    assert values == await first(1) != await first(2)
    assert all(abs(value - 130) <= 8 for value in values)
