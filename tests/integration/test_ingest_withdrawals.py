"""Readings that are taken back, and what rested on them (A8, A5)."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest
from fhir.resources.R4B.observation import Observation

from ingest_service.admission import decisions
from ingest_service.admission.decisions import DecisionError
from tests.support.decisions import (
    ANNA,
    by_nurse,
    checked,
    decide,
    invalidate,
    of_patient,
    reassign,
)
from tests.support.ingest import Home, registered
from tests.support.services import Database

pytestmark = pytest.mark.timescale


@pytest.fixture
async def home(database: Database) -> Home:
    return await registered(database, patients=2)


async def test_a_red_alert_of_two_readings_keeps_the_other_one(home: Home) -> None:
    first = home.oximeter("87", ago=timedelta(minutes=6))
    second = home.oximeter("86", ago=timedelta(minutes=1))
    await home.give(first)
    await home.give(second)

    await invalidate(home, second)

    [alert] = [row for row in home.rows("alert") if row["rule"] == "limit.spo2"]
    assert alert["priority"] == "red"
    assert [each.get("is_withdrawn", False) for each in alert["readings"]] == [False, True]


async def test_a_yellow_alert_with_nothing_left_ends_by_itself(home: Home) -> None:
    record = home.oximeter("89")
    await home.give(record)

    await invalidate(home, record)

    [alert] = home.rows("alert")
    assert (alert["priority"], alert["state"]) == ("yellow", "resolved")
    assert [row["event"] for row in home.rows("alert_event")] == ["raised", "withdrawn"]


async def test_what_a_withdrawn_reading_hid_is_alerted_now(home: Home) -> None:
    await home.give(home.oximeter("94", ago=timedelta(hours=1)))
    late = home.oximeter("82", ago=timedelta(hours=2))
    await home.give(late)
    assert home.rows("alert") == []  # a later one was within limits
    [newer] = [row for row in home.rows("device_record") if row["number"] == 1]

    await decide(
        home,
        lambda opened: decisions.invalidate(
            opened, UUID(newer["record_id"]), by_nurse(), now=home.now
        ),
    )

    [alert] = home.rows("alert")
    assert (alert["rule"], alert["priority"]) == ("limit.spo2", "red")
    assert "late" in alert["readings"][0]["flags"]


async def test_a_value_worse_than_what_is_left_raises_again(home: Home) -> None:
    wrong = home.oximeter("70", ago=timedelta(minutes=9))
    await home.give(wrong)
    await invalidate(home, wrong)

    await home.give(home.oximeter("87"))

    [alert] = home.rows("alert")
    assert alert["priority"] == "red"
    assert [row["event"] for row in home.rows("alert_event")] == [
        "raised",
        "evidence_withdrawn",
        "reraised",
    ]


async def test_what_was_taken_back_is_history_for_no_later_reading(home: Home) -> None:
    fine = home.oximeter("95", ago=timedelta(minutes=40))
    await home.give(fine)
    await invalidate(home, fine)

    await home.give(home.oximeter("80", ago=timedelta(minutes=50)))

    assert [row["priority"] for row in home.rows("alert")] == ["red"]


async def test_a_reading_is_taken_back_once_and_can_be_given_to_somebody_later(
    home: Home,
) -> None:
    record = home.cuff("128", "82")
    await home.give(record)
    await invalidate(home, record)
    with pytest.raises(DecisionError, match="already"):
        await invalidate(home, record)

    await reassign(home, record, ANNA)

    statuses = sorted(row["status"] for row in of_patient(home, ANNA))
    assert statuses == ["entered-in-error", "final"]


async def test_no_such_reading_is_said_in_a_sentence(home: Home) -> None:
    with pytest.raises(DecisionError, match="is stored"):
        await invalidate(home, home.cuff("128", "82"))


async def test_a_red_value_between_is_alerted_though_a_newer_yellow_one_was(home: Home) -> None:
    # After hours without network: 82 at one o'clock, another person's 97, 89 now.
    low = home.oximeter("82", ago=timedelta(hours=6))
    wrong = home.oximeter("97", ago=timedelta(hours=5))
    await home.give(low, wrong, home.oximeter("89"))
    assert [row["priority"] for row in home.rows("alert")] == ["yellow"]

    await invalidate(home, wrong)

    [alert] = home.rows("alert")
    assert (alert["priority"], alert["state"]) == ("red", "new")
    assert sorted(each["value"] for each in alert["readings"]) == ["82", "89"]


async def test_what_lies_behind_a_value_within_limits_stays_history(home: Home) -> None:
    await home.give(
        home.oximeter("82", ago=timedelta(hours=8)),
        home.oximeter("95", ago=timedelta(hours=7)),
    )
    wrong = home.oximeter("97", ago=timedelta(hours=5))
    await home.give(wrong)

    await invalidate(home, wrong)

    assert home.rows("alert") == []


async def test_a3_attempts_on_both_sides_of_a_reading_taken_back_are_three(home: Home) -> None:
    wrong = home.cuff("128", "82", ago=timedelta(minutes=6))
    failed = [home.cuff(None, ago=timedelta(minutes=m)) for m in (9, 8, 3)]
    await home.give(*failed[:2], wrong, failed[2])
    assert home.rows("alert") == []

    await invalidate(home, wrong)

    assert [row["rule"] for row in home.rows("alert")] == ["failed_attempts"]


async def test_a_value_whose_time_is_corrected_hides_nothing_where_it_stood(home: Home) -> None:
    fine = home.oximeter("95", ago=timedelta(hours=1))
    await home.give(fine)
    await home.give(home.oximeter("82", ago=timedelta(hours=2)))
    assert home.rows("alert") == []

    await home.give(home.correction(fine.record_id, home.now - timedelta(hours=3)))

    assert [row["priority"] for row in home.rows("alert")] == ["red"]


async def test_a7_the_first_true_red_after_a_false_one_raises_again(home: Home) -> None:
    wrong = home.oximeter("80", ago=timedelta(minutes=20))
    await home.give(wrong, home.oximeter("88", ago=timedelta(minutes=10)))
    home.execute("UPDATE alert SET state = 'taken', owner = 'SE2321000016-0N01'")
    await invalidate(home, wrong)

    await home.give(home.oximeter("87"))

    [alert] = home.rows("alert")
    assert alert["state"] == "new"
    assert [row["event"] for row in home.rows("alert_event")][-1] == "reraised"


async def test_an_event_names_only_what_its_alert_rested_on(home: Home) -> None:
    mine = home.cuff("192", "118", pulse="72")
    await home.give(mine)

    await invalidate(home, mine)

    [withdrawn] = [r for r in home.rows("alert_event") if r["event"] == "evidence_withdrawn"]
    [alert] = home.rows("alert")
    used = [each["observation_id"] for each in alert["readings"]]
    assert withdrawn["detail"]["observations"] == used


async def test_a_reading_whose_bytes_are_forgotten_can_still_be_taken_back(home: Home) -> None:
    record = home.cuff("128", "82")
    await home.give(record)
    home.execute("UPDATE device_record SET raw = '', record = '', forgotten_at = now()")

    await invalidate(home, record)

    [row] = home.rows("observation")
    assert (row["status"], row["version"], row["systolic"]) == ("entered-in-error", 2, 128)
    resource = checked(Observation, row["resource"])
    assert (resource["status"], resource["meta"]["versionId"]) == ("entered-in-error", "2")
