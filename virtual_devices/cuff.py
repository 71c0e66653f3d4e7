"""A blood-pressure cuff: keeps readings until a host confirms them, oldest first."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import ClassVar, Final

from bumble import att
from bumble.core import UUID
from bumble.device import Connection, Device
from bumble.gatt import Characteristic, CharacteristicValue, Service

from virtual_devices import frames
from virtual_devices.ledger import Ledger
from virtual_devices.memory import Memory
from virtual_devices.peripheral import Identity, Manners, Peripheral
from virtual_devices.schedule import CuffStep
from virtual_devices.security import Security
from virtual_devices.session import Session

logger = logging.getLogger(__name__)

_FEATURES: Final = (0b0101).to_bytes(2, "little")  # body movement and irregular pulse are detected
_PRESSURES_SHOWN: Final = 8
_KPA_PER_MMHG: Final = Decimal("0.133322")
_OUT_OF_RANGE: Final = 0xFF  # Core Specification Supplement, Part B, common profile error codes


class Cuff(Peripheral[CuffStep]):
    """A cuff with a clock that a host may set, a memory, and a display nobody looks at.

    Args:
        clock: Wall-clock time in the home, with its zone; the device's own runs beside it.
        measuring_s: How long the cuff inflates and deflates before a reading is done.
    """

    service: ClassVar[UUID] = UUID("1810")
    record_uuid: ClassVar[str] = "00002a35-0000-1000-8000-00805f9b34fb"
    _pressure: Characteristic[bytes]

    def __init__(
        self,
        identity: Identity,
        *,
        memory: Memory,
        ledger: Ledger,
        security: Security,
        manners: Manners,
        clock: Callable[[], datetime],
        measuring_s: float,
    ) -> None:
        super().__init__(
            identity, memory=memory, ledger=ledger, security=security, manners=manners
        )
        self._clock = clock
        self._measuring_s = measuring_s
        self._is_measuring = False

    def services(self, device: Device) -> list[Service]:
        """Return the Blood Pressure Service, with a Date Time in it as A&D's cuffs have."""
        properties, permissions = Characteristic.Properties, Characteristic.Permissions
        self.records = self.security.characteristic(device, UUID("2A35"), properties.INDICATE)
        self._pressure = self.security.characteristic(device, UUID("2A36"), properties.NOTIFY)
        feature = Characteristic(UUID("2A49"), properties.READ, permissions.READABLE, _FEATURES)
        date_time = Characteristic(
            UUID("2A08"),
            properties.READ | properties.WRITE,
            permissions.READABLE | permissions.WRITEABLE,
            CharacteristicValue(read=self._read_clock, write=self._set_clock),
        )
        return [Service(self.service, [self.records, self._pressure, feature, date_time])]

    def has_news(self) -> bool:
        """Tell whether a reading waits to be fetched."""
        return bool(self.memory.records)

    async def measure(self, step: CuffStep) -> None:
        """Inflate, deflate and keep a reading."""
        self._is_measuring = True
        try:
            await self._inflate(step)
            self.keep(frames.blood_pressure(self._pressures(step)))
        finally:
            self._is_measuring = False
            self.announce()

    async def converse(self, session: Session) -> None:
        """Give all readings, each deleted once it is confirmed; stay while one is being made."""
        await session.wait_subscribed(self.records, within_s=self.manners.idle_s)
        while not session.is_over:
            if self.memory.records:
                record = self.memory.records[0]
                await self.give(session, record)
                self.memory.remove(record)
                await self.drop_if_due(session, "after_confirmation")
                await self.hang_up_if_asked(session)
            elif self._is_measuring:
                await self.wait_news(within_s=self.manners.idle_s)
            else:
                await self.wait_news(within_s=self.manners.linger_s)
                if not self.has_news() and not self._is_measuring:
                    return

    async def _inflate(self, step: CuffStep) -> None:
        for shown in range(_PRESSURES_SHOWN, 0, -1):
            await asyncio.sleep(self._measuring_s / _PRESSURES_SHOWN)
            if self.session is not None:
                pressure = (step.systolic * shown / _PRESSURES_SHOWN).to_integral_value()
                await self.session.notify(self._pressure, frames.cuff_pressure(pressure))

    def _pressures(self, step: CuffStep) -> frames.Pressures:
        mean = step.mean
        if mean is None:
            mean = (step.diastolic + (step.systolic - step.diastolic) / 3).to_integral_value()
        status = frames.CuffStatus(0)
        if step.movement:
            status |= frames.CuffStatus.BODY_MOVEMENT
        if step.irregular:
            status |= frames.CuffStatus.IRREGULAR_PULSE
        return frames.Pressures(
            systolic=None if step.error else step.systolic,
            diastolic=None if step.error else step.diastolic,
            mean=None if step.error else mean,
            is_kpa=step.unit == "kPa",
            at=frames.parts(self._now()),
            pulse=None if step.error else step.pulse or Decimal(72),
            user=step.user,
            status=status,
        )

    def _now(self) -> datetime:
        return self._clock().replace(tzinfo=None) + self.memory.clock_offset

    def _read_clock(self, _connection: Connection) -> bytes:
        return frames.date_time(frames.parts(self._now()))

    def _set_clock(self, _connection: Connection, value: bytes) -> None:
        try:
            written = frames.read_date_time(value)
        except ValueError as error:
            raise att.ATT_Error(_OUT_OF_RANGE) from error
        self.memory.clock_offset = written - self._clock().replace(tzinfo=None)
        logger.info("clock set", extra={"offset_s": self.memory.clock_offset.total_seconds()})
