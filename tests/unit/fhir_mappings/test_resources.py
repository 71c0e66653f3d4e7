"""Patients, devices and gateways, against resources written by hand."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any, Final
from uuid import UUID

import pytest
from fhir.resources.R4B.device import Device as CheckedDevice
from fhir.resources.R4B.devicemetric import DeviceMetric as CheckedDeviceMetric
from fhir.resources.R4B.patient import Patient as CheckedPatient

from device_adapters.contract.messages import Device
from device_adapters.contract.readings import Reading
from fhir_mappings.identifiers import device_resource_id, gateway_resource_id, personal_identity
from fhir_mappings.observations import MappedObservation
from fhir_mappings.resources import (
    DeviceKind,
    PatientDetails,
    device_metrics,
    gateway_device,
    measuring_device,
    patient,
)
from tests.unit.fhir_mappings.examples import DEVICE, load, mapped, missing
from tests.unit.fhir_mappings.test_observations import OXIMETRY, PRESSURE
from tests.unit.fhir_mappings.test_single_values import RATE, TEMPERATURE, WEIGHT

IDENTITY = personal_identity("196101182803")
DETAILS: Final = PatientDetails(
    id=UUID("00000000-0000-4000-8000-00000000000a"),
    identifier_system=IDENTITY.system,
    identifier_value=IDENTITY.value,
    family="Testsson",
    given="Tolvan Test",
    birth_date=IDENTITY.birth_date,
    gender=IDENTITY.gender,
    is_protected=False,
    version=3,
    last_updated=datetime(2026, 3, 1, 6, tzinfo=UTC),
)


def test_a_patient_is_named_by_a_swedish_identity() -> None:
    found = json.loads(patient(DETAILS))

    CheckedPatient.model_validate(found)
    assert found["meta"]["versionId"] == "3"
    assert found["identifier"] == [
        {
            "use": "official",
            "system": "http://electronichealth.se/identifier/personnummer",
            "value": "196101182803",
        }
    ]
    assert found["name"] == [
        {
            "use": "official",
            "text": "Tolvan Test Testsson",
            "family": "Testsson",
            "given": ["Tolvan", "Test"],
        }
    ]
    assert (found["gender"], found["birthDate"]) == ("female", date(1961, 1, 18).isoformat())


def test_a_protected_identity_carries_its_label_and_no_name() -> None:
    text = patient(replace(DETAILS, is_protected=True))

    CheckedPatient.model_validate_json(text)
    assert "Testsson" not in text
    assert json.loads(text)["meta"]["security"][0]["code"] == "sekretessmarkering"


def test_what_is_not_known_is_left_out() -> None:
    found = json.loads(patient(replace(DETAILS, birth_date=None, gender=None)))

    CheckedPatient.model_validate(found)
    assert "birthDate" not in found
    assert "gender" not in found


@pytest.mark.parametrize(
    ("device", "kind", "name"),
    [
        (DEVICE, "blood_pressure", "device-bp"),
        (
            Device(
                id="F0:A1:B2:00:00:07",
                manufacturer="Example Medical AB",
                model="OX-20",
                serial="OX20-00007",
                firmware="2.0.1",
            ),
            "pulse_oximetry",
            "device-oximeter",
        ),
    ],
)
def test_a_device_holds_what_the_written_example_holds(
    device: Device, kind: DeviceKind, name: str
) -> None:
    # Ours goes by its Bluetooth address, and says nothing of its time-keeping.
    expected = without_text(load(name))
    for left_out in ("id", "identifier", "property"):
        expected.pop(left_out, None)

    found = json.loads(measuring_device(device, kind))

    CheckedDevice.model_validate(found)
    assert missing(found, expected) == []
    assert found["identifier"] == [
        {
            "type": {
                "coding": [
                    {
                        "system": "http://terminology.hl7.org/CodeSystem/ContinuaDeviceIdentifiers",
                        "code": "BTMAC",
                    }
                ]
            },
            "system": "http://hl7.org/fhir/sid/eui-48/bluetooth",
            "value": device.id.replace(":", "-"),
        }
    ]


def test_a_device_that_said_little_claims_nothing() -> None:
    found = json.loads(measuring_device(Device(id="serial-1"), "blood_pressure"))

    CheckedDevice.model_validate(found)
    assert "meta" not in found
    assert found["identifier"] == [{"system": "urn:hemvital:sid:device", "value": "serial-1"}]


def test_a_gateway_holds_what_the_written_example_holds() -> None:
    # Ours goes by its own id, and neither maker nor time-keeping is known to the server.
    expected = without_text(load("device-gateway"))
    for left_out in ("id", "identifier", "property", "manufacturer", "modelNumber"):
        expected.pop(left_out)
    expected["specialization"][0]["version"] = "1"

    found = json.loads(gateway_device("gateway-1", software="1.2.0"))

    CheckedDevice.model_validate(found)
    assert missing(found, expected) == []


@pytest.mark.parametrize(
    ("kind", "code"),  # IEEE 11073-10101: device specialisations
    [
        ("blood_pressure", "528391"),
        ("pulse_oximetry", "528388"),
        ("body_temperature", "528392"),
        ("body_weight", "528399"),
        ("heart_rate", "528457"),
    ],
)
def test_every_kind_of_device_says_what_it_is_specialised_in(kind: DeviceKind, code: str) -> None:
    found = json.loads(measuring_device(DEVICE, kind))

    CheckedDevice.model_validate(found)
    assert found["specialization"][0]["systemType"]["coding"][0]["code"] == code


@pytest.mark.parametrize(
    ("kind", "reading"),
    [
        ("blood_pressure", PRESSURE),
        ("pulse_oximetry", OXIMETRY),
        ("body_temperature", TEMPERATURE),
        ("body_weight", WEIGHT),
        ("heart_rate", RATE),
    ],
)
def test_a_device_has_a_metric_for_each_observation_it_can_give(
    kind: DeviceKind, reading: Reading
) -> None:
    metrics = [json.loads(text) for text in device_metrics(DEVICE, kind)]

    for metric in metrics:
        CheckedDeviceMetric.model_validate(metric)
        assert metric["category"] == "measurement"
        assert metric["source"] == {"reference": f"Device/{device_resource_id(DEVICE.id)}"}
    observed = [json.loads(each.resource)["code"] for each in mapped(reading)]
    assert [metric["type"] for metric in metrics] == observed


def test_a_metric_is_one_of_one_device_and_names_its_unit() -> None:
    pressure, pulse = (json.loads(text) for text in device_metrics(DEVICE, "blood_pressure"))
    other, _ = device_metrics(Device(id="F0:A1:B2:00:00:07"), "blood_pressure")

    assert len({pressure["id"], pulse["id"], json.loads(other)["id"]}) == 3
    assert pressure["unit"]["coding"] == [
        {"system": "http://unitsofmeasure.org", "code": "mm[Hg]", "display": "mm[Hg]"}
    ]
    assert pressure["identifier"] == [
        {"system": "urn:hemvital:sid:device-metric", "value": "F0:A1:B2:C3:D4:E5|150020"}
    ]


def test_observations_refer_to_these_devices() -> None:
    panel: MappedObservation = mapped(PRESSURE)[0]

    found = json.loads(panel.resource)

    assert found["device"] == {"reference": f"Device/{device_resource_id(DEVICE.id)}"}
    assert found["extension"][0]["valueReference"] == {
        "reference": f"Device/{gateway_resource_id('gateway-1')}"
    }
    assert json.loads(gateway_device("gateway-1"))["id"] == str(gateway_resource_id("gateway-1"))


def without_text(resource: dict[str, Any]) -> dict[str, Any]:
    """Return a resource without the texts beside its codes: ours are the codes alone."""

    def drop(member: dict[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in member.items() if key != "text"}

    return json.loads(json.dumps(resource), object_hook=drop)
