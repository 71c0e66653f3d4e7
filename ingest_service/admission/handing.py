"""Backup units as cases know them, and what is opened by them for a time (A11)."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime
from uuid import UUID

from ingest_service.alerts.backup import Agreement, When
from ingest_service.alerts.case import Case
from ingest_service.store import backups
from ingest_service.store.backups import GrantRow
from ingest_service.store.connections import Connection


async def agreements_of(
    connection: Connection, units: Collection[UUID], *, now: datetime
) -> dict[UUID, tuple[Agreement, ...]]:
    """Return each unit's agreements with its backup units; a unit without one is left out."""
    found: dict[UUID, tuple[Agreement, ...]] = {}
    for row in await backups.of_units(connection, units, at=now):
        agreement = Agreement(
            id=row.id,
            backup_unit_id=row.backup_unit_id,
            when=When(row.occasion),
            since=row.since,
            until=row.until,
            right_h=row.right_h,
        )
        found[row.care_unit_id] = (*found.get(row.care_unit_id, ()), agreement)
    return found


async def open_to_backups(connection: Connection, cases: Iterable[Case]) -> None:
    """Write to which backup unit alerts were handed, in the transaction that hands them over."""
    rows = [
        GrantRow(
            agreement_id=one.agreement_id,
            alert_id=one.alert_id,
            patient_id=case.patient_id,
            care_unit_id=case.care_unit_id,
            backup_unit_id=one.backup_unit_id,
            since=one.since,
            until=one.until,
            reason=one.when,
        )
        for case in cases
        for one in case.handovers
    ]
    await backups.open_to(connection, rows)
