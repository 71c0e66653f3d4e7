"""The generated documents are current, and say what the types do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator

from device_adapters.contract import documents
from device_adapters.contract.topics import topic

DIRECTORY = Path(__file__).parents[4] / "docs" / "reference" / "contract"
ENVELOPES = Path(__file__).parents[3] / "vectors" / "envelopes"


def test_the_committed_documents_are_current() -> None:
    assert documents.outdated(DIRECTORY) == []


def test_writes_what_it_then_finds_current(tmp_path: Path) -> None:
    assert documents.main(["--check", str(tmp_path)]) == 1
    assert documents.main(["--write", str(tmp_path)]) == 0
    assert documents.main(["--check", str(tmp_path)]) == 0


def test_names_the_document_that_is_not_current(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    documents.main(["--write", str(tmp_path)])
    (tmp_path / documents.SCHEMA_FILE).write_text("{}")

    assert documents.main(["--check", str(tmp_path)]) == 1
    assert documents.SCHEMA_FILE in capsys.readouterr().err


def test_the_schema_is_a_schema() -> None:
    Draft202012Validator.check_schema(documents.schema())


@pytest.mark.parametrize("path", sorted(ENVELOPES.glob("*.json")), ids=lambda path: path.stem)
def test_the_schema_accepts_the_envelopes_of_every_release(path: Path) -> None:
    assert is_accepted(json.loads(path.read_bytes())["payload"])


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"124"', '{"special": "2047"}'),
        ('"mm[Hg]"', '"mmHg"'),
        ('"monotonic_ns": 81234567890', '"monotonic_ns": -1'),
        ('"trace_id": "4', '"trace_id": "x'),
    ],
)
def test_the_schema_refuses_what_the_types_refuse(old: str, new: str) -> None:
    text = (ENVELOPES / "1.0.json").read_text()
    assert old in text

    payload = json.loads(text.replace(old, new))["payload"]

    assert not is_accepted(payload)


def test_the_asyncapi_document_gives_the_topics_of_the_contract() -> None:
    channels = documents.asyncapi()["channels"]

    addresses = {
        name: channel["address"].format(gateway="gw-1") for name, channel in channels.items()
    }

    assert addresses["readings"] == "hemvital/v1/gw-1/readings"
    assert all(address.startswith(topic("gw-1", name)) for name, address in addresses.items())


def test_every_reference_of_the_asyncapi_document_leads_somewhere() -> None:
    built = documents.asyncapi()
    definitions = documents.schema()["$defs"]
    payloads = [
        message["payload"]["schema"]["$ref"]
        for channel in built["channels"].values()
        for message in channel["messages"].values()
    ]

    assert {ref.rpartition("/")[0] for ref in payloads} == {f"./{documents.SCHEMA_FILE}#/$defs"}
    assert {ref.rpartition("/")[2] for ref in payloads} <= set(definitions)
    assert msgspec.json.decode(msgspec.json.encode(built)) == built


def is_accepted(payload: Any) -> bool:
    validator = Draft202012Validator(documents.schema())
    # jsonschema leaves the type of a deprecated parameter open.
    return validator.is_valid(payload)  # pyright: ignore[reportUnknownMemberType]
