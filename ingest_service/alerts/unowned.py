"""A reading without an owner: would it be red for whoever it may be (A1)?

It waits in the quarantine and in nobody's record. So that the quarantine swallows no emergency,
it is judged by the limits of everybody who ever had its device, and where they set none, by a
safety net. The net is no clinical advice and is nobody's plan: it only decides that a person has
to look now.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Final

from ingest_service.alerts.levels import level_of
from ingest_service.plans.limits import Level, Limits, Measure, PlanLimits

# Red's clock until plans exist that say otherwise.
RED_WITHIN: Final = timedelta(minutes=30)

# Sources, as the project's clinical notes cite them (a value at a limit is within, so each number
# is one inside the bound that its source includes): home systems call 180 and above, or 110 and
# above, critical; NEWS2 gives its highest score to a systolic pressure of 90 and below and to a
# pulse of 40 and below or 131 and above; its second scale, for the chronically hypercapnic, is
# content with a saturation of 88 and above.
SAFETY_NET: Final[PlanLimits] = {
    Measure.SYSTOLIC: Limits(red_low=Decimal(91), red_high=Decimal(179)),
    Measure.DIASTOLIC: Limits(red_high=Decimal(109)),
    Measure.PULSE: Limits(red_low=Decimal(41), red_high=Decimal(130)),
    Measure.SPO2: Limits(red_low=Decimal(88)),
}


def is_red(values: Mapping[Measure, Decimal], plans: Iterable[PlanLimits]) -> bool:
    """Tell whether one of these values is red by one of these plans.

    Args:
        values: What was measured, in canonical units, possible or not.
        plans: The limits of each person it may be. A measure without limits, and a reading that
            may be nobody's known, is judged by `SAFETY_NET`.
    """
    candidates = [{**SAFETY_NET, **plan} for plan in plans] or [SAFETY_NET]
    return any(level_of(values, plan) is Level.RED for plan in candidates)
