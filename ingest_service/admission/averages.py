"""Issue averages of home blood pressure, and issue them anew when what they rest on changes (A8).

An average is an Observation of its own: it is written as one, with its versions in the history,
and whoever received it is told of a new version as of any other.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

from device_adapters.contract.readings import BloodPressure
from fhir_mappings.averages import MappedAverage, map_average
from ingest_service.admission import quality, writing
from ingest_service.plans.plan import Activity, Plan
from ingest_service.protocols import issuing, library
from ingest_service.protocols.averaging import Average, average
from ingest_service.protocols.describing import details, digest
from ingest_service.protocols.protocol import Protocol
from ingest_service.protocols.sittings import Period, PeriodKind, SittingReading, bounds
from ingest_service.store import averages, histories, identities, observations, receivers, records
from ingest_service.store.averages import IssuedAverage
from ingest_service.store.connections import Connection
from ingest_service.store.identities import IdentityRow
from ingest_service.store.observations import Change, ObservationRow
from ingest_service.store.patients import Patient
from ingest_service.store.receivers import ChangedObservation

logger = logging.getLogger(__name__)

_BY: Final = "averages"
_DEVICE: Final = ""  # no device measured it
_BACK: Final = timedelta(days=60)
_MOST: Final = 2000


async def issue_due(
    connection: Connection, plan: Plan, patient: Patient, *, now: datetime
) -> list[Average]:
    """Issue what the plan's protocols have completed by now; the patient is locked.

    Returns:
        The averages that were issued for the first time, for the rules.
    """
    made: list[Average] = []
    for activity, protocol in _protocols(plan):
        zone = ZoneInfo(plan.time_zone)
        readings = await _readings(connection, patient.id, now - _BACK, now)
        known = await averages.of(connection, [patient.id], since=(now - _BACK).date())
        issued = [_period(one) for one in known if _is_of(one, protocol)]
        period = issuing.due(
            protocol,
            readings,
            zone=zone,
            at=now,
            course_start=activity.course_start,
            issued=issued,
        )
        if period is None:
            continue
        found = average(protocol, readings, period=period, zone=zone)
        await _put(connection, found, protocol, patient, zone=zone, now=now, known=None)
        made.append(found)
    return made


async def reissue(
    connection: Connection,
    patients: Mapping[UUID, Patient],
    times: Mapping[UUID, Collection[datetime]],
    *,
    now: datetime,
) -> int:
    """Issue anew what rested on readings that came late, were corrected or taken back.

    Args:
        connection: Inside the transaction that changed them; the patients are locked.
        patients: Whose they are.
        times: When the readings were measured, by patient: the old time and the new.
        now: The time it is.

    Returns:
        How many averages got a new version.
    """
    if not times:
        return 0
    since = min(at for each in times.values() for at in each).date() - _BACK
    count = 0
    for known in await averages.of(connection, times, since=since):
        protocol = library.shipped().get((known.protocol_id, known.protocol_version))
        if protocol is None:
            logger.warning(
                "an average's protocol is not known any more",
                extra={"protocol": known.protocol_id, "version": known.protocol_version},
            )
            continue
        count += await _again(
            connection,
            known,
            protocol,
            patient=patients[known.patient_id],
            times=times[known.patient_id],
            now=now,
        )
    return count


async def _again(
    connection: Connection,
    known: IssuedAverage,
    protocol: Protocol,
    *,
    patient: Patient,
    times: Collection[datetime],
    now: datetime,
) -> bool:
    zone = ZoneInfo(known.time_zone)
    period = _period(known)
    if not issuing.touched(protocol, [period], times, zone=zone):
        return False
    begins, over = bounds(protocol, period, zone=zone)
    readings = await _readings(connection, known.patient_id, begins, over)
    found = average(protocol, readings, period=period, zone=zone)
    if digest(found) == known.digest:
        return False
    await _put(connection, found, protocol, patient, zone=zone, now=now, known=known)
    return True


async def _put(
    connection: Connection,
    found: Average,
    protocol: Protocol,
    patient: Patient,
    *,
    zone: ZoneInfo,
    now: datetime,
    known: IssuedAverage | None,
) -> None:
    version = known.version + 1 if known else 1
    mapped = map_average(
        details(found, protocol, patient_id=patient.id, zone=zone), issued=now, version=version
    )
    identity = IdentityRow(
        id=mapped.id,
        record_id=mapped.id,
        effective_at=mapped.effective_at,
        phd_identifier=None,
    )
    if known is None:
        await identities.add(connection, [identity])
    else:
        change = Change(
            record_id=mapped.id,
            attribution=0,
            is_invalid=False,
            ids=(mapped.id,),
            changed_by=_BY,
            reason="a reading that it rests on changed",
        )
        await observations.retire(connection, [change])
    await observations.add(connection, [_row(mapped, patient, now)])
    issued = IssuedAverage(
        id=mapped.id,
        version=version,
        patient_id=patient.id,
        protocol_id=found.protocol_id,
        protocol_version=found.protocol_version,
        kind=found.period.kind,
        first_day=found.period.first_day,
        last_day=found.period.last_day,
        time_zone=zone.key,
        digest=digest(found),
    )
    await averages.put(connection, issued, care_unit_id=patient.care_unit_id, issued_at=now)
    if known is not None:
        told = ChangedObservation(
            observation_id=mapped.id,
            version=version,
            patient_id=patient.id,
            change_id=mapped.id,
        )
        await receivers.must_hear(connection, [told])


def _row(mapped: MappedAverage, patient: Patient, now: datetime) -> ObservationRow:
    return ObservationRow(
        id=mapped.id,
        record_id=mapped.id,
        version=mapped.version,
        care_provider_id=patient.care_provider_id,
        care_unit_id=patient.care_unit_id,
        patient_id=patient.id,
        device_id=_DEVICE,
        code=mapped.code,
        status=mapped.status,
        effective_at=mapped.effective_at,
        time_quality="synchronised",
        value=None,
        systolic=mapped.systolic,
        diastolic=mapped.diastolic,
        is_irregular=False,
        is_doubtful=False,
        may_be_another=False,
        last_updated=now,
        resource=mapped.resource,
    )


async def _readings(
    connection: Connection, patient_id: UUID, since: datetime, until: datetime
) -> list[SittingReading]:
    rows = await histories.pressures(connection, patient_id, since=since, until=until, most=_MOST)
    known = await records.known(connection, {row.record_id for row in rows})
    found: list[SittingReading] = []
    for row in rows:
        stored = known.get(row.record_id)
        record = writing.reading_of(stored) if stored and stored.record else None
        flags = (
            quality.flags_of(
                record,
                is_suspected_double=stored.is_suspected_double,
                may_be_another=stored.may_be_another,
            )
            if stored and record
            else ()
        )
        reading = record.reading if record else None
        found.append(
            SittingReading(
                id=row.id,
                effective_at=row.effective_at,
                systolic=row.systolic,
                diastolic=row.diastolic,
                pulse=_pulse(reading),
                flags=flags,
                is_taken_back=row.is_taken_back,
            )
        )
    return found


def _pulse(reading: object) -> Decimal | None:
    if isinstance(reading, BloodPressure) and isinstance(reading.pulse_per_min, Decimal):
        return reading.pulse_per_min
    return None


def _protocols(plan: Plan) -> Iterable[tuple[Activity, Protocol]]:
    """Yield the plan's activities that are averaged, by the newest version of each protocol."""
    for activity in plan.activities:
        if activity.protocol is not None:
            yield activity, _newest(activity.protocol)


def _newest(protocol_id: str) -> Protocol:
    found = [one for one in library.shipped().values() if one.id == protocol_id]
    return max(found, key=lambda one: one.version)


def _period(one: IssuedAverage) -> Period:
    return Period(kind=PeriodKind(one.kind), first_day=one.first_day, last_day=one.last_day)


def _is_of(one: IssuedAverage, protocol: Protocol) -> bool:
    return (one.protocol_id, one.protocol_version) == (protocol.id, protocol.version)
