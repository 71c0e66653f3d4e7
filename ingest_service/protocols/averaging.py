"""The average of a period by its protocol, with every reading accounted for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import tzinfo
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from typing import Final

from ingest_service.protocols.protocol import Protocol, SittingValue
from ingest_service.protocols.selection import IRREGULAR, Reason, select
from ingest_service.protocols.sittings import Period, SittingReading, day_of

# What to know of a reading that is in the average; other flags say nothing of its worth.
_TELLING: Final = (IRREGULAR, "may_be_another", "too_close", "time_estimated")


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """A reading that is not in the average, and why."""

    reading: SittingReading
    reason: Reason


class Lack(StrEnum):
    """What there is too little of."""

    READINGS = "readings"
    DAYS = "days"


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """What an average lacks to be enough for a decision."""

    what: Lack
    found: int
    needed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Average:
    """A period's average; two are equal where everything that they rest on is.

    Attributes:
        systolic: Mean in mm[Hg] to a tenth; ``None`` if no reading is left.
        diastolic: The same.
        pulse: Mean a minute to a tenth over the ``pulses`` used readings that have one.
        used: The readings in it, oldest first.
        left_out: The others that were given, oldest first.
        sittings: How many sittings the used readings come from.
        days: How many days they come from.
        days_measured: Days of the period with a fit reading, first days left out included.
        missing: What it lacks for a decision; it is an average all the same, and shown as one.
        marks: How many of the used readings carry which flag that a reader should know.
    """

    protocol_id: str
    protocol_version: int
    period: Period
    systolic: Decimal | None
    diastolic: Decimal | None
    pulse: Decimal | None
    pulses: int
    used: tuple[SittingReading, ...]
    left_out: tuple[LeftOut, ...]
    sittings: int
    days: int
    days_measured: int
    missing: tuple[Missing, ...]
    marks: tuple[tuple[str, int], ...]

    @property
    def is_enough(self) -> bool:
        """Tell whether the protocol calls it enough for a decision."""
        return not self.missing


def average(
    protocol: Protocol, readings: Iterable[SittingReading], *, period: Period, zone: tzinfo
) -> Average:
    """Return the average of the period.

    Numbers are exact until the end and then rounded half to even to a tenth: whole numbers would
    make 135 of 134.6, which is the other side of the limit that home averages are held against.

    Args:
        protocol: How to average.
        readings: All that is known of the period; others are accounted for and change nothing.
        period: Which days, as `course` or `rolling` give them.
        zone: The home's: it says which day and which window a reading belongs to.
    """
    chosen = select(protocol, readings, period=period, zone=zone)
    why = chosen.why
    used_in = [
        kept
        for sitting in chosen.sittings
        if (kept := [one for one in sitting.readings if one.id not in why])
    ]
    used = [one for kept in used_in for one in kept]
    pulses = [one.pulse for one in used if one.pulse is not None]
    is_by_sitting = protocol.sitting_value is SittingValue.MEAN
    groups = used_in if is_by_sitting else [[one] for one in used]
    return Average(
        protocol_id=protocol.id,
        protocol_version=protocol.version,
        period=period,
        systolic=_tenths(_mean(_mean(one.systolic for one in group) for group in groups)),
        diastolic=_tenths(_mean(_mean(one.diastolic for one in group) for group in groups)),
        pulse=_tenths(_mean(pulses)),
        pulses=len(pulses),
        used=tuple(used),
        left_out=tuple(
            LeftOut(reading=one, reason=why[one.id]) for one in chosen.readings if one.id in why
        ),
        sittings=len(used_in),
        days=len({day_of(protocol, one.effective_at, zone=zone) for one in used}),
        days_measured=chosen.days_measured,
        missing=tuple(_missing(protocol, readings=len(used), days=chosen.days_measured)),
        marks=_marks(used),
    )


def _missing(protocol: Protocol, *, readings: int, days: int) -> Iterable[Missing]:
    if readings < protocol.minimum_readings:
        yield Missing(what=Lack.READINGS, found=readings, needed=protocol.minimum_readings)
    if protocol.minimum_days is not None and days < protocol.minimum_days:
        yield Missing(what=Lack.DAYS, found=days, needed=protocol.minimum_days)


def _marks(used: Iterable[SittingReading]) -> tuple[tuple[str, int], ...]:
    counted = Counter(flag for one in used for flag in set(one.flags))
    return tuple((flag, counted[flag]) for flag in _TELLING if counted[flag])


def _mean(numbers: Iterable[Decimal | Fraction | None]) -> Fraction | None:
    values = [Fraction(number) for number in numbers if number is not None]
    return sum(values, Fraction()) / len(values) if values else None


def _tenths(number: Fraction | None) -> Decimal | None:
    # A tie of the true mean is a tie: a quotient of decimals may have been cut just below it.
    return None if number is None else Decimal(round(number * 10)).scaleb(-1)
