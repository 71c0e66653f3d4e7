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
_SITE_LISTENER: Final = "\nlistener 8883\n"
# Places in the sandbox.
_SETTINGS: Final = "/etc/mosquitto"
_STORE: Final = "/var/lib/mosquitto"

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

    @property
    def port(self) -> int:
        """The loopback port it listens on."""
        return ports.recorded(self._port_file)

    def start(self) -> None:
        """Start it if it does not run, and wait until it answers.

        Raises:
            ServerError: If it does not answer at the deadline, or ends.
        """
        if self.server.process is None:
            self.server.kill()  # a sandbox or record left over
            port = ports.keep(self._port_file)
            self._state.mosquitto.mkdir(mode=0o700, parents=True, exist_ok=True)
            settings = (_CONFIGURATION / "mosquitto.conf").read_text()
            write_private(self._settings / "mosquitto.conf", render(settings, port).encode())
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
        broker = self._certificates.broker
        return Sandbox(
            self._state.tree,
            [
                Mount(source=self._state.mosquitto, target=_STORE, is_writable=True),
                Mount(
                    source=self._settings / "mosquitto.conf", target=f"{_SETTINGS}/mosquitto.conf"
                ),
                Mount(source=self._settings / "acl", target=f"{_SETTINGS}/acl"),
                Mount(source=self._certificates.authority, target=f"{_SETTINGS}/certs/ca.pem"),
                Mount(source=broker.certificate, target=f"{_SETTINGS}/certs/broker.pem"),
                Mount(source=broker.key, target=f"{_SETTINGS}/certs/broker.key"),
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
            with socket.create_connection((HOST, self.port), _CONNECT_DEADLINE_S):
                return True
        except OSError:
            return False


def render(settings: str, port: int) -> str:
    """Return a site's settings with the listener on a loopback port instead.

    Raises:
        ValueError: If the settings do not have exactly the one listener that is known.
    """
    if settings.count(_SITE_LISTENER) != 1:
        raise ValueError(f"mosquitto.conf: not exactly one line {_SITE_LISTENER.strip()!r}")
    return settings.replace(_SITE_LISTENER, f"\nlistener {port} {HOST}\n")
