"""Many gateways away at once are one incident (rule A20); single ones are none."""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid5

import pytest

from ingest_service.outage import gateways
from ingest_service.outage.cover import covers, overlaps
from ingest_service.outage.gateways import GatewayState
from ingest_service.outage.incident import Event, Incident
from ingest_service.outage.rules import DEFAULT

MINUTE = timedelta(minutes=1)
EIGHT = datetime(2026, 11, 25, 8, tzinfo=UTC)
LONG_AGO = EIGHT - timedelta(days=30)


def unit(name: str) -> UUID:
    return uuid5(UUID(int=0), name)


@dataclass(slots=True)
class Fleet:
    """Gateways by id, and the incidents that a minute's look at them makes."""

    units: Mapping[str, str]
    away: dict[str, datetime] = field(default_factory=dict[str, datetime])
    back: dict[str, datetime] = field(default_factory=dict[str, datetime])
    incidents: dict[UUID, Incident] = field(default_factory=dict[UUID, Incident])
    events: list[tuple[datetime, Event, UUID]] = field(
        default_factory=list[tuple[datetime, Event, UUID]]
    )

    def go(self, ids: Collection[str], at: datetime) -> None:
        self.away |= dict.fromkeys(ids, at)

    def come(self, ids: Collection[str], at: datetime) -> None:
        for each in ids:
            self.away.pop(each, None)
            self.back[each] = at

    def look(self, now: datetime) -> None:
        states = [
            GatewayState(
                id=each,
                unit_id=unit(of),
                is_away=each in self.away,
                since=self.away.get(each, self.back.get(each, LONG_AGO)),
            )
            for each, of in self.units.items()
        ]
        for change in gateways.judge(states, self.open, now=now, rules=DEFAULT):
            self.incidents[change.after.id] = change.after
            if change.event:
                self.events.append((now, change.event, change.after.id))

    @property
    def open(self) -> Sequence[Incident]:
        return [each for each in self.incidents.values() if each.ended_at is None]

    @property
    def unmerged(self) -> Sequence[Incident]:
        return [each for each in self.incidents.values() if each.merged_into is None]


def fleet(**sizes: int) -> Fleet:
    return Fleet({f"{name}-{n}": name for name, size in sizes.items() for n in range(size)})


def of(fleet: Fleet, name: str, count: int | None = None) -> list[str]:
    return [each for each, its in fleet.units.items() if its == name][:count]


def minutes(fleet: Fleet, start: datetime, count: int) -> datetime:
    for minute in range(count):
        fleet.look(start + minute * MINUTE)
    return start + count * MINUTE


def test_412_gateways_and_400_windows_at_eight_are_one_incident_and_nothing_else() -> None:
    """The clinic's morning: every window of 08:00 ends while nothing can come."""
    all_of_them = fleet(jokkmokk=60, lulea=200, kiruna=100, pitea=52)
    seconds = random.Random(20)  # noqa: S311 a seed makes it the same each time
    for each in all_of_them.units:
        all_of_them.go([each], EIGHT - 40 * MINUTE + timedelta(seconds=seconds.randrange(240)))

    minutes(all_of_them, EIGHT - 40 * MINUTE, 45)

    assert len(all_of_them.units) == 412
    assert len(all_of_them.open) == 1
    assert len(all_of_them.unmerged) == 1
    assert all_of_them.open[0].unit_id is None
    assert all_of_them.open[0].most == 412
    patients = [*all_of_them.units][:400]
    missed = [
        gateway_id
        for gateway_id in patients
        if not overlaps(
            all_of_them.open,
            gateway_id=gateway_id,
            since=EIGHT - timedelta(hours=2),
            until=EIGHT,
        )
    ]
    reminded = [g for g in patients if not covers(all_of_them.open, gateway_id=g, at=EIGHT)]
    assert (missed, reminded) == ([], [])


def test_60_of_412_in_one_place_are_one_incident_of_that_place() -> None:
    """A network dies in Jokkmokk at ten; the other 352 are watched as ever."""
    all_of_them = fleet(jokkmokk=60, lulea=200, kiruna=100, pitea=52)
    ten = EIGHT + timedelta(hours=2)
    all_of_them.go(of(all_of_them, "jokkmokk"), ten)

    minutes(all_of_them, ten, 120)

    (incident,) = all_of_them.incidents.values()
    assert incident.unit_id == unit("jokkmokk")
    assert (incident.began_at, incident.opened_at, incident.most) == (ten, ten, 60)
    assert [event for _, event, _ in all_of_them.events] == [Event.OPENED]
    noon = ten + timedelta(hours=2)
    assert covers(all_of_them.open, gateway_id="jokkmokk-59", at=noon)
    assert not covers(all_of_them.open, gateway_id="lulea-0", at=noon)
    assert not covers(all_of_them.open, gateway_id=None, at=noon)


def test_60_of_412_of_one_unit_are_one_incident_though_they_are_a_seventh() -> None:
    all_of_them = fleet(norrbotten=412)
    all_of_them.go(of(all_of_them, "norrbotten", 60), EIGHT)

    minutes(all_of_them, EIGHT, 30)

    assert [each.most for each in all_of_them.incidents.values()] == [60]
    assert not covers(all_of_them.open, gateway_id="norrbotten-60", at=EIGHT)


@pytest.mark.parametrize("seed", range(3))
def test_single_gateways_that_fail_by_themselves_over_a_day_are_none(seed: int) -> None:
    """412 gateways, each failing once a week for some hours: sixty a day, at any time."""
    chance = random.Random(seed)  # noqa: S311 a seed makes it the same each time
    all_of_them = fleet(jokkmokk=60, lulea=200, kiruna=100, pitea=52)
    goes, comes = dict[str, int](), dict[str, int]()
    for each in all_of_them.units:
        if chance.random() < 1 / 7:
            goes[each] = chance.randrange(24 * 60)
            comes[each] = goes[each] + 1 + int(chance.expovariate(1 / 180))
    for minute in range(0, 24 * 60, 3):
        now = EIGHT + minute * MINUTE
        all_of_them.go([e for e, at in goes.items() if minute - 3 < at <= minute], now)
        all_of_them.come([e for e, at in comes.items() if minute - 3 < at <= minute], now)
        all_of_them.look(now)

    assert len(all_of_them.back) > 30
    assert all_of_them.incidents == {}


@pytest.mark.parametrize(
    ("gone", "size", "is_incident"),
    [
        (4, 4, False),  # all of a small unit, and too few to tell
        (5, 5, True),
        (5, 25, True),  # a fifth
        (5, 26, False),
        (19, 200, False),  # less than a fifth, less than twenty
        (20, 200, True),  # a tenth of all, and many
        (20, 201, False),
    ],
)
def test_counts_and_shares_are_both_needed(gone: int, size: int, is_incident: bool) -> None:
    one = fleet(unit=size)
    one.go(of(one, "unit", gone), EIGHT)

    one.look(EIGHT + MINUTE)

    assert bool(one.open) is is_incident


def test_those_that_went_too_far_apart_are_none() -> None:
    one = fleet(unit=10)
    now = EIGHT
    for each in of(one, "unit", 8):
        one.go([each], now)
        now = minutes(one, now, 4)  # four within a quarter of an hour

    assert one.incidents == {}


def test_one_of_a_unit_becomes_one_of_all_when_others_follow() -> None:
    all_of_them = fleet(a=30, b=30, c=300)
    all_of_them.go(of(all_of_them, "a"), EIGHT)
    now = minutes(all_of_them, EIGHT, 3)
    first = all_of_them.open[0]
    all_of_them.go(of(all_of_them, "b"), now)

    minutes(all_of_them, now, 3)

    (whole,) = all_of_them.open
    assert whole.unit_id is None
    assert (whole.began_at, len(whole.gateways)) == (EIGHT, 60)
    assert all_of_them.incidents[first.id].merged_into == whole.id
    assert [event for _, event, _ in all_of_them.events] == [
        Event.OPENED,
        Event.OPENED,
        Event.MERGED,
    ]
    # One that goes later joins what stands, however small its unit's part.
    all_of_them.go(["c-7"], now + 20 * MINUTE)
    all_of_them.look(now + 20 * MINUTE)
    assert all_of_them.open[0].away == 61
    assert all_of_them.events[-1][1] is Event.GROWN


def test_it_ends_when_few_are_left_for_a_while_and_covers_who_is_back_a_little_longer() -> None:
    one = fleet(unit=60)
    ids = of(one, "unit")
    one.go(ids, EIGHT)
    now = minutes(one, EIGHT, 60)
    one.come(ids[:40], now)
    now = minutes(one, now, 30)
    assert one.open  # twenty are still away: they would be twenty items
    back_at = now
    one.come(ids[40:57], now)

    now = minutes(one, now, 5)
    assert one.open  # it may come again
    minutes(one, now, 1)

    (incident,) = one.incidents.values()
    assert incident.ended_at == back_at + 5 * MINUTE
    assert one.events[-1][1] is Event.ENDED
    ended = [incident]
    assert covers(ended, gateway_id=ids[50], at=back_at + 15 * MINUTE)
    assert not covers(ended, gateway_id=ids[50], at=back_at + 16 * MINUTE)
    ended_at = back_at + 5 * MINUTE
    assert covers(ended, gateway_id=ids[59], at=ended_at + 15 * MINUTE)
    # Whoever stays away is a matter of its own from then on.
    assert not covers(ended, gateway_id=ids[59], at=ended_at + 16 * MINUTE)


def test_one_that_flaps_neither_ends_nor_opens_twice() -> None:
    one = fleet(unit=30)
    ids = of(one, "unit")
    one.go(ids, EIGHT)
    now = minutes(one, EIGHT, 3)
    for _ in range(6):
        one.come(ids, now)
        now = minutes(one, now, 4)
        one.go(ids, now)
        now = minutes(one, now, 4)

    assert len(one.incidents) == 1
    assert one.open[0].away == 30
    assert overlaps(one.open, gateway_id=ids[0], since=EIGHT, until=EIGHT)


def test_a_missed_look_changes_nothing_but_when_it_is_noticed() -> None:
    seen, unseen = fleet(unit=30), fleet(unit=30)
    for each in (seen, unseen):
        each.go(of(each, "unit"), EIGHT)
    minutes(seen, EIGHT, 11)
    unseen.look(EIGHT + 10 * MINUTE)

    assert [each.began_at for each in unseen.open] == [each.began_at for each in seen.open]
    assert [each.most for each in unseen.open] == [30]
