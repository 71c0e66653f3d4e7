"""Approved plans, short to write; put into the database as a clinician's approval does."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID, uuid5

import msgspec
import psycopg

from ingest_service.plans.limits import Family, Limits, Measure
from ingest_service.plans.plan import Activity, Approval, Missed, OnRed, Plan, Silence, Status
from ingest_service.plans.windows import Window
from tests.support.ingest import UNIT, id_of
from tests.support.services import Database

CLINICIAN: Final = "SE2321000016-1A2B"
_SPACE: Final = UUID("00000000-0000-4000-8000-000000000001")
MORNING: Final = Window(name="morning", start="06:00", end="10:00")
EVENING: Final = Window(name="evening", start="18:00", end="22:00")


def copd(patient_id: UUID | None = None, **changes: Any) -> Plan:
    """Return a plan for SpO2 twice a day: red under 88, at once under 84, yellow under 90."""
    patient = patient_id or id_of("patient-1")
    plan = Plan(
        id=uuid5(_SPACE, str(patient)),
        version=1,
        patient_id=patient,
        care_unit_id=UNIT,
        programme="copd",
        status=Status.ACTIVE,
        since=datetime(2026, 1, 1, tzinfo=UTC),
        approval=Approval(by=CLINICIAN, role="physician", at=datetime(2026, 1, 1, tzinfo=UTC)),
        activities=(Activity(family=Family.SPO2, windows=(MORNING, EVENING)),),
        limits={
            Measure.SPO2: Limits(
                red_low=Decimal(88), yellow_low=Decimal(90), immediate_low=Decimal(84)
            )
        },
        rules=(Missed(), Silence()),
        on_red=OnRed(in_hours="Call the patient.", out_of_hours="Ring 1177, or 112 if worse."),
    )
    return msgspec.structs.replace(plan, **changes)


def put(database: Database, plan: Plan) -> None:
    """Let patients be judged by a plan."""
    with psycopg.connect(database.dsn()) as opened:
        opened.execute(
            "INSERT INTO plan (id, version, patient_id, care_unit_id, programme, status, valid,"
            " template_id, template_version,"
            " approved_by, approved_role, approved_at, written_by, written_at, body)"
            " VALUES (%s, %s, %s, %s, %s, 'active', tstzrange(%s, %s), %s, %s,"
            " %s, 'physician', %s, %s, %s, %s)",
            [
                plan.id,
                plan.version,
                plan.patient_id,
                plan.care_unit_id,
                plan.programme,
                plan.since,
                plan.until,
                plan.template.id if plan.template else None,
                plan.template.version if plan.template else None,
                CLINICIAN,
                plan.since,
                CLINICIAN,
                plan.since,
                msgspec.json.encode(plan).decode(),
            ],
        )
        opened.execute(
            "INSERT INTO patient_clock VALUES (%s, %s, %s)"
            " ON CONFLICT (patient_id) DO UPDATE SET due_at = excluded.due_at",
            [plan.patient_id, plan.since, plan.since],
        )
