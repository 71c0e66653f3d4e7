"""Which channels a message goes to."""

from __future__ import annotations

from dataclasses import dataclass, replace
from uuid import UUID, uuid4

import pytest

from ingest_service.notifying.routing import next_channels
from ingest_service.store.channels import Channel

UNIT, OTHER = uuid4(), uuid4()


@dataclass(frozen=True, slots=True)
class Told:
    recipient: str = "nurse_on_duty"
    care_unit_id: UUID | None = UNIT
    priority: str | None = "red"
    is_open: bool | None = None


CHANNEL = Channel(
    id=1,
    care_unit_id=UNIT,
    recipient="nurse_on_duty",
    kind="sms",
    address="+46701740605",
    secret=None,
    language="sv",
    priorities=("red",),
    hours="always",
    rank=1,
    is_active=True,
)


@pytest.mark.parametrize(
    ("hours", "is_open", "is_told"),
    [
        ("always", True, True),
        ("always", False, True),
        ("always", None, True),
        ("open", True, True),
        ("open", False, False),
        ("closed", True, False),
        ("closed", False, True),
        # Not known: better once too often.
        ("open", None, True),
        ("closed", None, True),
    ],
)
def test_hours(hours: str, *, is_open: bool | None, is_told: bool) -> None:
    channel = replace(CHANNEL, hours=hours)

    assert bool(next_channels([channel], Told(is_open=is_open))) == is_told


@pytest.mark.parametrize(
    ("priority", "is_told"), [("red", True), ("yellow", False), ("blue", False), (None, True)]
)
def test_priorities(priority: str | None, *, is_told: bool) -> None:
    assert bool(next_channels([CHANNEL], Told(priority=priority))) == is_told


@pytest.mark.parametrize(
    "message",
    [Told(recipient="unit_lead"), Told(care_unit_id=OTHER), Told(recipient="operator")],
)
def test_another_role_or_unit_hears_nothing(message: Told) -> None:
    assert next_channels([CHANNEL], message) == []


def test_a_disabled_channel_hears_nothing() -> None:
    assert next_channels([replace(CHANNEL, is_active=False)], Told()) == []


def test_the_operator_is_the_same_for_every_unit() -> None:
    operator = replace(CHANNEL, recipient="operator", care_unit_id=None)

    for unit in (None, UNIT, OTHER):
        told = Told(recipient="operator", care_unit_id=unit, priority=None)
        assert next_channels([operator], told) == [operator]


def test_all_of_the_lowest_rank_at_once_and_then_the_next() -> None:
    one, two = replace(CHANNEL, id=1), replace(CHANNEL, id=2)
    five, nine = replace(CHANNEL, id=3, rank=5), replace(CHANNEL, id=4, rank=9)
    channels = [nine, two, five, one]

    ids = [
        [each.id for each in next_channels(channels, Told(), after_rank=rank)]
        for rank in (0, 1, 5, 9)
    ]

    assert [sorted(each) for each in ids] == [[1, 2], [3], [4], []]
