"""What nobody tells: clock, queue, devices, certificate; by elapsed time, whatever clocks do."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest

from device_adapters import registry
from device_adapters.contract.messages import Receipt
from device_adapters.contract.standing import Condition, DeviceStanding, Problem
from gateway.credentials import CertificateFacts, read_facts
from gateway.decoding import Decoder
from gateway.standing import Standing
from gateway.store.database import Database
from gateway.store.events import Events
from gateway.store.journal import Journal
from gateway.store.outbox import Outbox
from gateway.watching import Limits, Watch
from tests.unit.gateway.fakes import BARE_FRAME, START, FakeClock, keep
from tests.unit.gateway.test_decoding import HOME

CUFF = "F0:00:00:00:00:01"
HOUR_S, DAY_S = 3600, 86_400


class House:
    """A gateway's watch and what it watches."""

    def __init__(self, database: Database, clock: FakeClock, directory: Path) -> None:
        self.database, self.clock = database, clock
        self.devices: list[str] = []
        self.heard: dict[str, datetime] = {}
        self.is_listening = True
        self.certificate = directory / "gateway.pem"
        self.start()

    def start(self) -> None:
        self.standing = Standing(self.database, self.clock, Events(self.database))
        self.watch = Watch(
            self.database,
            self.clock,
            self.standing,
            certificate=self.certificate,
            broker="broker.region.example",
            devices=lambda: self.devices,
            standings=lambda: [
                DeviceStanding(id=each, seen_at=at) for each, at in self.heard.items()
            ],
            is_listening=lambda: self.is_listening,
        )

    def pass_s(self, seconds: float) -> None:
        """Let time pass as the gateway does: with a look now and then."""
        for _ in range(10):
            self.clock.pass_s(seconds / 10)
            self.watch.look()

    def wrong(self, problem: Problem) -> Condition | None:
        self.watch.look()
        return next((each for each in self.standing.conditions if each.kind is problem), None)


@pytest.fixture
def house(database: Database, clock: FakeClock, tmp_path: Path) -> House:
    return House(database, clock, tmp_path)


@pytest.fixture
def decoder(database: Database, journal: Journal, outbox: Outbox) -> Decoder:
    return Decoder(database, journal, outbox, registry.load(), HOME)


def test_a_clock_that_nobody_confirms_is_wrong_until_somebody_does(
    house: House, clock: FakeClock
) -> None:
    clock.is_synchronised, clock.doubt = False, "no time service has confirmed the clock"
    condition = house.wrong(Problem.CLOCK_UNTRUSTED)
    clock.is_synchronised = True

    assert condition is not None
    assert condition.detail == "no time service has confirmed the clock"
    assert house.wrong(Problem.CLOCK_UNTRUSTED) is None


def test_a_queue_grows_when_its_oldest_reading_has_waited_for_long(
    house: House, journal: Journal, decoder: Decoder, outbox: Outbox
) -> None:
    keep(journal, BARE_FRAME)
    decoder.decode()
    house.watch.limits = Limits(queue=timedelta(minutes=60))

    house.pass_s(3590)
    before = house.wrong(Problem.QUEUE_GROWING)
    house.pass_s(20)
    after = house.wrong(Problem.QUEUE_GROWING)
    batch = outbox.due(0, max_records=1, max_bytes=65536)
    assert batch is not None
    outbox.sent(batch, 0)
    outbox.receipt(Receipt(incarnation=UUID(int=1), epoch=outbox.epoch, ranges=((1, 1),)))

    assert before is None
    assert after is not None
    assert after.since == START
    assert after.detail == "readings wait for the server for more than 60 min"
    assert house.wrong(Problem.QUEUE_GROWING) is None


@pytest.mark.parametrize("jump_s", [-DAY_S, -HOUR_S, HOUR_S, DAY_S])
@pytest.mark.parametrize(("waits_s", "expected"), [(1800, False), (7200, True)])
def test_a_clock_that_jumps_neither_raises_nor_hides_a_queue(  # noqa: PLR0917 - fixtures
    house: House,
    journal: Journal,
    decoder: Decoder,
    clock: FakeClock,
    jump_s: int,
    waits_s: int,
    expected: bool,
) -> None:
    keep(journal, BARE_FRAME)
    decoder.decode()
    house.pass_s(waits_s)

    clock.at += timedelta(seconds=jump_s)

    assert (house.wrong(Problem.QUEUE_GROWING) is not None) is expected


def test_a_reading_of_an_earlier_boot_has_waited_for_all_of_this_one(
    house: House, journal: Journal, decoder: Decoder, clock: FakeClock
) -> None:
    clock.is_synchronised = False  # the wall clock's word counts for nothing
    keep(journal, BARE_FRAME)
    decoder.decode()
    clock.boot_id, clock.monotonic_ns = UUID(int=7), 60 * 10**9
    early = house.wrong(Problem.QUEUE_GROWING)

    house.pass_s(3600)

    assert early is None
    assert house.wrong(Problem.QUEUE_GROWING) is not None


def test_a_device_is_missed_from_when_it_was_last_heard(house: House, clock: FakeClock) -> None:
    house.devices, house.heard = [CUFF], {CUFF: START}
    house.watch.look()
    house.pass_s(71 * HOUR_S)
    before = house.wrong(Problem.DEVICE_NOT_SEEN)
    house.pass_s(2 * HOUR_S)
    condition = house.wrong(Problem.DEVICE_NOT_SEEN)
    house.heard[CUFF] = clock.at

    assert before is None
    assert condition is not None
    assert (condition.device_id, condition.since) == (CUFF, START)
    assert condition.detail == "not heard for more than 72 h"
    assert house.wrong(Problem.DEVICE_NOT_SEEN) is None


def test_a_device_never_heard_counts_from_when_it_was_configured_also_over_a_restart(
    house: House,
) -> None:
    house.pass_s(100 * HOUR_S)
    house.devices = [CUFF]
    house.pass_s(50 * HOUR_S)
    configured_at = START + timedelta(hours=110)  # seen by the first of those looks, 5 h later
    house.start()
    house.pass_s(10 * HOUR_S)
    before = house.wrong(Problem.DEVICE_NOT_SEEN)
    house.pass_s(20 * HOUR_S)
    condition = house.wrong(Problem.DEVICE_NOT_SEEN)

    assert before is None
    assert condition is not None
    assert abs(condition.since - configured_at) <= timedelta(hours=5)


def test_no_device_is_missed_while_the_radio_is_deaf_or_the_clock_unknown(
    house: House, clock: FakeClock
) -> None:
    house.devices, house.heard = [CUFF], {CUFF: START}
    house.watch.look()
    house.standing.begin(Problem.RADIO_DEAF)
    house.pass_s(80 * HOUR_S)
    deaf = house.wrong(Problem.DEVICE_NOT_SEEN)
    house.standing.end(Problem.RADIO_DEAF)
    clock.is_synchronised = False
    untold = house.wrong(Problem.DEVICE_NOT_SEEN)
    clock.is_synchronised = True

    assert (deaf, untold) == (None, None)
    assert house.wrong(Problem.DEVICE_NOT_SEEN) is not None


def test_a_gateway_that_was_without_power_listens_before_it_misses_anybody(
    house: House, clock: FakeClock
) -> None:
    house.devices, house.heard = [CUFF], {CUFF: START}
    house.watch.look()
    clock.pass_s(100 * HOUR_S)
    house.start()
    house.watch.look()

    house.pass_s(HOUR_S - 60)
    early = house.wrong(Problem.DEVICE_NOT_SEEN)
    house.pass_s(120)

    assert early is None
    assert house.wrong(Problem.DEVICE_NOT_SEEN) is not None


def test_a_device_that_is_no_longer_configured_is_not_missed(house: House) -> None:
    house.devices, house.heard = [CUFF], {CUFF: START}
    house.watch.look()
    house.pass_s(80 * HOUR_S)
    before = house.wrong(Problem.DEVICE_NOT_SEEN)

    house.devices = []

    assert before is not None
    assert house.wrong(Problem.DEVICE_NOT_SEEN) is None


# 90 days: a fifth of it is 18 days; of 30 days it is 6, and 14 days count.
LIFE = [
    (90, 19, None),
    (90, 17, "the gateway's certificate ends on 2026-12-10, not renewed"),
    (30, 15, None),
    (30, 13, "the gateway's certificate ends on 2026-12-06, not renewed"),
    (90, -1, "the gateway's certificate ended on 2026-11-22"),
]


@pytest.mark.parametrize(("life", "left", "detail"), LIFE)
def test_a_certificate_is_ending_when_little_of_its_life_is_left(
    house: House, life: int, left: int, detail: str | None
) -> None:
    not_after = START + timedelta(days=left)
    facts = {
        "serial": "0a1b",
        "authority": "Region",
        "not_before": (not_after - timedelta(days=life)).isoformat(),
        "not_after": not_after.isoformat(),
    }
    house.certificate.with_name("gateway.pem.json").write_text(json.dumps(facts))

    condition = house.wrong(Problem.CERTIFICATE_ENDING)

    assert (condition.detail if condition else None) == detail


def test_a_certificate_is_not_judged_by_a_clock_that_nobody_confirmed() -> None:
    facts = CertificateFacts(not_before=START - timedelta(days=90), not_after=START)
    moment = FakeClock(is_synchronised=False).read()

    assert facts.ending(moment) is None


@pytest.mark.parametrize("text", ["", "{}", "[", '{"not_before": 1, "not_after": "x"}', "\x00"])
def test_facts_that_cannot_be_read_are_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "gateway.pem.json").write_text(text)

    assert read_facts(tmp_path / "gateway.pem") is None
    assert read_facts(tmp_path / "other.pem") is None


# What paho 2.2 and OpenSSL 3 said, measured on mosquitto 2.0.21.
SAID = {
    "failed to receive on socket: [SSL: SSLV3_ALERT_CERTIFICATE_EXPIRED] sslv3 alert certificate"
    " expired (_ssl.c:2580)": "the gateway's certificate has expired",
    "failed to receive on socket: [SSL: SSLV3_ALERT_CERTIFICATE_REVOKED] sslv3 alert certificate"
    " revoked (_ssl.c:2580)": "the gateway's certificate was revoked",
    "failed to receive on socket: [SSL: TLSV1_ALERT_UNKNOWN_CA] tlsv1 alert unknown ca"
    " (_ssl.c:2580)": "the broker does not know the authority of the gateway's certificate",
    "failed to receive on socket: [SSL: SSLV3_ALERT_BAD_CERTIFICATE] sslv3 alert bad certificate"
    " (_ssl.c:2580)": "the broker finds the gateway's certificate damaged or not yet valid",
    "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed certificate in"
    " certificate chain (_ssl.c:1006)": "the broker's certificate is not trusted",
    "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: Hostname mismatch, certificate"
    " is not valid for 'localhost'. (_ssl.c:1006)": (
        "the broker's certificate is for another name than broker.region.example"
    ),
    "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: certificate has expired"
    " (_ssl.c:1006)": "the broker's certificate has expired or is not yet valid",
    "[Errno -2] Name or service not known": (
        "the broker's name broker.region.example cannot be resolved"
    ),
    "refused: Not authorized": "refused by the broker: not authorised",
    "refused: Server busy": "refused by the broker: server busy",
    "refused: Session taken over": (
        "refused by the broker: another gateway is connected under the same id"
    ),
    # The network, or the broker, is just away: the server sees that by itself.
    "[Errno 111] Connection refused": None,
    "[Errno 101] Network is unreachable": None,
    "[Errno -3] Temporary failure in name resolution": None,
    "[Errno 104] Connection reset by peer": None,
    "timed out": None,
    "Keep alive timeout": None,
    "Unspecified error": None,
}


@pytest.mark.parametrize("said", SAID)
def test_why_the_broker_refuses_is_told_in_words(house: House, said: str) -> None:
    house.watch.refused(said)

    condition = house.wrong(Problem.BROKER_REFUSES)
    assert (condition.detail if condition else None) == SAID[said]
    house.watch.connected()
    assert house.wrong(Problem.BROKER_REFUSES) is None


def test_a_wrong_clock_is_named_where_it_spoils_the_broker_s_certificate(
    house: House, clock: FakeClock
) -> None:
    clock.at, clock.is_synchronised = datetime(2019, 6, 1, tzinfo=UTC), False

    house.watch.refused("certificate verify failed: certificate is not yet valid (_ssl.c:1006)")

    condition = house.wrong(Problem.BROKER_REFUSES)
    assert condition is not None
    assert condition.detail == (
        "the gateway's clock (2019-06-01) is outside the certificate's validity"
    )
