"""What a plan must be to make sense, and what it must be before a clinician can approve it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import combinations
from typing import Final

from ingest_service.plans.limit_checking import inner, limits_faults, value_faults
from ingest_service.plans.limits import Family, Limits, Measure
from ingest_service.plans.plan import Fact, Plan
from ingest_service.plans.rule_checking import rules_faults
from ingest_service.plans.wall_clock import zone_named
from ingest_service.plans.windows import Condition, check_windows

_MOST_LITRES: Final = 60  # high flow, at most
_LUNGS: Final = (Fact.COPD, Fact.HOME_OXYGEN, Fact.RETAINS_CO2)


def faults(plan: Plan) -> list[str]:
    """Return what contradicts itself or is impossible, each as ``plan.element: what``.

    None of it depends on who approves or on other plans; no value of the document is repeated
    but limits' names and rules' ids.
    """
    checks: tuple[Callable[[Plan], Iterable[str]], ...] = (
        _period,
        _all_limits,
        _temporary,
        _oxygen,
        _activities,
        _usual,
        _pauses,
        rules_faults,
    )
    return [f"plan.{fault}" for check in checks for fault in check(plan)]


def unready(plan: Plan) -> list[str]:
    """Return what is missing before somebody can approve the plan (A12)."""
    found: list[str] = []
    if plan.on_red is None or not (plan.on_red.out_of_hours or "").strip():
        found.append("on_red.out_of_hours: must say what is done on red while nobody is there")
    if plan.on_red is None or not plan.on_red.in_hours.strip():
        found.append("on_red.in_hours: must say what is done on red")
    if not plan.activities:
        found.append("activities: nothing is to be measured")
    if not plan.limits and not plan.rules:
        found.append("limits: nothing would ever alert; give limits or rules")
    return [f"plan.{fault}" for fault in found]


def _period(plan: Plan) -> Iterator[str]:
    if plan.until is not None and plan.until <= plan.since:
        yield "until: must be after since"
    try:
        zone_named(plan.time_zone)
    except ValueError:
        yield "time_zone: is none that is known, such as Europe/Stockholm"
    if plan.merged_from:
        yield "merged_from: only merging sets it"


def _all_limits(plan: Plan) -> Iterator[str]:
    for measure, limits in plan.limits.items():
        yield from limits_faults(f"limits.{measure}", measure, limits)
        yield from _beside_target(plan, measure, limits)
    for condition, limits_of in plan.limits_when.items():
        if condition is Condition.REST:
            yield f"limits_when.{condition}: limits at rest stand in limits"
        for measure, limits in limits_of.items():
            yield from limits_faults(f"limits_when.{condition}.{measure}", measure, limits)


def _beside_target(plan: Plan, measure: Measure, limits: Limits) -> Iterator[str]:
    target = plan.targets.get(measure)
    if target is None:
        return
    given = [value for value in (target.low, target.high) if value is not None]
    if any(list(value_faults(measure, "", value)) for value in given):
        yield f"targets.{measure}: is impossible"
        return
    if given != sorted(given):
        yield f"targets.{measure}.low: must not be above high"
    low, high = inner(limits)
    if target.low is not None and low is not None and low > target.low:
        yield f"limits.{measure}.yellow_low: lies inside the target range"
    if target.high is not None and high is not None and high < target.high:
        yield f"limits.{measure}.yellow_high: lies inside the target range"


def _temporary(plan: Plan) -> Iterator[str]:
    for index, one in enumerate(plan.temporary):
        place = f"temporary[{index}]"
        if one.until <= one.since:
            yield f"{place}.until: must be after since"
        if one.since < plan.since or (plan.until is not None and one.until > plan.until):
            yield f"{place}: must lie within the plan's period"
        yield from limits_faults(f"{place}.limits", one.measure, one.limits)
    for (first, one), (second, other) in combinations(enumerate(plan.temporary), 2):
        if one.measure is other.measure and one.since < other.until and other.since < one.until:
            yield f"temporary[{second}]: overlaps temporary[{first}] of the same measure"


def _oxygen(plan: Plan) -> Iterator[str]:
    """Oxygen status is stated, and too high alerts too, where too high is dangerous (A13)."""
    oxygen = plan.oxygen
    if oxygen.litres_per_min is not None and (
        not oxygen.litres_per_min.is_finite() or not 0 < oxygen.litres_per_min <= _MOST_LITRES
    ):
        yield f"oxygen.litres_per_min: must be above 0 and at most {_MOST_LITRES}"
    if oxygen.litres_per_min is not None and oxygen.is_used is not True:
        yield "oxygen.is_used: litres are given, so it must be true"
    stated = plan.facts.get(Fact.HOME_OXYGEN)
    if None not in (stated, oxygen.is_used) and stated is not oxygen.is_used:
        yield "oxygen.is_used: contradicts facts.home_oxygen"
    has_lungs = any(plan.facts.get(fact) for fact in _LUNGS) or oxygen.is_used is True
    limits = plan.limits.get(Measure.SPO2)
    if has_lungs and limits is not None and oxygen.is_used is None:
        yield (
            "oxygen.is_used: must be stated for a patient with COPD, home oxygen or carbon "
            "dioxide retention whose saturation has limits"
        )
    is_two_sided = oxygen.is_used is True or bool(plan.facts.get(Fact.RETAINS_CO2))
    target = plan.targets.get(Measure.SPO2)
    yield from _two_sided(plan, is_two_sided=is_two_sided or bool(target and target.high))


def _two_sided(plan: Plan, *, is_two_sided: bool) -> Iterator[str]:
    places = [("limits.spo2", plan.limits.get(Measure.SPO2))]
    places += [
        (f"temporary[{index}].limits", one.limits)
        for index, one in enumerate(plan.temporary)
        if one.measure is Measure.SPO2
    ]
    for place, limits in places:
        if limits is None or not is_two_sided:
            continue
        low, high = inner(limits)
        if low is None:
            yield f"{place}.yellow_low: a lower limit must be set"
        if high is None:
            yield (
                f"{place}.yellow_high: an upper limit must be set: on oxygen, with carbon dioxide "
                "retention or an upper target too high is dangerous too"
            )


def _activities(plan: Plan) -> Iterator[str]:
    for index, activity in enumerate(plan.activities):
        try:
            check_windows(activity.windows)
        except ValueError as error:
            yield f"activities[{index}].{error}"
        if activity.protocol is not None and activity.family is not Family.BLOOD_PRESSURE:
            yield f"activities[{index}].protocol: only blood pressure has one"
        if activity.since is not None and plan.until is not None and activity.since >= plan.until:
            yield f"activities[{index}].since: must be before the plan's end"


def _usual(plan: Plan) -> Iterator[str]:
    seen = set[tuple[object, object]]()
    for index, usual in enumerate(plan.usual):
        bad = [
            fault
            for name in ("low", "high")
            for fault in value_faults(usual.measure, name, getattr(usual, name))
        ]
        yield from (f"usual[{index}].{fault}" for fault in bad)
        if not bad and usual.low > usual.high:
            yield f"usual[{index}].low: must not be above high"
        if (usual.measure, usual.part_of_day) in seen:
            yield f"usual[{index}]: that measure and part of the day are given twice"
        seen.add((usual.measure, usual.part_of_day))


def _pauses(plan: Plan) -> Iterator[str]:
    for index, pause in enumerate(plan.pauses):
        if pause.until is not None and pause.until <= pause.since:
            yield f"pauses[{index}].until: must be after since"
