"""From journal to outbox: what a device sent becomes a record that can travel.

Each entry is marked in the transaction that numbers its record, so a crash between the two
leaves nothing undecoded and nothing twice. It runs at the start, for what a crash left, and
after every indication.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Mapping
from datetime import timedelta
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec

from device_adapters.contract import identity, messages
from device_adapters.contract.messages import (
    ReadingRecord,
    Reception,
    TimeCorrection,
    VoidRecord,
)
from device_adapters.contract.readings import Reading, UnsupportedFrame
from device_adapters.session import DeviceAdapter, read_frame
from gateway.clock import Moment
from gateway.effective_time import (
    EffectiveTime,
    clock_offset,
    effective_time,
    has_own_identity,
    own_time,
)
from gateway.store import measured
from gateway.store.database import Database
from gateway.store.journal import ConnectionFacts, DeviceClock, Entry, Journal
from gateway.store.outbox import MAX_RECORD_BYTES, Outbox

logger = logging.getLogger(__name__)

BATCH: Final = 8  # what is decoded in one go: an indication waits for its end
DEFAULT_REST_S: Final = 60

_UNCORRECTED: Final = """
SELECT journal.number, facts, record
  FROM journal
  JOIN connection ON connection.number = journal.connection
  JOIN outbox ON outbox.journal = journal.number
 WHERE boot_id = ? AND is_corrected = 0 AND is_decoded = 1
 ORDER BY journal.number
 LIMIT ?
"""


class Decoder:
    """Makes records of journal entries, and corrects their times once the clock is right.

    ``rest_s`` is how long a device should rest between two readings; the configuration says it.
    """

    def __init__(
        self,
        database: Database,
        journal: Journal,
        outbox: Outbox,
        adapters: Mapping[str, DeviceAdapter],
        zone: ZoneInfo,
    ) -> None:
        self.rest_s = DEFAULT_REST_S
        self._database = database
        self._journal = journal
        self._outbox = outbox
        self._adapters = adapters
        self._zone = zone

    def decode(self) -> int:
        """Decode up to `BATCH` waiting entries and return how many there were."""
        self._journal.settle_late()
        entries = self._journal.pending(BATCH)
        if not entries:
            return 0
        epoch = self._outbox.epoch
        with self._database.transaction() as connection:
            for entry in entries:
                if (reading := _read(self._adapters.get(entry.adapter), entry)) is not None:
                    record = to_record(entry, reading, entry.epoch or epoch, self._zone)
                    measuring = measured.note(connection, entry.number, record, self.rest_s)
                    if measuring is not None:
                        record = msgspec.structs.replace(record, measuring=measuring)
                    self._add(connection, record, journal=entry.number)
                connection.execute(
                    "UPDATE journal SET is_decoded = 1 WHERE number = ?", (entry.number,)
                )
        return len(entries)

    def correct(self, truth: Moment, boot_id: UUID) -> int:
        """Correct times of this boot that were taken before the clock was right.

        Args:
            truth: A moment of the clock now that it is synchronised.
            boot_id: The boot to which its monotonic count belongs.

        Returns:
            How many entries were looked at; call again until it is 0.
        """
        rows = self._database.connection.execute(_UNCORRECTED, (str(boot_id), BATCH)).fetchall()
        if not rows:
            return 0
        with self._database.transaction() as connection:
            for number, facts, encoded in rows:
                record = messages.decode_record(encoded)
                if isinstance(record, ReadingRecord):
                    known = msgspec.json.decode(facts, type=ConnectionFacts)
                    self._add(connection, to_correction(record, known, truth, self._zone))
                connection.execute(
                    "UPDATE journal SET is_corrected = 1 WHERE number = ?", (number,)
                )
        return len(rows)

    def doubt(self, boot_id: UUID, since_ns: int) -> int:
        """Have times of this boot corrected that were taken by a clock called right, and wrong.

        Args:
            boot_id: The boot to which the count belongs.
            since_ns: The count from which on the clock was not right.

        Returns:
            How many entries it concerns.
        """
        with self._database.transaction() as connection:
            return connection.execute(
                "UPDATE journal SET is_corrected = 0"
                " WHERE boot_id = ? AND monotonic_ns >= ? AND is_corrected = 1",
                (str(boot_id), since_ns),
            ).rowcount

    def _add(
        self,
        connection: sqlite3.Connection,
        record: ReadingRecord | TimeCorrection,
        journal: int | None = None,
    ) -> None:
        encoded = messages.encode(record)
        if len(encoded) > MAX_RECORD_BYTES:
            # The number must stand for something: a hole would be asked for again and again.
            reason = f"record of {len(encoded)} bytes is over the limit of {MAX_RECORD_BYTES}"
            encoded = messages.encode(VoidRecord(reason=reason, trace_id=record.trace_id))
            logger.error("record became void", extra={"trace_id": record.trace_id})
        number = self._outbox.add(connection, encoded, record.trace_id, journal)
        logger.info(
            "record queued",
            extra={
                "trace_id": record.trace_id,
                "record_id": str(record.record_id),
                "number": number,
            },
        )


def to_record(entry: Entry, reading: Reading, epoch: UUID, zone: ZoneInfo) -> ReadingRecord:
    """Return the record of one reading: its identity, its time, and all that was known.

    Args:
        entry: Where it comes from.
        reading: What the adapter read in it.
        epoch: Names a record that has nothing of its own to tell it by.
        zone: The home's time zone.
    """
    received = entry.received
    offset = _offset(entry.facts.clock, received, zone)
    is_own = has_own_identity(
        own_time(reading),
        received.at,
        zone=zone,
        is_synchronised=received.is_synchronised,
    )
    effective = _effective(reading, received, offset, zone)
    return ReadingRecord(
        record_id=(
            identity.of_device_record(
                entry.facts.device.id,
                entry.facts.reset_generation,
                entry.characteristic,
                entry.raw,
            )
            if is_own
            else identity.of_gateway_number(epoch, entry.number)
        ),
        is_identity_own=is_own,
        device=entry.facts.device,
        reset_generation=entry.facts.reset_generation,
        adapter=entry.adapter,
        reception=Reception(
            characteristic=entry.characteristic,
            raw=entry.raw,
            received_at=received.at,
            boot_id=entry.boot_id,
            monotonic_ns=received.monotonic_ns,
            is_clock_synchronised=received.is_synchronised,
            device_clock_offset_s=None if offset is None else offset.total_seconds(),
        ),
        effective_at=effective.at,
        time_quality=effective.quality,
        reading=reading,
        trace_id=entry.trace_id,
    )


def to_correction(
    record: ReadingRecord, facts: ConnectionFacts, truth: Moment, zone: ZoneInfo
) -> TimeCorrection:
    """Return a better time for a record that was received before the clock was right."""
    received = Moment(
        at=record.reception.received_at,
        monotonic_ns=record.reception.monotonic_ns,
        is_synchronised=record.reception.is_clock_synchronised,
    ).rebased(truth)
    offset = _offset(facts.clock, received, zone)
    effective = _effective(record.reading, received, offset, zone)
    return TimeCorrection(
        record_id=record.record_id,
        effective_at=effective.at,
        time_quality=effective.quality,
        reason="the gateway's clock was set after the reading was received",
        trace_id=record.trace_id,
    )


def _read(adapter: DeviceAdapter | None, entry: Entry) -> Reading | None:
    if adapter is None:
        return UnsupportedFrame(reason=f"adapter {entry.adapter} is not installed")
    try:
        return read_frame(adapter, entry.characteristic, entry.raw)
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        # A third party's adapter that does not keep its promise must not stop the others'
        # readings: its bytes travel like every frame that no codec can read.
        logger.exception("adapter failed", extra={"trace_id": entry.trace_id})
        return UnsupportedFrame(reason=f"adapter failed: {type(error).__name__}")


def _offset(clock: DeviceClock | None, received: Moment, zone: ZoneInfo) -> timedelta | None:
    if clock is None:
        return None
    # Both were taken in one connection and so in one boot: by the count since boot they belong
    # to one clock, even where ours was set between the two.
    return clock_offset(clock.shown, clock.read.rebased(received).at, zone)


def _effective(
    reading: Reading, received: Moment, offset: timedelta | None, zone: ZoneInfo
) -> EffectiveTime:
    return effective_time(
        own_time(reading) if offset is None else reading.device_time,
        received.at,
        offset=offset,
        zone=zone,
        is_synchronised=received.is_synchronised,
    )
