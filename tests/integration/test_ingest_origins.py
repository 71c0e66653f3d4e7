"""Nothing mislabelled: who may speak of a record, and under which id (docs/adr/0027)."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import msgspec
import pytest
from psycopg import AsyncConnection

from ingest_service import registration
from ingest_service.admission import decisions
from ingest_service.admission.decisions import DecisionError
from ingest_service.jobs.holes import ask_for_missing
from ingest_service.registration import Registration
from ingest_service.store import connections, deliveries
from tests.support.decisions import ANNA, by_nurse
from tests.support.ingest import CUFF, UNIT, Home, document, registered
from tests.support.services import Database

pytestmark = pytest.mark.timescale

STOLEN = "gateway-2"


@pytest.fixture
async def home(database: Database) -> Home:
    home = await registered(database, patients=2)
    home.execute("INSERT INTO gateway (id, care_unit_id) VALUES (%s, %s)", STOLEN, UNIT)
    return home


def elsewhere(home: Home) -> Home:
    """Return another gateway's sending side."""
    return replace(home, epoch=uuid4(), gateway_id=STOLEN, _number=0)


def reasons(home: Home) -> list[str]:
    return [row["reason"] for row in home.rows("quarantine") if row["resolved_at"] is None]


def times(home: Home) -> list[Any]:
    return [(row["version"], row["effective_at"]) for row in home.rows("observation")]


async def test_a_correction_by_a_gateway_that_never_had_the_reading_changes_nothing(
    home: Home,
) -> None:
    reading = home.cuff("128", "82", ago=timedelta(hours=2))
    await home.give(reading)
    before = times(home)
    thief = elsewhere(home)

    # Twice: the first one's own row must not make the second believed.
    for hours in (1, 3):
        outcome = await thief.give(
            thief.correction(reading.record_id, home.now - timedelta(hours=hours))
        )
        assert outcome.counts == {"quarantined": 1}

    assert times(home) == before
    assert reasons(home) == ["correction_by_another"] * 2


async def test_a_second_gateway_that_delivered_the_reading_too_may_correct_it(
    home: Home,
) -> None:
    reading = home.cuff("128", "82", ago=timedelta(hours=2))
    other = elsewhere(home)
    await home.give(reading)
    assert (await other.give(reading)).counts == {"duplicate": 1}

    outcome = await other.give(other.correction(reading.record_id, home.now))

    assert outcome.counts == {"time_correction": 1}
    assert [version for version, _ in times(home)] == [2]


@pytest.mark.parametrize("order", ["together", "before"])
async def test_a_strangers_correction_touches_no_reading_that_comes_with_or_after_it(
    home: Home, order: str
) -> None:
    reading = home.cuff("128", "82", ago=timedelta(hours=2))
    thief = elsewhere(home)
    given = home.message(reading)
    lie = thief.message(thief.correction(reading.record_id, home.now - timedelta(days=3)))

    if order == "together":
        await home.send(given, lie)
    else:
        await home.send(lie)
        await home.send(given)

    [row] = home.rows("observation")
    assert row["effective_at"] == reading.effective_at.isoformat()
    assert reasons(home) == ["correction_without_record"]


async def test_a_strangers_correction_sets_no_waiting_reading_free(home: Home) -> None:
    years = timedelta(days=365 * 8)  # the device was nobody's then
    reading = home.cuff("128", "82", ago=years)
    await home.give(reading)
    thief = elsewhere(home)

    await thief.give(thief.correction(reading.record_id, home.now))

    assert home.rows("observation") == []
    assert sorted(reasons(home)) == ["correction_without_record", "unassigned"]


async def test_a_reading_under_an_id_that_is_not_its_own_waits_and_takes_nobodys_place(
    home: Home,
) -> None:
    real = home.cuff("192", "118")
    forged = msgspec.structs.replace(home.cuff("120", "80"), record_id=real.record_id)
    thief = elsewhere(home)

    outcome = await thief.give(forged)
    assert outcome.counts == {"quarantined": 1}
    assert reasons(home) == ["identity"]
    await home.give(real)

    [row] = home.rows("device_record")
    assert row["gateway_id"] == home.gateway_id
    assert [row["priority"] for row in home.rows("alert")] == ["red"]
    assert reasons(home) == ["identity"]  # what is stored now is another record


async def test_nobody_can_decide_that_a_forged_id_is_a_patients(home: Home) -> None:
    real = home.cuff("192", "118")
    await home.give(msgspec.structs.replace(home.cuff("120", "80"), record_id=real.record_id))
    [entry] = home.rows("quarantine")

    async with await AsyncConnection.connect(home.database.dsn("hemvital_operator")) as opened:
        with pytest.raises(DecisionError, match="does not follow from the record"):
            await decisions.assign(opened, entry["id"], ANNA, by_nurse("his"), now=home.now)

    assert home.rows("device_record") == []


@pytest.mark.parametrize("order", ["before", "together"])
async def test_a_clockless_record_that_takes_an_id_beforehand_swallows_nothing(
    home: Home, order: str
) -> None:
    # Its id names a number of a gateway's, which nobody else can know: it may be any id.
    real = home.cuff("192", "118")
    forged = msgspec.structs.replace(
        home.cuff("120", "80", has_own_identity=False), record_id=real.record_id
    )
    thief = elsewhere(home)

    messages = thief.message(forged), home.message(real)
    if order == "together":
        await home.send(*messages)
    else:
        for message in messages:
            await home.send(message)

    [waiting] = home.rows("quarantine")
    assert (waiting["reason"], waiting["gateway_id"]) == ("identity", home.gateway_id)
    assert waiting["priority"] == "red"  # judged all the same: somebody has to look
    assert [row["outcome"] for row in home.rows("delivery")].count("quarantined") == 1


async def test_the_same_record_over_two_gateways_is_one(home: Home) -> None:
    reading = home.cuff("128", "82")
    other = elsewhere(home)

    outcome = await home.send(home.message(reading), other.message(reading))

    assert outcome.counts == {"stored": 1, "duplicate": 1}
    assert outcome.foreign == {}
    assert len(home.rows("device_record")) == 1


async def test_a_clockless_record_over_two_gateways_is_two_and_says_so(home: Home) -> None:
    other = elsewhere(home)
    first = home.cuff("128", "82", raw=b"same", has_own_identity=False)
    second = other.cuff("128", "82", raw=b"same", has_own_identity=False)

    await home.give(first)
    await other.give(second)

    doubles = [row["is_suspected_double"] for row in home.rows("device_record")]
    assert sorted(doubles) == [False, True]


async def test_two_users_of_one_cuff_are_two_patients_and_a_third_slot_nobodys(
    home: Home,
) -> None:
    shared = document(2).model_dump(mode="json")
    [whole] = [one for one in shared["assignments"] if one["device_id"] == CUFF]
    second = next(one["id"] for one in shared["patients"] if one["id"] != whole["patient_id"])
    shared["assignments"] = [
        {**whole, "id": str(uuid4()), "user_index": 1},
        {**whole, "id": str(uuid4()), "user_index": 2, "patient_id": second},
    ]
    home.execute("DELETE FROM assignment")
    async with await AsyncConnection.connect(home.database.dsn()) as opened:
        await registration.register(
            opened, Registration.model_validate(shared), now=datetime.now(UTC)
        )

    readings = [home.cuff("128", "82", user_index=slot) for slot in (1, 2, 3)]
    other = elsewhere(home)
    await home.give(*readings)
    await other.give(*readings)

    owners = {row["user_index"]: row["patient_id"] for row in home.rows("device_record")}
    assert owners == {1: whole["patient_id"], 2: second}
    assert reasons(home) == ["unassigned"] * 2  # by either gateway


async def test_a_device_of_another_unit_is_stored_as_its_assignment_says(home: Home) -> None:
    unit = uuid4()
    home.execute(
        "INSERT INTO care_unit SELECT %s, care_provider_id, 'SE-2', 'Other' FROM care_unit", unit
    )
    home.execute("UPDATE gateway SET care_unit_id = %s WHERE id = %s", unit, STOLEN)
    guest = elsewhere(home)

    outcome = await guest.give(guest.cuff("192", "118"))

    assert (outcome.counts, outcome.foreign) == ({"stored": 1}, {STOLEN: 1})
    [row] = home.rows("device_record")
    assert (row["care_unit_id"], row["gateway_id"]) == (str(UNIT), STOLEN)
    assert [alert["priority"] for alert in home.rows("alert")] == ["red"]


async def test_an_epoch_in_thousands_of_pieces_is_cut_and_loses_nothing(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliveries, "MOST_PIECES", 8)
    monkeypatch.setattr(deliveries, "_KEPT_PIECES", 4)
    for number in range(2, 40, 2):
        outcome = await home.send(home.message(home.cuff("128", "82"), first=number))
        [(_, receipt)] = outcome.receipts
        assert any(low <= number <= high for low, high in receipt.ranges)

    [row] = home.rows("gateway_epoch")
    assert len(row["received"].strip("{}").split("),")) <= 8
    assert row["floor"] > 2
    asked = _Asked()
    dsn = home.database.dsn("hemvital_jobs")
    async with connections.pool(dsn, name="test", size=1) as pool:
        await ask_for_missing(pool, asked, now=home.now + timedelta(hours=1), age_s=60)
    assert min(first for first, _ in asked.ranges) > row["floor"]

    # A number from below the cut comes after all: it is stored, once, and receipted.
    late = home.message(home.cuff("121", "81"), first=1)
    for counts in ({"stored": 1}, {"duplicate": 1}):
        outcome = await home.send(late)
        assert outcome.counts == counts
        [(_, receipt)] = outcome.receipts
        assert any(low <= 1 <= high for low, high in receipt.ranges)
    # And none that never came is ever called received.
    assert not any(low <= 3 <= high for low, high in receipt.ranges)


class _Asked:
    def __init__(self) -> None:
        self.ranges: list[tuple[int, int]] = []

    def ask(self, gateway_id: str, resend: Any) -> bool:
        self.ranges += resend.ranges
        return True
