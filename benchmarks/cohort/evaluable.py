"""One patient of a cohort as ``hemvital rules evaluate`` takes it."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Final

import msgspec

from benchmarks.cohort.generating import Case
from benchmarks.cohort.records import Answer, Reading
from ingest_service.commands.readings_file import AnswerLine, AttemptLine, Line, ReadingLine
from ingest_service.plans.limits import Family
from ingest_service.plans.plan import Plan

_ENCODER: Final = msgspec.json.Encoder(decimal_format="string")


def write(folder: Path, one: Case, plan: Plan) -> None:
    """Write a patient's ``plan.json`` and ``readings.jsonl``, answers among the readings.

    What waits in the quarantine is not among them; nor is what would be measured on request.
    """
    (folder / "plan.json").write_bytes(msgspec.json.format(_ENCODER.encode(plan), indent=2))
    with (folder / "readings.jsonl").open("wb") as file:
        for line in lines(one):
            file.write(_ENCODER.encode(line) + b"\n")


def lines(one: Case) -> Iterator[Line]:
    """Yield what the server has of a patient, in the order in which it has it."""
    stored: list[Reading | Answer] = [
        each.reading for each in one.produced if not each.is_quarantined
    ]
    for each in sorted([*stored, *one.answers], key=lambda known: known.received_at):
        yield _answer(each) if isinstance(each, Answer) else _reading(each)


def _answer(answer: Answer) -> AnswerLine:
    return AnswerLine(
        id=answer.id,
        answered_at=answer.effective_at,
        received_at=answer.received_at,
        answers={name: Decimal(text) for name, text in answer.answers.items()},
    )


def _reading(reading: Reading) -> Line:
    family = Family(reading.family)
    if reading.is_failed:
        return AttemptLine(
            family=family,
            effective_at=reading.effective_at,
            id=reading.id,
            received_at=reading.received_at,
            flags=reading.flags,
        )
    values = {measure: Decimal(text) for measure, text in reading.values.items()}
    is_pressure = family is Family.BLOOD_PRESSURE
    return ReadingLine(
        family=family,
        effective_at=reading.effective_at,
        id=reading.id,
        received_at=reading.received_at,
        value=None if is_pressure else next(iter(values.values())),
        systolic=values["systolic"] if is_pressure else None,
        diastolic=values["diastolic"] if is_pressure else None,
        flags=reading.flags,
    )
