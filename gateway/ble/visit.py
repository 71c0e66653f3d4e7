"""One visit to one device: connect, subscribe, journal what it says, and part."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Protocol

from bleak import BleakClient
from bleak.backends.characteristic import BleakGATTCharacteristic
from bleak.backends.device import BLEDevice
from bleak_retry_connector import BleakClientWithServiceCache, establish_connection

from device_adapters.errors import DecodeError
from device_adapters.gatt.date_time import DATE_TIME, decode_date_time
from device_adapters.gatt.device_information import DESCRIPTION, describe
from device_adapters.gatt.record_access import is_write_allowed
from device_adapters.registry import Adapters
from device_adapters.session import (
    Command,
    DeviceAdapter,
    Disconnect,
    Session,
    Subscribe,
    Write,
)
from gateway.ble.failures import RADIO_ERRORS
from gateway.ble.ladder import Trouble, classify
from gateway.ble.outcome import Outcome
from gateway.clock import Clock
from gateway.effective_time import wall_clock
from gateway.observability import Metrics
from gateway.store.database import is_full
from gateway.store.journal import DeviceClock, Journal

logger = logging.getLogger(__name__)

BATTERY_LEVEL: Final = "00002a19-0000-1000-8000-00805f9b34fb"

_CONNECT_S: Final = 60.0
_CALL_S: Final = 15.0  # one GATT call; pairing may happen inside it
_LEARN_S: Final = 5.0  # what describing the device may add to a conversation that is over
_VISIT_S: Final = 180.0
_DISCONNECT_S: Final = 10.0
_MOST_WAITING: Final = 1024
_FULL: Final = 100


class Host(Protocol):
    """What a visit needs of BlueZ beside bleak."""

    async def battery(self, path: str) -> int | None:
        """Return the battery level that BlueZ read of the device at a path."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """A device that was heard advertising, and the adapter that serves it."""

    device: BLEDevice
    address: str
    name: str | None
    adapter: str


class Visitor:
    """Visits devices, several at a time, connecting to one at a time.

    Args:
        journal: Where every record goes first.
        adapters: The installed ones, by name.
        clock: The gateway's, to measure devices' clocks by.
        metrics: What happened, counted.
        on_journalled: Called when entries can be decoded.
        may_go_on: Whether there is room for more than the record that has just been kept.
        on_battery: Called with a device's address and how full its battery is, in percent.
    """

    def __init__(
        self,
        journal: Journal,
        adapters: Adapters,
        clock: Clock,
        metrics: Metrics,
        on_journalled: Callable[[], None],
        *,
        may_go_on: Callable[[], bool] = lambda: True,
        on_battery: Callable[[str, int], None] = lambda _address, _percent: None,
    ) -> None:
        self._may_go_on = may_go_on
        self._journal = journal
        self._adapters = adapters
        self._clock = clock
        self._metrics = metrics
        self._on_journalled = on_journalled
        self._on_battery = on_battery
        # BlueZ up to 5.66 fails connects that overlap.
        self._connecting = asyncio.Lock()

    async def visit(self, sighting: Sighting, host: Host) -> Outcome:
        """Visit one device; what goes wrong with it is in the outcome, and in the log.

        Raises:
            sqlite3.Error: If a record could not be kept, for another reason than a full disk:
                without a disk there is no gateway.
        """
        extra = {"device": sighting.address, "adapter": sighting.adapter}
        visit = _Visit(
            sighting,
            self._adapters[sighting.adapter],
            self._journal,
            self._metrics,
            self._on_journalled,
            may_go_on=self._may_go_on,
        )
        try:
            async with asyncio.timeout(_VISIT_S):
                await self._hold(visit, host)
        except RADIO_ERRORS as error:
            visit.fail(error)
        except sqlite3.Error as error:
            visit.failure = error
        if visit.failure is not None:
            if not is_full(visit.failure):
                raise visit.failure
            visit.problem = f"no room on the disk: {visit.failure}"
        if visit.problem:
            self._metrics.failures.labels("visit").inc()
            logger.warning("visit failed", extra=extra | {"reason": visit.problem})
        else:
            logger.info("visit ended", extra=extra | {"records": visit.records})
        trouble = (visit.trouble or Trouble.CONVERSATION) if visit.problem else None
        return Outcome(
            given=frozenset(visit.given),
            problem=visit.problem,
            trouble=trouble,
            is_met=visit.is_met,
            is_our_fault=visit.failure is not None,
        )

    async def _hold(self, visit: _Visit, host: Host) -> None:
        async with self._connecting, asyncio.timeout(_CONNECT_S):
            client = await visit.connect()
        self._metrics.connects.inc()
        try:
            async with asyncio.TaskGroup() as tasks:
                # The clock is asked for right behind the first subscription, not after it: a
                # cuff with one record may hang up as soon as that is confirmed.
                talking = tasks.create_task(visit.talk(client))
                learning = tasks.create_task(
                    visit.learn(client, self._clock, host, self._on_battery)
                )
                await asyncio.wait([talking])
                if client.is_connected:
                    await asyncio.wait([learning], timeout=_LEARN_S)
                learning.cancel()
        finally:
            visit.settle()
            with suppress(*RADIO_ERRORS):
                async with asyncio.timeout(_DISCONNECT_S):
                    await client.disconnect()


class _Visit:
    """What is known of one visit while it lasts."""

    def __init__(
        self,
        sighting: Sighting,
        adapter: DeviceAdapter,
        journal: Journal,
        metrics: Metrics,
        on_journalled: Callable[[], None],
        *,
        may_go_on: Callable[[], bool],
    ) -> None:
        self._may_go_on = may_go_on
        self._sighting = sighting
        self._adapter = adapter
        self._journal = journal
        self._metrics = metrics
        self._on_journalled = on_journalled
        # None: the device hung up, or its records cannot be kept.
        self._heard: asyncio.Queue[tuple[str, bytes] | None] = asyncio.Queue()
        self._number = 0
        self._is_settled = False
        self._clock: DeviceClock | None = None
        self._device = describe(sighting.address, sighting.name, {})
        self.is_met = False
        self.records = 0
        self.given: set[bytes] = set()
        self.problem: str | None = None
        self.trouble: Trouble | None = None
        self.failure: sqlite3.Error | None = None

    def fail(self, error: BaseException) -> None:
        """Note what the radio raised."""
        self.problem = f"{type(error).__name__}: {error}"
        self.trouble = classify(error)

    async def connect(self) -> BleakClient:
        """Connect, and note the connection in the journal."""
        client = await establish_connection(
            BleakClientWithServiceCache,
            self._sighting.device,
            self._sighting.address,
            disconnected_callback=lambda _: self._heard.put_nowait(None),
            # A device that has gone back to sleep must not keep the others waiting twice; one
            # that advertises on is visited again.
            max_attempts=1,
            # What BlueZ remembers of a device's services may be older than its firmware, or
            # than BlueZ's own restart.
            use_services_cache=False,
        )
        if client.is_connected:
            # Attempts that failed have said "disconnected" too.
            while not self._heard.empty():
                self._heard.get_nowait()
        self.is_met = True
        try:
            self._number = self._journal.connected(self._sighting.adapter, self._device)
        except sqlite3.Error:
            with suppress(*RADIO_ERRORS):
                await client.disconnect()
            raise
        return client

    async def talk(self, client: BleakClient) -> None:
        """Carry the session's commands out until it ends or the device hangs up."""
        there = {each.uuid for service in client.services for each in service.characteristics}
        try:
            session = self._adapter.open(there)
            is_open = await self._carry_out(client, session.start())
            while is_open:
                is_open = await self._carry_out(client, await self._next(session))
        except RADIO_ERRORS as error:
            # A device that gave its records and left in the middle of a call has said all.
            if client.is_connected or not self.records:
                self.fail(error)
        except (ArithmeticError, LookupError, TypeError, ValueError) as error:
            # A third party's adapter that does not keep its promise: what it was told is in the
            # journal, and the other devices' conversations go on.
            self.problem = f"adapter failed: {type(error).__name__}"
            logger.exception("adapter failed", extra={"device": self._sighting.address})

    async def learn(
        self,
        client: BleakClient,
        clock: Clock,
        host: Host,
        on_battery: Callable[[str, int], None],
    ) -> None:
        """Read the device's clock, then who made it, then its battery; all are optional."""
        shown = await _read(client, DATE_TIME)
        with suppress(DecodeError):
            if shown and (wall := wall_clock(decode_date_time(shown))):
                self._clock = DeviceClock(shown=wall, read=clock.read())
        # What BlueZ knows already comes before what the device has to be asked for.
        percent = await self._known_battery(host)
        self._tell(percent, on_battery)
        values: dict[str, bytes] = {}
        for characteristic in DESCRIPTION:
            if value := await _read(client, characteristic):
                values[characteristic] = value
                self._device = describe(self._sighting.address, self._sighting.name, values)
        self.settle()
        if percent is None and (level := await _read(client, BATTERY_LEVEL)):
            self._tell(level[0], on_battery)

    def _tell(self, percent: int | None, on_battery: Callable[[str, int], None]) -> None:
        # Devices that do not measure it show 0; more than 100 is no percentage.
        if percent is not None and 0 < percent <= _FULL:
            on_battery(self._sighting.address, percent)

    async def _known_battery(self, host: Host) -> int | None:
        path = self._sighting.device.details.get("path")
        with suppress(*RADIO_ERRORS):
            return None if path is None else await host.battery(str(path))
        return None

    def settle(self) -> None:
        """Say that nothing more will be learnt of the device: its records can be decoded."""
        if not self._is_settled:
            try:
                self._journal.settle(self._number, self._device, self._clock)
            except sqlite3.Error as error:
                self.failure = error  # what was journalled is decoded after the next start
                return
            self._is_settled = True
            self._on_journalled()

    async def _next(self, session: Session) -> Sequence[Command]:
        try:
            async with asyncio.timeout(session.idle_s):
                heard = await self._heard.get()
        except TimeoutError:
            return session.expire()
        return (Disconnect(),) if heard is None else session.receive(*heard)

    async def _carry_out(self, client: BleakClient, commands: Sequence[Command]) -> bool:
        for command in commands:
            match command:
                case Subscribe(characteristic):
                    async with asyncio.timeout(_CALL_S):
                        await client.start_notify(characteristic, self._listener(characteristic))
                case Write(characteristic, value):
                    if not is_write_allowed(characteristic, value):
                        self.problem = f"write to {characteristic} is not allowed"
                        return False
                    async with asyncio.timeout(_CALL_S):
                        await client.write_gatt_char(characteristic, value, response=True)
                case Disconnect(problem):
                    self.problem = problem
                    return False
        return True

    def _listener(
        self, characteristic: str
    ) -> Callable[[BleakGATTCharacteristic, bytearray], None]:
        is_record = characteristic in self._adapter.record_characteristics

        def listen(_sender: BleakGATTCharacteristic, data: bytearray) -> None:
            started_s = time.perf_counter()
            value = bytes(data)
            if is_record:
                self._keep(characteristic, value)
                self._metrics.journal_seconds.observe(time.perf_counter() - started_s)
            self._metrics.indications.inc()
            if self._heard.qsize() < _MOST_WAITING:
                self._heard.put_nowait((characteristic, value))

        return listen

    def _keep(self, characteristic: str, value: bytes) -> None:
        try:
            trace_id = self._journal.append(self._number, characteristic, value)
        except sqlite3.Error as error:
            # Hang up at once, so that the device keeps what it has not given yet.
            self.failure = error
            self._metrics.failures.labels("journal").inc()
            self._heard.put_nowait(None)
            logger.critical("record could not be kept", extra={"reason": str(error)})
            return
        self.records += 1
        self.given.add(hashlib.blake2b(value, digest_size=8).digest())
        logger.info(
            "record journalled",
            extra={"trace_id": trace_id, "device": self._sighting.address},
        )
        if self._is_settled:
            self._on_journalled()
        if not self._may_go_on():
            # It was kept in the reserve: the device keeps the rest until there is room.
            self.problem = "no room on the disk"
            self._heard.put_nowait(None)


async def _read(client: BleakClient, characteristic: str) -> bytes | None:
    found = client.services.get_characteristic(characteristic) if client.is_connected else None
    if found is None:
        return None
    try:
        async with asyncio.timeout(_CALL_S):
            return bytes(await client.read_gatt_char(found))
    except RADIO_ERRORS as error:
        logger.debug("device's own description not read", extra={"reason": str(error)})
        return None
