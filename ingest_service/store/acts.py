"""What persons did to alerts, under the id that each action was given where it was made."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from psycopg.rows import args_row

from ingest_service.store.connections import Connection

_KNOWN: Final = """
SELECT id, alert_id, patient_id, care_unit_id, by, at, action::text, became_id
  FROM alert_action
 WHERE id = %s
"""

_ADD: Final = """
INSERT INTO alert_action (id, alert_id, patient_id, care_unit_id, by, at, action, became_id)
VALUES (%(id)s, %(alert_id)s, %(patient_id)s, %(care_unit_id)s, %(by)s, %(at)s, %(action)s,
        %(became_id)s)
    ON CONFLICT (id) DO NOTHING
"""


@dataclass(frozen=True, slots=True)
class Act:
    """One action: on which alert, by whom from which unit, as JSON text, and what it became.

    ``became_id`` is another alert where one was opened again by joining it.
    """

    id: UUID
    alert_id: UUID
    patient_id: UUID
    care_unit_id: UUID
    by: str
    at: datetime
    action: str
    became_id: UUID


async def known(connection: Connection, action_id: UUID) -> Act | None:
    """Return the action that was done under this id; the patient is locked."""
    async with connection.cursor(row_factory=args_row(Act)) as cursor:
        await cursor.execute(_KNOWN, [action_id])
        return await cursor.fetchone()


async def add(connection: Connection, act: Act) -> bool:
    """Append an action; tells whether its id was still free."""
    values = {
        "id": act.id,
        "alert_id": act.alert_id,
        "patient_id": act.patient_id,
        "care_unit_id": act.care_unit_id,
        "by": act.by,
        "at": act.at,
        "action": act.action,
        "became_id": act.became_id,
    }
    return (await connection.execute(_ADD, values)).rowcount == 1
