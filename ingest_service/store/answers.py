"""Patients' answers to questionnaires."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final
from uuid import UUID

import msgspec

from ingest_service.store.connections import Connection

_ADD: Final = """
INSERT INTO questionnaire_response (id, patient_id, care_unit_id, questionnaire, answered_at,
       received_at, answers, entered_by, resource)
VALUES (%(id)s, %(patient_id)s, %(care_unit_id)s, %(questionnaire)s, %(answered_at)s,
        %(received_at)s, %(answers)s, %(entered_by)s, %(resource)s)
    ON CONFLICT (id) DO NOTHING
RETURNING id
"""

_SINCE: Final = """
SELECT id, patient_id, answered_at, received_at, answers::text
  FROM questionnaire_response
 WHERE patient_id = ANY(%(patients)s) AND answered_at >= %(since)s
 ORDER BY patient_id, answered_at, id
"""

_VALUES: Final = msgspec.json.Decoder(dict[str, Decimal])


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswersRow:
    """One questionnaire answered; ``resource`` is its FHIR text as written."""

    id: UUID
    patient_id: UUID
    care_unit_id: UUID
    questionnaire: str
    answered_at: datetime
    received_at: datetime
    values: dict[str, Decimal]
    entered_by: str | None
    resource: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PastAnswers:
    """Answers as rules look back on them."""

    id: UUID
    patient_id: UUID
    answered_at: datetime
    received_at: datetime
    values: dict[str, Decimal]


async def add(connection: Connection, row: AnswersRow) -> bool:
    """Store answers, and tell whether they are new: their id decides."""
    cursor = await connection.execute(
        _ADD,
        {
            "id": row.id,
            "patient_id": row.patient_id,
            "care_unit_id": row.care_unit_id,
            "questionnaire": row.questionnaire,
            "answered_at": row.answered_at,
            "received_at": row.received_at,
            "answers": msgspec.json.encode(row.values).decode(),
            "entered_by": row.entered_by,
            "resource": row.resource,
        },
    )
    return await cursor.fetchone() is not None


async def since(
    connection: Connection, patients: Collection[UUID], at: datetime
) -> list[PastAnswers]:
    """Return what these patients answered since then, oldest first."""
    cursor = await connection.execute(_SINCE, {"patients": list(patients), "since": at})
    return [
        PastAnswers(
            id=row[0],
            patient_id=row[1],
            answered_at=row[2],
            received_at=row[3],
            values=_VALUES.decode(row[4]),
        )
        for row in await cursor.fetchall()
    ]
