"""Devices that somebody else had before: what their memory may still hold waits (A15).

A cuff that comes back keeps its records, and one whose battery was out has lost the time of
them. So what was measured before the device changed hands and read afterwards waits, and in the
first session of its new home everything whose time nobody can vouch for. The session is over
half an hour after the device was first heard of, and not before a person has dealt with all that
waits of it: a transfer that broke off may go on another day.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from device_adapters.contract.messages import ReadingRecord, TimeQuality
from ingest_service.store.assignments import Assignment, Assignments, resolve

FIRST_SESSION: Final = timedelta(minutes=30)

_UNVOUCHED: Final = (TimeQuality.ESTIMATED, TimeQuality.UNKNOWN)


def objection(
    record: ReadingRecord,
    found: Assignment,
    of_device: Sequence[Assignment],
    *,
    is_draining: bool,
) -> str | None:
    """Return why the reading cannot be taken for the patient it falls to, if it cannot.

    Args:
        record: What was read.
        found: The assignment that it falls under.
        of_device: All of its device's.
        is_draining: Readings of the device's first session still wait.
    """
    others = [one for one in of_device if _is_anothers(one, found)]
    if not others:
        return None
    received_at = record.reception.received_at
    is_known_when = record.reception.is_clock_synchronised
    if any(
        one.since is not None
        and record.effective_at < one.since
        and (one.since <= received_at or not is_known_when)
        for one in others
    ):
        return "measured before the device changed hands and read afterwards"
    if record.time_quality not in _UNVOUCHED or not _came_before(others, found):
        return None
    first = found.first_received_at
    if first is None or received_at < first + FIRST_SESSION or is_draining:
        return f"time {record.time_quality}, in the first session since the device changed hands"
    return None


def first_heard(
    records: Iterable[tuple[ReadingRecord, int | None]],
    assignments: Assignments,
    *,
    now: datetime,
) -> dict[UUID, datetime]:
    """Return of each changed hand when its device was first heard of, where that is news.

    Args:
        records: What was read, and in which user slot.
        assignments: All of these devices'.
        now: The time it is, which stands in for a gateway's clock that is not set or ahead.
    """
    news: dict[UUID, datetime] = {}
    for record, slot in records:
        of_device = assignments.get(record.device.id, ())
        if len(of_device) < 2:  # noqa: PLR2004 nobody had it before
            continue
        found = resolve(assignments, record.device.id, slot, record.effective_at)
        if found is None or found.first_received_at is not None:
            continue
        if _came_before([one for one in of_device if _is_anothers(one, found)], found):
            is_known_when = record.reception.is_clock_synchronised
            at = min(record.reception.received_at, now) if is_known_when else now
            news[found.id] = min(at, news.get(found.id, at))
    return news


def _is_anothers(one: Assignment, found: Assignment) -> bool:
    return one.patient_id != found.patient_id and one.shares_slot_with(found)


def _came_before(others: Sequence[Assignment], found: Assignment) -> bool:
    return found.since is not None and any(
        one.since is None or one.since < found.since for one in others
    )
