"""Temperature, weight and heart rate as Observations."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_adapters.contract.messages import Device
from device_adapters.contract.readings import (
    NAN,
    NRES,
    BodyTemperature,
    BodyWeight,
    DeviceTime,
    HeartRate,
    MassUnit,
    TemperatureSite,
    TemperatureUnit,
)
from device_adapters.gatt import heart_rate, thermometer, weight_scale
from tests.unit.fhir_mappings.checking import check
from tests.unit.fhir_mappings.examples import PATIENT, load, mapped, missing, resource

TEMPERATURE = BodyTemperature(temperature=Decimal("37.20"), unit=TemperatureUnit.CELSIUS)
WEIGHT = BodyWeight(weight=Decimal("74.500"), unit=MassUnit.KILOGRAM)
RATE = HeartRate(heart_rate_per_min=Decimal(72))


def example(name: str) -> dict[str, Any]:
    """Return what an example has in common with ours: not its ids and times."""
    elsewhere = {"id", "subject", "device", "effectiveDateTime", "extension", "meta"}
    return {key: value for key, value in load(name).items() if key not in elsewhere}


def test_a_temperature_holds_what_the_written_example_holds() -> None:
    (found,) = mapped(TEMPERATURE)

    assert missing(resource(found), example("obs-temp")) == []
    assert (found.code, found.value) == ("8310-5", Decimal("37.20"))
    assert resource(found)["meta"]["profile"] == load("obs-temp")["meta"]["profile"]


def test_a_weight_holds_what_the_written_example_holds() -> None:
    (found,) = mapped(WEIGHT)

    assert missing(resource(found), example("obs-weight")) == []
    assert (found.code, found.value) == ("29463-7", Decimal("74.500"))
    assert resource(found)["meta"]["profile"] == load("obs-weight")["meta"]["profile"]


def test_a_heart_rate_goes_by_the_code_of_every_pulse() -> None:
    (found,) = mapped(RATE)

    codings = resource(found)["code"]["coding"]
    assert (found.code, found.value) == ("8867-4", 72)
    # 147842: HL7 Personal Health Device implementation guide, its example of a 32-bit code.
    assert {each["code"] for each in codings} == {"8867-4", "147842", "364075005"}
    assert resource(found)["valueQuantity"]["code"] == "/min"


def test_claims_no_phd_profile_for_a_device_that_did_not_say_what_it_demands() -> None:
    (found,) = mapped(TEMPERATURE, device=Device(id="F0:A1:B2:C3:D4:E5"))

    assert resource(found)["meta"]["profile"] == [
        "http://hl7.org/fhir/StructureDefinition/bodytemp"
    ]


@pytest.mark.parametrize("sent", ["37.2", "37.20", "37.200", "37", "0.0", "3.72E+1"])
def test_a_temperature_is_written_as_precisely_as_sent(sent: str) -> None:
    (found,) = mapped(msgspec.structs.replace(TEMPERATURE, temperature=Decimal(sent)))

    assert f'"value":{Decimal(sent):f},' in found.resource


@pytest.mark.parametrize(
    ("sent", "celsius"),  # (F - 32) * 5 / 9, worked by hand
    [
        ("98.6", "37.00"),
        ("100.4", "38.00"),
        ("32", "0.00"),
        ("99.0", "37.22"),
        ("-40", "-40.00"),
    ],
)
def test_fahrenheit_stay_fahrenheit_and_are_searched_in_celsius(sent: str, celsius: str) -> None:
    reading = BodyTemperature(temperature=Decimal(sent), unit=TemperatureUnit.FAHRENHEIT)

    (found,) = mapped(reading)

    quantity = resource(found)["valueQuantity"]
    assert (quantity["value"], quantity["code"], quantity["unit"]) == (sent, "[degF]", "°F")
    assert str(found.value) == celsius


@pytest.mark.parametrize(
    ("sent", "kilograms"),  # a pound is 0.45359237 kg; worked by hand
    [("154.32", "69.998"), ("220.46", "99.999"), ("0.00", "0.000"), ("100.00", "45.359")],
)
def test_pounds_stay_pounds_and_are_searched_in_kilograms(sent: str, kilograms: str) -> None:
    (found,) = mapped(BodyWeight(weight=Decimal(sent), unit=MassUnit.POUND))

    quantity = resource(found)["valueQuantity"]
    assert (quantity["value"], quantity["code"], quantity["unit"]) == (sent, "[lb_av]", "lb")
    assert str(found.value) == kilograms


@pytest.mark.parametrize(
    ("site", "code"),  # SNOMED CT, International Edition
    [
        (TemperatureSite.ARMPIT, "91470000"),
        (TemperatureSite.EAR, "117590005"),
        (TemperatureSite.FINGER, "7569003"),
        (TemperatureSite.GASTROINTESTINAL_TRACT, "122865005"),
        (TemperatureSite.MOUTH, "74262004"),
        (TemperatureSite.RECTUM, "34402009"),
        (TemperatureSite.TOE, "29707007"),
        (TemperatureSite.TYMPANUM, "42859004"),
    ],
)
def test_the_site_that_the_thermometer_names_is_the_body_site(
    site: TemperatureSite, code: str
) -> None:
    (found,) = mapped(msgspec.structs.replace(TEMPERATURE, site=int(site)))

    (coding,) = resource(found)["bodySite"]["coding"]
    assert (coding["system"], coding["code"]) == ("http://snomed.info/sct", code)


@pytest.mark.parametrize("site", [None, 0, TemperatureSite.BODY, 10, 255])
def test_no_site_in_particular_is_none(site: int | None) -> None:
    (found,) = mapped(msgspec.structs.replace(TEMPERATURE, site=site))

    assert "bodySite" not in resource(found)


@pytest.mark.parametrize(("special", "reason"), [(NAN, "not-a-number"), (NRES, "error")])
def test_a_temperature_that_is_no_number_says_why(special: Any, reason: str) -> None:
    (found,) = mapped(msgspec.structs.replace(TEMPERATURE, temperature=special))

    assert (found.is_failed, found.value) == (True, None)
    assert resource(found)["dataAbsentReason"]["coding"][0]["code"] == reason


def test_an_unsuccessful_weighing_is_an_error_without_a_value() -> None:
    (found,) = mapped(BodyWeight(weight=None, unit=MassUnit.KILOGRAM))

    assert (found.is_failed, found.value) == (True, None)
    assert resource(found)["dataAbsentReason"]["coding"][0]["code"] == "error"


def test_what_somebody_entered_in_the_scale_is_no_observation() -> None:
    entered = msgspec.structs.replace(WEIGHT, bmi=Decimal("21.2"), height=Decimal("1.755"))

    assert [each.code for each in mapped(entered)] == ["29463-7"]


def test_a_sensor_without_contact_gives_no_rate() -> None:
    (found,) = mapped(msgspec.structs.replace(RATE, has_contact=False))

    assert found.is_failed
    assert "valueQuantity" not in found.resource
    assert resource(found)["dataAbsentReason"]["coding"][0]["code"] == "not-performed"
    assert "no contact" in resource(found)["note"][0]["text"]


@pytest.mark.parametrize(
    ("reading", "mdc"), [(TEMPERATURE, 150364), (WEIGHT, 188736)], ids=["temperature", "weight"]
)
def test_a_device_time_gives_the_guides_identifier(reading: Any, mdc: int) -> None:
    timed = msgspec.structs.replace(reading, device_time=DeviceTime(2026, 3, 1, 7, 29, 5))

    (found,) = mapped(timed)

    # 825665345 s from 2000-01-01 to that time, as the written blood pressure example has it.
    assert found.phd_identifier == f"F0A1B2C3D4E5-{PATIENT}-{mdc}-825665345"


@given(
    st.binary(max_size=16),
    st.sampled_from(
        [
            thermometer.decode_temperature,
            weight_scale.decode_measurement,
            heart_rate.decode_measurement,
        ]
    ),
)
def test_whatever_a_device_sends_is_valid_fhir(value: bytes, decode: Any) -> None:
    try:
        reading = decode(value)
    except ValueError:
        return
    check(reading)


def test_a_zone_of_its_own_is_kept() -> None:
    (found,) = mapped(TEMPERATURE, effective_at=datetime(2026, 7, 1, 5, 0, tzinfo=UTC))

    assert json.loads(found.resource)["effectiveDateTime"] == "2026-07-01T05:00:00+00:00"
