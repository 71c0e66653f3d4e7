"""Readings as Observations, against resources written by hand and R4's own invariants."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from fhir.resources.R4B.observation import Observation
from hypothesis import given
from hypothesis import strategies as st

from device_adapters.contract.messages import Device, Measuring, TimeQuality
from device_adapters.contract.readings import (
    NAN,
    NEGATIVE_INFINITY,
    NRES,
    POSITIVE_INFINITY,
    RESERVED,
    BloodPressure,
    DeviceTime,
    Number,
    OximeterStatus,
    PressureUnit,
    PulseOximetry,
    Special,
    UnsupportedFrame,
)
from device_adapters.gatt.blood_pressure import ADAPTER as CUFF
from device_adapters.gatt.blood_pressure import MEASUREMENT
from device_adapters.gatt.pulse_oximeter import ADAPTER as OXIMETER
from device_adapters.gatt.pulse_oximeter import SPOT_CHECK
from device_adapters.session import read_frame
from tests.unit.fhir_mappings.checking import check
from tests.unit.fhir_mappings.examples import (
    ISSUED,
    PATIENT,
    RECORD,
    load,
    map_record,
    mapped,
    missing,
    record,
    resource,
)

PRESSURE = BloodPressure(
    systolic=Decimal(148),
    diastolic=Decimal(91),
    mean=Decimal(110),
    unit=PressureUnit.MMHG,
    device_time=DeviceTime(2026, 3, 1, 7, 29, 5),
    pulse_per_min=Decimal(72),
)
OXIMETRY = PulseOximetry(spo2=Decimal(89), pulse_per_min=Decimal(96))
PHD = "http://hl7.org/fhir/uv/phd/StructureDefinition/PhdBaseObservation"

# Ours differ from the examples in these, on purpose: other ids and times; what only the patient
# can know (body site, who measured); the supplemental component, which R4 forbids to vital signs;
# the link to a clock Observation.
_ELSEWHERE = {
    *{"id", "identifier", "subject", "device", "effectiveDateTime", "issued", "extension"},
    *{"performer", "bodySite", "meta"},
}


def example(name: str, *but: str) -> dict[str, Any]:
    left_out = _ELSEWHERE | set(but)
    return {key: value for key, value in load(name).items() if key not in left_out}


def test_a_cuffs_reading_holds_what_the_written_example_holds() -> None:
    panel, pulse = mapped(PRESSURE)

    assert missing(resource(panel), example("obs-bp")) == []
    assert missing(resource(pulse), example("obs-pulse-bp")) == []
    assert (panel.code, panel.systolic, panel.diastolic) == ("85354-9", 148, 91)
    assert (pulse.code, pulse.value) == ("8867-4", 72)
    assert not panel.is_failed
    assert not pulse.is_failed


def test_an_oximeters_reading_holds_what_the_written_example_holds() -> None:
    saturation, pulse = mapped(OXIMETRY)

    assert missing(resource(saturation), example("obs-spo2", "component")) == []
    assert (saturation.code, saturation.value) == ("2708-6", 89)
    assert (pulse.code, pulse.value) == ("8867-4", 96)


def test_a_failed_reading_of_a_cuff_holds_what_the_written_example_holds() -> None:
    failed = msgspec.structs.replace(PRESSURE, systolic=NRES, diastolic=NRES)
    expected = example("obs-bp-failed", "status")
    del expected["dataAbsentReason"]["text"]

    panel, _ = mapped(failed)

    assert missing(resource(panel), expected) == []
    assert panel.status == "final"  # an attempt that failed did happen, and is counted
    assert (panel.is_failed, panel.systolic, panel.diastolic) == (True, None, None)


def test_a_saturation_that_is_no_number_holds_what_the_written_example_holds() -> None:
    saturation, _ = mapped(msgspec.structs.replace(OXIMETRY, spo2=NAN))

    assert missing(resource(saturation), example("obs-spo2-nan")) == []
    assert (saturation.is_failed, saturation.value) == (True, None)


def test_a_questionable_saturation_holds_what_the_written_example_holds() -> None:
    expected = example("obs-spo2-questionable")
    del expected["interpretation"][0]["text"]
    questionable = PulseOximetry(
        spo2=Decimal(81), pulse_per_min=Decimal(96), status=OximeterStatus.QUESTIONABLE
    )

    saturation, _ = mapped(questionable)

    assert missing(resource(saturation), expected) == []
    assert (saturation.value, saturation.is_doubtful, saturation.is_failed) == (81, True, False)


def test_claims_the_profiles_that_the_examples_claim() -> None:
    panel, pulse = mapped(PRESSURE)
    saturation, _ = mapped(OXIMETRY)

    for observation, name in [
        (panel, "obs-bp"),
        (pulse, "obs-pulse-bp"),
        (saturation, "obs-spo2"),
    ]:
        assert resource(observation)["meta"]["profile"] == load(name)["meta"]["profile"]


def test_claims_no_phd_profile_for_a_device_that_did_not_say_what_it_demands() -> None:
    panel, _ = mapped(PRESSURE, device=Device(id="F0:A1:B2:C3:D4:E5", manufacturer="X"))

    assert resource(panel)["meta"]["profile"] == ["http://hl7.org/fhir/StructureDefinition/bp"]


@pytest.mark.parametrize(
    ("special", "reason"),
    [
        (NAN, "not-a-number"),
        (POSITIVE_INFINITY, "positive-infinity"),
        (NEGATIVE_INFINITY, "negative-infinity"),
        (NRES, "error"),
        (RESERVED, "error"),
    ],
    ids=str,
)
def test_every_special_value_has_the_reason_of_the_guides_table(
    special: Special, reason: str
) -> None:
    saturation, pulse = mapped(PulseOximetry(spo2=special, pulse_per_min=special))

    for observation in (saturation, pulse):
        assert resource(observation)["dataAbsentReason"]["coding"][0]["code"] == reason


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (OximeterStatus.INVALID, "error"),
        (OximeterStatus.UNAVAILABLE, "not-performed"),
        (OximeterStatus.DEMONSTRATION, "not-performed"),
        (OximeterStatus.TESTING, "not-performed"),
        (OximeterStatus.CALIBRATING, "temp-unknown"),
    ],
)
def test_a_status_that_forbids_its_use_takes_the_value_away(
    status: OximeterStatus, reason: str
) -> None:
    reading = msgspec.structs.replace(OXIMETRY, status=int(status))

    for observation in mapped(reading):
        assert observation.is_failed
        assert observation.value is None
        assert "valueQuantity" not in resource(observation)
        assert resource(observation)["dataAbsentReason"]["coding"][0]["code"] == reason


@pytest.mark.parametrize("status", [OximeterStatus.DEMONSTRATION, OximeterStatus.TESTING])
def test_test_data_are_labelled(status: OximeterStatus) -> None:
    saturation, _ = mapped(msgspec.structs.replace(OXIMETRY, status=int(status)))

    assert resource(saturation)["meta"]["security"][0]["code"] == "HTEST"


@pytest.mark.parametrize("status", [OximeterStatus.ONGOING, OximeterStatus.EARLY_ESTIMATE])
def test_an_early_value_is_preliminary_and_stays_a_value(status: OximeterStatus) -> None:
    saturation, _ = mapped(msgspec.structs.replace(OXIMETRY, status=int(status)))

    found = resource(saturation)
    assert (saturation.status, found["status"]) == ("preliminary", "preliminary")
    assert found["interpretation"][0]["coding"][0]["code"] == "early-indication"
    assert saturation.value == 89


def test_low_perfusion_lowers_certainty_and_takes_nothing_away() -> None:
    saturation, _ = mapped(msgspec.structs.replace(OXIMETRY, sensor_status=1 << 5))

    assert saturation.value == 89
    assert saturation.is_doubtful
    assert "low perfusion" in resource(saturation)["note"][0]["text"]


def test_an_irregular_pulse_is_a_finding_and_no_doubt() -> None:
    panel, _ = mapped(msgspec.structs.replace(PRESSURE, status=0x04))

    assert (panel.is_irregular, panel.is_doubtful) == (True, False)
    assert "interpretation" not in resource(panel)
    assert "irregular pulse" in resource(panel)["note"][0]["text"]


@pytest.mark.parametrize(
    ("status", "words"),
    [(0x01, "body movement"), (0x02, "cuff too loose"), (0x20, "improper position")],
)
def test_what_spoils_a_measurement_makes_it_doubtful(status: int, words: str) -> None:
    panel, _ = mapped(msgspec.structs.replace(PRESSURE, status=status))

    assert panel.is_doubtful
    assert words in resource(panel)["note"][0]["text"]
    assert panel.systolic == 148


def test_reserved_bits_say_nothing() -> None:
    panel, _ = mapped(msgspec.structs.replace(PRESSURE, status=0xFFD8))

    assert not panel.is_doubtful
    assert "note" not in resource(panel)


def test_no_number_of_a_failed_attempt_travels_further() -> None:
    failed = msgspec.structs.replace(PRESSURE, systolic=Decimal(148), diastolic=NAN)

    for observation in mapped(failed):
        assert observation.is_failed
        assert "valueQuantity" not in observation.resource


def test_a_pulse_that_is_no_number_fails_alone() -> None:
    panel, pulse = mapped(msgspec.structs.replace(PRESSURE, pulse_per_min=NAN))

    assert (panel.is_failed, pulse.is_failed) == (False, True)


@pytest.mark.parametrize("pulse", [Decimal(19), Decimal(301)])
def test_an_impossible_pulse_is_an_error_and_takes_nothing_with_it(pulse: Decimal) -> None:
    # Bounds: the project's protocol notes, section 5.4: pulse 20-300 a minute.
    for reading in (PRESSURE, OXIMETRY):
        first, second = mapped(msgspec.structs.replace(reading, pulse_per_min=pulse))

        assert not first.is_failed
        assert second.is_failed
        assert second.value is None
        found = resource(second)
        assert "valueQuantity" not in found
        assert found["dataAbsentReason"]["coding"][0]["code"] == "error"


def test_an_impossible_mean_is_an_error_beside_the_pressures() -> None:
    panel, _ = mapped(msgspec.structs.replace(PRESSURE, mean=Decimal(999)))

    systolic, diastolic, mean = resource(panel)["component"]
    assert (systolic["valueQuantity"]["value"], diastolic["valueQuantity"]["value"]) == (
        "148",
        "91",
    )
    assert mean["dataAbsentReason"]["coding"][0]["code"] == "error"
    assert "valueQuantity" not in mean


def test_a_mean_that_was_not_measured_is_left_out() -> None:
    panel, _ = mapped(msgspec.structs.replace(PRESSURE, mean=NAN))

    assert [part["valueQuantity"]["value"] for part in resource(panel)["component"]] == [
        "148",
        "91",
    ]


def test_a_cuff_that_sends_no_pulse_gives_none() -> None:
    assert len(mapped(msgspec.structs.replace(PRESSURE, pulse_per_min=None))) == 1


@pytest.mark.parametrize(
    ("sent", "written"),
    [
        ("37.20", "37.20"),
        ("100.0", "100.0"),
        ("1E+2", "100"),
        ("1.2E+2", "120"),
        ("0E+3", "0"),
        ("1E-8", "0.00000001"),
        ("-0.5", "-0.5"),
    ],
)
def test_a_number_is_written_as_sent_in_plain_notation(sent: str, written: str) -> None:
    saturation, _ = mapped(msgspec.structs.replace(OXIMETRY, spo2=Decimal(sent)))

    assert f'"value":{written},' in saturation.resource


@pytest.mark.parametrize(
    ("kpa", "mmhg"),  # by 7.50062 mmHg a kPa, worked by hand
    [
        ("18.9", "141.8"),
        ("11.0", "82.5"),
        ("16.0", "120.0"),
        ("15.9", "119.3"),
        ("24.66", "185.0"),
    ],
)
def test_kilopascal_are_converted_and_kept_beside(kpa: str, mmhg: str) -> None:
    reading = msgspec.structs.replace(PRESSURE, systolic=Decimal(kpa), unit=PressureUnit.KPA)

    panel, _ = mapped(reading)

    quantity = resource(panel)["component"][0]["valueQuantity"]
    assert (quantity["value"], quantity["code"]) == (mmhg, "mm[Hg]")
    (translation,) = quantity["extension"]
    assert translation["valueQuantity"]["value"] == kpa
    assert translation["valueQuantity"]["code"] == "kPa"
    assert str(panel.systolic) == mmhg


def test_the_homes_offset_is_kept() -> None:
    panel, _ = mapped(PRESSURE)

    assert resource(panel)["effectiveDateTime"] == "2026-03-01T07:31:05+01:00"
    assert panel.effective_at.isoformat() == "2026-03-01T07:31:05+01:00"


@pytest.mark.parametrize(
    ("quality", "words"),
    [
        (TimeQuality.CORRECTED, "corrected"),
        (TimeQuality.ESTIMATED, "estimated"),
        (TimeQuality.UNKNOWN, "uncertain"),
    ],
)
def test_a_time_that_is_not_sure_says_so(quality: TimeQuality, words: str) -> None:
    panel, _ = mapped(PRESSURE, time_quality=quality)

    assert words in resource(panel)["note"][0]["text"]


def test_a_synchronised_time_needs_no_words() -> None:
    panel, _ = mapped(PRESSURE)

    assert "note" not in resource(panel)


def test_a_record_is_named_by_both_identifiers() -> None:
    panel, pulse = mapped(PRESSURE)

    assert resource(panel)["identifier"] == [
        {"system": "urn:hemvital:sid:record", "value": str(RECORD)},
        {"system": PHD, "value": f"F0A1B2C3D4E5-{PATIENT}-150020-825665345"},
    ]
    assert panel.phd_identifier == f"F0A1B2C3D4E5-{PATIENT}-150020-825665345"
    assert pulse.phd_identifier == f"F0A1B2C3D4E5-{PATIENT}-149546-825665345"


@pytest.mark.parametrize(
    "reading",
    [
        OXIMETRY,
        msgspec.structs.replace(
            OXIMETRY, device_time=DeviceTime(2000, 1, 1, 0, 0, 0), is_device_clock_set=False
        ),
        msgspec.structs.replace(OXIMETRY, device_time=DeviceTime(0, 4, 17, 20, 41, 59)),
    ],
    ids=["no time", "clock not set", "year unknown"],
)
def test_without_a_device_time_that_means_something_there_is_no_phd_identifier(
    reading: PulseOximetry,
) -> None:
    saturation, _ = mapped(reading)

    assert saturation.phd_identifier is None
    assert [each["system"] for each in resource(saturation)["identifier"]] == [
        "urn:hemvital:sid:record"
    ]


def test_a_correction_is_a_new_version_of_the_same_observation() -> None:
    first, _ = mapped(PRESSURE)
    moved = record(PRESSURE, effective_at=datetime(2026, 3, 1, 6, 30, tzinfo=UTC))

    second, _ = map_record(moved, version=2)

    assert second.id == first.id
    assert second.status == "corrected"
    assert resource(second)["meta"]["versionId"] == "2"
    assert resource(second)["effectiveDateTime"] == "2026-03-01T06:30:00+00:00"


def test_what_is_taken_back_keeps_its_value_and_says_not_to_use_it() -> None:
    for reading in (PRESSURE, msgspec.structs.replace(OXIMETRY, status=1 << 6)):
        first = mapped(reading)
        taken_back = map_record(record(reading), version=2, is_entered_in_error=True)

        assert [each.id for each in taken_back] == [each.id for each in first]
        assert {each.status for each in taken_back} == {"entered-in-error"}
        assert {resource(each)["status"] for each in taken_back} == {"entered-in-error"}
        assert [each.value for each in taken_back] == [each.value for each in first]


def test_an_unsupported_frame_gives_no_observation() -> None:
    assert mapped(UnsupportedFrame(reason="flags: reserved flag set in 0x56")) == ()


def test_says_when_it_was_issued() -> None:
    panel, _ = mapped(PRESSURE)

    found = resource(panel)
    assert datetime.fromisoformat(found["issued"]) == ISSUED
    assert found["meta"]["lastUpdated"] == found["issued"]


numbers = st.one_of(
    st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**10), max_value=10**10),
    st.sampled_from([NAN, NRES, POSITIVE_INFINITY, NEGATIVE_INFINITY, RESERVED]),
)


@given(st.binary(max_size=20), st.sampled_from([(CUFF, MEASUREMENT), (OXIMETER, SPOT_CHECK)]))
def test_whatever_a_device_sends_is_valid_fhir(value: bytes, way: tuple[Any, str]) -> None:
    adapter, characteristic = way
    reading = read_frame(adapter, characteristic, value)
    assert reading is not None

    check(reading)


@given(numbers, numbers, numbers, numbers | st.none(), st.integers(0, 0xFFFF))
def test_every_blood_pressure_is_valid_fhir(
    systolic: Number, diastolic: Number, mean: Number, pulse: Number | None, status: int
) -> None:
    check(
        BloodPressure(
            systolic=systolic,
            diastolic=diastolic,
            mean=mean,
            unit=PressureUnit.KPA if status & 1 else PressureUnit.MMHG,
            pulse_per_min=pulse,
            status=status,
        )
    )


@given(numbers, numbers, st.integers(0, 0xFFFF), st.integers(0, 0xFFFFFF))
def test_every_oximetry_is_valid_fhir(
    spo2: Number, pulse: Number, status: int, sensor_status: int
) -> None:
    check(
        PulseOximetry(spo2=spo2, pulse_per_min=pulse, status=status, sensor_status=sensor_status)
    )


def measured_with(measuring: Measuring | None) -> tuple[dict[str, Any], ...]:
    found = msgspec.structs.replace(record(PRESSURE), measuring=measuring)
    return tuple(resource(one) for one in map_record(found))


def test_a_reading_that_followed_too_soon_says_so_and_how_soon() -> None:
    for one in measured_with(Measuring(rest_s=34.6, is_too_close=True)):
        Observation.model_validate(one)
        # FHIR R4: an extension has a url and one value; UCUM writes the second as s.
        assert one["extension"][1:] == [
            {
                "url": "urn:hemvital:extension:rest",
                "valueQuantity": {
                    "value": "35",
                    "unit": "s",
                    "system": "http://unitsofmeasure.org",
                    "code": "s",
                },
            }
        ]
        assert one["note"] == [
            {"text": "Measured too soon: 35 s after the device's reading before it."}
        ]
        assert "interpretation" not in one  # the device doubts nothing


@pytest.mark.parametrize("rest_s", [-3.0, 86_401.0, 1e308])
def test_a_rest_that_no_clock_can_have_measured_is_left_out(rest_s: float) -> None:
    for one in measured_with(Measuring(rest_s=rest_s, is_too_close=True)):
        Observation.model_validate(one)
        assert len(one["extension"]) == 1
        assert one["note"] == [{"text": "Measured too soon after the device's reading before it."}]


def test_a_reading_after_enough_rest_is_what_it_was_before_byte_for_byte() -> None:
    plain = [one.resource for one in map_record(record(PRESSURE))]
    rested = msgspec.structs.replace(
        record(PRESSURE), measuring=Measuring(rest_s=300, is_too_close=False)
    )

    assert [one.resource for one in map_record(rested)] == plain
