"""The outbox: one message for each occasion, in the transaction that gives the reason."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from psycopg import AsyncConnection

from ingest_service.messages import kinds
from ingest_service.messages.kinds import AlertSubject, Subject
from ingest_service.messages.message import Cancellation, Cause, Kind, Message, Recipient
from ingest_service.store import messages
from ingest_service.store.messages import MessageRow
from tests.support.ingest import UNIT, Home, id_of, registered
from tests.support.services import Database

pytestmark = pytest.mark.timescale

PATIENT = Subject(patient_id=id_of("patient-1"), care_unit_id=UNIT)
OTHER = Subject(patient_id=id_of("patient-2"), care_unit_id=UNIT)
ALERT = id_of("alert-1")


async def put(home: Home, *made: Message, role: str = "hemvital_ingest") -> int:
    async with await AsyncConnection.connect(home.database.dsn(role)) as opened:
        return await messages.put(
            opened, [MessageRow.of(one, created_at=home.now) for one in made]
        )


async def cancel(home: Home, *cancellations: Cancellation) -> int:
    async with await AsyncConnection.connect(home.database.dsn("hemvital_ingest")) as opened:
        return await messages.cancel(opened, cancellations, at=home.now)


def states(home: Home) -> dict[str, str]:
    return {row["kind"]: row["state"] for row in home.rows("message")}


async def test_the_same_occasion_twice_is_one_message(database: Database) -> None:
    home = await registered(database)
    deadline = home.now + timedelta(minutes=15)
    request = kinds.remeasure_request(PATIENT, ALERT, deadline)

    counts = [await put(home, request) for _ in range(2)]
    counts.append(await put(home, request, request))

    assert counts == [1, 0, 0]
    [row] = home.rows("message")
    assert (row["kind"], row["recipient"], row["state"]) == (
        "remeasure_request",
        "patient",
        "waiting",
    )
    assert (row["patient_id"], row["alert_id"]) == (str(PATIENT.patient_id), str(ALERT))


async def test_what_is_rolled_back_was_never_to_be_said(database: Database) -> None:
    home = await registered(database)
    row = MessageRow.of(kinds.chain_broken(PATIENT, home.now), created_at=home.now)

    async with await AsyncConnection.connect(database.dsn("hemvital_ingest")) as opened:
        await messages.put(opened, [row])
        await opened.rollback()

    assert home.count("message") == 0


async def test_everybody_is_told_in_the_language_that_they_chose(database: Database) -> None:
    home = await registered(database, patients=2)
    home.execute(
        "UPDATE patient SET language = 'fi', kin_language = 'se-SE' WHERE id = %s",
        PATIENT.patient_id,
    )
    later = home.now + timedelta(hours=8)

    await put(
        home,
        kinds.red_out_of_hours(PATIENT, ALERT, home.now, later),
        kinds.red_out_of_hours_kin(PATIENT, ALERT, home.now, later),
        kinds.chain_broken(OTHER, home.now),
        kinds.chain_whole(OTHER, home.now, language="en"),
        kinds.incident(ALERT, Recipient.OPERATOR, None),
    )

    assert {row["kind"]: row["language"] for row in home.rows("message")} == {
        "red_out_of_hours": "fi",
        "red_out_of_hours_kin": "se-SE",
        "chain_broken": "sv",
        "chain_whole": "en",
        "incident": None,  # the channel's
    }


CANCELLED: list[tuple[dict[str, Any], set[str]]] = [
    (
        {"cause": Cause.TAKEN, "alert_id": id_of("another")},
        {"request", "reminder", "red", "staff"},
    ),
    # A value came: the request to measure again is over, and nothing else.
    (
        {"cause": Cause.VALUE_CAME, "alert_id": ALERT, "kinds": {Kind.REMEASURE_REQUEST}},
        {"reminder", "red", "staff"},
    ),
    # The chain is broken: nobody who did measure is reminded (A20).
    (
        {"cause": Cause.CHAIN_BROKEN, "kinds": {Kind.MEASURE_REMINDER}},
        {"request", "red", "staff"},
    ),
    ({"cause": Cause.TAKEN, "alert_id": ALERT}, {"reminder"}),
    # Deceased: nothing more is to be said.
    ({"cause": Cause.DECEASED}, set()),
]


async def test_what_is_cancelled_and_what_stays(database: Database) -> None:
    home = await registered(database, patients=2)
    later = home.now + timedelta(hours=1)
    subject = AlertSubject(
        alert_id=ALERT, patient_id=PATIENT.patient_id, care_unit_id=UNIT, priority="red"
    )
    made = {
        "request": kinds.remeasure_request(PATIENT, ALERT, later),
        "reminder": kinds.measure_reminder(PATIENT, home.now, later),
        "red": kinds.red_out_of_hours(PATIENT, ALERT, home.now, later),
        "staff": kinds.staff_alert(subject, home.now),
        "other": kinds.chain_broken(OTHER, home.now),
    }
    names = {one.key: name for name, one in made.items()}

    for given, staying in CANCELLED:
        home.execute("DELETE FROM message")
        await put(home, *made.values())

        count = await cancel(home, Cancellation(patient_id=PATIENT.patient_id, **given))

        rows = home.rows("message")
        assert count == 4 - len(staying), given
        left = {names[row["key"]] for row in rows if row["state"] == "waiting"}
        assert left == {*staying, "other"}, given
        causes = {row["cause"] for row in rows if row["state"] == "cancelled"}
        assert causes <= {given["cause"]}


async def test_what_was_cancelled_is_not_said_when_the_job_runs_again(database: Database) -> None:
    home = await registered(database)
    request = kinds.remeasure_request(PATIENT, ALERT, home.now + timedelta(minutes=15))
    await put(home, request)
    await cancel(home, Cancellation(patient_id=PATIENT.patient_id, cause=Cause.VALUE_CAME))

    again = await put(home, request)

    assert again == 0
    assert states(home) == {"remeasure_request": "cancelled"}


async def test_the_jobs_put_what_concerns_no_patient(database: Database) -> None:
    home = await registered(database)
    late = kinds.undelivered(None, "nurse_on_duty", home.now)

    counts = [await put(home, late, role="hemvital_jobs") for _ in range(2)]

    assert counts == [1, 0]
