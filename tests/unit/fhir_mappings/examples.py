"""Resources written by hand, records to map, and what "holds everything that" means."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any, cast
from uuid import UUID

from device_adapters.contract.messages import Device, ReadingRecord, Reception, TimeQuality
from device_adapters.contract.readings import Reading
from fhir_mappings.observations import MappedObservation, Subject, map_reading

_FHIR = Path(__file__).parents[2] / "vectors" / "fhir"

PATIENT = UUID("00000000-0000-4000-8000-00000000000a")
RECORD = UUID("00000000-0000-5000-8000-000000000001")
ISSUED = datetime(2026, 3, 1, 6, 31, 21, 412000, UTC)
HOME = timezone(timedelta(hours=1))
MEASURED = datetime(2026, 3, 1, 7, 31, 5, tzinfo=HOME)
DEVICE = Device(
    id="F0:A1:B2:C3:D4:E5",
    manufacturer="Example Medical AB",
    model="BPM-100",
    serial="SN0001234",
    firmware="1.4.2",
)


def load(name: str) -> dict[str, Any]:
    """Return a resource that was written by hand."""
    return json.loads((_FHIR / f"{name}.json").read_text(encoding="utf-8"))


def record(
    reading: Reading,
    *,
    device: Device = DEVICE,
    effective_at: datetime = MEASURED,
    time_quality: TimeQuality = TimeQuality.SYNCHRONISED,
) -> ReadingRecord:
    """Return a record as it reaches the server."""
    return ReadingRecord(
        record_id=RECORD,
        is_identity_own=True,
        device=device,
        reset_generation=0,
        adapter="any",
        reception=Reception(
            characteristic="any",
            raw=b"",
            received_at=ISSUED,
            boot_id=UUID(int=0),
            monotonic_ns=0,
            is_clock_synchronised=True,
        ),
        effective_at=effective_at,
        time_quality=time_quality,
        reading=reading,
        trace_id="0" * 32,
    )


def mapped(reading: Reading, **changes: Any) -> tuple[MappedObservation, ...]:
    """Return a reading's Observations."""
    return map_record(record(reading, **changes))


def map_record(
    found: ReadingRecord, *, version: int = 1, is_entered_in_error: bool = False
) -> tuple[MappedObservation, ...]:
    """Return a record's Observations."""
    return map_reading(
        found,
        Subject(PATIENT),
        gateway_id="gateway-1",
        issued=ISSUED,
        version=version,
        is_entered_in_error=is_entered_in_error,
    )


def resource(observation: MappedObservation) -> dict[str, Any]:
    """Return an Observation's JSON, numbers as their own text."""
    return json.loads(observation.resource, parse_float=str, parse_int=str)


def missing(found: object, expected: object, at: str = "") -> list[str]:
    """Return the paths of what is expected and not found; more than expected is fine.

    An object must hold every expected member, an array for each expected element one that holds
    it; numbers compare by value.
    """
    if isinstance(expected, dict):
        members = cast("dict[str, object]", expected)
        there = cast("dict[str, object]", found) if isinstance(found, dict) else {}
        return [
            path
            for name, value in members.items()
            for path in missing(there.get(name), value, f"{at}.{name}")
        ]
    if isinstance(expected, list):
        there = cast("list[object]", found) if isinstance(found, list) else []
        return [
            f"{at}[{index}]"
            for index, value in enumerate(cast("list[object]", expected))
            if not any(not missing(one, value) for one in there)
        ]
    is_number = isinstance(expected, int | float) and not isinstance(expected, bool)
    is_same = float(str(found)) == expected if is_number and found else found == expected
    return [] if is_same else [f"{at}: {found!r}"]
