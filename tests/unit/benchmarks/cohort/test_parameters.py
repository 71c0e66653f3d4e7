from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks.cohort import parameters
from benchmarks.cohort.parameters import DEFAULT, Json, ParametersError, read

Document = dict[str, Any]


def test_the_shipped_file_is_read() -> None:
    given = read(DEFAULT)

    assert given.patients >= 1000
    assert given.days == 90


def test_every_value_says_whether_it_is_known_or_assumed() -> None:
    sources = [source for _, source in _sources(json.loads(DEFAULT.read_text()), "$")]

    assert len(sources) > 100
    assert all(source.strip() for source in sources)


def _without_source(document: Document) -> None:
    del document["dips"]["per_slot"]["source"]


def _bare_number(document: Document) -> None:
    document["dips"]["per_slot"] = 0.1


def _misspelt(document: Document) -> None:
    document["dips"]["per_slott"] = document["dips"].pop("per_slot")


def _shares(document: Document) -> None:
    document["programmes"]["copd"]["share"]["value"] = 0.5


def _unknown_kind(document: Document) -> None:
    document["programmes"]["copd"]["deteriorations"]["value"]["gout"] = 1


def _zone(document: Document) -> None:
    document["time_zone"] = "Europe/Atlantis"


def _text(document: Document) -> None:
    document["patients"]["value"] = "many"


def _both(document: Document) -> None:
    effects = document["deteriorations"]["heart_failure"]["effects"]["value"]
    effects[0]["change"] = [1, 2]


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (_without_source, r"\$\.dips\.per_slot: a value without a source"),
        (_bare_number, r"\$\.dips\.per_slot: a number without a source"),
        (_misspelt, "per_slott"),
        (_shares, r"\$\.programmes: shares sum to 1\.3, not to 1"),
        (_unknown_kind, r"\$\.programmes\.copd\.deteriorations\.gout: not among"),
        (_zone, r"\$\.time_zone: unknown time zone"),
        (_text, r"Expected `int`, got `str` - at `\$\.patients`"),
        (_both, r"\$\.deteriorations\.heart_failure\.effects: an effect has either"),
    ],
)
def test_a_wrong_file_is_refused_with_the_place(
    tmp_path: Path, spoil: Callable[[Document], None], said: str
) -> None:
    document = json.loads(DEFAULT.read_text())
    spoil(document)
    file = tmp_path / "p.json"
    file.write_text(json.dumps(document))

    with pytest.raises(ParametersError, match=said) as caught:
        read(file)

    assert str(file) in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "[" * 100_000], ids=len)
def test_what_is_no_file_of_parameters_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "p.json"
    file.write_text(text)

    with pytest.raises(ParametersError):
        read(file)


def test_a_missing_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(ParametersError, match=r"none\.json"):
        read(tmp_path / "none.json")


def test_the_default_lies_beside_its_reader() -> None:
    assert Path(parameters.__file__).parent == DEFAULT.parent


def _sources(node: Json, place: str) -> list[tuple[str, str]]:
    if isinstance(node, dict):
        if "value" in node:
            return [(place, str(node.get("source", "")))]
        return [found for name, one in node.items() for found in _sources(one, f"{place}.{name}")]
    return []
