"""One patient's averages while their timeline is gone through: issued, and issued anew.

Pure: what `averages` does in the database, from the readings that were known by then.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from uuid import UUID

from fhir_mappings import codes
from ingest_service.admission import averages, pressures
from ingest_service.admission.making import Made, Wanted, period_of
from ingest_service.alerts.history import Attempt, Reading
from ingest_service.plans.limits import Measure
from ingest_service.plans.plan import Plan
from ingest_service.protocols.issuing import due, touched
from ingest_service.protocols.protocol import Protocol
from ingest_service.protocols.sittings import Period, SittingReading, bounds
from ingest_service.store.averages import AverageRow
from ingest_service.store.patients import Patient


@dataclass(frozen=True, slots=True)
class _Issued:
    wanted: Wanted
    row: AverageRow


class Issuance:
    """What was measured of blood pressure, taken back included, and the averages issued of it."""

    def __init__(self, patient: Patient) -> None:
        self._patient = patient
        self._by_id: dict[UUID, SittingReading] = {}
        self._readings: list[SittingReading] = []
        self._issued: list[_Issued] = []

    def take(self, stored: Iterable[Reading | Attempt], gone: Iterable[UUID]) -> list[datetime]:
        """Take in what was stored, and return of which times pressures were taken back."""
        for one in stored:
            self._remove(one.observation_id)
            if isinstance(one, Reading) and (reading := _pressure(one)) is not None:
                self._add(reading)
        times: list[datetime] = []
        for observation_id in gone:
            if (known := self._remove(observation_id)) is not None:
                self._add(replace(known, is_taken_back=True))
                times.append(known.effective_at)
        return times

    def issue(self, plan: Plan, *, now: datetime) -> Iterator[Made]:
        """Issue what a plan's protocols ask for, is due, and was not issued yet."""
        wanted = averages.wanted_by(plan, self._patient)
        for one in sorted(wanted, key=lambda each: (each.protocol.id, each.protocol.version)):
            period = due(
                one.protocol,
                self._of_days(one, averages.reach_of(one, now)),
                zone=one.zone,
                at=now,
                course_start=one.course_start,
                issued=self._periods_by(one.protocol),
            )
            if period is not None:
                made = Made.of(one, period, self._of_days(one, period), version=1, now=now)
                insort(self._issued, _Issued(one, made.row), key=_place)
                yield made

    def reissue(self, times: Collection[datetime], *, now: datetime) -> list[Made]:
        """Make averages anew whose days hold any of these times, and return which changed."""
        amended: list[Made] = []
        if not times:
            return amended
        since = min(times).date() - timedelta(days=1)
        for place in range(bisect_left(self._issued, since, key=_last_day), len(self._issued)):
            wanted, row = self._issued[place].wanted, self._issued[place].row
            period = period_of(row)
            if not touched(wanted.protocol, [period], times, zone=wanted.zone):
                continue
            readings = self._of_days(wanted, period)
            made = Made.of(wanted, period, readings, version=row.version + 1, now=now)
            if made.row.digest != row.digest:
                self._issued[place] = _Issued(wanted, made.row)
                amended.append(made)
        return amended

    def _of_days(self, wanted: Wanted, period: Period) -> list[SittingReading]:
        since, until = bounds(wanted.protocol, period, zone=wanted.zone)
        first, end = (bisect_left(self._readings, at, key=_at) for at in (since, until))
        return self._readings[first:end][-pressures.MOST :]

    def _periods_by(self, protocol: Protocol) -> list[Period]:
        return [period_of(one.row) for one in self._issued if averages.is_by(one.row, protocol)]

    def _add(self, reading: SittingReading) -> None:
        self._by_id[reading.id] = reading
        insort(self._readings, reading, key=_measured)

    def _remove(self, observation_id: UUID) -> SittingReading | None:
        known = self._by_id.pop(observation_id, None)
        if known is not None:
            del self._readings[bisect_left(self._readings, _measured(known), key=_measured)]
        return known


def is_pressure(code: str) -> bool:
    """Tell whether averages are made of what has this code."""
    return code == codes.BLOOD_PRESSURE.code


def _pressure(one: Reading) -> SittingReading | None:
    """Return a reading as averages see it; of its pulse no rule hears."""
    systolic, diastolic = one.values.get(Measure.SYSTOLIC), one.values.get(Measure.DIASTOLIC)
    if not is_pressure(one.code) or systolic is None or diastolic is None:
        return None
    return SittingReading(
        id=one.observation_id,
        effective_at=one.effective_at,
        systolic=systolic,
        diastolic=diastolic,
        flags=one.flags,
    )


def _at(one: SittingReading) -> datetime:
    return one.effective_at


def _measured(one: SittingReading) -> tuple[datetime, UUID]:
    return one.effective_at, one.id


def _last_day(one: _Issued) -> date:
    return one.row.last_day


def _place(one: _Issued) -> tuple[date, UUID]:
    return one.row.last_day, one.row.id
