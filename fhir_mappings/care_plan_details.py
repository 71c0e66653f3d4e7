"""What a version of a measurement plan tells, as its mapping to FHIR takes it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Literal
from uuid import UUID

from fhir_mappings.timings import Condition, WindowDetails

Family = Literal["blood_pressure", "pulse", "spo2", "body_weight"]
Measure = Literal["systolic", "diastolic", "pulse", "spo2", "body_weight"]
Status = Literal["draft", "active", "on-hold", "revoked", "completed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitDetails:
    """A care unit, by its HSA-id and name."""

    hsa_id: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalDetails:
    """Who approved, in which role, and when."""

    by: str
    role: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestDetails:
    """What is to be measured; without windows at any time, and never missed."""

    family: Family
    windows: tuple[WindowDetails, ...]
    since: datetime
    protocol: str | None = None
    course_start: date | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetDetails:
    """Where a measure is to lie."""

    measure: Measure
    low: Decimal | None
    high: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitDetails:
    """Limits of a measure in a condition, by name and in the measure's unit.

    Those that hold for a time alone have ``during``, and who set them and why.
    """

    measure: Measure
    condition: Condition
    limits: tuple[tuple[str, Decimal], ...]
    during: tuple[datetime, datetime] | None = None
    by: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseDetails:
    """When nothing is expected, why, and who said so; may have no end."""

    since: datetime
    until: datetime | None
    reason: str
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CarePlanDetails:
    """What a version of a plan tells.

    Attributes:
        status: What it is; ``active`` only if somebody approved it.
        since: From when on the plan holds, over all its versions; ``until`` likewise.
        lead_unit: Which unit leads the patient's care; ``unit`` is the one whose plan it is.
        in_force: When patients were, are or will be judged by this version; ``None`` if never.
        template: Its id and version.
        instructions: What is done on red, in the clinician's words, each with when.
        reason: Why it was stopped or resumed.
        document: The plan as it is stored, to be contained; ``None`` leaves it out.
    """

    id: UUID
    version: int
    patient_id: UUID
    programme: str
    status: Status
    since: datetime
    until: datetime | None
    in_force: tuple[datetime, datetime | None] | None
    lead_unit: UnitDetails
    unit: UnitDetails
    approval: ApprovalDetails | None
    written_by: str
    written_at: datetime
    template: tuple[str, int] | None
    requests: tuple[RequestDetails, ...]
    targets: tuple[TargetDetails, ...]
    limits: tuple[LimitDetails, ...]
    pauses: tuple[PauseDetails, ...]
    instructions: tuple[tuple[str, str], ...]
    reason: str | None = None
    document: bytes | None = None
