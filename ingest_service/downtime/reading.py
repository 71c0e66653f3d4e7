"""Read the lists from the database, unit by unit."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from datetime import datetime, timedelta
from typing import Final

from ingest_service.downtime.listing import Limit, Listed, Risk, Value
from ingest_service.plans.limits import FAMILY_OF_CODE
from ingest_service.store import downtime
from ingest_service.store.connections import Connection
from ingest_service.store.downtime import PatientRow, Unit

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
        limits = await downtime.limits(connection, ids, now=now)
        yield (
            unit,
            [
                _listed(
                    row,
                    tuple(
                        Value(
                            code=each.code,
                            measured_at=each.measured_at,
                            value=each.value,
                            systolic=each.systolic,
                            diastolic=each.diastolic,
                        )
                        for each in values.get(row.id, ())
                    ),
                    tuple(
                        Limit(
                            measure=each.measure,
                            red_low=each.red_low,
                            yellow_low=each.yellow_low,
                            yellow_high=each.yellow_high,
                            red_high=each.red_high,
                        )
                        for each in limits.get(row.id, ())
                    ),
                )
                for row in rows
            ],
        )


def _listed(row: PatientRow, values: tuple[Value, ...], limits: tuple[Limit, ...]) -> Listed:
    """Return a patient; what no table holds yet is absent: phone, the plan's risk and words."""
    digits = row.identifier_value
    is_personal = len(digits) == _PERSONAL_NUMBER and digits.isdigit()
    return Listed(
        id=str(row.id),
        name=f"{row.family}, {row.given}",
        number=f"{digits[:8]}-{digits[8:]}" if is_personal else digits,
        phone=None,
        is_protected=row.is_protected,
        programme=row.programme,
        risk=Risk.UNKNOWN,
        alert=row.alert,
        alert_since=row.alert_since,
        values=values,
        limits=limits,
        instruction=None,
    )
