"""The real TimescaleDB and the real mosquitto do what Hemvital relies on."""

from __future__ import annotations

import queue
import socket
import ssl
from typing import Any, Final

import psutil
import psycopg
import pytest
from psycopg import errors

from deploy.local.services import BROKER, DATABASE, Services
from device_adapters.contract.messages import MAX_BROKER_BYTES
from tests.support.mqtt import (
    DEADLINE_S,
    FAILURE,
    GRANTED_QOS_1,
    NOT_AUTHORISED,
    SUCCESS,
    gateway,
    ingest,
)
from tests.support.services import Broker, Database

ROOM_BYTES: Final = 8 * 1024  # what the broker leaves for topic and properties
SESSION_S: Final = 3600


def rows(dsn: str, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(dsn, autocommit=True, connect_timeout=10) as connection:
        # The tests' own constant queries; a plain str here keeps the call sites short.
        return connection.execute(query.encode()).fetchall()


@pytest.mark.timescale
def test_timescaledb_is_the_apache_edition_of_2_19_or_later(empty_database: Database) -> None:
    [(version, licence, telemetry)] = rows(
        empty_database.dsn(),
        """
        SELECT extversion, current_setting('timescaledb.license'),
               current_setting('timescaledb.telemetry_level')
          FROM pg_extension WHERE extname = 'timescaledb'
        """,
    )

    assert [int(part) for part in version.split(".")] >= [2, 19]
    assert (licence, telemetry) == ("apache", "off")


@pytest.mark.timescale
def test_what_is_committed_is_on_disk_and_checked(empty_database: Database) -> None:
    [settings] = rows(
        empty_database.dsn(),
        """
        SELECT current_setting('fsync'), current_setting('synchronous_commit'),
               current_setting('full_page_writes'), current_setting('data_checksums')
        """,
    )

    assert settings == ("on", "on", "on", "on")


@pytest.mark.timescale
def test_the_owner_makes_a_hypertable(empty_database: Database) -> None:
    made = "SELECT (create_hypertable('sample', by_range('at', INTERVAL '90 days'))).created"
    with psycopg.connect(empty_database.dsn()) as connection:
        connection.execute("CREATE TABLE sample (at timestamptz NOT NULL)")

        assert connection.execute(made).fetchone() == (True,)


@pytest.mark.timescale
@pytest.mark.parametrize(
    "role",
    [
        *("hemvital_ingest", "hemvital_operator", "hemvital_api", "hemvital_jobs"),
        *("hemvital_enrolment", "hemvital_revocations"),
    ],
)
def test_a_service_logs_in_and_cannot_create_a_table(
    role: str, services: Services, empty_database: Database
) -> None:
    assert rows(services.database.dsn(role), "SELECT current_user") == [(role,)]
    for dsn in (services.database.dsn(role), empty_database.dsn(role)):
        with (
            psycopg.connect(dsn) as connection,
            pytest.raises(errors.InsufficientPrivilege),
        ):
            connection.execute("CREATE TABLE forbidden (id int)")


@pytest.mark.timescale
def test_a_wrong_password_and_the_superuser_are_refused(services: Services) -> None:
    dsn = services.database.dsn("hemvital_api")

    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(dsn, password="wrong")  # noqa: S106 - wrong on purpose
    with pytest.raises(psycopg.OperationalError, match=r"pg_hba\.conf rejects connection"):
        psycopg.connect(dsn, user="postgres")


@pytest.mark.timescale
def test_every_test_gets_the_schema_without_rows(database: Database) -> None:
    assert rows(database.dsn(), "SELECT count(*) FROM observation") == [(0,)]


@pytest.mark.timescale
def test_the_database_survives_sigkill_with_what_was_committed(
    disposable_services: Services,
) -> None:
    dsn = disposable_services.database.dsn("hemvital_owner")
    with psycopg.connect(dsn) as connection:
        connection.execute("CREATE TABLE kept (id int)")
        connection.execute("INSERT INTO kept VALUES (1)")
    server = disposable_services.database.server.process
    assert server is not None
    started = psutil.Process(server.pid).children(recursive=True)
    assert started

    disposable_services.kill(DATABASE)

    assert not any(each.is_running() for each in started)
    disposable_services.restart(DATABASE)
    assert disposable_services.database.dsn("hemvital_owner") == dsn
    assert rows(dsn, "SELECT id FROM kept") == [(1,)]


@pytest.mark.broker
def test_the_broker_refuses_a_client_without_certificate(broker: Broker) -> None:
    context = ssl.create_default_context(cafile=broker.authority)

    with (
        socket.create_connection((broker.host, broker.port), DEADLINE_S) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as connection,
        # In TLS 1.3 the refusal follows the client's own handshake: at the first read.
        pytest.raises(ssl.SSLError, match="CERTIFICATE_REQUIRED"),
    ):
        connection.recv(1)


@pytest.mark.broker
def test_a_gateway_writes_its_own_topics_and_no_others(broker: Broker) -> None:
    with gateway(broker) as client:
        answers = {
            topic: client.publish(f"hemvital/v1/{topic}")
            for topic in (
                "gateway-1/readings",
                "gateway-1/events",
                "gateway-1/receipts",
                "gateway-1/config",
                "gateway-2/readings",
                "gateway-2/receipts",
            )
        }

        # mosquitto #3244: with max_queued_messages 0 a denial would end the connection.
        assert client.disconnections.empty()
    # 0x10 "no matching subscribers" is a success too: nobody listens in this test.
    assert {topic for topic, answer in answers.items() if answer < FAILURE} == {
        "gateway-1/readings",
        "gateway-1/events",
    }
    assert {answer for answer in answers.values() if answer >= FAILURE} == {NOT_AUTHORISED}


@pytest.mark.broker
@pytest.mark.parametrize("name", ["gateway-1", "ingest", "service", "service.ingest"])
@pytest.mark.parametrize("wanted", ["gateway-2/readings", "gateway-2/receipts", "+/readings", "#"])
def test_a_gateway_of_any_name_hears_nothing_of_another(
    broker: Broker, name: str, wanted: str
) -> None:
    with (
        gateway(broker, name) as listener,
        gateway(broker, "gateway-2") as home,
        ingest(broker) as worker,
    ):
        # mosquitto 2.0 grants every subscription and judges each message on its way out.
        listener.subscribe(f"hemvital/v1/{wanted}")
        home.publish("hemvital/v1/gateway-2/readings")
        worker.publish("homes/hemvital/v1/gateway-2/receipts")
        # What it may read comes last: whatever came before it was delivered before it.
        listener.subscribe(f"hemvital/v1/{name}/config")
        worker.publish(f"homes/hemvital/v1/{name}/config")

        heard, _ = listener.messages.get(timeout=DEADLINE_S)

    assert heard == f"hemvital/v1/{name}/config"


@pytest.mark.broker
@pytest.mark.parametrize("name", ["ingest", "service", "service.ingest"])
def test_no_name_of_a_gateway_gives_it_the_right_to_send_receipts(
    broker: Broker, name: str
) -> None:
    with gateway(broker, name) as client:
        assert client.publish("hemvital/v1/gateway-1/receipts") == NOT_AUTHORISED


@pytest.mark.broker
def test_ingest_takes_readings_and_answers_them(broker: Broker) -> None:
    topic, answer = "hemvital/v1/gateway-3/readings", "hemvital/v1/gateway-3/receipts"
    with ingest(broker) as worker, gateway(broker, "gateway-3") as home:
        assert (
            worker.subscribe("$share/services-test/homes/hemvital/v1/+/readings") == GRANTED_QOS_1
        )
        assert home.subscribe(answer) == GRANTED_QOS_1

        assert home.publish(topic, b"reading") == SUCCESS
        assert worker.messages.get(timeout=DEADLINE_S) == (f"homes/{topic}", b"reading")
        assert worker.publish(f"homes/{answer}", b"receipt") == SUCCESS
        assert home.messages.get(timeout=DEADLINE_S) == (answer, b"receipt")


@pytest.mark.broker
def test_the_largest_message_passes_and_a_larger_one_is_cut_off(broker: Broker) -> None:
    with gateway(broker) as client:
        topic = "hemvital/v1/gateway-1/readings"

        assert client.publish(topic, bytes(MAX_BROKER_BYTES)) < FAILURE
        with pytest.raises(queue.Empty):
            client.publish(topic, bytes(MAX_BROKER_BYTES + ROOM_BYTES), deadline_s=1)
        assert client.disconnections.get(timeout=DEADLINE_S) >= FAILURE


@pytest.mark.broker
def test_a_queued_message_survives_a_restart_of_the_broker(disposable_services: Services) -> None:
    broker = Broker(services=disposable_services)
    topic = "hemvital/v1/gateway-1/readings"
    with ingest(broker, session_s=SESSION_S) as worker:
        worker.subscribe("homes/hemvital/v1/+/readings")
    with gateway(broker) as home:
        assert home.publish(topic, b"kept over the restart") == SUCCESS

    disposable_services.broker.stop()
    disposable_services.restart(BROKER)

    with ingest(broker, session_s=SESSION_S) as worker:
        assert worker.messages.get(timeout=DEADLINE_S) == (
            f"homes/{topic}",
            b"kept over the restart",
        )


@pytest.mark.broker
def test_the_broker_answers_again_after_sigkill(disposable_services: Services) -> None:
    broker = Broker(services=disposable_services)

    disposable_services.kill(BROKER)
    disposable_services.restart(BROKER)

    with gateway(broker) as home:
        assert home.publish("hemvital/v1/gateway-1/readings") < FAILURE
