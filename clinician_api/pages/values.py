"""Measured values as a list shows them: number, unit, limit, age, and what casts doubt on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cache
from typing import Final

from clinician_api.fhir import codings
from clinician_api.pages.times import Reader
from ingest_service.plans.limits import Level, Limits, Measure
from ingest_service.store.worklist import Measured
from ingest_service.wording import sentences
from ingest_service.wording.catalogue import Catalogue

# From here on the time between measuring and arriving is worth a word.
LATE: Final = timedelta(minutes=15)
MEASURES: Final[Mapping[str, tuple[Measure, ...]]] = {
    codings.BLOOD_PRESSURE: (Measure.SYSTOLIC, Measure.DIASTOLIC),
    codings.PULSE: (Measure.PULSE,),
    codings.SPO2: (Measure.SPO2,),
}


@dataclass(frozen=True, slots=True)
class Value:
    """One measured value in words."""

    text: str
    unit: str
    limit: str
    level: str
    since: str
    moment: str
    doubts: tuple[str, ...]


def shown(row: Measured, limits: Mapping[Measure, Limits], reader: Reader) -> Value:
    """Return a row as the list shows it, against the limits in force now."""
    values = numbers(row)
    catalogue = reader.catalogue
    _ = catalogue.gettext
    doubts: list[str] = []
    if row.is_irregular:
        doubts.append(flag(catalogue, "irregular_pulse"))
    if row.is_doubtful:
        doubts.append(_("uncertain reading"))
    if row.may_be_another:
        doubts.append(flag(catalogue, "may_be_another"))
    if late := lateness(row.effective_at, row.last_updated, reader):
        doubts.append(late)
    levels = [
        level
        for measure, value in zip(MEASURES[row.code], values, strict=False)
        if measure in limits and (level := limits[measure].level(value))
    ]
    worst = max(levels, key=lambda level: level.rank, default=None)
    return Value(
        text="/".join(sentences.number(catalogue, value) for value in values),
        unit=unit(catalogue, row.code),
        limit=range_of(catalogue, row.code, limits),
        level="" if worst is None else worst.value,
        since=reader.since(row.effective_at),
        moment=reader.moment(row.effective_at),
        doubts=tuple(doubts),
    )


def numbers(row: Measured) -> tuple[Decimal, ...]:
    """Return systolic and diastolic, or the one value."""
    if row.systolic is not None and row.diastolic is not None:
        return row.systolic, row.diastolic
    return () if row.value is None else (row.value,)


def unit(catalogue: Catalogue, code: str) -> str:
    """Return the unit that values of that code are shown in."""
    return _units(catalogue).get(code, "")


def name(catalogue: Catalogue, code: str) -> str:
    """Return what is measured."""
    return _names(catalogue).get(code, code)


def range_of(catalogue: Catalogue, code: str, limits: Mapping[Measure, Limits]) -> str:
    """Return the innermost limits that hold: ``limits 100/60 to 150/90``, or that none does."""
    _ = catalogue.gettext
    measures = MEASURES.get(code, ())
    low = sentences.bounds(catalogue, measures, limits, "low", Level.YELLOW)
    high = sentences.bounds(catalogue, measures, limits, "high", Level.YELLOW)
    if low and high:
        return _("limits %(low)s to %(high)s") % {"low": low, "high": high}
    if high:
        return _("limit above %(limit)s") % {"limit": high}
    if low:
        return _("limit below %(limit)s") % {"limit": low}
    return _("no limit")


def lateness(measured_at: datetime, came_at: datetime, reader: Reader) -> str:
    """Return that a value came late, and how long after it was measured; empty if it did not."""
    if came_at - measured_at < LATE:
        return ""
    return reader.catalogue.gettext("came %(length)s after it was measured") % {
        "length": reader.length(came_at - measured_at)
    }


def flags(catalogue: Catalogue, names: Sequence[str]) -> list[str]:
    """Return flags of evidence in words; lateness has words of its own."""
    return [flag(catalogue, each) for each in names if each != "late"]


def flag(catalogue: Catalogue, name: str) -> str:
    """Return a flag of ingest's (the contract's bits by name) in words.

    One that is not known keeps its name: nothing is left out.
    """
    return _flags(catalogue).get(name, name.replace("_", " "))


@cache
def _units(catalogue: Catalogue) -> Mapping[str, str]:
    _ = catalogue.gettext
    return {codings.BLOOD_PRESSURE: _("mmHg"), codings.PULSE: _("per minute"), codings.SPO2: "%"}


@cache
def _names(catalogue: Catalogue) -> Mapping[str, str]:
    _ = catalogue.gettext
    return {
        codings.BLOOD_PRESSURE: _("Blood pressure"),
        codings.PULSE: _("Pulse"),
        codings.SPO2: _("Oxygen saturation"),
    }


@cache
def _flags(catalogue: Catalogue) -> Mapping[str, str]:
    _ = catalogue.gettext
    return {
        "body_movement": _("movement"),
        "cuff_too_loose": _("cuff too loose"),
        "irregular_pulse": _("irregular pulse"),
        "pulse_over_range": _("pulse above the device's range"),
        "pulse_under_range": _("pulse below the device's range"),
        "improper_position": _("wrong position"),
        "early_estimate": _("early estimate"),
        "questionable": _("uncertain reading"),
        "from_storage": _("from the device's memory"),
        "extended_display_update": _("device updates its display"),
        "equipment_malfunction": _("device malfunction"),
        "signal_processing_irregularity": _("irregular signal"),
        "inadequate_signal": _("inadequate signal"),
        "poor_signal": _("poor signal"),
        "low_perfusion": _("low perfusion"),
        "erratic_signal": _("erratic signal"),
        "non_pulsatile": _("no pulse in the signal"),
        "questionable_pulse": _("uncertain pulse"),
        "analysis_ongoing": _("analysis not finished"),
        "interference": _("interference"),
        "unconnected_to_user": _("sensor off the finger"),
        "unknown_sensor": _("unknown sensor"),
        "displaced": _("sensor displaced"),
        "sensor_malfunction": _("sensor malfunction"),
        "disconnected": _("sensor disconnected"),
        "time_estimated": _("time estimated"),
        "time_unknown": _("time uncertain"),
        "too_close": _("too soon after the last reading"),
        "suspected_double": _("possibly read twice"),
        "may_be_another": _("may be another person"),
    }
