"""Whose a reading is: the device's slot, the time, and never a guess."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest

from ingest_service.store.assignments import Assignment, resolve

ANNA, BO = uuid4(), uuid4()
JANUARY = datetime(2026, 1, 1, tzinfo=UTC)
MARCH = datetime(2026, 3, 1, tzinfo=UTC)
MAY = datetime(2026, 5, 1, tzinfo=UTC)


def given(
    slot: int | None, patient_id: UUID, since: datetime | None, until: datetime | None
) -> Assignment:
    return Assignment(uuid4(), slot, patient_id, since, until)


ASSIGNED = {
    "shared": (given(1, ANNA, JANUARY, None), given(2, BO, JANUARY, MARCH)),
    "single": (given(None, ANNA, JANUARY, MARCH), given(None, BO, MARCH, None)),
    "mixed": (given(None, ANNA, None, None), given(2, BO, None, None)),
    "stored away": (),
}


@pytest.mark.parametrize(
    ("device", "slot", "at", "whose"),
    [
        ("shared", 1, MAY, ANNA),
        ("shared", 2, JANUARY, BO),
        ("shared", 2, MARCH, None),  # the end is exclusive
        ("shared", None, JANUARY, None),
        ("shared", 3, JANUARY, None),
        ("single", None, JANUARY, ANNA),
        ("single", 1, JANUARY, ANNA),
        ("single", None, MARCH, BO),
        ("single", None, datetime(2025, 12, 31, tzinfo=UTC), None),
        ("mixed", 2, MAY, BO),
        ("mixed", 1, MAY, ANNA),
        ("stored away", None, MAY, None),
        ("unknown", None, MAY, None),
    ],
)
def test_resolve(device: str, slot: int | None, at: datetime, whose: UUID | None) -> None:
    found = resolve(ASSIGNED, device, slot, at)

    assert (found.patient_id if found else None) == whose
