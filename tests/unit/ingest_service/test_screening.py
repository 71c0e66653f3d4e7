"""What is impossible waits; what is possible passes, however unusual (A1).

Bounds: the project's protocol notes, section 5.4: systolic 40-300, diastolic 20-200 mm[Hg],
systolic above diastolic, SpO2 50-100 %. A pulse (20-300 a minute) stands beside them.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import uuid4

import pytest

from device_adapters.contract.messages import Device, ReadingRecord, Reception, TimeQuality
from device_adapters.contract.readings import (
    NAN,
    BloodPressure,
    OximeterStatus,
    PressureUnit,
    PulseOximetry,
    Reading,
    UnsupportedFrame,
)
from ingest_service.admission.incoming import Reason, Refusal
from ingest_service.admission.screening import screen
from ingest_service.store.assignments import Assignment

NOW = datetime(2026, 3, 1, tzinfo=UTC)
PATIENT = uuid4()
ASSIGNED = {"cuff": (Assignment(uuid4(), None, PATIENT, None, None),)}


def record(reading: Reading, at: datetime = NOW) -> ReadingRecord:
    return ReadingRecord(
        record_id=uuid4(),
        is_identity_own=True,
        device=Device(id="cuff"),
        reset_generation=0,
        adapter="blood-pressure-service",
        reception=Reception(
            characteristic="2a35",
            raw=b"",
            received_at=NOW,
            boot_id=uuid4(),
            monotonic_ns=0,
            is_clock_synchronised=True,
        ),
        effective_at=at,
        time_quality=TimeQuality.CORRECTED,
        reading=reading,
        trace_id="0" * 32,
    )


def cuff(
    systolic: str, diastolic: str, pulse: str | None = None, unit: PressureUnit = PressureUnit.MMHG
) -> BloodPressure:
    return BloodPressure(
        systolic=Decimal(systolic),
        diastolic=Decimal(diastolic),
        mean=NAN,
        unit=unit,
        pulse_per_min=Decimal(pulse) if pulse else None,
    )


def oximeter(spo2: str, pulse: str = "80", status: int | None = None) -> PulseOximetry:
    return PulseOximetry(spo2=Decimal(spo2), pulse_per_min=Decimal(pulse), status=status)


@pytest.mark.parametrize(
    "reading",
    [
        cuff("40", "20"),
        cuff("300", "200"),
        cuff("81", "80"),
        cuff("128", "82", "19"),  # its pressures are possible: only the pulse is left out
        oximeter("95", "301"),
        cuff("16.0", "10.7", unit=PressureUnit.KPA),
        oximeter("50"),
        oximeter("78"),  # far from the patient's own history, and possible (A1)
        oximeter("100"),
        oximeter("0", status=OximeterStatus.UNAVAILABLE),  # an attempt: it has no value to doubt
        BloodPressure(systolic=NAN, diastolic=NAN, mean=NAN, unit=PressureUnit.MMHG),
        UnsupportedFrame(reason="reserved flag set"),
    ],
)
def test_what_is_possible_passes(reading: Reading) -> None:
    assert screen(record(reading), ASSIGNED, now=NOW) == PATIENT


@pytest.mark.parametrize(
    "reading",
    [
        cuff("39", "20"),
        cuff("301", "200"),
        cuff("128", "19"),
        cuff("250", "201"),
        cuff("80", "80"),
        cuff("41", "10", unit=PressureUnit.KPA),
        oximeter("49"),
        oximeter("101"),
    ],
)
def test_what_is_impossible_waits_and_the_reason_repeats_no_value(reading: Reading) -> None:
    refusal = screen(record(reading), ASSIGNED, now=NOW)

    assert isinstance(refusal, Refusal)
    assert refusal.reason is Reason.IMPOSSIBLE_VALUE
    assert not any(character.isdigit() for character in refusal.detail.replace("SpO2", ""))


@pytest.mark.parametrize(
    ("at", "is_plausible"),
    [
        (NOW + timedelta(minutes=5), True),
        (NOW + timedelta(minutes=6), False),
        (datetime(2035, 1, 1, tzinfo=UTC), False),
        (datetime(1970, 1, 1, tzinfo=UTC), False),
        (NOW - timedelta(days=3652), True),
        (NOW - timedelta(days=3654), False),
    ],
)
def test_a_time_outside_the_window_waits(at: datetime, *, is_plausible: bool) -> None:
    verdict = screen(record(cuff("128", "82"), at), ASSIGNED, now=NOW)

    assert (verdict == PATIENT) is is_plausible
