"""Readings far from what their patient usually measures: somebody else may have measured (A1).

Such a reading is stored and judged like any other. It is marked, in the record and on the page,
and nothing is withheld: what is far from a patient's history may be that patient's emergency.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Final
from uuid import UUID

from device_adapters.contract.messages import ReadingRecord
from device_adapters.contract.readings import BloodPressure, BodyWeight, PulseOximetry
from fhir_mappings import codes
from fhir_mappings.single_values import kilograms
from ingest_service.admission.batch import Batch
from ingest_service.admission.fate import ReadingFate
from ingest_service.admission.screening import in_mmhg
from ingest_service.store import usual
from ingest_service.store.connections import Connection
from ingest_service.store.usual import GivenValue

_WINDOW: Final = timedelta(days=90)
_AHEAD: Final = timedelta(minutes=5)
_MOST: Final = 20
_FEWEST: Final = 8

# How far is far: more than this, and more than three times the range of the middle half of the
# patient's own values (some four standard deviations). A pulse or a temperature rises by itself
# and tells nobody apart. Our own numbers, to be confirmed by a clinician; they hide nothing.
_LEAST: Final[Mapping[str, Decimal]] = {
    "systolic": Decimal(35),
    "diastolic": Decimal(25),
    "spo2": Decimal(8),
    "weight": Decimal(7),
}
_SPREADS: Final = 3


def is_far(measure: str, value: Decimal, *, median: Decimal, spread: Decimal) -> bool:
    """Tell whether a value is too far from the patient's median to be taken for granted.

    Args:
        measure: ``systolic`` and ``diastolic`` (mm[Hg]), ``spo2`` (%) or ``weight`` (kg).
        value: What was measured.
        median: Of the patient's latest values.
        spread: The range of their middle half.
    """
    return abs(value - median) > max(_LEAST[measure], _SPREADS * spread)


async def mark(connection: Connection, batch: Batch) -> None:
    """Mark those admitted readings that lie far from their patients' usual values."""
    fates: dict[UUID, ReadingFate] = {}
    for fate, _ in batch.admitted():
        if not fate.is_decided:  # of one record twice in a batch, the first is stored
            fates.setdefault(fate.record.record_id, fate)
    given = [value for fate in fates.values() for value in _given(fate)]
    if not given:
        return
    found = await usual.far(
        connection,
        given,
        since=batch.now - _WINDOW,
        until=batch.now + _AHEAD,
        most=_MOST,
        fewest=_FEWEST,
    )
    for far in found:
        if is_far(far.measure, far.value, median=far.median, spread=far.spread):
            fates[far.record_id].may_be_another = True


def _given(fate: ReadingFate) -> Iterable[GivenValue]:
    if fate.patient_id is None:
        return
    for code, measure, value in _values(fate.record):
        yield GivenValue(
            record_id=fate.record.record_id,
            patient_id=fate.patient_id,
            code=code,
            measure=measure,
            value=value,
            least_distance=_LEAST[measure],
        )


def _values(record: ReadingRecord) -> Iterable[tuple[str, str, Decimal]]:
    match record.reading:
        case BloodPressure(systolic=Decimal(), diastolic=Decimal()) as cuff:
            pressures = {"systolic": cuff.systolic, "diastolic": cuff.diastolic}
            for measure, pressure in pressures.items():
                if isinstance(value := in_mmhg(pressure, cuff.unit), Decimal):
                    yield codes.BLOOD_PRESSURE.code, measure, value
        case PulseOximetry(spo2=Decimal() as spo2):
            yield codes.SPO2.code, "spo2", spo2
        case BodyWeight(weight=Decimal() as weight, unit=unit):
            yield codes.BODY_WEIGHT.code, "weight", kilograms(weight, unit)
        case _:
            return
