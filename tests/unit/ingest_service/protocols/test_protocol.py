"""A region's own protocol: what it may say, and what it hears when something is wrong."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

import pytest

from ingest_service.protocols.library import shipped, with_own
from ingest_service.protocols.protocol import ProtocolError, SittingValue, parse

SHIPPED = json.loads(
    (files("ingest_service.protocols") / "shipped" / "esh-2021.json").read_text(encoding="utf-8")
)
MORNING = {"name": "morning", "begins": "06:00", "ends": "10:00"}
EVENING = {"name": "evening", "begins": "18:00", "ends": "22:00"}


def document(changes: Mapping[str, Any]) -> bytes:
    return json.dumps(SHIPPED | changes).encode()


def test_what_is_shipped_is_what_the_sources_say() -> None:
    # readings a sitting, days, first days out, first readings out, what stands for a sitting,
    # least readings; the sources stand in the files and in docs/reference/protocols.md
    every, lowest = SittingValue.EVERY_READING, SittingValue.LOWEST

    assert {
        name: (
            one.readings_per_sitting,
            one.days,
            one.first_days_out,
            one.first_readings_out,
            one.sitting_value,
            one.minimum_readings,
            one.minimum_days,
        )
        for (name, _), one in shipped().items()
    } == {
        "esh-2021": (2, 7, 1, 0, every, 10, None),
        "nice-ng136": (2, 7, 1, 0, every, 12, 4),
        "chep-2017": (2, 7, 1, 0, every, 24, 7),
        "jch-2018": (2, 7, 1, 0, every, 12, 4),
        "huvudsta": (3, 7, 1, 0, every, 12, 3),
        "onsta-gryta": (2, 5, 0, 0, lowest, 10, 5),
        "jabfm": (3, 5, 2, 1, every, 12, 5),
    }


def test_every_shipped_protocol_says_how_far_its_source_was_checked() -> None:
    assert all(
        one.source and one.source_note and one.source_status in {"read", "secondary"}
        for one in shipped().values()
    )
    assert {one.readings_when_irregular for one in shipped().values()} == {3}  # BIHS 2019


def test_a_region_brings_its_own_beside_those_shipped() -> None:
    own = document({"id": "region-x", "version": 3, "sittings": [MORNING, EVENING]})

    found = with_own([("x.json", own)])

    assert found["region-x", 3].sittings[0].begins == "06:00"
    assert set(shipped()) < set(found)


def test_a_version_that_is_there_is_not_replaced() -> None:
    with pytest.raises(ProtocolError, match=r"esh-2021: version 1 is there already"):
        with_own([("mine.json", document({"days": 5}))])


@pytest.mark.parametrize(
    ("changes", "field", "what"),
    [
        ({"days": 0}, "days", ">= 1"),
        ({"days": "seven"}, "days", "`int`"),
        ({"first_days_out": 7}, "first_days_out", "leaves no day"),
        ({"first_readings_out": 2}, "first_readings_out", "leaves no reading"),
        ({"readings_when_irregular": 1}, "readings_when_irregular", "fewer than"),
        ({"sitting_value": "median"}, "sitting_value", "median"),
        ({"sitting_gap_s": 60, "rest_between_s": 60}, "sitting_gap_s", "rest_between_s"),
        ({"minimum_readings": 25}, "minimum_readings", "24"),
        ({"minimum_days": 8}, "minimum_days", "more than days"),
        ({"sittings": []}, "sittings", "length"),
        ({"sittings": [MORNING, MORNING | {"begins": "09:00"}]}, "sittings", "same name"),
        ({"sittings": [MORNING, EVENING | {"begins": "09:00"}]}, "sittings", "overlap"),
        ({"sittings": [EVENING, MORNING | {"ends": "19:00"}]}, "sittings", "overlap"),
        ({"sittings": [MORNING | {"begins": "24:00"}]}, "sittings[0].begins", "regex"),
        ({"sittings": [MORNING | {"until": "10:00"}]}, "sittings[0]", "until"),
        ({"id": "Region X"}, "id", "regex"),
        ({"minimum_reading": 10}, "esh", "minimum_reading"),
        ({"exclude_irregular": True}, "esh", "exclude_irregular"),
    ],
)
def test_what_is_wrong_is_told_with_document_and_field(
    changes: dict[str, Any], field: str, what: str
) -> None:
    with pytest.raises(ProtocolError) as refused:
        parse(document(changes), name="esh.json")

    text = str(refused.value)
    assert text.startswith("esh.json: ")
    assert field in text
    assert what in text


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b" " * 70_000])
def test_what_is_no_document_is_refused_by_name(content: bytes) -> None:
    with pytest.raises(ProtocolError, match=r"^mine\.json: "):
        parse(content, name="mine.json")


def test_a_member_that_is_left_out_is_named() -> None:
    without = {name: value for name, value in SHIPPED.items() if name != "minimum_readings"}

    with pytest.raises(ProtocolError, match="minimum_readings"):
        parse(json.dumps(without).encode(), name="mine.json")
