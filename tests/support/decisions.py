"""Persons who decide about readings, in the role that may."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final
from uuid import UUID, uuid4

import msgspec
from psycopg import AsyncConnection
from pydantic import BaseModel

from device_adapters.contract.messages import ReadingRecord
from ingest_service.admission import decisions
from ingest_service.admission.decisions import Decided
from ingest_service.admission.revising import Decision
from tests.support.ingest import Home, id_of

ANNA, BO = id_of("patient-1"), id_of("patient-2")
NURSE: Final = "SE2321000016-1003"  # the form of an HSA-id; nobody has it


def by_nurse(why: str = "said by telephone") -> Decision:
    return Decision(change_id=uuid4(), by=NURSE, why=why)


async def decide(
    home: Home, work: Callable[[AsyncConnection[Any]], Awaitable[Decided]]
) -> Decided:
    async with await AsyncConnection.connect(home.database.dsn("hemvital_operator")) as opened:
        return await work(opened)


async def assign(home: Home, patient: UUID = BO, **options: Any) -> Decided:
    [entry] = [row for row in home.rows("quarantine") if row["resolved_at"] is None]
    return await decide(
        home,
        lambda opened: decisions.assign(
            opened, entry["id"], patient, by_nurse(), now=home.now, **options
        ),
    )


async def reassign(home: Home, record: ReadingRecord, patient: UUID = BO) -> Decided:
    return await decide(
        home,
        lambda opened: decisions.reassign(
            opened, record.record_id, patient, by_nurse(), now=home.now
        ),
    )


async def invalidate(home: Home, record: ReadingRecord) -> Decided:
    return await decide(
        home,
        lambda opened: decisions.invalidate(opened, record.record_id, by_nurse(), now=home.now),
    )


def of_patient(home: Home, patient: UUID) -> list[dict[str, Any]]:
    return [row for row in home.rows("observation") if row["patient_id"] == str(patient)]


def checked(model: type[BaseModel], text: str) -> dict[str, Any]:
    """Return a resource, once fhir.resources has found nothing wrong with it."""
    model.model_validate_json(text)
    return msgspec.json.decode(text)
