"""Opening hours held against the calendar, the law on public holidays and the tz database."""

from __future__ import annotations

import json
import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ingest_service.plans import closures
from ingest_service.plans.hours import (
    Hours,
    HoursError,
    Opening,
    OwnHours,
    ResponseTimes,
    Week,
    closes_next,
    deadline,
    decode,
    is_open,
    opening_minutes,
    opening_time,
    opens_next,
    round_the_clock,
)

PAGE = Path(__file__).resolve().parents[4] / "docs" / "reference" / "opening-hours.md"

TIMES = ResponseTimes(red=30, yellow=240, blue=2400)


def opening(text: str) -> Opening:
    start, end = text.split("-")
    return Opening(start=start, end=end)


def unit(*openings: str, weekend: tuple[str, ...] = (), **changes: Any) -> Hours:
    day = tuple(opening(text) for text in openings)
    off = tuple(opening(text) for text in weekend)
    return Hours(
        zone=changes.pop("zone", "Europe/Stockholm"),
        weekly=Week(
            monday=day,
            tuesday=day,
            wednesday=day,
            thursday=day,
            friday=day,
            saturday=off,
            sunday=off,
        ),
        respond_within_min=TIMES,
        finish_within_min=120,
        **changes,
    )


def every_day(*openings: str, **changes: Any) -> Hours:
    return unit(*openings, weekend=openings, **changes)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


CLINIC = unit(
    "08:00-16:30",
    holiday_country="SE",
    also_closed=("Midsommarafton", "Julafton", "Nyårsafton"),
    own_hours=(OwnHours(day="12-23", open=(opening("08:00-12:00"),)),),
)
ALWAYS = round_the_clock("Europe/Stockholm", respond_within_min=TIMES, finish_within_min=120)
NEVER = unit(own_hours=(OwnHours(day="2020-01-01", open=(opening("08:00-09:00"),)),))


# Stockholm is at UTC+1 from 25 October 2026 to 28 March 2027, else at UTC+2 (Directive 2000/84/EC:
# the last Sundays of March and October, at 01:00 UTC).


def test_a_red_of_a_sunday_waits_from_monday_morning_on() -> None:
    raised = utc("2026-11-22T13:42")  # Sunday, 14:42 in Stockholm

    assert not is_open(CLINIC, raised)
    assert opens_next(CLINIC, raised) == utc("2026-11-23T07:00")
    assert opening_minutes(CLINIC, raised, utc("2026-11-23T06:59")) == 0
    assert opening_minutes(CLINIC, raised, utc("2026-11-23T08:42")) == 102
    assert deadline(CLINIC, raised, 30) == utc("2026-11-23T07:30")


def test_minutes_that_do_not_fit_before_closing_go_on_the_next_day() -> None:
    # Thursday 26 November 2026, 16:10: 20 minutes today and 10 tomorrow.
    assert deadline(CLINIC, utc("2026-11-26T15:10"), 30) == utc("2026-11-27T07:10")


def test_minutes_that_end_with_the_day_end_then_and_not_the_next_morning() -> None:
    assert deadline(CLINIC, utc("2026-11-26T15:00"), 30) == utc("2026-11-26T15:30")


def test_an_opening_holds_up_to_its_end() -> None:
    assert not is_open(CLINIC, utc("2026-11-26T06:59:59"))
    assert is_open(CLINIC, utc("2026-11-26T07:00"))
    assert is_open(CLINIC, utc("2026-11-26T15:29:59"))
    assert not is_open(CLINIC, utc("2026-11-26T15:30"))


def test_what_opens_and_closes_next_is_now_where_it_is_so_already() -> None:
    during, after = utc("2026-11-26T10:00"), utc("2026-11-26T16:00")

    assert opens_next(CLINIC, during) == during
    assert closes_next(CLINIC, during) == utc("2026-11-26T15:30")
    assert opens_next(CLINIC, after) == utc("2026-11-27T07:00")
    assert closes_next(CLINIC, after) == after


def test_a_lunch_break_is_no_opening_time() -> None:
    split = unit("08:00-12:00", "13:00-16:30")

    assert deadline(split, utc("2026-11-26T10:50"), 30) == utc("2026-11-26T12:20")
    assert opening_time(split, utc("2026-11-26T00:00"), utc("2026-11-27T00:00")) == timedelta(
        hours=7.5
    )


def test_openings_that_touch_are_one() -> None:
    touching = unit("08:00-12:00", "12:00-16:30")

    assert closes_next(touching, utc("2026-11-26T08:00")) == utc("2026-11-26T15:30")


def test_christmas_of_2026_closes_from_noon_before_to_the_monday_after() -> None:
    # Wednesday 23 December 11:30 is half an hour before noon; the 24th to 26th are Christmas eve,
    # Christmas and Boxing Day, the 27th is a Sunday.
    assert deadline(CLINIC, utc("2026-12-23T10:30"), 60) == utc("2026-12-28T07:30")


def test_easter_of_2026_closes_from_friday_to_monday() -> None:
    # Easter Sunday is 5 April 2026; summer time began on 29 March.
    assert opens_next(CLINIC, utc("2026-04-02T14:30")) == utc("2026-04-07T06:00")


# Lagen (1989:253) om allmänna helgdagar, section 1: New Year's Day, 6 January, 1 May, 6 June,
# 25 and 26 December; Good Friday, Easter Sunday and Monday, the sixth Thursday and the seventh
# Sunday after Easter; the Saturday of 20-26 June; that of 31 October - 6 November. Easter Sunday
# is 5 April 2026, 28 March 2027 and 16 April 2028 (tables of Easter Sundays of the western
# churches).
IN_LAW = {
    2026: (
        "01-01 01-06 04-03 04-05 04-06 05-01 05-14 05-24 06-06 06-20 10-31 12-25 12-26",
        "06-19 12-24 12-31",
    ),
    2027: (
        "01-01 01-06 03-26 03-28 03-29 05-01 05-06 05-16 06-06 06-26 11-06 12-25 12-26",
        "06-25 12-24 12-31",
    ),
    2028: (
        "01-01 01-06 04-14 04-16 04-17 05-01 05-25 06-04 06-06 06-24 11-04 12-25 12-26",
        "06-23 12-24 12-31",
    ),
}


@pytest.mark.parametrize("year", IN_LAW)
def test_swedish_holidays_are_those_of_the_law_and_the_eves_that_are_named(year: int) -> None:
    daily = every_day("08:00-16:00", holiday_country="SE")
    with_eves = every_day(
        "08:00-16:00",
        holiday_country="SE",
        also_closed=("Midsommarafton", "Julafton", "Nyårsafton"),
    )
    days = [date(year, 1, 1) + timedelta(days=number) for number in range(365 + (year == 2028))]

    def closed(hours: Hours) -> list[str]:
        noon = {day: datetime(day.year, day.month, day.day, 11, tzinfo=UTC) for day in days}
        return [day.isoformat()[5:] for day in days if not is_open(hours, noon[day])]

    public, eves = (text.split() for text in IN_LAW[year])
    assert closed(daily) == public
    assert closed(with_eves) == sorted(public + eves)


def test_names_of_days_are_the_countrys_own_whatever_the_process_speaks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for variable in ("LANGUAGE", "LANG", "LC_ALL", "LC_MESSAGES"):
        monkeypatch.setenv(variable, "en_US")

    # A year that nothing else asks for: it is not kept from before.
    assert closures.names("SE", None, date(2051, 12, 24)) == {"Julafton"}


def test_a_public_holiday_of_a_part_of_a_country_closes_there_alone() -> None:
    # Saint Andrew's Day, 30 November 2026, a Monday: Scotland (St Andrew's Day Bank Holiday Act
    # 2007). London is at UTC then.
    scotland = unit(
        "08:00-16:00", zone="Europe/London", holiday_country="GB", holiday_subdivision="SCT"
    )
    england = unit(
        "08:00-16:00", zone="Europe/London", holiday_country="GB", holiday_subdivision="ENG"
    )

    assert not is_open(scotland, utc("2026-11-30T10:00"))
    assert is_open(england, utc("2026-11-30T10:00"))


def test_what_is_written_more_narrowly_wins() -> None:
    hours = unit(
        "08:00-16:00",
        holiday_country="SE",
        also_closed=("12-30", "Julafton", "2026-11-26"),
        open_days=("Trettondedag jul", "2027-12-24", "2026-12-30"),
        own_hours=(
            OwnHours(day="2026-12-25", open=(opening("10:00-12:00"),)),
            OwnHours(day="2026-11-28", open=(opening("10:00-12:00"),)),
            OwnHours(day="Skärtorsdagen", open=(opening("08:00-12:00"),)),
        ),
    )

    def at_eleven(day: str) -> tuple[bool, bool]:
        """Tell whether it is open at 11:30 and at 15:30 in Stockholm, in winter or on 2 April."""
        shift = 2 if day == "2026-04-02" else 1
        return (
            is_open(hours, utc(f"{day}T{11 - shift:02}:30")),
            is_open(hours, utc(f"{day}T{15 - shift:02}:30")),
        )

    assert at_eleven("2026-11-26") == (False, False)  # a Thursday, closed by its date
    assert at_eleven("2026-11-28") == (True, False)  # a Saturday with hours of its own
    assert at_eleven("2026-12-25") == (True, False)  # a public holiday with hours of its own
    assert at_eleven("2025-12-30") == (False, False)  # closed every year ...
    assert at_eleven("2026-12-30") == (True, True)  # ... but not this one
    assert at_eleven("2027-01-06") == (True, True)  # a public holiday that is worked
    assert at_eleven("2026-12-24") == (False, False)  # closed by its name ...
    assert at_eleven("2027-12-24") == (True, True)  # ... but not this one
    assert at_eleven("2026-04-02") == (True, False)  # half, by its name


def test_a_half_day_of_every_year_opens_no_sunday() -> None:
    # 23 December is a Wednesday in 2026 and a Saturday in 2028.
    assert is_open(CLINIC, utc("2026-12-23T09:00"))
    assert not is_open(CLINIC, utc("2028-12-23T09:00"))


def test_a_day_with_two_names_is_open_only_if_neither_closes_it() -> None:
    # 1 May 2008 was Ascension Day too: Easter Sunday was 23 March.
    one = every_day("08:00-16:00", holiday_country="SE", open_days=("Första maj",))
    both = every_day(
        "08:00-16:00", holiday_country="SE", open_days=("Första maj", "Kristi himmelsfärdsdag")
    )

    assert not is_open(one, utc("2008-05-01T10:00"))
    assert is_open(both, utc("2008-05-01T10:00"))


def test_of_two_own_hours_by_name_the_shorter_hold() -> None:
    hours = every_day(
        "08:00-16:00",
        holiday_country="SE",
        own_hours=(
            OwnHours(day="Kristi himmelsfärdsdag", open=(opening("08:00-14:00"),)),
            OwnHours(day="Första maj", open=(opening("08:00-12:00"),)),
        ),
    )

    assert closes_next(hours, utc("2008-05-01T07:00")) == utc("2008-05-01T10:00")


def test_a_unit_that_never_closes_is_always_open() -> None:
    at = utc("2026-10-24T22:00")

    assert is_open(ALWAYS, at)
    assert closes_next(ALWAYS, at) is None
    assert deadline(ALWAYS, at, 480) == utc("2026-10-25T06:00")
    assert opening_minutes(ALWAYS, at, utc("2026-10-25T22:00")) == 1440


def test_a_unit_that_is_never_open_gives_no_deadline_and_no_time() -> None:
    at = utc("2026-11-26T10:00")

    assert opens_next(NEVER, at) is None
    assert closes_next(NEVER, at) == at
    assert deadline(NEVER, at, 1) is None
    assert opening_minutes(NEVER, at, utc("2027-11-26T10:00")) == 0


def test_an_opening_more_than_four_hundred_days_ahead_is_none() -> None:
    once = unit(own_hours=(OwnHours(day="2027-12-31", open=(opening("08:00-09:00"),)),))
    opens = utc("2027-12-31T07:00")

    assert opens_next(once, opens - timedelta(days=400)) is None
    assert opens_next(once, opens - timedelta(days=400) + timedelta(minutes=1)) == opens


def test_minutes_that_do_not_pass_within_four_hundred_days_give_no_deadline() -> None:
    # One minute a day on weekdays: 285 or 286 in 400 days.
    slow = unit("08:00-08:01")

    assert deadline(slow, utc("2026-11-26T10:00"), 280) is not None
    assert deadline(slow, utc("2026-11-26T10:00"), 290) is None


def test_no_minutes_have_passed_until_a_time_before() -> None:
    assert opening_minutes(ALWAYS, utc("2026-11-26T10:00"), utc("2026-11-26T09:00")) == 0


def test_no_minutes_are_over_at_once_and_fewer_cannot_pass() -> None:
    closed = utc("2026-11-22T13:42")

    assert deadline(CLINIC, closed, 0) == closed
    with pytest.raises(ValueError, match="-1 opening minutes cannot pass"):
        deadline(CLINIC, closed, -1)


@pytest.mark.parametrize(
    ("begins", "hours"),
    [
        ("2026-03-28T21:00", 8),  # 02:00 becomes 03:00
        ("2026-10-24T20:00", 10),  # 03:00 becomes 02:00
        ("2026-11-24T21:00", 9),
        ("2027-03-27T21:00", 8),
        ("2027-10-30T20:00", 10),
    ],
)
def test_a_night_shift_is_shorter_in_spring_and_longer_in_autumn(begins: str, hours: int) -> None:
    night = every_day("22:00-24:00", "00:00-07:00")
    start = utc(begins)

    assert opens_next(night, start - timedelta(hours=1)) == start
    assert closes_next(night, start) == start + timedelta(hours=hours)
    assert deadline(night, start, hours * 60) == start + timedelta(hours=hours)


@pytest.mark.parametrize(
    ("text", "zone", "opens", "closes"),
    [
        # Skipped: 29 March 2026, 02:00 becomes 03:00 at 01:00 UTC.
        ("02:30-05:00", "Europe/Stockholm", "2026-03-29T01:00", "2026-03-29T03:00"),
        ("02:10-05:00", "Europe/Stockholm", "2026-03-29T01:00", "2026-03-29T03:00"),
        ("01:00-02:30", "Europe/Stockholm", "2026-03-29T00:00", "2026-03-29T01:00"),
        # Shown twice: 25 October 2026, 03:00 becomes 02:00 at 01:00 UTC.
        ("02:30-05:00", "Europe/Stockholm", "2026-10-25T00:30", "2026-10-25T04:00"),
        ("01:00-02:30", "Europe/Stockholm", "2026-10-24T23:00", "2026-10-25T00:30"),
        # The United States change on the second Sunday of March, 02:00 to 03:00 there.
        ("02:30-05:00", "America/New_York", "2026-03-08T07:00", "2026-03-08T09:00"),
        # Lord Howe changes by half an hour: 4 October 2026, 02:00 (UTC+10:30) becomes 02:30.
        ("02:15-03:00", "Australia/Lord_Howe", "2026-10-03T15:30", "2026-10-03T16:00"),
        # Havana skips midnight: 8 March 2026, 00:00 (UTC-5) becomes 01:00.
        ("00:00-02:00", "America/Havana", "2026-03-08T05:00", "2026-03-08T06:00"),
        # Half hours and no summer time; then 14 hours ahead.
        ("08:00-16:00", "Asia/Kolkata", "2026-11-26T02:30", "2026-11-26T10:30"),
        ("08:00-16:00", "Pacific/Kiritimati", "2026-11-25T18:00", "2026-11-26T02:00"),
    ],
)
def test_hours_follow_the_units_own_clock(text: str, zone: str, opens: str, closes: str) -> None:
    hours = every_day(text, zone=zone)

    assert opens_next(hours, utc(opens) - timedelta(minutes=1)) == utc(opens)
    assert closes_next(hours, utc(opens)) == utc(closes)


def test_an_opening_in_the_hour_that_is_skipped_does_not_take_place() -> None:
    hours = every_day("02:10-02:50")
    start, end = utc("2026-03-28T12:00"), utc("2026-03-29T12:00")

    assert opening_time(hours, start, end) == timedelta()


def test_a_unit_that_never_closes_has_no_gap_where_a_whole_day_was_skipped() -> None:
    # Samoa went over the date line: there was no 30 December 2011.
    samoa = round_the_clock("Pacific/Apia", respond_within_min=TIMES, finish_within_min=120)
    start, end = utc("2011-12-28T00:00"), utc("2012-01-03T00:00")

    assert opening_time(samoa, start, end) == end - start


def test_a_time_without_a_zone_or_from_another_age_is_refused() -> None:
    with pytest.raises(ValueError, match="2026-11-26T10:00:00 has no time zone"):
        is_open(CLINIC, datetime(2026, 11, 26, 10))  # noqa: DTZ001 - the error under test
    with pytest.raises(ValueError, match="year 9999 lies outside 1900 to 2199"):
        deadline(CLINIC, datetime.max.replace(tzinfo=UTC), 1)


DOCUMENT: dict[str, Any] = {
    "zone": "Europe/Stockholm",
    "weekly": {"1": [{"start": "08:00", "end": "12:00"}, {"start": "13:00", "end": "16:30"}]},
    "respond_within_min": {"red": 30, "yellow": 240, "blue": 2400},
    "finish_within_min": 120,
    "holiday_country": "SE",
}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"zone": "Europe/Stokholm"}, "zone: 'Europe/Stokholm' is not a known time zone"),
        ({"zone": "Europe"}, "zone: 'Europe' is not a known time zone"),
        ({"zone": "../../etc/passwd"}, "zone: '../../etc/passwd' is not a known time zone"),
        ({"zone": "localtime"}, "zone: 'localtime' is not a known time zone"),
        ({"zone": 7}, "Expected `str`, got `int` - at `$.zone`"),
        ({"weekly": {"8": []}}, "unknown field `8` - at `$.weekly`"),
        ({"weekly": {"monday": []}}, "unknown field `monday` - at `$.weekly`"),
        ({"weekly": {}}, "weekly: the unit is never open"),
        (
            {"weekly": {"5": [{"start": "12:00", "end": "08:00"}]}},
            "the opening 12:00-08:00 does not end after it starts - at `$.weekly.5[0]`",
        ),
        (
            {"weekly": {"5": [{"start": "08:00", "end": "08:00"}]}},
            "the opening 08:00-08:00 does not end after it starts",
        ),
        (
            {"weekly": {"5": [{"start": "8:00", "end": "12:00"}]}},
            "'8:00' is no time of day: HH:MM, 00:00 to 24:00 - at `$.weekly.5[0]`",
        ),
        (
            {"weekly": {"5": [{"start": "08:00", "end": "24:01"}]}},
            "'24:01' is no time of day",
        ),
        (
            {
                "weekly": {
                    "5": [{"start": "11:00", "end": "13:00"}, {"start": "08:00", "end": "12:00"}]
                }
            },
            "Friday (5): the openings 08:00-12:00 and 11:00-13:00 overlap - at `$.weekly`",
        ),
        ({"weekly": {"5": [{"start": "08:00"}]}}, "missing required field `end`"),
        ({"finish_within_min": 0}, "Expected `int` >= 1 - at `$.finish_within_min`"),
        ({"respond_within_min": {"red": 30}}, "missing required field `yellow`"),
        ({"holiday_country": "XX"}, "holiday_country: 'XX' is none that is known"),
        ({"holiday_country": "SWE"}, "holiday_country: 'SWE' is none that is known"),
        ({"holiday_subdivision": "AB"}, "holiday_subdivision: 'AB' is no part of SE: none"),
        (
            {"holiday_country": "GB", "holiday_subdivision": "XX"},
            "holiday_subdivision: 'XX' is no part of GB: ENG, NIR, SCT, WLS",
        ),
        (
            {"holiday_country": None, "holiday_subdivision": "AB"},
            "holiday_subdivision: needs a holiday_country",
        ),
        (
            {"also_closed": ["2026-12-24", "Midsommaraftn"]},
            "no day that the calendar of SE names; the nearest is 'Midsommarafton'",
        ),
        (
            {"also_closed": ["Julafton"], "holiday_country": None},
            "also_closed[0]: 'Julafton' is no date",
        ),
        ({"also_closed": ["2026-02-29"]}, "also_closed[0]: '2026-02-29' is no day of the calend"),
        ({"also_closed": ["02-30"]}, "also_closed[0]: '02-30' is no day of the calendar"),
        (
            {"also_closed": ["12-24"], "open_days": ["12-24"]},
            "open_days[0]: '12-24' is in also_closed[0] already",
        ),
        (
            {"open_days": ["2026-12-26"]},
            "open_days: 2026-12-26 is a Saturday, which has no hours in weekly; give it own_hours",
        ),
        (
            {"own_hours": [{"day": "12-23", "open": [{"start": "09:00", "end": "08:00"}]}]},
            "the opening 09:00-08:00 does not end after it starts - at `$.own_hours[0].open[0]`",
        ),
        ({"closed": []}, "unknown field `closed`"),
        ({"also_closed": ["12-24"] * 401}, "Expected `array` of length <= 400"),
    ],
)
def test_what_cannot_be_used_is_refused_with_what_and_where(
    changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(HoursError, match=re.escape(said)):
        decode(json.dumps(DOCUMENT | changes).encode())


@pytest.mark.parametrize(
    "document",
    [b"", b"\xff\xfe", b'{"zone":"\xff"}', b"[" * 60_000, b'{"weekly":' * 6_000, b"null"],
    ids=["empty", "no JSON", "no text", "nested arrays", "nested objects", "null"],
)
def test_what_is_no_document_is_refused(document: bytes) -> None:
    with pytest.raises(HoursError, match=r"^Opening hours cannot be used: "):
        decode(document)


def test_what_is_too_long_is_refused_unread() -> None:
    with pytest.raises(HoursError, match="more than 65536 bytes"):
        decode(json.dumps(DOCUMENT).encode() + b" " * 70_000)


def test_the_examples_of_the_reference_can_be_used() -> None:
    examples = re.findall(r"```json\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)

    decoded = [decode(example.encode()) for example in examples]

    # As the page says of the example: 24 December 2026 is closed and the 23rd ends at noon.
    assert opens_next(decoded[0], utc("2026-12-23T11:00")) == utc("2026-12-28T07:00")
