"""Vectors: bytes with what an outside source says they mean."""

from __future__ import annotations

from decimal import Decimal
from enum import Flag
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from device_adapters import errors
from device_adapters.contract.readings import DeviceTime, Special

VECTORS = Path(__file__).parents[2] / "vectors"
VERDICTS = {"agree", "disagree", "vendor-agree/spec-disagree", "by construction"}


class Vector(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """One vector; ``expected`` is by the specification, ``source_expected`` what else was said.

    ``verdict`` ``agree``: the source and an independent decode agree. ``disagree``: the source
    is wrong, ``why`` shows the working. ``vendor-agree/spec-disagree``: the device leaves the
    specification, and is refused until it has an adapter of its own.
    """

    id: str
    source: str
    origin: str
    verdict: str
    hex: str
    expected: dict[str, Any]
    source_expected: dict[str, Any] | None = None
    why: str | None = None
    note: str | None = None
    type: str | None = None
    byte_order: str | None = None

    @property
    def value(self) -> bytes:
        """The bytes."""
        return bytes.fromhex(self.hex)

    @property
    def error(self) -> type[errors.DecodeError] | None:
        """The error that these bytes must give, if any."""
        name = self.expected.get("error")
        return getattr(errors, name) if name else None


def load(name: str) -> list[Vector]:
    """Return the vectors of one file."""
    return msgspec.json.decode((VECTORS / name).read_bytes(), type=list[Vector])


def readable(name: str) -> pytest.MarkDecorator:
    """Parametrise over the vectors of a file that give a value."""
    return _parametrise([vector for vector in load(name) if vector.error is None])


def refused(name: str) -> pytest.MarkDecorator:
    """Parametrise over the vectors of a file that give an error."""
    return _parametrise([vector for vector in load(name) if vector.error is not None])


def differences(found: object, expected: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return what is not as expected: name, found, expected. Numbers compare by value."""
    pairs = {name: (_plain(getattr(found, name)), wanted) for name, wanted in expected.items()}
    return {name: pair for name, pair in pairs.items() if not _is_same(*pair)}


def flags(value: Flag) -> list[str]:
    """Return the names of the set bits, sorted."""
    return sorted(str(flag.name) for flag in type(value) if flag in value)


def _parametrise(vectors: list[Vector]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("vector", vectors, ids=lambda vector: vector.id)


def _is_same(found: object, expected: object) -> bool:
    if isinstance(found, Decimal) and isinstance(expected, str):
        return found == Decimal(expected)
    return found == expected


def _plain(value: object) -> object:
    match value:
        case Special():
            return str(value)
        case DeviceTime(year, month, day, hour, minute, second):
            return f"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}"
        case Flag():
            return flags(value)
        case tuple():
            return [_plain(each) for each in cast("tuple[object, ...]", value)]
        case _:
            return value
