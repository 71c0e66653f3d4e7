"""Identifiers: check digits, dates, and what two of them must never share."""

from __future__ import annotations

from datetime import date
from typing import Literal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_adapters.contract.readings import DeviceTime
from fhir_mappings.identifiers import (
    PERSONNUMMER,
    RESERVNUMMER,
    SAMORDNINGSNUMMER,
    IdentifierError,
    PersonalIdentity,
    bluetooth_address,
    device_resource_id,
    gateway_resource_id,
    has_valid_check_digit,
    is_hsa_id,
    observation_id,
    personal_identity,
    phd_identifier,
    seconds_on_device,
)

# Test persons that the Swedish authorities publish, with what HL7 Sweden's examples say of them.
PUBLISHED = [
    ("196101182803", PERSONNUMMER, date(1961, 1, 18), "female"),
    ("195009072553", PERSONNUMMER, date(1950, 9, 7), "male"),
    ("196109732393", SAMORDNINGSNUMMER, date(1961, 9, 13), "male"),
]


@pytest.mark.parametrize(("number", "system", "birth_date", "gender"), PUBLISHED)
@pytest.mark.parametrize("form", ["{0}", "{0[0]}", " {0} "], ids=["plain", "first", "blanks"])
def test_recognises_the_published_test_persons(
    number: str, system: str, birth_date: date, gender: str, form: str
) -> None:
    text = form.format(number) if form != "{0[0]}" else f"{number[:8]}-{number[8:]}"

    found = personal_identity(text)

    assert (found.system, found.value) == (system, number)
    assert (found.birth_date, found.gender) == (birth_date, gender)


@pytest.mark.parametrize("number", [number for number, *_ in PUBLISHED])
@pytest.mark.parametrize("place", range(2, 12))
def test_finds_every_single_wrong_digit(number: str, place: int) -> None:
    for digit in set("0123456789") - {number[place]}:
        mistyped = number[:place] + digit + number[place + 1 :]
        with pytest.raises(IdentifierError):
            personal_identity(mistyped)


@pytest.mark.parametrize("digit", range(10))
def test_computes_luhns_digit_as_the_common_example_does(digit: int) -> None:
    # 7992739871 with the check digit 3, the worked example of most texts on Luhn's algorithm.
    assert has_valid_check_digit(f"7992739871{digit}") == (digit == 3)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "6101182803",  # the century is open
        "610118-2803",
        "19610118-280",
        "196101182803 1",
        "171101182803",
        "1961-0118-2803",
        "１９６１０１１８２８０３",  # noqa: RUF001 - full-width digits are meant
        "00002040IO00",  # letters that a reservnummer never has
    ],
)
def test_refuses_what_has_another_shape(text: str) -> None:
    with pytest.raises(IdentifierError):
        personal_identity(text)


def test_an_error_does_not_repeat_the_number() -> None:
    with pytest.raises(IdentifierError) as caught:
        personal_identity("196101182804")

    assert "1961" not in str(caught.value)


@pytest.mark.parametrize(
    ("number", "gender"), [("00002040AB00", "female"), ("00002040ABC0", None)]
)
def test_takes_a_national_reservnummer_by_its_pattern(
    number: str, gender: Literal["female"] | None
) -> None:
    # The pattern is HL7 Sweden's; neither number could be a date of birth.
    assert personal_identity(number) == PersonalIdentity(RESERVNUMMER, number, None, gender)


@given(st.text(max_size=16))
def test_any_text_is_an_identity_or_an_error(text: str) -> None:
    try:
        found = personal_identity(text)
    except IdentifierError:
        return
    assert len(found.value) == 12


@pytest.mark.parametrize("text", ["SE2321000016-1003", "SE2321000131-P000000123457"])
def test_knows_an_hsa_id(text: str) -> None:
    assert is_hsa_id(text)


@pytest.mark.parametrize("text", ["", "SE2321000016", "2321000016-1003", "SE2321000016-1003\n"])
def test_knows_what_is_no_hsa_id(text: str) -> None:
    assert not is_hsa_id(text)


def test_counts_seconds_as_the_guide_does() -> None:
    # PHD guide 2.0.0: 2021-11-22 11:56:30; its page is wrong by 30 s, the date is what counts.
    assert seconds_on_device(DeviceTime(2021, 11, 22, 11, 56, 30)) == 690897390
    assert seconds_on_device(DeviceTime(2000, 1, 1, 0, 0, 0)) == 0


@pytest.mark.parametrize(
    "time",
    [
        DeviceTime(0, 4, 17, 20, 41, 59),
        DeviceTime(2026, 0, 1, 0, 0, 0),
        DeviceTime(2026, 2, 31, 0, 0, 0),
        DeviceTime(2026, 2, 28, 0, 0, 63),
        DeviceTime(65535, 1, 1, 0, 0, 0),
        DeviceTime(1999, 12, 31, 23, 59, 59),
    ],
    ids=str,
)
def test_a_time_that_no_calendar_has_gives_none(time: DeviceTime) -> None:
    assert seconds_on_device(time) is None


def test_builds_the_guides_identifier_with_the_logical_id() -> None:
    patient = UUID("00000000-0000-4000-8000-00000000000a")

    found = phd_identifier("00-A1-B2-C3-D4-E5", patient, 150020, 690897390)

    assert found == f"00A1B2C3D4E5-{patient}-150020-690897390"


@pytest.mark.parametrize(
    ("identity", "address"),
    [
        ("F0:A1:B2:C3:D4:E5", "F0-A1-B2-C3-D4-E5"),
        ("f0:a1:b2:c3:d4:e5", "F0-A1-B2-C3-D4-E5"),
        ("serial-1", None),
        ("F0:A1:B2:C3:D4", None),
    ],
)
def test_writes_an_address_as_fhir_does(identity: str, address: str | None) -> None:
    assert bluetooth_address(identity) == address


def test_ids_follow_from_what_they_name() -> None:
    record = UUID(int=1)

    assert observation_id(record, "85354-9") == observation_id(record, "85354-9")
    assert observation_id(record, "85354-9") != observation_id(record, "8867-4")
    assert observation_id(record, "85354-9") != observation_id(UUID(int=2), "85354-9")


def test_an_observation_of_a_record_given_to_somebody_else_is_another_one() -> None:
    record = UUID(int=1)
    ids = {observation_id(record, "85354-9", attribution) for attribution in range(3)}

    assert len(ids) == 3
    assert observation_id(record, "85354-9", 0) == observation_id(record, "85354-9")
    assert device_resource_id("a") != gateway_resource_id("a")
