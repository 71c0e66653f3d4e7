"""docs/ui-details.md tells of each detail what shows it, and the tests that it names are alive."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.unit.repository.test_hazards import TEST, living

DETAILS = Path("docs/ui-details.md")
ROW = re.compile(r"^\| (?P<id>N?\d+) \|(?P<what>.*)\|(?P<shown>.*)\|$")
PICTURE = re.compile(r"picture ([\w-]+\.png)")


def rows() -> list[tuple[str, str]]:
    lines = DETAILS.read_text(encoding="utf-8").splitlines()
    return [(found["id"], found["shown"].strip()) for line in lines if (found := ROW.match(line))]


def test_every_detail_and_correction_stands_once() -> None:
    ids = [name for name, _ in rows()]

    assert ids == [*map(str, range(1, 61)), *(f"N{number}" for number in range(1, 15))]


@pytest.mark.parametrize(("name", "shown"), rows(), ids=[name for name, _ in rows()])
def test_what_shows_a_detail_is_there(name: str, shown: str) -> None:
    assert shown, name
    for path, test in TEST.findall(shown):
        assert test in living(path), f"{name}: {path} has no living test {test}"
    for picture in PICTURE.findall(shown):
        assert (Path("docs/images") / picture).exists(), f"{name}: no picture {picture}"
