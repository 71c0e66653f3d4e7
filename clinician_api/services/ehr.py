"""What EHR systems ask for; each call is one transaction, the access log's row in it.

At a system's first contact with a patient there is one before it, see `receiving`.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from clinician_api.errors import ForbiddenError, NotFoundError, UnauthenticatedError
from clinician_api.fhir import bundle, scopes
from clinician_api.fhir.cursor import Cursors, Position
from clinician_api.fhir.parameters import CURSOR
from clinician_api.fhir.scopes import Interaction
from clinician_api.fhir.search import Query
from clinician_api.services import receiving
from clinician_api.tokens import Bearer
from device_adapters.contract import messages
from fhir_mappings.identifiers import gateway_resource_id
from fhir_mappings.resources import PatientDetails, gateway_device, measuring_device
from ingest_service.store import access, directory, observation_search
from ingest_service.store.callers import Caller
from ingest_service.store.connections import Connection
from ingest_service.store.observation_search import FoundObservation


async def admit(
    connection: Connection,
    bearer: Bearer,
    resource_type: str,
    interaction: Interaction,
    *,
    trace_id: str,
) -> Caller:
    """Return the caller that a token stands for, if it may do this.

    What a token may do is what it says and what its client is registered for, both.

    Raises:
        UnauthenticatedError: If the client is unknown or revoked.
        ForbiddenError: If token or registration lacks the scope.
    """
    client = await access.client(connection, bearer.client_id)
    if client is None:
        raise UnauthenticatedError("the token's client is not registered")
    for granted in (bearer.scopes, client.scopes):
        if not scopes.allow(granted, resource_type, interaction):
            raise ForbiddenError(f"scope system/{resource_type}.{interaction} is needed for this")
    return Caller(
        actor=client.id,
        kind="system",
        care_unit_ids=tuple(client.care_unit_ids),
        trace_id=trace_id,
    )


async def search(
    connection: Connection, caller: Caller, query: Query, *, cursors: Cursors, fhir_url: str
) -> bytes:
    """Return one page of what matches, or how much does where no rows are wanted.

    Args:
        connection: An open transaction.
        caller: Who asks.
        query: What for.
        cursors: Writes the link to the page after.
        fhir_url: Base of every address in the Bundle.
    """
    address = f"{fhir_url}/Observation"
    self_url = f"{address}?{query.text}"
    if query.count == 0:
        total = await observation_search.count(connection, caller, query.search)
        await access.log(connection, caller, action="count Observation", patient_ids=())
        return bundle.searchset((), self_url=self_url, total=total)
    found = await receiving.received(
        connection,
        caller,
        lambda: observation_search.find(connection, caller, query.search),
        most=query.count,
    )
    rows = found[: query.count]
    next_url = None
    if len(found) > query.count:
        last = Position(applied=query.applied, at=rows[-1].effective_at, row_id=rows[-1].id)
        next_url = f"{address}?{CURSOR}={cursors.write(last)}"
    await access.log(connection, caller, action="search Observation", patient_ids=_patients(rows))
    return bundle.searchset(
        ((f"{address}/{row.id}", row.resource) for row in rows),
        self_url=self_url,
        next_url=next_url,
    )


async def observation(
    connection: Connection, caller: Caller, observation_id: UUID
) -> FoundObservation:
    """Return one observation, or raise `NotFoundError`: also for another unit's."""

    async def read() -> list[FoundObservation]:
        one = await observation_search.read(connection, caller, observation_id)
        return [] if one is None else [one]

    rows = await receiving.received(connection, caller, read, most=1)
    if not rows:
        raise NotFoundError("no such Observation")
    await access.log(
        connection, caller, action="read Observation", patient_ids=(rows[0].patient_id,)
    )
    return rows[0]


async def patient(connection: Connection, caller: Caller, patient_id: UUID) -> PatientDetails:
    """Return one patient, or raise `NotFoundError`: also for another unit's."""
    found = await directory.patient(connection, caller, patient_id)
    if found is None or not await receiving.met(connection, caller, found.id):
        raise NotFoundError("no such Patient")
    await access.log(connection, caller, action="read Patient", patient_ids=(found.id,))
    return found


async def device(connection: Connection, caller: Caller, resource_id: UUID) -> str:
    """Return the resource of a cuff, oximeter or gateway, or raise `NotFoundError`."""
    found = await directory.device(connection, caller, resource_id)
    if found is not None:
        described = messages.Device(
            id=found.id,
            manufacturer=found.manufacturer,
            model=found.model,
            serial=found.serial,
            firmware=found.firmware,
        )
        return measuring_device(described, found.kind, last_updated=found.last_updated)
    for gateway_id in await directory.gateways(connection, caller):
        if gateway_resource_id(gateway_id) == resource_id:
            return gateway_device(gateway_id)
    raise NotFoundError("no such Device")


def _patients(rows: Sequence[FoundObservation]) -> list[UUID]:
    return sorted({row.patient_id for row in rows})
