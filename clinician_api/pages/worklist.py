"""The worklist in words: rows of the page, in the order a nurse deals with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Final
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

from markupsafe import Markup

from clinician_api.pages import facts, outcomes, sparkline, values
from clinician_api.pages.people import Person, person
from clinician_api.pages.sparkline import Point
from clinician_api.pages.times import Reader
from clinician_api.pages.values import Value
from clinician_api.services.worklist import CODE_OF_RULE, CODES, TREND, Worklist
from ingest_service.alerts.unowned import RED_WITHIN
from ingest_service.plans.limits import Limits
from ingest_service.store.worklist import ListedPatient, OpenAlert
from ingest_service.wording import sentences
from ingest_service.wording.catalogue import Catalogue

_KEPT: Final = 1000  # rows whose words and charts are kept, of all units and languages
_STEP_S: Final = 900


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What an alert's own facts say, whenever they are read."""

    sentence: str
    value: str
    unit: str
    limit: str
    doubts: tuple[str, ...]
    last_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One open alert of a patient.

    ``left`` is the time until it is due, or by how much it is over (``is_late``).
    """

    id: UUID
    version: int
    priority: str
    state: str
    waited: str
    left: str
    is_late: bool
    owner: str
    is_mine: bool
    told: Told
    late: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertRow:
    """One patient with open alerts; the first alert decides where the row stands.

    ``action_id`` goes with the row's form: sent twice it is done once.
    """

    key: str
    action_id: UUID
    person: Person
    alerts: Sequence[Alert]
    chart: Markup
    last: Value | None
    attempts: str

    @property
    def priority(self) -> str:
        """The first alert's priority."""
        return self.alerts[0].priority


@dataclass(frozen=True, slots=True, kw_only=True)
class PatientRow:
    """One patient without open alerts, with the latest value of each kind."""

    id: UUID
    person: Person
    values: Sequence[tuple[str, Value | None]]
    attempts: str
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TechnicalRow:
    """Records that no codec could read, of one patient's device."""

    person: Person
    text: str
    since: str
    moment: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """How many alerts of one kind, how many nobody has taken, how many are over their time."""

    count: int
    unseen: int
    oldest: str
    late: int


class View(StrEnum):
    """Which alerts are listed."""

    ALL = "all"
    MINE = "mine"
    FREE = "free"
    PAUSED = "paused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """The worklist's moving part."""

    day: str
    clock: str
    patients: int
    red: Tile
    yellow: Tile
    blue: Tile
    paused: int
    paused_next: str
    view: str
    counts: Mapping[str, int]
    quarantined: int
    quarantine_oldest: str
    unowned_red: int
    unowned_red_oldest: str
    unowned_red_minutes: int
    unowned_red_is_late: bool
    alert_rows: Sequence[AlertRow]
    monitored: Sequence[PatientRow]
    unmonitored: Sequence[PatientRow]
    technical: Sequence[TechnicalRow]
    action_id: UUID
    outcomes: Sequence[tuple[str, str]]
    is_cut: bool


def page(worklist: Worklist, reader: Reader, *, hsa_id: str, view: View = View.ALL) -> Page:
    """Return the worklist as words for one reader.

    Args:
        worklist: What was read.
        reader: Language, zone and time.
        hsa_id: Who reads.
        view: Which alerts are listed; patients without any stand below all the same.
    """
    of_patient = dict[UUID, list[OpenAlert]]()
    for alert in worklist.alerts:
        of_patient.setdefault(alert.patient_id, []).append(alert)
    listed = {each: [one for one in worklist.alerts if _is_in(one, each, hsa_id)] for each in View}
    shown = dict[UUID, list[OpenAlert]]()
    for alert in listed[view]:
        shown.setdefault(alert.patient_id, []).append(alert)
    paused = [one.paused_until for one in listed[View.PAUSED] if one.paused_until is not None]
    known = {patient.id: patient for patient in worklist.patients}
    others = [patient for patient in worklist.patients if patient.id not in of_patient]
    held = worklist.quarantine
    return Page(
        day=reader.day(),
        clock=reader.clock(),
        patients=worklist.unit.patients,
        red=_tile(listed[View.ALL], "red", reader),
        yellow=_tile(listed[View.ALL], "yellow", reader),
        blue=_tile(listed[View.ALL], "blue", reader),
        paused=len(paused),
        paused_next=reader.moment(min(paused)) if paused else "",
        view=view.value,
        counts={
            each.value: len({one.patient_id for one in some}) for each, some in listed.items()
        },
        quarantined=held.readings,
        quarantine_oldest=_waited(held.oldest_at, reader),
        unowned_red=held.red,
        unowned_red_oldest=_waited(held.red_since, reader),
        unowned_red_minutes=int(RED_WITHIN.total_seconds() // 60),
        unowned_red_is_late=bool(held.red_since and reader.now - held.red_since > RED_WITHIN),
        alert_rows=[
            _alert_row(worklist, known[patient_id], alerts, reader, hsa_id)
            for patient_id, alerts in shown.items()
            if patient_id in known
        ],
        monitored=[
            _patient_row(worklist, each, reader) for each in others if each.id in worklist.limits
        ],
        unmonitored=[
            _patient_row(worklist, each, reader)
            for each in others
            if each.id not in worklist.limits
        ],
        technical=_technical(worklist, known, reader),
        action_id=uuid4(),
        outcomes=outcomes.choices(reader.catalogue, "blue"),
        is_cut=worklist.is_cut,
    )


def _is_in(alert: OpenAlert, view: View, hsa_id: str) -> bool:
    """Tell whether a view lists an alert: what rests stands in one of its own."""
    match view:
        case View.ALL:
            return alert.state != "paused"
        case View.MINE:
            return alert.owner == hsa_id
        case View.FREE:
            return alert.state == "new"
        case View.PAUSED:
            return alert.state == "paused"


def _tile(alerts: Sequence[OpenAlert], priority: str, reader: Reader) -> Tile:
    these = [alert for alert in alerts if alert.priority == priority]
    return Tile(
        count=len(these),
        unseen=sum(alert.state == "new" for alert in these),
        oldest=_waited(min((alert.raised_at for alert in these), default=None), reader),
        late=sum(alert.due_at is not None and alert.due_at < reader.now for alert in these),
    )


def _waited(since: datetime | None, reader: Reader) -> str:
    return "" if since is None else reader.length(reader.now - since)


def _alert_row(
    worklist: Worklist,
    patient: ListedPatient,
    alerts: Sequence[OpenAlert],
    reader: Reader,
    hsa_id: str,
) -> AlertRow:
    latest = worklist.latest.get(patient.id, {})
    limits = worklist.limits.get(patient.id, {})
    newest = max(latest.values(), key=lambda row: row.effective_at, default=None)
    return AlertRow(
        key=str(patient.id),
        action_id=uuid4(),
        person=person(patient, reader),
        alerts=[_alert(alert, worklist.names, reader, hsa_id) for alert in alerts],
        chart=_chart(worklist, patient.id, reader),
        last=None if newest is None else values.shown(newest, limits, reader),
        attempts=_attempts(worklist, patient.id, reader),
    )


def _alert(alert: OpenAlert, names: Mapping[str, str], reader: Reader, hsa_id: str) -> Alert:
    catalogue = reader.catalogue
    found = told(
        catalogue, alert.rule, alert.limits, alert.readings, alert.facts, zone=reader.zone
    )
    late = ""
    if found.last_at is not None and alert.raised_at - found.last_at >= values.LATE:
        late = catalogue.gettext("measured %(measured)s, came %(came)s") % {
            "measured": reader.since(found.last_at),
            "came": reader.since(alert.raised_at),
        }
    due = alert.paused_until or alert.due_at
    span = None if due is None else due - reader.now
    return Alert(
        id=alert.id,
        version=alert.version,
        priority=alert.priority,
        state=alert.state,
        waited=reader.length(reader.now - alert.raised_at),
        left="" if span is None else reader.length(abs(span)),
        is_late=span is not None and span < timedelta(0),
        owner=names.get(alert.owner, alert.owner) if alert.owner else "",
        is_mine=alert.owner == hsa_id,
        told=found,
        late=late,
    )


@lru_cache(maxsize=_KEPT)  # an alert's facts never change, and pages are asked for all the time
def told(
    catalogue: Catalogue,
    rule: str,
    limits_text: str,
    readings_text: str,
    facts_text: str,
    *,
    zone: ZoneInfo,
) -> Told:
    """Return what an alert's own facts say; the three texts are JSON as they were stored."""
    limits, found = facts.limits(limits_text), facts.readings(readings_text)
    used = [reading for reading in found if not reading.is_withdrawn]
    last = used[-1] if used else None
    worst = sentences.worst(rule, limits, used) if used else None
    doubts = [each for reading in used for each in values.flags(catalogue, reading.flags)]
    if used and len(used) < len(found):
        doubts.append(sentences.taken_back(catalogue, len(found) - len(used)))
    limit = "" if worst is None else sentences.limit(catalogue, rule, limits, worst)
    return Told(
        sentence=(
            sentences.sentence(catalogue, rule, limits, used, facts.noted(facts_text), zone=zone)
            if used or not found
            else sentences.all_taken_back(catalogue)
        ),
        value="" if worst is None else sentences.value(catalogue, worst),
        unit=values.unit(catalogue, CODE_OF_RULE.get(rule, "")),
        limit=catalogue.gettext("limit %(limit)s") % {"limit": limit} if limit else "",
        doubts=tuple(dict.fromkeys(doubts)),
        last_at=None if last is None else last.effective_at,
    )


def _chart(worklist: Worklist, patient_id: UUID, reader: Reader) -> Markup:
    trend = worklist.trends.get(patient_id)
    if trend is None:
        return Markup("")
    return _drawn(
        reader.catalogue,
        trend.code,
        tuple(map(Point, trend.times, trend.values)),
        worklist.limits.get(patient_id, {}).get(values.MEASURES[trend.code][0], Limits()),
        _right_edge(reader.now),
    )


def _right_edge(now: datetime) -> datetime:
    """Return the next quarter of an hour: less than a pixel, and charts stay as they are."""
    return datetime.fromtimestamp((now.timestamp() // _STEP_S + 1) * _STEP_S, UTC)


@lru_cache(maxsize=_KEPT)  # most rows are as they were when the page is asked for again
def _drawn(
    catalogue: Catalogue, code: str, points: tuple[Point, ...], limits: Limits, end: datetime
) -> Markup:
    label = chart_label(catalogue, code, points)
    return sparkline.draw(points, limits, start=end - TREND, end=end, label=label)


def chart_label(catalogue: Catalogue, code: str, points: Sequence[Point]) -> str:
    """Return what a reader who does not see a chart of 14 days is told; there is a point."""
    measured = [point.value for point in points]
    return catalogue.gettext(
        "%(name)s, 14 days: %(count)d readings, lowest %(low)s, highest %(high)s, last %(last)s"
    ) % {
        "name": values.name(catalogue, code),
        "count": len(measured),
        "low": sentences.number(catalogue, min(measured)),
        "high": sentences.number(catalogue, max(measured)),
        "last": sentences.number(catalogue, measured[-1]),
    }


def _patient_row(worklist: Worklist, patient: ListedPatient, reader: Reader) -> PatientRow:
    latest, limits = worklist.latest.get(patient.id, {}), worklist.limits.get(patient.id, {})
    return PatientRow(
        id=patient.id,
        person=person(patient, reader),
        values=[
            (
                values.name(reader.catalogue, code),
                values.shown(latest[code], limits, reader) if code in latest else None,
            )
            for code in CODES
        ],
        attempts=_attempts(worklist, patient.id, reader),
        why="" if patient.id in worklist.limits else _why(worklist, patient.id, reader),
    )


def _why(worklist: Worklist, patient_id: UUID, reader: Reader) -> str:
    """Return why nobody is told of a patient's values."""
    _ = reader.catalogue.gettext
    found = worklist.unmonitored.get(patient_id)
    if found is None:
        return _("the plan has no limits, or cannot be read")
    facts = {
        "since": reader.moment(found.since) if found.since else "",
        "begins": reader.moment(found.begins_at) if found.begins_at else "",
    }
    return {
        "no_plan": _("no plan"),
        "draft_only": _("a draft waits to be approved"),
        "not_begun": _("the plan begins %(begins)s"),
        "on_hold": _("the plan is on hold"),
        "expired": _("the plan ended %(since)s"),
        "ended": _("the plan was ended"),
    }[found.why] % facts


def _attempts(worklist: Worklist, patient_id: UUID, reader: Reader) -> str:
    count = sum(
        each.times
        for each in worklist.valueless
        if each.patient_id == patient_id and each.kind == "failed_attempt"
    )
    if not count:
        return ""
    return reader.catalogue.ngettext(
        "%(count)d failed attempt in 7 days", "%(count)d failed attempts in 7 days", count
    ) % {"count": count}


def _technical(
    worklist: Worklist, known: dict[UUID, ListedPatient], reader: Reader
) -> list[TechnicalRow]:
    catalogue = reader.catalogue
    rows: list[TechnicalRow] = []
    for each in worklist.valueless:
        if each.kind == "failed_attempt":
            continue
        text = catalogue.ngettext(
            "%(count)d reading from the device could not be read in 7 days",
            "%(count)d readings from the device could not be read in 7 days",
            each.times,
        ) % {"count": each.times}
        rows.append(
            TechnicalRow(
                person=person(known[each.patient_id], reader),
                text=text,
                since=reader.since(each.latest_at),
                moment=reader.moment(each.latest_at),
            )
        )
    return rows
