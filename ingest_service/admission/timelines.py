"""One patient's timeline, read from what is stored: raw records first, derived columns last."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final
from uuid import UUID

import msgspec
from msgspec import structs

from device_adapters.contract.messages import ReadingRecord, TimeQuality, decode_record
from fhir_mappings.observations import MappedObservation
from ingest_service.admission import judging, quality, writing
from ingest_service.admission.judging import Stored
from ingest_service.admission.rejudging import (
    Acted,
    Answered,
    Came,
    Died,
    Happening,
    Left,
    Moved,
    Seen,
    Ticked,
    Timeline,
)
from ingest_service.alerts import life
from ingest_service.alerts.actions import Action, Assign
from ingest_service.alerts.alert import Event
from ingest_service.alerts.case import Chain
from ingest_service.alerts.history import Answer, Attempt, Reading
from ingest_service.plans import hours
from ingest_service.plans.hours import Hours
from ingest_service.plans.limits import FAMILY_OF_CODE, Family
from ingest_service.plans.plan import Plan
from ingest_service.store import plans, timelines
from ingest_service.store.connections import Connection
from ingest_service.store.observations import StoredValue
from ingest_service.store.patients import Patient
from ingest_service.store.timelines import (
    Person,
    StoredAct,
    StoredDeath,
    StoredEvent,
    StoredReading,
    Version,
)

_ACTION: Final = msgspec.json.Decoder(Action)
_DETAIL: Final = msgspec.json.Decoder(dict[str, object])
_VALUES: Final = msgspec.json.Decoder(dict[str, Decimal])
_EVER: Final = datetime.min.replace(tzinfo=UTC)
_BY_GATEWAY: Final = "gateway"  # `corrections`: whoever else makes a version reads it anew


@dataclass(slots=True)
class _Moment:
    """What one transaction stored; both `by` and `why` are of what it took back."""

    judged: list[Reading | Attempt] = field(default_factory=list[Reading | Attempt])
    stored: list[Reading | Attempt] = field(default_factory=list[Reading | Attempt])
    moved: list[Moved] = field(default_factory=list[Moved])
    gone: list[UUID] = field(default_factory=list[UUID])
    by: str = ""
    why: str = ""


async def read(
    connection: Connection, person: Person, events: Sequence[StoredEvent]
) -> tuple[Timeline, int]:
    """Return a patient's timeline, and how many observations' raw records are kept no longer.

    Args:
        connection: Inside a transaction that sees one moment.
        person: Whose.
        events: What was logged of the patient's alerts; of it only what no rule did is used.
    """
    stored = await timelines.readings(connection, person.id, list(FAMILY_OF_CODE))
    acts = await timelines.acts(connection, person.id)
    happenings: list[Happening] = [*came(stored, person), *_persons(acts, events)]
    for row in await timelines.answers(connection, person.id):
        answer = Answer(
            response_id=row.id,
            answered_at=row.answered_at,
            received_at=row.received_at,
            values=_VALUES.decode(row.values),
        )
        happenings.append(Answered(at=row.received_at, answer=answer))
    for sight in await timelines.sights(connection, person.id):
        chain = Chain(
            is_whole=sight.is_whole,
            is_outage=sight.is_outage,
            cause=sight.cause,
            broken_since=sight.broken_since,
            changed_at=sight.at,
        )
        happenings.append(Seen(at=sight.at, family=Family(sight.family), chain=chain))
    happenings += [
        Ticked(at=at, judged_through=since)
        for at, since in await timelines.ticks(connection, person.id)
    ]
    happenings += _deaths(await timelines.deaths(connection, person.id))
    timeline = Timeline(
        patient=_patient(person),
        plans=await _plans(connection, person.id),
        hours=await _hours(connection, person.care_unit_id),
        happenings=happenings,
    )
    return timeline, sum(not row.record for row in stored)


def came(rows: Iterable[StoredReading], person: Person) -> list[Came]:
    """Return what was stored of a patient, one for each transaction."""
    patient = _patient(person)
    moments: dict[datetime, _Moment] = {}
    made: dict[tuple[UUID, int], tuple[ReadingRecord, Mapping[UUID, MappedObservation]]] = {}
    for row in rows:
        key = row.record_id, row.attribution
        if row.record and key not in made:
            made[key] = _made(row, patient)
        _add(moments, row, patient, made.get(key))
    return [
        Came(
            at=at,
            judged=tuple(one.judged),
            stored=tuple(one.stored),
            moved=tuple(one.moved),
            gone=tuple(one.gone),
            by=one.by,
            why=one.why,
        )
        for at, one in moments.items()
    ]


def _patient(person: Person) -> Patient:
    return Patient(person.id, person.care_unit_id, person.care_provider_id)


def _made(
    row: StoredReading, patient: Patient
) -> tuple[ReadingRecord, Mapping[UUID, MappedObservation]]:
    record = decode_record(row.record)
    if not isinstance(record, ReadingRecord):
        raise TypeError(f"record {row.record_id}: not a reading")
    mapped = writing.observations_of(
        record,
        patient,
        gateway_id=row.gateway_id,
        now=row.last_updated,
        attribution=row.attribution,
        may_be_another=row.may_be_another,
    )
    return record, {one.id: one for one in mapped}


def _add(
    moments: dict[datetime, _Moment],
    row: StoredReading,
    patient: Patient,
    made: tuple[ReadingRecord, Mapping[UUID, MappedObservation]] | None,
) -> None:
    """Add each version of an observation, and that it was taken back, to the moment of each."""
    known = [*row.earlier, _current(row)]
    gone_at = (row.invalidated_at or row.last_updated) if row.is_gone else None
    before: Version | None = None
    for version in known:
        if gone_at is not None and version.last_updated >= gone_at:
            break
        moment = moments.setdefault(version.last_updated, _Moment())
        one = judging.input_of(_stored(row, version, patient, made), version.last_updated)
        if before is not None and before.changed_by == _BY_GATEWAY:
            moment.moved.append(
                Moved(observation_id=row.id, code=row.code, before=before.effective_at)
            )
        if one is not None:
            moment.stored.append(one)
            if before is None or before.changed_by == _BY_GATEWAY:
                moment.judged.append(one)
        before = version
    if gone_at is not None and before is not None:
        moment = moments.setdefault(gone_at, _Moment())
        moment.gone.append(row.id)
        moment.by, moment.why = before.changed_by, before.reason


def _current(row: StoredReading) -> Version:
    return Version(
        version=row.version,
        effective_at=row.effective_at,
        last_updated=row.last_updated,
        changed_by="",
        reason="",
        flags=row.flags,
    )


def _stored(
    row: StoredReading,
    version: Version,
    patient: Patient,
    made: tuple[ReadingRecord, Mapping[UUID, MappedObservation]] | None,
) -> Stored:
    """Return one version as it was handed to judging; from the raw record, if it is kept."""
    derived = StoredValue(
        id=row.id,
        record_id=row.record_id,
        patient_id=patient.id,
        code=row.code,
        effective_at=version.effective_at,
        value=row.value,
        systolic=row.systolic,
        diastolic=row.diastolic,
    )
    if made is None:
        flags = version.flags or ()
        return Stored(patient=patient, observation=derived, flags=flags, trace_id="")
    record, mapped = made
    flags = quality.flags_of(
        _timed(record, version, is_current=version.version == row.version),
        is_suspected_double=row.is_suspected_double,
        may_be_another=row.may_be_another,
    )
    if (one := mapped.get(row.id)) is not None:
        derived = replace(derived, value=one.value, systolic=one.systolic, diastolic=one.diastolic)
    return Stored(patient=patient, observation=derived, flags=flags, trace_id=record.trace_id)


def _timed(record: ReadingRecord, version: Version, *, is_current: bool) -> ReadingRecord:
    """Return the record with the time's quality as it was in that version.

    A correction writes the better one over it; what was said before stands in the version.
    """
    if is_current:
        return record
    said = next((each for each in version.flags or () if each.startswith("time_")), None)
    time_quality = TimeQuality(said.removeprefix("time_")) if said else TimeQuality.SYNCHRONISED
    return structs.replace(record, time_quality=time_quality)


def _persons(acts: Iterable[StoredAct], events: Iterable[StoredEvent]) -> Iterator[Happening]:
    """Yield what persons did; what they did to all alerts of a colleague only the log knows."""
    known: set[tuple[UUID, datetime, str]] = set()
    for act in acts:
        known.add((act.alert_id, act.at, act.by))
        action = _ACTION.decode(act.action)
        yield Acted(at=act.at, alert_id=act.alert_id, action=action, by=act.by)
    left: set[Left] = set()
    for event in events:
        detail = _DETAIL.decode(event.detail) if event.detail else {}
        if event.event == Event.UNASSIGNED and detail.get("reason") != life.NOT_FINISHED:
            left.add(
                Left(at=event.at, owner=_text(detail, "owner"), reason=_text(detail, "reason"))
            )
        elif event.event == Event.ASSIGNED and (event.alert_id, event.at, event.by) not in known:
            action = Assign(
                to=_text(detail, "to"),
                reason=_text(detail, "reason"),
                held_by=_text(detail, "from") or None,
            )
            yield Acted(
                at=event.at, alert_id=event.alert_id, action=action, by=event.by, is_in_bulk=True
            )
    yield from left


def _text(detail: Mapping[str, object], name: str) -> str:
    return str(detail.get(name) or "")


def _deaths(rows: Iterable[StoredDeath]) -> Iterator[Happening]:
    for row in rows:
        yield Died(at=row.told_at, by=row.told_by)
        if row.revoked_at is not None:
            yield Died(at=row.revoked_at, by=row.revoked_by or "", is_revoked=True)


async def _plans(connection: Connection, patient_id: UUID) -> list[tuple[datetime, Plan | None]]:
    return [
        (at, (await plans.in_force(connection, [patient_id], at)).get(patient_id))
        for at in await timelines.plan_times(connection, patient_id)
    ]


async def _hours(connection: Connection, care_unit_id: UUID) -> list[tuple[datetime, Hours]]:
    rows = await timelines.hours(connection, care_unit_id)
    own = [(at, hours.decode(body.encode())) for at, body in rows]
    return [(_EVER, plans.DEFAULT_HOURS), *own]
