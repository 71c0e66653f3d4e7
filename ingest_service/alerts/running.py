"""Let a case live through what was measured: the same engine, one input after the other.

For whoever asks what a plan would do or would have done: an outsider's evaluation, the replay of a
proposed plan. Averages are issued when their days are over, as in production.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import groupby
from typing import Final
from uuid import UUID, uuid5
from zoneinfo import ZoneInfo

from ingest_service.alerts import engine
from ingest_service.alerts.case import Case
from ingest_service.alerts.engine import Input
from ingest_service.alerts.history import Reading
from ingest_service.alerts.rules.average import Issued
from ingest_service.plans.limits import Family, Measure
from ingest_service.protocols.averaging import Average, average
from ingest_service.protocols.issuing import due, next_end
from ingest_service.protocols.protocol import Protocol
from ingest_service.protocols.sittings import Period, SittingReading

_SPACE: Final = UUID("5b7b2f0a-8d0e-5f57-9a44-3c1f5d0c7e21")


@dataclass(slots=True, kw_only=True)
class _Course:
    """A protocol that the plan asks for, and what was issued of it."""

    protocol: Protocol
    zone: ZoneInfo
    start: date | None
    issued: dict[Period, Average]
    next_at: datetime | None


def run(
    case: Case,
    inputs: Iterable[Input],
    *,
    until: datetime,
    protocol_of: Callable[[str], Protocol | None] = lambda _: None,
) -> list[Average]:
    """Apply inputs in the order in which they were received, and time up to ``until``.

    Args:
        case: Changes; without readings yet. What came of it stands in its changes and alerts.
        inputs: Those received after ``until`` are left out.
        until: The time it is at the end.
        protocol_of: The newest version of a protocol by its id.

    Returns:
        The averages that were issued, oldest first.
    """
    ordered = sorted(
        (each for each in inputs if each.received_at <= until), key=lambda one: one.received_at
    )
    courses = _courses(case, protocol_of)
    for at, group in groupby(ordered, key=lambda one: one.received_at):
        _pass_time(case, courses, at)
        engine.advance(case, at)
        engine.take_batch(case, list(group), now=at)
    _pass_time(case, courses, until)
    engine.advance(case, until)
    found = [each for one in courses for each in one.issued.values()]
    return sorted(found, key=lambda each: (each.period.last_day, each.protocol_id))


def _courses(case: Case, protocol_of: Callable[[str], Protocol | None]) -> list[_Course]:
    found: list[_Course] = []
    for activity in case.plan.activities if case.plan else ():
        protocol = protocol_of(activity.protocol) if activity.protocol else None
        if protocol is None or case.plan is None:
            continue
        found.append(
            _Course(
                protocol=protocol,
                zone=ZoneInfo(case.plan.time_zone),
                start=activity.course_start,
                issued={},
                next_at=next_end(
                    protocol,
                    zone=ZoneInfo(case.plan.time_zone),
                    at=case.judged_through,
                    course_start=activity.course_start,
                ),
            )
        )
    return found


def _pass_time(case: Case, courses: list[_Course], until: datetime) -> None:
    """Issue what is due up to a time, each at its own."""
    while waiting := [each for each in courses if each.next_at and each.next_at <= until]:
        one = min(waiting, key=lambda each: each.next_at or until)
        at = one.next_at or until
        _issue(case, one, at)
        one.next_at = next_end(one.protocol, zone=one.zone, at=at, course_start=one.start)
        if one.next_at is not None and one.next_at <= at:
            one.next_at = None


def _issue(case: Case, one: _Course, at: datetime) -> None:
    readings = list(_pressures(case, at))
    period = due(
        one.protocol,
        readings,
        zone=one.zone,
        at=at,
        course_start=one.start,
        issued=one.issued.keys(),
    )
    if period is None:
        return
    made = average(one.protocol, readings, period=period, zone=one.zone)
    one.issued[period] = made
    engine.advance(case, at)
    identity = f"{case.patient_id}|{one.protocol.id}|{period.kind}|{period.first_day}"
    issued = Issued(
        observation_id=uuid5(_SPACE, f"{identity}|{period.last_day}"),
        effective_at=made.used[-1].effective_at if made.used else at,
        average=made,
    )
    engine.take_average(case, issued, now=at)


def _pressures(case: Case, until: datetime) -> Iterable[SittingReading]:
    since = until - timedelta(days=40)
    pulses = case.history.of(Family.PULSE, since, until)
    for reading in case.history.of(Family.BLOOD_PRESSURE, since, until):
        systolic = reading.values.get(Measure.SYSTOLIC)
        diastolic = reading.values.get(Measure.DIASTOLIC)
        if systolic is None or diastolic is None:
            continue
        yield SittingReading(
            id=reading.observation_id,
            effective_at=reading.effective_at,
            systolic=systolic,
            diastolic=diastolic,
            pulse=_pulse_beside(reading, pulses),
            flags=reading.flags,
        )


def _pulse_beside(reading: Reading, pulses: Iterable[Reading]) -> Decimal | None:
    return next(
        (p.values.get(Measure.PULSE) for p in pulses if p.effective_at == reading.effective_at),
        None,
    )
