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
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

from ingest_service.plans.limits import Family, Level, Limits, Measure
from ingest_service.plans.windows import Condition, PartOfDay, Window

Name = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_-]{0,39}$")]
Who = Annotated[str, Meta(min_length=1, max_length=200)]
Words = Annotated[str, Meta(min_length=1, max_length=2000)]
Language = Annotated[str, Meta(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})?$")]
_Moment = Annotated[datetime, Meta(tz=True)]
_Count = Annotated[int, Meta(ge=1, le=60)]
_Days = Annotated[int, Meta(ge=1, le=366)]
_Hours = Annotated[int, Meta(ge=1, le=24 * 60)]
_Minutes = Annotated[int, Meta(ge=1, le=24 * 60)]


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


class Fact(StrEnum):
    """What decides whether limits may be used for a patient; one that is not stated is unknown.

    ``baseline_known``: the patient's usual saturation was measured while well.
    """

    COPD = "copd"
    HOME_OXYGEN = "home_oxygen"
    RETAINS_CO2 = "retains_co2"
    USUALLY_LOW_SATURATION = "usually_low_saturation"
    BASELINE_KNOWN = "baseline_known"
    PREGNANT = "pregnant"
    HEART_FAILURE = "heart_failure"


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

    by: Who
    role: Who
    at: _Moment


class TemplateUse(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The template that a plan came from, and its version."""

    id: Name
    version: Annotated[int, Meta(ge=1)]


class Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A plan that went into a merged one."""

    id: UUID
    version: int
    programme: str


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
    once, else of the last days, each day anew. ``since``: nothing was expected before, where that
    is later than the plan's own beginning.
    """

    family: Family
    windows: Annotated[tuple[Window, ...], Meta(max_length=24)] = ()
    protocol: Name | None = None
    course_start: date | None = None
    since: _Moment | None = None


class Target(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """What is aimed at (a Goal); it alerts nobody, the limits do."""

    low: Decimal | None = None
    high: Decimal | None = None


class Usual(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """The patient's usual range of a measure, as a clinician states it, for a part of the day.

    Without ``part_of_day`` the whole day is meant.
    """

    measure: Measure
    low: Decimal
    high: Decimal
    part_of_day: PartOfDay | None = None


class TemporaryLimits(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """Other limits for a time; they return by themselves (A17)."""

    measure: Measure
    limits: Limits
    since: _Moment
    until: _Moment
    by: Who
    reason: Words


class Pause(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """Nothing is expected meanwhile; what is measured all the same is judged. May have no end."""

    since: _Moment
    reason: Words
    by: Who
    until: _Moment | None = None


class Confirm(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """How a value beyond limits is confirmed by measuring again (A4).

    A red that is not beyond the immediate limit waits ``within_min`` minutes for a second value;
    without one it is red all the same. Zero minutes: no confirmation is asked for.
    """

    within_min: Annotated[int, Meta(ge=0, le=120)] = 15
    yellow: YellowReading = YellowReading.ALERTS


class OnRed(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """What to do on red, in the clinician's own words; out of hours it must be stated (A12)."""

    in_hours: Words
    out_of_hours: Words | None = None
    tell_patient: bool = True
    tell_kin: bool = False


class Sustained(
    msgspec.Struct,
    tag="sustained",
    frozen=True,
    kw_only=True,
    omit_defaults=True,
    forbid_unknown_fields=True,
):
    """Beyond a limit on ``count`` of the last ``of`` readings or days with readings.

    Without ``limit`` the yellow limit of that side is meant.
    """

    id: Name
    measure: Measure
    side: Side
    count: _Count
    of: _Count
    unit: Literal["days", "readings"] = "days"
    limit: Decimal | None = None
    level: Level = Level.YELLOW


class Baseline(
    msgspec.Struct,
    tag="baseline",
    frozen=True,
    kw_only=True,
    omit_defaults=True,
    forbid_unknown_fields=True,
):
    """Further than ``distance`` from the patient's own usual, ``count`` readings in a row.

    The usual is what the plan states, else the median of ``days`` days with at least ``fewest``
    readings in the same part of the day.
    """

    id: Name
    measure: Measure
    side: Side
    distance: Decimal
    count: _Count = 2
    days: _Days = 28
    fewest: _Count = 10
    is_by_part_of_day: bool = True
    level: Level = Level.YELLOW


class AverageAbove(
    msgspec.Struct,
    tag="average",
    frozen=True,
    kw_only=True,
    omit_defaults=True,
    forbid_unknown_fields=True,
):
    """The protocol's average beyond limits of its own."""

    id: Name
    limits: Mapping[Measure, Limits]


class ChangeOverDays(
    msgspec.Struct,
    tag="change",
    frozen=True,
    kw_only=True,
    omit_defaults=True,
    forbid_unknown_fields=True,
):
    """A rise or a fall of at least so much over so many days; for weight, never for SpO2 (A14)."""

    id: Name
    measure: Measure
    days: _Days
    rise: Decimal | None = None
    fall: Decimal | None = None
    level: Level = Level.YELLOW


class Symptom(
    msgspec.Struct,
    tag="symptom",
    frozen=True,
    kw_only=True,
    omit_defaults=True,
    forbid_unknown_fields=True,
):
    """An answer at or beyond ``at_least``, or risen by ``rise`` since the one before.

    With ``beyond`` only together with a value of that measure beyond its yellow limit within
    ``within_h`` hours before or after.
    """

    id: Name
    question: Annotated[str, Meta(min_length=1, max_length=100)]
    at_least: Decimal | None = None
    rise: Decimal | None = None
    beyond: Measure | None = None
    within_h: _Hours = 12
    level: Level = Level.YELLOW


class FailedAttempts(
    msgspec.Struct,
    tag="attempts",
    frozen=True,
    kw_only=True,
    omit_defaults=True,
    forbid_unknown_fields=True,
):
    """So many failed attempts in a window without a valid one (A3); red with a bad symptom.

    A valid one may still come for ``wait_min`` after the last: most who fail three times succeed
    the fourth. With a bad symptom nothing is waited for.
    """

    id: Name = "attempts"
    count: _Count = 3
    within_min: _Minutes = 30
    wait_min: _Minutes = 15
    level: Level = Level.YELLOW


class Missed(
    msgspec.Struct,
    tag="missed",
    frozen=True,
    kw_only=True,
    omit_defaults=True,
    forbid_unknown_fields=True,
):
    """``count`` of the last ``of`` windows without a valid reading; one reminds the patient."""

    id: Name = "missed"
    count: _Count = 2
    of: _Count = 3
    is_reminding: bool = True
    level: Level = Level.BLUE


class Silence(
    msgspec.Struct,
    tag="silence",
    frozen=True,
    kw_only=True,
    omit_defaults=True,
    forbid_unknown_fields=True,
):
    """No valid reading for so long; the plan's risk says how soon it is clinical (A9).

    ``red_on_trend``: red already after ``trend_after_h`` (without it, ``yellow_after_h``) where an
    alert about values is open, or the last values were beyond a limit or fell towards one.
    Whoever measures something else is not silent: what is missing alone is yellow after
    ``of_one_after_h`` (without it, twice ``yellow_after_h``), or red on its own trend.
    """

    id: Name = "silence"
    yellow_after_h: _Hours = 24
    red_after_h: _Hours | None = 48
    red_on_trend: bool = True
    trend_after_h: _Hours | None = None
    of_one_after_h: _Hours | None = None


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

    ``since`` and ``until`` are the plan's period, over all versions. ``limits`` hold at rest;
    ``limits_when`` in another condition. A reading in a condition that has no limits of its own
    is judged by the immediate limits at rest alone (A14). ``merged_from`` is set by merging alone.
    """

    id: UUID
    version: Annotated[int, Meta(ge=1)]
    patient_id: UUID
    care_unit_id: UUID
    programme: Annotated[str, Meta(min_length=1, max_length=100)]
    status: Status
    since: _Moment
    until: _Moment | None = None
    approval: Approval | None = None
    template: TemplateUse | None = None
    time_zone: str = "Europe/Stockholm"
    risk: Risk = Risk.MEDIUM
    facts: Mapping[Fact, bool] = {}
    oxygen: Oxygen = Oxygen()
    activities: Annotated[tuple[Activity, ...], Meta(max_length=16)] = ()
    targets: Mapping[Measure, Target] = {}
    limits: Mapping[Measure, Limits] = {}
    limits_when: Mapping[Condition, Mapping[Measure, Limits]] = {}
    temporary: Annotated[tuple[TemporaryLimits, ...], Meta(max_length=100)] = ()
    usual: Annotated[tuple[Usual, ...], Meta(max_length=25)] = ()
    confirm: Mapping[Family, Confirm] = {}
    rules: Annotated[tuple[RuleSettings, ...], Meta(max_length=40)] = ()
    on_red: OnRed | None = None
    pauses: Annotated[tuple[Pause, ...], Meta(max_length=100)] = ()
    language: Language = "sv"
    kin_language: Language | None = None
    permanent_reason: Words | None = None
    merged_from: tuple[Part, ...] = ()

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

    def since_of(self, activity: Activity) -> datetime:
        """Return from when on that is expected to be measured."""
        return self.since if activity.since is None else max(self.since, activity.since)

    def confirm_of(self, family: Family) -> Confirm:
        """Return how values of that family are confirmed."""
        return self.confirm.get(family, Confirm())
