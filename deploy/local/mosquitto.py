"""mosquitto: the MQTT broker, with the configuration that a site starts from."""

from __future__ import annotations

import signal
import socket
import time
from pathlib import Path
from typing import Final

from deploy.local import ports
from deploy.local.certificates import Certificates
from deploy.local.processes import Server
from deploy.local.sandbox import Mount, Sandbox
from deploy.local.state import CHECKOUT, State, write_private

HOST: Final = "127.0.0.1"

_CONFIGURATION: Final = CHECKOUT / "deploy" / "mosquitto"
_GATEWAYS_LISTENER: Final = "\nlistener 8883\n"
_SERVICES_LISTENER: Final = "\nlistener 8884 127.0.0.1\n"
# Places in the sandbox.
_SETTINGS: Final = "/etc/mosquitto"
_STORE: Final = "/var/lib/mosquitto"
_REVOKED: Final = "/etc/mosquitto/revoked"

_START_DEADLINE_S: Final = 30.0  # it reads its whole store first
_STOP_DEADLINE_S: Final = 20.0
_CONNECT_DEADLINE_S: Final = 2.0
_POLL_S: Final = 0.05


class Mosquitto:
    """The broker of one local installation."""

    def __init__(self, state: State, certificates: Certificates) -> None:
        self._state = state
        self._certificates = certificates
        self.server = Server("mosquitto", run=state.run, log=state.log)
        self._port_file = state.run / "mosquitto.port"
        self._services_port_file = state.run / "mosquitto-services.port"

    @property
    def port(self) -> int:
        """The loopback port where gateways come in."""
        return ports.recorded(self._port_file)

    @property
    def services_port(self) -> int:
        """The loopback port where services come in."""
        return ports.recorded(self._services_port_file)

    def start(self) -> None:
        """Start it if it does not run, and wait until it answers.

        Raises:
            ServerError: If it does not answer at the deadline, or ends.
        """
        if self.server.process is None:
            self.server.kill()  # a sandbox or record left over
            port = ports.keep(self._port_file)
            services_port = ports.keep(self._services_port_file)
            self._state.mosquitto.mkdir(mode=0o700, parents=True, exist_ok=True)
            settings = render(
                (_CONFIGURATION / "mosquitto.conf").read_text(),
                port=port,
                services_port=services_port,
            )
            write_private(self._settings / "mosquitto.conf", settings.encode())
            write_private(self._settings / "acl", (_CONFIGURATION / "acl").read_bytes())
            argv = ["mosquitto", "-c", f"{_SETTINGS}/mosquitto.conf"]
            self.server.start(self._sandbox().server_argv(*argv))
        self._wait_until_answering()

    def stop(self) -> None:
        """Stop it: it writes its store and ends; killed if that takes too long."""
        self.server.stop(signal.SIGTERM, deadline_s=_STOP_DEADLINE_S)

    @property
    def _settings(self) -> Path:
        return self._state.run / "mosquitto"

    def _sandbox(self) -> Sandbox:
        files = {name: self._settings / name for name in ("mosquitto.conf", "acl")}
        for authority in (self._certificates.gateways, self._certificates.services):
            place = f"certs/{authority.directory.name}"
            files[f"{place}/ca.pem"] = authority.certificate
            files[f"{place}/broker.pem"] = authority.broker.certificate
            files[f"{place}/broker.key"] = authority.broker.key
        return Sandbox(
            self._state.tree,
            [
                Mount(source=self._state.mosquitto, target=_STORE, is_writable=True),
                # The directory and not the file: a new list takes the old one's place.
                Mount(source=self._certificates.gateways.revoked, target=_REVOKED),
                *(
                    Mount(source=source, target=f"{_SETTINGS}/{name}")
                    for name, source in files.items()
                ),
            ],
            scratch=[_SETTINGS],
        )

    def _wait_until_answering(self) -> None:
        deadline = time.monotonic() + _START_DEADLINE_S
        while not self._is_answering():
            if self.server.process is None:
                raise self.server.error("ended while starting")
            if time.monotonic() > deadline:
                raise self.server.error(f"does not answer after {_START_DEADLINE_S:.0f} s")
            time.sleep(_POLL_S)

    def _is_answering(self) -> bool:
        # It listens once it has read its settings, its certificates and its store.
        try:
            for port in (self.port, self.services_port):
                socket.create_connection((HOST, port), _CONNECT_DEADLINE_S).close()
        except OSError:
            return False
        return True


def render(settings: str, *, port: int, services_port: int) -> str:
    """Return a site's settings with both listeners on loopback ports instead.

    Raises:
        ValueError: If the settings do not have exactly the two listeners that are known.
    """
    known = {_GATEWAYS_LISTENER: port, _SERVICES_LISTENER: services_port}
    if settings.count("\nlistener ") != len(known):
        raise ValueError(f"mosquitto.conf: not exactly {len(known)} listeners")
    for line, own in known.items():
        if line not in settings:
            raise ValueError(f"mosquitto.conf: no line {line.strip()!r}")
        settings = settings.replace(line, f"\nlistener {own} {HOST}\n")
    return settings
