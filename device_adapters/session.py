"""Conversations with devices as state machines: bytes in, commands out, no radio and no clock.

The gateway's part, in order: it picks an adapter by `DeviceAdapter.matches` from one
advertisement, connects, reads the Device Information Service and, where there is one, the
device's clock (`device_adapters.gatt.device_information`, `device_adapters.gatt.date_time`),
opens a session and carries out what `Session.start` returns. It writes each notification of a
characteristic in `DeviceAdapter.record_characteristics` to its journal first and passes every
notification to `Session.receive`. Readings do not come out of the session: `read_frame` decodes
journalled bytes without it, so a crash in mid-conversation loses nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from device_adapters.contract.readings import Reading, UnsupportedFrame
from device_adapters.errors import DecodeError, TruncatedError


@dataclass(frozen=True, slots=True)
class Subscribe:
    """Ask the gateway to enable notifications or indications."""

    characteristic: str


@dataclass(frozen=True, slots=True)
class Write:
    """Ask the gateway to write a value and wait for the response."""

    characteristic: str
    value: bytes


@dataclass(frozen=True, slots=True)
class Disconnect:
    """Ask the gateway to hang up: the conversation is over.

    ``problem`` says what kept the device from giving all it has, so that the gateway tries again
    at its next advertisement; ``None`` when nothing did. It holds no reading.
    """

    problem: str | None = None


Command = Subscribe | Write | Disconnect


class Session(Protocol):
    """One connection's conversation. Commands are carried out in order, one at a time.

    A device that hangs up ends the session as well as a `Disconnect` does: for most cuffs it is
    the normal end.
    """

    @property
    def idle_s(self) -> float:
        """How long the device may stay silent before the gateway calls `expire`."""
        ...

    def start(self) -> Sequence[Command]:
        """Return the commands to carry out once connected."""
        ...

    def receive(self, characteristic: str, value: bytes) -> Sequence[Command]:
        """Take one notification and return what to do next, mostly nothing. Never raises."""
        ...

    def expire(self) -> Sequence[Command]:
        """Take note of ``idle_s`` seconds of silence; the last command returned hangs up."""
        ...


class DeviceAdapter(Protocol):
    """Recognises a device family, talks to it, and reads its records."""

    @property
    def record_characteristics(self) -> frozenset[str]:
        """Characteristics whose notifications carry records: journalled before anything else."""
        ...

    def matches(self, name: str | None, services: Collection[str]) -> bool:
        """Tell from one advertisement whether this adapter serves the device.

        Args:
            name: Local name, if one was advertised.
            services: Advertised service UUIDs, 128-bit, lower case.
        """
        ...

    def open(self, characteristics: Collection[str]) -> Session:
        """Start a conversation with a device that has these characteristics."""
        ...

    def decode(self, characteristic: str, value: bytes) -> Reading | None:
        """Read one notification on its own, without the conversation it came in.

        Returns:
            The reading, or ``None`` where the value is none: an intermediate pressure, an answer
            of a control point.

        Raises:
            DecodeError: If the bytes break the specification, or the characteristic is not one
                of this adapter's.
        """
        ...


def read_frame(adapter: DeviceAdapter, characteristic: str, value: bytes) -> Reading | None:
    """Decode as ``adapter`` does, with an `UnsupportedFrame` in place of a `DecodeError`.

    So that bytes which no codec can read travel, and are stored and shown, like all others.
    """
    try:
        return adapter.decode(characteristic, value)
    except DecodeError as error:
        return UnsupportedFrame(reason=str(error), is_truncated=isinstance(error, TruncatedError))
