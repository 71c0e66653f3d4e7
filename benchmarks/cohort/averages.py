"""Home blood-pressure averages of a simulated patient, issued as the server's jobs issue them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID, uuid5
from zoneinfo import ZoneInfo

from ingest_service.alerts.history import History
from ingest_service.alerts.rules.average import Issued
from ingest_service.plans.limits import Family, Measure
from ingest_service.plans.plan import Plan
from ingest_service.protocols import library
from ingest_service.protocols.averaging import average
from ingest_service.protocols.issuing import due, next_end
from ingest_service.protocols.protocol import Protocol
from ingest_service.protocols.sittings import Period, SittingReading, bounds, rolling


@dataclass(slots=True, kw_only=True)
class Averages:
    """The rolling averages that one plan's protocols ask for; none is issued twice.

    What comes late after its average was issued does not change it here, as it would on the
    server.
    """

    patient_id: UUID
    zone: ZoneInfo
    protocols: tuple[Protocol, ...]
    issued: dict[str, list[Period]] = field(default_factory=dict[str, list[Period]])

    @classmethod
    def of(cls, plan: Plan) -> Averages:
        """Return what a plan asks for."""
        named = [one.protocol for one in plan.activities if one.protocol is not None]
        found = [protocol for name in named if (protocol := library.newest(name)) is not None]
        return cls(
            patient_id=plan.patient_id, zone=ZoneInfo(plan.time_zone), protocols=tuple(found)
        )

    def next_at(self, at: datetime) -> datetime | None:
        """Return when a day is next over, later than ``at``."""
        ends = (next_end(one, zone=self.zone, at=at, course_start=None) for one in self.protocols)
        return min((end for end in ends if end is not None), default=None)

    def due(self, history: History, at: datetime) -> Iterator[Issued]:
        """Yield what is to be issued at that time."""
        for protocol in self.protocols:
            known = self.issued.setdefault(protocol.id, [])
            readings = self._readings(protocol, history, at)
            period = due(
                protocol,
                readings,
                zone=self.zone,
                at=at,
                course_start=None,
                issued=known,
            )
            if period is None:
                continue
            known.append(period)
            yield Issued(
                observation_id=uuid5(self.patient_id, f"{protocol.id} {period.last_day}"),
                effective_at=bounds(protocol, period, zone=self.zone)[1],
                average=average(protocol, readings, period=period, zone=self.zone),
            )

    def _readings(
        self, protocol: Protocol, history: History, at: datetime
    ) -> list[SittingReading]:
        """Return the pressures of the last days, with each its pulse."""
        today = at.astimezone(self.zone).date()
        since, _ = bounds(protocol, rolling(protocol, last_day=today), zone=self.zone)
        pulses = {
            one.effective_at: one.values[Measure.PULSE]
            for one in history.of(Family.PULSE, since, at)
        }
        return [
            SittingReading(
                id=one.observation_id,
                effective_at=one.effective_at,
                systolic=one.values[Measure.SYSTOLIC],
                diastolic=one.values[Measure.DIASTOLIC],
                pulse=pulses.get(one.effective_at),
                flags=one.flags,
            )
            for one in history.of(Family.BLOOD_PRESSURE, since, at)
        ]
