"""What every mapped Observation has to be: what fhir.resources checks, and what it does not."""

from __future__ import annotations

import json
import re

from fhir.resources.R4B.observation import Observation

from device_adapters.contract.readings import Kind, Reading
from tests.unit.fhir_mappings.examples import mapped


def check(reading: Reading) -> None:
    """Check all Observations of a reading by fhir.resources, and by what it does not check."""
    observations = mapped(reading)

    if observations:
        assert observations[0].is_failed == (reading.kind is not Kind.MEASUREMENT)
    for observation in observations:
        Observation.model_validate_json(observation.resource)
        check_resource(observation.resource, is_failed=observation.is_failed)


def check_resource(text: str, *, is_failed: bool) -> None:
    """Check an Observation's text by what fhir.resources does not check."""
    found = json.loads(text)
    has_value = bool({"valueQuantity", "valueSampledData"} & found.keys())
    is_absent = "dataAbsentReason" in found
    assert len({"effectiveDateTime", "effectivePeriod"} & found.keys()) == 1
    assert not (has_value and is_absent)  # obs-6
    assert has_value or is_absent or found.get("component")  # vs-2
    for part in found.get("component", []):  # vs-3, obs-6 for components
        assert bool({"valueQuantity", "valueInteger"} & part.keys()) != (
            "dataAbsentReason" in part
        )
    assert is_absent == is_failed
    assert not re.search(r'"value":-?[0-9.]*[eE]', text)
    assert "[]" not in text
    assert "null" not in text
