"""Write the lists: whole or not at all, for their owner's eyes alone, the one before kept."""

from __future__ import annotations

import os
import re
import shutil
import stat
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from ingest_service.downtime import sheet
from ingest_service.downtime.listing import Listed, Sheet, in_order, key_of, masked
from ingest_service.store.downtime import Unit

_UNSAFE: Final = re.compile(r"[^A-Za-z0-9-]")
CURRENT: Final = "current"
PREVIOUS: Final = "previous"
_STAMPED: Final = re.compile(r"\d{8}T\d{6}\.\d{6}Z")
_WRITTEN: Final = "written.json"


class SheetError(RuntimeError):
    """The directory cannot hold personal data; the text says why and what to do."""


class Written(msgspec.Struct, frozen=True, kw_only=True):
    """When the lists were written, and of how many units and patients."""

    written_at: datetime
    units: int
    patients: int


def check(directory: Path) -> None:
    """Make the directory, or find that nobody but its owner can look into it.

    Raises:
        SheetError: If others can, or it is somebody else's.
        OSError: If it cannot be made.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = directory.stat()
    if found.st_uid != os.geteuid():
        raise SheetError(f"{directory} belongs to another user: the downtime list is not written")
    if stat.S_IMODE(found.st_mode) & 0o077:
        raise SheetError(
            f"{directory} is open to others, and the downtime list holds personal data:"
            f" chmod 700 {directory}"
        )


def begin(directory: Path, now: datetime) -> Path:
    """Return an empty directory for lists as of now, to be filled and then `finish`ed."""
    new = directory / f"{now:%Y%m%dT%H%M%S.%fZ}"
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(mode=0o700)
    return new


def write_unit(
    new: Path, unit: Unit, patients: Sequence[Listed], *, now: datetime, zone: ZoneInfo
) -> None:
    """Write one unit's list as JSON and as a page to print, and who its masked lines are."""
    ordered = in_order(patients)
    shown = Sheet(unit=unit.name, written_at=now, patients=tuple(masked(each) for each in ordered))
    name = _UNSAFE.sub("_", unit.hsa_id)
    _write(new / f"{name}.json", msgspec.json.encode(shown))
    _write(new / f"{name}.html", sheet.page(shown, zone).encode())
    if key := key_of(ordered):
        _write(new / f"{name}-protected.html", sheet.key_page(unit.name, key, now, zone).encode())


def finish(directory: Path, new: Path, written: Written) -> None:
    """Let ``current`` name the new lists and ``previous`` those before; forget older ones.

    Each is a link that changes at once: whoever opens it finds a whole list at any time, also
    after a power cut.
    """
    _write(new / _WRITTEN, msgspec.json.encode(written))
    _sync(new)
    before = _named(directory / CURRENT)
    if before is not None and before != new.name:
        _link(directory / PREVIOUS, before)
    _link(directory / CURRENT, new.name)
    _sync(directory)
    kept = {_named(directory / CURRENT), _named(directory / PREVIOUS)}
    for each in directory.iterdir():
        if _STAMPED.fullmatch(each.name) and each.name not in kept:
            shutil.rmtree(each, ignore_errors=True)


def last(directory: Path) -> Written | None:
    """Return when the current lists were written; nothing where there are none."""
    try:
        kept = (directory / CURRENT / _WRITTEN).read_bytes()
        return msgspec.json.decode(kept, type=Written)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def _named(link: Path) -> str | None:
    return os.readlink(link) if link.is_symlink() else None  # noqa: PTH115 the name as it stands


def _link(link: Path, name: str) -> None:
    part = link.with_name(f"{link.name}.part")
    part.unlink(missing_ok=True)
    part.symlink_to(name)
    part.replace(link)


def _write(file: Path, content: bytes) -> None:
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as opened:
        opened.write(content)
        opened.flush()
        os.fsync(opened.fileno())


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
