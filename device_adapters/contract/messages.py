"""Messages between gateway and server: what travels, and how it is told apart.

A message on ``readings`` is the JSON object `Message`; its records have consecutive numbers in
the gateway's epoch. Where it stands among the gateway's records is in the MQTT user properties
(`Delivery`), so that a message whose payload cannot be read can still be receipted whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Final
from uuid import UUID

import msgspec

from device_adapters.contract.configuration import GatewayConfiguration
from device_adapters.contract.elements import (
    ContractError,
    Generation,
    Id,
    Name,
    Nanoseconds,
    Raw,
    Time,
    TraceId,
)
from device_adapters.contract.elements import decode as decoded
from device_adapters.contract.readings import (
    BloodPressure,
    BodyTemperature,
    BodyWeight,
    HeartRate,
    OximetrySeries,
    PulseOximetry,
    Reading,
    UnsupportedFrame,
    is_bounded,
)
from device_adapters.contract.standing import GatewayEvent, GatewayStatus

SCHEMA_VERSION: Final = "1.2"
SCHEMA_MAJOR: Final = 1

# Each limit lies below the next one down the way: what the gateway sends fits ingest's own
# limit, and what ingest refuses has still passed the broker and can be kept and receipted.
MAX_SENT_BYTES: Final = 64 * 1024
MAX_ACCEPTED_BYTES: Final = 128 * 1024
MAX_BROKER_BYTES: Final = 256 * 1024
MAX_RECORDS: Final = 500


class TimeQuality(StrEnum):
    """How far ``effective_at`` can be trusted."""

    SYNCHRONISED = "synchronised"  # the device's clock was read and agreed with a synchronised one
    CORRECTED = "corrected"  # device time moved by the offset measured in that connection
    ESTIMATED = "estimated"  # device clock not measured, or the time of reception stands in
    UNKNOWN = "unknown"  # the gateway's own clock was not synchronised


class Device(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The device as it named itself; ``id`` is its Bluetooth identity address."""

    id: Id
    name: Name | None = None
    manufacturer: Name | None = None
    model: Name | None = None
    serial: Name | None = None
    firmware: Name | None = None


class Reception(msgspec.Struct, frozen=True, kw_only=True):
    """How the gateway came by the bytes.

    ``received_at`` is the gateway's UTC; ``monotonic_ns`` counts within ``boot_id`` only;
    ``device_clock_offset_s`` is gateway minus device, measured in that connection.
    """

    characteristic: Id
    raw: Raw
    received_at: Time
    boot_id: UUID
    monotonic_ns: Nanoseconds
    is_clock_synchronised: bool
    device_clock_offset_s: float | None = None


class Measuring(msgspec.Struct, frozen=True, kw_only=True):
    """How a reading was made, as far as the gateway saw it.

    ``rest_s`` is the time since the same device's reading before it (of the same user, where the
    device tells users apart), by the device's own clock where both have its time. It is too close
    where that is less than the rest that the configuration asks for.
    """

    rest_s: float
    is_too_close: bool


class ReadingRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="reading"):
    """One device record with all that was known about it at the gateway.

    ``effective_at`` keeps the home's UTC offset as sent. ``is_identity_own`` is false where the
    record has no time or number of its own and goes by the gateway's. ``measuring`` is absent for
    a device's first reading, and where no earlier one can be compared.
    """

    record_id: UUID
    is_identity_own: bool
    device: Device
    reset_generation: Generation
    adapter: Id
    reception: Reception
    effective_at: Time
    time_quality: TimeQuality
    reading: Reading
    trace_id: TraceId
    measuring: Measuring | None = None


class VoidRecord(msgspec.Struct, frozen=True, kw_only=True, tag="void"):
    """Holds a number whose record cannot travel, and says why; nothing is silently skipped."""

    reason: str
    trace_id: TraceId


class TimeCorrection(msgspec.Struct, frozen=True, kw_only=True, tag="time_correction"):
    """A better time for a record sent before, for example once the gateway's clock was set."""

    record_id: UUID
    effective_at: Time
    time_quality: TimeQuality
    reason: str
    trace_id: TraceId


Record = ReadingRecord | VoidRecord | TimeCorrection


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """Payload on ``readings``; each record stays its own bytes until it is read by itself."""

    sent_at: Time
    records: tuple[msgspec.Raw, ...]


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """Payload on ``receipts``: numbers of one epoch that the database has dealt with.

    ``ranges`` are inclusive and cumulative as far as they fit: stored, duplicate, quarantined
    and void alike. ``conflicts`` are numbers already used for other bytes: the gateway starts a
    new epoch. ``incarnation`` names the database; after a restore it is another one, and the
    gateway sends again what it still keeps.
    """

    incarnation: UUID
    epoch: UUID
    ranges: tuple[tuple[int, int], ...]
    conflicts: tuple[int, ...] = ()


class Resend(msgspec.Struct, frozen=True, kw_only=True):
    """Payload on ``resend``: the server misses these numbers (inclusive ranges)."""

    epoch: UUID
    ranges: tuple[tuple[int, int], ...]


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """A message's place among its gateway's records, as MQTT user properties carry it."""

    epoch: UUID
    first: int
    count: int
    schema: str
    traceparent: str | None = None

    @property
    def numbers(self) -> range:
        """Return the records' numbers, in the payload's order."""
        return range(self.first, self.first + self.count)

    def to_properties(self) -> list[tuple[str, str]]:
        """Return the MQTT 5 user properties that carry this."""
        properties = [
            ("epoch", str(self.epoch)),
            ("first", str(self.first)),
            ("count", str(self.count)),
            ("schema", self.schema),
        ]
        return properties + ([("traceparent", self.traceparent)] if self.traceparent else [])


_RECORD: Final = msgspec.json.Decoder(Record)
_MESSAGE: Final = msgspec.json.Decoder(Message)
_RECEIPT: Final = msgspec.json.Decoder(Receipt)
_RESEND: Final = msgspec.json.Decoder(Resend)
_MAX_NUMBER: Final = 2**63 - 1 - MAX_RECORDS  # what the database's bigint holds

_MAX_UTC_OFFSET: Final = timedelta(hours=14)  # the largest that is, and that FHIR writes

_VERSION: Final = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")
_NO_NUMBER: Final = "not a number that a device can send"
_NUMBERS: Final[dict[type[Reading], tuple[str, ...]]] = {
    BloodPressure: ("systolic", "diastolic", "mean", "pulse_per_min"),
    PulseOximetry: ("spo2", "pulse_per_min", "pulse_amplitude_index"),
    OximetrySeries: (),
    BodyTemperature: ("temperature",),
    BodyWeight: ("weight", "bmi", "height"),
    HeartRate: ("heart_rate_per_min",),
    UnsupportedFrame: (),
}


def encode(
    value: Record | Receipt | Resend | GatewayStatus | GatewayEvent | GatewayConfiguration,
) -> bytes:
    """Return the value as JSON."""
    return msgspec.json.encode(value)


def encode_message(sent_at: datetime, records: Sequence[bytes]) -> bytes:
    """Return the payload that carries these encoded records, spliced in as they are."""
    return msgspec.json.encode(
        Message(sent_at=sent_at, records=tuple(msgspec.Raw(record) for record in records))
    )


def decode_message(payload: bytes, delivery: Delivery) -> tuple[bytes, ...]:
    """Return the records of a message, each as its own bytes, not yet read.

    Raises:
        ContractError: If the payload is no `Message`, or not as many records as announced.
    """
    message = decoded(_MESSAGE, payload)
    if len(message.records) != delivery.count:
        raise ContractError(f"{delivery.count} records announced, {len(message.records)} sent")
    return tuple(bytes(record) for record in message.records)


def record_count(payload: bytes) -> int:
    """Return how many records a message holds, whatever was announced.

    Raises:
        ContractError: If the payload is no `Message`.
    """
    return len(decoded(_MESSAGE, payload).records)


def decode_record(record: bytes) -> Record:
    """Return one record.

    Raises:
        ContractError: If it breaks the contract; the text names the element. Refused too are
            times without a zone and numbers that no device can have sent.
    """
    value = decoded(_RECORD, record)
    for name, time in _times(value):
        if abs(time.utcoffset() or timedelta()) > _MAX_UTC_OFFSET:
            raise ContractError(f"{name}: offset from UTC above 14 hours")
    if isinstance(value, ReadingRecord):
        _check_numbers(value.reading)
    return value


def decode_receipt(payload: bytes) -> Receipt:
    """Return a receipt, or raise `ContractError`."""
    return decoded(_RECEIPT, payload)


def decode_resend(payload: bytes) -> Resend:
    """Return a resend request, or raise `ContractError`."""
    return decoded(_RESEND, payload)


def decode_delivery(properties: Iterable[tuple[str, str]]) -> Delivery:
    """Return a message's place among its gateway's records.

    Raises:
        ContractError: If a property is missing, repeated or out of range; such a message can
            only be kept, not receipted.
    """
    found: dict[str, str] = {}
    for name, value in properties:
        if name in found:
            # Only a name of ours: another one may be anything.
            shown = name if name in Delivery.__struct_fields__ else "of another name"
            raise ContractError(f"user property {shown}: given twice")
        found[name] = value
    try:
        delivery = msgspec.convert(found, Delivery, strict=False)
    except msgspec.ValidationError as error:
        raise ContractError(f"user properties: {error}") from error
    if not 1 <= delivery.count <= MAX_RECORDS:
        raise ContractError(f"user property count: {delivery.count} not in 1-{MAX_RECORDS}")
    if not 1 <= delivery.first <= _MAX_NUMBER:
        raise ContractError(f"user property first: {delivery.first} out of range")
    return delivery


def is_version(schema: str) -> bool:
    """Tell whether the text is a schema version at all: a major number, maybe a minor one."""
    return _VERSION.fullmatch(schema) is not None


def is_supported(schema: str) -> bool:
    """Tell whether this program reads messages of that schema version: by its major number."""
    return schema.partition(".")[0] == str(SCHEMA_MAJOR)


def _check_numbers(reading: Reading) -> None:
    for name in _NUMBERS[type(reading)]:
        number = getattr(reading, name)
        if isinstance(number, Decimal) and not is_bounded(number):
            raise ContractError(f"reading.{name}: {_NO_NUMBER}")
    if isinstance(reading, OximetrySeries):
        for name, samples in (("spo2", reading.spo2), ("pulse_per_min", reading.pulse_per_min)):
            if not all(sample is None or is_bounded(sample) for sample in samples):
                raise ContractError(f"reading.{name}: {_NO_NUMBER}")


def _times(record: Record) -> Iterable[tuple[str, datetime]]:
    match record:
        case ReadingRecord():
            yield "effective_at", record.effective_at
            yield "reception.received_at", record.reception.received_at
        case TimeCorrection():
            yield "effective_at", record.effective_at
        case VoidRecord():
            return
