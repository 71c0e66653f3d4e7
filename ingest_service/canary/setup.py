"""Make the canary known: a unit that is none, a gateway, a device, a patient that is nobody."""

from __future__ import annotations

from datetime import datetime

from fhir_mappings import identifiers
from ingest_service.canary import nobody
from ingest_service.store import canary, registration
from ingest_service.store.connections import Connection
from ingest_service.store.registration import (
    AssignmentRow,
    DeviceRow,
    GatewayRow,
    LimitSetRow,
)

_BY = "hemvital-ingest canary setup"


async def put(connection: Connection, *, now: datetime) -> None:
    """Write all of it in one transaction, as the owner; the same again changes nothing."""
    async with connection.transaction():
        await canary.put_nobody(
            connection,
            provider=nobody.PROVIDER,
            unit=nobody.UNIT,
            patient=nobody.PATIENT,
            hsa_id=nobody.UNIT_HSA_ID,
            name=nobody.NAME,
            identifier=nobody.IDENTIFIER,
        )
        await registration.put_equipment(
            connection,
            [GatewayRow(id=nobody.GATEWAY, care_unit_id=nobody.UNIT)],
            [
                DeviceRow(
                    id=nobody.DEVICE,
                    resource_id=identifiers.device_resource_id(nobody.DEVICE),
                    care_unit_id=nobody.UNIT,
                    kind="pulse_oximetry",
                    manufacturer=None,
                    model=None,
                    serial=None,
                    firmware=None,
                    # In no home: nobody configures it.
                    gateway_id=None,
                )
            ],
        )
        await registration.put_assignments(
            connection,
            [
                AssignmentRow(
                    id=nobody.ASSIGNMENT,
                    device_id=nobody.DEVICE,
                    user_index=None,
                    patient_id=nobody.PATIENT,
                    since=None,
                    until=None,
                    is_own=False,
                    decided_by=_BY,
                )
            ],
        )
        await _put_limits(connection, now)


async def _put_limits(connection: Connection, now: datetime) -> None:
    """Let each reading lie beyond a limit: that it was judged is seen by that alone."""
    await registration.put_limits(
        connection,
        [
            LimitSetRow(
                id=nobody.LIMITS,
                patient_id=nobody.PATIENT,
                measure="spo2",
                red_low=None,
                yellow_low=nobody.YELLOW_LOW,
                yellow_high=None,
                red_high=None,
                since=None,
                until=None,
                approved_by=_BY,
                approved_at=now,
            )
        ],
    )
