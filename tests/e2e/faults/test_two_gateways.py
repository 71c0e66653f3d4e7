"""Two gateways hear one device: nothing is doubled; what has no clock is there twice, marked."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from tests.support.faults_home import Home
from tests.support.radio import RadioWorld, wait_until

pytestmark = [pytest.mark.broker, pytest.mark.radio, pytest.mark.timescale]

_OTHER_ADAPTER = "C0:00:00:00:00:02"
_FORTY_YEARS_S = 40 * 365 * 86_400
_DOUBLES = "device_record WHERE device_id = %s AND is_suspected_double"


@pytest.fixture(scope="module")
def elsewhere(world: RadioWorld) -> Mapping[str, str]:
    return world.start_second_bluez(_OTHER_ADAPTER)


def test_a_reading_that_both_gateways_fetched_is_stored_once(
    home: Home, elsewhere: Mapping[str, str]
) -> None:
    cuff, oximeter = home.cuff(), home.oximeter()
    home.register("-a", "-b")
    home.start("-a")
    home.start("-b", environment=elsewhere)
    for _ in range(3):
        home.measure(cuff, 8)
        home.measure(oximeter, 2)  # it gives what it keeps to whoever comes first, all of it again
        home.settle()
    # The second gateway alone, so that it certainly fetches what the first one has sent.
    home.kill("-a")
    home.measure(oximeter)
    found = home.settle()
    home.stop("-b")

    home.count("two gateways, a cuff and an oximeter", found)
    assert found.is_sound
    assert found.stored == found.given
    assert home.journalled_by("-a") & home.journalled_by("-b")


def test_a_reading_without_a_clock_of_its_own_is_there_for_each_gateway_and_marked(
    home: Home, elsewhere: Mapping[str, str]
) -> None:
    # Its clock shows a year before such devices were sold: its time tells nothing apart.
    oximeter = home.oximeter("--skew-s", f"-{_FORTY_YEARS_S}")
    home.register("-a", "-b")
    home.start("-a")
    home.measure(oximeter)
    home.settle()
    home.kill("-a")
    home.start("-b", environment=elsewhere)
    home.measure(oximeter)  # and it gives the first one again
    wait_until(
        lambda: len(home.site.stored([oximeter.address])) >= 3 and not home.undelivered(),
        within_s=20,
        what="one reading of the first gateway, two of the second",
    )
    home.stop("-b")

    found = home.count("two gateways, an oximeter without a clock", home.compare())
    # By the time of reception, which is later each time: the mark says how far to believe it.
    assert (found.given, found.stored, found.doubled) == (2, 3, 1)
    assert home.site.count(_DOUBLES, oximeter.address) == 1
