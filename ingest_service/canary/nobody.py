"""Who the canary measures: the ids of a unit that is none and of a patient that is nobody."""

from __future__ import annotations

from decimal import Decimal
from typing import Final
from uuid import UUID

from fhir_mappings.identifiers import TEST_PERSON

PROVIDER: Final = UUID("c0a1b1e5-0000-4000-8000-000000000001")
UNIT: Final = UUID("c0a1b1e5-0000-4000-8000-000000000002")
PATIENT: Final = UUID("c0a1b1e5-0000-4000-8000-000000000003")
ASSIGNMENT: Final = UUID("c0a1b1e5-0000-4000-8000-000000000004")
PLAN: Final = UUID("c0a1b1e5-0000-4000-8000-000000000005")

UNIT_HSA_ID: Final = "SE0000000000-CANARY"
NAME: Final = "Canary"
IDENTIFIER: Final = (TEST_PERSON, "canary")
GATEWAY: Final = "canary-1"
#: No Bluetooth address: no device in a home can be it.
DEVICE: Final = "canary"

#: A value below the limit, at yellow and no more: that it was judged shows in an alert, and what
#: yellow sets in motion is little.
SPO2: Final = Decimal(95)
YELLOW_LOW: Final = Decimal(97)
