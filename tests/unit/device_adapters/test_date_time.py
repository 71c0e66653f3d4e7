"""The device's clock as it was read."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from device_adapters.gatt.date_time import decode_date_time
from tests.unit.device_adapters.vectors import Vector, differences, readable, refused


@readable("date_time.json")
def test_decodes_what_the_source_says(vector: Vector) -> None:
    found = SimpleNamespace(
        **{name: decode_date_time(vector.value) for name in ("device_time", "timestamp")}
    )

    assert differences(found, vector.expected) == {}


@refused("date_time.json")
def test_refuses_another_length(vector: Vector) -> None:
    assert vector.error is not None
    with pytest.raises(vector.error):
        decode_date_time(vector.value)
