"""Continuous oximetry as Observations with SampledData."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_adapters.contract.readings import OximeterStatus, OximetrySeries, SensorStatus
from tests.unit.fhir_mappings.checking import check
from tests.unit.fhir_mappings.examples import load, mapped, missing, resource

SERIES = OximetrySeries(
    period_ms=1000,
    spo2=(Decimal("97.0"), Decimal("96.5"), None, Decimal(95)),
    pulse_per_min=(Decimal(72), None, None, Decimal("71.0")),
)
# What R4 closes to a single quantity: profiles oxygensat and heartrate.
CLOSED = {"2708-6", "8867-4"}


def test_a_saturation_series_holds_what_the_written_example_holds() -> None:
    saturation, _ = mapped(SERIES)
    expected = load("obs-spo2-series")
    for elsewhere in ("id", "subject", "device", "extension"):
        del expected[elsewhere]

    found = resource(saturation)

    assert missing(found, expected) == []
    assert "effectiveDateTime" not in found
    assert (saturation.value, saturation.is_failed) == (None, False)


def test_a_pulse_series_stands_beside_it_with_its_own_gaps() -> None:
    saturation, pulse = mapped(SERIES)

    found = resource(pulse)
    assert found["valueSampledData"]["data"] == "72 E E 71.0"
    assert found["valueSampledData"]["origin"]["code"] == "/min"
    assert found["effectivePeriod"] == resource(saturation)["effectivePeriod"]
    assert pulse.id != saturation.id


def test_no_series_goes_by_a_code_of_single_values() -> None:
    for observation in mapped(SERIES):
        codings = {each["code"] for each in resource(observation)["code"]["coding"]}
        assert observation.code in codings - CLOSED
        assert not codings & CLOSED
        assert "profile" not in resource(observation)["meta"]


def test_an_oximeter_without_a_pulse_gives_no_pulse_series() -> None:
    assert len(mapped(msgspec.structs.replace(SERIES, pulse_per_min=(None,) * 4))) == 1


def test_a_slower_series_lasts_longer() -> None:
    saturation, _ = mapped(msgspec.structs.replace(SERIES, period_ms=4500))

    found = resource(saturation)
    assert found["valueSampledData"]["period"] == "4500"
    assert found["effectivePeriod"] == {
        "start": "2026-03-01T07:31:05+01:00",
        "end": "2026-03-01T07:31:18.500000+01:00",
    }


def test_doubt_and_low_perfusion_are_said_of_the_whole_series() -> None:
    doubtful = msgspec.structs.replace(
        SERIES,
        status=int(OximeterStatus.QUESTIONABLE),
        sensor_status=int(SensorStatus.LOW_PERFUSION),
    )

    for observation in mapped(doubtful):
        found = resource(observation)
        assert observation.is_doubtful
        assert found["interpretation"][0]["coding"][0]["code"] == "questionable"
        assert "valueSampledData" in found
        assert any("low perfusion" in note["text"] for note in found["note"])


def test_a_demonstration_is_test_data_without_a_value() -> None:
    shown = msgspec.structs.replace(SERIES, status=int(OximeterStatus.DEMONSTRATION))

    for observation in mapped(shown):
        found = resource(observation)
        assert found["meta"]["security"][0]["code"] == "HTEST"
        assert found["dataAbsentReason"]["coding"][0]["code"] == "not-performed"
        assert "valueSampledData" not in found
        assert observation.is_failed


def test_a_series_without_a_saturation_is_a_failed_attempt() -> None:
    saturation, pulse = mapped(msgspec.structs.replace(SERIES, spo2=(None,) * 4))

    for observation in (saturation, pulse):
        assert observation.is_failed
        assert "valueSampledData" not in observation.resource


@pytest.mark.parametrize("sent", ["1E+2", "100.0", "9.60E+1", "95.25"])
def test_samples_are_written_as_sent_in_plain_notation(sent: str) -> None:
    saturation, _ = mapped(msgspec.structs.replace(SERIES, spo2=(Decimal(sent),) * 4))

    assert resource(saturation)["valueSampledData"]["data"].split() == [f"{Decimal(sent):f}"] * 4


def test_a_sample_that_no_living_body_can_have_is_a_gap() -> None:
    odd = msgspec.structs.replace(
        SERIES,
        spo2=(Decimal(97), Decimal(0), Decimal(101), Decimal(50)),
        pulse_per_min=(Decimal(72), Decimal(0), Decimal(301), Decimal(300)),
    )

    saturation, pulse = mapped(odd)

    assert resource(saturation)["valueSampledData"]["data"] == "97 E E 50"
    assert resource(pulse)["valueSampledData"]["data"] == "72 E E 300"


def test_a_series_of_nothing_possible_is_an_error() -> None:
    (saturation,) = mapped(
        msgspec.structs.replace(SERIES, spo2=(Decimal(0),) * 4, pulse_per_min=(None,) * 4)
    )

    assert saturation.is_failed
    assert resource(saturation)["dataAbsentReason"]["coding"][0]["code"] == "error"


samples = st.none() | st.decimals(min_value=50, max_value=100, allow_nan=False, places=2)


@given(
    st.lists(st.tuples(samples, samples), min_size=1, max_size=20),
    st.integers(1, 3_600_000),
    st.integers(0, 0xFFFF) | st.none(),
    st.integers(0, 0xFFFFFF) | st.none(),
)
def test_every_series_is_valid_fhir(
    rows: list[tuple[Any, Any]], period_ms: int, status: int | None, sensor: int | None
) -> None:
    check(
        OximetrySeries(
            period_ms=period_ms,
            spo2=tuple(spo2 for spo2, _ in rows),
            pulse_per_min=tuple(pulse for _, pulse in rows),
            status=status,
            sensor_status=sensor,
        )
    )
