"""When a reading was made: the time rules as a table (docs/explanation/clocks.md).

Expected times were worked by hand with Sweden's rules: +01:00 in winter, +02:00 in summer; in 2026
the clocks go forward on 29 March at 02:00 and back on 25 October at 03:00, in 2027 on 28 March and
31 October (SFS 2001:127). An unknown year, month or day is 0 (GATT Specification Supplement, Date
Time; hours, minutes and seconds have no such value).
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_adapters.contract.messages import TimeQuality
from device_adapters.contract.readings import DeviceTime
from gateway.effective_time import (
    FUTURE,
    clock_offset,
    effective_time,
    has_own_identity,
    wall_clock,
)

HOME = ZoneInfo("Europe/Stockholm")
SYNCHRONISED, CORRECTED = TimeQuality.SYNCHRONISED, TimeQuality.CORRECTED
ESTIMATED, UNKNOWN = TimeQuality.ESTIMATED, TimeQuality.UNKNOWN

# What: (device time, received at, offset in seconds, expected time, expected quality).
TABLE: dict[str, tuple[str | None, str, float | None, str, TimeQuality]] = {
    "clock agrees": (
        "2026-11-23 08:10:00",
        "2026-11-23T07:10:30Z",
        0.4,
        "2026-11-23T08:10:00+01:00",
        SYNCHRONISED,
    ),
    "clock agrees to the second before last": (
        "2026-11-23 08:10:00",
        "2026-11-23T07:10:30Z",
        -2.0,
        "2026-11-23T08:10:00+01:00",
        SYNCHRONISED,
    ),
    "clock is ten minutes behind": (
        "2026-11-23 08:00:00",
        "2026-11-23T07:10:30Z",
        600.0,
        "2026-11-23T08:10:00+01:00",
        CORRECTED,
    ),
    "clock is a day ahead": (
        "2026-11-24 08:10:00",
        "2026-11-23T07:10:30Z",
        -86_400.0,
        "2026-11-23T08:10:00+01:00",
        CORRECTED,
    ),
    "clock started at 2000 when the battery was changed": (
        "2000-01-01 00:05:00",
        "2026-11-23T07:10:30Z",
        (datetime(2026, 11, 23, 8, 10) - datetime(2000, 1, 1, 0, 6)).total_seconds(),  # noqa: DTZ001
        "2026-11-23T08:09:00+01:00",
        CORRECTED,
    ),
    "cuff was never told of winter time, reading from before the change": (
        "2026-10-25 01:30:00",
        "2026-10-25T05:00:00Z",
        -3600.0,  # shows 07:00 at 06:00 +01:00
        "2026-10-25T01:30:00+02:00",
        CORRECTED,
    ),
    "cuff was never told of winter time, reading from after the change": (
        "2026-10-25 05:30:00",
        "2026-10-25T05:00:00Z",
        -3600.0,
        "2026-10-25T04:30:00+01:00",
        CORRECTED,
    ),
    "the hour that comes twice, received in its first turn": (
        "2026-10-25 02:30:00",
        "2026-10-25T00:31:00Z",
        0.0,
        "2026-10-25T02:30:00+02:00",
        SYNCHRONISED,
    ),
    "the hour that comes twice, received in its second turn": (
        "2026-10-25 02:30:00",
        "2026-10-25T01:31:00Z",
        0.0,
        "2026-10-25T02:30:00+01:00",
        SYNCHRONISED,
    ),
    "the hour that comes twice, device a second ahead of us": (
        "2026-10-25 02:30:01",
        "2026-10-25T01:30:00Z",
        -1.0,
        "2026-10-25T02:30:01+01:00",
        SYNCHRONISED,
    ),
    "an hour that does not exist": (
        "2026-03-29 02:30:00",
        "2026-03-29T01:31:00Z",
        None,
        "2026-03-29T03:30:00+02:00",
        ESTIMATED,
    ),
    "the night the clocks go back, device follows, reading from before": (
        "2027-10-31 01:59:59",
        "2027-10-31T04:00:00Z",
        0.0,
        "2027-10-31T01:59:59+02:00",
        SYNCHRONISED,
    ),
    "the night the clocks go back, device follows, reading from after": (
        "2027-10-31 03:00:00",
        "2027-10-31T04:00:00Z",
        0.0,
        "2027-10-31T03:00:00+01:00",
        SYNCHRONISED,
    ),
    "the hour that comes twice, clock not measured, received in its first turn": (
        "2027-10-31 02:30:00",
        "2027-10-31T00:31:00Z",
        None,
        "2027-10-31T02:30:00+02:00",
        ESTIMATED,
    ),
    "the hour that comes twice, clock not measured, received next day": (
        "2027-10-31 02:30:00",
        "2027-11-01T06:00:00Z",
        None,
        "2027-10-31T02:30:00+01:00",  # the later of the two
        ESTIMATED,
    ),
    "the hour that comes twice, cuff never told of winter time": (
        "2027-10-31 02:30:00",  # on its even count: 00:30 UTC
        "2027-10-31T06:00:00Z",
        -3600.0,
        "2027-10-31T02:30:00+02:00",
        CORRECTED,
    ),
    "the night the clocks go forward, device follows, reading from before": (
        "2027-03-28 01:59:59",
        "2027-03-28T04:00:00Z",
        0.0,
        "2027-03-28T01:59:59+01:00",
        SYNCHRONISED,
    ),
    "the night the clocks go forward, cuff never told of summer time, from before": (
        "2027-03-28 01:30:00",
        "2027-03-28T04:00:00Z",
        3600.0,  # shows 05:00 at 06:00 +02:00
        "2027-03-28T01:30:00+01:00",
        CORRECTED,
    ),
    "the night the clocks go forward, cuff never told of summer time, from after": (
        "2027-03-28 02:30:00",  # an hour that the home's clocks do not show
        "2027-03-28T04:00:00Z",
        3600.0,
        "2027-03-28T03:30:00+02:00",
        CORRECTED,
    ),
    "an hour that does not exist, 2027": (
        "2027-03-28 02:30:00",
        "2027-03-28T01:31:00Z",
        None,
        "2027-03-28T03:30:00+02:00",
        ESTIMATED,
    ),
    "set to summer time by hand in winter, clock measured": (
        "2026-11-23 09:10:00",
        "2026-11-23T07:10:30Z",  # 08:10:30 at home
        -3600.0,
        "2026-11-23T08:10:00+01:00",
        CORRECTED,
    ),
    "set to summer time by hand in winter, clock not measured": (
        "2026-11-23 09:10:00",
        "2026-11-23T07:10:30Z",
        None,
        "2026-11-23T08:10:30+01:00",  # it lies in the future: the time of reception stands in
        ESTIMATED,
    ),
    "left on winter time in summer, clock not measured": (
        "2026-07-01 08:10:00",
        "2026-07-01T07:10:30Z",  # 09:10:30 at home; an hour old or an hour wrong: not to be told
        None,
        "2026-07-01T08:10:00+02:00",
        ESTIMATED,
    ),
    "summer reading received in winter": (
        "2026-10-20 08:00:00",
        "2026-11-23T07:10:30Z",
        0.0,
        "2026-10-20T08:00:00+02:00",
        SYNCHRONISED,
    ),
    "clock not measured, time plausible": (
        "2026-11-20 08:10:00",
        "2026-11-23T07:10:30Z",
        None,
        "2026-11-20T08:10:00+01:00",
        ESTIMATED,
    ),
    "clock not measured, two minutes ahead": (
        "2026-11-23 08:12:30",
        "2026-11-23T07:10:30Z",
        None,
        "2026-11-23T08:12:30+01:00",
        ESTIMATED,
    ),
    "clock not measured, further ahead": (
        "2026-11-23 08:12:31",
        "2026-11-23T07:10:30Z",
        None,
        "2026-11-23T08:10:30+01:00",
        ESTIMATED,
    ),
    "clock not measured, 400 days old": (
        "2025-10-19 09:10:30",
        "2026-11-23T07:10:30Z",
        None,
        "2025-10-19T09:10:30+02:00",
        ESTIMATED,
    ),
    "clock not measured, older": (
        "2025-10-19 08:10:29",
        "2026-11-23T07:10:30Z",
        None,
        "2026-11-23T08:10:30+01:00",
        ESTIMATED,
    ),
    "clock measured, but the record lies in its future": (
        "2026-11-24 08:10:00",
        "2026-11-23T07:10:30Z",
        0.0,
        "2026-11-23T08:10:30+01:00",
        ESTIMATED,
    ),
    "no time": (None, "2026-11-23T07:10:30Z", 0.0, "2026-11-23T08:10:30+01:00", ESTIMATED),
    "year unknown": (
        "0000-11-23 08:10:00",
        "2026-11-23T07:10:30Z",
        0.0,
        "2026-11-23T08:10:30+01:00",
        ESTIMATED,
    ),
    "month unknown": (
        "2026-00-23 08:10:00",
        "2026-11-23T07:10:30Z",
        0.0,
        "2026-11-23T08:10:30+01:00",
        ESTIMATED,
    ),
    "day unknown": (
        "2026-11-00 08:10:00",
        "2026-11-23T07:10:30Z",
        None,
        "2026-11-23T08:10:30+01:00",
        ESTIMATED,
    ),
    "nothing known": (
        "0000-00-00 00:00:00",
        "2026-11-23T07:10:30Z",
        600.0,
        "2026-11-23T08:10:30+01:00",
        ESTIMATED,
    ),
    "29 February of a year that has none": (
        "2027-02-29 08:10:00",
        "2027-03-01T07:10:30Z",
        0.0,
        "2027-03-01T08:10:30+01:00",
        ESTIMATED,
    ),
    "hour 24": (
        "2026-11-23 24:00:00",
        "2026-11-23T07:10:30Z",
        0.0,
        "2026-11-23T08:10:30+01:00",
        ESTIMATED,
    ),
    "31 February": (
        "2026-02-31 08:10:00",
        "2026-11-23T07:10:30Z",
        0.0,
        "2026-11-23T08:10:30+01:00",
        ESTIMATED,
    ),
    "the calendar's end": (
        "9999-12-31 23:59:59",
        "2026-11-23T07:10:30Z",
        86_400.0,
        "2026-11-23T08:10:30+01:00",
        ESTIMATED,
    ),
}


@pytest.mark.parametrize("case", TABLE)
def test_effective_time_follows_the_table(case: str) -> None:
    shown, received, offset_s, expected_at, expected_quality = TABLE[case]

    found = effective_time(
        device_time(shown),
        datetime.fromisoformat(received),
        offset=None if offset_s is None else timedelta(seconds=offset_s),
        zone=HOME,
        is_synchronised=True,
    )

    assert (found.at.isoformat(), found.quality) == (expected_at, expected_quality)


@pytest.mark.parametrize("case", TABLE)
def test_nothing_is_known_of_time_while_the_gateway_has_none(case: str) -> None:
    shown, received, offset_s, expected_at, _ = TABLE[case]

    found = effective_time(
        device_time(shown),
        datetime.fromisoformat(received),
        offset=None if offset_s is None else timedelta(seconds=offset_s),
        zone=HOME,
        is_synchronised=False,
    )

    assert (found.at.isoformat(), found.quality) == (expected_at, UNKNOWN)


@given(
    shown=st.builds(
        DeviceTime,
        st.integers(0, 0xFFFF),
        *[st.integers(0, 255)] * 5,
    ),
    received=st.datetimes(datetime(1970, 1, 2), datetime(2100, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    offset_s=st.none() | st.floats(-1e11, 1e11),
)
def test_any_device_time_gives_a_time_that_is_not_in_the_future(
    shown: DeviceTime, received: datetime, offset_s: float | None
) -> None:
    found = effective_time(
        shown,
        received,
        offset=None if offset_s is None else timedelta(seconds=offset_s),
        zone=HOME,
        is_synchronised=True,
    )

    assert found.at <= received + FUTURE
    assert found.at.utcoffset() is not None


@pytest.mark.parametrize(
    ("shown", "is_synchronised", "expected"),
    [
        ("2026-11-23 08:10:00", True, True),
        ("2020-01-01 00:00:00", True, True),
        ("2019-12-31 23:59:59", True, False),
        ("2026-11-24 08:10:30", True, True),  # one day ahead of 08:10:30 +01:00
        ("2026-11-24 08:10:31", True, False),
        ("2035-01-01 00:00:00", False, True),  # only a right clock can tell a wrong one
        ("2026-00-23 08:10:00", True, False),
        (None, True, False),
    ],
)
def test_identity_is_the_records_own_where_its_time_can_tell_it_apart(
    shown: str | None, is_synchronised: bool, expected: bool
) -> None:
    received = datetime(2026, 11, 23, 7, 10, 30, tzinfo=UTC)

    found = has_own_identity(
        device_time(shown), received, zone=HOME, is_synchronised=is_synchronised
    )

    assert found is expected


def test_offset_is_home_minus_device() -> None:
    shown = datetime(2026, 11, 23, 8, 0, 0)  # noqa: DTZ001 - a device's clock has no zone

    offset = clock_offset(shown, datetime(2026, 11, 23, 7, 10, tzinfo=UTC), HOME)

    assert offset == timedelta(minutes=10)


def test_seconds_beyond_59_count_as_59() -> None:
    shown = wall_clock(DeviceTime(2026, 11, 23, 8, 10, 63))

    assert shown == datetime(2026, 11, 23, 8, 10, 59)  # noqa: DTZ001 - a device's clock


def device_time(text: str | None) -> DeviceTime | None:
    if text is None:
        return None
    date, _, clock = text.partition(" ")
    return DeviceTime(*map(int, [*date.split("-"), *clock.split(":")]))
