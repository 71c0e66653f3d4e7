"""The vector files themselves."""

from __future__ import annotations

import pytest

from tests.unit.device_adapters.vectors import VECTORS, VERDICTS, load

FILES = sorted(path.name for path in VECTORS.glob("*.json"))


@pytest.mark.parametrize("name", FILES)
def test_every_vector_names_its_source_and_verdict(name: str) -> None:
    vectors = load(name)

    assert vectors
    assert all(vector.source and vector.origin for vector in vectors)
    assert {vector.verdict for vector in vectors} <= VERDICTS


@pytest.mark.parametrize("name", FILES)
def test_ids_are_unique(name: str) -> None:
    ids = [vector.id for vector in load(name)]

    assert sorted(set(ids)) == sorted(ids)


@pytest.mark.parametrize("name", FILES)
def test_a_source_that_is_wrong_is_kept_beside_the_working(name: str) -> None:
    wrong = [vector for vector in load(name) if vector.verdict == "disagree"]

    assert all(vector.source_expected != vector.expected and vector.why for vector in wrong)


@pytest.mark.parametrize("name", FILES)
def test_a_device_that_leaves_the_specification_is_refused(name: str) -> None:
    vendor = [each for each in load(name) if each.verdict == "vendor-agree/spec-disagree"]

    assert all(vector.error for vector in vendor)
