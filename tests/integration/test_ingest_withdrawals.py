"""Readings that are taken back, and what rested on them (A8, A5)."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest

from ingest_service.admission import decisions
from ingest_service.admission.decisions import DecisionError
from tests.support.decisions import (
    ANNA,
    by_nurse,
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
