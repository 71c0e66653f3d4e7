"""A patient's own limits, two-sided and two-level, and what a value is against them."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum
from typing import Final

import msgspec


class Level(StrEnum):
    """How urgent a finding is; blue informs."""

    BLUE = "blue"
    YELLOW = "yellow"
    RED = "red"

    @property
    def rank(self) -> int:
        """Return a number that grows with urgency, from 1."""
        return _RANKS[self]


_RANKS: Final = {Level.BLUE: 1, Level.YELLOW: 2, Level.RED: 3}


class Measure(StrEnum):
    """What limits are set for: mm[Hg], per minute, percent, and kilograms of weight."""

    SYSTOLIC = "systolic"
    DIASTOLIC = "diastolic"
    PULSE = "pulse"
    SPO2 = "spo2"
    BODY_WEIGHT = "body_weight"


class Family(StrEnum):
    """What is judged together and shares one alert."""

    BLOOD_PRESSURE = "blood_pressure"
    PULSE = "pulse"
    SPO2 = "spo2"
    BODY_WEIGHT = "body_weight"


# Source: LOINC 85354-9 blood pressure panel, 8867-4 heart rate, 59408-5 and 2708-6 oxygen
# saturation in arterial blood by pulse oximetry, 29463-7 body weight.
FAMILY_OF_CODE: Final[Mapping[str, Family]] = {
    "85354-9": Family.BLOOD_PRESSURE,
    "8867-4": Family.PULSE,
    "59408-5": Family.SPO2,
    "2708-6": Family.SPO2,
    "29463-7": Family.BODY_WEIGHT,
}


class Limits(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """One measure's limits; a side or a level that is not set does not alert.

    A value *at* a limit is within it: "red above 180" lets 180 pass. Beyond an immediate limit a
    red is not confirmed first. A value counts as back within when it is ``hysteresis`` inside;
    ``step`` further out is worse (A7).
    """

    red_low: Decimal | None = None
    yellow_low: Decimal | None = None
    yellow_high: Decimal | None = None
    red_high: Decimal | None = None
    immediate_low: Decimal | None = None
    immediate_high: Decimal | None = None
    hysteresis: Decimal | None = None
    step: Decimal | None = None

    def immediate_only(self) -> Limits:
        """Return limits of which nothing is left but the immediate ones."""
        return Limits(
            red_low=self.immediate_low,
            red_high=self.immediate_high,
            immediate_low=self.immediate_low,
            immediate_high=self.immediate_high,
            hysteresis=self.hysteresis,
            step=self.step,
        )

    def is_immediate(self, value: Decimal) -> bool:
        """Tell whether the value is so far out that nothing is to be waited for."""
        low, high = self.immediate_low, self.immediate_high
        return (low is not None and value < low) or (high is not None and value > high)

    def level(self, value: Decimal) -> Level | None:
        """Return how far beyond the limits the value lies, or ``None`` if it is within."""
        if self.is_low(value, Level.RED) or self.is_high(value, Level.RED):
            return Level.RED
        if self.is_low(value, Level.YELLOW) or self.is_high(value, Level.YELLOW):
            return Level.YELLOW
        return None

    def is_low(self, value: Decimal, level: Level) -> bool:
        """Tell whether the value lies below that level's lower limit."""
        limit = self.red_low if level is Level.RED else self.yellow_low
        return limit is not None and value < limit

    def is_high(self, value: Decimal, level: Level) -> bool:
        """Tell whether the value lies above that level's upper limit."""
        limit = self.red_high if level is Level.RED else self.yellow_high
        return limit is not None and value > limit


PlanLimits = Mapping[Measure, Limits]
