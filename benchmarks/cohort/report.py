"""Rules beside the plain limit over a cohort: figures, and whether the aim is met."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from statistics import median
from typing import Final

import msgspec

from benchmarks.cohort.confidence import Interval, percentile, ratio_interval, wilson
from benchmarks.cohort.outcomes import Finding, Found, Outcome

#: The aim: at most this part of the plain limit's alerts …
LARGEST_SHARE: Final = 1 / 3
#: … and a red at most so much later than the plain limit's.
LATEST: Final = timedelta(minutes=30)
_P90: Final = 0.9


class Detected(msgspec.Struct, frozen=True, kw_only=True):
    """How one way of judging found deteriorations of one kind.

    Delays are minutes from the course's crossing to the first alert that reaches a person; below
    zero is before the crossing. ``as_red`` counts those found by a red.
    """

    found: int
    sensitivity: float | None
    interval: Interval | None
    median_min: float | None
    p90_min: float | None
    as_red: int
    red_median_min: float | None
    red_p90_min: float | None
    misses: Mapping[str, int]


class Lag(msgspec.Struct, frozen=True, kw_only=True):
    """How much later than the plain limit's red ours comes, where that finds a red.

    ``within`` counts those where our red comes at most 30 minutes later, or earlier;
    ``reached_within`` those where any alert of ours does; ``never`` those without a red of ours.
    """

    pairs: int
    within: int
    interval: Interval | None
    reached_within: int
    never: int
    median_min: float | None
    p90_min: float | None
    worst_min: float | None


class Chance(msgspec.Struct, frozen=True, kw_only=True):
    """How often as long a time just before, with nothing wrong in it, has an alert all the same.

    Whoever alerts every day finds everything: a sensitivity means no more than it exceeds this by.
    """

    of: int
    rules: int
    plain: int


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of deterioration, or all."""

    kind: str
    count: int
    reds: int
    rules: Detected
    plain: Detected
    only_rules: int
    only_plain: int
    chance: Chance
    lag: Lag
    is_as_sensitive: bool
    is_as_quick: bool


class Burden(msgspec.Struct, frozen=True, kw_only=True):
    """Alerts that reach a person.

    ``plain`` is every reading beyond the limits, which the aim is judged against; ``plain_daily``
    the same where one alert of a patient and family silences it for 24 hours. ``share`` is that of
    ``plain``; ``share_of_false`` the same outside deteriorations, of which a cohort may have more
    than nature.
    """

    programme: str
    patients: int
    patient_days: float
    readings: int
    alerts: int
    reds: int
    false: int
    plain: int
    plain_reds: int
    plain_false: int
    plain_daily: int
    per_day: float
    plain_per_day: float
    plain_daily_per_day: float
    false_per_day: float
    share: float | None
    interval: Interval | None
    share_of_false: float | None
    share_of_daily: float | None
    requests: int
    answered: int


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """What one rule brings before a person, over the whole cohort."""

    rule: str
    alerts: int
    reds: int
    false: int
    per_day: float


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is told; ``is_met`` is the whole aim."""

    kinds: tuple[Kind, ...]
    every: Kind
    programmes: tuple[Burden, ...]
    whole: Burden
    rules: tuple[Rule, ...]
    is_share_met: bool
    is_met: bool


def report(outcomes: Sequence[Outcome], *, resamples: int, seed: int) -> Report:
    """Return the figures of a cohort.

    Args:
        outcomes: One for each patient.
        resamples: Of the bootstrap over patients.
        seed: Of the bootstrap.
    """
    found = [one for outcome in outcomes for one in outcome.found]
    names = sorted({one.truth.kind for one in found})
    kinds = tuple(_kind(name, [one for one in found if one.truth.kind == name]) for name in names)

    def burden(name: str, of: Sequence[Outcome]) -> Burden:
        return _burden(name, of, resamples=resamples, seed=seed)

    programmes = sorted({one.programme for one in outcomes})
    whole = burden("all", outcomes)
    is_share_met = whole.share is not None and whole.share <= LARGEST_SHARE
    return Report(
        kinds=kinds,
        every=_kind("all", found),
        programmes=tuple(
            burden(name, [one for one in outcomes if one.programme == name]) for name in programmes
        ),
        whole=whole,
        rules=_rules(outcomes),
        is_share_met=is_share_met,
        is_met=is_share_met and all(one.is_as_sensitive and one.is_as_quick for one in kinds),
    )


def _kind(name: str, found: Sequence[Found]) -> Kind:
    reds = sum(one.truth.crossed_red_at is not None for one in found)
    rules = _detected(found, lambda one: one.rules)
    plain = _detected(found, lambda one: one.plain)
    lag = _lag(found)
    return Kind(
        kind=name,
        count=len(found),
        reds=reds,
        rules=rules,
        plain=plain,
        only_rules=sum(one.rules.at is not None and one.plain.at is None for one in found),
        only_plain=sum(one.rules.at is None and one.plain.at is not None for one in found),
        chance=_chance(found),
        lag=lag,
        is_as_sensitive=rules.found >= plain.found,
        is_as_quick=lag.within == lag.pairs,
    )


def _detected(found: Sequence[Found], of: Callable[[Found], Finding]) -> Detected:
    delays = [_min(at, one.truth.crossed_at) for one in found if (at := of(one).at) is not None]
    red_delays = [
        _min(at, crossed)
        for one in found
        if (crossed := one.truth.crossed_red_at) is not None and (at := of(one).red_at) is not None
    ]
    misses = Counter(str(miss) for one in found if (miss := of(one).miss) is not None)
    return Detected(
        found=len(delays),
        sensitivity=len(delays) / len(found) if found else None,
        interval=wilson(len(delays), len(found)),
        median_min=median(delays) if delays else None,
        p90_min=percentile(delays, _P90),
        as_red=len(red_delays),
        red_median_min=median(red_delays) if red_delays else None,
        red_p90_min=percentile(red_delays, _P90),
        misses=dict(sorted(misses.items())),
    )


def _chance(found: Sequence[Found]) -> Chance:
    shams = [one.by_chance for one in found if one.by_chance is not None]
    return Chance(
        of=len(shams),
        rules=sum(rules for rules, _ in shams),
        plain=sum(plain for _, plain in shams),
    )


def _lag(found: Sequence[Found]) -> Lag:
    pairs = [(one, at) for one in found if (at := one.plain_red_at) is not None]
    lags = [_min(ours, at) for one, at in pairs if (ours := one.rules.red_at) is not None]
    latest_min = LATEST / timedelta(minutes=1)
    within = sum(lag <= latest_min for lag in lags)
    return Lag(
        pairs=len(pairs),
        within=within,
        interval=wilson(within, len(pairs)),
        reached_within=sum(
            ours - at <= LATEST for one, at in pairs if (ours := one.rules.at) is not None
        ),
        never=len(pairs) - len(lags),
        median_min=median(lags) if lags else None,
        p90_min=percentile(lags, _P90),
        worst_min=max(lags, default=None),
    )


def _burden(name: str, outcomes: Sequence[Outcome], *, resamples: int, seed: int) -> Burden:
    days = sum(one.days for one in outcomes)
    alerts = sum(one.alerts for one in outcomes)
    plain = sum(one.plain for one in outcomes)
    daily = sum(one.plain_daily for one in outcomes)
    false = sum(one.false for one in outcomes)
    plain_false = sum(one.plain_false for one in outcomes)
    return Burden(
        programme=name,
        patients=len(outcomes),
        patient_days=days,
        readings=sum(one.readings for one in outcomes),
        alerts=alerts,
        reds=sum(one.reds for one in outcomes),
        false=false,
        plain=plain,
        plain_reds=sum(one.plain_reds for one in outcomes),
        plain_false=plain_false,
        plain_daily=daily,
        per_day=alerts / days if days else 0.0,
        plain_per_day=plain / days if days else 0.0,
        plain_daily_per_day=daily / days if days else 0.0,
        false_per_day=false / days if days else 0.0,
        share=alerts / plain if plain else None,
        interval=ratio_interval(
            [(one.alerts, one.plain) for one in outcomes], resamples=resamples, seed=seed
        ),
        share_of_false=false / plain_false if plain_false else None,
        share_of_daily=alerts / daily if daily else None,
        requests=sum(one.requests for one in outcomes),
        answered=sum(one.answered for one in outcomes),
    )


def _rules(outcomes: Sequence[Outcome]) -> tuple[Rule, ...]:
    """Return the rules, the one that brings most first."""
    days = sum(one.days for one in outcomes)
    names = {name for one in outcomes for name in one.rules}
    rules: list[Rule] = []
    for name in sorted(names):
        tallies = [one.rules[name] for one in outcomes if name in one.rules]
        alerts = sum(one.alerts for one in tallies)
        rules.append(
            Rule(
                rule=name,
                alerts=alerts,
                reds=sum(one.reds for one in tallies),
                false=sum(one.false for one in tallies),
                per_day=alerts / days if days else 0.0,
            )
        )
    return tuple(sorted(rules, key=lambda one: -one.alerts))


def _min(later: datetime, earlier: datetime) -> float:
    return (later - earlier) / timedelta(minutes=1)
