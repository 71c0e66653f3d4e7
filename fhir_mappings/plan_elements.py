"""FHIR R4's CarePlan and what it contains, as far as we write them; see `elements`."""

from __future__ import annotations

from typing import Final
from uuid import UUID

import msgspec

from fhir_mappings.elements import (
    Annotation,
    CodeableConcept,
    Extension,
    Logical,
    Meta,
    Period,
    Quantity,
    Reference,
)


class Range(msgspec.Struct, frozen=True, omit_defaults=True):
    """From a low to a high value, either of which may be left open."""

    low: Quantity | None = None
    high: Quantity | None = None


class GoalTarget(msgspec.Struct, frozen=True, rename="camel"):
    """Which measure is to lie where."""

    measure: msgspec.Raw
    detail_range: Range


class Goal(
    msgspec.Struct,
    frozen=True,
    omit_defaults=True,
    rename="camel",
    kw_only=True,
    tag_field="resourceType",
    tag="Goal",
):
    """What is aimed at."""

    id: str
    lifecycle_status: str
    description: CodeableConcept
    subject: Reference
    target: tuple[GoalTarget, ...]


class Repeat(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel", kw_only=True):
    """How often something happens; with days of the week R4 wants neither frequency nor period."""

    extension: tuple[Extension, ...]
    bounds_period: Period
    frequency: int | None = None
    period: int | None = None
    period_unit: str | None = None
    day_of_week: tuple[str, ...] = ()
    when: tuple[str, ...] = ()


class Timing(msgspec.Struct, frozen=True):
    """When something is to happen, and the same in words."""

    repeat: Repeat
    code: CodeableConcept


class ServiceRequest(
    msgspec.Struct,
    frozen=True,
    omit_defaults=True,
    rename="camel",
    kw_only=True,
    tag_field="resourceType",
    tag="ServiceRequest",
):
    """What is to be measured, and when."""

    id: str
    extension: tuple[Extension, ...] = ()
    status: str
    intent: str
    code: msgspec.Raw
    order_detail: tuple[CodeableConcept, ...] = ()
    subject: Reference
    occurrence_timing: Timing | None = None
    as_needed_boolean: bool | None = None
    authored_on: str | None = None
    requester: Logical | None = None
    performer: tuple[Reference, ...]
    location_code: tuple[CodeableConcept, ...]


class Participant(msgspec.Struct, frozen=True):
    """Who takes part in a patient's care."""

    member: Logical


class CareTeam(
    msgspec.Struct,
    frozen=True,
    omit_defaults=True,
    rename="camel",
    kw_only=True,
    tag_field="resourceType",
    tag="CareTeam",
):
    """Who cares for the patient; the unit that leads manages the team."""

    id: str
    subject: Reference
    participant: tuple[Participant, ...] = ()
    managing_organization: tuple[Logical, ...]


class Attachment(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """A document itself, in base64."""

    content_type: str
    data: str
    title: str


class Content(msgspec.Struct, frozen=True):
    """A document's content."""

    attachment: Attachment


class DocumentReference(
    msgspec.Struct,
    frozen=True,
    rename="camel",
    kw_only=True,
    tag_field="resourceType",
    tag="DocumentReference",
):
    """A document that belongs to a resource."""

    id: str
    status: str
    subject: Reference
    content: tuple[Content, ...]


class CarePlanActivity(msgspec.Struct, frozen=True):
    """One thing that a plan asks for."""

    reference: Reference


class CarePlan(
    msgspec.Struct,
    frozen=True,
    omit_defaults=True,
    rename="camel",
    kw_only=True,
    tag_field="resourceType",
    tag="CarePlan",
):
    """What a patient measures at home, and why; what it refers to is contained."""

    id: UUID
    meta: Meta
    contained: tuple[Goal | ServiceRequest | CareTeam | DocumentReference, ...]
    extension: tuple[Extension, ...] = ()
    instantiates_uri: tuple[str, ...] = ()
    status: str
    intent: str
    title: str
    subject: Reference
    period: Period
    author: Logical | None = None
    contributor: tuple[Logical, ...]
    care_team: tuple[Reference, ...]
    supporting_info: tuple[Reference, ...] = ()
    goal: tuple[Reference, ...] = ()
    activity: tuple[CarePlanActivity, ...] = ()
    note: tuple[Annotation, ...] = ()


_ENCODER: Final = msgspec.json.Encoder()


def text(plan: CarePlan) -> str:
    """Return the finished JSON text of a plan."""
    return _ENCODER.encode(plan).decode()
