"""What gateways say of themselves: kept once, believed as far as it can be, cheap, harmless."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest
from prometheus_client import CollectorRegistry
from psycopg import AsyncConnection

from device_adapters.contract.messages import encode
from device_adapters.contract.standing import (
    Condition,
    DeviceStanding,
    GatewayEvent,
    GatewayStatus,
    Happening,
    Problem,
)
from ingest_service.jobs.listening import ListeningMetrics, listen, read, store
from ingest_service.jobs.mailbox import Mailbox
from ingest_service.jobs.uplink import Note
from ingest_service.store import connections, standing
from ingest_service.store.connections import Connection
from tests.support.ingest import CUFF, GATEWAY, Home, registered
from tests.support.services import Database

pytestmark = pytest.mark.timescale

T0 = datetime(2026, 11, 25, 9, 0, tzinfo=UTC)
SAID = GatewayStatus(
    is_online=True,
    at=T0,
    software="1.2.0",
    is_clock_synchronised=True,
    is_listening=True,
    undelivered=0,
    configuration=3,
    devices=(DeviceStanding(id=CUFF, seen_at=T0),),
)
DEAF = Condition(kind=Problem.RADIO_DEAF, since=T0 - timedelta(hours=1), detail="no adapter")


@pytest.fixture
async def home(database: Database) -> Home:
    return await registered(database)


@pytest.fixture
async def jobs(home: Home) -> AsyncGenerator[Connection]:
    dsn = home.database.dsn("hemvital_jobs")
    async with await AsyncConnection.connect(dsn, autocommit=True) as opened:
        yield opened


def note(
    payload: bytes,
    *,
    at: datetime = T0,
    leaf: str = "status",
    gateway: str = GATEWAY,
    is_retained: bool = False,
) -> Note:
    return Note(1, 1, f"homes/hemvital/v1/{gateway}/{leaf}", payload, at, is_retained)


def saying(at: datetime = T0, **changes: Any) -> bytes:
    return encode(msgspec.structs.replace(SAID, at=at, **changes))


async def hear(jobs: Connection, *notes: Note) -> dict[tuple[str, str], int]:
    metrics = ListeningMetrics(CollectorRegistry())
    async with jobs.transaction():
        return dict(await store(jobs, read(notes, metrics)))


def times(row: dict[str, Any], *names: str) -> list[datetime | None]:
    return [datetime.fromisoformat(row[name]) if row[name] else None for name in names]


async def test_a_status_is_kept_and_one_that_says_the_same_moves_its_time_alone(
    home: Home, jobs: Connection
) -> None:
    await hear(jobs, note(saying()))
    later = T0 + timedelta(minutes=1)

    tally = await hear(jobs, note(saying(at=later), at=later))

    assert tally == {("status", "repeated"): 1}
    [row] = home.rows("gateway_status")
    assert times(row, "heard_at", "changed_at") == [later, T0]
    assert (row["is_online"], row["configuration"]) == (True, 3)
    assert row["said"]["software"] == "1.2.0"


async def test_a_last_will_keeps_what_was_said_and_ends_no_condition(
    home: Home, jobs: Connection
) -> None:
    await hear(jobs, note(saying(conditions=(DEAF,))))
    gone = T0 + timedelta(minutes=2)

    await hear(jobs, note(encode(GatewayStatus(is_online=False)), at=gone))

    [row] = home.rows("gateway_status")
    assert (row["is_online"], times(row, "changed_at")) == (False, [gone])
    assert row["said"]["software"] == "1.2.0"
    [condition] = home.rows("gateway_condition")
    assert condition["ended_at"] is None


async def test_conditions_have_beginnings_and_ends(home: Home, jobs: Connection) -> None:
    refused = Condition(kind=Problem.DEVICE_REFUSED, since=T0, device_id=CUFF)
    ended = T0 + timedelta(minutes=5)

    await hear(jobs, note(saying(conditions=(DEAF, refused))))
    await hear(jobs, note(saying(conditions=(refused,)), at=ended))
    await hear(jobs, note(saying(conditions=(refused, DEAF)), at=ended + timedelta(minutes=1)))

    rows = sorted(home.rows("gateway_condition"), key=lambda row: row["id"])
    told = [(row["kind"], row["device_id"], row["ended_at"] is not None) for row in rows]
    assert told == [
        ("device_refused", CUFF, False),
        ("radio_deaf", "", True),
        ("radio_deaf", "", False),
    ]
    assert times(rows[1], "since", "ended_at") == [DEAF.since, ended]
    assert rows[1]["detail"] == "no adapter"


@pytest.mark.parametrize(
    ("since", "is_synchronised", "kept"),
    [
        (T0 - timedelta(hours=1), True, (T0 - timedelta(hours=1), True)),
        (T0 - timedelta(hours=1), False, (T0 - timedelta(hours=1), False)),
        (datetime(1970, 1, 1, tzinfo=UTC), True, (T0, False)),
        (datetime(9999, 12, 31, tzinfo=UTC), True, (T0, False)),
        (datetime(1, 1, 1, tzinfo=UTC), False, (T0, False)),
    ],
)
async def test_a_time_is_believed_as_far_as_the_clock_was_right(
    home: Home,
    jobs: Connection,
    since: datetime,
    is_synchronised: bool,
    kept: tuple[datetime, bool],
) -> None:
    condition = Condition(kind=Problem.CLOCK_UNTRUSTED, since=since)

    await hear(jobs, note(saying(conditions=(condition,), is_clock_synchronised=is_synchronised)))

    [row] = home.rows("gateway_condition")
    assert times(row, "since", "first_heard_at") == [kept[0], T0]
    assert row["is_since_trusted"] is kept[1]


async def test_a_better_time_replaces_a_doubtful_one_and_not_the_other_way_round(
    home: Home, jobs: Connection
) -> None:
    doubtful = msgspec.structs.replace(DEAF, since=T0 - timedelta(days=9))

    for condition, is_right in ((doubtful, False), (DEAF, True), (doubtful, False)):
        status = saying(conditions=(condition,), is_clock_synchronised=is_right)
        await hear(jobs, note(status))

    [row] = home.rows("gateway_condition")
    assert (times(row, "since"), row["is_since_trusted"]) == ([DEAF.since], True)


async def test_an_event_that_is_told_twice_is_stored_once(home: Home, jobs: Connection) -> None:
    event = GatewayEvent(
        id=uuid4(),
        at=T0,
        is_clock_synchronised=False,
        kind=Happening.BEGAN,
        condition=Problem.BATTERY_LOW,
        device_id=CUFF,
        detail="15 %\x1b[2J",
    )
    told = note(encode(event), leaf="events")

    first = await hear(jobs, told, told)
    again = await hear(jobs, told)

    assert first == {("event", "stored"): 1, ("event", "repeated"): 1}
    assert again == {("event", "stored"): 0, ("event", "repeated"): 1}
    [row] = home.rows("gateway_event")
    assert (row["kind"], row["condition"], row["device_id"]) == ("began", "battery_low", CUFF)
    assert row["is_at_trusted"] is False
    assert row["detail"] == "15 %?[2J"


async def test_a_gateway_that_nobody_registered_is_counted_and_not_stored(
    home: Home, jobs: Connection
) -> None:
    tally = await hear(jobs, note(saying(), gateway="stranger"))

    assert tally == {("status", "unknown_gateway"): 1}
    assert home.rows("gateway_status") == []


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"{",
        b"\xff\x00",
        b"[" * 60_000,
        b'{"is_online":"Doe"}',
        b'{"is_online":true,"software":"Doe\\u0000"}',
        b'{"is_online":true,"conditions":[{"kind":"Doe","since":"2026-01-01T00:00:00Z"}]}',
        b'{"is_online":true,"undelivered":1e400}',
        b'{"is_online":true,"software":"' + b"x" * 140_000 + b'"}',
    ],
)
async def test_what_cannot_be_read_is_counted_and_the_next_is_served(
    home: Home, jobs: Connection, payload: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    registry = CollectorRegistry()
    metrics = ListeningMetrics(registry)

    said = read([note(payload), note(saying())], metrics)
    async with jobs.transaction():
        await store(jobs, said)

    labels = {"kind": "status", "outcome": "undecodable"}
    assert registry.get_sample_value("hemvital_gateway_messages_total", labels) == 1
    assert len(home.rows("gateway_status")) == 1
    assert "Doe" not in caplog.text
    assert all("Doe" not in str(vars(record)) for record in caplog.records)


async def test_conditions_of_the_same_name_in_one_status_are_one(
    home: Home, jobs: Connection
) -> None:
    again = msgspec.structs.replace(DEAF, detail="again")

    await hear(jobs, note(saying(conditions=(DEAF, again))))

    assert len(home.rows("gateway_condition")) == 1


async def test_a_retained_status_of_old_does_not_look_like_the_present(
    home: Home, jobs: Connection
) -> None:
    # The broker keeps it for whoever comes; the gateway may be gone, its will lost with a broker.
    await hear(jobs, note(saying()))
    later = T0 + timedelta(days=2)

    await hear(jobs, note(saying(), at=later, is_retained=True))

    [row] = home.rows("gateway_status")
    assert times(row, "heard_at") == [T0]


async def test_a_retained_status_that_is_news_counts_from_when_it_was_said(
    home: Home, jobs: Connection
) -> None:
    await hear(jobs, note(saying()))
    said_at, later = T0 + timedelta(hours=1), T0 + timedelta(days=2)

    retained = saying(at=said_at, software="1.3.0")
    await hear(jobs, note(retained, at=later, is_retained=True))

    [row] = home.rows("gateway_status")
    assert times(row, "heard_at") == [said_at]
    assert row["said"]["software"] == "1.3.0"


async def test_a_gateway_that_comes_back_after_a_silence_is_there_anew(
    home: Home, jobs: Connection
) -> None:
    await hear(jobs, note(saying()))
    back = T0 + timedelta(minutes=30)

    await hear(jobs, note(saying(at=back), at=back))

    [row] = home.rows("gateway_status")
    assert times(row, "changed_at") == [back]


async def test_a_thousand_gateways_that_say_the_same_cost_two_statements(
    home: Home, jobs: Connection
) -> None:
    home.execute(
        "INSERT INTO gateway SELECT 'home-' || n, care_unit_id"
        "  FROM gateway, generate_series(1, 1000) AS n"
    )
    first = [note(saying(), gateway=f"home-{n}") for n in range(1, 1001)]
    later = T0 + timedelta(minutes=1)
    again = [note(saying(at=later), gateway=f"home-{n}", at=later) for n in range(1, 1001)]
    await hear(jobs, *first)
    spoken = _Counting(jobs)

    async with jobs.transaction():
        tally = await store(spoken, read(again, ListeningMetrics(CollectorRegistry())))  # pyright: ignore[reportArgumentType] it does what a connection does

    assert tally == {("status", "repeated"): 1000}
    assert spoken.statements == 2
    assert home.count("gateway_status WHERE heard_at = '2026-11-25T09:01:00Z'") == 1000


async def test_only_the_newest_events_and_ended_conditions_are_kept(
    home: Home, jobs: Connection
) -> None:
    for n in range(6):
        at = T0 + timedelta(minutes=n)
        event = GatewayEvent(
            id=UUID(int=n), at=at, is_clock_synchronised=True, kind=Happening.STARTED
        )
        conditions = (DEAF,) if n % 2 else ()
        await hear(
            jobs,
            note(encode(event), leaf="events", at=at),
            note(saying(conditions=conditions), at=at),
        )

    await standing.trim(jobs, most=1)

    assert [row["id"] for row in home.rows("gateway_event")] == [str(UUID(int=5))]
    assert home.count("gateway_condition WHERE ended_at IS NOT NULL") == 1
    assert home.count("gateway_condition WHERE ended_at IS NULL") == 1


async def test_an_event_is_acknowledged_only_once_it_is_stored(home: Home) -> None:
    home.execute("REVOKE INSERT ON gateway_event FROM hemvital_jobs")
    box = Mailbox(asyncio.get_running_loop(), lambda: None)
    uplink = _Acknowledged()
    event = GatewayEvent(id=uuid4(), at=T0, is_clock_synchronised=True, kind=Happening.CONFIGURED)
    told, unread = note(encode(event), leaf="events"), note(b"{", leaf="events")
    box.put(told)
    box.put(unread)
    metrics = ListeningMetrics(CollectorRegistry())
    dsn = home.database.dsn("hemvital_jobs")

    async with connections.pool(dsn, name="test", size=1) as pool, asyncio.timeout(30):
        listening = asyncio.ensure_future(listen(pool, box, uplink, metrics))
        await asyncio.sleep(1)
        before = list(uplink.notes)
        home.execute("GRANT INSERT ON gateway_event TO hemvital_jobs")
        await uplink.has_heard.wait()
        listening.cancel()
        await asyncio.wait([listening])

    assert before == []
    assert uplink.notes == [told, unread]  # what cannot be read does not come again either
    assert len(home.rows("gateway_event")) == 1


class _Acknowledged:
    """Where messages come from, as far as it hears of them again."""

    def __init__(self) -> None:
        self.since: datetime | None = T0
        self.notes: list[Note] = []
        self.has_heard = asyncio.Event()

    def acknowledge(self, notes: Sequence[Note]) -> None:
        self.notes += notes
        self.has_heard.set()


class _Counting:
    """A connection that counts what is said to it."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.statements = 0

    async def execute(self, *given: Any, **named: Any) -> Any:
        self.statements += 1
        return await self._connection.execute(*given, **named)

    def cursor(self, *given: Any, **named: Any) -> Any:
        self.statements += 1  # one cursor, one statement
        return self._connection.cursor(*given, **named)
