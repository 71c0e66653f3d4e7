"""Few bytes that mean much work: bounded in one transaction, in statements and in the log."""

from __future__ import annotations

import asyncio
import logging

import msgspec
import pytest
from psycopg import AsyncConnection
from psycopg.conninfo import make_conninfo
from psycopg.rows import TupleRow
from psycopg_pool import AsyncConnectionPool

from device_adapters.contract.messages import Device
from ingest_service.admission.incoming import Incoming
from ingest_service.admission.outcome import Outcome
from ingest_service.admission.persistence import admit_surely
from ingest_service.store import connections
from tests.support.ingest import GATEWAY, Home, registered
from tests.support.services import Database

pytestmark = pytest.mark.timescale

# Each transaction has a minute (docs/explanation); a slow disk writes a thousand rows a second.
_MOST_AT_ONCE = 3_000


@pytest.fixture
async def home(database: Database) -> Home:
    return await registered(database)


async def admitted(home: Home, *messages: Incoming) -> list[Outcome]:
    async with connections.pool(home.database.dsn("hemvital_ingest"), name="test", size=1) as pool:
        return await admit_surely(pool, messages, clock=lambda: home.now)


async def test_numbers_that_cost_their_sender_nothing_are_dealt_with_in_small_transactions(
    home: Home,
) -> None:
    given = [home.raw_message(b"\x00", count=500) for _ in range(64)]

    outcomes = await admitted(home, *given)

    assert max(sum(outcome.counts.values()) for outcome in outcomes) <= _MOST_AT_ONCE
    assert home.count("delivery") == 64 * 500
    assert home.count("quarantine") == 64


async def test_a_text_that_no_column_takes_does_not_halve_the_batch(
    home: Home, caplog: pytest.LogCaptureFixture
) -> None:
    good = home.cuff("128", "82")
    bad = [home.cuff("192", "118", device=f"\0{number}") for number in range(50)]

    with caplog.at_level(logging.WARNING):
        [outcome] = await admitted(home, home.message(*bad, good))

    assert outcome.counts == {"stored": 1, "quarantined": 50}
    assert {one.reason for one in outcome.refused} == {"rejected"}
    assert all(one.is_red for one in outcome.refused)
    assert not [record for record in caplog.records if "split" in record.message]


async def test_a_name_that_is_padded_with_nul_is_stored(home: Home) -> None:
    reading = home.cuff("128", "82")
    device = Device(id=reading.device.id, manufacturer="Example\0\0", name="cuff\0")

    [outcome] = await admitted(home, home.message(msgspec.structs.replace(reading, device=device)))

    assert outcome.counts == {"stored": 1}


async def test_however_much_waits_without_a_number_the_next_is_looked_for_at_once(
    home: Home,
) -> None:
    # Every comparison with what waits once took a worker past its statement's 20 s, for ever.
    home.execute(
        """
        INSERT INTO quarantine (gateway_id, reason, detail, payload, payload_size)
        SELECT 'gateway-1', 'undecodable', '', decode(repeat(md5(n::text), 10), 'hex'), 160
          FROM generate_series(1, 100000) AS n
        """
    )
    nameless = [
        Incoming(gateway_id=GATEWAY, properties=[], payload=b"%d" % n, received_at=home.now)
        for n in range(256)
    ]

    async with asyncio.timeout(15):
        await admitted(home, *nameless)
        await admitted(home, *nameless)

    assert home.count("quarantine") == 100_000 + 256


async def test_a_batch_that_takes_longer_than_a_statement_may_is_halved(home: Home) -> None:
    home.execute(
        """
        CREATE FUNCTION wait_a_little() RETURNS trigger LANGUAGE plpgsql AS
        'BEGIN PERFORM pg_sleep(0.1); RETURN NEW; END';
        CREATE TRIGGER slow BEFORE INSERT ON delivery FOR EACH ROW EXECUTE FUNCTION wait_a_little()
        """
    )
    dsn = make_conninfo(
        home.database.dsn("hemvital_ingest"), options="-c statement_timeout=1000ms"
    )
    pool = AsyncConnectionPool(
        dsn, connection_class=AsyncConnection[TupleRow], min_size=1, max_size=1, open=False
    )

    async with asyncio.timeout(20), pool:
        message = home.message(*(home.cuff("128", "82") for _ in range(16)))
        outcomes = await admit_surely(pool, [message], clock=lambda: home.now)

    assert [outcome.counts for outcome in outcomes] == [{"stored": 8}, {"stored": 8}]
    assert home.count("quarantine") == 0
