"""Two persons share a cuff: each reading is in the record of the one whose slot it names."""

from __future__ import annotations

import pytest

from tests.support import faults
from tests.support.faults_home import Home

pytestmark = [pytest.mark.broker, pytest.mark.radio, pytest.mark.timescale]


def test_each_user_slot_of_a_cuff_is_another_patients(home: Home) -> None:
    seed = faults.seed()
    chance = faults.chance(seed)
    cuff = home.cuff(slots=(1, 2))
    home.register()

    for _ in range(4):
        for _ in range(5):
            home.measure(cuff, user=chance.choice((1, 2)))
        home.start()
        home.settle()
        home.stop()
    found = home.settle()

    about = f"two users on one cuff (seed {seed})"
    home.count(about, found)
    assert found.is_sound, about
    assert found.stored == found.given == 20
    assert len({each.patient_id for each in home.site.stored([cuff.address])}) == 2
