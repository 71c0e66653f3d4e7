"""Why nothing comes: exactly one cause first, the nearest to us (SCENARIOS A9, A20, day 2)."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_adapters.contract.standing import DeviceStanding, GatewayStatus, Problem
from ingest_service.alerts.silence import (
    Cause,
    Gateway,
    SilentDevice,
    Wrong,
    is_chain_whole,
    of_device,
    of_gateway,
)

NOW = datetime(2026, 11, 25, 10, 0, tzinfo=UTC)
CUFF = "F0:A1:00:00:00:01"


def ago(**span: float) -> datetime:
    return NOW - timedelta(**span)


SAID = GatewayStatus(
    is_online=True,
    at=NOW,
    is_clock_synchronised=True,
    is_listening=True,
    undelivered=0,
    devices=(DeviceStanding(id=CUFF, seen_at=ago(hours=20), given_at=ago(hours=20)),),
)
WELL = Gateway(
    is_online=True,
    heard_at=ago(seconds=40),
    changed_at=ago(days=3),
    said=SAID,
    listening_since=ago(days=9),
    listened_at=ago(seconds=10),
)
DEVICE = SilentDevice(id=CUFF, assigned_since=ago(days=90), last_reading_at=ago(hours=20))


def saying(**changes: Any) -> Gateway:
    return replace(WELL, said=msgspec.structs.replace(SAID, **changes))


def wrong(kind: Problem, *, device_id: str | None = None, **changes: Any) -> Gateway:
    condition = Wrong(kind=kind, since=ago(hours=5), device_id=device_id)
    return replace(WELL, wrong=(replace(condition, **changes),))


# What is known, what explains the silence, since when.
TABLE = {
    "it measured nothing": (WELL, Cause.DID_NOT_MEASURE, ago(hours=20)),
    "away by its will": (
        replace(WELL, is_online=False, changed_at=ago(hours=2)),
        Cause.GATEWAY_OFFLINE,
        ago(hours=2),
    ),
    "silent, its will lost": (
        replace(WELL, heard_at=ago(minutes=4)),
        Cause.GATEWAY_OFFLINE,
        ago(minutes=4),
    ),
    "away, certificate ended": (
        replace(saying(certificate_ends_at=ago(days=1)), heard_at=ago(hours=1)),
        Cause.CERTIFICATE,
        ago(days=1),
    ),
    "away, refused by the broker": (
        replace(wrong(Problem.BROKER_REFUSES), is_online=False),
        Cause.CERTIFICATE,
        ago(hours=5),
    ),
    "certificate ending, and there": (
        wrong(Problem.CERTIFICATE_ENDING),
        Cause.DID_NOT_MEASURE,
        ago(hours=20),
    ),
    "never connected": (
        Gateway(listening_since=ago(days=9), listened_at=NOW),
        Cause.NEVER_CONNECTED,
        None,
    ),
    "refused device": (
        wrong(Problem.DEVICE_REFUSED, device_id=CUFF),
        Cause.DEVICE_REFUSED,
        ago(hours=5),
    ),
    "another device refused": (
        wrong(Problem.DEVICE_REFUSED, device_id="F0:A1:00:00:00:02"),
        Cause.DID_NOT_MEASURE,
        ago(hours=20),
    ),
    "battery": (wrong(Problem.BATTERY_LOW, device_id=CUFF), Cause.BATTERY_LOW, ago(hours=5)),
    "not seen, says the gateway": (
        wrong(Problem.DEVICE_NOT_SEEN, device_id=CUFF),
        Cause.DEVICE_NOT_SEEN,
        ago(hours=5),
    ),
    "clock": (wrong(Problem.CLOCK_UNTRUSTED), Cause.CLOCK_UNTRUSTED, ago(hours=5)),
    "clock, by the status alone": (
        saying(is_clock_synchronised=False),
        Cause.CLOCK_UNTRUSTED,
        None,
    ),
    "queue": (wrong(Problem.QUEUE_GROWING), Cause.QUEUE_GROWING, ago(hours=5)),
    "readings wait": (
        saying(undelivered=3, oldest_undelivered_at=ago(minutes=9)),
        Cause.QUEUE_GROWING,
        ago(minutes=9),
    ),
    "radio": (wrong(Problem.RADIO_DEAF), Cause.RADIO_DEAF, ago(hours=5)),
    "radio, by the status alone": (saying(is_listening=False), Cause.RADIO_DEAF, None),
    "disk": (wrong(Problem.DISK_FULL), Cause.DISK_FULL, ago(hours=5)),
    "older software": (saying(is_listening=None), Cause.NOT_TOLD, ago(days=3)),
    "we are deaf": (
        replace(WELL, listened_at=ago(minutes=2), heard_at=ago(minutes=2)),
        Cause.SERVER_DEAF,
        ago(minutes=2),
    ),
    "we have only begun to listen": (
        replace(WELL, listening_since=ago(minutes=1), heard_at=ago(hours=1)),
        Cause.SERVER_DEAF,
        ago(hours=1),
    ),
    "away by its will, and we have only begun to listen": (
        replace(WELL, is_online=False, listening_since=ago(minutes=1)),
        Cause.GATEWAY_OFFLINE,
        ago(days=3),
    ),
}


@pytest.mark.parametrize("name", TABLE)
def test_what_explains_the_silence_comes_first_with_since_when(name: str) -> None:
    gateway, cause, since = TABLE[name]

    first = of_device(gateway, DEVICE, now=NOW)[0]

    assert (first.cause, first.since) == (cause, since)
    assert is_chain_whole(gateway, DEVICE, now=NOW) == (cause is Cause.DID_NOT_MEASURE)


def test_a_device_that_nobody_heard_for_longer_than_allowed_is_not_seen() -> None:
    gateway = saying(devices=())
    device = replace(DEVICE, last_reading_at=ago(hours=80))

    assert of_device(gateway, device, now=NOW)[0].cause is Cause.DEVICE_NOT_SEEN
    allowed = of_device(gateway, device, now=NOW, not_seen_after=timedelta(hours=90))
    assert allowed[0].cause is Cause.DID_NOT_MEASURE


def test_a_new_device_that_nobody_used_yet_is_no_fault() -> None:
    device = SilentDevice(id=CUFF, assigned_since=ago(hours=3))

    [only] = of_device(saying(devices=()), device, now=NOW)

    assert (only.cause, only.since) == (Cause.DID_NOT_MEASURE, ago(hours=3))


def test_a_gateway_that_is_away_hides_what_it_last_said_of_devices() -> None:
    gateway = replace(wrong(Problem.DEVICE_NOT_SEEN, device_id=CUFF), is_online=False)

    assert [one.cause for one in of_device(gateway, DEVICE, now=NOW)] == [Cause.GATEWAY_OFFLINE]


def test_a_low_battery_explains_why_a_device_is_not_seen_and_both_are_told() -> None:
    both = (
        Wrong(kind=Problem.DEVICE_NOT_SEEN, since=ago(hours=1), device_id=CUFF),
        Wrong(kind=Problem.BATTERY_LOW, since=ago(days=4), device_id=CUFF),
    )

    found = of_device(replace(WELL, wrong=both), DEVICE, now=NOW)

    assert [one.cause for one in found] == [Cause.BATTERY_LOW, Cause.DEVICE_NOT_SEEN]


def test_a_time_of_an_untrusted_clock_says_so() -> None:
    gateway = wrong(Problem.QUEUE_GROWING, is_since_trusted=False)

    assert not of_device(gateway, DEVICE, now=NOW)[0].is_since_trusted


def test_a_regional_outage_leaves_nobody_who_did_not_measure() -> None:
    # 10:00: the network dies; 60 gateways' wills, or their silence, come within minutes.
    for minutes, is_online in ((5, True), (5, False), (600, True), (600, False)):
        gateway = replace(WELL, is_online=is_online, heard_at=ago(minutes=minutes))
        assert not is_chain_whole(gateway, DEVICE, now=NOW)


_TIMES = st.none() | st.datetimes(
    datetime(1, 1, 2),  # noqa: DTZ001 the zone is added
    datetime(9999, 12, 30),  # noqa: DTZ001 the same
    timezones=st.just(UTC),
)
_FLAGS = st.none() | st.booleans()
_ANY_STATUS = st.builds(
    GatewayStatus,
    is_online=st.just(value=True),
    is_clock_synchronised=_FLAGS,
    is_listening=_FLAGS,
    undelivered=st.none() | st.integers(0, 5),
    oldest_undelivered_at=_TIMES,
    certificate_ends_at=_TIMES,
    devices=st.lists(st.builds(DeviceStanding, id=st.just(CUFF), seen_at=_TIMES), max_size=2).map(
        tuple
    ),
)
_ANY_GATEWAY = st.builds(
    Gateway,
    is_online=_FLAGS,
    heard_at=_TIMES,
    changed_at=_TIMES,
    said=st.none() | _ANY_STATUS,
    wrong=st.lists(
        st.builds(
            Wrong,
            kind=st.sampled_from(list(Problem)) | st.just("of a later release"),
            since=st.just(NOW),
            device_id=st.sampled_from([None, CUFF, "x"]),
        ),
        max_size=4,
    ).map(tuple),
    listening_since=_TIMES | st.just(ago(days=1)),
    listened_at=_TIMES | st.just(NOW),
)


@given(_ANY_GATEWAY, _TIMES, _TIMES)
def test_whatever_is_known_exactly_one_cause_comes_first(
    gateway: Gateway, assigned: datetime | None, last: datetime | None
) -> None:
    device = SilentDevice(id=CUFF, assigned_since=assigned, last_reading_at=last)

    found = of_device(gateway, device, now=NOW)

    causes = [one.cause for one in found]
    assert causes
    assert len(set(causes)) == len(causes)
    assert (Cause.DID_NOT_MEASURE in causes) == is_chain_whole(gateway, device, now=NOW)
    if Cause.DID_NOT_MEASURE in causes:
        assert causes == [Cause.DID_NOT_MEASURE]
        assert gateway.said is not None
        assert (gateway.said.is_listening, gateway.said.is_clock_synchronised) == (True, True)
        assert gateway.said.undelivered == 0
        assert of_gateway(gateway, now=NOW) == ()
