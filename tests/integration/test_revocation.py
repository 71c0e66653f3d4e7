"""Revocation at the real broker: cut off within seconds, kept out, and nobody else disturbed."""

from __future__ import annotations

import queue
import socket
import ssl
from collections.abc import Generator
from pathlib import Path
from typing import Final

import pytest

from clinician_api.enrolment.file_authority import private_pem
from clinician_api.enrolment.publishing import LIST_NAME
from deploy.local.certificates import REVOCATIONS, Identity
from deploy.local.services import BROKER, Services
from deploy.local.state import State
from device_adapters.contract.topics import READINGS_SHARED, Leaf, mounted, topic
from ingest_service.store import migration
from tests.support.enrolment import (
    Box,
    Enrolment,
    certificate_of,
    empty,
    enrolment_server,
    register,
)
from tests.support.mqtt import DEADLINE_S, FAILURE, SUCCESS, Client, Door, ingest
from tests.support.services import EMPTY, Broker, Database, cloned, running

pytestmark = [pytest.mark.broker, pytest.mark.timescale]

LOST: Final = "gateway-1"
OTHER: Final = "gateway-2"


class Site:
    """A broker and an enrolment server that share an authority."""

    def __init__(self, folder: Path, server: Enrolment, broker: Broker) -> None:
        self.folder, self.server, self.broker = folder, server, broker

    def enrol(self, gateway_id: str) -> Identity:
        """Enrol a gateway and return its certificate and key."""
        box = Box()
        answer = self.server.post(
            "/enrolment/certificates", {"code": self.server.code(gateway_id), "csr": box.csr}
        ).json()
        identity = Identity(
            self.folder / f"{gateway_id}-{certificate_of(answer).serial_number}.pem",
            self.folder / f"{gateway_id}-{certificate_of(answer).serial_number}.key",
        )
        identity.certificate.write_text(answer["chain"])
        identity.key.write_bytes(private_pem(box.key))
        return identity

    def client(self, identity: Identity) -> Client:
        """Return a client that has not been connected yet."""
        return Client(self.broker, Door.GATEWAYS, identity, "")

    def is_refused(self, identity: Identity) -> bool:
        """Tell whether the broker takes no connection with this certificate."""
        try:
            with self.client(identity).connected(deadline_s=2):
                return False
        except (ssl.SSLError, ConnectionError, queue.Empty):
            return True

    @property
    def settings(self) -> dict[str, str]:
        """What is set beside the broker."""
        services = self.broker.services.certificates.services
        own = services.client(REVOCATIONS)
        prefix = "HEMVITAL_ENROLMENT_"
        return {
            f"{prefix}REVOCATIONS_DATABASE": self.server.database.dsn("hemvital_revocations"),
            f"{prefix}REVOCATIONS_DIRECTORY": str(self.list.parent),
            f"{prefix}RELOAD_COMMAND": f"kill -HUP {self.pid}",
            f"{prefix}BROKER_SERVICES_PORT": str(self.broker.services_port),
            f"{prefix}BROKER_SERVICES_AUTHORITY": str(services.certificate),
            f"{prefix}BROKER_SERVICES_CERTIFICATE": str(own.certificate),
            f"{prefix}BROKER_SERVICES_KEY": str(own.key),
        }

    @property
    def list(self) -> Path:
        """The broker's list."""
        return self.broker.services.certificates.gateways.revoked / LIST_NAME

    @property
    def pid(self) -> int:
        """The broker's process."""
        process = self.broker.services.broker.server.process
        assert process is not None
        return process.pid

    def revoke(self, gateway_id: str = LOST, *, is_applied: bool = True) -> str:
        """Revoke a gateway; the broker hears at once or not."""
        applied = self.settings if is_applied else {}
        decided = ("--decided-by", "IT", "--reason", "stolen")
        return self.server.command("gateways", "revoke", gateway_id, *decided, environment=applied)

    def publish(self, code: int = 0, **other: str) -> str:
        """Run what the timer runs."""
        environment = self.settings | other
        return self.server.command(
            "gateways", "publish-revocations", code=code, environment=environment
        )


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Generator[Database]:
    """A broker that may be reloaded and killed, and a database, for the tests here alone."""
    state = State(root=tmp_path_factory.mktemp("services"), tree=State().tree)
    with running(Services(state)) as started, cloned(started, EMPTY) as database:
        migration.apply(database.dsn())
        yield database


@pytest.fixture
def site(tmp_path: Path, alone: Database) -> Generator[Site]:
    # Each test begins with no list: its first one has the number of an earlier test's, as after
    # a database was restored from a copy.
    empty(alone)
    broker = Broker(services=alone.services)
    with enrolment_server(tmp_path, alone, broker=broker) as server:
        register(alone, OTHER)
        yield Site(tmp_path, server, broker)


def test_a_revoked_gateway_is_cut_off_and_kept_out_and_another_is_undisturbed(
    site: Site,
) -> None:
    lost = site.enrol(LOST)
    other = site.enrol(OTHER)
    with ingest(site.broker) as worker, site.client(other).connected() as neighbour:
        worker.subscribe(READINGS_SHARED)
        with site.client(lost).connected() as home:
            assert home.publish(topic(LOST, Leaf.READINGS), b"before") == SUCCESS
            assert worker.messages.get(timeout=DEADLINE_S)[1] == b"before"

            told = site.revoke()

            assert f"{LOST}: cut off." in told
            # Of itself, while the connection was alive: paho's loop hears it.
            assert home.disconnections.get(timeout=DEADLINE_S) != SUCCESS
        assert site.is_refused(lost)
        assert neighbour.publish(topic(OTHER, Leaf.READINGS), b"after") == SUCCESS
        assert worker.messages.get(timeout=DEADLINE_S) == (
            mounted(OTHER, Leaf.READINGS),
            b"after",
        )
        assert worker.messages.empty()
        assert neighbour.disconnections.empty()
        assert worker.disconnections.empty()


def test_a_restarted_broker_keeps_a_revoked_gateway_out(site: Site) -> None:
    lost = site.enrol(LOST)
    other = site.enrol(OTHER)
    site.revoke()

    site.broker.services.kill(BROKER)
    site.broker.services.restart(BROKER)

    assert site.is_refused(lost)
    with site.client(other).connected():
        pass


def test_the_timers_run_does_what_is_missing_and_nothing_twice(site: Site) -> None:
    lost = site.enrol(LOST)
    with site.client(lost).connected() as home:
        assert "publish-revocations" in site.revoke(is_applied=False)
        assert home.publish(topic(LOST, Leaf.READINGS)) < FAILURE  # nobody has told the broker

        # The broker cannot be told: it is said, and the next run makes good what is missing.
        told = site.publish(code=1, HEMVITAL_ENROLMENT_RELOAD_COMMAND="false")
        assert "false: exit code 1" in told
        told = site.publish(code=1, HEMVITAL_ENROLMENT_BROKER_SERVICES_PORT="1")
        assert f"{LOST} is refused, and may still be connected" in told
        told = site.publish()
        assert f"{LOST}: cut off." in told
        assert home.disconnections.get(timeout=DEADLINE_S) != SUCCESS
    assert site.is_refused(lost)
    before = site.list.stat()
    told = site.publish()
    assert "the broker has it" in told
    assert "cut off" not in told
    assert site.list.stat().st_ino == before.st_ino


def test_the_successor_of_a_lost_box_comes_in_under_the_same_name(site: Site) -> None:
    lost = site.enrol(LOST)
    site.revoke()

    successor = site.enrol(LOST)

    assert site.is_refused(lost)
    with site.client(successor).connected() as home:
        site.publish()
        assert home.disconnections.empty()
        assert home.publish(topic(LOST, Leaf.STATUS)) < FAILURE


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_saved_tls_session_is_no_way_round_the_list(site: Site, version: ssl.TLSVersion) -> None:
    # Who resumes a session shows no certificate: OpenSSL keeps the first handshake's result.
    lost = site.enrol(LOST)
    context = ssl.create_default_context(cafile=str(site.broker.authority))
    context.load_cert_chain(lost.certificate, lost.key)
    context.maximum_version = version
    saved, _ = shake_hands(site.broker, context)
    assert shake_hands(site.broker, context, saved)[1]

    site.revoke()

    with pytest.raises(OSError, match=r"(?i)revoked|EOF|reset"):
        shake_hands(site.broker, context, saved)


def shake_hands(
    broker: Broker, context: ssl.SSLContext, session: ssl.SSLSession | None = None
) -> tuple[ssl.SSLSession | None, bool | None]:
    """Connect as far as the broker's answer; return the session, and whether it was resumed."""
    plain = socket.create_connection((broker.host, broker.port), DEADLINE_S)
    with context.wrap_socket(plain, server_hostname="localhost", session=session) as connection:
        # CONNECT: MQTT 5, clean start, keep alive 60 s, no properties, no client id.
        connection.sendall(bytes.fromhex("100d00044d5154540502003c000000"))
        if connection.recv(100)[:1] != b"\x20":
            raise ConnectionError("EOF before the broker's answer")
        return connection.session, connection.session_reused
