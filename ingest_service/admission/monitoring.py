"""Note of every patient with a plan whether what they measure would reach us, and since when.

A change is appended and makes the patient due: rules ``missed``, ``silence`` and ``unmonitored``
then judge by it (A9, A20).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import datetime
from itertools import groupby
from typing import Final
from uuid import UUID

from msgspec import structs

from ingest_service import gateways
from ingest_service.alerts import silence
from ingest_service.alerts.case import Chain
from ingest_service.alerts.silence import Cause, Explanation, Gateway, SilentDevice
from ingest_service.outage.cover import covers
from ingest_service.outage.rules import DEFAULT
from ingest_service.plans.limits import Family
from ingest_service.store import clocks, incidents, patients
from ingest_service.store.clocks import Deadline, Seen, Watched
from ingest_service.store.connections import Connection

#: Tells whether one incident stands for a gateway at present.
Outage = Callable[[str], bool]

# Either gives a pulse beside what it is for.
_FAMILIES: Final[Mapping[str, tuple[Family, ...]]] = {
    "blood_pressure": (Family.BLOOD_PRESSURE, Family.PULSE),
    "pulse_oximetry": (Family.SPO2, Family.PULSE),
}


def chain_of(seen: Seen) -> Chain:
    """Return what was noted as rules see it."""
    return Chain(
        is_whole=seen.is_whole,
        is_outage=seen.is_outage,
        cause=seen.cause,
        broken_since=seen.broken_since,
        changed_at=seen.at,
    )


async def sweep(connection: Connection, *, now: datetime) -> int:
    """Look at every watched device once, and note what changed.

    Args:
        connection: With no transaction open.
        now: The time it is.

    Returns:
        How many patients' families changed.
    """
    async with connection.transaction():
        moved = await _changed(connection, await _look(connection, now))
    if not moved:
        return 0
    async with connection.transaction():
        await patients.lock(connection, {one.patient_id for one in moved})
        changed = await _changed(connection, moved)
        await clocks.note_seen(connection, changed)
        due = sorted({one.patient_id for one in changed})
        rows = [Deadline(patient_id=patient_id, due_at=now) for patient_id in due]
        await clocks.hasten(connection, rows, now=now)
    return len(changed)


async def _look(connection: Connection, now: datetime) -> list[Seen]:
    watched = await clocks.watched(connection, now=now)
    known = await incidents.standing(connection, since=now - DEFAULT.catch_up)

    def outage(gateway_id: str) -> bool:
        return covers(known, gateway_id=gateway_id, at=now)

    standing = {
        shown.standing.gateway_id: shown.gateway
        async for shown in gateways.every(connection, now=now)
    }
    return list(_seen(watched, standing, outage, now))


async def _changed(connection: Connection, found: Collection[Seen]) -> list[Seen]:
    known = {
        (one.patient_id, one.family): one
        for one in await clocks.seen(connection, {one.patient_id for one in found})
    }
    return [
        _after(before, one)
        for one in found
        if _is_change(before := known.get((one.patient_id, one.family)), one)
    ]


def _after(before: Seen | None, one: Seen) -> Seen:
    """Return a change; of what is whole again it says since when it was not."""
    if before is None or before.is_whole or not one.is_whole:
        return one
    return structs.replace(one, broken_since=before.broken_since)


def _seen(
    watched: Iterable[Watched],
    standing: Mapping[str, Gateway],
    outage: Outage,
    now: datetime,
) -> Iterable[Seen]:
    """Yield how each patient's families stand; one device that would be heard is enough."""
    rows = [(one.patient_id, family, one) for one in watched for family in _FAMILIES[one.kind]]
    rows.sort(key=lambda row: (row[0], row[1]))
    for (patient_id, family), group in groupby(rows, key=lambda row: (row[0], row[1])):
        devices = [row[2] for row in group]
        why = [_why(one, standing, now) for one in devices]
        broken = [one for one in why if one.cause is not Cause.DID_NOT_MEASURE]
        is_whole = len(broken) < len(why)
        first = broken[0] if broken and not is_whole else None
        yield Seen(
            patient_id=patient_id,
            family=family,
            at=now,
            is_whole=is_whole,
            is_outage=not is_whole and any(_is_out(one, outage) for one in devices),
            cause=first.cause if first else None,
            broken_since=(first.since or now) if first else None,
        )


def _why(one: Watched, standing: Mapping[str, Gateway], now: datetime) -> Explanation:
    gateway = standing.get(one.gateway_id or "")
    if gateway is None:
        return Explanation(cause=Cause.NEVER_CONNECTED, since=one.assigned_since)
    device = SilentDevice(
        id=one.device_id,
        assigned_since=one.assigned_since,
        last_reading_at=one.last_reading_at,
    )
    return silence.of_device(gateway, device, now=now)[0]


def _is_out(one: Watched, outage: Outage) -> bool:
    return one.gateway_id is not None and outage(one.gateway_id)


def _is_change(known: Seen | None, one: Seen) -> bool:
    if known is None:
        return not one.is_whole
    return (known.is_whole, known.is_outage, known.cause) != (
        one.is_whole,
        one.is_outage,
        one.cause,
    )


def of_patient(seen: Iterable[Seen]) -> dict[UUID, dict[Family, Chain]]:
    """Return what was noted, by patient and family."""
    found: dict[UUID, dict[Family, Chain]] = {}
    for one in seen:
        found.setdefault(one.patient_id, {})[Family(one.family)] = chain_of(one)
    return found
