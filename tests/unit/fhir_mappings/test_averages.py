"""An average of home blood pressures as an Observation of its own."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from fhir.resources.R4B.observation import Observation

from fhir_mappings.averages import AverageDetails, map_average
from tests.unit.fhir_mappings.checking import check_resource
from tests.unit.fhir_mappings.examples import PATIENT, load, missing

ISSUED = datetime(2026, 3, 9, 3, 1, tzinfo=UTC)
HOME = timezone(timedelta(hours=1))
FIRST, SECOND, OUT = (UUID(f"00000000-0000-5000-8000-0000000000a{n}") for n in (1, 2, 3))
DETAILS = AverageDetails(
    patient_id=PATIENT,
    protocol_id="esh-2021",
    protocol_version=1,
    protocol_title="Home blood pressure, ESH 2021",
    kind="course",
    days=(date(2026, 3, 2), date(2026, 3, 8)),
    begins=datetime(2026, 3, 2, 4, 0, tzinfo=HOME),
    ends=datetime(2026, 3, 9, 3, 59, 59, tzinfo=HOME),
    systolic=Decimal("135.0"),
    diastolic=Decimal("83.2"),
    pulse=Decimal("71.5"),
    pulses=1,
    used=(FIRST, SECOND),
    left_out=((OUT, "first_day"),),
    marks=(("irregular_pulse", 1),),
    sittings=1,
    days_used=1,
    days_measured=2,
    missing_readings=8,
    missing_days=0,
)
EMPTY = replace(
    DETAILS,
    systolic=None,
    diastolic=None,
    pulse=None,
    pulses=0,
    used=(),
    marks=(),
    sittings=0,
    days_used=0,
    missing_readings=10,
)
ENOUGH = replace(DETAILS, missing_readings=0, left_out=(), marks=())


def mapped(details: AverageDetails = DETAILS, version: int = 1) -> dict[str, Any]:
    return json.loads(map_average(details, issued=ISSUED, version=version).resource)


def codings(found: dict[str, Any]) -> set[tuple[str, str]]:
    concepts = [found["code"], *(part["code"] for part in found["component"])]
    return {(one["system"], one["code"]) for concept in concepts for one in concept["coding"]}


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("details", [DETAILS, EMPTY, ENOUGH])
def test_is_what_r4_wants(details: AverageDetails, version: int) -> None:
    text = map_average(details, issued=ISSUED, version=version).resource

    Observation.model_validate_json(text)
    check_resource(text, is_failed=not details.used)


def test_holds_what_the_resource_written_by_hand_holds() -> None:
    assert missing(mapped(), load("obs-bp-average")) == []


def test_no_code_of_a_reading_is_in_it() -> None:
    # Else whoever asks for blood pressures gets a mean among them.
    readings = {"85354-9", "8480-6", "8462-4", "8867-4", "75367002", "271649006", "271650006"}

    assert not {code for _, code in codings(mapped())} & readings


def test_issued_again_it_is_amended_under_the_same_id() -> None:
    first, second = (
        map_average(DETAILS, issued=ISSUED),
        map_average(
            replace(DETAILS, systolic=Decimal("136.0"), used=(FIRST,)), issued=ISSUED, version=2
        ),
    )

    assert (first.id, first.status) == (second.id, "final")
    assert second.status == "amended"
    assert json.loads(second.resource)["meta"]["versionId"] == "2"


@pytest.mark.parametrize(
    "changes",
    [
        {"patient_id": FIRST},
        {"protocol_id": "nice-ng136"},
        {"protocol_version": 2},
        {"kind": "rolling"},
        {"days": (date(2026, 3, 2), date(2026, 3, 9))},
    ],
)
def test_another_patient_protocol_version_kind_or_period_is_another_average(
    changes: dict[str, Any],
) -> None:
    other = map_average(replace(DETAILS, **changes), issued=ISSUED)

    assert other.id != map_average(DETAILS, issued=ISSUED).id


def test_columns_are_what_it_is_stored_and_searched_by() -> None:
    found = map_average(DETAILS, issued=ISSUED)

    assert (found.code, found.systolic, found.diastolic) == (
        "96607-7",
        Decimal("135.0"),
        Decimal("83.2"),
    )
    assert found.effective_at == DETAILS.ends


def test_where_no_reading_is_left_it_says_so_and_has_no_value() -> None:
    found = mapped(EMPTY, version=2)

    reason = found["dataAbsentReason"]["coding"][0]["code"]
    assert reason == "not-performed"
    assert "derivedFrom" not in found
    assert [part["valueInteger"] for part in found["component"][2:]] == [0]


def test_a_reader_without_our_extensions_reads_the_same_in_words() -> None:
    assert mapped()["note"] == [
        {
            "text": "Mean of 2 readings from 1 sitting on 1 day by protocol esh-2021, version 1. "
            "Not enough for a decision by it: 8 readings too few. "
            "Among them: 1 irregular pulse. Left out: 1 first day."
        }
    ]
    assert "enough" not in mapped(ENOUGH)["note"][0]["text"]


def test_what_is_enough_says_so() -> None:
    def is_enough(details: AverageDetails) -> list[bool]:
        return [
            part["valueBoolean"]
            for part in mapped(details)["extension"][0]["extension"]
            if part["url"] == "isEnough"
        ]

    assert is_enough(DETAILS) == [False]
    assert is_enough(ENOUGH) == [True]


def test_it_claims_no_profile_and_no_device() -> None:
    assert "profile" not in mapped()["meta"]
    assert "device" not in mapped()
