"""What a patient's measures truly are at a time, and what a device would show of them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from math import log
from typing import Final
from zoneinfo import ZoneInfo

from benchmarks.cohort.parameters import Parameters, Variation
from benchmarks.cohort.patients import Patient

_EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)
_SLOT: Final = timedelta(minutes=30)
_DAY_H: Final = 24.0
_SPO2: Final = "spo2"


class Body:
    """One patient's measures as functions of time.

    They do not depend on what was asked before: `value` is the same for every caller, and a second
    measurement five minutes later sees nearly the same body, with the noise of a new reading.
    """

    def __init__(self, parameters: Parameters, patient: Patient) -> None:
        self._parameters = parameters
        self._patient = patient
        self._zone: ZoneInfo = parameters.zone
        self._first_day = patient.since.astimezone(self._zone).date()
        # Bounded by the days of one patient's monitoring.
        self._days: dict[tuple[str, date], float] = {}
        self._slots: dict[tuple[str, int], float] = {}

    def course(self, measure: str, at: datetime) -> float:
        """Return the usual value with what a deterioration changes: what truth is told by."""
        changes = (one.change(measure, at) for one in self._patient.deteriorations)
        return self._patient.usual[measure] + sum(changes)

    def value(self, measure: str, at: datetime) -> float:
        """Return what the measure truly is at that time."""
        variation = self._parameters.variation[measure]
        local = at.astimezone(self._zone)
        spread = self._patient.spread[measure]
        value = (
            self.course(measure, at)
            + rhythm(variation, local.hour + local.minute / 60)
            + spread * variation.day_sd * self._day(measure, local.date())
            + spread * variation.slot_sd * self._slot(measure, at)
        )
        if local.date() == self._first_day:
            value += variation.first_day
        return value - self._dip(at) if measure == _SPO2 else value

    def shown(
        self, measure: str, at: datetime, *, sd_factor: float = 1.0, shift: float = 0.0
    ) -> Decimal:
        """Return what a device shows at that time, in its own steps.

        Args:
            measure: What is measured.
            at: When; another second has another noise.
            sd_factor: How much noisier than usual this reading is.
            shift: What an artifact adds.
        """
        variation = self._parameters.variation[measure]
        noise = self._patient.draws.normal(f"reading {measure}", int(at.timestamp()))
        sd = variation.reading_sd * self._patient.spread[measure] * sd_factor
        return in_steps(variation, self.value(measure, at) + sd * noise + shift)

    def _day(self, measure: str, day: date) -> float:
        key = measure, day
        if key not in self._days:
            self._days[key] = self._patient.draws.normal(f"day {measure}", day.toordinal())
        return self._days[key]

    def _slot(self, measure: str, at: datetime) -> float:
        """Return noise that moves smoothly from half-hour to half-hour, with variance 1."""
        place = (at - _EPOCH) / _SLOT
        before = int(place)
        part = place - before
        left, right = self._knot(measure, before), self._knot(measure, before + 1)
        # Without the root the variance would sink to a half between the knots.
        return (left * (1 - part) + right * part) / (part**2 + (1 - part) ** 2) ** 0.5

    def _knot(self, measure: str, place: int) -> float:
        key = measure, place
        if key not in self._slots:
            self._slots[key] = self._patient.draws.normal(f"slot {measure}", place)
        return self._slots[key]

    def _dip(self, at: datetime) -> float:
        """Return how far a short fall goes at that time: steep down, straight back."""
        dips = self._parameters.dips
        place = int((at - _EPOCH) / _SLOT)
        deepest = 0.0
        for slot in (place - 1, place):
            chance, when, depth, length, *_ = self._patient.draws.uniforms("dip", slot)
            if chance >= dips.per_slot:
                continue
            begin = _EPOCH + (slot + when) * _SLOT
            low, high = dips.minutes
            part = (at - begin) / timedelta(minutes=low + (high - low) * length)
            if 0.0 <= part < 1.0:
                full = dips.mean_depth * exponential(depth)
                deepest = max(deepest, full * (1.0 - part))
        return deepest


def exponential(uniform: float) -> float:
    """Turn a uniform number into an exponential one of mean 1."""
    return -log(uniform)


def rhythm(variation: Variation, hour: float) -> float:
    """Return the measure's daily rhythm at an hour of the wall clock, straight between points."""
    points = variation.rhythm
    if not points:
        return 0.0
    around = [
        (points[-1][0] - _DAY_H, points[-1][1]),
        *points,
        (points[0][0] + _DAY_H, points[0][1]),
    ]
    for (since, before), (until, after) in pairwise(around):
        if since <= hour < until:
            return before + (after - before) * (hour - since) / (until - since)
    return points[-1][1]


def in_steps(variation: Variation, value: float) -> Decimal:
    """Return a value as a device shows it: possible, and in the device's resolution."""
    low, high = variation.possible
    step = Decimal(variation.resolution)
    inside = min(max(value, low), high)
    return (Decimal(inside) / step).quantize(Decimal(1)) * step
