"""Devices of a SIG service that only want to be listened to: subscribe, and they give all."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from device_adapters.contract.readings import Reading
from device_adapters.errors import FieldError
from device_adapters.session import Command, Disconnect, Session, Subscribe


@dataclass(frozen=True, slots=True, kw_only=True)
class ListeningAdapter:
    """Adapter of a service whose one record characteristic is indicated after subscribing.

    Args:
        service: UUID that the device advertises.
        measurement: Characteristic that carries the records; mandatory in the service.
        decode_measurement: Its codec.
        passed_over: Further characteristics of the service that carry no reading.
        idle_s: How long such a device may stay silent before it is hung up on.
    """

    service: str
    measurement: str
    decode_measurement: Callable[[bytes], Reading]
    passed_over: frozenset[str] = frozenset()
    idle_s: float

    @property
    def record_characteristics(self) -> frozenset[str]:
        """The one that carries records."""
        return frozenset({self.measurement})

    def matches(self, name: str | None, services: Collection[str]) -> bool:
        """Tell whether the device advertises the service."""
        del name  # names are for vendors' own protocols
        return self.service in services

    def open(self, characteristics: Collection[str]) -> Session:
        """Start to listen."""
        del characteristics  # the one it needs is mandatory in the service
        return _Listening(measurement=self.measurement, idle_s=self.idle_s)

    def decode(self, characteristic: str, value: bytes) -> Reading | None:
        """Read one notification of the service.

        Raises:
            DecodeError: If the bytes break the specification, or the characteristic is not one
                of the service's.
        """
        if characteristic == self.measurement:
            return self.decode_measurement(value)
        if characteristic in self.passed_over:
            return None
        raise FieldError(f"characteristic {characteristic}: not of this service")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Listening:
    """Subscribe and listen: the device sends what it has stored, then hangs up by itself."""

    measurement: str
    idle_s: float

    def start(self) -> Sequence[Command]:
        return (Subscribe(self.measurement),)

    def receive(self, characteristic: str, value: bytes) -> Sequence[Command]:
        del characteristic, value  # journalled by the gateway; nothing in it changes the course
        return ()

    def expire(self) -> Sequence[Command]:
        return (Disconnect(),)
