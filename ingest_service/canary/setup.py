"""Make the canary known: a unit that is none, a gateway, a device, a patient that is nobody."""

from __future__ import annotations

from datetime import UTC, datetime

from fhir_mappings import identifiers
from ingest_service.canary import nobody
from ingest_service.plans import reading
from ingest_service.plans.limits import Limits, Measure
from ingest_service.plans.plan import Approval, Plan, Status
from ingest_service.store import canary, plans, registration
from ingest_service.store.connections import Connection
from ingest_service.store.plans import PlanRow
from ingest_service.store.registration import AssignmentRow, DeviceRow, GatewayRow

_BY = "hemvital-ingest canary setup"
_SINCE = datetime(2020, 1, 1, tzinfo=UTC)


async def put(connection: Connection) -> None:
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
        await _put_plan(connection)


async def _put_plan(connection: Connection) -> None:
    """Let each reading lie beyond a limit: that it was judged is seen by that alone."""
    if await plans.versions(connection, nobody.PLAN):
        return
    plan = Plan(
        id=nobody.PLAN,
        version=1,
        patient_id=nobody.PATIENT,
        care_unit_id=nobody.UNIT,
        programme="canary",
        status=Status.ACTIVE,
        since=_SINCE,
        approval=Approval(by=_BY, role="none", at=_SINCE),
        limits={Measure.SPO2: Limits(yellow_low=nobody.YELLOW_LOW)},
    )
    row = PlanRow(
        id=plan.id,
        version=plan.version,
        patient_id=plan.patient_id,
        care_unit_id=plan.care_unit_id,
        programme=plan.programme,
        status=plan.status,
        valid_from=plan.since,
        valid_until=None,
        written_by=_BY,
        written_at=_SINCE,
        approved_by=_BY,
        approved_role="none",
        approved_at=_SINCE,
        reason="registered",
        body=reading.encode(plan),
    )
    await plans.add(connection, [row])
