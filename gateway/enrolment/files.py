"""The gateway's identity on the disk: one directory, and one link that says which.

``identity-<tag>/`` holds key, certificate, authority and settings; ``identity`` points at the one
that counts. All of a directory is on the disk before the link is put in place of the older one, in
one step: a power cut leaves the old identity or the new one, whole.

The key is made before anything is asked for, in a directory named after what it is asked with (a
code, an older certificate). So whoever asks again, because the answer was lost, asks with the same
key and gets the same certificate.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

LINK: Final = "identity"
KEY: Final = "gateway.key"
CERTIFICATE: Final = "gateway.pem"
AUTHORITY: Final = "authority.pem"
ABOUT: Final = f"{CERTIFICATE}.json"
SETTINGS: Final = "settings.toml"
SERVER_AUTHORITY: Final = "server-authority.pem"
RENEWAL: Final = "renewal.json"

_PART: Final = ".part"
_DIRECTORY_MODE: Final = 0o700
_FILE_MODE: Final = 0o600


class InUseError(Exception):
    """Another enrolment, renewal or, where it matters, the gateway itself is at work."""


@contextmanager
def alone(state: Path, name: str = "enrolment.lock") -> Generator[None]:
    """Be the only one at work on a state directory.

    Raises:
        InUseError: If somebody else is.
    """
    _make_directory(state)
    with (state / name).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InUseError(f"{state}: something else is at work on it; try again") from error
        yield


def current(state: Path) -> Path | None:
    """Return the directory of the identity that counts, if there is one."""
    link = state / LINK
    return state / link.readlink() if link.is_symlink() else None


def prepare(state: Path, tag: str, new_key: bytes) -> Path:
    """Return the directory for a new identity, with its key: the one from before, or this one."""
    directory = state / f"{LINK}-{tag}"
    if not (directory / KEY).exists():
        part = directory.with_name(directory.name + _PART)
        shutil.rmtree(part, ignore_errors=True)
        shutil.rmtree(directory, ignore_errors=True)
        _make_directory(part)
        write_whole(part / KEY, new_key)
        part.rename(directory)
        _flush(state)
    return directory


def put_in_place(state: Path, directory: Path, files: Mapping[str, bytes]) -> None:
    """Complete an identity and have it count; the older ones go."""
    for name, content in files.items():
        write_whole(directory / name, content)
    part = state / (LINK + _PART)
    part.unlink(missing_ok=True)
    part.symlink_to(directory.name)
    part.replace(state / LINK)
    _flush(state)
    _remove_others(state, directory)


def write_whole(path: Path, content: bytes) -> None:
    """Write a file that only its owner may read: whole or not at all, also after a power cut."""
    part = path.with_name(path.name + _PART)
    part.unlink(missing_ok=True)
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _FILE_MODE)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(file.fileno(), _FILE_MODE)  # whatever the umask
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    _flush(path.parent)


def wipe(state: Path) -> None:
    """Remove every identity: the link first, so that nothing half removed counts."""
    (state / LINK).unlink(missing_ok=True)
    _flush(state)
    _remove_others(state, None)


def _remove_others(state: Path, kept: Path | None) -> None:
    for directory in state.glob(f"{LINK}-*"):
        if directory != kept:
            # Keys first: what cannot be removed must not be able to sign.
            with suppress(FileNotFoundError):
                (directory / KEY).unlink()
            shutil.rmtree(directory)
    _flush(state)


def _make_directory(path: Path) -> None:
    path.mkdir(parents=True, exist_ok=True, mode=_DIRECTORY_MODE)
    path.chmod(_DIRECTORY_MODE)


def _flush(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
