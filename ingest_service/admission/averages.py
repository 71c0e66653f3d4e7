"""Issue averages as Observations, and issue them again when a reading of their days changed."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID, uuid4, uuid5
from zoneinfo import ZoneInfo

import msgspec

from fhir_mappings import codes
from fhir_mappings.provenance import Versioned
from ingest_service.admission import cases, pressures
from ingest_service.admission.judging import Stored
from ingest_service.admission.making import Made, Wanted, period_of
from ingest_service.admission.revising import Decision, provenance_row
from ingest_service.admission.withdrawing import Gone
from ingest_service.alerts import engine
from ingest_service.alerts.case import Case
from ingest_service.alerts.rules.average import Issued
from ingest_service.plans.plan import Plan
from ingest_service.protocols import library
from ingest_service.protocols.issuing import due, touched
from ingest_service.protocols.protocol import Protocol, ProtocolError, parse
from ingest_service.protocols.sittings import Period, course, rolling
from ingest_service.store import averages, identities, observations, provenance, receivers
from ingest_service.store.averages import AverageRow
from ingest_service.store.connections import Connection
from ingest_service.store.observations import Change
from ingest_service.store.patients import Patient
from ingest_service.store.provenance import ProvenanceRow
from ingest_service.store.receivers import ChangedObservation

logger = logging.getLogger(__name__)

_DAY: Final = timedelta(days=1)
_BY: Final = "ingest"
_CAME_LATER: Final = "A reading of its days came later, or got a better time."


def wanted_by(plan: Plan, patient: Patient) -> Iterator[Wanted]:
    """Yield what a plan's protocols ask for, each by its newest version."""
    for activity in plan.activities:
        if activity.protocol is None:
            continue
        protocol = library.newest(activity.protocol)
        if protocol is None:
            logger.warning(
                "a plan names a protocol that is not known", extra={"protocol": activity.protocol}
            )
            continue
        yield Wanted(
            patient=patient,
            protocol=protocol,
            zone=ZoneInfo(plan.time_zone),
            course_start=activity.course_start,
        )


def reach_of(wanted: Wanted, now: datetime) -> Period:
    """Return the days in which the readings lie that decide what is due."""
    protocol, start = wanted.protocol, wanted.course_start
    if start:
        return course(protocol, start=start)
    today = now.astimezone(wanted.zone).date()
    # A rolling one that ends further back than it reaches is news to nobody.
    return replace(rolling(protocol, last_day=today), first_day=today - 2 * protocol.days * _DAY)


async def issue(
    connection: Connection, wanted: Collection[Wanted], *, now: datetime
) -> list[Made]:
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
    return [made for one in ordered if (made := await _issue(connection, one, now))]


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

    A constant number of statements, however many they are.

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
    kept = await _kept(connection, rows)
    again = [
        (row, wanted)
        for row in rows
        if (wanted := _again(row, kept, patients, changed[row.patient_id]))
    ]
    readings = await pressures.of_days(
        connection, [wanted.days(period_of(row)) for row, wanted in again]
    )
    made = [
        Made.of(wanted, period_of(row), of_row, version=row.version + 1, now=now)
        for (row, wanted), of_row in zip(again, readings, strict=True)
    ]
    before = {row.id: row.digest for row, _ in again}
    amended = [one for one in made if one.row.digest != before[one.row.id]]
    if amended:
        await _amend(connection, amended, decision, now=now)
        await _judge(connection, amended, now)
    return [one.row for one in amended]


async def _judge(connection: Connection, amended: Sequence[Made], now: datetime) -> None:
    concerned = {one.patient.id: one.patient for one in amended}
    loaded = await cases.load(connection, concerned, now=now)
    for one in amended:
        take(loaded[one.patient.id], one, now=now)
    await cases.write(connection, loaded.values(), concerned, now=now)


def take(case: Case, made: Made, *, now: datetime) -> None:
    """Judge an average that was issued, for the first time or anew."""
    issued = Issued(
        observation_id=made.row.id, effective_at=made.mapped.effective_at, average=made.found
    )
    engine.take_average(case, issued, now=now)


def _again(
    row: AverageRow,
    kept: Mapping[tuple[str, int], Protocol],
    patients: Mapping[UUID, Patient],
    times: Collection[datetime],
) -> Wanted | None:
    """Return what an issued average is made by, if any of these times lies in its days."""
    protocol, zone = kept[row.protocol_id, row.protocol_version], ZoneInfo(row.zone)
    if not touched(protocol, [period_of(row)], times, zone=zone):
        return None
    return Wanted(patient=patients[row.patient_id], protocol=protocol, zone=zone)


async def _amend(
    connection: Connection, amended: Sequence[Made], decision: Decision, *, now: datetime
) -> None:
    """Put new versions in the place of the issued ones, with Provenance and news."""
    changes: list[Change] = []
    told: list[ProvenanceRow] = []
    news: list[ChangedObservation] = []
    for one in amended:
        row = one.row
        # A change tells of each average by an id of its own: of the reading it tells by its.
        own = replace(decision, change_id=uuid5(decision.change_id, str(row.id)))
        changes.append(
            Change(
                record_id=row.id,
                attribution=0,
                is_invalid=False,
                ids=(row.id,),
                changed_by=own.by,
                reason=own.why,
            )
        )
        targets = [Versioned(row.id, row.version)]
        told.append(
            provenance_row(
                row.id, one.patient, "correction", targets, own, now=now, revised=[row.id]
            )
        )
        news.append(
            ChangedObservation(
                observation_id=row.id,
                version=row.version,
                patient_id=row.patient_id,
                change_id=own.change_id,
            )
        )
    await observations.retire(connection, changes)
    await identities.put(connection, [one.identity for one in amended])
    await observations.add(connection, [one.observation for one in amended])
    await averages.amend(connection, [one.row for one in amended])
    await provenance.add(connection, told)
    await receivers.must_hear(connection, news)


async def _issue(connection: Connection, wanted: Wanted, now: datetime) -> Made | None:
    protocol, reach = wanted.protocol, reach_of(wanted, now)
    known = await averages.of(
        connection, [wanted.patient.id], since=reach.first_day, until=reach.last_day
    )
    [near] = await pressures.of_days(connection, [wanted.days(reach)])
    period = due(
        protocol,
        near,
        zone=wanted.zone,
        at=now,
        course_start=wanted.course_start,
        issued=[period_of(row) for row in known if is_by(row, protocol)],
    )
    if period is None:
        return None
    await _keep(connection, protocol)
    [readings] = await pressures.of_days(connection, [wanted.days(period)])
    made = Made.of(wanted, period, readings, version=1, now=now)
    await identities.add(connection, [made.identity])
    await observations.add(connection, [made.observation])
    await averages.add(connection, [made.row])
    return made


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


async def _kept(
    connection: Connection, rows: Iterable[AverageRow]
) -> dict[tuple[str, int], Protocol]:
    """Return the protocols that these were made by, as they were then."""
    wanted = {(row.protocol_id, row.protocol_version) for row in rows}
    if not wanted:
        return {}
    documents = await averages.protocols(connection, wanted)
    return {key: _parsed(document, *key) for key, document in documents.items()}


def _parsed(document: bytes, protocol_id: str, version: int) -> Protocol:
    return parse(document, name=f"kept protocol {protocol_id}, version {version}")


def is_by(row: AverageRow, protocol: Protocol) -> bool:
    """Tell whether an average was issued by this protocol in this version."""
    return (row.protocol_id, row.protocol_version) == (protocol.id, protocol.version)
