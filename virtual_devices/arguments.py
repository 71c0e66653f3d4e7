"""The command line of ``hemvital-virtual``."""

from __future__ import annotations

import argparse
from decimal import Decimal, InvalidOperation
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from virtual_devices import host
from virtual_devices.drops import POINTS


def parser() -> argparse.ArgumentParser:
    """Return the parser; the part to run is in ``part``."""
    whole = argparse.ArgumentParser(
        prog="hemvital-virtual",
        description="Bluetooth without hardware. Each part is a process and prints one line when "
        "it is ready; SIGTERM ends it.",
    )
    whole.add_argument(
        "--log-level", default="WARNING", choices=["DEBUG", "INFO", "WARNING", "ERROR"]
    )
    parts = whole.add_subparsers(dest="part", required=True)
    _add_radio(parts.add_parser("radio", help="serve the air that all other parts attach to"))
    _add_bluez(parts.add_parser("bluez", help="serve org.bluez on a D-Bus of your own"))
    cuff = parts.add_parser("cuff", help="be a blood-pressure cuff", epilog=_SCRIPT)
    _add_device(cuff, address="F0:00:00:00:00:01", name="Hemvital BP", capacity=60)
    _add_cuff(cuff)
    oximeter = parts.add_parser("oximeter", help="be a pulse oximeter", epilog=_SCRIPT)
    _add_device(oximeter, address="F0:00:00:00:00:02", name="Hemvital PLX", capacity=10)
    _add_oximeter(oximeter)
    return whole


_SCRIPT = (
    "A script is JSON lines. A cuff's: "
    '{"after_s": 1.0, "systolic": 192, "diastolic": 118, "mean": 143, "pulse": 88, "user": 1, '
    '"unit": "mmHg", "irregular": true, "movement": false, "error": false}. An oximeter\'s: '
    '{"after_s": 1.0, "spo2": 86, "pulse": 96, "error": false}. Faults: '
    '{"fault": "out_of_range", "for_s": 5}, {"fault": "hang_up", "after_records": 2}, '
    '{"fault": "duplicate"}, {"fault": "drop_bond"}, {"fault": "battery", "percent": 12}, '
    '{"fault": "drop", "at": "subscribe", "nth": 1, "silent": false} with at one of '
    f"{', '.join(POINTS)}. All may be left out but the fault."
)


def _add_air(part: argparse.ArgumentParser) -> None:
    part.add_argument(
        "--air", type=_air, required=True, metavar="unix:PATH", help="socket of the air"
    )


def _add_radio(part: argparse.ArgumentParser) -> None:
    _add_air(part)
    part.add_argument(
        "--supervision-s", type=float, default=2.0, help="until a dead device's link is lost"
    )
    part.add_argument(
        "--rssi",
        type=_rssi,
        action="append",
        default=[],
        metavar="ADDRESS=DBM",
        help="how strongly a device is heard; may be repeated",
    )


def _add_bluez(part: argparse.ArgumentParser) -> None:
    _add_air(part)
    part.add_argument("--bus", required=True, help="D-Bus address, for example unix:path=PATH")
    part.add_argument("--address", default="C0:00:00:00:00:01", help="the adapter's own")
    part.add_argument("--keys", type=Path, help="file that keeps bonds over a restart")
    part.add_argument(
        "--expire-s", type=float, default=30.0, help="until a device unheard of is removed"
    )


def _add_device(part: argparse.ArgumentParser, *, address: str, name: str, capacity: int) -> None:
    _add_air(part)
    part.add_argument("--address", default=address, help="static random address")
    part.add_argument("--name", default=name)
    part.add_argument("--serial", default="0001")
    part.add_argument("--battery", type=int, default=87, metavar="PERCENT")
    part.add_argument("--ledger", type=Path, help="file for what was measured and given")
    part.add_argument("--memory", type=Path, help="file that keeps records over a kill")
    part.add_argument("--capacity", type=int, default=capacity, help="records it can hold")
    part.add_argument("--security", choices=["none", "just-works", "passkey"], default="none")
    part.add_argument("--skew-s", type=float, default=0.0, help="its clock is ahead by this")
    part.add_argument("--timezone", type=_zone, help="of its clock; this machine's by default")
    part.add_argument("--advertising-ms", type=float, default=100.0)
    part.add_argument(
        "--linger-s", type=float, default=1.0, help="connected after the last record"
    )
    part.add_argument("--idle-s", type=float, default=10.0, help="connected without a request")
    part.add_argument("--script", metavar="FILE", help="what to measure when; - is standard input")
    part.add_argument("--every", type=float, metavar="S", help="measure every so often for ever")
    part.add_argument("--seed", type=int, default=1, help="of the values of --every")
    part.add_argument("--pulse", type=_decimal, default=Decimal(72))


def _add_cuff(part: argparse.ArgumentParser) -> None:
    part.add_argument("--systolic", type=_decimal, default=Decimal(128))
    part.add_argument("--diastolic", type=_decimal, default=Decimal(79))
    part.add_argument("--measuring-s", type=float, default=0.0, help="to inflate and deflate")


def _add_oximeter(part: argparse.ArgumentParser) -> None:
    part.add_argument("--spo2", type=_decimal, default=Decimal(97))
    part.add_argument("--finger-s", type=float, default=0.0, help="finger in for a spot check")
    part.add_argument("--offered-s", type=float, default=60.0, help="advertises after one")
    part.add_argument("--live", action="store_true", help="gives fresh values while connected")


def _air(text: str) -> Path:
    try:
        return host.air_path(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _zone(text: str) -> ZoneInfo:
    try:
        return ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise argparse.ArgumentTypeError(f"no time zone {text!r}") from error


def _decimal(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no number") from error


def _rssi(text: str) -> tuple[str, int]:
    address, _, dbm = text.partition("=")
    try:
        return address.upper(), int(dbm)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not ADDRESS=DBM") from error
