"""A deterioration's course: a smooth fall or rise from a known onset, and back again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from benchmarks.cohort.draws import Draws, poisson
from benchmarks.cohort.parameters import Bounds, Course, Effect, Parameters, Programme

LOW, HIGH = "low", "high"
YELLOW, RED = "yellow", "red"

# A yellow deterioration stays between the yellow and the red limit: this part of the way.
_BETWEEN: Final[Bounds] = (0.25, 0.8)
_STEP: Final = timedelta(minutes=1)
_PRESSURES: Final = frozenset({"systolic", "diastolic"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Ramp:
    """One measure's change: it begins, is whole at ``full_at``, holds, and is gone at the end."""

    measure: str
    side: str
    change: float
    begins_at: datetime
    full_at: datetime
    eases_at: datetime
    ends_at: datetime

    def at(self, at: datetime) -> float:
        """Return the change at that time."""
        if at <= self.begins_at or at >= self.ends_at:
            return 0.0
        if at < self.full_at:
            return self.change * _smooth(self.begins_at, self.full_at, at)
        if at <= self.eases_at:
            return self.change
        return self.change * (1.0 - _smooth(self.eases_at, self.ends_at, at))


@dataclass(frozen=True, slots=True, kw_only=True)
class Deterioration:
    """One deterioration of one patient, and when its course crosses the patient's limits.

    Crossings are those of the course itself: the usual value and the change, without rhythm,
    variation and noise. ``silent_from`` is when the patient stops measuring.
    """

    kind: str
    severity: str
    onset: datetime
    crossed_at: datetime
    crossed_red_at: datetime | None
    ends_at: datetime
    ramps: tuple[Ramp, ...]
    breathlessness: Ramp
    health: Ramp
    is_felt: bool
    silent_from: datetime | None = None

    @property
    def measures(self) -> tuple[str, ...]:
        """Return the measures that change."""
        return tuple(dict.fromkeys(ramp.measure for ramp in self.ramps))

    @property
    def families(self) -> tuple[str, ...]:
        """Return the families of the measures that change."""
        return tuple(dict.fromkeys(family_of(measure) for measure in self.measures))

    def concerns(self, family: str) -> bool:
        """Tell whether a device of that family would show something of it."""
        return family in self.families

    def change(self, measure: str, at: datetime) -> float:
        """Return how far the measure is from its usual value because of this."""
        if at <= self.onset or at >= self.ends_at:
            return 0.0
        return sum(ramp.at(at) for ramp in self.ramps if ramp.measure == measure)

    def unwell(self, at: datetime) -> float:
        """Return how ill the patient feels, from 0 to 1."""
        if not self.is_felt or not self.onset < at < self.ends_at:
            return 0.0
        first = self.ramps[0]
        return abs(first.at(at) / first.change) if first.change else 0.0

    def is_silent(self, at: datetime) -> bool:
        """Tell whether the patient has stopped measuring because of this."""
        return self.silent_from is not None and self.silent_from <= at < self.ends_at


def family_of(measure: str) -> str:
    """Return the family that a measure is judged in."""
    return "blood_pressure" if measure in _PRESSURES else measure


PatientLimits = Mapping[str, Mapping[str, float]]


def drawn(
    draws: Draws,
    parameters: Parameters,
    programme: Programme,
    *,
    usual: Mapping[str, float],
    limits: PatientLimits,
    span: tuple[datetime, datetime],
) -> tuple[Deterioration, ...]:
    """Return a patient's deteriorations in time order, with quiet days between.

    Args:
        draws: The patient's random numbers.
        parameters: Of the cohort.
        programme: Says which kinds, and how many in 90 days.
        usual: The patient's usual values.
        limits: Their own limits, as names of `parameters.Limit` to values.
        span: From when until when the patient is monitored.
    """
    since, until = span
    days = (until - since) / timedelta(days=1)
    placing = parameters.placing
    room = timedelta(days=min(placing.room_days, days / 4))
    planned: list[tuple[datetime, str, int]] = []
    for kind, per_90_days in programme.deteriorations.items():
        count = poisson(draws.uniform(f"count of {kind}"), per_90_days * days / 90)
        for number in range(count):
            day = draws.between(
                (min(placing.first_day, days / 4), days), f"onset of {kind}", number
            )
            onset = (since + timedelta(days=day)).replace(second=0, microsecond=0)
            planned.append((onset, kind, number))
    found: list[Deterioration] = []
    free_from = since
    for onset, kind, number in sorted(planned):
        if onset < free_from:
            continue
        made = _made(
            draws,
            kind,
            number,
            parameters.deteriorations[kind],
            usual=usual,
            limits=limits,
            onset=onset,
        )
        if made is None or made.crossed_at > until - room:
            continue
        found.append(made)
        free_from = made.ends_at + timedelta(days=placing.quiet_days)
    return tuple(found)


def _made(
    draws: Draws,
    kind: str,
    number: int,
    course: Course,
    *,
    usual: Mapping[str, float],
    limits: PatientLimits,
    onset: datetime,
) -> Deterioration | None:
    """Return the deterioration, or ``None`` if it would never reach the patient's limits."""
    key = f"{kind} {number}"
    severity = RED if draws.uniform(f"{key} severity") < course.red_share else YELLOW
    effects = [effect for effect in course.effects if effect.measure in usual]
    changes = [
        _change(draws.uniforms(f"{key} depth", place)[0], effect, severity, usual, limits)
        for place, effect in enumerate(effects)
    ]
    lead = _hours(draws, course.symptom_lead_h, f"{key} lead")
    begins = [
        onset + lead + _hours(draws, effect.after_h, f"{key} after", place)
        for place, effect in enumerate(effects)
    ]
    full = [
        begin + _hours(draws, effect.rise_h, f"{key} rise", place)
        for place, (begin, effect) in enumerate(zip(begins, effects, strict=True))
    ]
    if not full:
        return None
    eases_at = max(full) + _hours(draws, course.hold_h, f"{key} hold")
    ends_at = eases_at + _hours(draws, course.recover_h, f"{key} recovery")
    ramps = tuple(
        Ramp(
            measure=effect.measure,
            side=effect.side,
            change=change,
            begins_at=begin,
            full_at=whole,
            eases_at=eases_at,
            ends_at=ends_at,
        )
        for effect, change, begin, whole in zip(effects, changes, begins, full, strict=True)
    )
    crossings = [crossing(ramp, usual, limits, YELLOW) for ramp in ramps]
    reached = [at for at in crossings if at is not None]
    if not reached:
        return None
    reds = [at for ramp in ramps if (at := crossing(ramp, usual, limits, RED)) is not None]

    def felt(bounds: Bounds, question: str) -> Ramp:
        return _felt(
            draws,
            f"{key} {question}",
            bounds,
            onset=onset,
            full_at=full[0],
            eases_at=eases_at,
            ends_at=ends_at,
        )

    made = Deterioration(
        kind=kind,
        severity=RED if reds else YELLOW,
        onset=onset,
        crossed_at=min(reached),
        crossed_red_at=min(reds, default=None),
        ends_at=ends_at,
        ramps=ramps,
        breathlessness=felt(course.breathlessness, "breathlessness"),
        health=felt(course.health, "health"),
        is_felt=course.is_felt,
    )
    if course.stops_h_before_crossing is None:
        return made
    before = _hours(draws, course.stops_h_before_crossing, f"{key} silence")
    return replace(made, silent_from=max(made.crossed_at - before, onset))


def crossing(
    ramp: Ramp, usual: Mapping[str, float], limits: PatientLimits, level: str
) -> datetime | None:
    """Return the first minute at which the course lies beyond that limit, if it ever does."""
    limit = limits.get(ramp.measure, {}).get(f"{level}_{ramp.side}")
    if limit is None or not _is_beyond(ramp, usual, limit, ramp.full_at):
        return None
    low, high = 0, int((ramp.full_at - ramp.begins_at) / _STEP) + 1
    while low < high:
        middle = (low + high) // 2
        if _is_beyond(ramp, usual, limit, min(ramp.begins_at + middle * _STEP, ramp.full_at)):
            high = middle
        else:
            low = middle + 1
    return min(ramp.begins_at + low * _STEP, ramp.full_at)


def _is_beyond(ramp: Ramp, usual: Mapping[str, float], limit: float, at: datetime) -> bool:
    value = usual[ramp.measure] + ramp.at(at)
    return value < limit if ramp.side == LOW else value > limit


def _change(
    uniform: float,
    effect: Effect,
    severity: str,
    usual: Mapping[str, float],
    limits: PatientLimits,
) -> float:
    """Return the change when the effect is whole: signed."""
    sign = -1.0 if effect.side == LOW else 1.0
    if effect.change is not None:
        return sign * _spread(effect.change, uniform)
    own = limits.get(effect.measure, {})
    yellow, red = own.get(f"{YELLOW}_{effect.side}"), own.get(f"{RED}_{effect.side}")
    beyond = _spread(effect.beyond or (0.0, 0.0), uniform)
    if severity == YELLOW and yellow is not None and red is not None:
        return yellow + (red - yellow) * _spread(_BETWEEN, uniform) - usual[effect.measure]
    limit = red if severity == RED and red is not None else yellow
    return 0.0 if limit is None else limit + sign * beyond - usual[effect.measure]


def _felt(
    draws: Draws,
    key: str,
    bounds: Bounds,
    *,
    onset: datetime,
    full_at: datetime,
    eases_at: datetime,
    ends_at: datetime,
) -> Ramp:
    """Return how an answer to a question changes: it begins at onset, before the values do."""
    return Ramp(
        measure=key,
        side=HIGH,
        change=draws.between(bounds, key),
        begins_at=onset,
        full_at=full_at,
        eases_at=eases_at,
        ends_at=ends_at,
    )


def _hours(draws: Draws, bounds: Bounds, key: str, place: int = 0) -> timedelta:
    return timedelta(minutes=round(60 * draws.between(bounds, key, place)))


def _spread(bounds: Sequence[float], uniform: float) -> float:
    low, high = bounds
    return low + (high - low) * uniform


def _smooth(since: datetime, until: datetime, at: datetime) -> float:
    """Return the way from 0 to 1, slow at both ends."""
    part = (at - since) / (until - since)
    return part * part * (3.0 - 2.0 * part)
