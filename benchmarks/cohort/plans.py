"""The patients' plans, as the server's plan documents are written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID, uuid5

from benchmarks.cohort.parameters import Parameters
from benchmarks.cohort.patients import Patient
from benchmarks.cohort.plain import exact

#: A placeholder: nobody approves limits of people who do not exist.
APPROVER: Final = "SE2321000016-0000"
UNIT: Final = UUID("3d0a6c6e-3f5e-5f43-b3c8-0c6c6f4a7d10")


def plan(parameters: Parameters, patient: Patient) -> Mapping[str, Any]:
    """Return a patient's plan: windows, limits, risk and oxygen; no rules beyond limits."""
    programme = parameters.programmes[patient.programme]
    oxygen = {} if programme.oxygen is None else {"oxygen": {"is_used": programme.oxygen}}
    return {
        "id": str(uuid5(patient.id, "plan")),
        "version": 1,
        "patient_id": str(patient.id),
        "care_unit_id": str(UNIT),
        "programme": patient.programme,
        "status": "active",
        "since": patient.since.isoformat(),
        "until": patient.until.isoformat(),
        "approval": {"by": APPROVER, "role": "physician", "at": patient.since.isoformat()},
        "time_zone": parameters.time_zone,
        "risk": programme.risk,
        **oxygen,
        "activities": [
            {
                "family": activity.family,
                "windows": [
                    {
                        "name": window.name,
                        "start": window.start,
                        "end": window.end,
                        **({"weekdays": list(window.weekdays)} if window.weekdays else {}),
                    }
                    for window in activity.windows
                ],
            }
            for activity in programme.activities
        ],
        "limits": {
            measure: {side: str(value) for side, value in sides.items()}
            for measure, sides in exact(patient.limits).items()
        },
    }
