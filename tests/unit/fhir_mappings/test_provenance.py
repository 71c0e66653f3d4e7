"""Where Observations come from, and who changed them why."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from fhir.resources.R4B.provenance import Provenance

from fhir_mappings.identifiers import gateway_resource_id
from fhir_mappings.provenance import (
    Gateway,
    Staff,
    Versioned,
    Worker,
    message_digest,
    of_change,
    of_message,
)
from tests.unit.fhir_mappings.examples import PATIENT, load, missing

RECEIVED = datetime(2026, 3, 1, 6, 31, 21, 400000, UTC)
RECORDED = datetime(2026, 3, 1, 6, 31, 21, 412000, UTC)
PRESSURE = UUID("00000000-0000-5000-8000-0000000000a1")
PULSE = UUID("00000000-0000-5000-8000-0000000000a2")
CHANGE = UUID("00000000-0000-7000-8000-0000000000c1")
GATEWAY = {"reference": f"Device/{gateway_resource_id('gateway-1')}"}


def brought(payload: bytes = b"abc", patient_id: UUID = PATIENT) -> dict[str, Any]:
    text = of_message(
        [Versioned(PRESSURE), Versioned(PULSE)],
        patient_id=patient_id,
        gateway_id="gateway-1",
        digest=message_digest(payload),
        received_at=RECEIVED,
        recorded=RECORDED,
    )
    Provenance.model_validate_json(text)
    return json.loads(text)


def changed(kind: Any, who: Staff | Worker | Gateway, change_id: UUID = CHANGE) -> dict[str, Any]:
    text = of_change(
        [Versioned(PRESSURE, 2), Versioned(PULSE, 3)],
        kind,
        change_id=change_id,
        who=who,
        why="Measured by another person in the home.",
        recorded=RECORDED,
    )
    Provenance.model_validate_json(text)
    return json.loads(text)


def test_a_messages_provenance_holds_what_the_written_example_holds() -> None:
    expected = load("provenance")
    for elsewhere in ("id", "target", "agent", "entity", "occurredDateTime", "recorded"):
        del expected[elsewhere]

    assert missing(brought(), expected) == []


def test_names_every_observation_of_the_message_in_its_version() -> None:
    assert brought()["target"] == [
        {"reference": f"Observation/{PRESSURE}/_history/1"},
        {"reference": f"Observation/{PULSE}/_history/1"},
    ]


def test_the_patient_is_the_author_and_the_gateway_the_assembler() -> None:
    roles = {agent["type"]["coding"][0]["code"]: agent["who"] for agent in brought()["agent"]}

    assert roles == {"author": {"reference": f"Patient/{PATIENT}"}, "assembler": GATEWAY}


def test_the_source_is_the_message_by_its_digest() -> None:
    # printf abc | sha256sum
    assert brought()["entity"] == [
        {
            "role": "source",
            "what": {
                "identifier": {
                    "system": "urn:hemvital:sid:message-sha256",
                    "value": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
                }
            },
        }
    ]


def test_times_say_when_it_came_and_when_it_was_stored() -> None:
    found = brought()

    assert datetime.fromisoformat(found["occurredDateTime"]) == RECEIVED
    assert datetime.fromisoformat(found["recorded"]) == RECORDED


def test_the_same_message_sent_again_is_the_same_provenance() -> None:
    assert brought() == brought()
    assert brought()["id"] != brought(b"abd")["id"]


def test_two_people_of_one_message_have_a_provenance_each() -> None:
    other = UUID("00000000-0000-4000-8000-00000000000b")

    assert brought()["id"] != brought(patient_id=other)["id"]
    assert str(PATIENT) not in json.dumps(brought(patient_id=other))


@pytest.mark.parametrize(
    ("kind", "code"),  # v3-DataOperation
    [("correction", "UPDATE"), ("invalidation", "NULLIFY")],
)
def test_a_change_says_what_why_and_by_whom(kind: str, code: str) -> None:
    found = changed(kind, Staff("SE2321000016-1003"))

    assert found["activity"]["coding"][0]["code"] == code
    assert found["reason"] == [{"text": "Measured by another person in the home."}]
    (agent,) = found["agent"]
    assert agent["type"]["coding"][0]["code"] == "author"
    assert agent["who"] == {
        "identifier": {"system": "urn:oid:1.2.752.29.4.19", "value": "SE2321000016-1003"}
    }


def test_a_change_names_the_versions_it_made_and_those_it_revised() -> None:
    found = changed("correction", Staff("SE2321000016-1003"))

    assert [target["reference"] for target in found["target"]] == [
        f"Observation/{PRESSURE}/_history/2",
        f"Observation/{PULSE}/_history/3",
    ]
    assert [
        entity["what"]["reference"] for entity in found["entity"] if entity["role"] == "revision"
    ] == [f"Observation/{PRESSURE}/_history/1", f"Observation/{PULSE}/_history/2"]


def test_a_gateway_answers_for_the_better_time_it_found() -> None:
    (agent,) = changed("correction", Gateway("gateway-1"))["agent"]

    assert agent["who"] == GATEWAY
    assert agent["type"]["coding"][0]["code"] == "assembler"


def test_a_change_told_twice_is_one() -> None:
    staff = Staff("SE2321000016-1003")

    assert changed("correction", staff) == changed("correction", staff)
    assert changed("correction", staff)["id"] != changed("correction", staff, UUID(int=1))["id"]


def test_a_reading_that_a_person_gave_to_this_patient_names_nothing_of_the_one_before() -> None:
    found = changed("attribution", Staff("SE2321000016-1003"))

    assert [each["role"] for each in found["entity"]] == ["source"]
    assert found["activity"]["coding"][0]["code"] == "CREATE"
    assert found["id"] != changed("invalidation", Staff("SE2321000016-1003"))["id"]


def test_what_had_no_version_before_revises_none() -> None:
    text = of_change(
        [Versioned(PRESSURE, 2), Versioned(PULSE, 2)],
        "correction",
        revised={PRESSURE},
        change_id=CHANGE,
        who=Gateway("gateway-1"),
        why="read anew",
        recorded=RECORDED,
    )

    revised = [each for each in json.loads(text)["entity"] if each["role"] == "revision"]
    assert [each["what"]["reference"] for each in revised] == [
        f"Observation/{PRESSURE}/_history/1"
    ]


def test_who_has_no_hsa_id_is_named_as_the_operator_knows_them() -> None:
    (agent,) = changed("correction", Worker("operator 7"))["agent"]

    assert agent["who"]["identifier"] == {
        "system": "urn:hemvital:sid:worker",
        "value": "operator 7",
    }
