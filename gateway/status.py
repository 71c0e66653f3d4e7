"""How this gateway stands, read from its file: for the person who was sent to look.

The first line is the verdict; what is wrong follows with its beginning and what to do about it.
"""

from __future__ import annotations

import fcntl
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import msgspec

from device_adapters.contract.configuration import decode_configuration
from device_adapters.contract.elements import ContractError
from device_adapters.contract.standing import Condition, DeviceStanding, Problem
from gateway.clock import in_words
from gateway.store import conditions, said
from gateway.store.database import FILE_NAME, Database, DatabaseError
from gateway.store.outbox import standing
from gateway.store.said import Said

#: What each condition is called, and what whoever reads it can do.
WORDS: Final = {
    Problem.DEVICE_NOT_SEEN: (
        "The device has not been heard",
        "Take a measurement beside the gateway. If it is still not heard, change its batteries.",
    ),
    Problem.DEVICE_REFUSED: (
        "The device was heard and did not let the gateway in",
        "Pair it anew: ask for a pairing window, then hold the device's Bluetooth button.",
    ),
    Problem.BATTERY_LOW: ("The device's battery is low", "Change its batteries."),
    Problem.CLOCK_UNTRUSTED: (
        "The gateway's clock is not confirmed",
        "Readings are kept, and timed once a time server answers. Is NTP (UDP 123) let through?",
    ),
    Problem.QUEUE_GROWING: (
        "Readings wait for the server",
        "Nothing is lost. Check the network; they go out by themselves.",
    ),
    Problem.RADIO_DEAF: (
        "The radio hears nothing",
        "Check that a Bluetooth adapter is there (bluetoothctl list) and restart the machine.",
    ),
    Problem.DISK_FULL: (
        "The disk is full",
        "Free space. Devices are left alone meanwhile and keep their readings.",
    ),
    Problem.JOURNAL_DAMAGED: (
        "The gateway's file was damaged and set aside",
        "Keep the file named .damaged-…, and replace the card.",
    ),
    Problem.CERTIFICATE_ENDING: (
        "The gateway's certificate was not renewed",
        "Check that the renewal can reach the server: journalctl -u 'hemvital-gateway-*'.",
    ),
    Problem.BROKER_REFUSES: (
        "The broker and the gateway do not accept each other",
        "Mend what the cause names; if it is the gateway's certificate, enrol it anew.",
    ),
    Problem.CONFIGURATION_REFUSED: (
        "The configuration that the server sent was refused",
        "The last good one goes on. Have it corrected at the server.",
    ),
}


class Wrong(msgspec.Struct, frozen=True, kw_only=True):
    """One condition, and what to do about it."""

    kind: str
    since: datetime
    device_id: str | None
    detail: str | None
    title: str
    advice: str


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """What a gateway's file says of it."""

    is_well: bool
    verdict: str
    is_running: bool
    epoch: str
    last_number: int
    undelivered: int
    oldest_undelivered_at: datetime | None
    last_receipt_at: datetime | None
    undecoded: int
    size_bytes: int
    events_waiting: int
    configuration: int | None
    channel: str | None
    conditions: tuple[Wrong, ...]
    devices: tuple[DeviceStanding, ...]
    said: Said | None
    said_at: datetime | None


def read_status(directory: Path) -> Status:
    """Return what the file in a gateway's state directory says, while the gateway runs or not.

    Raises:
        FileNotFoundError: If there is none.
        DatabaseError: If an older release wrote it and this one has not run on it yet.
        sqlite3.Error: If it cannot be read.
    """
    path = directory / FILE_NAME
    size = path.stat().st_size
    is_running = _is_running(directory)
    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as connection:
        if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'said'").fetchone():
            raise DatabaseError("an older release wrote this file: start the gateway once")
        found = standing(connection)
        (undecoded,) = connection.execute(
            "SELECT count(*) FROM journal WHERE is_decoded = 0"
        ).fetchone()
        (events,) = connection.execute("SELECT count(*) FROM event").fetchone()
        configured = _configuration(connection)
        wrong = conditions.read(Database(connection))
        spoken = said.read(connection)
        devices = said.read_devices(connection)
    own, own_at = spoken or (None, None)
    faults = list(_faults(wrong, own, is_running=is_running))
    return Status(
        is_well=not faults,
        verdict=_verdict(faults),
        is_running=is_running,
        epoch=str(found.epoch),
        last_number=found.last_number,
        undelivered=found.undelivered,
        oldest_undelivered_at=found.oldest_undelivered_at,
        last_receipt_at=found.last_receipt_at,
        undecoded=undecoded,
        size_bytes=size,
        events_waiting=events,
        configuration=configured[0],
        channel=configured[1],
        conditions=tuple(_wrong(condition) for condition in wrong),
        devices=tuple(devices),
        said=own,
        said_at=own_at,
    )


def describe(status: Status, now: datetime) -> str:
    """Return the status in plain words: the verdict, what is wrong, then everything else."""
    lines = [status.verdict]
    for wrong in status.conditions:
        device = f" ({wrong.device_id})" if wrong.device_id else ""
        detail = f": {wrong.detail}" if wrong.detail else ""
        lines += [
            "",
            f"! {wrong.title}{device}{detail}.",
            f"  Since {_since(wrong.since, now)}.",
            f"  {wrong.advice}",
        ]
    lines += ["", _queue(status, now)]
    if status.undecoded:
        lines.append(f"{status.undecoded} value(s) from devices wait to be decoded.")
    if status.last_receipt_at is None:
        lines.append("The server has not answered yet.")
    else:
        lines.append(f"The server last answered {_since(status.last_receipt_at, now)}.")
    lines += _own_words(status, now)
    lines += ["", "Devices:" if status.devices else "No device has been heard yet."]
    lines += [_device(device, now) for device in status.devices]
    lines += ["", f"{status.last_number} record(s) were numbered in epoch {status.epoch}."]
    return "\n".join(lines)


def _is_running(directory: Path) -> bool:
    try:
        with (directory / "lock").open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _configuration(connection: sqlite3.Connection) -> tuple[int | None, str | None]:
    row = connection.execute("SELECT version, body FROM configuration").fetchone()
    if row is None:
        return None, None
    try:
        return row[0], decode_configuration(row[1]).channel
    except ContractError:
        return row[0], None


def _faults(wrong: Iterable[Condition], own: Said | None, *, is_running: bool) -> Iterable[str]:
    if not is_running:
        yield "the gateway's service is not running"
    elif own is not None and not own.is_broker_connected:
        yield f"the broker is not connected ({own.broker_problem})"
    for condition in wrong:
        title = WORDS[condition.kind][0]
        yield f"{title[0].lower()}{title[1:]}"


def _verdict(faults: list[str]) -> str:
    if not faults:
        return "All is well."
    more = f", and {len(faults) - 1} more" if len(faults) > 1 else ""
    return f"Something is wrong: {faults[0]}{more}."


def _wrong(condition: Condition) -> Wrong:
    title, advice = WORDS[condition.kind]
    return Wrong(
        kind=condition.kind,
        since=condition.since,
        device_id=condition.device_id,
        detail=condition.detail,
        title=title,
        advice=advice,
    )


def _own_words(status: Status, now: datetime) -> Iterable[str]:
    own = status.said
    if own is None or status.said_at is None:
        yield "The gateway has not run yet."
        return
    if status.is_running:
        yield f"{own.software} has run since {_since(own.started_at, now)}."
    else:
        yield f"{own.software} last said something {_since(status.said_at, now)}. Then it said:"
    yield (
        "The broker is connected."
        if own.is_broker_connected
        else (f"The broker is not connected: {own.broker_problem}.")
    )
    yield "The radio listens." if own.is_listening else "The radio does not listen."
    yield f"The clock is {'confirmed' if own.is_clock_synchronised else 'not confirmed'}."
    if own.certificate_ends_at is not None:
        yield f"The certificate ends on {own.certificate_ends_at:%Y-%m-%d}."
    if status.configuration is None:
        yield "The server has configured nothing; the settings hold."
    else:
        yield f"Configuration {status.configuration}, channel {status.channel}."
    if own.pairing_until is not None and now < own.pairing_until:
        yield f"New devices may pair until {own.pairing_until:%H:%M} UTC."
    else:
        yield "The pairing window is closed."


def _device(device: DeviceStanding, now: datetime) -> str:
    seen = "never heard" if device.seen_at is None else f"heard {_ago(device.seen_at, now)}"
    given = (
        "no reading yet" if device.given_at is None else f"reading {_ago(device.given_at, now)}"
    )
    battery = (
        "battery not told" if device.battery_percent is None else f"{device.battery_percent} %"
    )
    return f"  {device.id}  {seen}, {given}, {battery}"


def _queue(status: Status, now: datetime) -> str:
    if status.oldest_undelivered_at is None:
        return "Nothing waits: the server has received every reading."
    return (
        f"{status.undelivered} record(s) wait for the server, "
        f"the oldest since {_since(status.oldest_undelivered_at, now)}."
    )


def _since(time: datetime, now: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M} UTC ({_ago(time, now)})"


def _ago(time: datetime, now: datetime) -> str:
    age = max(now - time, timedelta())
    return f"{in_words(age)} ago"
