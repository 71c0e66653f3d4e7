"""A patient's own clock: on which day and in which part of it something was measured.

Rules that look back ask this of the same readings again and again, so it is kept.
"""

from __future__ import annotations

from datetime import date, datetime
from functools import lru_cache

from ingest_service.plans.wall_clock import utc, zone_named
from ingest_service.plans.windows import PartOfDay, part_of_day


@lru_cache(maxsize=1 << 16)
def day_of(zone: str, at: datetime) -> date:
    """Return the date that a place's calendar shows."""
    return utc(at).astimezone(zone_named(zone)).date()


@lru_cache(maxsize=1 << 16)
def part_of(zone: str, at: datetime) -> PartOfDay:
    """Return the part of the day that a place's clock shows."""
    return part_of_day(zone, at)
