"""From a message to the people on duty: by channels that fail, hang, end and come back."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
import trustme
from procrastinate import App, PsycopgConnector
from prometheus_client import CollectorRegistry

from ingest_service.jobs import notifications as jobs
from ingest_service.jobs.notification_metrics import NotificationMetrics
from ingest_service.messages import kinds
from ingest_service.messages.kinds import AlertSubject
from ingest_service.messages.message import Cancellation, Cause, Message
from ingest_service.notifying import attempts
from ingest_service.notifying.delivering import GRACE, LEASE, Courier
from ingest_service.notifying.dispatching import dispatch
from ingest_service.notifying.mail import Mail, MailServer
from ingest_service.notifying.outgoing import Sender
from ingest_service.store import connections, messages, notifications
from ingest_service.store.connections import AsyncConnection, Pool
from tests.support.ingest import IDENTITIES, UNIT, Home, id_of, registered
from tests.support.notifying import (
    Certificates,
    Clock,
    Counted,
    HttpsServer,
    add_channel,
    answering,
    as_jobs,
    courier,
    https_server,
    put,
    secrets_in,
    silent,
    smtp_server,
    webhook,
)
from tests.support.services import Database

pytestmark = pytest.mark.timescale

ALERT = AlertSubject(
    alert_id=id_of("alert-1"), patient_id=id_of("patient-1"), care_unit_id=UNIT, priority="red"
)


@pytest.fixture(scope="module")
def certificates() -> Certificates:
    return Certificates(trustme.CA())


@dataclass(slots=True, kw_only=True)
class Ward:
    """A home with a unit, whoever notifies its staff, and a server that is notified."""

    home: Home
    pool: Pool
    clock: Clock
    counted: Counted
    server: HttpsServer
    courier: Courier

    async def alert(self, made: Message | None = None) -> UUID:
        one = made or kinds.staff_alert(ALERT, self.clock())
        return (await put(self.home, one, at=self.clock()))[0]

    async def turn(self) -> int:
        """Pass messages on and try once whatever is due, as the jobs do; returns how many."""
        now = self.clock()
        await dispatch(self.pool, self.counted, now=now)
        async with self.pool.connection() as opened:
            due = await notifications.due(opened, now=now, again_in=GRACE, most=100)
        for one in due:
            await self.courier.deliver(one.id)
        return len(due)

    def tellings(self) -> list[tuple[int, str, int, str | None]]:
        return sorted(
            (row["channel_id"], row["state"], row["attempts"], row["error"])
            for row in self.home.rows("notification")
        )

    def paths(self) -> list[str]:
        return [request.target for request in self.server.requests]


@asynccontextmanager
async def ward(
    database: Database,
    certificates: Certificates,
    directory: Path,
    *,
    attempt_s: float = 25.0,
    more: Mapping[str, Sender] | None = None,
) -> AsyncGenerator[Ward]:
    home = await registered(database)
    clock, counted = Clock(), Counted()
    senders: dict[str, Sender] = {"webhook": webhook(certificates, secrets_in(directory))}
    senders |= more or {}
    async with as_jobs(database) as pool, https_server(certificates.server()) as server:
        yield Ward(
            home=home,
            pool=pool,
            clock=clock,
            counted=counted,
            server=server,
            courier=courier(pool, counted, clock, senders, attempt_s=attempt_s),
        )


async def test_an_alert_reaches_the_nurse_on_duty(
    database: Database, certificates: Certificates, tmp_path: Path
) -> None:
    async with ward(database, certificates, tmp_path) as here:
        await add_channel(here.home, here.server.url())
        await here.alert()

        counts = [await here.turn(), await here.turn()]

        assert counts == [1, 0]
        assert [state for _, state, _, _ in here.tellings()] == ["delivered"]
        assert here.home.rows("message")[0]["state"] == "handed_on"
        assert here.counted.outcomes == [("webhook", "delivered")]


async def test_a_failure_is_tried_again_with_the_same_key_and_no_sooner(
    database: Database, certificates: Certificates, tmp_path: Path
) -> None:
    async with ward(database, certificates, tmp_path) as here:
        here.server.behave(answering(503), answering(503, "Retry-After: 600"), answering(200))
        await add_channel(here.home, here.server.url())
        await here.alert()

        await here.turn()
        here.clock.move(seconds=2)
        early = await here.turn()
        here.clock.move(seconds=30)
        await here.turn()
        here.clock.move(seconds=500)
        wished = await here.turn()
        here.clock.move(seconds=200)
        await here.turn()

        assert (early, wished) == (0, 0)
        assert [state for _, state, _, _ in here.tellings()] == ["delivered"]
        assert len(here.server.requests) == 3
        assert len({request.headers["idempotency-key"] for request in here.server.requests}) == 1
        assert len({request.body for request in here.server.requests}) == 1


async def test_a_server_that_hangs_holds_a_telling_for_a_bounded_time(
    database: Database, certificates: Certificates, tmp_path: Path
) -> None:
    async with ward(database, certificates, tmp_path, attempt_s=0.3) as here:
        here.server.behave(silent)
        await add_channel(here.home, here.server.url())
        await here.alert()

        await here.turn()

        [(_, state, tried, error)] = here.tellings()
        assert (state, tried, error) == ("failed", 1, "timeout")


async def test_a_refusal_turns_to_the_next_rank_at_once(
    database: Database, certificates: Certificates, tmp_path: Path
) -> None:
    async with ward(database, certificates, tmp_path) as here:
        here.server.behave(answering(410), answering(200))
        first = await add_channel(here.home, here.server.url("/first"))
        second = await add_channel(here.home, here.server.url("/second"), rank=2)
        await add_channel(here.home, here.server.url("/third"), rank=3)
        await here.alert()

        await here.turn()
        await here.turn()

        assert here.paths() == ["/first", "/second"]
        assert here.tellings() == [
            (first, "given_up", 1, "http_410"),
            (second, "delivered", 1, None),
        ]
        assert here.counted.nobody == []


async def test_the_next_rank_does_not_wait_for_the_first_ones_end(
    database: Database, certificates: Certificates, tmp_path: Path
) -> None:
    async with ward(database, certificates, tmp_path) as here:
        await add_channel(here.home, here.server.url("/first"))
        await add_channel(here.home, here.server.url("/second"), rank=2)
        here.server.behave(*[answering(500)] * attempts.NEXT_RANK_AFTER, answering(200))
        began = here.clock()
        await here.alert()

        for _ in range(100):
            if "/second" not in here.paths():
                await here.turn()
                here.clock.move(seconds=5)

        assert here.clock() - began < timedelta(minutes=3)
        assert [state for _, state, _, _ in here.tellings()] == ["failed", "delivered"]


async def test_when_every_channel_gives_up_the_operator_is_told(
    database: Database, certificates: Certificates, tmp_path: Path
) -> None:
    async with ward(database, certificates, tmp_path) as here:
        await add_channel(here.home, here.server.url("/nurse"))
        await add_channel(
            here.home, here.server.url("/operator"), recipient="operator", care_unit_id=None
        )
        here.server.behave(*[answering(500)] * attempts.MOST, answering(200))
        await here.alert()

        for _ in range(100):
            if "/operator" not in here.paths():
                await here.turn()
                here.clock.move(seconds=60)

        assert here.paths() == ["/nurse"] * attempts.MOST + ["/operator"]
        assert here.counted.nobody == ["nurse_on_duty"]
        assert {row["kind"] for row in here.home.rows("message")} == {"staff_alert", "undelivered"}


async def test_a_message_without_a_channel_is_counted_and_not_kept_for_later(
    database: Database, certificates: Certificates, tmp_path: Path
) -> None:
    async with ward(database, certificates, tmp_path) as here:
        await add_channel(here.home, here.server.url(), priorities=("yellow",))
        await here.alert()

        await here.turn()
        await add_channel(here.home, here.server.url("/late"))
        await here.turn()

        assert here.counted.no_channel == ["nurse_on_duty"]
        assert here.server.requests == []
        assert here.home.rows("message")[0]["state"] == "unroutable"


@pytest.mark.parametrize("is_passed_on", [False, True])
async def test_what_is_cancelled_before_it_is_told_is_not_told(
    database: Database, certificates: Certificates, tmp_path: Path, *, is_passed_on: bool
) -> None:
    async with ward(database, certificates, tmp_path) as here:
        await add_channel(here.home, here.server.url())
        await here.alert()
        if is_passed_on:
            await dispatch(here.pool, here.counted, now=here.clock())
        async with await AsyncConnection.connect(database.dsn("hemvital_ingest")) as opened:
            taken = Cancellation(
                patient_id=ALERT.patient_id, alert_id=ALERT.alert_id, cause=Cause.TAKEN
            )
            await messages.cancel(opened, [taken], at=here.clock())

        await here.turn()

        assert here.server.requests == []
        assert [state for _, state, _, _ in here.tellings()] == ["cancelled"] * is_passed_on


async def test_what_is_of_no_use_any_more_is_not_told(
    database: Database, certificates: Certificates, tmp_path: Path
) -> None:
    async with ward(database, certificates, tmp_path) as here:
        await add_channel(here.home, here.server.url())
        here.server.behave(answering(503))
        deadline = here.clock() + timedelta(minutes=1)
        await here.alert(kinds.staff_alert(ALERT, here.clock(), deadline))
        await here.turn()
        too_late = kinds.staff_alert(ALERT, here.clock() + timedelta(seconds=1), deadline)
        await here.alert(too_late)
        here.clock.move(minutes=2)

        await here.turn()

        assert len(here.server.requests) == 1
        assert [(state, error) for _, state, _, error in here.tellings()] == [
            ("given_up", "too_late")
        ]
        assert {row["state"] for row in here.home.rows("message") if row["kind"] == "staff_alert"}\
            == {"handed_on", "expired"}  # fmt: skip


async def test_a_channel_that_is_disabled_meanwhile_is_told_nothing(
    database: Database, certificates: Certificates, tmp_path: Path
) -> None:
    async with ward(database, certificates, tmp_path) as here:
        first = await add_channel(here.home, here.server.url("/first"))
        await add_channel(here.home, here.server.url("/second"), rank=2)
        await here.alert()
        await dispatch(here.pool, here.counted, now=here.clock())
        here.home.execute(
            "UPDATE notification_channel SET is_active = false, ended_by = 'x', ended_at = now()"
            " WHERE id = %s",
            first,
        )

        await here.turn()
        await here.turn()

        assert here.paths() == ["/second"]


async def test_two_workers_tell_once(
    database: Database, certificates: Certificates, tmp_path: Path
) -> None:
    async with ward(database, certificates, tmp_path) as here, as_jobs(database) as other_pool:
        await add_channel(here.home, here.server.url())
        other = courier(other_pool, here.counted, here.clock, here.courier.senders)
        for number in range(10):
            await here.alert(kinds.staff_alert(ALERT, here.clock() + timedelta(seconds=number)))
        async with asyncio.TaskGroup() as tasks:
            for pool in (here.pool, other_pool):
                tasks.create_task(dispatch(pool, here.counted, now=here.clock()))
        ids = [UUID(row["id"]) for row in here.home.rows("notification")]

        async with asyncio.TaskGroup() as tasks:
            for one in ids:
                for worker in (here.courier, other, here.courier):
                    tasks.create_task(worker.deliver(one))

        keys = Counter(request.headers["webhook-id"] for request in here.server.requests)
        assert keys == Counter(str(one) for one in ids)
        assert len(ids) == 10


async def test_a_worker_lost_in_an_attempt_is_followed_by_another_with_the_same_key(
    database: Database, certificates: Certificates, tmp_path: Path
) -> None:
    async with ward(database, certificates, tmp_path) as here:
        await add_channel(here.home, here.server.url())
        here.server.behave(silent, answering(200))
        await here.alert()
        await dispatch(here.pool, here.counted, now=here.clock())
        [row] = here.home.rows("notification")
        lost = asyncio.create_task(here.courier.deliver(UUID(row["id"])))
        await here.server.was_asked.wait()
        lost.cancel()
        await asyncio.wait([lost])

        soon = await here.turn()
        here.clock.move(seconds=LEASE.total_seconds() + 1)
        await here.turn()

        assert soon == 0
        assert [(state, tried) for _, state, tried, _ in here.tellings()] == [("delivered", 2)]
        assert len({request.headers["idempotency-key"] for request in here.server.requests}) == 1


async def test_nothing_that_leaves_tells_of_a_patient(
    database: Database, certificates: Certificates, tmp_path: Path
) -> None:
    async with smtp_server(certificates.server()) as post:
        account = MailServer(
            host="localhost", port=post.port, security="starttls", sender="h@region.example"
        )
        mail = Mail(account, certificates.client(), secrets_in(tmp_path))
        async with ward(database, certificates, tmp_path, more={"email": mail}) as here:
            every = ("red", "yellow", "blue")
            for role in ("nurse_on_duty", "unit_lead", "backup_unit", "operator"):
                unit = None if role == "operator" else UNIT
                for kind, address in (
                    ("webhook", here.server.url()),
                    ("email", "larm@example.org"),
                ):
                    await add_channel(
                        here.home, address, kind, recipient=role, care_unit_id=unit,
                        priorities=every, language="en" if kind == "email" else "sv",
                    )  # fmt: skip
            await here.home.give(here.home.cuff("192", "118"))
            [alert] = here.home.rows("alert")
            subject = AlertSubject(
                alert_id=UUID(alert["id"]),
                patient_id=ALERT.patient_id,
                care_unit_id=UNIT,
                priority="red",
            )
            at = here.clock()
            await put(
                here.home,
                kinds.staff_alert(subject, at),
                kinds.staff_unassigned(subject, at),
                kinds.staff_escalation(subject, at),
                kinds.backup_handover(subject, at),
                kinds.incident(uuid4(), kinds.Recipient.OPERATOR, None),
                kinds.incident_over(uuid4(), kinds.Recipient.OPERATOR, None),
                kinds.undelivered(UNIT, "nurse_on_duty", at),
                at=at,
            )

            await here.turn()

    requests = here.server.requests
    left = [f"{one.target} {one.headers} {one.body.decode()}" for one in requests]
    left += [each.as_string() for each in post.mails]
    assert len(left) == 14
    patient = here.home.rows("patient")[0]
    hidden = [
        *IDENTITIES, patient["family"], patient["given"], patient["id"], str(UNIT), alert["id"],
        "192", "118", "180", "blood", "tryck", "SE2321000016",
    ]  # fmt: skip
    # Random digits that are no fact: keys, signatures, and the port of the test's server.
    noise = [row["id"] for row in here.home.rows("notification")]
    noise += [one.headers["webhook-signature"] for one in requests]
    noise += [one.headers["webhook-timestamp"] for one in requests]
    noise.append(str(here.server.port))
    for text in left:
        facts = text
        for each in noise:
            facts = facts.replace(each, "")
        assert [each for each in hidden if each in facts] == []


def app_of(database: Database, one: Courier) -> App:
    dsn = connections.bounded(database.dsn("hemvital_jobs"), "test")
    app = App(connector=PsycopgConnector(conninfo=dsn))
    jobs.add(app, one)
    return app


@asynccontextmanager
async def at_work(app: App) -> AsyncGenerator[None]:
    """Let one real worker run until the end."""
    working = asyncio.create_task(
        app.run_worker_async(
            queues=[jobs.QUEUE],
            concurrency=4,
            install_signal_handlers=False,
            fetch_job_polling_interval=0.1,
            delete_jobs="successful",
        )
    )
    try:
        yield
    finally:
        working.cancel()
        await asyncio.wait([working])


async def test_two_real_workers_deliver_everything_once_through_a_bad_start(
    database: Database,
    certificates: Certificates,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    async with ward(database, certificates, tmp_path) as here, as_jobs(database) as other_pool:
        # An hour behind, so that what is to be tried again is due at once.
        here.clock.now = datetime.now(UTC) - timedelta(hours=1)
        await add_channel(here.home, here.server.url("/s3cret-path"))
        here.server.behave(*[answering(503)] * 5, answering(200))
        other = courier(other_pool, here.counted, here.clock, here.courier.senders)
        for number in range(20):
            await here.alert(kinds.staff_alert(ALERT, here.clock() + timedelta(seconds=number)))
        one, two = app_of(database, here.courier), app_of(database, other)
        async with one.open_async(), two.open_async(), at_work(one), at_work(two):
            async with asyncio.timeout(40):
                while here.home.count("notification WHERE state = 'delivered'") < 20:
                    await jobs.bring(one, here.pool, here.counted, now=here.clock())
                    await jobs.bring(two, other_pool, here.counted, now=here.clock())
                    await asyncio.sleep(0.1)

        keys = Counter(request.headers["webhook-id"] for request in here.server.requests)
        assert (len(keys), sum(keys.values())) == (20, 25)
        assert Counter(outcome for _, outcome in here.counted.outcomes) == {
            "delivered": 20,
            "failed": 5,
        }
    logged = "\n".join(f"{r.getMessage()} {vars(r)} {r.exc_text}" for r in caplog.records)
    assert "notification delivered" in logged
    assert not [each for each in ("s3cret-path", "whsec", "AAAAAAAA") if each in logged]


async def test_metrics_tell_what_waits_and_how_long(
    database: Database, certificates: Certificates, tmp_path: Path
) -> None:
    async with ward(database, certificates, tmp_path) as here:
        registry = CollectorRegistry()
        metrics = NotificationMetrics(registry, here.clock)
        await add_channel(here.home, here.server.url())
        here.server.behave(answering(503))
        await here.alert()
        await here.turn()
        here.clock.move(seconds=90)
        await here.alert()
        here.clock.move(seconds=30)

        await metrics.refresh(here.pool)
        metrics.outcome("webhook", "delivered")
        metrics.unreached("nurse_on_duty")

        def value(name: str, **labels: Any) -> float | None:
            return registry.get_sample_value(name, labels)

        assert value("hemvital_messages_waiting", recipient="nurse_on_duty") == 1
        assert value("hemvital_messages_oldest_seconds", recipient="nurse_on_duty") == 30
        assert value("hemvital_notifications_waiting", channel="webhook", state="failed") == 1
        assert value("hemvital_notifications_waiting", channel="sms", state="queued") == 0
        assert value("hemvital_notifications_oldest_seconds", channel="webhook") == 120
        assert value("hemvital_notifications_total", channel="webhook", outcome="delivered") == 1
        assert value("hemvital_notifications_total", channel="sms", outcome="given_up") == 0
        assert value("hemvital_messages_unreached_total", recipient="nurse_on_duty") == 1
        assert value("hemvital_messages_without_channel_total", recipient="operator") == 0
