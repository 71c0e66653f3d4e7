"""A pulse oximeter: keeps its last spot checks and reports them again whenever it is asked."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import ClassVar, Final

from bumble import att
from bumble.core import UUID
from bumble.device import Connection, Device
from bumble.gatt import Characteristic, CharacteristicValue, Service

from virtual_devices import frames, racp
from virtual_devices.ledger import Ledger
from virtual_devices.memory import Memory
from virtual_devices.peripheral import Identity, Manners, Peripheral
from virtual_devices.schedule import OximeterStep
from virtual_devices.security import Security
from virtual_devices.session import LinkLostError, Session

_PULSE_EVERY_S: Final = 1.0
# Bits 0-3: measurement status, storage and time stamps are supported; then the mask of the
# status bits that it may set.
_STATUS: Final = (
    frames.OximeterStatus.ONGOING
    | frames.OximeterStatus.FULLY_QUALIFIED
    | frames.OximeterStatus.FROM_STORAGE
)
_FEATURES: Final = (0b1101).to_bytes(2, "little") + _STATUS.to_bytes(2, "little")
_CCCD_NOT_CONFIGURED: Final = 0xFD  # Core Specification Supplement, Part B
_IN_PROGRESS: Final = 0xFE


class Oximeter(Peripheral[OximeterStep]):
    """An oximeter that advertises for a while after each spot check and never deletes one.

    Args:
        clock: Wall-clock time in the home, with its zone.
        monotonic: Seconds that only grow.
        finger_s: How long a finger stays in for a spot check.
        offered_s: How long it advertises after a spot check that nobody fetched.
        is_live: Whether it connects with the finger in and gives the fresh value at once; one
            that was given fresh is not stored.
    """

    service: ClassVar[UUID] = UUID("1822")
    record_uuid: ClassVar[str] = "00002a5e-0000-1000-8000-00805f9b34fb"
    _control: Characteristic[bytes]
    _stream: Characteristic[bytes]

    def __init__(
        self,
        identity: Identity,
        *,
        memory: Memory,
        ledger: Ledger,
        security: Security,
        manners: Manners,
        clock: Callable[[], datetime],
        monotonic: Callable[[], float],
        finger_s: float,
        offered_s: float,
        is_live: bool,
    ) -> None:
        super().__init__(
            identity, memory=memory, ledger=ledger, security=security, manners=manners
        )
        self._clock = clock
        self._monotonic = monotonic
        self._finger_s = finger_s
        self._offered_s = offered_s
        self._is_live = is_live
        self._is_finger_in = False
        self._offered_until: float | None = None
        self._request: bytes | None = None
        self._is_reporting = False
        self._is_aborted = False

    def services(self, device: Device) -> list[Service]:
        """Return the Pulse Oximeter Service."""
        properties, permissions = Characteristic.Properties, Characteristic.Permissions
        self.records = self.security.characteristic(device, UUID("2A5E"), properties.INDICATE)
        self._stream = self.security.characteristic(device, UUID("2A5F"), properties.NOTIFY)
        feature = Characteristic(UUID("2A60"), properties.READ, permissions.READABLE, _FEATURES)
        self._control = self.security.characteristic(
            device,
            UUID("2A52"),
            properties.INDICATE | properties.WRITE,
            CharacteristicValue(write=self._take_request),
        )
        return [Service(self.service, [self.records, self._stream, feature, self._control])]

    def has_news(self) -> bool:
        """Tell whether a spot check was made lately and not fetched, or is being made live."""
        if self._is_live and self._is_finger_in:
            return True
        return self._offered_until is not None and self._monotonic() < self._offered_until

    async def measure(self, step: OximeterStep) -> None:
        """Take a finger in, show its pulse, and keep the spot check or give it at once."""
        self._is_finger_in = True
        self.announce()
        try:
            await self._show_pulse(step)
            if not await self._give_fresh(step):
                self.keep(self._record(step, frames.OximeterStatus.FROM_STORAGE))
                self._offered_until = self._monotonic() + self._offered_s
        finally:
            self._is_finger_in = False
            self.announce()

    async def converse(self, session: Session) -> None:
        """Answer requests until a report is done, or nothing happens for a while."""
        self._request = None
        patience_s = self.manners.idle_s
        while not session.is_over:
            if self._request is None:
                await self.wait_news(within_s=patience_s)
            request, self._request = self._request, None
            if request is not None:
                if await self._answer(session, request):
                    self._offered_until = None
                    patience_s = self.manners.linger_s
            elif not self._is_finger_in:
                return

    async def _answer(self, session: Session, request: bytes) -> bool:
        """Carry out one request; tell whether it was a report that went to its end."""
        answer = racp.refusal(request)
        is_reported = False
        if answer is None and request[0] == racp.OpCode.COUNT:
            answer = racp.count_response(len(self.memory.records))
        elif answer is None and request[0] == racp.OpCode.REPORT:
            answer = await self._report(session)
            is_reported = not self._is_aborted
        elif answer is None:
            answer = racp.response(racp.OpCode.ABORT, racp.Outcome.SUCCESS)
        await self.drop_if_due(session, "answer")
        await session.indicate(self._control, answer)
        return is_reported

    async def _report(self, session: Session) -> bytes:
        """Give all records, oldest first; return the answer to the request."""
        if not self.memory.records:
            return racp.response(racp.OpCode.REPORT, racp.Outcome.NO_RECORDS)
        self._is_reporting, self._is_aborted = True, False
        try:
            for record in self.memory.records:
                if self._is_aborted:
                    return racp.response(racp.OpCode.ABORT, racp.Outcome.SUCCESS)
                await self.give(session, record)
                await self.drop_if_due(session, "after_confirmation")
                await self.hang_up_if_asked(session)
        finally:
            self._is_reporting = False
        return racp.response(racp.OpCode.REPORT, racp.Outcome.SUCCESS)

    async def _show_pulse(self, step: OximeterStep) -> None:
        left_s = self._finger_s
        while left_s > 0:
            if self.session is not None and not step.error:
                await self.session.notify(self._stream, frames.continuous(step.spo2, step.pulse))
            await asyncio.sleep(min(left_s, _PULSE_EVERY_S))
            left_s -= _PULSE_EVERY_S

    async def _give_fresh(self, step: OximeterStep) -> bool:
        """Give a spot check to a host that is listening; tell whether it was confirmed."""
        session = self.session
        if not self._is_live or session is None or not session.is_subscribed(self.records):
            return False
        record = self._record(step, frames.OximeterStatus(0))
        self.note_measured(record)
        with contextlib.suppress(LinkLostError):
            await self.give(session, record)
            return True
        return False

    def _record(self, step: OximeterStep, status: frames.OximeterStatus) -> bytes:
        spo2: Decimal | None = None if step.error else step.spo2
        pulse: Decimal | None = None if step.error else step.pulse
        now = self._clock().replace(tzinfo=None) + self.memory.clock_offset
        status |= frames.OximeterStatus.FULLY_QUALIFIED
        return frames.spot_check(spo2, pulse, frames.parts(now), status)

    def _take_request(self, _connection: Connection, value: bytes) -> None:
        """Take a request to the control point, or refuse to while another is served."""
        if self.session is None or not self.session.is_subscribed(self._control):
            raise att.ATT_Error(_CCCD_NOT_CONFIGURED)
        if self._is_reporting and value[:1] == bytes([racp.OpCode.ABORT]):
            self._is_aborted = True
        elif self._is_reporting or self._request is not None:
            raise att.ATT_Error(_IN_PROGRESS)
        else:
            self._request = bytes(value)
            self.announce()
