"""Read the lists from the database, unit by unit."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from ingest_service.downtime.listing import Limit, Listed, Risk, Value
from ingest_service.plans import plan as plan_document
from ingest_service.plans.limits import FAMILY_OF_CODE
from ingest_service.plans.plan import Plan
from ingest_service.store import downtime, plans
from ingest_service.store.connections import Connection
from ingest_service.store.downtime import PatientRow, Unit, ValueRow

_RISKS: Final[Mapping[plan_document.Risk, Risk]] = {
    plan_document.Risk.HIGH: Risk.HIGH,
    plan_document.Risk.MEDIUM: Risk.MEDIUM,
    plan_document.Risk.LOW: Risk.LOW,
}
_PERSONAL_NUMBER: Final = 12
_BACK: Final = timedelta(days=365)
_AHEAD: Final = timedelta(days=1)  # a gateway's clock may run ahead of ours


async def lists(
    connection: Connection, *, now: datetime
) -> AsyncGenerator[tuple[Unit, Sequence[Listed]]]:
    """Yield each care unit that has patients, with them, in one transaction's view of things."""
    for unit in await downtime.units(connection):
        rows = await downtime.patients(connection, unit.id)
        if not rows:
            continue
        ids = [row.id for row in rows]
        values = await downtime.values(
            connection, ids, list(FAMILY_OF_CODE), since=now - _BACK, until=now + _AHEAD
        )
        in_force = await plans.in_force(connection, ids, now)
        yield (
            unit,
            [_listed(row, values.get(row.id, ()), in_force.get(row.id), now) for row in rows],
        )


def _listed(
    row: PatientRow, values: Sequence[ValueRow], plan: Plan | None, now: datetime
) -> Listed:
    """Return a patient; their phone no table holds yet, so it is absent."""
    digits = row.identifier_value
    is_personal = len(digits) == _PERSONAL_NUMBER and digits.isdigit()
    on_red = plan.on_red if plan else None
    return Listed(
        id=str(row.id),
        name=f"{row.family}, {row.given}",
        number=f"{digits[:8]}-{digits[8:]}" if is_personal else digits,
        phone=None,
        is_protected=row.is_protected,
        programme=row.programme,
        risk=_RISKS[plan.risk] if plan else Risk.UNKNOWN,
        alert=row.alert,
        alert_since=row.alert_since,
        values=tuple(
            Value(
                code=each.code,
                measured_at=each.measured_at,
                value=each.value,
                systolic=each.systolic,
                diastolic=each.diastolic,
            )
            for each in values
        ),
        limits=tuple(_limits(plan, now)),
        instruction=on_red.in_hours if on_red else None,
    )


def _limits(plan: Plan | None, now: datetime) -> Iterator[Limit]:
    for measure, limits in sorted(plan.limits_at(now).items()) if plan else ():
        yield Limit(
            measure=measure,
            red_low=limits.red_low,
            yellow_low=limits.yellow_low,
            yellow_high=limits.yellow_high,
            red_high=limits.red_high,
        )
