"""Remote configuration: what is taken over, what is refused and why, and the pairing window."""

from __future__ import annotations

import json
import logging
from collections.abc import Collection
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from device_adapters.contract.configuration import (
    AssignedDevice,
    GatewayConfiguration,
    ScanMode,
)
from device_adapters.contract.messages import encode
from device_adapters.contract.standing import Happening, Problem, decode_event
from gateway.configuration import Configuring
from gateway.standing import Standing
from gateway.store.database import Database, open_database
from gateway.store.events import Events
from ingest_service.configuring import to_publish
from tests.unit.gateway.fakes import START, FakeClock

CUFF, SCALE = "F0:00:00:00:00:01", "F0:00:00:00:00:02"
FALLBACK = "F0:00:00:00:00:09"


class Radio:
    """Remembers how it was told to listen."""

    def __init__(self) -> None:
        self.told: list[tuple[tuple[str, ...] | None, ScanMode]] = []

    def configure(self, devices: Collection[str] | None, scan_mode: ScanMode) -> None:
        self.told.append((None if devices is None else tuple(devices), scan_mode))


class Window:
    """Remembers for how long it was opened."""

    def __init__(self) -> None:
        self.opened: list[float] = []

    def open(self, for_s: float) -> None:
        self.opened.append(for_s)


class Gateway:
    """The parts that configuration works on, and one start of it after another."""

    def __init__(self, database: Database, clock: FakeClock, directory: Path) -> None:
        self.database, self.clock, self.directory = database, clock, directory
        self.radio, self.window = Radio(), Window()
        self.events = Events(database)
        self.applied: list[GatewayConfiguration] = []
        self.start()

    def start(self) -> None:
        self.standing = Standing(self.database, self.clock, self.events)
        self.configuring = Configuring(
            self.database,
            self.clock,
            self.standing,
            listening=self.radio,
            window=self.window,
            apply=self.applied.append,
            fallback=[FALLBACK],
            directory=self.directory,
        )
        self.configuring.start()

    def take(self, configuration: GatewayConfiguration | bytes) -> None:
        is_raw = isinstance(configuration, bytes)
        self.configuring.take(configuration if is_raw else msgspec.json.encode(configuration))

    @property
    def refused(self) -> str | None:
        for condition in self.standing.conditions:
            if condition.kind is Problem.CONFIGURATION_REFUSED:
                return condition.detail
        return None


@pytest.fixture
def gateway(database: Database, clock: FakeClock, tmp_path: Path) -> Gateway:
    return Gateway(database, clock, tmp_path)


def configuration(version: int = 1, **changes: Any) -> GatewayConfiguration:
    return msgspec.structs.replace(
        GatewayConfiguration(version=version, issued_at=START), **changes
    )


def devices(*ids: str) -> tuple[AssignedDevice, ...]:
    return tuple(AssignedDevice(id=each) for each in ids)


def test_a_good_one_is_taken_over(gateway: Gateway) -> None:
    gateway.take(
        configuration(devices=devices(CUFF, SCALE), scan_mode=ScanMode.PASSIVE, rest_s=120)
    )

    assert gateway.radio.told == [((CUFF, SCALE), ScanMode.PASSIVE)]
    assert gateway.applied[-1].rest_s == 120
    assert gateway.configuring.devices == (CUFF, SCALE)
    assert (gateway.directory / "channel").read_text() == "stable\n"
    waiting = gateway.events.oldest()
    assert waiting is not None
    event = decode_event(waiting.body)
    assert (event.kind, event.detail) == (Happening.CONFIGURED, "version 1")


def test_the_last_good_one_holds_from_the_next_start_on(gateway: Gateway) -> None:
    gateway.take(configuration(version=7, devices=devices(CUFF), channel="beta"))

    gateway.start()

    assert gateway.configuring.current is not None
    assert gateway.configuring.current.version == 7
    assert gateway.radio.told == [((CUFF,), ScanMode.ACTIVE)] * 2


def test_the_settings_devices_count_where_no_configuration_names_any(gateway: Gateway) -> None:
    before = gateway.configuring.devices
    gateway.take(configuration())
    unnamed = gateway.configuring.devices
    gateway.take(configuration(version=2, devices=()))

    assert (before, unnamed) == ((FALLBACK,), (FALLBACK,))
    assert gateway.configuring.devices == ()
    assert [told for told, _ in gateway.radio.told] == [(FALLBACK,), ()]


def test_an_empty_message_changes_nothing(gateway: Gateway) -> None:
    gateway.take(configuration(version=3, devices=devices(CUFF)))

    gateway.take(b"")

    assert gateway.configuring.devices == (CUFF,)
    assert gateway.refused is None


REFUSED: dict[str, tuple[GatewayConfiguration | bytes, str]] = {
    "no JSON": (b"{", "Input data was truncated"),
    "no time": (b'{"version": 6}', "missing required field `issued_at`"),
    "an older version": (configuration(version=4), "version: 4 is older than 5, which goes on"),
    "the same version, another content": (
        configuration(version=5, rest_s=7),
        "version: 5 came before with other contents",
    ),
    "a device twice": (
        configuration(version=6, devices=devices(CUFF, CUFF)),
        f"devices: {CUFF} is there twice",
    ),
    "too many devices": (
        configuration(version=6, devices=devices(*[f"F0:00:00:00:01:{n:02X}" for n in range(65)])),
        "length <= 64 - at `$.devices`",
    ),
    "an address that is none": (
        configuration(version=6, devices=devices("cuff")),
        "matching regex",
    ),
    "a channel that is a path": (
        configuration(version=6, channel="../../etc"),
        "channel: not small letters, digits and hyphens, at most 32",
    ),
    "issued tomorrow": (
        configuration(version=6, issued_at=START + timedelta(days=1)),
        "issued_at: 2026-11-24 07:10 is more than an hour ahead of the gateway's 2026-11-23",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_used_is_refused_with_its_reason(gateway: Gateway, case: str) -> None:
    payload, reason = REFUSED[case]
    gateway.take(configuration(version=5, devices=devices(SCALE)))

    gateway.take(payload)

    assert reason in (gateway.refused or "")
    assert gateway.configuring.devices == (SCALE,)
    assert len(gateway.radio.told) == 1
    gateway.take(configuration(version=7))
    assert gateway.refused is None


def test_a_window_that_the_server_shuts_once_it_has_passed_is_no_other_content(
    gateway: Gateway,
) -> None:
    opened = configuration(version=5, pairing_until=START + timedelta(minutes=10))
    gateway.take(opened)

    gateway.take(to_publish(encode(opened).decode(), now=START + timedelta(minutes=11)))

    assert gateway.refused is None
    assert gateway.configuring.current is not None
    assert gateway.configuring.current.pairing_until is None


def test_a_broker_that_forgot_that_a_window_was_shut_causes_no_refusal_and_opens_none(
    gateway: Gateway,
) -> None:
    opened = configuration(version=5, pairing_until=START + timedelta(minutes=10))
    gateway.take(opened)
    gateway.take(to_publish(encode(opened).decode(), now=START + timedelta(minutes=11)))

    gateway.take(opened)  # its clock stands still: by that, the window would be open
    gateway.configuring.settle()

    assert gateway.refused is None
    assert gateway.window.opened == [600.0]


def test_a_number_that_a_restored_server_uses_again_is_taken_if_it_was_issued_later(
    gateway: Gateway,
) -> None:
    gateway.take(configuration(version=6, devices=devices(SCALE)))

    later = START + timedelta(minutes=1)
    gateway.take(configuration(version=6, devices=devices(CUFF), issued_at=later))

    assert gateway.refused is None
    assert gateway.configuring.devices == (CUFF,)


def test_the_good_one_coming_again_ends_the_refusal(gateway: Gateway) -> None:
    good = configuration(version=5)
    gateway.take(good)
    gateway.take(b"nonsense")

    gateway.take(good)

    assert gateway.refused is None
    assert len(gateway.radio.told) == 1


def test_a_gateway_that_does_not_know_the_time_does_not_judge_it(
    gateway: Gateway, clock: FakeClock
) -> None:
    clock.is_synchronised = False
    clock.at -= timedelta(days=300)

    gateway.take(configuration(devices=devices(CUFF)))

    assert gateway.refused is None
    assert gateway.configuring.devices == (CUFF,)


WINDOWS = [
    # what was asked for, seconds after it was issued at which it arrives, how long it is open
    (timedelta(minutes=10), 0, 600.0),
    (timedelta(minutes=10), 240, 360.0),
    (timedelta(minutes=10), 600, None),
    (timedelta(days=365), 0, 1800.0),
    (timedelta(days=365), 86_400, None),
    (timedelta(seconds=-5), 0, None),
]


@pytest.mark.parametrize(("asked", "late_s", "expected"), WINDOWS)
def test_a_window_is_open_until_then_and_never_for_longer_than_half_an_hour(
    gateway: Gateway, clock: FakeClock, asked: timedelta, late_s: int, expected: float | None
) -> None:
    clock.pass_s(late_s)

    gateway.take(configuration(pairing_until=START + asked))

    assert gateway.window.opened == ([] if expected is None else [expected])


def test_a_window_opens_once_however_often_its_configuration_comes(
    gateway: Gateway, clock: FakeClock
) -> None:
    asked = configuration(pairing_until=START + timedelta(minutes=20))

    gateway.take(asked)
    gateway.take(asked)
    gateway.configuring.settle()
    gateway.start()
    gateway.take(asked)
    gateway.configuring.settle()
    clock.pass_s(10)
    gateway.take(msgspec.structs.replace(asked, version=2))

    assert gateway.window.opened == [1200.0, 1190.0]


def test_a_kept_one_that_cannot_be_read_comes_again_and_opens_nothing(
    gateway: Gateway, database: Database
) -> None:
    asked = configuration(pairing_until=START + timedelta(minutes=20), devices=devices(CUFF))
    gateway.take(asked)
    database.connection.execute("UPDATE configuration SET body = x'00'")

    gateway.start()
    unread = gateway.configuring.devices
    gateway.take(asked)

    assert unread == (FALLBACK,)
    assert gateway.configuring.devices == (CUFF,)
    assert gateway.window.opened == [1200.0]


def test_a_window_waits_for_a_right_clock_and_no_longer_than_it_is_open(
    gateway: Gateway, clock: FakeClock
) -> None:
    clock.is_synchronised = False
    gateway.take(configuration(pairing_until=START + timedelta(minutes=20)))
    gateway.configuring.settle()
    closed = list(gateway.window.opened)

    clock.pass_s(300)
    clock.is_synchronised = True
    gateway.configuring.settle()
    gateway.configuring.settle()

    assert closed == []
    assert gateway.window.opened == [900.0]


def test_a_window_that_waited_stays_closed_after_a_restart(
    gateway: Gateway, clock: FakeClock
) -> None:
    clock.is_synchronised = False
    asked = configuration(pairing_until=START + timedelta(minutes=20))
    gateway.take(asked)

    gateway.start()
    clock.is_synchronised = True
    gateway.take(asked)
    gateway.configuring.settle()

    assert gateway.window.opened == []


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Any:
    directory = tmp_path_factory.mktemp("hostile")
    with closing(open_database(directory, START)) as database:
        gateway = Gateway(database, FakeClock(), directory)
        gateway.take(configuration(version=2**53, devices=devices(CUFF)))
        yield gateway


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=8,
)
FIELDS = st.fixed_dictionaries(
    {"version": st.integers(1, 2**53 - 1) | JSON, "issued_at": st.datetimes().map(str) | JSON},
    optional={
        "devices": JSON,
        "pairing_until": st.sampled_from(["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59Z"]),
        "channel": st.text(max_size=70),
        "rest_s": JSON,
        "scan_mode": JSON,
    },
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.differing_executors])
@given(
    payload=st.binary(max_size=200)
    | FIELDS.map(lambda value: repr(value).encode())
    | FIELDS.map(lambda value: json.dumps(value).encode())
)
def test_no_bytes_take_the_last_good_one_away(hostile: Gateway, payload: bytes) -> None:
    logging.getLogger("gateway").setLevel(logging.ERROR)
    try:
        hostile.take(payload)
        hostile.configuring.settle()
    finally:
        logging.getLogger("gateway").setLevel(logging.NOTSET)

    assert hostile.configuring.devices == (CUFF,)
    assert len(hostile.radio.told) == 1
    assert hostile.window.opened == []


@settings(max_examples=60, deadline=None)
@given(
    issued=st.sampled_from(["0001-01-01T00:00:00+14:00", "2026-11-23T07:10:30Z"]),
    until=st.sampled_from(["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"]),
    is_synchronised=st.booleans(),
)
def test_the_calendars_ends_are_survived(
    issued: str, until: str, is_synchronised: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    directory = tmp_path_factory.mktemp("ends")
    body = f'{{"version": 1, "issued_at": "{issued}", "pairing_until": "{until}"}}'
    with closing(open_database(directory, START)) as database:
        gateway = Gateway(database, FakeClock(is_synchronised=is_synchronised), directory)

        gateway.take(body.encode())
        gateway.configuring.settle()

        assert gateway.refused is None
        assert all(0 < left_s <= 1800 for left_s in gateway.window.opened)
