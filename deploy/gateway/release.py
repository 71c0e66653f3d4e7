#!/usr/bin/python3 -I
"""``hemvital-gateway-release``: which release of the gateway is in use, and which was before it.

Releases lie side by side under ``/opt/hemvital-gateway/releases``; ``current`` names the one in
use and ``previous`` the one before. The state directory belongs to none of them, so that neither
an upgrade nor a roll back touches what waits for the server.

A release is healthy when the gateway has said that it serves, and still runs without a restart
some seconds later. Whether the broker answers is not asked: homes are without network for days.
"""

from __future__ import annotations

import argparse
import compileall
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_UNIT: Final = "hemvital-gateway.service"
_VERSION: Final = re.compile(r"[0-9][A-Za-z0-9.~+-]{0,63}")
_START_S: Final = 960.0  # as long as the unit allows, and a minute
_SETTLED_S: Final = "20"
_SETTLED: Final = "HEMVITAL_RELEASE_SETTLED_S"
_LOOK_S: Final = 1.0


class ReleaseError(Exception):
    """It cannot be done; the text is the sentence to show."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Releases:
    """The releases of a machine.

    Attributes:
        directory: Where they lie.
        state: What outlives them.
    """

    directory: Path
    state: Path

    @property
    def current(self) -> str | None:
        """Return the version in use."""
        return self._named("current")

    @property
    def previous(self) -> str | None:
        """Return the version that was in use before."""
        return self._named("previous")

    def versions(self) -> Sequence[str]:
        """Return what could be used, by name."""
        found = (self.directory / "releases").glob("[0-9]*")
        return sorted(path.name for path in found if path.is_dir())

    def add(self, source: Path, version: str) -> str:
        """Lay a release beside the others, whole or not at all, and return its name there.

        A version that is there already, perhaps in use, is left alone: this one gets a name of
        its own.
        """
        if not _VERSION.fullmatch(version):
            raise ReleaseError(f"{version!r} is no version of a release")
        releases = self.directory / "releases"
        releases.mkdir(parents=True, exist_ok=True)
        names = (version, *(f"{version}.{again}" for again in range(2, 1000)))
        name = next(each for each in names if not (releases / each).exists())
        part = releases / ".part"
        shutil.rmtree(part, ignore_errors=True)
        shutil.copytree(source, part, copy_function=_link)
        compileall.compile_dir(
            part / "lib", quiet=2, stripdir=str(part), prependdir=str(releases / name)
        )
        os.sync()
        part.rename(releases / name)
        os.sync()  # a power cut after the switch must not find half a release
        return name

    def use(self, version: str) -> None:
        """Let ``current`` name a release, and ``previous`` the one that it named until now."""
        if not (self.directory / "releases" / version / "bin" / "hemvital-gateway").exists():
            known = ", ".join(self.versions()) or "none"
            raise ReleaseError(f"there is no release {version} here; there are: {known}")
        before = self.current
        if before and before != version:
            self._point("previous", before)
        self._point("current", version)

    def prune(self) -> None:
        """Remove all but the release in use and the one before."""
        for version in self.versions():
            if version not in {self.current, self.previous}:
                shutil.rmtree(self.directory / "releases" / version, ignore_errors=True)

    def undelivered(self) -> int:
        """Return how many records the server has not received, as the gateway's file says."""
        path = self.state / "gateway.sqlite3"
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
            (waiting,) = connection.execute(
                "SELECT (SELECT count(*) FROM outbox WHERE delivered_us IS NULL)"
                " + (SELECT count(*) FROM journal WHERE is_decoded = 0)"
            ).fetchone()
        return int(waiting)

    def _named(self, link: str) -> str | None:
        path = self.directory / link
        return path.readlink().name if path.is_symlink() else None

    def _point(self, link: str, version: str) -> None:
        new = self.directory / f".{link}.new"
        new.unlink(missing_ok=True)
        new.symlink_to(Path("releases") / version)
        new.rename(self.directory / link)  # one step: there is always a release in use
        descriptor = os.open(self.directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


class Service:
    """The gateway as systemd runs it."""

    @property
    def is_managed(self) -> bool:
        """Tell whether systemd runs it: not while an image is made, nor where it is disabled."""
        return Path("/run/systemd/system").is_dir() and self._run("is-enabled") is not None

    def restart(self) -> bool:
        """Start it anew and tell whether it said that it serves, or was not to start."""
        return self._run("restart", deadline_s=_START_S) is not None

    def settles(self, within_s: float) -> bool:
        """Tell whether it runs on for some seconds without being started again."""
        began = time.monotonic()
        first = self._state()
        while first[0] == "active" and time.monotonic() - began < within_s:
            time.sleep(min(_LOOK_S, within_s))
            if self._state() != first:
                return False
        # Inactive and not failed: its condition does not hold, nobody has enrolled it yet.
        return first[0] in {"active", "inactive"}

    def _state(self) -> tuple[str, str]:
        shown = self._run("show", "--property=ActiveState", "--property=NRestarts") or ""
        values = dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)
        return values.get("ActiveState", "unknown"), values.get("NRestarts", "")

    def _run(self, *words: str, deadline_s: float = 30.0) -> str | None:
        try:
            done = subprocess.run(  # noqa: S603 - our own words
                ["systemctl", *words, _UNIT],  # noqa: S607 - root's path, as in every unit
                capture_output=True,
                text=True,
                timeout=deadline_s,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return None
        return done.stdout if done.returncode == 0 else None


def switch(releases: Releases, service: Service, version: str, within_s: float) -> None:
    """Use a release, and go back to the one before if it does not come up.

    Raises:
        ReleaseError: If it is not there, or did not come up.
    """
    before = releases.current
    releases.use(version)
    if not service.is_managed or (service.restart() and service.settles(within_s)):
        return
    if before is None or before == version:
        raise ReleaseError(f"release {version} does not start, and there is none to go back to")
    releases.use(before)
    came_back = service.restart() and service.settles(within_s)
    end = "which runs" if came_back else "WHICH DOES NOT START EITHER"
    raise ReleaseError(f"release {version} does not start: back to {before}, {end}")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 0 done, 1 not done, 2 usage."""
    arguments = _parser().parse_args(argv)
    releases = Releases(directory=arguments.directory, state=arguments.state)
    try:
        _do(arguments, releases, Service())
    except (ReleaseError, OSError, sqlite3.Error) as error:
        print(f"hemvital-gateway-release: {error}", file=sys.stderr)
        return 1
    return 0


def _do(arguments: argparse.Namespace, releases: Releases, service: Service) -> None:
    match arguments.command:
        case "list":
            for version in releases.versions():
                marks = {releases.current: " (in use)", releases.previous: " (before)"}
                print(version + marks.get(version, ""))
        case "undelivered":
            print(releases.undelivered())
        case "install":
            name = releases.add(arguments.source, arguments.version)
            switch(releases, service, name, arguments.settled_s)
            releases.prune()
        case "switch":
            switch(releases, service, arguments.version, arguments.settled_s)
        case _:
            if (version := releases.previous) is None:
                raise ReleaseError("there is no release before this one")
            switch(releases, service, version, arguments.settled_s)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="hemvital-gateway-release",
        description="Which release of the gateway is in use. What waits is touched by none.",
    )
    parser.add_argument(
        "--directory", type=Path, default=Path("/opt/hemvital-gateway"), help=argparse.SUPPRESS
    )
    parser.add_argument(
        "--state", type=Path, default=Path("/var/lib/hemvital-gateway"), help=argparse.SUPPRESS
    )
    parser.add_argument(
        "--settled-s",
        type=float,
        default=os.environ.get(_SETTLED, _SETTLED_S),
        metavar="S",
        help="how long it must run before it counts as healthy (default %(default)s)",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="show the releases")
    change = commands.add_parser("switch", help="use a release; go back if it does not come up")
    change.add_argument("version")
    commands.add_parser("rollback", help="use the release before")
    commands.add_parser("undelivered", help="print how many records the server has not received")
    add = commands.add_parser("install", help="for the package: add a release and use it")
    add.add_argument("source", type=Path)
    add.add_argument("version")
    return parser


def _link(source: str, target: str) -> object:
    try:
        # dpkg replaces files, it never writes into them: a link keeps the old release's bytes.
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
    return target


if __name__ == "__main__":
    sys.exit(main())
