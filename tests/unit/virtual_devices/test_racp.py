"""The control point's answers, against the fixtures of other projects."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from virtual_devices import racp

FIXTURES = Path(__file__).parents[2] / "vectors" / "record_access.json"
HEX = {each["id"]: each["hex"] for each in json.loads(FIXTURES.read_text(encoding="utf-8"))}


@pytest.mark.parametrize("request_hex", ["0101", "0401", "0300"])
def test_what_can_be_served_is_not_refused(request_hex: str) -> None:
    assert racp.refusal(bytes.fromhex(request_hex)) is None


@pytest.mark.parametrize(
    ("request_hex", "answer"),
    [
        ("0100", HEX["nordic-2a52-06000103"]),  # report nothing: invalid operator
        ("01010101", HEX["nordic-2a52-06000105"]),  # all records, and yet an operand
        ("0105", "06000104"),  # the first record only: operator not supported
        ("0107", HEX["nordic-2a52-06000103"]),  # no such operator
        ("0201", "06000202"),  # delete: op code not supported
        ("0301", "06000303"),  # abort takes no operator
        ("", "06000002"),
    ],
)
def test_what_cannot_be_served_is_refused_with_its_reason(request_hex: str, answer: str) -> None:
    refusal = racp.refusal(bytes.fromhex(request_hex))

    assert refusal is not None
    assert refusal.hex() == answer


def test_the_number_of_records_has_sixteen_bits() -> None:
    assert racp.count_response(258).hex() == HEX["nordic-2a52-05000201"]


def test_a_report_without_records_is_answered() -> None:
    answer = racp.response(racp.OpCode.REPORT, racp.Outcome.NO_RECORDS)

    assert answer.hex() == HEX["nordic-2a52-06000106"]
