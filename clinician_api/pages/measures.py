"""How the unit's alerts did, in words: how many, how soon taken, which rules are loud."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from babel.numbers import format_decimal, format_percent

from clinician_api.pages import outcomes
from clinician_api.pages.times import Reader
from ingest_service.alerts.outcomes import OUTCOMES
from ingest_service.store.measures import Measures

_NOISIEST: Final = 10
_ORDER: Final = ("red", "yellow", "blue")


@dataclass(frozen=True, slots=True)
class Taken:
    """How soon alerts of a priority were taken."""

    priority: str
    times: int
    median: str
    nine_in_ten: str


@dataclass(frozen=True, slots=True)
class Rule:
    """How often a rule came before a person."""

    rule: str
    priority: str
    times: int
    patients: int
    late: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """The figures of a time; shares are empty where there is nothing to share."""

    days: int
    total: int
    per_100_days: str
    patient_days: str
    late: str
    true_share: str
    taken: Sequence[Taken]
    rules: Sequence[Rule]
    outcomes: Sequence[tuple[str, int]]


def page(found: Measures, reader: Reader, *, days: int) -> Page:
    """Return the figures for one reader; blue informs and is not counted among what called."""
    calling = [one for one in found.rules if one.priority != "blue"]
    total, late = sum(one.times for one in calling), sum(one.late for one in calling)
    known = [(OUTCOMES[code].is_true, times) for code, times in found.outcomes if code in OUTCOMES]
    judged = [(is_true, times) for is_true, times in known if is_true is not None]
    true = sum(times for is_true, times in judged if is_true)
    return Page(
        days=days,
        total=total,
        per_100_days=_number(100 * total / found.patient_days, reader)
        if found.patient_days
        else "",
        patient_days=_number(found.patient_days, reader),
        late=_share(late, total, reader),
        true_share=_share(true, sum(times for _, times in judged), reader),
        taken=[
            Taken(
                one.priority,
                one.times,
                reader.length(timedelta(seconds=one.median_s)),
                reader.length(timedelta(seconds=one.nine_in_ten_s)),
            )
            for one in sorted(found.taken, key=lambda one: _ORDER.index(one.priority))
        ],
        rules=[
            Rule(
                rule=one.rule,
                priority=one.priority,
                times=one.times,
                patients=one.patients,
                late=_share(one.late, one.times, reader),
            )
            for one in found.rules[:_NOISIEST]
        ],
        outcomes=[
            (outcomes.word(reader.catalogue, code), times) for code, times in found.outcomes
        ],
    )


def _number(value: float, reader: Reader) -> str:
    return format_decimal(round(value, 1), locale=reader.catalogue.locale)


def _share(some: int, every: int, reader: Reader) -> str:
    return format_percent(some / every, locale=reader.catalogue.locale) if every else ""
