"""What the virtual devices share: life on the air, sessions one at a time, bonds, faults."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final, Generic, TypeVar

from bumble import core, data_types
from bumble.core import UUID, AdvertisingData
from bumble.device import Connection, Device
from bumble.gatt import Characteristic, Service
from bumble.profiles.battery_service import BatteryService
from bumble.profiles.device_information_service import DeviceInformationService

from virtual_devices import host
from virtual_devices.drops import Drop, Drops, Point
from virtual_devices.ledger import Ledger
from virtual_devices.memory import Memory
from virtual_devices.schedule import CuffStep, Fault, OximeterStep
from virtual_devices.security import Security
from virtual_devices.session import LinkLostError, Session

logger = logging.getLogger(__name__)

Step = TypeVar("Step", CuffStep, OximeterStep)

_LOOK_AGAIN_S: Final = 0.2
_POWER_ON_WITHIN_S: Final = 10.0
_LEAVE_WITHIN_S: Final = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What a device says of itself; ``address`` is a static random one, ``F0:00:00:00:00:01``."""

    address: str
    name: str
    manufacturer: str
    model: str
    serial: str
    firmware: str
    battery_percent: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Manners:
    """How a device behaves towards a host.

    ``advertising_ms``: between advertisements. ``linger_s``: how long it stays connected after
    its last record. ``idle_s``: how long it waits for a host that asks for nothing.
    """

    advertising_ms: float = 100.0
    linger_s: float = 1.0
    idle_s: float = 10.0


class Peripheral(ABC, Generic[Step]):
    """A device that lives as long as its process, whatever becomes of the air.

    A subclass says what it offers (`services`, `has_news`), how it measures and how it talks
    (`converse`). Its records are values of one characteristic, ``records``.
    """

    service: ClassVar[UUID]
    record_uuid: ClassVar[str]
    records: Characteristic[bytes]

    def __init__(
        self,
        identity: Identity,
        *,
        memory: Memory,
        ledger: Ledger,
        security: Security,
        manners: Manners,
    ) -> None:
        self.identity = identity
        self.memory = memory
        self.security = security
        self.manners = manners
        self.is_ready = asyncio.Event()
        self.session: Session | None = None
        self._ledger = ledger
        self._news = asyncio.Event()
        self._leave = asyncio.Event()
        self._away_s = 0.0
        self._hang_up_after: int | None = None
        self._is_next_doubled = False
        self._drops = Drops()
        self._battery_percent = identity.battery_percent

    @abstractmethod
    def services(self, device: Device) -> list[Service]:
        """Return the services of its own, made anew each time it comes on the air."""

    @abstractmethod
    def has_news(self) -> bool:
        """Tell whether there is a reason to advertise."""

    @abstractmethod
    async def measure(self, step: Step) -> None:
        """Measure once and keep the record.

        Raises:
            ValueError: If no such device could show these values.
        """

    @abstractmethod
    async def converse(self, session: Session) -> None:
        """Talk over one connection until done; the caller hangs up.

        Raises:
            LinkLostError: If the other side goes away or does not listen.
        """

    async def follow(self, steps: AsyncIterator[Step | Fault]) -> None:
        """Measure, or let something go wrong, as the steps come."""
        async for step in steps:
            if isinstance(step, Fault):
                await self.suffer(step)
                continue
            try:
                await self.measure(step)
            except ValueError as error:
                logger.warning("step left out", extra={"reason": str(error)})

    async def run(self, air: Path) -> None:
        """Live on the air for ever: attach, serve, and attach again when it is lost."""
        config = host.configuration(self.identity.address, self.identity.name)
        config.advertising_interval_min = self.manners.advertising_ms
        config.advertising_interval_max = self.manners.advertising_ms
        attempt = 0
        while True:
            try:
                async with host.attached(air, config, self.security.keys) as attachment:
                    await self._prepare(attachment.device)
                    attempt = 0
                    await self._serve_until_lost(attachment)
            except* (OSError, core.BaseBumbleError) as errors:
                logger.info("off the air", extra={"reason": repr(errors.exceptions[0])})
            self._leave.clear()
            await asyncio.sleep(self._away_s)
            self._away_s = 0.0
            await host.pause(attempt)
            attempt += 1

    async def suffer(self, fault: Fault) -> None:
        """Let something go wrong, at once or at its next occasion."""
        match fault.fault:
            case "out_of_range":
                self._go_away(fault.for_s)
            case "drop_bond":
                await self.security.forget()
            case "hang_up":
                self._hang_up_after = fault.after_records
            case "duplicate":
                self._is_next_doubled = True
            case "drop":
                away_s = fault.for_s if fault.silent else None
                self._drops.plan(fault.at, Drop(fault.nth, away_s))
            case "battery":
                self._battery_percent = fault.percent

    def keep(self, record: bytes) -> None:
        """Store a record that was just measured, and look for a host to give it to."""
        self.note_measured(record)  # first: what can be given must stand in the ledger
        dropped = self.memory.append(record)
        if dropped is not None:
            self._ledger.write("dropped", self.record_uuid, dropped)
        self.announce()

    def note_measured(self, record: bytes) -> None:
        """Enter a new record in the ledger."""
        self._ledger.write("measured", self.record_uuid, record)

    def announce(self) -> None:
        """Wake whoever waits for something to happen."""
        self._news.set()

    async def wait_news(self, *, within_s: float) -> None:
        """Wait until something happens, or the time is over."""
        self._news.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._news.wait()

    async def give(self, session: Session, record: bytes) -> None:
        """Indicate a record; it counts as given once the other side has confirmed.

        Raises:
            LinkLostError: If it was not confirmed.
        """
        times, self._is_next_doubled = 1 + self._is_next_doubled, False
        for _ in range(times):
            await self.drop_if_due(session, "indication")
            await session.indicate(self.records, record)
            self._ledger.write("given", self.record_uuid, record)

    async def drop_if_due(self, session: Session, point: Point) -> None:
        """Drop the link if that was asked for at this point.

        Raises:
            LinkLostError: If it was.
        """
        if drop := self._drops.reach(point):
            await self._drop(session, drop)
            raise LinkLostError(f"dropped at {point}, as asked")

    async def _drop(self, session: Session, drop: Drop) -> None:
        if drop.away_s is None:
            await session.hang_up()
            return
        session.abandon()
        self._go_away(drop.away_s)
        await asyncio.sleep(_LEAVE_WITHIN_S)  # cancelled when the device has left the air

    def _go_away(self, for_s: float) -> None:
        """Leave the air without a word."""
        self._away_s = for_s
        self._leave.set()

    async def hang_up_if_asked(self, session: Session) -> None:
        """Count a record towards the fault ``hang_up``, and hang up when it is due.

        Raises:
            LinkLostError: If it did.
        """
        if self._hang_up_after is None:
            return
        self._hang_up_after -= 1
        if self._hang_up_after <= 0:
            self._hang_up_after = None
            await session.hang_up()
            raise LinkLostError("hung up in the middle, as asked")

    async def _prepare(self, device: Device) -> None:
        self.security.guard(device)
        device.add_services(
            [
                DeviceInformationService(
                    manufacturer_name=self.identity.manufacturer,
                    model_number=self.identity.model,
                    serial_number=self.identity.serial,
                    firmware_revision=self.identity.firmware,
                ),
                BatteryService(lambda _connection: self._battery_percent),
                *self.services(device),
            ]
        )
        self._drops.watch(device.gatt_server, self._drop_at_request)
        async with asyncio.timeout(_POWER_ON_WITHIN_S):
            await device.power_on()
        self.is_ready.set()

    def _drop_at_request(self, connection: Connection, drop: Drop) -> None:
        if drop.away_s is None:
            connection.cancel_on_disconnection(connection.disconnect())
        else:
            self._go_away(drop.away_s)

    async def _serve_until_lost(self, attachment: host.Attachment) -> None:
        """Serve hosts until the air is lost, or walk out of range without a word."""
        async with asyncio.TaskGroup() as tasks:
            serving = tasks.create_task(self._serve(attachment.device), name="serve")
            leaving = tasks.create_task(self._leave.wait(), name="leave")
            await asyncio.wait(
                {serving, leaving, attachment.lost}, return_when=asyncio.FIRST_COMPLETED
            )
            await attachment.leave()
            serving.cancel()
            leaving.cancel()

    async def _serve(self, device: Device) -> None:
        connections: asyncio.Queue[Connection] = asyncio.Queue()
        device.on(device.EVENT_CONNECTION, connections.put_nowait)
        while not self._leave.is_set():
            self._news.clear()
            if not self.has_news():
                await self._news.wait()  # for ever: a device that nobody uses does nothing
                continue
            connection = await self._advertise(device, connections)
            if connection is not None:
                await self._talk(Session(device, connection, on_end=self.announce))

    async def _advertise(
        self, device: Device, connections: asyncio.Queue[Connection]
    ) -> Connection | None:
        """Advertise until a host connects, or the reason to advertise has gone."""
        flags = (
            AdvertisingData.Flags.LE_GENERAL_DISCOVERABLE_MODE
            | AdvertisingData.Flags.BR_EDR_NOT_SUPPORTED
        )
        said = [
            data_types.Flags(flags),
            data_types.CompleteListOf16BitServiceUUIDs([self.service]),
        ]
        answer = [data_types.CompleteLocalName(self.identity.name)]
        await device.start_advertising(
            advertising_data=bytes(AdvertisingData(said)),
            scan_response_data=bytes(AdvertisingData(answer)),
        )
        while self.has_news():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_AGAIN_S):
                    return await connections.get()
        await device.stop_advertising()
        return None if connections.empty() else connections.get_nowait()

    async def _talk(self, session: Session) -> None:
        self.session = session
        logger.info("connected")
        try:
            await self.drop_if_due(session, "connect")
            await self.converse(session)
        except (LinkLostError, core.BaseBumbleError) as error:
            logger.info("session ended early", extra={"reason": str(error)})
        finally:
            self.session = None
            await session.hang_up()
        logger.info("disconnected")
