"""Have the broker refuse what is revoked: give it the list, have it read that, cut off who is in.

Each step is noted once it is done, so a run that was killed or failed is made good by the next.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import msgspec
from cryptography import x509

from clinician_api.enrolment.cutting import CutOffError
from ingest_service.store.gateway_certificates import CutOff, RevocationList

LIST_NAME: Final = "gateways.crl.pem"
_NOTES_NAME: Final = "applied.json"
# The broker reads a list in milliseconds. Who comes in between is cut off by the next runs.
_REPEATED_FOR: Final = timedelta(minutes=15)


class _Notes(msgspec.Struct, frozen=True, kw_only=True):
    """What the broker has: the list's digest, and for whom it was told of which revocation.

    Not the list's number: after the database was restored from a copy it may come again.
    """

    digest: str = ""
    cut_off: Mapping[str, datetime] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """What a run did."""

    number: int
    is_new: bool
    cut_off: Sequence[str]


class PublishingError(Exception):
    """The broker could not be told; the text says which step failed."""


def apply(
    directory: Path,
    signed: RevocationList,
    gateways: Sequence[CutOff],
    *,
    reload: Callable[[], None],
    cut_off: Callable[[str], None],
    now: datetime,
) -> Applied:
    """Bring the broker to the list; again, it does only what is still missing.

    Args:
        directory: Where the broker reads `LIST_NAME`; this run's notes are kept beside it.
        signed: The list.
        gateways: Who may be connected by what is on it.
        reload: Has the broker read its files, and returns when it has.
        cut_off: Ends a gateway's session.
        now: The time.

    Raises:
        PublishingError: If a step failed; the next run repeats it.
        OSError: If the directory cannot be written.
    """
    notes = _read_notes(directory)
    digest = hashlib.sha256(signed.content.encode()).hexdigest()
    is_new = notes.digest != digest
    if is_new:
        _check(signed)
        write_whole(directory / LIST_NAME, signed.content.encode(), mode=0o644)
        reload()
        notes = msgspec.structs.replace(notes, digest=digest)
        _write_notes(directory, notes)
    done: list[str] = []
    for gateway in gateways:
        is_noted = notes.cut_off.get(gateway.gateway_id) == gateway.revoked_at
        is_late = now - gateway.revoked_at > _REPEATED_FOR
        if is_noted and (is_late or gateway.has_other):
            continue
        try:
            cut_off(gateway.gateway_id)
        except (OSError, CutOffError) as error:
            text = f"{gateway.gateway_id} is refused, and may still be connected: {error}"
            raise PublishingError(text) from error
        if not is_noted:
            done.append(gateway.gateway_id)
        told = {**notes.cut_off, gateway.gateway_id: gateway.revoked_at}
        notes = msgspec.structs.replace(notes, cut_off=told)
        _write_notes(directory, notes)
    return Applied(number=signed.number, is_new=is_new, cut_off=done)


def write_whole(path: Path, content: bytes, *, mode: int) -> None:
    """Write a file in place of another: whole or not at all, also after a power cut."""
    part = path.with_name(path.name + ".part")
    part.unlink(missing_ok=True)
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(file.fileno(), mode)  # whatever the umask: the broker is another user
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _check(signed: RevocationList) -> None:
    # With a file that is no list the broker would start no more.
    try:
        x509.load_pem_x509_crl(signed.content.encode())
    except ValueError as error:
        raise PublishingError("the database's list is no revocation list in PEM") from error


def _read_notes(directory: Path) -> _Notes:
    try:
        return msgspec.json.decode((directory / _NOTES_NAME).read_bytes(), type=_Notes)
    except (FileNotFoundError, msgspec.DecodeError):
        return _Notes()  # everything is done once more, which harms nobody


def _write_notes(directory: Path, notes: _Notes) -> None:
    write_whole(directory / _NOTES_NAME, msgspec.json.encode(notes), mode=0o600)
