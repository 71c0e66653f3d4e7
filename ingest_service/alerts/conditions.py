"""By which limits a reading is judged: those of the condition it was to be measured in (A14).

At rest, after exertion and asleep a saturation differs by more than its limits are apart.
"""

from __future__ import annotations

from datetime import datetime

from ingest_service.alerts.history import Reading
from ingest_service.plans.limits import Family, PlanLimits
from ingest_service.plans.plan import Plan
from ingest_service.plans.windows import Condition, Windows, window_at


def limits_of(plan: Plan, reading: Reading, *, now: datetime) -> PlanLimits:
    """Return the limits, in force now, of the window in which the reading was measured."""
    return plan.limits_at(now, condition_of(plan, reading.family, reading.effective_at))


def condition_of(plan: Plan, family: Family, at: datetime) -> Condition:
    """Return in which condition something was measured.

    It is rest outside every window, and wherever a window at rest is open as well: the limits at
    rest are the whole ones.
    """
    windows = _windows(plan, family)
    if all(window.condition is Condition.REST for window in windows):
        return Condition.REST
    if window_at(windows, plan.time_zone, at, condition=Condition.REST) is not None:
        return Condition.REST
    found = window_at(windows, plan.time_zone, at)
    return Condition.REST if found is None else found.window.condition


def _windows(plan: Plan, family: Family) -> Windows:
    own = [one.windows for one in plan.activities if one.family is family]
    if not own and family is Family.PULSE:  # it comes with a pressure or a saturation
        own = [one.windows for one in plan.activities]
    return tuple(window for windows in own for window in windows)
