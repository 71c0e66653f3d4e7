"""A report as lines for a person."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from benchmarks.cohort.confidence import Interval
from benchmarks.cohort.report import Burden, Detected, Kind, Report, Rule

_HOUR_MIN: Final = 60
_DAY_MIN: Final = 24 * 60
_NONE: Final = "-"
AIM: Final = (
    "Aim: at most a third of the alerts of a plain single-reading limit (each reading beyond the "
    "same limits is an alert), at no lower sensitivity, and a red no later than 30 minutes after "
    "its first red from the crossing on."
)


def lines(report: Report, *, has_rules: bool) -> Iterator[str]:
    """Yield the report; without rules' alerts only the plain limit is told of."""
    whole = report.whole
    yield (
        f"{whole.patients} patients, {whole.patient_days:.0f} patient-days, "
        f"{whole.readings} readings, {report.every.count} deteriorations"
    )
    yield ""
    yield "Alerts that reach a person, per 100 patient-days"
    yield from _table(
        (
            "programme",
            "patients",
            "rules",
            "false",
            "red",
            "plain",
            "plain/24 h",
            "share (95 %)",
            "of false",
        ),
        [_burden(one, has_rules=has_rules) for one in (*report.programmes, whole)],
    )
    if has_rules:
        yield ""
        yield "What the rules bring before a person, per 100 patient-days"
        yield from _table(
            ("rule", "alerts", "of them red", "false"),
            [_rule(one, whole.patient_days) for one in report.rules],
        )
    yield ""
    yield "Sensitivity (95 %) and delay from the crossing of a limit, median and 90 %"
    yield "(chance: as long a time just before, with nothing wrong in it, had an alert too)"
    yield from _table(
        (
            "deterioration",
            "n",
            "rules",
            "chance",
            "delay",
            "plain",
            "chance",
            "delay",
            "only rules",
            "only plain",
        ),
        [_kind(one, has_rules=has_rules) for one in (*report.kinds, report.every)],
    )
    yield ""
    yield "Reds: delay from the crossing of the red limit, and how much later than the plain limit"
    yield "(any: an alert of any level reached a person at most 30 minutes later)"
    yield from _table(
        (
            "deterioration",
            "n",
            "rules red",
            "delay",
            "plain red",
            "delay",
            "≤ 30 min",
            "any",
            "lag",
            "worst",
            "never",
        ),
        [_red(one, has_rules=has_rules) for one in (*report.kinds, report.every) if one.reds],
    )
    yield ""
    yield "Misses by cause"
    for one in (*report.kinds, report.every):
        rules = f"rules {_misses(one.rules.misses)}; " if has_rules else ""
        yield f"  {one.kind}: {rules}plain {_misses(one.plain.misses)}"
    if has_rules:
        yield ""
        yield from _verdict(report)


def _verdict(report: Report) -> Iterator[str]:
    yield AIM
    whole = report.whole
    share = _NONE if whole.share is None else f"{100 * whole.share:.1f} %"
    interval = _interval(whole.interval)
    yield f"  alerts: {share} of the plain limit's{interval}: {_met(report.is_share_met)}"
    for one in report.kinds:
        yield (
            f"  {one.kind}: sensitivity {_share(one.rules)} beside {_share(one.plain)}: "
            f"{_met(one.is_as_sensitive)}; red within 30 minutes {one.lag.within} of "
            f"{one.lag.pairs}: {_met(one.is_as_quick)}"
        )
    yield f"The aim as a whole: {_met(report.is_met)}"


def _burden(one: Burden, *, has_rules: bool) -> tuple[str, ...]:
    hundred = 100 / one.patient_days if one.patient_days else 0.0

    def rate(count: int) -> str:
        return f"{count * hundred:.2f}"

    share = _NONE if one.share is None else f"{one.share:.2f}{_interval(one.interval)}"
    return (
        one.programme,
        str(one.patients),
        rate(one.alerts) if has_rules else _NONE,
        rate(one.false) if has_rules else _NONE,
        rate(one.reds) if has_rules else _NONE,
        f"{rate(one.plain)} ({rate(one.plain_false)} false, {rate(one.plain_reds)} red)",
        rate(one.plain_daily),
        share if has_rules else _NONE,
        _NONE if one.share_of_false is None or not has_rules else f"{one.share_of_false:.2f}",
    )


def _rule(one: Rule, days: float) -> tuple[str, ...]:
    return one.rule, *(f"{100 * count / days:.2f}" for count in (one.alerts, one.reds, one.false))


def _kind(one: Kind, *, has_rules: bool) -> tuple[str, ...]:
    return (
        one.kind,
        str(one.count),
        _sensitivity(one.rules) if has_rules else _NONE,
        _part(one.chance.rules, one.chance.of) if has_rules else _NONE,
        _delay(one.rules.median_min, one.rules.p90_min),
        _sensitivity(one.plain),
        _part(one.chance.plain, one.chance.of),
        _delay(one.plain.median_min, one.plain.p90_min),
        str(one.only_rules) if has_rules else _NONE,
        str(one.only_plain) if has_rules else _NONE,
    )


def _red(one: Kind, *, has_rules: bool) -> tuple[str, ...]:
    lag = one.lag
    return (
        one.kind,
        str(one.reds),
        str(one.rules.as_red) if has_rules else _NONE,
        _delay(one.rules.red_median_min, one.rules.red_p90_min),
        str(one.plain.as_red),
        _delay(one.plain.red_median_min, one.plain.red_p90_min),
        f"{lag.within}/{lag.pairs}{_interval(lag.interval)}" if has_rules else _NONE,
        f"{lag.reached_within}/{lag.pairs}" if has_rules else _NONE,
        _delay(lag.median_min, lag.p90_min),
        spoken(lag.worst_min),
        str(lag.never) if has_rules else _NONE,
    )


def spoken(minutes: float | None) -> str:
    """Return a duration in the largest unit that fits."""
    if minutes is None:
        return _NONE
    size = abs(minutes)
    if size < _HOUR_MIN:
        return f"{minutes:.0f} min"
    if size < 2 * _DAY_MIN:
        return f"{minutes / _HOUR_MIN:.1f} h"
    return f"{minutes / _DAY_MIN:.1f} d"


def _delay(middle: float | None, most: float | None) -> str:
    return _NONE if middle is None else f"{spoken(middle)}, {spoken(most)}"


def _sensitivity(one: Detected) -> str:
    return f"{_share(one)}{_interval(one.interval)}"


def _share(one: Detected) -> str:
    return _NONE if one.sensitivity is None else f"{one.sensitivity:.2f}"


def _interval(interval: Interval | None) -> str:
    return "" if interval is None else f" ({interval[0]:.2f} to {interval[1]:.2f})"


def _part(count: int, of: int) -> str:
    return f"{count / of:.2f}" if of else _NONE


def _misses(misses: Mapping[str, int]) -> str:
    return ", ".join(f"{cause} {count}" for cause, count in misses.items()) or "none"


def _met(is_met: bool) -> str:
    return "met" if is_met else "not met"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(len(row[place]) for row in (head, *rows)) for place in range(len(head))]
    for row in (head, *rows):
        yield (
            "  "
            + "  ".join(
                cell.ljust(width) for cell, width in zip(row, widths, strict=True)
            ).rstrip()
        )
