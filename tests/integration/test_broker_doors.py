"""Two doors: a certificate that was stolen from a home harms that home's own topics at most."""

from __future__ import annotations

import queue
import ssl
import time
from collections.abc import Sequence
from typing import Final

import pytest

from deploy.local.certificates import Identity
from deploy.local.services import BROKER, Services
from device_adapters.contract.topics import READINGS_SHARED, Leaf, mounted, topic
from ingest_service.subscriber.broker import BrokerAddress
from tests.support.mqtt import (
    DEADLINE_S,
    GRANTED_QOS_1,
    NOT_AUTHORISED,
    SUCCESS,
    Client,
    Door,
    gateway,
    ingest,
)
from tests.support.services import Broker

pytestmark = pytest.mark.broker

READINGS: Final = 20
QUIET_S: Final = 0.5
SESSION_S: Final = 3600
# Every way in which a rogue could ask for ingest's share, with and without the mount.
SHARES: Final = (
    "$share/ingest/hemvital/v1/+/readings",
    READINGS_SHARED,
    "$share/ingest/homes/homes/hemvital/v1/+/readings",
    "$share/ingest/#",
)


@pytest.fixture
def alone(disposable_services: Services) -> Broker:
    """A broker without anybody's workers."""
    return Broker(services=disposable_services)


def workers_session(broker: Broker) -> str:
    """Return what a worker's session is called: the code's own word for it."""
    address = BrokerAddress(
        host=broker.host,
        port=broker.services_port,
        authority=broker.services_authority,
        certificate=broker.ingest.certificate,
        key=broker.ingest.key,
        name="ingest-1",
    )
    return address.client_id


def taken(client: Client, count: int) -> Sequence[bytes]:
    """Return the payloads of the next messages, fewer if they do not come."""
    payloads: list[bytes] = []
    deadline = time.monotonic() + DEADLINE_S
    while len(payloads) < count and time.monotonic() < deadline:
        try:
            payloads.append(client.messages.get(timeout=QUIET_S)[1])
        except queue.Empty:
            break
    return payloads


def test_a_rogue_in_ingests_share_swallows_nothing(alone: Broker) -> None:
    given = [b"%d" % number for number in range(READINGS)]
    with (
        ingest(alone) as worker,
        gateway(alone, "gateway-2") as rogue,
        gateway(alone, "gateway-1") as home,
    ):
        assert worker.subscribe(READINGS_SHARED) == GRANTED_QOS_1
        for share in SHARES:
            rogue.subscribe(share)

        answers = [home.publish(topic("gateway-1", Leaf.READINGS), each) for each in given]

        assert answers == [SUCCESS] * READINGS
        assert taken(worker, READINGS) == given
        assert rogue.messages.empty()


def test_a_rogue_in_ingests_share_gets_no_reading_of_its_own_back(alone: Broker) -> None:
    with ingest(alone) as worker, gateway(alone) as rogue:
        worker.subscribe(READINGS_SHARED)
        for share in SHARES:
            rogue.subscribe(share)

        rogue.publish(topic("gateway-1", Leaf.READINGS), b"own")

        assert worker.messages.get(timeout=DEADLINE_S) == (
            mounted("gateway-1", Leaf.READINGS),
            b"own",
        )
        assert rogue.messages.empty()


def test_a_gateway_does_not_take_over_a_workers_session(alone: Broker) -> None:
    session = workers_session(alone)
    with ingest(alone, client_id=session) as worker:
        worker.subscribe(READINGS_SHARED)
        # By asking for it, and by being called what a worker is called.
        with (
            gateway(alone, "gateway-1", client_id=session) as home,
            gateway(alone, "ingest-1") as namesake,
            gateway(alone, "service.ingest", client_id="service:ingest") as dotted,
        ):
            for each in (home, namesake, dotted):
                assert each.disconnections.empty()
            home.publish(topic("gateway-1", Leaf.READINGS), b"still served")

            assert taken(worker, 1) == [b"still served"]
            assert worker.disconnections.empty()


def test_a_gateway_does_not_inherit_what_waits_for_a_worker(alone: Broker) -> None:
    session = workers_session(alone)
    with ingest(alone, client_id=session, session_s=SESSION_S) as worker:
        worker.subscribe(READINGS_SHARED)
    with gateway(alone, "gateway-2", client_id=session, session_s=SESSION_S) as rogue:
        with gateway(alone, "gateway-1") as home:
            home.publish(topic("gateway-1", Leaf.READINGS), b"waits")
        assert taken(rogue, 1) == []
    with ingest(alone, client_id=session, session_s=SESSION_S) as worker:
        assert taken(worker, 1) == [b"waits"]


def test_a_gateway_does_not_take_over_another_gateways_session(alone: Broker) -> None:
    down = topic("gateway-1", Leaf.RECEIPTS)
    with ingest(alone) as worker, gateway(alone, "gateway-1") as home:
        home.subscribe(down)
        with gateway(alone, "gateway-2", client_id="gateway-1"):
            assert worker.publish(mounted("gateway-1", Leaf.RECEIPTS), b"receipt") == SUCCESS

            assert home.messages.get(timeout=DEADLINE_S) == (down, b"receipt")
            assert home.disconnections.empty()


def test_a_receipt_waits_for_a_gateway_that_is_away_and_for_the_broker(
    disposable_services: Services,
) -> None:
    broker = Broker(services=disposable_services)
    down = topic("gateway-1", Leaf.RECEIPTS)
    with gateway(broker, session_s=SESSION_S) as home:
        home.subscribe(down)
    with ingest(broker) as worker:
        worker.publish(mounted("gateway-1", Leaf.RECEIPTS), b"receipt")

    disposable_services.broker.stop()
    disposable_services.restart(BROKER)

    with gateway(broker, session_s=SESSION_S) as home:
        assert home.messages.get(timeout=DEADLINE_S) == (down, b"receipt")


def test_the_death_of_a_gateway_is_announced_below_the_mount(alone: Broker) -> None:
    status = topic("gateway-1", Leaf.STATUS)
    with ingest(alone) as watcher:
        watcher.subscribe(mounted("gateway-1", Leaf.STATUS))
        with gateway(alone, "gateway-1", will=status), gateway(alone, "gateway-1"):
            # The second connection under one certificate ends the first without a farewell.
            assert watcher.messages.get(timeout=DEADLINE_S)[0] == f"homes/{status}"


@pytest.mark.parametrize("door", Door)
def test_a_certificate_opens_its_own_door_and_not_the_other(alone: Broker, door: Door) -> None:
    own = {Door.GATEWAYS: alone.gateway("gateway-1"), Door.SERVICES: alone.ingest}
    other = {Door.GATEWAYS: alone.ingest, Door.SERVICES: alone.gateway("gateway-1")}

    with Client(alone, door, own[door], "own").connected():
        pass
    assert is_refused(alone, door, other[door])


@pytest.mark.parametrize("name", ["gateway-2", "service:else"])
def test_by_the_services_door_a_name_that_is_no_known_services_reads_and_writes_nothing(
    alone: Broker, name: str
) -> None:
    # Should the services' authority ever issue such a certificate.
    authority = alone.services.certificates.services
    authority.issue(authority.client("stray"), common_name=name)
    with (
        Client(alone, Door.SERVICES, authority.client("stray"), "stray").connected() as stray,
        ingest(alone) as worker,
        gateway(alone) as home,
    ):
        assert worker.subscribe(READINGS_SHARED) == GRANTED_QOS_1
        for each in ("#", mounted("gateway-1", Leaf.READINGS), "homes/#"):
            stray.subscribe(each)

        home.publish(topic("gateway-1", Leaf.READINGS), b"reading")

        assert worker.messages.get(timeout=DEADLINE_S)[1] == b"reading"
        assert stray.messages.empty()
        for leaf in Leaf:
            assert stray.publish(mounted("gateway-1", leaf)) == NOT_AUTHORISED


def is_refused(broker: Broker, door: Door, identity: Identity) -> bool:
    """Tell whether the handshake fails for this certificate, trusting the right authority."""
    try:
        with Client(broker, door, identity, "other").connected(deadline_s=QUIET_S):
            return False
    except (ssl.SSLError, ConnectionError, queue.Empty):
        return True
