"""Days that are not like their weekday: public holidays and what a unit decides itself.

A day is written as a date (``2026-12-28``), as a day of every year (``12-24``) or by the name that
the country's calendar gives it (``Midsommarafton``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from difflib import get_close_matches
from functools import cache, lru_cache
from typing import Final

import holidays

_COUNTRY: Final = re.compile("[A-Z]{2}")
_DATE: Final = re.compile("[0-9]{4}-[0-9]{2}-[0-9]{2}")
_YEARLY: Final = re.compile("[0-9]{2}-[0-9]{2}")
# A leap year: 02-29 is a day.
_ANY_YEAR: Final = "2024-"
# Names that a calendar gives in these years are known: some days move or come and go.
_NAMED_IN: Final = range(2020, 2040)

Names = Mapping[date, frozenset[str]]


@cache
def check_country(country: str, subdivision: str | None) -> None:
    """Refuse a country, or a part of one, whose public holidays are not known.

    Raises:
        ValueError: With what is known instead.
    """
    known = holidays.list_supported_countries()
    if not _COUNTRY.fullmatch(country) or country not in known:
        raise ValueError(f"holiday_country: {country[:16]!r} is none that is known, such as 'SE'")
    if subdivision is not None and subdivision not in known[country]:
        parts = ", ".join(known[country]) or "none"
        raise ValueError(
            f"holiday_subdivision: {subdivision[:16]!r} is no part of {country}: {parts}"
        )


def check_day(text: str, country: str | None, subdivision: str | None) -> None:
    """Refuse what is neither a date, a day of every year nor a day that the calendar names.

    Raises:
        ValueError: With the nearest name, where there is one.
    """
    if _DATE.fullmatch(text) or _YEARLY.fullmatch(text):
        try:
            date.fromisoformat(text if _DATE.fullmatch(text) else _ANY_YEAR + text)
        except ValueError:
            raise ValueError(f"{text!r} is no day of the calendar") from None
        return
    names = _all_names(country, subdivision) if country else frozenset[str]()
    if text not in names:
        near = get_close_matches(text, names, n=1)
        hint = f"; the nearest is {near[0]!r}" if near else ""
        raise ValueError(
            f"{text[:64]!r} is no date (2026-12-28, or 12-24 for every year) and no day that "
            f"the calendar of {country or 'no holiday_country'} names{hint}"
        )


def weekday_of(text: str) -> int | None:
    """Return the weekday of a day that is written as a date, Monday as 0; else ``None``."""
    return date.fromisoformat(text).weekday() if _DATE.fullmatch(text) else None


def notations(day: date) -> tuple[str, str]:
    """Return how a day is written as a date and as a day of every year, the narrower first."""
    whole = day.isoformat()
    return whole, whole[5:]


def public_names(country: str, subdivision: str | None, day: date) -> frozenset[str]:
    """Return the names of the public holidays on a day; without any it is none."""
    return _calendar(country, subdivision, day.year, is_public=True).get(day, frozenset())


def names(country: str, subdivision: str | None, day: date) -> frozenset[str]:
    """Return every name that the calendar knows for a day, public holiday or not."""
    return _calendar(country, subdivision, day.year, is_public=False).get(day, frozenset())


@cache
def _all_names(country: str, subdivision: str | None) -> frozenset[str]:
    years = (_calendar(country, subdivision, year, is_public=False) for year in _NAMED_IN)
    return frozenset(name for year in years for found in year.values() for name in found)


@lru_cache(maxsize=1024)
def _calendar(country: str, subdivision: str | None, year: int, *, is_public: bool) -> Names:
    any_language = holidays.country_holidays(country, subdiv=subdivision)
    found = holidays.country_holidays(
        country,
        subdiv=subdivision,
        years=year,
        expand=False,
        # Without one the library takes the process's: names would depend on LANG.
        language=any_language.default_language,
        categories=None if is_public else any_language.supported_categories,
    )
    # What stands in brackets ("observed", "från kl. 14.00") is the library's remark.
    return {
        day: frozenset(name.partition(" (")[0] for name in found.get_list(day))
        for day in found
        if day.year == year
    }
