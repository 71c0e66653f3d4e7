"""TimescaleDB and mosquitto of one local installation: brought up, killed, stopped."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from deploy.local import debian
from deploy.local.certificates import INGEST, Certificates
from deploy.local.mosquitto import HOST, Mosquitto
from deploy.local.postgresql import ROLES, PostgreSQL
from deploy.local.state import State

BROKER: Final = "mosquitto"
DATABASE: Final = "postgresql"


# One part of the work: its title, and what does it; done already, it does nothing.
Step = tuple[str, Callable[[], None]]
# Shows a part's title, with its place among them all, and does it.
Show = Callable[[str, Callable[[], None]], None]


def _silently(_title: str, run: Callable[[], None]) -> None:
    run()


class Services:
    """The real services that Hemvital needs; everything here may be called again at any time."""

    def __init__(self, state: State | None = None) -> None:
        self.state = state or State()
        self.certificates = Certificates(self.state)
        self.database = PostgreSQL(self.state)
        self.broker = Mosquitto(self.state, self.certificates)
        self._log = self.state.log / "debian.log"
        self._parts = {DATABASE: self.database, BROKER: self.broker}

    def prepare(self, show: Show = _silently, *, is_for_browser: bool = False) -> None:
        """Install what the machine lacks and start nothing.

        Args:
            show: Called with each part's title, in order; does the part.
            is_for_browser: With what only the tests in a browser need.

        Raises:
            DebianError: If a package or the tree cannot be had.
        """
        browser: Step = ("browser", lambda: debian.install(debian.BROWSER_PACKAGES, self._log))
        self._take([*self._preparation(), *([browser] if is_for_browser else [])], show)

    def start(self, show: Show = _silently) -> None:
        """Bring both up, with everything they need, and wait until they answer.

        Args:
            show: Called with each part's title, in order; does the part.

        Raises:
            DebianError: If a package or the tree cannot be had.
            ServerError: If a server does not start.
        """
        steps: Sequence[Step] = [
            ("certificates", self.certificates.create),
            ("database cluster", self.database.create_cluster),
            ("TimescaleDB", self.database.start),
            ("roles and databases", self.database.bootstrap),
            ("mosquitto", self.broker.start),
        ]
        self._take([*self._preparation(), *steps], show)

    def stop(self) -> None:
        """Stop both in order, each within its deadline."""
        with self.state.locked():
            self.broker.stop()
            self.database.stop()

    def kill(self, name: str) -> None:
        """End `BROKER` or `DATABASE` by SIGKILL, with everything it started."""
        self._parts[name].server.kill()

    def restart(self, name: str) -> None:
        """Start `BROKER` or `DATABASE` on what it left on disk, and wait until it answers."""
        with self.state.locked():
            self._parts[name].start()

    @property
    def is_running(self) -> bool:
        """Tell whether both run."""
        return all(part.server.process is not None for part in self._parts.values())

    def status(self) -> Mapping[str, Any]:
        """Return what runs and how to reach it, as JSON; passwords stay in their files."""
        gateways, services = self.certificates.gateways, self.certificates.services
        ingest = self.certificates.service(INGEST)
        broker = {
            "host": HOST,
            "services_port": self.broker.services_port,
            "gateways_authority": str(gateways.certificate),
            "services_authority": str(services.certificate),
            "ingest_certificate": str(ingest.certificate),
            "ingest_key": str(ingest.key),
            "gateways": str(gateways.directory / "clients"),
        }
        return {
            DATABASE: self._about(DATABASE)
            | {"dsn": {role: self.database.dsn(role) for role in ROLES}},
            BROKER: self._about(BROKER) | broker,
        }

    def _preparation(self) -> Sequence[Step]:
        return [
            ("Debian packages", lambda: debian.install(debian.PACKAGES, self._log)),
            (
                "Debian 13 tree with TimescaleDB and mosquitto",
                lambda: debian.build_tree(self.state.tree, self._log),
            ),
        ]

    def _take(self, steps: Sequence[Step], show: Show) -> None:
        with self.state.locked():
            for number, (title, run) in enumerate(steps, start=1):
                show(f"[{number}/{len(steps)}] {title}", run)

    def _about(self, name: str) -> dict[str, Any]:
        part = self._parts[name]
        process = part.server.process
        return {
            "is_running": process is not None,
            "pid": process.pid if process else None,
            "port": part.port,
            "log": str(part.server.log),
        }
