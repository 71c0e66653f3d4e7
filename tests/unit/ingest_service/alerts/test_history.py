"""A patient's history in the order of measuring, however it is filled."""

from __future__ import annotations

from datetime import timedelta

from ingest_service.alerts.history import History
from ingest_service.plans.limits import Family
from tests.support.cases import NOW, saturation


def test_many_at_once_stand_in_order_and_what_is_known_stays() -> None:
    first, second, third = (
        saturation(value, NOW + timedelta(minutes=minute))
        for value, minute in (("94", 0), ("93", 1), ("92", 2))
    )
    history = History()
    history.add(second)

    history.extend([third, second, first])

    assert history.readings[Family.SPO2] == [first, second, third]
    assert history.remove([second.observation_id]) == [second]
    assert history.readings[Family.SPO2] == [first, third]
