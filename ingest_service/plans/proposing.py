"""What a change of a plan must state before it can be approved, beside what every plan must."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal

import msgspec

from ingest_service.plans import merging
from ingest_service.plans.limits import Limits, Measure
from ingest_service.plans.plan import Activity, Fact, Plan
from ingest_service.plans.templates.template import Template, departures, excluded

Templates = Mapping[tuple[str, int], Template]
Values = Mapping[Measure, Decimal]


def with_beginnings(before: Plan, plan: Plan, *, now: datetime) -> Plan:
    """Return the plan with new activities expected from now on: none was missed before."""
    known = {_plain(each): each.since for each in before.activities}
    return msgspec.structs.replace(
        plan,
        activities=tuple(
            msgspec.structs.replace(each, since=known.get(_plain(each), each.since or now))
            for each in plan.activities
        ),
    )


def loosened_faults(
    before: Plan, plan: Plan, lately: Collection[Values], *, now: datetime
) -> list[str]:
    """Return which limits are loosened for good although readings lay beyond them lately.

    A limit that is loosened while the patient gets worse hides it (A17): it is loosened for a
    time, as a temporary limit with an end, or with a reason why it is for good.

    Args:
        before: What was approved before.
        plan: What is to be approved.
        lately: Values of the patient's readings of late.
        now: When.
    """
    if plan.permanent_reason and plan.permanent_reason != before.permanent_reason:
        return []
    return [
        f"plan.limits.{measure}.{side}: is loosened, and {count} reading(s) lately lay beyond "
        "the old limits: give it an end as a temporary limit, or say in "
        "permanent_reason why it is for good"
        for measure, side in _loosened(before, plan, now)
        if (count := _beyond(before, measure, lately, now))
    ]


def template_faults(plan: Plan, others: Sequence[Plan], templates: Templates) -> list[str]:
    """Return what the plan's template forbids, and what other plans' templates forbid of it."""
    found: list[str] = []
    if plan.template is not None:
        template = templates.get((plan.template.id, plan.template.version))
        if template is None:
            found.append("plan.template: no such version of that template is known")
        else:
            found += departures(template, plan)
    everybody = [plan, *others]
    stated = {
        fact: is_so for one in everybody for fact, is_so in sorted(one.facts.items()) if is_so
    }
    for one in everybody:
        template = one.template and templates.get((one.template.id, one.template.version))
        if template:
            # What any of the patient's plans states holds for the patient (A16).
            found += [
                fault
                for fault in excluded(template, {**one.facts, **_contradicting(template, stated)})
                if fault not in found
            ]
    return found


def conflict_faults(plan: Plan, others: Sequence[Plan]) -> list[str]:
    """Return where the patient's plans together would leave no value within limits (A18)."""
    return [
        f"plan.limits.{measure}: with the patient's other plans no value would be within limits: "
        "the units must agree"
        for measure in merging.conflicts([plan, *others])
    ]


def _contradicting(template: Template, stated: Mapping[Fact, bool]) -> dict[Fact, bool]:
    return {fact: is_so for fact, is_so in stated.items() if fact in template.requires}


def _plain(activity: Activity) -> str:
    return msgspec.json.encode(msgspec.structs.replace(activity, since=None)).decode()


def _loosened(before: Plan, plan: Plan, now: datetime) -> Iterator[tuple[Measure, str]]:
    old, new = before.limits_at(now), plan.limits
    for measure, limits in old.items():
        after = new.get(measure, Limits())
        for side in ("red_low", "yellow_low", "yellow_high", "red_high"):
            if _is_looser(getattr(limits, side), getattr(after, side), is_low="low" in side):
                yield measure, side


def _is_looser(before: Decimal | None, after: Decimal | None, *, is_low: bool) -> bool:
    if before is None:
        return False
    return after is None or (after < before if is_low else after > before)


def _beyond(before: Plan, measure: Measure, lately: Collection[Values], now: datetime) -> int:
    limits = before.limits_at(now)[measure]
    return sum(limits.level(values[measure]) is not None for values in lately if measure in values)
