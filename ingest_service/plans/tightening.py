"""The tighter of two settings: what alerts on everything that either would have alerted on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Final

import msgspec

from ingest_service.plans.limits import Limits, Measure
from ingest_service.plans.plan import (
    Confirm,
    FailedAttempts,
    Missed,
    RuleSettings,
    Silence,
    YellowReading,
)

_STRICTNESS: Final = (YellowReading.SHOWN, YellowReading.CONFIRMED, YellowReading.ALERTS)


def tighter(one: Limits, other: Limits) -> Limits:
    """Return limits that no value is within that is beyond either's; sooner worse, later back."""
    red_low, red_high = _most(one.red_low, other.red_low), _least(one.red_high, other.red_high)
    yellow_low = _most(one.yellow_low, other.yellow_low)
    yellow_high = _least(one.yellow_high, other.yellow_high)
    # A yellow limit that now lies beyond the red one would let what counts yellow days miss some.
    return Limits(
        red_low=red_low,
        yellow_low=yellow_low if yellow_low is None else _most(yellow_low, red_low),
        yellow_high=yellow_high if yellow_high is None else _least(yellow_high, red_high),
        red_high=red_high,
        immediate_low=_most(one.immediate_low, other.immediate_low),
        immediate_high=_least(one.immediate_high, other.immediate_high),
        hysteresis=_most(one.hysteresis, other.hysteresis),
        step=_least(one.step, other.step),
    )


def tightest(given: Sequence[Mapping[Measure, Limits]]) -> dict[Measure, Limits]:
    """Return the tighter limits of each measure that any of them limits."""
    found: dict[Measure, Limits] = {}
    for limits in given:
        for measure, each in limits.items():
            found[measure] = tighter(found[measure], each) if measure in found else each
    return dict(sorted(found.items()))


def is_crossed(limits: Limits) -> bool:
    """Tell whether every value is beyond the limits: they were meant for different patients."""
    lows = [each for each in (limits.red_low, limits.yellow_low) if each is not None]
    highs = [each for each in (limits.red_high, limits.yellow_high) if each is not None]
    return bool(lows) and bool(highs) and max(lows) > min(highs)


def tighter_confirm(one: Confirm, other: Confirm) -> Confirm:
    """Return what alerts sooner."""
    return Confirm(
        within_min=min(one.within_min, other.within_min),
        yellow=max(one.yellow, other.yellow, key=_STRICTNESS.index),
    )


def rules_of_both(rules: Iterable[tuple[str, RuleSettings]]) -> tuple[RuleSettings, ...]:
    """Return all rules, each content once; those that a plan has once become the tighter one.

    Args:
        rules: With a word that tells rules of different plans with one id apart, the lead
            plan's first.
    """
    found: dict[str, RuleSettings] = {}
    for word, rule in rules:
        key = type(rule).__name__ if isinstance(rule, _ONCE) else rule.id
        known = found.get(key)
        if known is None:
            found[key] = rule
        elif isinstance(known, _ONCE):
            found[key] = _tighter_rule(known, rule)
        elif known != rule:
            renamed = f"{rule.id}-{word}"[:40]
            found[renamed] = msgspec.structs.replace(rule, id=renamed)
    return tuple(found.values())


_ONCE: Final = (FailedAttempts, Missed, Silence)


def _tighter_rule(one: RuleSettings, other: RuleSettings) -> RuleSettings:
    match one, other:
        case FailedAttempts(), FailedAttempts():
            return FailedAttempts(
                id=one.id,
                count=min(one.count, other.count),
                within_min=max(one.within_min, other.within_min),
                level=max(one.level, other.level, key=lambda level: level.rank),
            )
        case Missed(), Missed():
            return Missed(
                id=one.id,
                count=min(one.count, other.count),
                of=max(one.of, other.of),
                is_reminding=one.is_reminding or other.is_reminding,
                level=max(one.level, other.level, key=lambda level: level.rank),
            )
        case Silence(), Silence():
            trends = [
                each.trend_after_h or each.yellow_after_h
                for each in (one, other)
                if each.red_on_trend
            ]
            reds = [each for each in (one.red_after_h, other.red_after_h) if each is not None]
            return Silence(
                id=one.id,
                yellow_after_h=min(one.yellow_after_h, other.yellow_after_h),
                red_after_h=min(reds, default=None),
                red_on_trend=one.red_on_trend or other.red_on_trend,
                trend_after_h=min(trends, default=None),
            )
        case _:
            return one


def _most(one: Decimal | None, other: Decimal | None) -> Decimal | None:
    return max((each for each in (one, other) if each is not None), default=None)


def _least(one: Decimal | None, other: Decimal | None) -> Decimal | None:
    return min((each for each in (one, other) if each is not None), default=None)
