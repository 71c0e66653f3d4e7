"""Device Information Service (0x180A): who made the device; every part of it is optional."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from device_adapters.contract.messages import Device
from device_adapters.gatt.reader import Reader

SERVICE: Final = "0000180a-0000-1000-8000-00805f9b34fb"
SYSTEM_ID: Final = "00002a23-0000-1000-8000-00805f9b34fb"
MODEL: Final = "00002a24-0000-1000-8000-00805f9b34fb"
SERIAL: Final = "00002a25-0000-1000-8000-00805f9b34fb"
FIRMWARE: Final = "00002a26-0000-1000-8000-00805f9b34fb"
MANUFACTURER: Final = "00002a29-0000-1000-8000-00805f9b34fb"
PNP_ID: Final = "00002a50-0000-1000-8000-00805f9b34fb"

#: What a gateway reads to describe a device; a read that fails is left out.
DESCRIPTION: Final = (MANUFACTURER, MODEL, SERIAL, FIRMWARE)

_MAX_TEXT: Final = 128  # the contract's limit for a name


@dataclass(frozen=True, slots=True)
class PnpId:
    """Who assigned the vendor's number (1 Bluetooth SIG, 2 USB forum), and the product."""

    source: int
    vendor: int
    product: int
    version: int


def describe(identity: str, name: str | None, values: Mapping[str, bytes]) -> Device:
    """Return the device as it named itself.

    Args:
        identity: Its Bluetooth identity address.
        name: Its advertised name, if any.
        values: What was read of `DESCRIPTION`, by characteristic.
    """
    return Device(
        id=identity,
        name=name[:_MAX_TEXT] if name else None,
        manufacturer=decode_text(values.get(MANUFACTURER, b"")),
        model=decode_text(values.get(MODEL, b"")),
        serial=decode_text(values.get(SERIAL, b"")),
        firmware=decode_text(values.get(FIRMWARE, b"")),
    )


def decode_text(value: bytes) -> str | None:
    """Decode a string characteristic as far as it is one.

    Devices end it by NUL, fill it with NULs or spaces, or send bytes that are no UTF-8: those
    become U+FFFD, and control characters vanish.

    Returns:
        At most 128 characters, or ``None`` where nothing readable is left.
    """
    text = value.partition(b"\0")[0].decode("utf-8", errors="replace")
    return "".join(filter(str.isprintable, text)).strip()[:_MAX_TEXT].strip() or None


def decode_system_id(value: bytes) -> str:
    """Decode a System ID (0x2A23) as FHIR writes it: ``FE-ED-AB-EE-DE-AD-77-C3``.

    Layout, little-endian: manufacturer's identifier u40, organisation's identifier u24; read as
    one number, most significant byte first, they are an EUI-64.

    Raises:
        DecodeError: If it is not eight bytes long.
    """
    reader = Reader(value)
    identifier = reader.uint("system id", 8)
    reader.finish()
    return identifier.to_bytes(8, "big").hex("-").upper()


def decode_pnp_id(value: bytes) -> PnpId:
    """Decode a PnP ID (0x2A50): source u8, vendor, product and version u16, little-endian.

    Raises:
        DecodeError: If it is not seven bytes long.
    """
    reader = Reader(value)
    pnp = PnpId(
        reader.uint("vendor id source", 1),
        reader.uint("vendor id", 2),
        reader.uint("product id", 2),
        reader.uint("product version", 2),
    )
    reader.finish()
    return pnp
