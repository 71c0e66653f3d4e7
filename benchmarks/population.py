"""A region to measure with: units, gateways, patients under test identifiers, their devices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID, uuid5

_NAMESPACE: Final = UUID("9d1a5d9e-41c5-5a3f-8a1e-0f3c0c6f7b11")
TEST_PERSON: Final = "urn:hemvital:sid:test-person"
_APPROVED_AT: Final = "2016-01-01T00:00:00+01:00"


@dataclass(frozen=True, slots=True, kw_only=True)
class Population:
    """``devices`` of each gateway, and the registration document that makes them known.

    ``devices`` are cuffs; ``oximeters``, in the same order, belong to the same patients.
    ``probes`` are real devices' addresses at the gateway ``probe``, in the first unit.
    """

    devices: Mapping[str, Sequence[str]]
    oximeters: Mapping[str, Sequence[str]]
    probes: Sequence[str]
    registration: Mapping[str, Any]


def population(*, units: int, gateways: int, devices_each: int, probes: int) -> Population:
    """Return a region whose gateways are spread over its units, one patient to each cuff."""
    devices: dict[str, list[str]] = {}
    oximeters: dict[str, list[str]] = {}
    document: dict[str, list[dict[str, Any]]] = {
        "care_providers": [{"id": _id("provider"), "hsa_id": "SE0000000000-B", "name": "Bench"}],
        "care_units": [_unit(number) for number in range(units)],
        "patients": [],
        "gateways": [],
        "devices": [],
        "assignments": [],
        "plans": [],
    }
    for number in range(gateways):
        unit = _id(f"unit-{number % units}")
        gateway_id = f"bench-{number}"
        document["gateways"].append({"id": gateway_id, "care_unit_id": unit})
        devices[gateway_id], oximeters[gateway_id] = [], []
        for place in range(devices_each):
            rest = f"00:00:{number:02X}:{place // 256:02X}:{place % 256:02X}"
            cuff, oximeter = f"F1:{rest}", f"F2:{rest}"
            devices[gateway_id].append(cuff)
            oximeters[gateway_id].append(oximeter)
            patient = _add_patient(document, unit, cuff)
            _add_device(document, unit, oximeter, patient, kind="pulse_oximetry")
    probing = [f"F0:00:00:00:00:{place + 1:02X}" for place in range(probes)]
    document["gateways"].append({"id": "probe", "care_unit_id": _id("unit-0")})
    for device_id in probing:
        _add_patient(document, _id("unit-0"), device_id)
    return Population(devices=devices, oximeters=oximeters, probes=probing, registration=document)


def unit_hsa_id(number: int) -> str:
    """Return the HSA-id of one of the units."""
    return f"SE0000000000-B{number}"


def _unit(number: int) -> dict[str, Any]:
    return {
        "id": _id(f"unit-{number}"),
        "care_provider_id": _id("provider"),
        "hsa_id": unit_hsa_id(number),
        "name": f"Bench {number}",
    }


def _add_patient(document: dict[str, list[dict[str, Any]]], unit: str, device_id: str) -> str:
    """Add a cuff's patient with limits, and return who it is."""
    patient = _id(f"patient-{device_id}")
    document["patients"].append(
        {
            "id": patient,
            "care_unit_id": unit,
            "identifier_system": TEST_PERSON,
            "identifier": device_id,
            "family": "Bench",
            "given": device_id,
        }
    )
    _add_device(document, unit, device_id, patient, kind="blood_pressure")
    document["plans"].append(
        {
            "id": _id(f"plan-{device_id}"),
            "version": 1,
            "patient_id": patient,
            "care_unit_id": unit,
            "programme": "bench",
            "status": "active",
            "since": _APPROVED_AT,
            "approval": {"by": "bench", "role": "physician", "at": _APPROVED_AT},
            "activities": [{"family": family} for family in _FAMILIES],
            "limits": _LIMITS,
            "confirm": {family: {"within_min": 0} for family in _FAMILIES},
            "on_red": {"in_hours": "-", "out_of_hours": "-"},
        }
    )
    return patient


def _add_device(
    document: dict[str, list[dict[str, Any]]],
    unit: str,
    device_id: str,
    patient: str,
    *,
    kind: str,
) -> None:
    document["devices"].append({"id": device_id, "care_unit_id": unit, "kind": kind})
    document["assignments"].append(
        {
            "id": _id(f"assignment-{device_id}"),
            "device_id": device_id,
            "patient_id": patient,
            "decided_by": "bench",
        }
    )


_FAMILIES: Final = ("blood_pressure", "spo2", "pulse")

# So wide that everyday readings are judged and none is an alert.
_LIMITS: Final[Mapping[str, Mapping[str, str]]] = {
    "systolic": {"red_low": "80", "yellow_high": "150", "red_high": "180"},
    "diastolic": {"red_low": "40", "yellow_high": "95", "red_high": "110"},
    "spo2": {"red_low": "85", "yellow_low": "90"},
    "pulse": {"red_low": "40", "yellow_high": "110", "red_high": "130"},
}


def _id(name: str) -> str:
    return str(uuid5(_NAMESPACE, name))
