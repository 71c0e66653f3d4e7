"""The hand-over in words: the reds of the last day first, then what is open, then what ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from clinician_api.pages import outcomes, timeline, worklist
from clinician_api.pages.people import Person, person
from clinician_api.pages.times import Reader
from clinician_api.services.handover import Handover
from ingest_service.alerts.case import BY_RULES
from ingest_service.store.handover import LeftAlert


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One alert as it is left."""

    id: UUID
    person: Person | None
    priority: str
    raised: str
    sentence: str
    standing: str
    is_late: bool
    note: str
    note_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """The list for whoever takes over."""

    day: str
    clock: str
    red: Sequence[Row]
    open: Sequence[Row]
    ended: Sequence[Row]
    is_cut: bool


def page(found: Handover, reader: Reader) -> Page:
    """Return what is left as words for one reader; an alert stands in one list alone."""
    reds = [one for one in found.alerts if one.priority == "red"]
    others = [one for one in found.alerts if one.priority != "red"]
    return Page(
        day=reader.day(),
        clock=reader.clock(),
        red=[_row(one, found, reader) for one in reds],
        open=[_row(one, found, reader) for one in others if one.state != "resolved"],
        ended=[_row(one, found, reader) for one in others if one.state == "resolved"],
        is_cut=found.is_cut,
    )


def _row(alert: LeftAlert, found: Handover, reader: Reader) -> Row:
    patient = found.patients.get(alert.patient_id)
    told = worklist.told(
        reader.catalogue,
        alert.rule,
        alert.limits,
        alert.readings,
        alert.facts,
        zone=reader.zone,
    )
    note_by = timeline.name(found.names, alert.note_by) if alert.note_by else ""
    if alert.note_at is not None:
        note_by = f"{note_by}, {reader.moment(alert.note_at)}"
    return Row(
        id=alert.id,
        person=None if patient is None else person(patient, reader),
        priority=alert.priority,
        raised=reader.moment(alert.raised_at),
        sentence=told.sentence,
        standing=_standing(alert, found, reader),
        is_late=_over(alert, reader) > timedelta(0),
        note=alert.note or "",
        note_by=note_by,
    )


def _over(alert: LeftAlert, reader: Reader) -> timedelta:
    is_waiting = alert.state in {"new", "taken"} and alert.due_at is not None
    return reader.now - alert.due_at if is_waiting and alert.due_at else timedelta(0)


def _standing(alert: LeftAlert, found: Handover, reader: Reader) -> str:
    """Return in whose hands it is, or how it ended."""
    _ = reader.catalogue.gettext
    if alert.state == "resolved":
        word = outcomes.word(reader.catalogue, alert.outcome or "")
        by = alert.state_by or BY_RULES
        if by == BY_RULES or alert.resolved_at is None:
            return _("Resolved: %(outcome)s") % {"outcome": word}
        return _("Resolved %(moment)s by %(who)s: %(outcome)s") % {
            "moment": reader.moment(alert.resolved_at),
            "who": timeline.name(found.names, by),
            "outcome": word,
        }
    if alert.state == "paused" and alert.paused_until is not None:
        return _("Paused until %(moment)s") % {"moment": reader.moment(alert.paused_until)}
    if alert.owner is not None:
        said = _("Taken by %(who)s") % {"who": timeline.name(found.names, alert.owner)}
    else:
        said = _("Nobody has taken it")
    over = _over(alert, reader)
    if over > timedelta(0):
        late = _("%(length)s over time") % {"length": reader.length(over)}
        said = f"{said}, {late}"
    return said
