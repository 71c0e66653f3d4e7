"""What alerts are called: the same inputs in the same order give the same alerts."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final
from uuid import UUID, uuid5

from ingest_service.plans.limits import Family

# Drawn once, at random; never changed.
_NAMESPACE: Final = UUID("5b1a2f0e-6e0c-4a52-9d5b-0f6a5f6f2c11")


def limit_rule(family: Family) -> str:
    """Return the name of rule ``limit`` for a family."""
    return f"limit.{family.value}"


def alert_id(
    patient_id: UUID, rule: str, first: str, *, at: datetime, before: UUID | None
) -> UUID:
    """Return the id of a new alert.

    Args:
        patient_id: Whose.
        rule: Its name.
        first: What first raised it, for example an observation's id.
        at: When it was judged. What one alert rested on may raise another later, after a person
            has ended the first.
        before: The last alert of that rule that has ended, if one is known.
    """
    when = at.astimezone(UTC).isoformat()
    return uuid5(_NAMESPACE, f"{patient_id}|{rule}|{first}|{when}|{before or ''}")
