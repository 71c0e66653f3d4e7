"""Issue averages as Observations, and issue them again when a reading of their days changed."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Final
from uuid import UUID, uuid4, uuid5
from zoneinfo import ZoneInfo

import msgspec

from device_adapters.contract.messages import TimeQuality
from fhir_mappings import codes
from fhir_mappings.averages import MappedAverage, map_average
from fhir_mappings.provenance import Versioned
from ingest_service.admission import pressures
from ingest_service.admission.judging import Stored
from ingest_service.admission.revising import Decision, provenance_row
from ingest_service.admission.withdrawing import Gone
from ingest_service.protocols.averaging import Average, average
from ingest_service.protocols.describing import details, digest
from ingest_service.protocols.issuing import due, touched
from ingest_service.protocols.protocol import Protocol, ProtocolError, parse
from ingest_service.protocols.selection import IRREGULAR
from ingest_service.protocols.sittings import Period, PeriodKind, course, rolling
from ingest_service.store import averages, identities, observations, provenance, receivers
from ingest_service.store.averages import AverageRow
from ingest_service.store.connections import Connection
from ingest_service.store.identities import IdentityRow
from ingest_service.store.observations import Change, ObservationRow
from ingest_service.store.patients import Patient
from ingest_service.store.receivers import ChangedObservation

_DAY: Final = timedelta(days=1)
_BY: Final = "ingest"
_CAME_LATER: Final = "A reading of its days came later, or got a better time."


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Whose average by which protocol is issued when it is due; ``zone`` is the home's.

    Without ``course_start`` it is the rolling one.
    """

    patient: Patient
    protocol: Protocol
    zone: ZoneInfo
    course_start: date | None = None


async def issue(
    connection: Connection, wanted: Collection[Wanted], *, now: datetime
) -> list[AverageRow]:
    """Issue those averages that are due and were not issued yet; done again it does nothing.

    Args:
        connection: Inside a transaction that holds the patients' locks.
        wanted: What the patients' plans ask for.
        now: The time it is.

    Raises:
        ProtocolError: If averages were issued by another document of this id and version.
    """
    # In one order everywhere: a document that is kept for the first time makes others wait.
    ordered = sorted(
        wanted, key=lambda one: (one.protocol.id, one.protocol.version, one.patient.id)
    )
    return [row for one in ordered if (row := await _issue(connection, one, now))]


def changed_times(
    stored: Iterable[Stored] = (), gone: Iterable[Gone] = ()
) -> dict[UUID, list[datetime]]:
    """Return by patient of which times blood pressures came, changed or were taken back."""
    changed: dict[UUID, list[datetime]] = {}
    for one in stored:
        if one.observation.code == codes.BLOOD_PRESSURE.code:
            changed.setdefault(one.patient.id, []).append(one.observation.effective_at)
    for one in gone:
        if one.code == codes.BLOOD_PRESSURE.code:
            changed.setdefault(one.patient_id, []).append(one.effective_at)
    return changed


async def reissue(
    connection: Connection,
    changed: Mapping[UUID, Collection[datetime]],
    patients: Mapping[UUID, Patient],
    decision: Decision | None = None,
    *,
    now: datetime,
) -> list[AverageRow]:
    """Make averages anew in which readings changed; what stays the same gets no new version.

    Args:
        connection: Inside the transaction that stored or changed the readings, with the patients
            locked from its beginning.
        changed: As `changed_times` gives them: of a corrected time the old and the new.
        patients: All of those patients.
        decision: Who changed them and why; without it, readings came later or moved.
        now: The time it is.
    """
    times = [at for of_patient in changed.values() for at in of_patient]
    if not times:
        return []
    decision = decision or Decision(change_id=uuid4(), by=_BY, why=_CAME_LATER)
    rows = await averages.of(
        connection, changed.keys(), since=min(times).date() - _DAY, until=max(times).date() + _DAY
    )
    amended: list[AverageRow] = []
    for row in rows:
        protocol = await _kept(connection, row)
        zone = ZoneInfo(row.zone)
        if not touched(protocol, [_period(row)], changed[row.patient_id], zone=zone):
            continue
        again = Wanted(patient=patients[row.patient_id], protocol=protocol, zone=zone)
        if after := await _amend(connection, row, again, decision, now):
            amended.append(after)
    return amended


async def _issue(connection: Connection, wanted: Wanted, now: datetime) -> AverageRow | None:
    protocol, zone, start = wanted.protocol, wanted.zone, wanted.course_start
    today = now.astimezone(zone).date()
    # A rolling one that ends further back than it reaches is news to nobody.
    reach = (
        course(protocol, start=start)
        if start
        else replace(rolling(protocol, last_day=today), first_day=today - 2 * protocol.days * _DAY)
    )
    known = await averages.of(
        connection, [wanted.patient.id], since=reach.first_day, until=reach.last_day
    )
    period = due(
        protocol,
        await pressures.of_days(connection, wanted.patient.id, protocol, reach, zone=zone),
        zone=zone,
        at=now,
        course_start=start,
        issued=[_period(row) for row in known if _is_by(row, protocol)],
    )
    if period is None:
        return None
    await _keep(connection, protocol)
    readings = await pressures.of_days(connection, wanted.patient.id, protocol, period, zone=zone)
    found = average(protocol, readings, period=period, zone=zone)
    mapped = _mapped(found, wanted, now, version=1)
    row = AverageRow(
        id=mapped.id,
        patient_id=wanted.patient.id,
        protocol_id=protocol.id,
        protocol_version=protocol.version,
        kind=period.kind,
        first_day=period.first_day,
        last_day=period.last_day,
        zone=zone.key,
        version=1,
        digest=digest(found),
        issued_at=now,
    )
    await identities.add(connection, [_identity(mapped)])
    await observations.add(connection, [_observation(mapped, found, wanted.patient, now)])
    await averages.add(connection, [row])
    return row


async def _amend(
    connection: Connection, row: AverageRow, again: Wanted, decision: Decision, now: datetime
) -> AverageRow | None:
    period = _period(row)
    readings = await pressures.of_days(
        connection, row.patient_id, again.protocol, period, zone=again.zone
    )
    found = average(again.protocol, readings, period=period, zone=again.zone)
    if digest(found) == row.digest:
        return None
    after = msgspec.structs.replace(
        row, version=row.version + 1, digest=digest(found), issued_at=now
    )
    mapped = _mapped(found, again, now, version=after.version)
    # A change tells of each average by an id of its own: of the reading it tells by its.
    own = replace(decision, change_id=uuid5(decision.change_id, str(row.id)))
    await observations.retire(
        connection,
        [
            Change(
                record_id=row.id,
                attribution=0,
                is_invalid=False,
                ids=(row.id,),
                changed_by=decision.by,
                reason=decision.why,
            )
        ],
    )
    await identities.put(connection, [_identity(mapped)])
    await observations.add(connection, [_observation(mapped, found, again.patient, now)])
    await averages.amend(connection, after)
    told = provenance_row(
        row.id,
        again.patient,
        "correction",
        [Versioned(row.id, after.version)],
        own,
        now=now,
        revised=[row.id],
    )
    await provenance.add(connection, [told])
    news = ChangedObservation(
        observation_id=row.id,
        version=after.version,
        patient_id=row.patient_id,
        change_id=own.change_id,
    )
    await receivers.must_hear(connection, [news])
    return after


async def _keep(connection: Connection, protocol: Protocol) -> None:
    """Keep the document, or find that the one that is kept says the same but for its texts."""
    document = msgspec.json.encode(protocol)
    kept = _parsed(
        await averages.keep_protocol(connection, protocol.id, protocol.version, document),
        protocol.id,
        protocol.version,
    )
    texts = ("title", "source", "source_status", "source_note")
    same_texts = {name: getattr(protocol, name) for name in texts}
    if msgspec.structs.replace(kept, **same_texts) != protocol:
        raise ProtocolError(
            f"{protocol.id}: version {protocol.version} says something else than when averages "
            "were first issued by it; give it a higher version"
        )


async def _kept(connection: Connection, row: AverageRow) -> Protocol:
    document = await averages.protocol(connection, row.protocol_id, row.protocol_version)
    return _parsed(document, row.protocol_id, row.protocol_version)


def _parsed(document: bytes, protocol_id: str, version: int) -> Protocol:
    return parse(document, name=f"kept protocol {protocol_id}, version {version}")


def _is_by(row: AverageRow, protocol: Protocol) -> bool:
    return (row.protocol_id, row.protocol_version) == (protocol.id, protocol.version)


def _period(row: AverageRow) -> Period:
    return Period(kind=PeriodKind(row.kind), first_day=row.first_day, last_day=row.last_day)


def _mapped(found: Average, wanted: Wanted, now: datetime, *, version: int) -> MappedAverage:
    told = details(found, wanted.protocol, patient_id=wanted.patient.id, zone=wanted.zone)
    return map_average(told, issued=now, version=version)


def _identity(mapped: MappedAverage) -> IdentityRow:
    # No device record has this id: it stands for one wherever an observation must have one.
    return IdentityRow(
        id=mapped.id, record_id=mapped.id, effective_at=mapped.effective_at, phd_identifier=None
    )


def _observation(
    mapped: MappedAverage, found: Average, patient: Patient, now: datetime
) -> ObservationRow:
    marks = dict(found.marks)
    return ObservationRow(
        id=mapped.id,
        record_id=mapped.id,
        version=mapped.version,
        care_provider_id=patient.care_provider_id,
        care_unit_id=patient.care_unit_id,
        patient_id=patient.id,
        device_id="",  # none measured it
        code=mapped.code,
        status=mapped.status,
        effective_at=mapped.effective_at,
        time_quality=TimeQuality.SYNCHRONISED,
        value=None,
        systolic=mapped.systolic,
        diastolic=mapped.diastolic,
        is_irregular=IRREGULAR in marks,
        is_doubtful=False,
        may_be_another="may_be_another" in marks,
        last_updated=now,
        resource=mapped.resource,
    )
