"""One patient in words and charts: what was measured, against which limits, by which devices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final
from uuid import UUID

from markupsafe import Markup

from clinician_api.fhir import codings
from clinician_api.pages import alert as alerts
from clinician_api.pages import chart, pressure_chart, values
from clinician_api.pages.people import Person, person
from clinician_api.pages.sparkline import Point
from clinician_api.pages.times import Reader
from clinician_api.pages.values import Value
from clinician_api.services.patients import Known
from ingest_service.plans.limits import Limits, Measure
from ingest_service.store.opened import Standing
from ingest_service.store.worklist import Measured
from ingest_service.wording import sentences

PERIODS: Final = (7, 28, 90, 365)
_ROWS: Final = 200  # of a table beside a chart; the newest
_ORDER: Final = (codings.SPO2, codings.BLOOD_PRESSURE, codings.PULSE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """What was measured of one kind: the newest value, the chart, and the same as a table."""

    code: str
    name: str
    unit: str
    limit: str
    newest: Value | None
    chart: Markup
    rows: Sequence[Value]
    count: int


@dataclass(frozen=True, slots=True)
class Device:
    """A device, when it last gave a reading, and whether its gateway is heard."""

    kind: str
    last: str
    gateway: str
    is_heard: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A patient's page for one reader."""

    id: UUID
    person: Person
    days: int
    periods: Sequence[int]
    measurements: Sequence[Measurement]
    average: str
    average_moment: str
    open_alerts: Sequence[tuple[UUID, str, str]]
    answers: Sequence[tuple[str, str, str]]
    devices: Sequence[Device]
    programme: str
    plan_line: str
    oxygen: str
    target: str
    on_red: tuple[str, str] | None
    is_cut: bool


def page(known: Known, reader: Reader, *, days: int) -> Page:
    """Return a patient as words and charts for one reader, over so many days."""
    average = known.average
    return Page(
        id=known.patient.id,
        person=person(known.patient, reader),
        days=days,
        periods=PERIODS,
        measurements=[_measurement(known, code, reader) for code in _ORDER],
        average="" if average is None else _average(average, reader),
        average_moment="" if average is None else reader.moment(average.effective_at),
        open_alerts=[
            (each.id, each.priority, reader.length(reader.now - each.raised_at))
            for each in known.alerts
        ],
        answers=alerts.answered(known.answers, reader),
        devices=[_device(each, reader) for each in known.devices],
        programme=known.plan.programme if known.plan else "",
        plan_line=alerts.plan_line(known.plan, known.names, reader),
        oxygen=alerts.oxygen(known.plan, reader),
        target=alerts.target(known.plan, reader),
        on_red=alerts.on_red(known.plan),
        is_cut=known.is_cut,
    )


def _measurement(known: Known, code: str, reader: Reader) -> Measurement:
    catalogue = reader.catalogue
    limits = known.plan.limits_at(reader.now) if known.plan else {}
    rows = known.readings[code]
    shown = [values.shown(row, limits, reader) for row in reversed(rows[-_ROWS:])]
    return Measurement(
        code=code,
        name=values.name(catalogue, code),
        unit=values.unit(catalogue, code),
        limit=values.range_of(catalogue, code, limits),
        newest=shown[0] if shown else None,
        chart=_chart(known, code, limits, reader) if rows else Markup(""),
        rows=shown,
        count=len(rows),
    )


def _chart(known: Known, code: str, limits: Mapping[Measure, Limits], reader: Reader) -> Markup:
    rows = known.readings[code]
    label = _label(code, rows, reader)
    if code == codings.BLOOD_PRESSURE:
        return pressure_chart.draw(
            rows,
            limits,
            start=known.since,
            end=reader.now,
            label=label,
            reader=reader,
            size=chart.PAGE,
        )
    return chart.draw(
        [Point(row.effective_at, row.value) for row in rows if row.value is not None],
        limits.get(values.MEASURES[code][0], Limits()),
        start=known.since,
        end=reader.now,
        label=label,
        reader=reader,
        size=chart.PAGE,
    )


def _label(code: str, rows: Sequence[Measured], reader: Reader) -> str:
    """Return what a reader who does not see the chart is told."""
    catalogue = reader.catalogue
    numbers = [values.numbers(row) for row in rows]
    ordered = sorted(numbers)

    def said(one: Sequence[Decimal]) -> str:
        return "/".join(sentences.number(catalogue, each) for each in one)

    return catalogue.gettext(
        "%(name)s: %(count)d readings, lowest %(low)s, highest %(high)s, last %(last)s"
    ) % {
        "name": values.name(catalogue, code),
        "count": len(rows),
        "low": said(ordered[0]),
        "high": said(ordered[-1]),
        "last": said(numbers[-1]),
    }


def _average(row: Measured, reader: Reader) -> str:
    return "/".join(sentences.number(reader.catalogue, one) for one in values.numbers(row))


def _device(standing: Standing, reader: Reader) -> Device:
    _ = reader.catalogue.gettext
    kinds = {"blood_pressure": _("Blood pressure monitor"), "pulse_oximetry": _("Pulse oximeter")}
    gateway = ""
    if standing.gateway_id is not None and standing.heard_at is not None:
        gateway = _("heard %(since)s") % {"since": reader.since(standing.heard_at)}
    return Device(
        kind=kinds.get(standing.kind, standing.kind),
        last=reader.since(standing.last_at) if standing.last_at else _("no reading yet"),
        gateway=gateway or _("never heard"),
        is_heard=standing.is_online,
    )
