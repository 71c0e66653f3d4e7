"""Readings, attempts and answers as JSON Lines: what an outsider gives to be evaluated."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Final
from uuid import UUID, uuid5

import msgspec
from msgspec import Meta

from ingest_service.alerts.history import Answer, Attempt, Reading
from ingest_service.plans.limits import Family, Measure

Input = Reading | Attempt | Answer

_MOST_LINE_BYTES: Final = 16 * 1024
_MOST_FAULTS: Final = 20
_SPACE: Final = UUID("2f1f8f0e-5c0c-5a3e-9f2e-6b0f6f1c9b51")
_Moment = Annotated[datetime, Meta(tz=True)]
_Flags = Annotated[tuple[Annotated[str, Meta(max_length=40)], ...], Meta(max_length=20)]
_CODES: Final = {
    Family.BLOOD_PRESSURE: ("85354-9", "mm[Hg]"),
    Family.PULSE: ("8867-4", "/min"),
    Family.SPO2: ("59408-5", "%"),
    Family.BODY_WEIGHT: ("29463-7", "kg"),
}
_SINGLE: Final = {
    Family.PULSE: Measure.PULSE,
    Family.SPO2: Measure.SPO2,
    Family.BODY_WEIGHT: Measure.BODY_WEIGHT,
}
# What no device reports: such a line is a slip, not a measurement.
_MOST: Final = Decimal(1000)


class LineError(ValueError):
    """Lines cannot be used; ``faults`` names each by its number."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = faults


class ReadingLine(
    msgspec.Struct, tag="reading", tag_field="kind", frozen=True, forbid_unknown_fields=True
):
    """A measured value: ``systolic`` and ``diastolic``, or ``value``; ``pulse`` beside either."""

    family: Family
    effective_at: _Moment
    id: UUID | None = None
    received_at: _Moment | None = None
    value: Decimal | None = None
    systolic: Decimal | None = None
    diastolic: Decimal | None = None
    pulse: Decimal | None = None
    flags: _Flags = ()


class AttemptLine(
    msgspec.Struct, tag="attempt", tag_field="kind", frozen=True, forbid_unknown_fields=True
):
    """An attempt that gave no value."""

    family: Family
    effective_at: _Moment
    id: UUID | None = None
    received_at: _Moment | None = None
    flags: _Flags = ()


class AnswerLine(
    msgspec.Struct, tag="answer", tag_field="kind", frozen=True, forbid_unknown_fields=True
):
    """Answers to questions, by their link ids."""

    answered_at: _Moment
    answers: Annotated[dict[str, Decimal], Meta(min_length=1, max_length=100)]
    id: UUID | None = None
    received_at: _Moment | None = None


Line = ReadingLine | AttemptLine | AnswerLine
_DECODER: Final = msgspec.json.Decoder(Line)


def parse(content: bytes) -> list[Input]:
    """Return what the lines say, in their order; empty lines say nothing.

    Raises:
        LineError: With every line that cannot be used, the first twenty of them.
    """
    found: list[Input] = []
    faults: list[str] = []
    for number, line in enumerate(content.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            found.extend(_inputs(_decoded(line), number))
        except (ValueError, RecursionError) as error:
            faults.append(f"{number}: {error}")
            if len(faults) == _MOST_FAULTS:
                break
    if faults:
        raise LineError(faults)
    return found


def schema() -> dict[str, object]:
    """Return the JSON Schema of one line."""
    return msgspec.json.schema(Line)


def _decoded(line: bytes) -> Line:
    if len(line) > _MOST_LINE_BYTES:
        raise ValueError(f"more than {_MOST_LINE_BYTES} bytes")
    try:
        return _DECODER.decode(line)
    except msgspec.DecodeError as error:
        raise ValueError(str(error)) from error


def _inputs(line: Line, number: int) -> list[Input]:
    identity = line.id or uuid5(_SPACE, str(number))
    match line:
        case AnswerLine():
            if any(not value.is_finite() for value in line.answers.values()):
                raise ValueError("an answer is no number")
            return [
                Answer(
                    response_id=identity,
                    answered_at=line.answered_at,
                    received_at=line.received_at or line.answered_at,
                    values=line.answers,
                )
            ]
        case AttemptLine():
            return [
                Attempt(
                    observation_id=identity,
                    code=_CODES[line.family][0],
                    effective_at=line.effective_at,
                    received_at=line.received_at or line.effective_at,
                    flags=line.flags,
                )
            ]
        case ReadingLine():
            return _readings(line, identity)


def _readings(line: ReadingLine, identity: UUID) -> list[Input]:
    is_pressure = line.family is Family.BLOOD_PRESSURE
    if is_pressure:
        given = {Measure.SYSTOLIC: line.systolic, Measure.DIASTOLIC: line.diastolic}
    else:
        given = {_SINGLE[line.family]: line.value}
    values = {measure: value for measure, value in given.items() if value is not None}
    extra = line.value if is_pressure else line.systolic or line.diastolic
    if len(values) < len(given) or extra is not None:
        needed = "systolic and diastolic" if is_pressure else "value"
        raise ValueError(f"a reading of {line.family} has {needed}, and nothing else")
    found: list[Input] = [_reading(line, line.family, identity, values)]
    if line.pulse is not None:
        beside = {Measure.PULSE: line.pulse}
        found.append(_reading(line, Family.PULSE, uuid5(identity, "pulse"), beside))
    return found


def _reading(
    line: ReadingLine, family: Family, identity: UUID, values: dict[Measure, Decimal]
) -> Reading:
    for measure, value in values.items():
        if not value.is_finite() or not 0 < value < _MOST:
            raise ValueError(f"{measure} must be above 0 and below {_MOST}")
    code, unit = _CODES[family]
    return Reading(
        observation_id=identity,
        code=code,
        family=family,
        values=values,
        unit=unit,
        effective_at=line.effective_at,
        received_at=line.received_at or line.effective_at,
        flags=line.flags,
    )
