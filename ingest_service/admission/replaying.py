"""Stored records read anew from their bytes, by the codecs and the mapping of this program.

A mended codec or mapping makes new versions of what it reads otherwise, with Provenance, and they
are judged; what it reads alike is left alone, so a replay can be repeated and broken off. Times
and identities were fixed at the gateway and stay.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Final
from uuid import UUID, uuid5

import msgspec
from msgspec import structs

from device_adapters.contract.messages import ReadingRecord
from device_adapters.contract.readings import Reading
from fhir_mappings.observations import MappedObservation
from ingest_service.admission import averages, judging, revising, withdrawing, writing
from ingest_service.admission.revising import Decision, Revision
from ingest_service.admission.screening import impossible
from ingest_service.admission.withdrawing import Gone
from ingest_service.store import alerts, gateways, observations, patients, records
from ingest_service.store.connections import Connection
from ingest_service.store.observations import Current, StoredValue
from ingest_service.store.patients import Patient
from ingest_service.store.records import KnownRecord

#: Reads kept bytes; ``None`` where no installed codec is to be trusted with them.
Decode = Callable[[ReadingRecord], Reading | None]


class _Issued(msgspec.Struct):
    issued: datetime


_ISSUED: Final = msgspec.json.Decoder(_Issued)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Anew:
    """A record as this program reads it, beside what is stored of it."""

    known: KnownRecord
    record: ReadingRecord
    current: Sequence[Current]


async def replay(
    connection: Connection,
    ids: Collection[UUID],
    decode: Decode,
    decision: Decision,
    *,
    now: datetime,
    is_trial: bool = False,
) -> Counter[str]:
    """Read these stored records anew in one transaction.

    Args:
        connection: With no transaction open.
        ids: Record ids.
        decode: Reads a record's kept bytes.
        decision: Who wants it and why; each record's change gets an id of its own.
        now: The time it is.
        is_trial: Change nothing, only count.

    Returns:
        How many records are ``unchanged``, ``changed``, ``unreadable`` (no codec here, or no
        bytes any more) or ``impossible`` (left alone: nobody can have such values).
    """
    counts = Counter[str]()
    async with connection.transaction():
        seen = await records.known(connection, ids)
        if not is_trial:
            gateway_ids = {row.gateway_id for row in seen.values()}
            await gateways.enter(connection, gateway_ids, gateway_ids)
            seen = await records.known(connection, ids)
        wanted = {row.patient_id for row in seen.values()}
        people = await (patients.of if is_trial else patients.lock)(connection, wanted)
        known = await records.known(connection, ids)
        anew = await _changed(connection, known, people, decode, counts)
        if anew and not is_trial:
            await _put(connection, anew, people, decision, now=now)
    return counts


async def _changed(
    connection: Connection,
    known: dict[UUID, KnownRecord],
    people: dict[UUID, Patient],
    decode: Decode,
    counts: Counter[str],
) -> list[_Anew]:
    if not known:
        return []
    stored: dict[UUID, list[Current]] = {}
    for row in await observations.current(connection, known):
        stored.setdefault(row.record_id, []).append(row)
    found: list[_Anew] = []
    for record_id, row in known.items():
        record = writing.reading_of(row) if row.record else None
        reading = decode(record) if record else None
        if record is None or reading is None:
            counts["unreadable"] += 1
            continue
        record = structs.replace(record, reading=reading)
        # What an earlier replay took back is not expected again.
        current = [
            one
            for one in stored.get(record_id, [])
            if row.is_invalid or one.status != "entered-in-error"
        ]
        if impossible(record):
            counts["impossible"] += 1
        elif _reads_alike(row, record, people[row.patient_id], current):
            counts["unchanged"] += 1
        else:
            counts["changed"] += 1
            found.append(_Anew(known=row, record=record, current=current))
    return found


def _reads_alike(
    row: KnownRecord, record: ReadingRecord, patient: Patient, current: Sequence[Current]
) -> bool:
    """Tell whether this program would have written just the texts that are stored."""

    def again(version: int, issued: datetime) -> dict[UUID, str]:
        return {
            one.id: one.resource
            for one in writing.observations_of(
                record,
                patient,
                gateway_id=row.gateway_id,
                now=issued,
                version=version,
                attribution=row.attribution,
                may_be_another=row.may_be_another,
                is_entered_in_error=row.is_invalid,
            )
        }

    if {one.id for one in current} != set(again(1, record.effective_at)):
        return False
    return all(
        again(one.version, _ISSUED.decode(one.resource).issued)[one.id] == one.resource
        for one in current
    )


async def _put(
    connection: Connection,
    anew: Sequence[_Anew],
    people: dict[UUID, Patient],
    decision: Decision,
    *,
    now: datetime,
) -> None:
    revisions = [
        Revision(
            known=one.known,
            record=one.record,
            patient=people[one.known.patient_id],
            decision=replace(
                decision, change_id=uuid5(decision.change_id, str(one.known.record_id))
            ),
            trace_id=one.record.trace_id,
        )
        for one in anew
    ]
    stored = {
        one.observation.id: one for one in await revising.revise(connection, revisions, now=now)
    }
    # Only what says something else is judged again: other words about the same value wake nobody.
    gone: list[Gone] = []
    for one in anew:
        for old in one.current if not one.known.is_invalid else ():
            new = stored.get(old.id)
            if new is not None and _values(new.observation) == _values(old):
                del stored[old.id]
            else:
                gone.append(Gone(old.id, one.known.patient_id, old.code, old.effective_at))
    changed = averages.changed_times(stored.values(), gone)
    await averages.reissue(connection, changed, people, decision, now=now)
    await withdrawing.withdraw(connection, gone, people, decision, now=now)
    await judging.judge(connection, list(stored.values()), now=now)
    await alerts.notify_pages(connection, {patient.care_unit_id for patient in people.values()})


def _values(
    source: MappedObservation | StoredValue | Current,
) -> tuple[Decimal | None, Decimal | None, Decimal | None]:
    return source.value, source.systolic, source.diastolic
