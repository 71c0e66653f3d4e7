"""When a device's battery is told to be low."""

from __future__ import annotations

from gateway.battery import Batteries
from gateway.store.database import Database
from gateway.store.devices import DeviceBook
from tests.unit.gateway.ble.windows import Reported
from tests.unit.gateway.fakes import FakeClock

CUFF = "F0:00:00:00:00:01"


def test_it_is_low_below_the_limit_and_well_again_five_above(
    database: Database, clock: FakeClock
) -> None:
    reports = Reported()
    batteries = Batteries(DeviceBook(database, clock.now), reports, lambda: 20)

    said: list[list[str]] = []
    for percent in (20, 19, 21, 24, 25, 100):
        reports.said.clear()
        batteries.seen(CUFF, percent)
        said.append([text for text, _ in reports.said])

    ended = ["ended battery_low"]
    assert said == [[], ["began battery_low: 19 %"], [], [], ended, ended]


def test_a_limit_near_the_top_can_still_be_reached(database: Database, clock: FakeClock) -> None:
    reports = Reported()
    batteries = Batteries(DeviceBook(database, clock.now), reports, lambda: 100)

    batteries.seen(CUFF, 100)

    assert reports.said == [("ended battery_low", CUFF)]
