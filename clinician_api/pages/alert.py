"""One alert in words: who and why, what was measured, what can be done, what has happened."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Final
from uuid import UUID, uuid4

from markupsafe import Markup

from clinician_api.pages import chart, outcomes, timeline, values, worklist
from clinician_api.pages.people import Person, person
from clinician_api.pages.sparkline import Point
from clinician_api.pages.timeline import Line
from clinician_api.pages.times import Reader
from clinician_api.pages.values import Value
from clinician_api.pages.worklist import Told
from clinician_api.services.alerts import Opened
from clinician_api.services.worklist import CODE_OF_RULE, TREND
from ingest_service.alerts.acting import UNDO_WITHIN
from ingest_service.alerts.response import LONGEST_PAUSE
from ingest_service.plans.limits import Level, Limits, Measure
from ingest_service.plans.plan import Plan
from ingest_service.store.answers import PastAnswers
from ingest_service.store.opened import OpenedAlert
from ingest_service.wording import sentences

_PAUSES_MIN: Final = (15, 30, 60, 120, 240, 480, 1440)


@dataclass(frozen=True, slots=True)
class Reading:
    """One measurement of the patient, whatever was measured."""

    name: str
    value: Value


@dataclass(frozen=True, slots=True)
class Pause:
    """A length that an alert may rest."""

    minutes: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Pane:
    """What a nurse sees of one alert, and what she may do to it.

    ``state`` is the alert's; ``is_mine`` tells that the reader owns it. ``left`` is the time until
    it is due, or by how much it is over (``is_late``). ``undo_s`` are the seconds for which the
    reader may take their last action back. ``action_id`` goes with whatever form is sent: twice
    the same is done once.
    """

    id: UUID
    version: int
    action_id: UUID
    patient_id: UUID
    person: Person
    priority: str
    state: str
    told: Told
    waited: str
    left: str
    is_late: bool
    owner: str
    is_mine: bool
    paused_until: str
    pause_reason: str
    outcome: str
    chart: Markup
    chart_name: str
    readings: Sequence[Reading]
    answers: Sequence[tuple[str, str, str]]
    on_red: tuple[str, str] | None
    oxygen: str
    target: str
    plan_line: str
    undo_s: int
    pauses: Sequence[Pause]
    outcomes: Sequence[tuple[str, str]]
    timeline: Sequence[Line]
    others: Sequence[UUID]
    is_own: bool

    @property
    def is_open(self) -> bool:
        """Tell whether somebody still has to deal with it."""
        return self.state != "resolved"


def pane(found: Opened, reader: Reader, *, hsa_id: str) -> Pane:
    """Return an alert as words for one reader.

    Args:
        found: What was read.
        reader: Language, zone and time.
        hsa_id: Who reads.
    """
    alert = found.alert
    due = alert.paused_until or alert.due_at
    span = None if due is None else due - reader.now
    plan = found.plan
    return Pane(
        id=alert.id,
        version=alert.version,
        action_id=uuid4(),
        patient_id=found.patient.id,
        person=person(found.patient, reader),
        priority=alert.priority,
        state=alert.state,
        told=worklist.told(
            reader.catalogue,
            alert.rule,
            alert.limits,
            alert.readings,
            alert.facts,
            zone=reader.zone,
        ),
        waited="" if alert.raised_at is None else reader.length(reader.now - alert.raised_at),
        left="" if span is None else reader.length(abs(span)),
        is_late=span is not None and span < timedelta(0),
        owner=timeline.name(found.names, alert.owner) if alert.owner else "",
        is_mine=alert.owner == hsa_id,
        paused_until=reader.moment(alert.paused_until) if alert.paused_until else "",
        pause_reason=alert.pause_reason or "",
        outcome=outcomes.word(reader.catalogue, alert.outcome) if alert.outcome else "",
        chart=_chart(found, reader),
        chart_name=values.name(reader.catalogue, CODE_OF_RULE.get(alert.rule, "")),
        readings=_readings(found, reader),
        answers=answered(found.answers, reader),
        on_red=on_red(plan),
        oxygen=oxygen(plan, reader),
        target=target(plan, reader),
        plan_line=plan_line(plan, found.names, reader),
        undo_s=_undo_s(alert, reader, hsa_id),
        pauses=_pauses(alert, reader),
        outcomes=outcomes.choices(reader.catalogue, alert.priority),
        timeline=[timeline.line(each, found.names, reader) for each in found.events],
        others=found.others,
        is_own=found.is_own,
    )


def _chart(found: Opened, reader: Reader) -> Markup:
    if found.trend is None:
        return Markup("")
    measure = values.MEASURES[found.trend.code][0]
    limits = found.plan.limits_at(reader.now).get(measure) if found.plan else None
    points = [
        Point(at, value) for at, value in zip(found.trend.times, found.trend.values, strict=True)
    ]
    return chart.draw(
        points,
        limits or Limits(),
        start=reader.now - TREND,
        end=reader.now,
        label=worklist.chart_label(reader.catalogue, found.trend.code, points),
        reader=reader,
    )


def _readings(found: Opened, reader: Reader) -> list[Reading]:
    limits = found.plan.limits_at(reader.now) if found.plan else {}
    return [
        Reading(values.name(reader.catalogue, row.code), values.shown(row, limits, reader))
        for row in found.readings
    ]


def answered(given: Sequence[PastAnswers], reader: Reader) -> list[tuple[str, str, str]]:
    """Return each question's newest answer, what it was before, and when it was given."""
    newest: dict[str, tuple[Decimal, Decimal | None, str]] = {}
    for past in sorted(given, key=lambda one: one.answered_at):
        for question, value in past.values.items():
            before = newest[question][0] if question in newest else None
            newest[question] = value, before, reader.moment(past.answered_at)
    _ = reader.catalogue.gettext
    rows: list[tuple[str, str, str]] = []
    for question, (value, before, moment) in sorted(newest.items()):
        text = sentences.number(reader.catalogue, value)
        if before is not None and before != value:
            text = _("%(value)s, was %(before)s") % {
                "value": text,
                "before": sentences.number(reader.catalogue, before),
            }
        rows.append((question, text, moment))
    return rows


def on_red(plan: Plan | None) -> tuple[str, str] | None:
    """Return what the plan says to do on red, in and out of hours, in the clinician's words."""
    if plan is None or plan.on_red is None:
        return None
    return plan.on_red.in_hours, plan.on_red.out_of_hours or ""


def oxygen(plan: Plan | None, reader: Reader) -> str:
    """Return what the plan states of oxygen at home; nothing where it does not."""
    _ = reader.catalogue.gettext
    given = plan.oxygen if plan else None
    if given is None or given.is_used is None:
        return ""
    if not given.is_used:
        return _("no oxygen at home")
    if given.litres_per_min is None:
        return _("oxygen at home")
    return _("oxygen at home, %(litres)s l/min") % {
        "litres": sentences.number(reader.catalogue, given.litres_per_min)
    }


def target(plan: Plan | None, reader: Reader) -> str:
    """Return the saturation that is aimed at."""
    given = plan.targets.get(Measure.SPO2) if plan else None
    if given is None:
        return ""
    low, high = (
        "" if one is None else sentences.number(reader.catalogue, one)
        for one in (given.low, given.high)
    )
    return f"{low}\N{EN DASH}{high} %".strip()


def plan_line(plan: Plan | None, names: Mapping[str, str], reader: Reader) -> str:
    """Return by which version of the plan the patient is judged, and who approved it."""
    _ = reader.catalogue.gettext
    if plan is None:
        return _("No plan is in force: nothing is judged.")
    if plan.approval is None:
        return ""
    return _("Plan version %(version)d, approved %(moment)s by %(who)s") % {
        "version": plan.version,
        "moment": reader.moment(plan.approval.at),
        "who": timeline.name(names, plan.approval.by),
    }


def _undo_s(alert: OpenedAlert, reader: Reader, hsa_id: str) -> int:
    if alert.undo_by != hsa_id or alert.undo_at is None:
        return 0
    left = alert.undo_at + UNDO_WITHIN - reader.now
    return max(0, int(left.total_seconds()))


def _pauses(alert: OpenedAlert, reader: Reader) -> list[Pause]:
    longest = LONGEST_PAUSE[Level(alert.priority)]
    return [
        Pause(minutes, reader.length(timedelta(minutes=minutes)))
        for minutes in _PAUSES_MIN
        if timedelta(minutes=minutes) <= longest
    ]
