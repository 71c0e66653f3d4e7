"""Medical device numbers against vectors and the definition."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_adapters.contract.readings import Special
from device_adapters.ieee11073 import float32, sfloat
from tests.unit.device_adapters.vectors import Vector, readable

DECODERS = {"sfloat": sfloat, "float32": float32}


@readable("ieee11073.json")
def test_decodes_what_the_source_says(vector: Vector) -> None:
    assert vector.type is not None
    raw = int.from_bytes(vector.value, "big" if vector.byte_order == "big" else "little")

    number = DECODERS[vector.type](raw)

    expected = vector.expected["value"]
    if isinstance(number, Special):
        assert str(number) == expected
    else:
        assert number == Decimal(expected)


@pytest.mark.parametrize(
    ("raw", "text"), [(0xFE88, "-37.6"), (0xF3E8, "100.0"), (0x0064, "100"), (0xE3E8, "10.00")]
)
def test_keeps_the_precision_that_was_sent(raw: int, text: str) -> None:
    assert str(sfloat(raw)) == text


@given(st.integers(0, 0xFFFF))
def test_every_word_is_a_finite_number_or_a_special_value(raw: int) -> None:
    number = sfloat(raw)

    if isinstance(number, Special):
        assert 0x07FE <= raw <= 0x0802
    else:
        assert number.is_finite()


@given(st.integers(0, 0xFFFFFFFF))
def test_every_double_word_is_a_finite_number_or_a_special_value(raw: int) -> None:
    number = float32(raw)

    if isinstance(number, Special):
        assert 0x007FFFFE <= raw <= 0x00800002
    else:
        assert number.is_finite()
