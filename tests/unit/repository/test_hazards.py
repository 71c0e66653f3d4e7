"""Every hazard has a control and a test that lives; docs/safety/hazards.md is the list."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

HAZARDS = Path("docs/safety/hazards.md")
ROW = re.compile(r"^\| (?P<id>[AHS]\d+[a-z]?) \|(?P<hazard>.*)\|(?P<control>.*)\|(?P<tests>.*)\|$")
TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
FROM_SCENARIOS = {f"A{number}" for number in range(1, 21)}


def rows() -> list[tuple[str, str, str, list[tuple[str, str]]]]:
    found: list[tuple[str, str, str, list[tuple[str, str]]]] = []
    for line in HAZARDS.read_text(encoding="utf-8").splitlines():
        if match := ROW.match(line):
            tests = TEST.findall(match["tests"])
            found.append((match["id"], match["hazard"].strip(), match["control"].strip(), tests))
    return found


@cache
def living(path: str) -> set[str]:
    """Return the tests of a file that run: no skip or xfail stands on them or their file."""
    tree = ast.parse(Path(path).read_text(encoding="utf-8"))
    return {
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
        and not any(
            "skip" in (text := ast.unparse(one)) or "xfail" in text for one in node.decorator_list
        )
    }


def test_every_scenario_is_a_hazard() -> None:
    assert {hazard for hazard, *_ in rows()} >= FROM_SCENARIOS


def test_no_hazard_stands_twice() -> None:
    ids = [hazard for hazard, *_ in rows()]

    assert len(ids) == len(set(ids))


@pytest.mark.parametrize(
    ("hazard", "what", "control", "tests"), rows(), ids=[row[0] for row in rows()]
)
def test_a_hazard_has_a_control_and_a_living_test(
    hazard: str, what: str, control: str, tests: list[tuple[str, str]]
) -> None:
    assert what, hazard
    assert control, hazard
    assert tests, f"{hazard} names no test"
    for path, name in tests:
        assert Path(path).is_file(), f"{hazard}: no file {path}"
        assert name in living(path), f"{hazard}: {path} has no living test {name}"
