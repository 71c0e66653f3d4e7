"""Measurement plans as documents, short to write down, and written past every check."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID, uuid4

import psycopg

SINCE: Final = "2020-01-01T00:00:00Z"
CLINICIAN: Final = "SE2321000016-0042"

_FAMILY: Final = {"systolic": "blood_pressure", "diastolic": "blood_pressure"}


def document(
    patient_id: UUID,
    unit_id: UUID,
    limits: Mapping[str, Mapping[str, Any]],
    **given: Any,
) -> dict[str, Any]:
    """Return an approved plan with these limits, of which single readings alert.

    Whatever else is given stands in the place of what would be there: ``confirm={}`` asks for a
    second value as plans do by themselves.
    """
    families = sorted({_FAMILY.get(measure, measure) for measure in limits})
    return {
        "id": str(uuid4()),
        "version": 1,
        "patient_id": str(patient_id),
        "care_unit_id": str(unit_id),
        "programme": "limits",
        "status": "active",
        "since": SINCE,
        "approval": {"by": CLINICIAN, "role": "physician", "at": SINCE},
        "activities": [{"family": family} for family in families],
        "limits": limits,
        "confirm": {family: {"within_min": 0} for family in families},
        "on_red": {"in_hours": "Call.", "out_of_hours": "1177; 112 if short of breath."},
        **given,
    }


def write(dsn: str, plan: Mapping[str, Any]) -> None:
    """Write it as the owner, right or wrong; in force if it is active."""
    is_active = plan["status"] == "active"
    approval: dict[str, Any] = plan.get("approval") or {}
    template: dict[str, Any] = plan.get("template") or {}
    with psycopg.connect(dsn) as connection:
        connection.execute(
            "INSERT INTO plan (id, version, patient_id, care_unit_id, programme, status, valid,"
            " template_id, template_version, approved_by, approved_role, approved_at, written_by,"
            " written_at, body) VALUES (%s, %s, %s, %s, %s, %s,"
            " CASE WHEN %s THEN tstzrange(%s, %s) ELSE 'empty' END, %s, %s, %s, %s, %s, %s, %s,"
            " %s)",
            [
                plan["id"],
                plan["version"],
                plan["patient_id"],
                plan["care_unit_id"],
                plan["programme"],
                plan["status"],
                is_active,
                plan["since"],
                plan.get("until"),
                template.get("id"),
                template.get("version"),
                approval.get("by"),
                approval.get("role"),
                approval.get("at"),
                approval.get("by") or "somebody",
                approval.get("at") or plan["since"],
                json.dumps(plan),
            ],
        )
