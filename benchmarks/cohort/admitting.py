"""A cohort's lines as admission hands them to the rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from math import ceil
from typing import Final

from benchmarks.cohort import records
from ingest_service.admission.likeness import is_far
from ingest_service.alerts.history import Answer, Attempt, History, Reading
from ingest_service.plans.limits import Family, Measure

#: LOINC codes and UCUM units, as the server maps them.
CODES: Final[Mapping[Family, tuple[str, str]]] = {
    Family.BLOOD_PRESSURE: ("85354-9", "mm[Hg]"),
    Family.PULSE: ("8867-4", "/min"),
    Family.SPO2: ("59408-5", "%"),
    Family.BODY_WEIGHT: ("29463-7", "kg"),
}
FAMILY_OF_CODE: Final = {code: family.value for family, (code, _) in CODES.items()}

# As admission looks for another person's readings: what it calls a measure, and how much is usual.
_LIKENESS: Final = {
    Measure.SYSTOLIC: "systolic",
    Measure.DIASTOLIC: "diastolic",
    Measure.SPO2: "spo2",
    Measure.BODY_WEIGHT: "weight",
}
_MOST: Final = 20
_FEWEST: Final = 8


def admitted(line: records.Reading, history: History) -> Reading | Attempt:
    """Return a stored line as a reading or an attempt, marked where another may have measured.

    Args:
        line: Of ``readings.jsonl``.
        history: What is known of the patient so far.
    """
    family = Family(line.family)
    code, unit = CODES[family]
    if line.is_failed:
        return Attempt(
            observation_id=line.id,
            code=code,
            effective_at=line.effective_at,
            received_at=line.received_at,
            flags=line.flags,
        )
    values = {Measure(name): Decimal(text) for name, text in line.values.items()}
    is_another = _may_be_another(values, history.readings.get(family, ()))
    return Reading(
        observation_id=line.id,
        code=code,
        family=family,
        values=values,
        unit=unit,
        effective_at=line.effective_at,
        received_at=line.received_at,
        flags=(*line.flags, "may_be_another") if is_another else line.flags,
    )


def answered(line: records.Answer) -> Answer:
    """Return a line of ``answers.jsonl`` as the rules see it."""
    return Answer(
        response_id=line.id,
        answered_at=line.effective_at,
        received_at=line.received_at,
        values={name: Decimal(text) for name, text in line.answers.items()},
    )


def _may_be_another(values: Mapping[Measure, Decimal], known: Sequence[Reading]) -> bool:
    newest = known[-_MOST:]
    for measure, value in values.items():
        usual = sorted(one.values[measure] for one in newest if measure in one.values)
        if measure not in _LIKENESS or len(usual) < _FEWEST:
            continue
        spread = _ranked(usual, 0.75) - _ranked(usual, 0.25)
        if is_far(_LIKENESS[measure], value, median=_ranked(usual, 0.5), spread=spread):
            return True
    return False


def _ranked(ordered: Sequence[Decimal], share: float) -> Decimal:
    return ordered[max(ceil(share * len(ordered)), 1) - 1]
