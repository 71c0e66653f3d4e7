"""The database is killed under the worker and comes back; it is put back from an older copy."""

from __future__ import annotations

import pytest

from tests.support.faults_home import Home
from tests.support.radio import wait_until

pytestmark = [pytest.mark.broker, pytest.mark.radio, pytest.mark.timescale]


def test_what_is_measured_while_the_database_is_away_is_stored_once_it_is_back(
    home: Home,
) -> None:
    cuff, oximeter = home.cuff(), home.oximeter()
    home.register()
    home.start()
    home.measure(cuff, 5)
    home.settle()

    home.site.kill_database()
    home.measure(cuff, 15)
    home.measure(oximeter, 2)
    wait_until(lambda: home.undelivered() >= 17, within_s=20, what="readings queued")
    home.site.start_database()
    found = home.settle()
    home.stop()

    home.count("database killed and back", found)
    assert found.is_sound
    assert found.stored == found.given == 22


def test_what_a_database_has_lost_that_was_put_back_from_a_copy_is_sent_again(home: Home) -> None:
    cuff, oximeter = home.cuff(), home.oximeter()
    home.register()
    home.start()
    home.measure(cuff, 5)
    home.settle()

    copy = home.site.copy_database()
    home.measure(cuff, 15)
    home.measure(oximeter, 2)
    home.settle()
    home.site.put_back(copy)
    assert home.compare().lost == 17
    home.measure(cuff)  # its receipt names another life of the database
    found = home.settle()
    home.stop()

    home.count("database put back from a copy that lacked 17 readings", found)
    assert found.is_sound
    assert found.stored == found.given == 23
