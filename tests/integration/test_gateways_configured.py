"""Configurations of gateways: versions, who decided, and that they get there."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from psycopg import AsyncConnection

from device_adapters.contract.configuration import (
    AssignedDevice,
    GatewayConfiguration,
    ScanMode,
    decode_configuration,
)
from ingest_service import registration
from ingest_service.configuring import Change, ConfigurationError, configure
from ingest_service.jobs import configurations as job
from ingest_service.jobs.configurations import follow_assignments, keep_configured, publish_due
from ingest_service.store import connections
from ingest_service.store.connections import Pool
from tests.support.ingest import CUFF, GATEWAY, OXIMETER, Home, document, id_of, registered
from tests.support.services import Database

pytestmark = pytest.mark.timescale

T0 = datetime(2026, 11, 25, 9, 0, tzinfo=UTC)


@pytest.fixture
async def home(database: Database) -> Home:
    home = await registered(database)
    home.execute("UPDATE device SET gateway_id = %s", GATEWAY)
    return home


@pytest.fixture
async def pool(home: Home) -> AsyncGenerator[Pool]:
    dsn = home.database.dsn("hemvital_jobs")
    async with connections.pool(dsn, name="test", size=2) as opened:
        yield opened


class Retained:
    """A broker that keeps the last configuration of each gateway, and may lose its disk."""

    def __init__(self) -> None:
        self.kept: dict[str, GatewayConfiguration] = {}
        self.published = 0
        self.is_there = True

    async def configure(self, gateway_id: str, payload: bytes, *, within_s: float) -> bool:
        if self.is_there:
            self.published += 1
            self.kept[gateway_id] = decode_configuration(payload)
        return self.is_there


async def decide(
    home: Home, change: Change, *, now: datetime = T0, gateway: str = GATEWAY
) -> GatewayConfiguration:
    dsn = home.database.dsn("hemvital_operator")
    async with await AsyncConnection.connect(dsn) as opened:
        made = await configure(opened, gateway, change, by="a nurse", now=now)
    return made.configuration


def report(home: Home, version: int | None, *, is_online: bool = True) -> None:
    """Let the gateway say what it has."""
    home.execute(
        "INSERT INTO gateway_status (gateway_id, is_online, heard_at, changed_at, configuration,"
        " digest) VALUES (%s, %s, now(), now(), %s, '') ON CONFLICT (gateway_id) DO UPDATE"
        " SET configuration = excluded.configuration, is_online = excluded.is_online",
        GATEWAY,
        is_online,
        version,
    )


async def test_each_version_is_kept_with_who_decided_and_builds_on_the_one_before(
    home: Home,
) -> None:
    await decide(home, Change(devices=[CUFF], values={"scan_mode": "passive", "rest_s": 30}))
    second = await decide(home, Change(values={"channel": "beta"}), now=T0 + timedelta(hours=1))

    assert second == GatewayConfiguration(
        version=2,
        issued_at=T0 + timedelta(hours=1),
        devices=(AssignedDevice(id=CUFF),),
        scan_mode=ScanMode.PASSIVE,
        channel="beta",
        rest_s=30,
    )
    rows = home.rows("gateway_configuration")
    assert [(row["version"], row["decided_by"]) for row in rows] == [
        (1, "a nurse"),
        (2, "a nurse"),
    ]
    assert [row["content"].get("channel") for row in rows] == [None, "beta"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (Change(devices=["not an address"]), "devices"),
        (Change(devices=[f"F0:A1:00:00:00:{n:02X}" for n in range(65)]), "devices"),
        (Change(pairing_minutes=31), "1 to 30 minutes"),
        (Change(pairing_minutes=-1), "1 to 30 minutes"),
        (Change(values={"rest_s": -1}), "rest_s"),
        (Change(values={"not_seen_after_h": 0}), "not_seen_after_h"),
        (Change(values={"battery_low_percent": 101}), "battery_low_percent"),
        (Change(values={"channel": ""}), "channel"),
    ],
)
async def test_what_no_gateway_could_use_is_refused_by_name(
    home: Home, change: Change, told: str
) -> None:
    with pytest.raises(ConfigurationError, match=told):
        await decide(home, change)

    assert home.rows("gateway_configuration") == []


async def test_a_gateway_that_nobody_registered_cannot_be_configured(home: Home) -> None:
    with pytest.raises(ConfigurationError, match="no gateway 'x'"):
        await decide(home, Change(), gateway="x")


async def test_a_version_is_published_once_and_again_only_for_who_does_not_have_it(
    home: Home, pool: Pool
) -> None:
    await decide(home, Change(devices=[CUFF]))
    broker = Retained()

    assert await publish_due(pool, broker, now=T0) == 1
    report(home, 1)
    assert await publish_due(pool, broker, now=T0 + timedelta(days=9)) == 0
    assert broker.kept[GATEWAY].version == 1


async def test_a_broker_that_lost_its_disk_gets_it_again_at_a_bounded_rate(
    home: Home, pool: Pool
) -> None:
    await decide(home, Change(devices=[CUFF]))
    await publish_due(pool, Retained(), now=T0)
    report(home, None)  # a new card in the gateway, and nothing retained at the broker
    emptied = Retained()

    published = [
        await publish_due(pool, emptied, now=T0 + timedelta(seconds=10 * n)) for n in range(1, 61)
    ]

    assert emptied.kept[GATEWAY].version == 1
    assert sum(published) == 3  # in ten minutes: after three, six and nine
    report(home, None, is_online=False)
    assert await publish_due(pool, emptied, now=T0 + timedelta(days=1)) == 0


async def test_what_the_broker_did_not_take_is_due_still(home: Home, pool: Pool) -> None:
    await decide(home, Change(devices=[CUFF]))
    broker = Retained()
    broker.is_there = False

    assert await publish_due(pool, broker, now=T0) == 0
    broker.is_there = True
    assert await publish_due(pool, broker, now=T0) == 1


async def test_a_pairing_window_that_has_passed_is_never_published_open_again(
    home: Home, pool: Pool
) -> None:
    made = await decide(home, Change(pairing_minutes=10))
    broker = Retained()
    await publish_due(pool, broker, now=T0)
    assert broker.kept[GATEWAY].pairing_until == made.pairing_until == T0 + timedelta(minutes=10)
    report(home, 1)

    # What the broker retains would open it for a gateway whose clock is wrong.
    assert await publish_due(pool, broker, now=T0 + timedelta(minutes=9)) == 0
    assert await publish_due(pool, broker, now=T0 + timedelta(minutes=10)) == 1
    assert broker.kept[GATEWAY].pairing_until is None
    assert await publish_due(pool, broker, now=T0 + timedelta(minutes=11)) == 0
    later = await decide(home, Change(values={"rest_s": 9}), now=T0 + timedelta(hours=1))
    assert later.pairing_until is None


async def test_a_window_is_carried_on_while_it_is_open_and_shut_on_a_word(home: Home) -> None:
    await decide(home, Change(pairing_minutes=10))

    carried = await decide(home, Change(values={"rest_s": 9}), now=T0 + timedelta(minutes=1))
    shut = await decide(home, Change(pairing_minutes=0), now=T0 + timedelta(minutes=2))

    assert carried.pairing_until == T0 + timedelta(minutes=10)
    assert shut.pairing_until is None


async def test_the_configuration_follows_the_assignments_by_itself(home: Home, pool: Pool) -> None:
    first = await decide(home, Change(follows_assignments=True))
    assert first.devices == (AssignedDevice(id=CUFF), AssignedDevice(id=OXIMETER))
    assert await follow_assignments(pool, now=T0) == 0

    home.execute(
        "UPDATE assignment SET valid = tstzrange(lower(valid), %s) WHERE device_id = %s", T0, CUFF
    )
    assert await follow_assignments(pool, now=T0 + timedelta(minutes=1)) == 1
    assert await follow_assignments(pool, now=T0 + timedelta(minutes=2)) == 0

    broker = Retained()
    await publish_due(pool, broker, now=T0 + timedelta(minutes=2))
    assert broker.kept[GATEWAY].devices == (AssignedDevice(id=OXIMETER),)
    assert home.rows("gateway_configuration")[-1]["decided_by"] == "hemvital jobs"


async def test_nobody_assigned_is_no_device_and_not_any_device(home: Home, pool: Pool) -> None:
    home.execute("DELETE FROM assignment")

    made = await decide(home, Change(follows_assignments=True))

    assert made.devices == ()
    assert await follow_assignments(pool, now=T0) == 0


async def test_named_devices_end_following(home: Home, pool: Pool) -> None:
    await decide(home, Change(follows_assignments=True))
    await decide(home, Change(devices=[CUFF]))

    assert await follow_assignments(pool, now=T0) == 0


async def test_a_device_that_is_no_address_is_left_out_and_does_not_loop(
    home: Home, pool: Pool
) -> None:
    home.execute("UPDATE assignment SET device_id = 'cuff-2' WHERE false")
    other = document(2).model_dump(mode="json")
    other["devices"] = [{**one, "gateway_id": GATEWAY} for one in other["devices"]]
    async with await AsyncConnection.connect(home.database.dsn()) as opened:
        await registration.register(
            opened, registration.Registration.model_validate(other), now=datetime.now(UTC)
        )

    dsn = home.database.dsn("hemvital_operator")
    async with await AsyncConnection.connect(dsn) as opened:
        made = await configure(
            opened, GATEWAY, Change(follows_assignments=True), by="a nurse", now=T0
        )

    assert made.left_out == ("cuff-2",)
    assert await follow_assignments(pool, now=T0) == 0


async def test_what_this_program_cannot_read_is_told_once_a_version(
    home: Home, pool: Pool, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO, logger=job.__name__)
    monkeypatch.setattr(job, "_EVERY_S", 0.0)
    await decide(home, Change(follows_assignments=True))
    report(home, None)
    # As a later program may have written it; its devices are not those that are assigned.
    home.execute("UPDATE gateway_configuration SET content = '{\"devices\": []}'")
    rounds = 0

    def clock() -> datetime:
        nonlocal rounds
        rounds += 1  # twice a round
        if rounds > 8:
            raise asyncio.CancelledError
        return T0 + timedelta(hours=rounds)

    broker = Retained()
    with suppress(asyncio.CancelledError):
        await keep_configured(pool, broker, clock)

    assert [record.message for record in caplog.records if record.name == job.__name__] == [
        "a configuration cannot follow",
        "a configuration cannot be sent",
    ]
    assert broker.published == 0


async def test_after_a_restore_of_the_database_the_gateway_gets_a_newer_version(
    home: Home, pool: Pool
) -> None:
    await decide(home, Change(devices=[CUFF]))
    report(home, 7)  # the copy has forgotten six versions

    assert await follow_assignments(pool, now=T0 + timedelta(hours=2)) == 1
    assert await follow_assignments(pool, now=T0 + timedelta(hours=2)) == 0

    broker = Retained()
    await publish_due(pool, broker, now=T0 + timedelta(hours=2))
    kept = broker.kept[GATEWAY]
    assert (kept.version, kept.devices) == (8, (AssignedDevice(id=CUFF),))


async def test_a_gateway_that_claims_the_last_version_there_is_is_not_believed(
    home: Home, pool: Pool
) -> None:
    await decide(home, Change(devices=[CUFF]))
    report(home, 2**53)

    assert await follow_assignments(pool, now=T0 + timedelta(hours=2)) == 0
    assert (await decide(home, Change(devices=[OXIMETER]))).version == 2


async def test_a_document_says_where_a_device_stands_and_an_older_one_leaves_it(
    home: Home,
) -> None:
    home.execute("UPDATE device SET gateway_id = NULL")
    plain = document().model_dump(mode="json")
    placed: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(plain))
    placed["devices"][0]["gateway_id"] = GATEWAY

    for given in (placed, plain):
        async with await AsyncConnection.connect(home.database.dsn()) as opened:
            await registration.register(
                opened, registration.Registration.model_validate(given), now=datetime.now(UTC)
            )

    by_id = {row["id"]: row["gateway_id"] for row in home.rows("device")}
    assert by_id == {CUFF: GATEWAY, OXIMETER: None}
    assert id_of("patient-1")
