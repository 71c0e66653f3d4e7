"""Debian packages on this machine, and the Debian 13 tree that the servers run from.

Debian 12 does not carry TimescaleDB and Debian 13 does. The servers run from a small tree of
Debian 13 beside the host's own files; the host's C library is left alone.
"""

from __future__ import annotations

import getpass
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

# gpg and uidmap are what mmdebstrap only recommends: to know whose signature a release carries,
# and to work without root.
PACKAGES: Final = (
    "bubblewrap",
    "dbus-daemon",
    "debian-archive-keyring",
    "gpg",
    "libfaketime",
    "mmdebstrap",
    "uidmap",
)
BROWSER_PACKAGES: Final = ("chromium",)
RELEASE: Final = "trixie"
TREE_PACKAGES: Final = ("mosquitto", "postgresql-17-timescaledb")

_KEYS: Final = Path("/usr/share/keyrings/debian-archive-trixie-stable.gpg")
_DEADLINE_S: Final = 900.0  # each command; most of it is downloading
_LOCK_WAIT: Final = "-o=DPkg::Lock::Timeout=300"


class DebianError(Exception):
    """A package or the tree could not be had; the text says which and why."""


def install(packages: Sequence[str], log: Path) -> None:
    """Install what is missing of these packages on this machine, by root or sudo.

    Raises:
        DebianError: If this user may not, or apt-get fails.
    """
    missing = _missing(packages)
    if not missing:
        return
    apt = [*_as_root(), "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "--quiet", "--yes"]
    apt += [_LOCK_WAIT]
    _run([*apt, "update"], log)
    _run([*apt, "install", "--no-install-recommends", *missing], log)


def build_tree(tree: Path, log: Path) -> None:
    """Make the Debian 13 tree if there is none; it appears whole or not at all.

    It comes as an archive and is unpacked here, so that every file is this user's, whoever had
    to build it.

    Raises:
        DebianError: If mmdebstrap fails; its output is in the log.
    """
    if tree.exists():
        return
    part = tree.with_name(tree.name + ".part")
    archive = tree.with_name(tree.name + ".tar")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    build = ["mmdebstrap", "--variant=essential", f"--include={','.join(TREE_PACKAGES)}"]
    build += ["--format=tar", RELEASE, "-"]
    unpack = ["tar", "--extract", "--no-same-owner", "--exclude=./dev/*", f"--directory={part}"]
    try:
        with archive.open("wb") as output:
            _run([*_as_builder(), *build], log, output=output.fileno())
        _run([*unpack, f"--file={archive}"], log)
    finally:
        archive.unlink(missing_ok=True)
    part.rename(tree)


def _missing(packages: Sequence[str]) -> Sequence[str]:
    query = ["dpkg-query", "--show", "--showformat=${db:Status-Abbrev}${Package}\n", *packages]
    shown = subprocess.run(query, capture_output=True, text=True, check=False).stdout  # noqa: S603 - our own words
    installed = {line[2:].strip() for line in shown.splitlines() if line.startswith("ii")}
    # Debian 12 before its eleventh update has a keyring that does not know Debian 13.
    if not _KEYS.exists():
        installed.discard("debian-archive-keyring")
    return [name for name in packages if name not in installed]


def _as_root() -> Sequence[str]:
    if os.geteuid() == 0:
        return []
    if sudo := shutil.which("sudo"):
        return [sudo]
    raise DebianError("neither root nor sudo: run this once as root, or install sudo")


def _as_builder() -> Sequence[str]:
    """Return how mmdebstrap is started: as ourselves where our user has ids to map."""
    mapped = Path("/etc/subuid")
    if os.geteuid() == 0 or (mapped.exists() and f"{getpass.getuser()}:" in mapped.read_text()):
        return []
    return _as_root()


def _run(argv: Sequence[str], log: Path, output: int | None = None) -> None:
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as messages:
        try:
            done = subprocess.run(  # noqa: S603 - our own command line
                argv,
                stdin=None if "sudo" in argv[0] else subprocess.DEVNULL,
                stdout=messages if output is None else output,
                stderr=messages,
                timeout=_DEADLINE_S,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise DebianError(f"{error}; see {log}") from error
    if done.returncode:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-8:])
        raise DebianError(f"{' '.join(argv)}: exit status {done.returncode}; {log} ends:\n{tail}")
