"""What is wrong and what happened, gathered from every part of the gateway.

`Standing` is the `gateway.reporting.Reports` of a running gateway: what it is told it keeps in
the gateway's file and hands to whoever tells the server.
"""

from __future__ import annotations

import logging
import re
import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID, uuid4

import msgspec

from device_adapters.contract.standing import (
    MAX_CONDITIONS,
    Condition,
    GatewayEvent,
    Happening,
    Problem,
)
from gateway.clock import Clock, Moment
from gateway.store import conditions
from gateway.store.database import Database
from gateway.store.events import Events

logger = logging.getLogger(__name__)

#: What begins again so soon after its end is the same as before.
FLAP_S: Final = 60.0
_MAX_DETAIL: Final = 200
_ADDRESS: Final = re.compile(r"[0-9A-F]{2}(:[0-9A-F]{2}){5}")

_Key = tuple[Problem, str | None]


@dataclass(slots=True)
class _Held:
    """One condition that holds."""

    condition: Condition
    is_flapping: bool = False
    ended_ns: int | None = None  # a flapping one's end, believed once it has lasted
    told_ns: int = 0  # when it was last written
    is_stale: bool = False  # it has changed since
    doubtful: Moment | None = None  # its beginning, if that was told by a clock not yet right


@dataclass(frozen=True, slots=True)
class _Past:
    """One that has ended a moment ago."""

    since: datetime
    ended_ns: int


class Standing:
    """Conditions that hold now and events to tell; never raises.

    A condition that begins again within a minute of its end is the same one: it keeps its first
    beginning, and from then on its end counts once it has lasted for a minute. So one that comes
    and goes by the second makes two events a minute at most.

    Args:
        database: Where conditions and events are kept.
        clock: Gives the times.
        events: What is to be told once.
        new_id: Makes events' ids.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        events: Events,
        *,
        new_id: Callable[[], UUID] = uuid4,
    ) -> None:
        self._database = database
        self._clock = clock
        self._events = events
        self._new_id = new_id
        self._past: dict[_Key, _Past] = {}
        self._is_unwritten = False
        self._on_change: Callable[[], None] = _nothing
        self._held: dict[_Key, _Held] = {
            (each.kind, each.device_id): _Held(each) for each in self._read()
        }

    def tell(self, on_change: Callable[[], None]) -> None:
        """Call this, in the event loop, whenever there is something new to tell."""
        self._on_change = on_change

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """Return what is wrong now, the gateway's own before its devices', oldest first."""
        found = [held.condition for held in self._held.values()]
        found.sort(key=lambda each: (each.device_id is not None, each.since, each.kind))
        return tuple(found)

    def holds(self, problem: Problem, device_id: str | None = None) -> bool:
        """Tell whether something is wrong now."""
        held = self._held.get((problem, device_id))
        return held is not None and held.ended_ns is None

    def begin(
        self,
        problem: Problem,
        *,
        device_id: str | None = None,
        detail: str | None = None,
        since: datetime | None = None,
    ) -> None:
        """Say that something is wrong; said again it keeps its beginning and takes the detail.

        ``since`` is given where the beginning is known and not now.
        """
        detail = None if detail is None else detail[:_MAX_DETAIL]
        held = self._held.get((problem, device_id))
        if held is None:
            self._begin(problem, device_id, detail, since)
            return
        held.ended_ns = None
        if detail != held.condition.detail:
            held.condition = msgspec.structs.replace(held.condition, detail=detail)
            held.is_stale = True
            self._tell_detail(held, self._clock.read().monotonic_ns)

    def end(self, problem: Problem, *, device_id: str | None = None) -> None:
        """Say that it is wrong no more; harmless where it was not."""
        held = self._held.get((problem, device_id))
        if held is None:
            return
        if held.is_flapping:
            held.ended_ns = held.ended_ns or self._clock.read().monotonic_ns
        else:
            self._end((problem, device_id))

    def end_devices(self, problem: Problem, *, but: Iterable[str]) -> None:
        """End a problem of every device but these: what is no longer here is not wrong."""
        kept = set(but)
        for kind, device_id in list(self._held):
            if kind is problem and device_id is not None and device_id not in kept:
                self._end((kind, device_id))

    def note(
        self, happening: Happening, *, device_id: str | None = None, detail: str | None = None
    ) -> None:
        """Say that something happened."""
        self._add(happening, device_id, detail=detail)
        extra = {"happening": happening, "device": device_id, "detail": detail}
        logger.info("something happened", extra=extra)
        self._on_change()

    def settle(self) -> None:
        """Believe ends that have lasted, and write what could not be written; called often."""
        now = self._clock.read()
        now_ns = now.monotonic_ns
        for key, held in list(self._held.items()):
            if held.doubtful is not None and now.is_synchronised:
                since = held.doubtful.rebased(now).at
                held.condition = msgspec.structs.replace(held.condition, since=since)
                held.doubtful, held.is_stale, held.told_ns = None, True, 0
            if held.ended_ns is not None and not _is_recent(held.ended_ns, now_ns):
                self._end(key)
            elif held.is_stale:
                self._tell_detail(held, now_ns)
        self._past = {
            key: past for key, past in self._past.items() if _is_recent(past.ended_ns, now_ns)
        }
        self._events.write()
        if self._is_unwritten:
            try:
                conditions.replace_all(self._database, self.conditions)
                self._is_unwritten = False
            except sqlite3.Error as error:
                self._note_unwritten(error)

    def _read(self) -> list[Condition]:
        try:
            return conditions.read(self._database)[:MAX_CONDITIONS]
        except sqlite3.Error as error:
            logger.warning("conditions cannot be read", extra={"reason": str(error)})
            return []

    def _begin(
        self,
        problem: Problem,
        device_id: str | None,
        detail: str | None,
        since: datetime | None,
    ) -> None:
        if len(self._held) >= MAX_CONDITIONS:
            logger.warning("too many conditions", extra={"condition": problem})
            return
        moment = self._clock.read()
        past = self._past.pop((problem, device_id), None)
        is_flapping = past is not None and _is_recent(past.ended_ns, moment.monotonic_ns)
        condition = Condition(
            kind=problem,
            since=past.since if past is not None and is_flapping else since or moment.at,
            device_id=device_id,
            detail=detail,
        )
        self._held[problem, device_id] = _Held(
            condition,
            is_flapping=is_flapping,
            told_ns=moment.monotonic_ns,
            doubtful=None if is_flapping or since or moment.is_synchronised else moment,
        )
        self._write(condition)
        self._add(Happening.BEGAN, device_id, condition=problem, detail=detail)
        logger.warning(
            "condition began",
            extra={"condition": problem, "device": device_id, "detail": detail},
        )
        self._on_change()

    def _tell_detail(self, held: _Held, now_ns: int) -> None:
        # A detail that changes by the second (an error's text) is told by the minute.
        if not _is_recent(held.told_ns, now_ns):
            held.told_ns, held.is_stale = now_ns, False
            self._write(held.condition)
            self._on_change()

    def _end(self, key: _Key) -> None:
        problem, device_id = key
        held = self._held.pop(key)
        self._past[key] = _Past(held.condition.since, self._clock.read().monotonic_ns)
        try:
            conditions.remove(self._database, problem, device_id)
        except sqlite3.Error as error:
            self._note_unwritten(error)
        self._add(Happening.ENDED, device_id, condition=problem)
        logger.info("condition ended", extra={"condition": problem, "device": device_id})
        self._on_change()

    def _add(
        self,
        happening: Happening,
        device_id: str | None,
        *,
        condition: Problem | None = None,
        detail: str | None = None,
    ) -> None:
        moment = self._clock.read()
        self._events.add(
            GatewayEvent(
                id=self._new_id(),
                at=moment.at,
                is_clock_synchronised=moment.is_synchronised,
                kind=happening,
                condition=condition,
                # An event's device is an address: anything else would make it unreadable.
                device_id=device_id if _ADDRESS.fullmatch(device_id or "") else None,
                detail=None if detail is None else detail[:_MAX_DETAIL],
            )
        )

    def _write(self, condition: Condition) -> None:
        try:
            conditions.put(self._database, condition)
        except sqlite3.Error as error:
            self._note_unwritten(error)

    def _note_unwritten(self, error: sqlite3.Error) -> None:
        self._is_unwritten = True
        logger.warning("conditions wait in memory", extra={"reason": str(error)})


def _is_recent(ended_ns: int, now_ns: int) -> bool:
    return now_ns - ended_ns < FLAP_S * 1e9


def _nothing() -> None:
    """Stand in for a listener until there is one."""
