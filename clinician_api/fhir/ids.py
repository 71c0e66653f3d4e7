"""Logical ids: UUIDs in the one spelling that resources carry them in."""

from __future__ import annotations

import re
from typing import Final
from uuid import UUID

_LOGICAL_ID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def logical_id(text: str) -> UUID | None:
    """Return an id of ours, or None: FHIR's ids are case-sensitive, and ``UUID`` takes more."""
    return UUID(text) if _LOGICAL_ID.fullmatch(text) else None
