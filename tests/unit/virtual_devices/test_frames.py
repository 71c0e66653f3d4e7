"""Encoders against bytes from outside: fixtures and captures of other projects, or by hand."""

from __future__ import annotations

import json
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from virtual_devices import frames
from virtual_devices.frames import OximeterStatus, Pressures

VECTORS = Path(__file__).parents[2] / "vectors"


def vectors(name: str) -> dict[str, dict[str, Any]]:
    text = (VECTORS / f"{name}.json").read_text(encoding="utf-8")
    return {each["id"]: each for each in json.loads(text)}


SFLOATS = [
    each
    for each in vectors("ieee11073").values()
    if each.get("type") == "sfloat"
    and each["verdict"] == "agree"
    and each["byte_order"] == "little"
    and not each["expected"]["value"].endswith("INFINITY")
]


@pytest.mark.parametrize("vector", SFLOATS, ids=lambda vector: str(vector["id"]))
def test_sfloat_gives_the_bytes_that_others_decode(vector: dict[str, Any]) -> None:
    value = vector["expected"]["value"]

    encoded = frames.sfloat(None if value == "NaN" else Decimal(value))

    assert encoded.hex() == vector["hex"]


@pytest.mark.parametrize("value", ["2046", "-2046", "204.7", "1E+8", "Infinity"])
def test_sfloat_refuses_what_would_read_as_something_else(value: str) -> None:
    with pytest.raises(ValueError, match="SFLOAT"):
        frames.sfloat(Decimal(value))


@pytest.mark.parametrize(
    ("vector_id", "pressures"),
    [
        (
            "nordic-2a35-full",
            Pressures(
                systolic=Decimal(138),
                diastolic=Decimal(88),
                mean=Decimal(120),
                at=(0, 4, 17, 20, 41, 59),
                pulse=Decimal(60),
                user=1,
                status=39,
            ),
        ),
        (
            # The fixture writes 11.0 with exponent 0.
            "nordic-2a35-kpa-pulse-status",
            Pressures(
                systolic=Decimal("18.9"),
                diastolic=Decimal(11),
                mean=Decimal("15.9"),
                is_kpa=True,
                pulse=Decimal(60),
                status=18,
            ),
        ),
        (
            "real-error-cuff",
            Pressures(
                systolic=None,
                diastolic=None,
                mean=None,
                at=(2024, 6, 23, 14, 47, 59),
                pulse=None,
                status=0,
            ),
        ),
        (
            "derdilla-2a35-ok",
            Pressures(
                systolic=Decimal(124),
                diastolic=Decimal(86),
                mean=Decimal(97),
                at=(2024, 6, 15, 17, 17, 27),
                pulse=Decimal(51),
                status=0,
            ),
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_blood_pressure_gives_the_frame_of_its_source(
    vector_id: str, pressures: Pressures
) -> None:
    encoded = frames.blood_pressure(pressures)

    assert encoded.hex() == vectors("blood_pressure_measurement")[vector_id]["hex"]


def test_cuff_pressure_leaves_the_other_two_pressures_unsaid() -> None:
    encoded = frames.cuff_pressure(Decimal(154))

    assert encoded.hex() == vectors("intermediate_cuff_pressure")["syn-2a36-spec"]["hex"]


def test_a_stored_spot_check_says_so() -> None:
    status = OximeterStatus.FROM_STORAGE | OximeterStatus.FULLY_QUALIFIED

    encoded = frames.spot_check(Decimal(91), Decimal(88), (2025, 3, 1, 2, 3, 4), status)

    assert encoded.hex() == vectors("plx_spot_check")["syn-2a5e-storage"]["hex"]


def test_continuous_carries_the_status_ongoing() -> None:
    # By hand: flags bit 2, 95 = 0x005F, 90 = 0x005A, status bit 5.
    assert frames.continuous(Decimal(95), Decimal(90)).hex() == "045f005a002000"


def test_date_time_is_read_as_it_is_written() -> None:
    value = bytes.fromhex(vectors("date_time")["and-2a08"]["hex"])

    read = frames.read_date_time(value)

    assert read == datetime(2013, 8, 26, 9, 10, 20)  # noqa: DTZ001 - a device's wall clock
    assert frames.date_time(frames.parts(read)) == value


@pytest.mark.parametrize("vector_id", ["nordic-2a08-short", "nordic-2a08-unknown-date"])
def test_no_clock_is_set_to_a_date_that_is_none(vector_id: str) -> None:
    with pytest.raises(ValueError, match=r"bytes|year|month"):
        frames.read_date_time(bytes.fromhex(vectors("date_time")[vector_id]["hex"]))
