"""Which leg of the canary's way is deaf, and what the woken person reads."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from ingest_service.canary import legs
from ingest_service.canary.legs import Leg, Way, merged

NOW = datetime(2026, 11, 25, 3, 0, tzinfo=UTC)
FRESH, OLD = NOW - timedelta(seconds=70), NOW - timedelta(minutes=4)
LEGS = ("published", "stored", "looked_at", "judged", "page")


@pytest.mark.parametrize(
    ("fresh", "deaf"),
    [
        (5, None),
        (4, Leg.PAGE),
        (3, Leg.JUDGED),
        (2, Leg.JOB),
        (1, Leg.STORED),
        (0, Leg.PUBLISHED),
    ],
)
def test_the_first_leg_that_is_late_is_the_deaf_one(fresh: int, deaf: Leg | None) -> None:
    times = {leg: FRESH if place < fresh else OLD for place, leg in enumerate(LEGS)}

    assert legs.deaf(merged(Way(), **times), began_at=OLD, now=NOW) is deaf


def test_the_age_is_of_the_newest_reading_that_passed_every_part() -> None:
    way = Way(published=NOW, stored=NOW, judged=FRESH, looked_at=NOW, page=OLD)

    assert legs.age(way, NOW) == timedelta(minutes=4)
    assert legs.age(Way(published=NOW, stored=NOW, judged=NOW), NOW) is None
    assert legs.age(Way(stored=NOW, judged=FRESH, has_page=False), NOW) == NOW - FRESH
    # A clock that runs ahead of ours makes nothing younger than new.
    ahead = Way(stored=NOW, judged=NOW + timedelta(hours=1), has_page=False)
    assert legs.age(ahead, NOW - timedelta(hours=1)) == timedelta()


def test_a_leg_that_never_worked_is_late_three_minutes_after_the_beginning() -> None:
    began_at = NOW - timedelta(minutes=3)

    assert legs.deaf(Way(), began_at=began_at, now=NOW) is None
    assert legs.deaf(Way(), began_at=began_at, now=NOW + timedelta(seconds=1)) is Leg.PUBLISHED


def test_what_an_earlier_canary_left_is_not_late_at_once() -> None:
    yesterday = NOW - timedelta(days=1)
    left = Way(published=NOW, stored=NOW, judged=yesterday, looked_at=yesterday, has_page=False)

    assert legs.deaf(left, began_at=FRESH, now=NOW) is None
    assert legs.deaf(left, began_at=OLD, now=NOW) is Leg.JOB


def test_what_was_known_never_goes_back() -> None:
    way = merged(Way(stored=FRESH), stored=OLD, judged=OLD)

    assert (way.stored, way.judged) == (FRESH, OLD)


def test_the_sentence_says_since_when_and_where_to_look() -> None:
    way = Way(published=NOW, stored=OLD, why="no ingest worker is subscribed")

    said = legs.sentence(way, Leg.STORED, NOW)

    assert said == (
        "canary: nothing passes the leg 'stored' since 2026-11-25 02:56:00 UTC, 4 min ago"
        " (no ingest worker is subscribed): look at the ingest workers (/readyz), the broker at"
        " the services' door (8884), the database, and the quarantine"
    )
