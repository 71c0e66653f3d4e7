"""NEWS2 sub-scores of what a cuff and an oximeter measure; never a total.

A total needs breathing rate, temperature, consciousness and oxygen as well: one from three of
seven parameters would be lower than the true one, and read as reassurance.

Source:
    Royal College of Physicians, National Early Warning Score (NEWS) 2, 2017, chart 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from enum import StrEnum
from typing import Final

# Upper ends of the chart's bands and their scores, and the score above the last of them.
_Bands = Sequence[tuple[int | None, int]]
_SYSTOLIC: Final[_Bands] = ((90, 3), (100, 2), (110, 1), (219, 0), (None, 3))
_PULSE: Final[_Bands] = ((40, 3), (50, 1), (90, 0), (110, 1), (130, 2), (None, 3))
_SPO2_1: Final[_Bands] = ((91, 3), (93, 2), (95, 1), (None, 0))
_SPO2_2_LOW: Final[_Bands] = ((83, 3), (85, 2), (87, 1), (92, 0))
_SPO2_2_ON_AIR: Final[_Bands] = (*_SPO2_2_LOW, (None, 0))
_SPO2_2_ON_OXYGEN: Final[_Bands] = (*_SPO2_2_LOW, (94, 1), (96, 2), (None, 3))


class Scale(StrEnum):
    """Which of the two SpO2 scales holds for the patient, as the plan says.

    The second is for those with hypercapnic respiratory failure, by a physician's order alone.
    """

    ONE = "1"
    TWO = "2"


@dataclass(frozen=True, slots=True, kw_only=True)
class SubScores:
    """Sub-scores side by side, 0-3 each; ``None`` where not measured or not defined."""

    systolic: int | None
    pulse: int | None
    spo2: int | None


def sub_scores(
    *,
    systolic: Decimal | None = None,
    pulse: Decimal | None = None,
    spo2: Decimal | None = None,
    scale: Scale,
    is_on_oxygen: bool | None,
) -> SubScores:
    """Return the sub-scores of what was measured."""
    return SubScores(
        systolic=None if systolic is None else of_systolic(systolic),
        pulse=None if pulse is None else of_pulse(pulse),
        spo2=None if spo2 is None else of_spo2(spo2, scale=scale, is_on_oxygen=is_on_oxygen),
    )


def of_systolic(systolic: Decimal) -> int:
    """Return the sub-score of a systolic pressure in mm[Hg]."""
    return _score(systolic, _SYSTOLIC)


def of_pulse(pulse: Decimal) -> int:
    """Return the sub-score of a pulse a minute."""
    return _score(pulse, _PULSE)


def of_spo2(spo2: Decimal, *, scale: Scale, is_on_oxygen: bool | None) -> int | None:
    """Return the sub-score of a saturation in percent.

    Args:
        spo2: In percent.
        scale: The patient's.
        is_on_oxygen: Whether oxygen is given; ``None`` if nobody knows. On scale 2 a saturation
            of 93 and more has no score then: it may be 0 or 3 (A13).
    """
    if scale is Scale.ONE:
        return _score(spo2, _SPO2_1)
    if is_on_oxygen is not None:
        return _score(spo2, _SPO2_2_ON_OXYGEN if is_on_oxygen else _SPO2_2_ON_AIR)
    return _score(spo2, _SPO2_2_LOW) if spo2 <= 92 else None  # noqa: PLR2004 the chart's


def _score(value: Decimal, bands: _Bands) -> int:
    """Return the score of the value's band; between two bands the higher of their scores.

    The chart knows whole numbers only, and rounding could take a score away.
    """
    ends = {value.to_integral_value(ROUND_FLOOR), value.to_integral_value(ROUND_CEILING)}
    return max(
        next(score for end, score in bands if end is None or whole <= end) for whole in ends
    )
