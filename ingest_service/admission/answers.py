"""The door for a patient's answers: stored, and judged in the same transaction."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from fhir_mappings import questionnaire_responses
from ingest_service.admission import cases
from ingest_service.alerts import engine, lookback
from ingest_service.alerts.alert import Evidence
from ingest_service.alerts.history import Answer
from ingest_service.store import alerts, answers, patients
from ingest_service.store.answers import AnswersRow
from ingest_service.store.connections import Connection

logger = logging.getLogger(__name__)

_BACK: Final = timedelta(days=30)
# What stands in an alert that answers could not be judged, in the place of a question.
_CODE: Final = "questionnaire_response"


class UnknownPatientError(ValueError):
    """Nobody with that id is registered."""


async def admit(
    connection: Connection,
    patient_id: UUID,
    resource: bytes,
    *,
    entered_by: str | None = None,
    now: datetime,
) -> bool:
    """Store a QuestionnaireResponse and judge it; the same one again changes nothing.

    Args:
        connection: With no transaction open.
        patient_id: Whose answers they are.
        resource: The FHIR resource as it was written.
        entered_by: HSA-id of who typed it in for the patient, if somebody did.
        now: The time it is.

    Returns:
        Whether it is new.

    Raises:
        QuestionnaireResponseError: If it cannot be taken.
        UnknownPatientError: If there is no such patient.
    """
    given = questionnaire_responses.read(resource)
    async with connection.transaction():
        locked = await patients.lock(connection, [patient_id])
        if patient_id not in locked:
            raise UnknownPatientError(f"no patient {patient_id} is registered")
        patient = locked[patient_id]
        row = AnswersRow(
            id=given.id,
            patient_id=patient_id,
            care_unit_id=patient.care_unit_id,
            questionnaire=given.questionnaire,
            answered_at=given.answered_at,
            received_at=now,
            values=given.values,
            entered_by=entered_by,
            resource=resource.decode(),
        )
        if not await answers.add(connection, row):
            return False
        loaded = await cases.load_for_acting(connection, locked, now=now)
        case = loaded[patient_id]
        for past in await answers.since(connection, [patient_id], given.answered_at - _BACK):
            case.history.add(cases.answer_of(past))
        one = Answer(
            response_id=given.id,
            answered_at=given.answered_at,
            received_at=now,
            values=given.values,
        )
        if since := lookback.since(case, one):
            await cases.look_back(connection, loaded, {patient_id: since}, now=now)
        try:
            engine.take_answer(case, one, now=now)
        except Exception:  # the answers are stored, and a person must look
            logger.exception("could not judge answers")
            evidence = Evidence(
                observation_id=given.id, code=_CODE, effective_at=given.answered_at
            )
            engine.could_not_judge(case, evidence, now=now)
        await cases.write(connection, [case], locked, now=now)
        await alerts.notify_pages(connection, {patient.care_unit_id})
    return True
