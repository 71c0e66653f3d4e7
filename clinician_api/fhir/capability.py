"""The CapabilityStatement, made from the table that searches."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from importlib.metadata import version
from typing import Final

import msgspec

from clinician_api.fhir.parameters import DEFAULT_COUNT, MAX_COUNT, OBSERVATION, Parameter

_VERSION: Final = version("hemvital")
_SECURITY: Final = {
    "description": (
        "A bearer token (JWT, ES256) that the operator issues to a registered system, with the "
        "scopes system/Observation.rs, system/Patient.r, system/Device.r or .read"
    )
}


def statement(*, base_url: str, zone: str, years: int, date: datetime) -> bytes:
    """Return what this server does, and nothing that it does not.

    Args:
        base_url: Where the server is reached, without ``/fhir``.
        zone: Name of the zone in which dates without one are read.
        years: How far back a search without dates looks.
        date: When this statement came to hold: the server's start.
    """
    return msgspec.json.encode(
        {
            "resourceType": "CapabilityStatement",
            "status": "active",
            "date": date.isoformat(timespec="seconds"),
            "kind": "instance",
            "software": {"name": "Hemvital", "version": _VERSION},
            "implementation": {"description": "Hemvital", "url": f"{base_url}/fhir"},
            "fhirVersion": "4.0.1",
            "format": ["json"],
            "rest": [
                {
                    "mode": "server",
                    "documentation": (
                        f"Dates without a zone are read in {zone}. A search without dates looks "
                        f"from {years} years ago to the end of tomorrow; the self link says so. "
                        f"_count is {DEFAULT_COUNT} unless given, at most {MAX_COUNT}; 0 counts. "
                        "_sort is -date (default) or date. Unknown parameters are left out, and "
                        "out of the self link; with Prefer: handling=strict they are refused."
                    ),
                    "security": _SECURITY,
                    "resource": [
                        _resource(
                            "Observation", ("read", "search-type"), OBSERVATION, "versioned"
                        ),
                        _resource("Patient", ("read",), (), "versioned"),
                        _resource("Device", ("read",), (), "no-version"),
                    ],
                }
            ],
        }
    )


def _resource(
    name: str, interactions: Sequence[str], parameters: Sequence[Parameter], versioning: str
) -> dict[str, object]:
    resource: dict[str, object] = {
        "type": name,
        "interaction": [{"code": code} for code in interactions],
        "versioning": versioning,
    }
    if parameters:
        resource["searchParam"] = [
            {
                "name": parameter.name,
                "definition": parameter.definition,
                "type": parameter.type,
                "documentation": parameter.documentation,
            }
            for parameter in parameters
        ]
    return resource
