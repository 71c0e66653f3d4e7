"""From readings to the Observation of their average, and whether it has changed."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

from fhir_mappings.averages import map_average
from ingest_service.protocols.averaging import Average, average
from ingest_service.protocols.describing import details, digest
from ingest_service.protocols.sittings import SittingReading, course
from tests.unit.ingest_service.protocols.examples import (
    STOCKHOLM,
    protocol,
    reading,
    readings,
    same_days,
)

ESH = protocol("esh-2021")
PATIENT = UUID("00000000-0000-4000-8000-00000000000a")
ISSUED = datetime(2026, 3, 30, 2, 1, tzinfo=UTC)
USUAL = ["07:00 138/86", "07:02 136/84", "19:00 134/82", "19:02 132/80"]
WEEK = readings(same_days("2026-03-23", USUAL, count=7))
PERIOD = course(ESH, start=date(2026, 3, 23))


def made(given: list[SittingReading]) -> Average:
    return average(ESH, given, period=PERIOD, zone=STOCKHOLM)


def observation(given: list[SittingReading], version: int = 1) -> dict[str, Any]:
    found = details(made(given), ESH, patient_id=PATIENT, zone=STOCKHOLM)
    return json.loads(map_average(found, issued=ISSUED, version=version).resource)


def test_the_observation_accounts_for_every_reading_of_the_period_and_no_other() -> None:
    other = reading("2026-03-20T07:00", "190/110")

    found = observation([*WEEK, other])

    used = {one["reference"] for one in found["derivedFrom"]}
    left_out = {
        part["valueReference"]["reference"]
        for extension in found["extension"]
        for part in extension["extension"]
        if part["url"] == "reading"
    }
    assert len(used) == 24
    assert len(left_out) == 4
    assert used | left_out == {f"Observation/{one.id}" for one in WEEK}


def test_its_period_is_the_days_by_the_homes_clock() -> None:
    # The clock goes forward on the last day.
    assert observation(WEEK)["effectivePeriod"] == {
        "start": "2026-03-23T04:00:00+01:00",
        "end": "2026-03-30T03:59:59+02:00",
    }


def test_issued_again_after_a_correction_it_is_the_same_observation_amended() -> None:
    corrected = [replace(WEEK[4], systolic=WEEK[4].systolic + 24), *WEEK[:4], *WEEK[5:]]

    before, after = observation(WEEK), observation(corrected, version=2)

    assert (after["id"], after["status"]) == (before["id"], "amended")
    assert before["component"][0]["valueQuantity"]["value"] == 135.0
    assert after["component"][0]["valueQuantity"]["value"] == 136.0


def test_the_digest_tells_a_corrected_reading_even_where_the_mean_stays() -> None:
    swapped = [
        replace(WEEK[4], systolic=WEEK[5].systolic),
        replace(WEEK[5], systolic=WEEK[4].systolic),
        *WEEK[:4],
        *WEEK[6:],
    ]

    assert made(swapped).systolic == made(WEEK).systolic
    assert digest(made(swapped)) != digest(made(WEEK))


def test_the_digest_does_not_heed_what_lies_outside_the_period() -> None:
    other = reading("2026-03-20T07:00", "190/110")

    assert digest(made([other, *reversed(WEEK)])) == digest(made(WEEK))
