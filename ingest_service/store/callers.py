"""Who asks: what every store function that reads patient data takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal
from uuid import UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Somebody who may look, and at which units' patients.

    Attributes:
        actor: HSA-id of a member of staff, or the id of a registered EHR system.
        kind: Which of the two it is.
        care_unit_ids: Units whose patients the caller may see; empty sees nobody.
        purpose: The commission's purpose (staff), or None.
        trace_id: Trace of the request, 32 hexadecimal digits; stands in the access log.
    """

    actor: str
    kind: Literal["staff", "system"]
    care_unit_ids: tuple[UUID, ...]
    trace_id: str
    purpose: str | None = None
