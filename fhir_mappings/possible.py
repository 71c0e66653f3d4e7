"""What a living body can have: a number outside is the device's error, one inside is possible.

No narrower than that: a value far from the patient's own history is possible, and may be the
one that matters.

Source:
    The project's protocol notes, section 5.4.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from device_adapters.contract.readings import Number

Bounds = tuple[Decimal, Decimal]

SYSTOLIC: Final[Bounds] = (Decimal(40), Decimal(300))  # mm[Hg]
DIASTOLIC: Final[Bounds] = (Decimal(20), Decimal(200))  # mm[Hg]
MEAN: Final[Bounds] = (DIASTOLIC[0], SYSTOLIC[1])  # lies between the two
PULSE: Final[Bounds] = (Decimal(20), Decimal(300))  # a minute
SPO2: Final[Bounds] = (Decimal(50), Decimal(100))  # percent
# Survived: 11.8 in a child and 13.7 in an adult found cold, 46.5 in heat stroke.
TEMPERATURE: Final[Bounds] = (Decimal(10), Decimal(47))  # degrees Celsius
WEIGHT: Final[Bounds] = (Decimal(1), Decimal(650))  # kilograms; the heaviest known weighed 635


def is_possible(number: Number | None, bounds: Bounds) -> bool:
    """Tell whether the number lies within the bounds; one that was not given always does."""
    return not isinstance(number, Decimal) or bounds[0] <= number <= bounds[1]
