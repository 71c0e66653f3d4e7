"""A measurement plan: what a clinician approved for one patient in one programme.

Shaped as FHIR's CarePlan (the plan) and ServiceRequest (its activities): field names are theirs
where they have one. A plan is immutable: a change is a new version, approved anew. Nothing is
judged by a plan that nobody approved (A19). Where a patient is in two programmes, their plans are
merged into one before anything is judged (`merging.merged`).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

import msgspec

from ingest_service.plans.limits import Family, Level, Limits, Measure
from ingest_service.plans.windows import Condition, Window


class Status(StrEnum):
    """FHIR request-status, as far as plans use it; only an active one is judged by."""

    DRAFT = "draft"
    ACTIVE = "active"
    ON_HOLD = "on-hold"
    REVOKED = "revoked"
    COMPLETED = "completed"


class Risk(StrEnum):
    """How soon silence is dangerous, as the clinician judges it."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


class Side(StrEnum):
    """Which side of a limit is meant."""

    LOW = "low"
    HIGH = "high"


class YellowReading(StrEnum):
    """What a single yellow reading does."""

    ALERTS = "alerts"
    CONFIRMED = "confirmed"  # alerts when a second one follows
    SHOWN = "shown"  # only sustained, average and other rules alert


class Approval(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who approved: a clinician's HSA-id, their role, and when."""

    by: str
    role: str
    at: datetime


class TemplateUse(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The template that a plan came from, and its version."""

    id: str
    version: int


class Oxygen(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """Oxygen at home; ``is_used`` of None is "not stated", and then no scale is assumed (A13)."""

    is_used: bool | None = None
    litres_per_min: Decimal | None = None


class Activity(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """What is to be measured and in which windows (a ServiceRequest).

    Without windows it may be measured at any time and is never missed. ``protocol`` names a home
    blood-pressure protocol by id; with ``course_start`` its average is of the days from then on,
    once, else of the last days, each day anew.
    """

    family: Family
    windows: tuple[Window, ...] = ()
    protocol: str | None = None
    course_start: date | None = None


class Usual(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """The patient's usual range of a measure, as a clinician states it, for a part of the day.

    ``part_of_day`` is night, morning, day or evening; without it the whole day is meant.
    """

    measure: Measure
    low: Decimal
    high: Decimal
    part_of_day: str | None = None


class TemporaryLimits(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """Other limits for a time; they return by themselves (A17)."""

    measure: Measure
    limits: Limits
    since: datetime
    until: datetime
    by: str
    reason: str


class Pause(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """Nothing is expected meanwhile; what is measured all the same is judged. May be open-ended."""

    since: datetime
    reason: str
    by: str
    until: datetime | None = None


class Confirm(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """How a value beyond limits is confirmed by measuring again (A4).

    A red that is not beyond the immediate limit waits ``within_min`` minutes for a second value;
    without one it is red all the same. Zero minutes: no confirmation is asked for.
    """

    within_min: int = 15
    yellow: YellowReading = YellowReading.ALERTS


class OnRed(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """What to do on red, in the clinician's own words; out of hours it must be stated (A12)."""

    in_hours: str
    out_of_hours: str
    tell_patient: bool = True
    tell_kin: bool = False


class Sustained(msgspec.Struct, tag="sustained", frozen=True, kw_only=True, omit_defaults=True):
    """Beyond a limit on ``count`` of the last ``of`` readings or days with readings.

    Without ``limit`` the yellow limit of that side is meant.
    """

    id: str
    measure: Measure
    side: Side
    count: int
    of: int
    unit: str = "days"  # or "readings"
    limit: Decimal | None = None
    level: Level = Level.YELLOW


class Baseline(msgspec.Struct, tag="baseline", frozen=True, kw_only=True, omit_defaults=True):
    """Further than ``distance`` from the patient's own usual, ``count`` readings in a row.

    The usual is what the plan states, else the median of ``days`` days with at least ``fewest``
    readings in the same part of the day.
    """

    id: str
    measure: Measure
    side: Side
    distance: Decimal
    count: int = 2
    days: int = 28
    fewest: int = 10
    is_by_part_of_day: bool = True
    level: Level = Level.YELLOW


class AverageAbove(msgspec.Struct, tag="average", frozen=True, kw_only=True, omit_defaults=True):
    """The protocol's average beyond limits of its own."""

    id: str
    limits: Mapping[Measure, Limits]


class ChangeOverDays(msgspec.Struct, tag="change", frozen=True, kw_only=True, omit_defaults=True):
    """A rise or a fall of at least so much over so many days; for weight, never for SpO2 (A14)."""

    id: str
    measure: Measure
    days: int
    rise: Decimal | None = None
    fall: Decimal | None = None
    level: Level = Level.YELLOW


class Symptom(msgspec.Struct, tag="symptom", frozen=True, kw_only=True, omit_defaults=True):
    """An answer at or beyond ``at_least``, or risen by ``rise`` since the one before.

    With ``beyond`` only together with a value of that measure beyond its yellow limit within
    ``within_h`` hours before or after.
    """

    id: str
    question: str
    at_least: Decimal | None = None
    rise: Decimal | None = None
    beyond: Measure | None = None
    within_h: int = 12
    level: Level = Level.YELLOW


class FailedAttempts(
    msgspec.Struct, tag="attempts", frozen=True, kw_only=True, omit_defaults=True
):
    """So many failed attempts in a window without a valid one (A3); red with a bad symptom."""

    id: str = "attempts"
    count: int = 3
    within_min: int = 30
    level: Level = Level.YELLOW


class Missed(msgspec.Struct, tag="missed", frozen=True, kw_only=True, omit_defaults=True):
    """``count`` of the last ``of`` windows without a valid reading; one reminds the patient."""

    id: str = "missed"
    count: int = 2
    of: int = 3
    is_reminding: bool = True
    level: Level = Level.BLUE


class Silence(msgspec.Struct, tag="silence", frozen=True, kw_only=True, omit_defaults=True):
    """No valid reading for so long; the plan's risk says how soon it is clinical (A9).

    ``red_on_trend``: red already at ``yellow_after_h`` where a yellow or red was open or the last
    values fell.
    """

    id: str = "silence"
    yellow_after_h: int = 24
    red_after_h: int | None = 48
    red_on_trend: bool = True


RuleSettings = (
    Sustained
    | Baseline
    | AverageAbove
    | ChangeOverDays
    | Symptom
    | FailedAttempts
    | Missed
    | Silence
)


class Plan(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """One version of a patient's plan in one programme.

    ``limits`` hold at rest; ``limits_when`` in another condition. A reading in a condition that
    has no limits of its own is judged by the immediate limits at rest alone (A14).
    """

    id: UUID
    version: int
    patient_id: UUID
    care_unit_id: UUID
    programme: str
    status: Status
    since: datetime
    until: datetime | None = None
    approval: Approval | None = None
    template: TemplateUse | None = None
    time_zone: str = "Europe/Stockholm"
    risk: Risk = Risk.MEDIUM
    facts: Mapping[str, bool] = {}
    oxygen: Oxygen = Oxygen()
    activities: tuple[Activity, ...] = ()
    limits: Mapping[Measure, Limits] = {}
    limits_when: Mapping[Condition, Mapping[Measure, Limits]] = {}
    temporary: tuple[TemporaryLimits, ...] = ()
    usual: tuple[Usual, ...] = ()
    confirm: Mapping[Family, Confirm] = {}
    rules: tuple[RuleSettings, ...] = ()
    on_red: OnRed | None = None
    pauses: tuple[Pause, ...] = ()
    language: str = "sv"
    kin_language: str | None = None

    def is_in_force(self, at: datetime) -> bool:
        """Tell whether patients are judged by it: active, approved and within its time."""
        return (
            self.status is Status.ACTIVE
            and self.approval is not None
            and self.since <= at
            and (self.until is None or at < self.until)
        )

    def is_paused(self, at: datetime) -> bool:
        """Tell whether nothing is expected at that time."""
        return any(
            pause.since <= at and (pause.until is None or at < pause.until)
            for pause in self.pauses
        )

    def limits_at(
        self, at: datetime, condition: Condition = Condition.REST
    ) -> dict[Measure, Limits]:
        """Return the limits in force at that time, temporary ones in the place of their own."""
        if condition is Condition.REST:
            found = dict(self.limits)
        elif condition in self.limits_when:
            found = dict(self.limits_when[condition])
        else:
            found = {measure: limits.immediate_only() for measure, limits in self.limits.items()}
        if condition is Condition.REST:
            for one in self.temporary:
                if one.since <= at < one.until:
                    found[one.measure] = one.limits
        return found

    def confirm_of(self, family: Family) -> Confirm:
        """Return how values of that family are confirmed."""
        return self.confirm.get(family, Confirm())
