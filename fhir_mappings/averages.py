"""An average of home blood pressures as a FHIR R4 Observation of its own: finished JSON text.

It follows what US Core 7 says of an average blood pressure: LOINC's codes for means, the number
of readings as a component, the protocol in words. It claims no profile: that one is another
country's. Beside it stands what a reader can check it by: the readings in it (``derivedFrom``),
each reading that is not and why, and by which version of which protocol.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Literal
from uuid import UUID

import msgspec

from fhir_mappings import codes
from fhir_mappings.codes import Averaged
from fhir_mappings.elements import (
    Annotation,
    CodeableConcept,
    Component,
    Extension,
    Identifier,
    Meta,
    Observation,
    Period,
    Reference,
    text,
)
from fhir_mappings.identifiers import AVERAGE, average_id, average_identifier
from fhir_mappings.source import quantity


@dataclass(frozen=True, slots=True, kw_only=True)
class AverageDetails:
    """What an average's Observation tells.

    Attributes:
        patient_id: Whose.
        protocol_id: By which protocol, with its version and how people call it.
        protocol_version: The same.
        protocol_title: The same.
        kind: Whether its days are a course's or the last ones.
        days: The first and the last day.
        begins: When the first day begins, with the home's offset.
        ends: The last second of the last day, likewise.
        systolic: Mean in mm[Hg]; ``None`` where no reading is left to average.
        diastolic: The same.
        pulse: Mean a minute over ``pulses`` readings; ``None`` if none of them had one.
        used: Observations in it, oldest first.
        left_out: Observations of these days that are not, oldest first, with the reason.
        marks: How many of those in it carry which flag that a reader should know.
        missing_readings: How many it lacks for a decision, 0 if none.
        missing_days: Likewise, days.
    """

    patient_id: UUID
    protocol_id: str
    protocol_version: int
    protocol_title: str
    kind: Literal["course", "rolling"]
    days: tuple[date, date]
    begins: datetime
    ends: datetime
    systolic: Decimal | None
    diastolic: Decimal | None
    pulse: Decimal | None
    pulses: int
    used: tuple[UUID, ...]
    left_out: tuple[tuple[UUID, str], ...]
    marks: tuple[tuple[str, int], ...]
    sittings: int
    days_used: int
    days_measured: int
    missing_readings: int
    missing_days: int


class MappedAverage(msgspec.Struct, frozen=True, kw_only=True):
    """An average's Observation, ready to be stored.

    ``effective_at`` is the end of its period: from then on it is known, and whoever asks for what
    is new since a time finds it.
    """

    id: UUID
    version: int
    code: str
    status: str
    effective_at: datetime
    resource: str
    systolic: Decimal | None
    diastolic: Decimal | None


def map_average(details: AverageDetails, *, issued: datetime, version: int = 1) -> MappedAverage:
    """Return the Observation of an average.

    Args:
        details: What it tells; its id depends on patient, protocol, kind and days alone.
        issued: When this version is made available, in UTC.
        version: 1, or more where something that it rests on changed: then it is ``amended``.
    """
    identifier = average_identifier(
        details.patient_id,
        details.protocol_id,
        details.protocol_version,
        details.kind,
        details.days,
    )
    status = "final" if version == 1 else "amended"
    identity = average_id(identifier)
    resource = Observation(
        id=identity,
        meta=Meta(version_id=str(version), last_updated=issued.isoformat()),
        extension=(_averaging(details), *_left_out(details)),
        identifier=(Identifier(system=AVERAGE, value=identifier),),
        status=status,
        category=codes.CATEGORIES_OF_DERIVED,
        code=codes.AVERAGE_PRESSURE.concept,
        subject=Reference(f"Patient/{details.patient_id}"),
        effective_period=Period(details.begins.isoformat(), details.ends.isoformat()),
        issued=issued.isoformat(),
        data_absent_reason=None if details.used else codes.ABSENT_NOT_PERFORMED,
        note=(Annotation(_words(details)),),
        method=CodeableConcept(text=details.protocol_title),
        derived_from=tuple(_observation(one) for one in details.used),
        component=tuple(_components(details)),
    )
    return MappedAverage(
        id=identity,
        version=version,
        code=codes.AVERAGE_PRESSURE.code,
        status=status,
        effective_at=details.ends,
        resource=text(resource),
        systolic=details.systolic,
        diastolic=details.diastolic,
    )


def _components(details: AverageDetails) -> Iterator[Component]:
    yield _mean(codes.AVERAGE_SYSTOLIC, details.systolic)
    yield _mean(codes.AVERAGE_DIASTOLIC, details.diastolic)
    if details.pulse is not None:
        yield _mean(codes.AVERAGE_PULSE, details.pulse)
    # No quantity: R4's vital signs have no unit for a count.
    yield Component(code=codes.NUMBER_OF_READINGS, value_integer=len(details.used))


def _mean(averaged: Averaged, mean: Decimal | None) -> Component:
    if mean is None:
        return Component(code=averaged.concept, data_absent_reason=codes.ABSENT_NOT_PERFORMED)
    return Component(code=averaged.concept, value_quantity=quantity(mean, averaged.unit))


def _averaging(details: AverageDetails) -> Extension:
    is_enough = not details.missing_readings and not details.missing_days
    counts = {
        "sittings": details.sittings,
        "days": details.days_used,
        "daysMeasured": details.days_measured,
        "pulses": details.pulses,
    }
    lacking = {
        "missingReadings": details.missing_readings,
        "missingDays": details.missing_days,
    }
    return Extension(
        codes.AVERAGING,
        extension=(
            Extension("protocol", value_code=details.protocol_id),
            Extension("version", value_integer=details.protocol_version),
            Extension("kind", value_code=details.kind),
            *(Extension(name, value_integer=number) for name, number in counts.items()),
            Extension("isEnough", value_boolean=is_enough),
            *(Extension(name, value_integer=number) for name, number in lacking.items() if number),
            *(
                Extension(
                    "marked",
                    extension=(
                        Extension("flag", value_code=flag),
                        Extension("readings", value_integer=number),
                    ),
                )
                for flag, number in details.marks
            ),
        ),
    )


def _left_out(details: AverageDetails) -> Iterator[Extension]:
    for observation_id, reason in details.left_out:
        yield Extension(
            codes.LEFT_OUT,
            extension=(
                Extension("reading", value_reference=_observation(observation_id)),
                Extension("reason", value_code=reason),
            ),
        )


def _observation(observation_id: UUID) -> Reference:
    return Reference(f"Observation/{observation_id}")


def _words(details: AverageDetails) -> str:
    """Return in words what a program that knows no extension must not hide from its reader."""
    readings = _number(len(details.used), "reading")
    sittings, days = _number(details.sittings, "sitting"), _number(details.days_used, "day")
    protocol = f"protocol {details.protocol_id}, version {details.protocol_version}"
    parts = [f"Mean of {readings} from {sittings} on {days} by {protocol}."]
    if lacking := [
        _number(number, what)
        for number, what in (
            (details.missing_readings, "reading"),
            (details.missing_days, "measured day"),
        )
        if number
    ]:
        parts.append(f"Not enough for a decision by it: {' and '.join(lacking)} too few.")
    if details.marks:
        parts.append(f"Among them: {_counted(dict(details.marks))}.")
    if details.left_out:
        reasons = Counter(reason for _, reason in details.left_out)
        parts.append(f"Left out: {_counted(reasons)}.")
    return " ".join(parts)


def _number(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _counted(numbers: dict[str, int]) -> str:
    return ", ".join(f"{number} {name.replace('_', ' ')}" for name, number in numbers.items())
