"""What may pass into a patient's record: known, assigned, plausible in time, possible."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final
from uuid import UUID

from device_adapters.contract.messages import ReadingRecord
from device_adapters.contract.readings import (
    BloodPressure,
    BodyTemperature,
    BodyWeight,
    HeartRate,
    Kind,
    Number,
    PressureUnit,
    PulseOximetry,
)
from fhir_mappings import possible
from fhir_mappings.observations import MMHG_PER_KPA
from fhir_mappings.possible import is_possible
from fhir_mappings.single_values import celsius, kilograms
from ingest_service.admission import reissue
from ingest_service.admission.incoming import Reason, Refusal
from ingest_service.store.assignments import Assignments, resolve

# A reading of 1970 or 2035 must not make a chunk (a home's clock may be five minutes fast).
_OLDEST: Final = timedelta(days=3653)
_AHEAD: Final = timedelta(minutes=5)

_NO_USER: Final = 255


def screen(
    record: ReadingRecord,
    assignments: Assignments,
    *,
    now: datetime,
    draining: Collection[str] = (),
) -> UUID | Refusal:
    """Return whose the reading is, or why it has to wait.

    Args:
        record: What was read.
        assignments: Of its device, at least.
        now: The time it is.
        draining: Devices of whose first session in a new home readings still wait.
    """
    if refusal := implausible_time(record.effective_at, now=now):
        return refusal
    if record.device.id not in assignments:
        return Refusal(Reason.UNKNOWN_DEVICE, "no such device is registered")
    slot = user_slot(record)
    found = resolve(assignments, record.device.id, slot, record.effective_at)
    if found is None:
        return Refusal(Reason.UNASSIGNED, f"user slot {slot}: assigned to nobody at that time")
    of_device = assignments[record.device.id]
    is_draining = record.device.id in draining
    if len(of_device) > 1 and (
        why := reissue.objection(record, found, of_device, is_draining=is_draining)
    ):
        return Refusal(Reason.FIRST_SESSION, why)
    return impossible(record) or found.patient_id


def impossible(record: ReadingRecord) -> Refusal | None:
    """Return a refusal if no living body has these values; it names the field and no value."""
    if record.reading.kind is not Kind.MEASUREMENT:
        return None
    # The first that does not hold.
    found = next((name for name, is_possible in _checks(record) if not is_possible), None)
    return Refusal(Reason.IMPOSSIBLE_VALUE, found) if found else None


def implausible_time(at: datetime, *, now: datetime) -> Refusal | None:
    """Return a refusal if the time lies outside what a reading's time can be."""
    if now - _OLDEST <= at <= now + _AHEAD:
        return None
    return Refusal(Reason.TIME_IMPLAUSIBLE, f"effective at {at.isoformat()}")


def user_slot(record: ReadingRecord) -> int | None:
    """Return the device's user slot, if it named one; 255 means that it knows none."""
    match record.reading:
        case BloodPressure(user_index=index) | BodyWeight(user_index=index) if index != _NO_USER:
            return index
        case _:
            return None


def in_mmhg(pressure: Number, unit: PressureUnit) -> Number:
    """Return a pressure in mm[Hg], only to judge it; what is stored is converted in mapping."""
    if isinstance(pressure, Decimal) and unit is PressureUnit.KPA:
        return pressure * MMHG_PER_KPA
    return pressure


def _checks(record: ReadingRecord) -> Iterable[tuple[str, bool]]:
    """Yield what must hold; a pulse decides nothing, it stands beside what was measured."""
    match record.reading:
        case BloodPressure(systolic=Decimal() as systolic, diastolic=Decimal() as diastolic) as bp:
            mmhg = in_mmhg(systolic, bp.unit), in_mmhg(diastolic, bp.unit)
            yield "systolic pressure", is_possible(mmhg[0], possible.SYSTOLIC)
            yield "diastolic pressure", is_possible(mmhg[1], possible.DIASTOLIC)
            yield "systolic not above diastolic pressure", systolic > diastolic
        case PulseOximetry() as spot:
            yield "SpO2", is_possible(spot.spo2, possible.SPO2)
        case BodyTemperature(temperature=Decimal() as temperature, unit=unit):
            yield "temperature", is_possible(celsius(temperature, unit), possible.TEMPERATURE)
        case BodyWeight(weight=Decimal() as weight, unit=unit):
            yield "weight", is_possible(kilograms(weight, unit), possible.WEIGHT)
        case HeartRate(heart_rate_per_min=rate):
            yield "heart rate", is_possible(rate, possible.PULSE)
        case _:
            return
