"""Plans with every rule that judges readings, approved for a region's patients."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final
from uuid import UUID, uuid5

import msgspec
import psycopg

from ingest_service.plans.limits import Family, Limits, Measure
from ingest_service.plans.plan import (
    Activity,
    Approval,
    Baseline,
    ChangeOverDays,
    FailedAttempts,
    Missed,
    OnRed,
    Plan,
    Side,
    Silence,
    Status,
    Sustained,
    Symptom,
)
from ingest_service.plans.windows import Window

SINCE: Final = datetime(2016, 1, 1, tzinfo=UTC)
_NAMESPACE: Final = UUID("0f5f6d61-6f0b-4c8e-9e63-4a7a1f0f6b52")
_BY: Final = "SE0000000000-BP"
_WINDOWS: Final = (
    Window(name="morning", start="06:00", end="10:00"),
    Window(name="evening", start="18:00", end="22:00"),
)

_PUT: Final = """
INSERT INTO plan (id, version, patient_id, care_unit_id, programme, status, valid, approved_by,
       approved_role, approved_at, written_by, written_at, body)
VALUES (%(id)s, 1, %(patient)s, %(unit)s, 'bench-full', 'active', tstzrange(%(since)s, NULL),
        %(by)s, 'physician', %(since)s, %(by)s, %(since)s, %(body)s)
"""


def full_copd(patient_id: UUID, care_unit_id: UUID) -> Plan:
    """Return a plan for COPD and blood pressure that uses every rule about readings.

    Its limits are a clinician's for a patient with COPD at home: saturation red under 88, yellow
    under 90.
    """
    return Plan(
        id=uuid5(_NAMESPACE, str(patient_id)),
        version=1,
        patient_id=patient_id,
        care_unit_id=care_unit_id,
        programme="bench-full",
        status=Status.ACTIVE,
        since=SINCE,
        approval=Approval(by=_BY, role="physician", at=SINCE),
        activities=tuple(
            Activity(family=family, windows=_WINDOWS)
            for family in (Family.SPO2, Family.BLOOD_PRESSURE)
        ),
        limits={
            Measure.SYSTOLIC: _limits(red_low=85, yellow_low=95, yellow_high=150, red_high=180),
            Measure.DIASTOLIC: _limits(yellow_high=95, red_high=110),
            Measure.PULSE: _limits(red_low=40, yellow_high=110, red_high=130),
            Measure.SPO2: _limits(red_low=88, yellow_low=90, immediate_low=84),
        },
        rules=(
            Sustained(id="low", measure=Measure.SPO2, side=Side.LOW, count=3, of=5),
            Sustained(id="high", measure=Measure.SYSTOLIC, side=Side.HIGH, count=3, of=5),
            Baseline(id="usual", measure=Measure.SPO2, side=Side.LOW, distance=Decimal(4)),
            ChangeOverDays(id="weight", measure=Measure.BODY_WEIGHT, days=3, rise=Decimal(2)),
            Symptom(id="breath", question="breath", at_least=Decimal(3), beyond=Measure.SPO2),
            FailedAttempts(),
            Missed(),
            Silence(),
        ),
        on_red=OnRed(in_hours="-", out_of_hours="-"),
    )


@contextmanager
def in_force(dsn: str, patients: Iterable[tuple[UUID, UUID]]) -> Generator[None]:
    """Let these patients be judged by full plans and nobody else by any; then as it was.

    Args:
        dsn: As the owner.
        patients: Patient and care unit.
    """
    with psycopg.connect(dsn, autocommit=True) as owner:
        owner.execute("CREATE TABLE plan_before AS TABLE plan")
        owner.execute("DELETE FROM plan")
        try:
            _put(owner, patients)
            yield
        finally:
            owner.execute("DELETE FROM plan")
            owner.execute("INSERT INTO plan SELECT * FROM plan_before")
            owner.execute("DROP TABLE plan_before")


def _put(owner: psycopg.Connection, patients: Iterable[tuple[UUID, UUID]]) -> None:
    with owner.cursor() as cursor:
        cursor.executemany(
            _PUT,
            [
                {
                    "id": plan.id,
                    "patient": patient_id,
                    "unit": unit_id,
                    "since": SINCE,
                    "by": _BY,
                    "body": msgspec.json.encode(plan).decode(),
                }
                for patient_id, unit_id in patients
                for plan in [full_copd(patient_id, unit_id)]
            ],
        )
        cursor.execute("ANALYZE plan")


def _limits(**bounds: int) -> Limits:
    return msgspec.convert(
        {name: str(number) for name, number in bounds.items()}, Limits, strict=False
    )
