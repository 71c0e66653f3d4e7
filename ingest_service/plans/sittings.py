"""Sittings: readings that were taken in one go."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final, TypeVar

from ingest_service.plans.windows import Counts

#: Readings further apart are of two sittings.
GAP: Final = timedelta(minutes=15)

Reading = TypeVar("Reading")


def sittings(
    readings: Iterable[Reading], *, at: Callable[[Reading], datetime], gap: timedelta = GAP
) -> tuple[tuple[Reading, ...], ...]:
    """Return readings in the sittings in which they were taken, both in order of time.

    Args:
        readings: In any order; those of one instant keep theirs.
        at: When a reading was taken.
        gap: How far a reading may lie from the one before it, and be of its sitting.
    """
    found: list[list[Reading]] = []
    for reading in sorted(readings, key=at):
        if found and at(reading) - at(found[-1][-1]) <= gap:
            found[-1].append(reading)
        else:
            found.append([reading])
    return tuple(tuple(sitting) for sitting in found)


def counted(found: Sequence[tuple[Reading, ...]], counts: Counts) -> Sequence[tuple[Reading, ...]]:
    """Return those of one window's sittings that count."""
    match counts:
        case Counts.FIRST:
            return found[:1]
        case Counts.LAST:
            return found[-1:]
        case Counts.ALL:
            return found
