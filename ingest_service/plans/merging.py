"""A patient in two programmes is judged by one plan, that of the lead unit first (A18).

Whatever one of the plans would alert on, the merged one alerts on too, once: of each limit the
tighter, all activities, all rules. It is never looser than any of its parts.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from functools import reduce
from itertools import pairwise
from uuid import UUID

import msgspec

from ingest_service.plans.limits import Family, Limits, Measure
from ingest_service.plans.plan import (
    Activity,
    Confirm,
    Fact,
    FailedAttempts,
    OnRed,
    Oxygen,
    Part,
    Pause,
    Plan,
    Risk,
    RuleSettings,
    Silence,
    Target,
    TemporaryLimits,
    Usual,
)
from ingest_service.plans.tightening import (
    is_crossed,
    rules_of_both,
    tighter_confirm,
    tightest,
)
from ingest_service.plans.windows import Condition

_RISKS = (Risk.LOW, Risk.MEDIUM, Risk.HIGH)
_FAMILY = {
    Measure.SYSTOLIC: Family.BLOOD_PRESSURE,
    Measure.DIASTOLIC: Family.BLOOD_PRESSURE,
    Measure.PULSE: Family.PULSE,
    Measure.SPO2: Family.SPO2,
    Measure.BODY_WEIGHT: Family.BODY_WEIGHT,
}


def merged(plans: Sequence[Plan], *, lead_unit: UUID | None = None) -> Plan | None:
    """Return one plan of several of one patient, in any order; one alone as it is.

    Args:
        plans: Those in force.
        lead_unit: The patient's care unit. Its plan leads: id, version, language and what is done
            on red are its own first. Without one of its own, the plan that began first leads.
    """
    if len(plans) <= 1:
        return plans[0] if plans else None
    parts = sorted(plans, key=lambda p: (p.care_unit_id != lead_unit, p.since, str(p.id)))
    lead = parts[0]
    ends = [part.until for part in parts if part.until is not None]
    return msgspec.structs.replace(
        lead,
        care_unit_id=lead_unit or lead.care_unit_id,
        programme=" + ".join(part.programme for part in parts)[:100],
        since=min(part.since for part in parts),
        until=max(ends) if len(ends) == len(parts) else None,
        risk=max((part.risk for part in parts), key=_RISKS.index),
        facts=_facts(parts),
        oxygen=_oxygen(parts),
        activities=_activities(parts),
        targets=_targets(parts),
        limits=tightest([part.limits for part in parts]),
        limits_when=_limits_when(parts),
        temporary=_temporary(parts),
        usual=_usual(parts),
        confirm=_confirm(parts),
        rules=rules_of_both((_word(part), rule) for part in parts for rule in _rules(part)),
        on_red=_on_red(parts),
        pauses=_pauses(parts),
        kin_language=next((part.kin_language for part in parts if part.kin_language), None),
        merged_from=tuple(
            Part(id=part.id, version=part.version, programme=part.programme) for part in parts
        ),
    )


def conflicts(plans: Sequence[Plan]) -> list[str]:
    """Return which measures' limits leave no value between them once the plans are merged."""
    both = merged(plans)
    return [] if both is None else [m for m, limits in both.limits.items() if is_crossed(limits)]


def _word(part: Plan) -> str:
    """Return what stands behind the id of a rule that another plan's rule has too."""
    word = re.sub(r"[^a-z0-9]+", "-", part.programme.lower()).strip("-")[:12]
    return f"{word}-{part.id.hex[:4]}"


def _facts(parts: Sequence[Plan]) -> dict[Fact, bool]:
    stated = {fact for part in parts for fact in part.facts}
    return {fact: any(part.facts.get(fact) for part in parts) for fact in sorted(stated)}


def _oxygen(parts: Sequence[Plan]) -> Oxygen:
    stated = [part.oxygen for part in parts if part.oxygen.is_used is not None]
    if len({each.is_used for each in stated}) != 1:
        return Oxygen()  # not stated, or contradictory: then no scale is assumed (A13)
    return next((each for each in stated if each.litres_per_min is not None), stated[0])


def _activities(parts: Sequence[Plan]) -> tuple[Activity, ...]:
    first = min(part.since for part in parts)
    found: dict[str, Activity] = {}
    for part in parts:
        for activity in part.activities:
            since = part.since_of(activity)
            given = msgspec.structs.replace(activity, since=None)
            key = msgspec.json.encode(given).decode()
            known = found.get(key)
            begins = since if known is None else min(since, known.since or first)
            found[key] = msgspec.structs.replace(given, since=None if begins == first else begins)
    return tuple(found.values())


def _targets(parts: Sequence[Plan]) -> dict[Measure, Target]:
    return {
        measure: target for part in reversed(parts) for measure, target in part.targets.items()
    }


def _limits_when(parts: Sequence[Plan]) -> dict[Condition, dict[Measure, Limits]]:
    conditions = {condition for part in parts for condition in part.limits_when}
    return {
        condition: tightest([part.limits_at(part.since, condition) for part in parts])
        for condition in sorted(conditions)
    }


def _temporary(parts: Sequence[Plan]) -> tuple[TemporaryLimits, ...]:
    """Return for each time in which some part has other limits what the parts are together."""
    found: list[TemporaryLimits] = []
    for measure in Measure:
        of_measure = [each for part in parts for each in part.temporary if each.measure is measure]
        bounds = sorted({at for each in of_measure for at in (each.since, each.until)})
        for since, until in pairwise(bounds):
            holding = [each for each in of_measure if each.since <= since < each.until]
            if holding:
                limits = tightest([part.limits_at(since) for part in parts])
                found.append(
                    TemporaryLimits(
                        measure=measure,
                        limits=limits[measure],
                        since=since,
                        until=until,
                        by=holding[0].by,
                        reason="; ".join(dict.fromkeys(e.reason for e in holding))[:2000],
                    )
                )
    return tuple(found)


def _usual(parts: Sequence[Plan]) -> tuple[Usual, ...]:
    """Return each usual range; where two plans state one, what they agree on, else the lead's."""
    found: dict[tuple[str, str], Usual] = {}
    for part in parts:
        for each in part.usual:
            key = each.measure, each.part_of_day or ""
            known = found.setdefault(key, each)
            low, high = max(known.low, each.low), min(known.high, each.high)
            if low <= high:
                found[key] = msgspec.structs.replace(known, low=low, high=high)
    return tuple(found.values())


def _confirm(parts: Sequence[Plan]) -> dict[Family, Confirm]:
    """Return how each family is confirmed by those plans that limit it."""
    found: dict[Family, Confirm] = {}
    for part in parts:
        limited = {_FAMILY[measure] for measure in part.limits} | set(part.confirm)
        for family in sorted(limited):
            given = part.confirm_of(family)
            found[family] = tighter_confirm(found.get(family, given), given)
    return found


def _rules(part: Plan) -> tuple[RuleSettings, ...]:
    """Return a part's rules, with what holds where a plan says nothing of it."""
    implied: list[RuleSettings] = []
    if not any(isinstance(rule, FailedAttempts) for rule in part.rules):
        implied.append(FailedAttempts())
    has_windows = any(activity.windows for activity in part.activities)
    if has_windows and not any(isinstance(rule, Silence) for rule in part.rules):
        implied.append(Silence())
    return (*part.rules, *implied)


def _on_red(parts: Sequence[Plan]) -> OnRed | None:
    stated = [(part, part.on_red) for part in parts if part.on_red is not None]
    if not stated:
        return None
    return OnRed(
        in_hours=_together([(part, on_red.in_hours) for part, on_red in stated]) or "-",
        out_of_hours=_together([(part, on_red.out_of_hours) for part, on_red in stated]),
        tell_patient=any(on_red.tell_patient for _, on_red in stated),
        tell_kin=any(on_red.tell_kin for _, on_red in stated),
    )


def _together(texts: Sequence[tuple[Plan, str | None]]) -> str | None:
    given = {text: part for part, text in reversed(texts) if text}
    if len(given) <= 1:
        return next(iter(given), None)
    ordered = dict.fromkeys(text for _, text in texts if text)
    return "\n".join(f"{given[text].programme}: {text}" for text in ordered)


def _pauses(parts: Sequence[Plan]) -> tuple[Pause, ...]:
    """Return when all parts pause: what one programme expects is expected."""
    return reduce(_both, (part.pauses for part in parts[1:]), parts[0].pauses)


def _both(one: Sequence[Pause], other: Sequence[Pause]) -> tuple[Pause, ...]:
    return tuple(
        msgspec.structs.replace(
            first, since=max(first.since, second.since), until=_earlier(first.until, second.until)
        )
        for first in one
        for second in other
        if _is_before(max(first.since, second.since), _earlier(first.until, second.until))
    )


def _earlier(one: datetime | None, other: datetime | None) -> datetime | None:
    return min((each for each in (one, other) if each is not None), default=None)


def _is_before(since: datetime, until: datetime | None) -> bool:
    return until is None or since < until
