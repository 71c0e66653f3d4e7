"""Readings as a table of days writes them, and what an average is expected to be."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5
from zoneinfo import ZoneInfo

import msgspec

from ingest_service.protocols.averaging import Average, average
from ingest_service.protocols.library import shipped
from ingest_service.protocols.protocol import Protocol
from ingest_service.protocols.sittings import Period, SittingReading, course, rolling

STOCKHOLM = ZoneInfo("Europe/Stockholm")
_VECTORS = Path(__file__).parents[3] / "vectors" / "clinical"
_NAMES = UUID("00000000-0000-4000-8000-0000000000aa")

Days = Mapping[str, Iterable[str]]


class Vector(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """An average worked by hand from what its source says.

    ``days`` are readings by the home's day: clock time, pressure, pulse (optional, ``p70``) and
    flags. ``working`` is the sum as it was done.
    """

    id: str
    source: str
    protocol: str
    course: date | None = None
    rolling: date | None = None
    days: dict[str, list[str]]
    working: str
    expected: dict[str, Any]


def vectors() -> list[Vector]:
    """Return the averages worked by hand."""
    text = (_VECTORS / "averages.json").read_bytes()
    return msgspec.json.decode(text, type=list[Vector])


def protocol(name: str, **changes: Any) -> Protocol:
    """Return a shipped protocol, or one that differs from it."""
    found = shipped()[name, 1]
    return msgspec.structs.replace(found, **changes) if changes else found


def reading(
    at: str, written: str, *, zone: ZoneInfo = STOCKHOLM, **changes: Any
) -> SittingReading:
    """Return a reading: ``"150/95 p70 irregular_pulse"`` at a time on the home's clock."""
    pressure, *rest = written.split()
    systolic, diastolic = pressure.split("/")
    pulses = [Decimal(word[1:]) for word in rest if word[0] == "p" and word[1:].isdigit()]
    given: dict[str, Any] = {
        "id": uuid5(_NAMES, at),
        "effective_at": datetime.fromisoformat(at).replace(tzinfo=zone),
        "systolic": Decimal(systolic),
        "diastolic": Decimal(diastolic),
        "pulse": pulses[0] if pulses else None,
        "flags": tuple(word for word in rest if not word[1:].isdigit() and word != "taken_back"),
        "is_taken_back": "taken_back" in rest,
    }
    return SittingReading(**(given | changes))


def readings(days: Days, *, zone: ZoneInfo = STOCKHOLM) -> list[SittingReading]:
    """Return the readings of a table of days."""
    return [
        reading(f"{day}T{at}", written, zone=zone)
        for day, lines in days.items()
        for at, _, written in (line.partition(" ") for line in lines)
    ]


def same_days(first: str, lines: Iterable[str], *, count: int) -> dict[str, list[str]]:
    """Return the same readings on each of some days from the first on."""
    begin, of_day = date.fromisoformat(first), list(lines)
    return {str(begin + timedelta(days=day)): of_day for day in range(count)}


def period(
    of: Protocol, *, course_start: date | None = None, last_day: date | None = None
) -> Period:
    """Return a course's period or a rolling one."""
    if course_start is not None:
        return course(of, start=course_start)
    if last_day is None:
        raise ValueError("neither a course nor a last day")
    return rolling(of, last_day=last_day)


def course_average(of: Protocol, days: Days, start: str) -> Average:
    """Return the average of a course that begins on a day."""
    return average(
        of, readings(days), period=course(of, start=date.fromisoformat(start)), zone=STOCKHOLM
    )


def reasons(found: Average) -> dict[str, int]:
    """Return how many readings were left out for which reason."""
    counted: dict[str, int] = {}
    for one in found.left_out:
        counted[one.reason.value] = counted.get(one.reason.value, 0) + 1
    return counted
