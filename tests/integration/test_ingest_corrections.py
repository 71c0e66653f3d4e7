"""Time corrections: whichever of reading and correction comes first (DELIVERY, section 6)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from tests.support.ingest import CUFF, Home, id_of, registered
from tests.support.services import Database

pytestmark = pytest.mark.timescale

_UNSET = datetime(1970, 1, 1, 0, 10, tzinfo=UTC)


@pytest.fixture
async def home(database: Database) -> Home:
    return await registered(database, patients=2)


def _resource(home: Home) -> dict[str, object]:
    [row] = home.rows("observation")
    return msgspec.json.decode(row["resource"])


async def test_a_correction_makes_a_new_version_and_keeps_the_old_one(home: Home) -> None:
    reading = home.cuff("128", "82", ago=timedelta(days=200))  # another chunk
    await home.give(reading)
    better = home.now - timedelta(minutes=3)

    outcome = await home.give(home.correction(reading.record_id, better))

    assert outcome.counts == {"time_correction": 1}
    [row] = home.rows("observation")
    assert (row["version"], datetime.fromisoformat(row["effective_at"])) == (2, better)
    resource = _resource(home)
    assert resource["effectiveDateTime"] == better.isoformat()
    [old] = home.rows("observation_history")
    assert (old["version"], old["reason"]) == (1, "the gateway's clock was set")
    assert {datetime.fromisoformat(r["effective_at"]) for r in home.rows("identity")} == {better}
    [record] = home.rows("device_record")
    assert datetime.fromisoformat(record["effective_at"]) == better


async def test_the_same_correction_again_changes_nothing(home: Home) -> None:
    reading = home.cuff("128", "82", ago=timedelta(hours=2))
    await home.give(reading)
    message = home.message(home.correction(reading.record_id, home.now))
    await home.send(message)

    again = await home.send(message)
    under_another_number = await home.give(home.correction(reading.record_id, home.now))

    assert again.counts == {"duplicate": 1}
    assert under_another_number.counts == {"time_correction": 1}
    assert [row["version"] for row in home.rows("observation")] == [2]


async def test_a_corrected_reading_is_judged_again(home: Home) -> None:
    high = home.oximeter("82", ago=timedelta(days=2))
    await home.give(home.oximeter("94", ago=timedelta(days=1)))
    await home.give(high)
    assert home.rows("alert") == []  # a later one was within limits

    await home.give(home.correction(high.record_id, home.now - timedelta(minutes=1)))

    [alert] = home.rows("alert")
    assert (alert["rule"], alert["priority"]) == ("limit.spo2", "red")


async def test_a_corrected_reading_keeps_its_place_in_the_alert(home: Home) -> None:
    reading = home.cuff("192", "118", ago=timedelta(minutes=9))
    await home.give(reading)
    better = home.now - timedelta(minutes=2)

    await home.give(home.correction(reading.record_id, better))

    [alert] = home.rows("alert")
    [shown] = alert["readings"]
    assert datetime.fromisoformat(shown["effective_at"]) == better
    assert shown["is_raise"] is True


async def test_a_reading_from_before_the_clock_was_set_waits_and_is_set_free(home: Home) -> None:
    reading = msgspec.structs.replace(home.cuff("192", "118"), effective_at=_UNSET)
    await home.give(reading)
    assert [row["reason"] for row in home.rows("quarantine")] == ["time_implausible"]

    outcome = await home.give(home.correction(reading.record_id, home.now))

    assert outcome.counts["time_correction"] == outcome.counts["released"] == 1
    [row] = home.rows("observation")
    assert datetime.fromisoformat(row["effective_at"]) == home.now
    [kept] = home.rows("quarantine")
    assert (kept["resolution"], kept["resolved_by"]) == ("time_correction", "gateway")
    assert len(home.rows("alert")) == 1


async def test_a_correction_that_overtakes_its_reading_waits_for_it(home: Home) -> None:
    reading = msgspec.structs.replace(home.cuff("128", "82"), effective_at=_UNSET)
    first = home.message(reading)

    early = await home.send(home.message(home.correction(reading.record_id, home.now)))
    assert early.counts == {"quarantined": 1}
    assert home.rows("quarantine")[0]["reason"] == "correction_without_record"
    late = await home.send(first)

    assert late.counts == {"stored": 1}
    [row] = home.rows("observation")
    assert datetime.fromisoformat(row["effective_at"]) == home.now
    assert home.rows("quarantine")[0]["resolved_at"] is not None


async def test_reading_and_correction_in_one_batch_are_one_version(home: Home) -> None:
    reading = msgspec.structs.replace(home.cuff("128", "82"), effective_at=_UNSET)

    outcome = await home.give(reading, home.correction(reading.record_id, home.now))

    assert outcome.counts == {"stored": 1, "time_correction": 1}
    [row] = home.rows("observation")
    assert (row["version"], datetime.fromisoformat(row["effective_at"])) == (1, home.now)


async def test_a_time_that_cannot_be_leaves_the_reading_as_it_is(home: Home) -> None:
    reading = home.cuff("128", "82")
    await home.give(reading)

    await home.give(home.correction(reading.record_id, datetime(2035, 1, 1, tzinfo=UTC)))

    assert [row["version"] for row in home.rows("observation")] == [1]
    assert [row["reason"] for row in home.rows("quarantine")] == ["time_implausible"]


async def test_a_time_that_belongs_to_another_patient_waits_for_a_person(home: Home) -> None:
    reading = home.cuff("128", "82")
    await home.give(reading)
    before = home.now - timedelta(days=365 * 8)  # the device was nobody's then

    await home.give(home.correction(reading.record_id, before))

    assert [row["version"] for row in home.rows("observation")] == [1]
    assert [row["reason"] for row in home.rows("quarantine")] == ["unassigned"]


async def test_a_waiting_reading_that_is_sent_again_with_its_correction_is_stored(
    home: Home,
) -> None:
    # Its receipt was lost: what was not receipted goes out again, in one message with what
    # came after it.
    reading = msgspec.structs.replace(home.cuff("192", "118"), effective_at=_UNSET)
    await home.send(home.message(reading))

    await home.send(home.message(reading, home.correction(reading.record_id, home.now), first=1))

    [row] = home.rows("observation")
    assert datetime.fromisoformat(row["effective_at"]) == home.now
    assert len(home.rows("alert")) == 1
    assert [row["resolution"] for row in home.rows("quarantine")] == ["time_correction"]


async def test_a_correction_waits_where_its_reading_waits_though_both_come_again(
    home: Home,
) -> None:
    device = "F0:A1:00:00:00:77"  # registered only after its reading came
    reading = home.cuff("128", "82", device=device, ago=timedelta(hours=1))
    await home.send(home.message(reading))
    home.execute(
        "INSERT INTO device (id, resource_id, care_unit_id, kind) "
        "SELECT %s, gen_random_uuid(), care_unit_id, kind FROM device WHERE id = %s",
        device, CUFF,
    )  # fmt: skip
    home.execute(
        "INSERT INTO assignment (id, device_id, patient_id, valid, decided_by) "
        "VALUES (gen_random_uuid(), %s, %s, '[2020-01-01,)', 'a nurse')",
        device, id_of("patient-1"),
    )  # fmt: skip

    outcome = await home.send(
        home.message(reading, home.correction(reading.record_id, home.now), first=1)
    )

    assert outcome.counts == {"duplicate": 1, "quarantined": 1}
    assert [row["reason"] for row in home.rows("quarantine")] == [
        "unknown_device",
        "correction_without_record",
    ]
    assert sorted(row["outcome"] for row in home.rows("delivery")) == ["quarantined"] * 2


@pytest.mark.parametrize("at", [_UNSET, datetime(2035, 6, 1, tzinfo=UTC)])
@pytest.mark.parametrize("order", ["together", "before", "after"])
async def test_a_time_that_cannot_be_takes_no_reading_with_it(
    home: Home, at: datetime, order: str
) -> None:
    reading = home.cuff("192", "118")
    nonsense = home.message(home.correction(reading.record_id, at))
    first, *then = [home.message(reading), nonsense] if order != "before" else [
        nonsense,
        home.message(reading),
    ]  # fmt: skip

    if order == "together":
        await home.send(first, *then)
    else:
        await home.send(first)
        await home.send(*then)

    [row] = home.rows("observation")
    assert datetime.fromisoformat(row["effective_at"]) == reading.effective_at
    assert [alert["priority"] for alert in home.rows("alert")] == ["red"]
    [waiting] = home.rows("quarantine")
    # One that came first waits for its reading, as every correction does.
    expected = "correction_without_record" if order == "before" else "time_implausible"
    assert (waiting["reason"], waiting["resolved_at"]) == (expected, None)
