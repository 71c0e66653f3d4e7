"""The ordered passage of time: everything that happens by itself, each at its own time.

A run that comes late, twice, or after a clock's jump does the same as one that came in time: what
is due is taken in the order of its times, and is not due any more afterwards.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Final, Protocol

from ingest_service.alerts import latch, life
from ingest_service.alerts.case import Case
from ingest_service.alerts.finding import Finding
from ingest_service.alerts.rules import missed, silence, unmonitored
from ingest_service.plans.plan import Plan
from ingest_service.plans.wall_clock import zone_named
from ingest_service.protocols import library
from ingest_service.protocols.issuing import next_end


class TimeRule(Protocol):
    """Something that time alone brings about."""

    def next_at(self, case: Case, after: datetime) -> datetime | None:
        """Return when it next happens: later than ``after``, or overdue."""
        ...

    def pass_at(self, case: Case, at: datetime) -> None:
        """Let it happen; afterwards it is not due at that time any more."""
        ...


class JudgesTime(Protocol):
    """A module of `rules` that judges instants."""

    def next_at(self, case: Case, after: datetime) -> datetime | None:
        """Return the next instant that it judges, later than ``after``."""
        ...

    def judge(self, case: Case, *, at: datetime) -> Iterable[Finding]:
        """Return what that instant means."""
        ...


class Judged:
    """A rule over time, whose findings the latch joins."""

    def __init__(self, rule: JudgesTime) -> None:
        self._rule = rule

    def next_at(self, case: Case, after: datetime) -> datetime | None:
        """Return the next instant that the rule judges."""
        return self._rule.next_at(case, after)

    def pass_at(self, case: Case, at: datetime) -> None:
        """Judge that instant."""
        for finding in self._rule.judge(case, at=at):
            latch.join(case, finding, now=at)


class Confirmation:
    """A second value that was asked for and did not come in time (A4)."""

    def next_at(self, case: Case, after: datetime) -> datetime | None:
        """Return the earliest time-out; one that has passed is overdue."""
        del after
        return min(
            (one.confirm_by for one in case.alerts.values() if one.confirm_by is not None),
            default=None,
        )

    def pass_at(self, case: Case, at: datetime) -> None:
        """Let every alert whose time is out be red without a second value."""
        for alert in list(case.alerts.values()):
            if alert.confirm_by is not None and alert.confirm_by <= at:
                latch.time_out(case, alert, at=at)


class Lifetimes:
    """Alerts that nobody took or finished in time, and pauses that are over."""

    def next_at(self, case: Case, after: datetime) -> datetime | None:  # noqa: ARG002 overdue too
        """Return when time next does something to an alert."""
        dues = (life.due_of(alert) for alert in case.alerts.values())
        return min((due for due in dues if due is not None), default=None)

    def pass_at(self, case: Case, at: datetime) -> None:
        """Let what is due at that time happen to each."""
        for alert in tuple(case.alerts.values()):
            life.pass_deadline(case, alert, at)


class AverageDue:
    """The end of a protocol's day or course: an average may be complete then, and is issued."""

    def next_at(self, case: Case, after: datetime) -> datetime | None:
        """Return when the next average may be complete, if the plan wants any."""
        return min(
            (end for end in _ends(case.plan, after) if end is not None and end > after),
            default=None,
        )

    def pass_at(self, case: Case, at: datetime) -> None:
        """Do nothing: whoever drives the case issues what is due, and lets it be judged."""
        del case, at


def _ends(plan: Plan | None, after: datetime) -> Iterator[datetime | None]:
    for one in plan.activities if plan else ():
        protocol = library.newest(one.protocol) if one.protocol else None
        if plan is not None and protocol is not None:
            zone = zone_named(plan.time_zone)
            yield next_end(protocol, zone=zone, at=after, course_start=one.course_start)


#: Of single alerts, in the order in which they happen at one instant.
OF_ALERTS: Final[tuple[TimeRule, ...]] = (Confirmation(), Lifetimes())

#: Of what was to be measured; they look at what has come, so they wait for `advance`.
OF_PLANS: Final[tuple[TimeRule, ...]] = (
    Judged(missed),
    Judged(silence),
    Judged(unmonitored),
    AverageDue(),
)


def advance(case: Case, to: datetime) -> None:
    """Let time pass for a patient up to and including ``to``; back in time nothing happens."""
    _pass(case, _rules(case), to, is_judged=True)
    case.judged_through = max(case.judged_through, to)


def pass_alerts(case: Case, to: datetime) -> None:
    """Do what alerts are due for before something new is judged at ``to``.

    Whether the job that lets time pass was late makes no difference to what a reading means. What
    was to be measured is left for `advance`: the reading may be what was waited for.
    """
    _pass(case, OF_ALERTS, to, is_judged=False)


def next_due(case: Case) -> datetime | None:
    """Return when time next changes something by itself, or None: never."""
    rules = _rules(case)
    return _earliest(case, rules, [None] * len(rules))


def _rules(case: Case) -> tuple[TimeRule, ...]:
    """Return what time brings about; of somebody who has died nothing is expected."""
    return OF_ALERTS if case.is_deceased else (*OF_ALERTS, *OF_PLANS)


def _pass(case: Case, rules: tuple[TimeRule, ...], to: datetime, *, is_judged: bool) -> None:
    # A rule that stayed due at a time that it has passed would hold up time for ever.
    passed: list[datetime | None] = [None] * len(rules)
    while (at := _earliest(case, rules, passed)) is not None and at <= to:
        for number, rule in enumerate(rules):
            if _due(case, rule, passed[number]) == at:
                passed[number] = at
                rule.pass_at(case, at)
        if is_judged:
            case.judged_through = max(case.judged_through, at)


def _earliest(
    case: Case, rules: tuple[TimeRule, ...], passed: list[datetime | None]
) -> datetime | None:
    dues = (_due(case, rule, done) for rule, done in zip(rules, passed, strict=True))
    return min((due for due in dues if due is not None), default=None)


def _due(case: Case, rule: TimeRule, passed: datetime | None) -> datetime | None:
    due = rule.next_at(case, case.judged_through)
    return None if due is None or (passed is not None and due <= passed) else due
