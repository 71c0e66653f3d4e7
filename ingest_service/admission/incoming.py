"""Messages as they come from the broker, taken apart without trusting any of it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

import msgspec

from device_adapters.contract import identity
from device_adapters.contract.messages import (
    MAX_ACCEPTED_BYTES,
    ContractError,
    Delivery,
    ReadingRecord,
    Record,
    TimeCorrection,
    VoidRecord,
    decode_delivery,
    decode_message,
    decode_record,
    is_supported,
    is_version,
)
from ingest_service.store.deliveries import Key

_KEPT_OF_TOO_LARGE: Final = 4096
_MOST_DETAIL: Final = 300
_TRACE_ID: Final = re.compile(r"[0-9a-f]{32}")


class Reason(StrEnum):
    """Why something waits in the quarantine."""

    UNDECODABLE = "undecodable"
    SCHEMA = "schema"
    UNSUPPORTED_VERSION = "unsupported_version"
    TOO_LARGE = "too_large"
    UNKNOWN_GATEWAY = "unknown_gateway"
    UNKNOWN_DEVICE = "unknown_device"
    UNASSIGNED = "unassigned"
    FIRST_SESSION = "first_session"
    TIME_IMPLAUSIBLE = "time_implausible"
    IMPOSSIBLE_VALUE = "impossible_value"
    NUMBER_REUSED = "number_reused"
    CORRECTION_WITHOUT_RECORD = "correction_without_record"
    CORRECTION_BY_ANOTHER = "correction_by_another"
    IDENTITY = "identity"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why not, and the particular; the text holds no value of a patient."""

    reason: Reason
    detail: str


_NOT_OWN: Final = Refusal(Reason.IDENTITY, "record_id: does not follow from the record")


@dataclass(frozen=True, slots=True, kw_only=True)
class Incoming:
    """One MQTT message on a ``readings`` topic."""

    gateway_id: str
    properties: Sequence[tuple[str, str]]
    payload: bytes
    received_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One record of a message, with a refusal if it cannot be read or taken.

    ``epoch`` and ``number`` are missing where the message's properties say nothing usable. Where
    a message cannot be taken apart, its first number carries the payload, and the others, with
    empty ``encoded``, only what they share: the refusal.
    """

    gateway_id: str
    epoch: UUID | None
    number: int | None
    encoded: bytes
    digest: bytes = b""
    record: Record | None = None
    refusal: Refusal | None = None
    size: int = 0
    is_first: bool = True
    trace_id: str | None = None
    schema: str | None = None

    @property
    def key(self) -> Key | None:
        """Return what the number must be unique by."""
        if self.epoch is None or self.number is None:
            return None
        return (self.gateway_id, self.epoch, self.number)

    @property
    def record_id(self) -> UUID | None:
        """Return which device record this is, or is about."""
        match self.record:
            case ReadingRecord() | TimeCorrection():
                return self.record.record_id
            case VoidRecord() | None:
                return None

    def is_other_than(self, digest: bytes) -> bool:
        """Tell whether the number stood for other bytes before.

        An empty digest is a message that could not be taken apart. As what came again it tells
        nothing. As what came before it must not swallow a record that can be read: such a one
        is sent under another number.
        """
        return bool(self.digest) and self.digest != digest


def take_apart(message: Incoming) -> list[Entry]:
    """Return the message's records, each readable or refused; never raises for any bytes."""
    try:
        delivery = decode_delivery(message.properties)
    except ContractError as error:
        return _refuse(message, None, Refusal(Reason.UNDECODABLE, shown(str(error))))
    if len(message.payload) > MAX_ACCEPTED_BYTES:
        digest = hashlib.blake2b(message.payload, digest_size=16).hexdigest()
        detail = f"{len(message.payload)} bytes, blake2b-128 {digest}"
        return _refuse(message, delivery, Refusal(Reason.TOO_LARGE, detail))
    if not is_version(delivery.schema):
        refusal = Refusal(Reason.UNDECODABLE, "user property schema: not a version")
        return _refuse(message, delivery, refusal)
    if not is_supported(delivery.schema):
        detail = f"schema version {delivery.schema}"
        return _refuse(message, delivery, Refusal(Reason.UNSUPPORTED_VERSION, detail))
    try:
        records = decode_message(message.payload, delivery)
    except ContractError as error:
        return _refuse(message, delivery, _refusal(error))
    return [
        entry_of(message.gateway_id, delivery.epoch, number, encoded)
        for number, encoded in zip(delivery.numbers, records, strict=True)
    ]


def _refuse(message: Incoming, delivery: Delivery | None, refusal: Refusal) -> list[Entry]:
    """Return the message as entries that all wait for the same reason."""
    kept = message.payload
    if refusal.reason is Reason.TOO_LARGE:
        kept = kept[:_KEPT_OF_TOO_LARGE]
    trace_id = _trace_id(delivery.traceparent) if delivery else None
    numbers = delivery.numbers if delivery else [None]
    return [
        Entry(
            gateway_id=message.gateway_id,
            epoch=delivery.epoch if delivery else None,
            number=number,
            encoded=b"" if index else kept,
            is_first=index == 0,
            refusal=refusal,
            size=len(message.payload),
            trace_id=trace_id,
            schema=shown(delivery.schema) if delivery else None,
        )
        for index, number in enumerate(numbers)
    ]


def shown(text: str) -> str:
    """Return a text that came from outside so that it can be stored and read: short, printable."""
    return "".join(c if c.isprintable() else "?" for c in text[:_MOST_DETAIL])


def entry_of(gateway_id: str, epoch: UUID, number: int, encoded: bytes) -> Entry:
    """Return one record, with a refusal if it cannot be read; never raises for any bytes."""
    record: Record | None = None
    refusal: Refusal | None = None
    try:
        record = decode_record(encoded)
        refusal = _no_text(record) or _no_identity(record)
    except ContractError as error:
        refusal = _refusal(error)
    return Entry(
        gateway_id=gateway_id,
        epoch=epoch,
        number=number,
        encoded=encoded,
        digest=identity.digest(encoded),
        record=record,
        refusal=refusal,
        size=len(encoded),
        trace_id=_trace_of(record),
    )


def _no_text(record: Record) -> Refusal | None:
    """Refuse what a column would: otherwise a batch is halved again and again to find it."""
    match record:
        case ReadingRecord(device=device, reception=reception):
            texts = {"device.id": device.id, "characteristic": reception.characteristic}
        case TimeCorrection(reason=reason):
            texts = {"reason": reason}
        case VoidRecord():
            texts = dict[str, str]()
    for name, text in texts.items():
        if "\0" in text:
            return Refusal(Reason.REJECTED, f"{name}: NUL, which no text in the database can hold")
    return None


def _no_identity(record: Record) -> Refusal | None:
    """Refuse a record under an id that is not its own: it would take another record's place."""
    if not isinstance(record, ReadingRecord) or not record.is_identity_own:
        return None
    own = identity.of_device_record(
        record.device.id,
        record.reset_generation,
        record.reception.characteristic,
        record.reception.raw,
    )
    return None if own == record.record_id else _NOT_OWN


def _trace_of(record: Record | None) -> str | None:
    match record:
        case ReadingRecord() | TimeCorrection() | VoidRecord():
            return record.trace_id if _is_trace_id(record.trace_id) else None
        case None:
            return None


def _refusal(error: ContractError) -> Refusal:
    match error.__cause__:
        case msgspec.ValidationError():
            reason = Reason.SCHEMA
        case msgspec.DecodeError() | RecursionError() | UnicodeDecodeError():
            reason = Reason.UNDECODABLE
        case _:
            reason = Reason.SCHEMA
    return Refusal(reason, shown(str(error)))


def _trace_id(traceparent: str | None) -> str | None:
    match (traceparent or "").split("-"):
        case [_, trace_id, _, _] if _is_trace_id(trace_id):
            return trace_id
        case _:
            return None


def _is_trace_id(text: str) -> bool:
    return _TRACE_ID.fullmatch(text) is not None
