"""Hand readings out only to a receiver that will hear when they are taken back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final
from uuid import UUID

from clinician_api.errors import UnsettledError
from ingest_service.store import receivers
from ingest_service.store.callers import Caller
from ingest_service.store.connections import Connection
from ingest_service.store.observation_search import FoundObservation

_MOST_READS: Final = 10  # the second is the last, but where new patients come in between


async def received(
    connection: Connection,
    caller: Caller,
    read: Callable[[], Awaitable[Sequence[FoundObservation]]],
    *,
    most: int,
) -> Sequence[FoundObservation]:
    """Return what is read, once the caller is known to receive of every patient in it.

    A change that is committed between the caller's first read and its being known would not find
    it. So a first contact is committed by itself, which waits for changes under way, and then
    everything is read anew: a page costs that twice, the first time only (docs/adr/0020).

    Args:
        connection: With a transaction open; where a first contact is written, that one is
            committed and the returned rows are of another.
        caller: Who receives.
        read: Reads, each time anew.
        most: Only this many of the rows are handed out.

    Raises:
        UnsettledError: If each time there are patients that are new to the caller.
    """
    known = set[UUID]()
    for _ in range(_MOST_READS):
        found = await read()
        handed_out = found[:most]
        new = {row.patient_id for row in handed_out if row.is_contact_fresh is None} - known
        if not new:
            await _hand_out(connection, caller, handed_out)
            return found
        # Not met is a patient whose record was destroyed meanwhile: the next read is without.
        if await receivers.meet(connection, caller, new):
            known |= new
        await connection.commit()
    raise UnsettledError("what matches keeps changing: try again")


async def met(connection: Connection, caller: Caller, patient_id: UUID) -> bool:
    """Note that the caller receives a patient's details.

    Returns:
        Whether there still is such a patient.
    """
    if await receivers.unmet(connection, caller, [patient_id]):
        return await receivers.meet(connection, caller, [patient_id])
    await receivers.see(connection, caller, [patient_id])
    return True


async def _hand_out(
    connection: Connection, caller: Caller, rows: Sequence[FoundObservation]
) -> None:
    if stale := {row.patient_id for row in rows if row.is_contact_fresh is False}:
        await receivers.see(connection, caller, stale)
    if news := [(row.id, row.version) for row in rows if row.is_news]:
        await receivers.told(connection, caller.actor, news)
