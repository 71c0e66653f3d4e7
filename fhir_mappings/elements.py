"""FHIR R4 data types and resources, as far as we write them.

Every member is named as FHIR names it (in camel case on the wire) and left out when it has no
value. Parts that never change are `msgspec.Raw`: encoded once, copied ever after.
"""

from __future__ import annotations

from typing import Final
from uuid import UUID

import msgspec


class Coding(msgspec.Struct, frozen=True, omit_defaults=True):
    """A code in a code system."""

    system: str
    code: str
    display: str | None = None


class CodeableConcept(msgspec.Struct, frozen=True, omit_defaults=True):
    """One meaning in one or more code systems, or in words alone."""

    coding: tuple[Coding, ...] = ()
    text: str | None = None


class Reference(msgspec.Struct, frozen=True):
    """A relative reference, for example ``Patient/0b7e…``."""

    reference: str


class Logical(msgspec.Struct, frozen=True, omit_defaults=True):
    """A reference by business identifier, to what is no resource here."""

    identifier: Identifier
    type: str | None = None
    display: str | None = None


class Extension(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    """An extension with one of the values that ours have, or with parts of its own."""

    url: str
    value_reference: Reference | Logical | None = None
    value_quantity: Quantity | None = None
    extension: tuple[Extension, ...] = ()
    value_code: str | None = None
    value_integer: int | None = None
    value_boolean: bool | None = None
    value_string: str | None = None
    value_date: str | None = None
    value_date_time: str | None = None
    value_time: str | None = None
    value_period: Period | None = None


class Quantity(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A number with its unit; ``value`` is the number's JSON text, see `number`."""

    extension: tuple[Extension, ...] = ()
    value: msgspec.Raw
    unit: str
    system: str
    code: str


class SampledData(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """Equally spaced samples: ``period`` in milliseconds, ``data`` numbers parted by spaces.

    A sample is ``data * factor + origin``; ``E`` stands for one that is missing.
    """

    origin: Quantity
    period: int
    factor: int
    dimensions: int
    data: str


class Period(msgspec.Struct, frozen=True, omit_defaults=True):
    """From the first moment to the last; without an end it goes on."""

    start: str
    end: str | None = None


class Identifier(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A business identifier."""

    use: str | None = None
    type: CodeableConcept | None = None
    system: str
    value: str


class Annotation(msgspec.Struct, frozen=True):
    """A note in plain words."""

    text: str


class Meta(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel", kw_only=True):
    """Version, profiles and security labels of a resource."""

    version_id: str | None = None
    last_updated: str | None = None
    profile: tuple[str, ...] | msgspec.Raw | None = None
    security: tuple[Coding, ...] = ()


class Component(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel", kw_only=True):
    """One part of a compound observation: a value, or the reason why there is none."""

    code: msgspec.Raw
    value_quantity: Quantity | None = None
    value_integer: int | None = None
    data_absent_reason: msgspec.Raw | None = None


class Observation(
    msgspec.Struct,
    frozen=True,
    omit_defaults=True,
    rename="camel",
    kw_only=True,
    tag_field="resourceType",
    tag="Observation",
):
    """A measurement, or an attempt at one."""

    id: UUID
    meta: Meta
    extension: tuple[Extension, ...]
    identifier: tuple[Identifier, ...]
    status: str
    category: msgspec.Raw
    code: msgspec.Raw
    subject: Reference
    effective_date_time: str | None = None
    effective_period: Period | None = None
    issued: str
    value_quantity: Quantity | None = None
    value_sampled_data: SampledData | None = None
    data_absent_reason: msgspec.Raw | None = None
    interpretation: tuple[msgspec.Raw, ...] = ()
    note: tuple[Annotation, ...] = ()
    body_site: msgspec.Raw | None = None
    method: CodeableConcept | None = None
    device: Reference | None = None
    derived_from: tuple[Reference, ...] = ()
    component: tuple[Component, ...] = ()


class HumanName(msgspec.Struct, frozen=True, omit_defaults=True):
    """A person's name."""

    use: str
    text: str
    family: str
    given: tuple[str, ...]


class Patient(
    msgspec.Struct,
    frozen=True,
    omit_defaults=True,
    rename="camel",
    kw_only=True,
    tag_field="resourceType",
    tag="Patient",
):
    """A person who measures at home."""

    id: UUID
    meta: Meta
    identifier: tuple[Identifier, ...]
    active: bool
    name: tuple[HumanName, ...] = ()
    gender: str | None = None
    birth_date: str | None = None


class Specialization(
    msgspec.Struct, frozen=True, omit_defaults=True, rename="camel", kw_only=True
):
    """What a device is specialised in, with the version of that specialisation."""

    system_type: CodeableConcept
    version: str


class Version(msgspec.Struct, frozen=True):
    """One of a device's versions."""

    type: CodeableConcept
    value: str


class Device(
    msgspec.Struct,
    frozen=True,
    omit_defaults=True,
    rename="camel",
    kw_only=True,
    tag_field="resourceType",
    tag="Device",
):
    """A measuring device or a gateway."""

    id: UUID
    meta: Meta | None = None
    identifier: tuple[Identifier, ...]
    manufacturer: str | None = None
    serial_number: str | None = None
    model_number: str | None = None
    type: CodeableConcept
    specialization: tuple[Specialization, ...] = ()
    version: tuple[Version, ...] = ()


class DeviceMetric(
    msgspec.Struct,
    frozen=True,
    omit_defaults=True,
    rename="camel",
    kw_only=True,
    tag_field="resourceType",
    tag="DeviceMetric",
):
    """One thing that a device measures."""

    id: UUID
    meta: Meta | None = None
    identifier: tuple[Identifier, ...]
    type: msgspec.Raw
    unit: CodeableConcept
    source: Reference
    category: str


class Agent(msgspec.Struct, frozen=True):
    """Who took which part in what a Provenance tells."""

    type: CodeableConcept
    who: Reference | Logical


class Entity(msgspec.Struct, frozen=True):
    """What was used for it: a source, or what was revised."""

    role: str
    what: Reference | Logical


class Provenance(
    msgspec.Struct,
    frozen=True,
    omit_defaults=True,
    rename="camel",
    kw_only=True,
    tag_field="resourceType",
    tag="Provenance",
):
    """Who made or changed versions of resources, from what and why."""

    id: UUID
    meta: Meta
    target: tuple[Reference, ...]
    occurred_date_time: str | None = None
    recorded: str
    reason: tuple[CodeableConcept, ...] = ()
    activity: CodeableConcept
    agent: tuple[Agent, ...]
    entity: tuple[Entity, ...]


_ENCODER: Final = msgspec.json.Encoder()


def raw(value: object) -> msgspec.Raw:
    """Return the value encoded once, for parts that never change."""
    return msgspec.Raw(_ENCODER.encode(value))


def text(resource: Observation | Patient | Device | DeviceMetric | Provenance) -> str:
    """Return the finished JSON text of a resource."""
    return _ENCODER.encode(resource).decode()
