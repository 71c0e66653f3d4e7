"""TimescaleDB and mosquitto of one local installation: brought up, killed, stopped."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from deploy.local import debian
from deploy.local.certificates import INGEST, Certificates
from deploy.local.mosquitto import HOST, Mosquitto
from deploy.local.postgresql import ROLES, PostgreSQL
from deploy.local.state import State

BROKER: Final = "mosquitto"
DATABASE: Final = "postgresql"


@dataclass(frozen=True, slots=True)
class Step:
    """One part of bringing the services up; done already, it does nothing."""

    title: str
    run: Callable[[], None]


class Services:
    """The real services that Hemvital needs; everything here may be called again at any time."""

    def __init__(self, state: State | None = None) -> None:
        self.state = state or State()
        self.certificates = Certificates(self.state)
        self.database = PostgreSQL(self.state)
        self.broker = Mosquitto(self.state, self.certificates)
        self._parts = {DATABASE: self.database, BROKER: self.broker}

    def steps(self) -> Sequence[Step]:
        """Return what `start` does, in order, for whoever wants to show progress."""
        log = self.state.log / "debian.log"
        return [
            Step("Debian packages", lambda: debian.install(debian.PACKAGES, log)),
            Step(
                "Debian 13 tree with TimescaleDB and mosquitto",
                lambda: debian.build_tree(self.state.tree, log),
            ),
            Step("certificates", self.certificates.create),
            Step("database cluster", self.database.create_cluster),
            Step("TimescaleDB", self.database.start),
            Step("roles and databases", self.database.bootstrap),
            Step("mosquitto", self.broker.start),
        ]

    def start(self, show: Callable[[int, Step], None] = lambda _number, step: step.run()) -> None:
        """Bring both up, with everything they need, and wait until they answer.

        Args:
            show: Called with each step and its number; runs it.

        Raises:
            DebianError: If a package or the tree cannot be had.
            ServerError: If a server does not start.
        """
        with self.state.locked():
            for number, step in enumerate(self.steps(), start=1):
                show(number, step)

    def stop(self) -> None:
        """Stop both in order, each within its deadline."""
        with self.state.locked():
            self.broker.stop()
            self.database.stop()

    def kill(self, name: str) -> None:
        """End `BROKER` or `DATABASE` by SIGKILL, with everything it started."""
        self._parts[name].server.kill()

    def restart(self, name: str) -> None:
        """Start `BROKER` or `DATABASE` again on what it left on disk, and wait until it answers."""
        with self.state.locked():
            self._parts[name].start()

    def status(self) -> Mapping[str, Any]:
        """Return what runs and how to reach it, as JSON; passwords stay in their files."""
        ingest = self.certificates.service(INGEST)
        broker = {
            "host": HOST,
            "authority": str(self.certificates.authority),
            "ingest_certificate": str(ingest.certificate),
            "ingest_key": str(ingest.key),
            "gateways": str(ingest.certificate.parent.with_name("gateways")),
        }
        return {
            DATABASE: self._about(DATABASE)
            | {"dsn": {role: self.database.dsn(role) for role in ROLES}},
            BROKER: self._about(BROKER) | broker,
        }

    def _about(self, name: str) -> Mapping[str, Any]:
        part = self._parts[name]
        process = part.server.process
        return {
            "is_running": process is not None,
            "pid": process.pid if process else None,
            "port": part.port,
            "log": str(part.server.log),
        }
