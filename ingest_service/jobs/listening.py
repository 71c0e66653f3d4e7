"""Keep what gateways say of themselves: decode, and write what changed."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections import Counter as Tally
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

import msgspec
import psycopg
from prometheus_client import CollectorRegistry, Counter

from device_adapters.contract.elements import ContractError
from device_adapters.contract.messages import MAX_ACCEPTED_BYTES, encode
from device_adapters.contract.standing import (
    GatewayEvent,
    GatewayStatus,
    decode_event,
    decode_status,
)
from device_adapters.contract.topics import gateway_of
from ingest_service.alerts.silence import OFFLINE_AFTER
from ingest_service.jobs.mailbox import Mailbox
from ingest_service.jobs.uplink import Note
from ingest_service.store import standing
from ingest_service.store.connections import Connection, Pool
from ingest_service.store.standing import ConditionRow, EventRow, Known, StatusRow

logger = logging.getLogger(__name__)

#: What comes within it is written together: a thousand gateways cost one transaction a second.
_PAUSE_S: Final = 1.0
_AGAIN_S: Final = 3.0
_MOST_AT_ONCE: Final = 500
_HEARTBEAT: Final = timedelta(seconds=15)

_EARLIEST: Final = datetime(2020, 1, 1, tzinfo=UTC)
_AHEAD: Final = timedelta(minutes=5)
_NUL: Final = b"\\u0000"  # the only way that JSON has to say what no text in the database holds


class Acknowledger(Protocol):
    """Where the messages come from."""

    @property
    def since(self) -> datetime | None:
        """Since when they come without a break, if they do."""
        ...

    def acknowledge(self, notes: Sequence[Note]) -> None:
        """Tell that these are dealt with."""
        ...


class ListeningMetrics:
    """What became of statuses and events."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._messages = Counter(
            "hemvital_gateway_messages",
            "Statuses and events of gateways, by what became of them.",
            ["kind", "outcome"],
            registry=registry,
        )
        for kind in ("status", "event"):
            for outcome in ("stored", "repeated", "undecodable", "unknown_gateway"):
                self._messages.labels(kind, outcome)
        self._dropped = Counter(
            "hemvital_gateway_messages_dropped",
            "Statuses and events dropped, since too many waited.",
            registry=registry,
        )

    def count(self, kind: str, outcome: str, number: int = 1) -> None:
        """Count messages."""
        self._messages.labels(kind, outcome).inc(number)

    def drop(self) -> None:
        """Count one that found no room."""
        self._dropped.inc()


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What one gateway's status or event says."""

    gateway_id: str
    received_at: datetime
    is_retained: bool
    value: GatewayStatus | GatewayEvent


async def listen(
    pool: Pool, mailbox: Mailbox, uplink: Acknowledger, metrics: ListeningMetrics
) -> None:
    """Store what comes, for ever; a database that is away is waited for.

    What comes meanwhile replaces what waits, so waiting needs no more room.
    """
    while True:
        notes = await mailbox.take()
        for start in range(0, len(notes), _MOST_AT_ONCE):
            part = notes[start : start + _MOST_AT_ONCE]
            said = read(part, metrics)
            await _store_surely(pool, said, metrics)
            uplink.acknowledge([note for note in part if not note.is_status])
        await asyncio.sleep(_PAUSE_S)


async def note_listening(pool: Pool, uplink: Acknowledger, clock: Callable[[], datetime]) -> None:
    """Keep a sign in the database that statuses come, for ever: without it nobody is away."""
    noted: tuple[datetime, datetime] | None = None
    while True:
        since, now = uplink.since, clock()
        is_fresh = noted is not None and noted[0] == since and now < noted[1] + _HEARTBEAT
        if since is not None and not is_fresh:
            try:
                async with pool.connection() as connection:
                    await standing.note_listening(connection, since=since, at=now)
                noted = since, now
            except psycopg.Error as error:
                logger.warning(
                    "could not note that gateways are heard",
                    extra={"error": type(error).__name__},
                )
        await asyncio.sleep(_PAUSE_S)


def read(notes: Sequence[Note], metrics: ListeningMetrics) -> list[Said]:
    """Return what can be read; the rest is counted and told, without a byte of it."""
    found: list[Said] = []
    for note in notes:
        kind = "status" if note.is_status else "event"
        gateway_id = ""
        try:
            gateway_id = gateway_of(note.topic)
            value = _value(note)
        except ContractError as error:
            metrics.count(kind, "undecodable")
            extra = {"gateway_id": gateway_id, "kind": kind, "error": str(error)[:200]}
            logger.warning("a gateway says what cannot be read", extra=extra)
            continue
        found.append(
            Said(
                gateway_id=gateway_id,
                received_at=note.received_at,
                is_retained=note.is_retained,
                value=value,
            )
        )
    return found


def _value(note: Note) -> GatewayStatus | GatewayEvent:
    if len(note.payload) > MAX_ACCEPTED_BYTES:
        raise ContractError(f"{len(note.payload)} bytes are too many")
    if _NUL in note.payload:
        raise ContractError("NUL, which no text in the database can hold")
    return decode_status(note.payload) if note.is_status else decode_event(note.payload)


async def _store_surely(pool: Pool, said: Sequence[Said], metrics: ListeningMetrics) -> None:
    while True:  # without an end: the database is away, and the box that fills is bounded
        if await _stored(pool, said, metrics):
            return
        await asyncio.sleep(_AGAIN_S)


async def _stored(pool: Pool, said: Sequence[Said], metrics: ListeningMetrics) -> bool:
    if not said:
        return True
    try:
        async with pool.connection() as connection, connection.transaction():
            tally = await store(connection, said)
    except (psycopg.OperationalError, psycopg.ProgrammingError, OSError) as error:
        # Away, overloaded, not migrated or refusing us: no message's fault.
        logger.warning(
            "the database cannot take what gateways say now",
            extra={"error": type(error).__name__},
        )
        return False
    except psycopg.Error as error:
        # The contract bounds all that can be said, so this is ours to mend; one gateway must
        # not silence the others meanwhile.
        if len(said) > 1:
            for one in said:
                await _store_surely(pool, [one], metrics)
            return True
        extra = {"gateway_id": said[0].gateway_id, "error": type(error).__name__}
        logger.error("what a gateway says cannot be stored", extra=extra)  # noqa: TRY400 its text may hold what was said
        return True
    for (kind, outcome), number in tally.items():
        metrics.count(kind, outcome, number)
    return True


async def store(connection: Connection, said: Sequence[Said]) -> Tally[tuple[str, str]]:
    """Write what changed, in a constant number of statements; tell what became of each."""
    tally = Tally[tuple[str, str]]()
    known = await standing.known(connection, {one.gateway_id for one in said})
    rows: dict[str, StatusRow] = {}
    conditions: dict[str, list[ConditionRow]] = {}
    repeated: dict[str, datetime] = {}
    events: list[EventRow] = []
    for one in said:
        before = known.get(one.gateway_id)
        kind = "status" if isinstance(one.value, GatewayStatus) else "event"
        if before is None:
            tally[kind, "unknown_gateway"] += 1
        elif isinstance(one.value, GatewayEvent):
            events.append(_event(one, one.value))
        else:
            row = _status(one, one.value, before)
            if _says_the_same(row, before):
                tally[kind, "repeated"] += 1
                if not one.is_retained:  # one that is retained may have been said long ago
                    repeated[one.gateway_id] = one.received_at
            else:
                tally[kind, "stored"] += 1
                rows[one.gateway_id] = row
                conditions[one.gateway_id] = _conditions(one, one.value, row.heard_at)
    if repeated:
        await standing.touch(connection, sorted(repeated), max(repeated.values()))
    if rows:
        await standing.put(
            connection,
            list(rows.values()),
            [each for found in conditions.values() for each in found],
            gap_s=int(OFFLINE_AFTER.total_seconds()),
        )
    if events:
        new = await standing.add_events(connection, events)
        tally["event", "stored"] += new
        tally["event", "repeated"] += len(events) - new
    return tally


def _status(one: Said, status: GatewayStatus, before: Known) -> StatusRow:
    # Its time changes with every status, and alone says nothing new.
    timeless = encode(msgspec.structs.replace(status, at=None))
    return StatusRow(
        gateway_id=one.gateway_id,
        is_online=status.is_online,
        heard_at=_heard_at(one, status, before),
        configuration=status.configuration,
        said=msgspec.Raw(encode(status)) if status.is_online else None,
        digest=hashlib.blake2b(timeless, digest_size=8).digest(),
    )


def _heard_at(one: Said, status: GatewayStatus, before: Known) -> datetime:
    """Return when it was said, by our clock; of what was retained, as far as it can be known."""
    if not one.is_retained:
        return one.received_at
    if status.at and status.is_clock_synchronised:
        return min(one.received_at, max(status.at, before.heard_at or _EARLIEST))
    # Said at some time since the last one: nothing is newer than that one for sure.
    return before.heard_at or one.received_at


def _says_the_same(row: StatusRow, before: Known) -> bool:
    if before.digest != row.digest or before.heard_at is None:
        return False
    return row.heard_at < before.heard_at + OFFLINE_AFTER or not row.is_online


def _conditions(one: Said, status: GatewayStatus, heard_at: datetime) -> list[ConditionRow]:
    rows: list[ConditionRow] = []
    for condition in status.conditions if status.is_online else ():
        since, is_trusted = _believed(condition.since, status.is_clock_synchronised, heard_at)
        rows.append(
            ConditionRow(
                gateway_id=one.gateway_id,
                kind=condition.kind,
                device_id=condition.device_id or "",
                since=since,
                is_since_trusted=is_trusted,
                detail=shown(condition.detail),
                heard_at=heard_at,
            )
        )
    return rows


def _event(one: Said, event: GatewayEvent) -> EventRow:
    at, is_trusted = _believed(event.at, event.is_clock_synchronised, one.received_at)
    return EventRow(
        gateway_id=one.gateway_id,
        id=event.id,
        at=at,
        is_at_trusted=is_trusted,
        kind=event.kind,
        condition=event.condition,
        device_id=event.device_id,
        detail=shown(event.detail),
        received_at=one.received_at,
    )


def _believed(
    said: datetime, is_synchronised: bool | None, heard_at: datetime
) -> tuple[datetime, bool]:
    """Return a gateway's time and whether it is right; one that cannot be is ours instead."""
    if not _EARLIEST <= said <= heard_at + _AHEAD:
        return heard_at, False
    return said, bool(is_synchronised)


def shown(text: str | None) -> str | None:
    """Return a gateway's sentence so that it can be read in one line of a terminal."""
    return None if text is None else "".join(c if c.isprintable() else "?" for c in text)
