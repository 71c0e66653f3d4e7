"""A simulated patient: who they are, as drawn from the cohort's parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Final
from uuid import UUID, uuid5

from benchmarks.cohort.courses import Deterioration, drawn
from benchmarks.cohort.draws import Draws, normal, poisson
from benchmarks.cohort.parameters import Limit, Parameters, Programme, Spread

_NAMESPACE: Final = UUID("5c9c3a52-5d0e-5f0b-9c1b-8e5b7c1a2f44")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """A time in which the home's gateway delivers nothing.

    What it took in meanwhile comes at the end, all at once. With ``is_off`` it took in nothing:
    only what devices kept in their own memory comes.
    """

    since: datetime
    until: datetime
    is_off: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Patient:
    """Everything that does not change: the rest follows from this and from the time."""

    id: UUID
    number: int
    programme: str
    since: datetime
    until: datetime
    usual: Mapping[str, float]
    limits: Mapping[str, Mapping[str, float]]
    spread: Mapping[str, float]
    is_irregular: bool
    adherence: float
    answers_request: float
    dyspnoea: float
    health: float
    other: Mapping[str, float] | None
    has_user_slots: bool
    spells: tuple[tuple[datetime, datetime], ...]
    outages: tuple[Outage, ...]
    deteriorations: tuple[Deterioration, ...]
    draws: Draws

    def deterioration_at(self, at: datetime) -> Deterioration | None:
        """Return the deterioration that is going on then; there is never more than one."""
        for one in self.deteriorations:
            if one.onset < at < one.ends_at:
                return one
        return None


def patient_id(seed: int, number: int) -> UUID:
    """Return the patient's id, which depends on nothing but seed and number."""
    return uuid5(_NAMESPACE, f"{seed}/{number}")


def patient(parameters: Parameters, number: int) -> Patient:
    """Return one patient of the cohort; any of them, alone and in any process."""
    draws = Draws(parameters.seed, f"patient {number}")
    name, programme = _programme(parameters, draws.uniform("programme"))
    since = datetime.combine(parameters.start, time(), parameters.zone)
    days = min(parameters.days, programme.monitored_days or parameters.days)
    # Local midnight to local midnight, also over a change of the clocks.
    until = datetime.combine(parameters.start + timedelta(days=days), time(), parameters.zone)
    span = since.astimezone(UTC), until.astimezone(UTC)
    usual = {
        measure: of_spread(spread, draws.uniform(f"usual {measure}"))
        for measure, spread in programme.usual.items()
    }
    limits = _limits(programme, usual, parameters)
    behaviour, other = parameters.behaviour, parameters.other_person
    is_shared = draws.uniform("shared") < other.home_share
    return Patient(
        id=patient_id(parameters.seed, number),
        number=number,
        programme=name,
        since=span[0],
        until=span[1],
        usual=usual,
        limits=limits,
        spread={one: _spread_of(parameters, draws, one) for one in parameters.variation},
        is_irregular=draws.uniform("irregular") < programme.irregular_share,
        adherence=of_spread(behaviour.adherence, draws.uniform("adherence")),
        answers_request=of_spread(behaviour.answers_request, draws.uniform("answers request")),
        dyspnoea=of_spread(behaviour.dyspnoea_usual, draws.uniform("usual dyspnoea")),
        health=of_spread(behaviour.health_usual, draws.uniform("usual health")),
        other={
            measure: of_spread(spread, draws.uniform(f"other {measure}"))
            for measure, spread in other.usual.items()
        }
        if is_shared
        else None,
        has_user_slots=draws.uniform("slots") < other.slot_share,
        spells=_spells(draws, parameters, span),
        outages=_outages(draws, parameters, span),
        deteriorations=drawn(draws, parameters, programme, usual=usual, limits=limits, span=span),
        draws=draws,
    )


def of_spread(spread: Spread, uniform: float) -> float:
    """Turn a uniform number into a value of the spread."""
    return min(max(spread.mean + spread.sd * normal(uniform), spread.low), spread.high)


def _programme(parameters: Parameters, uniform: float) -> tuple[str, Programme]:
    reached = 0.0
    for name, programme in parameters.programmes.items():
        reached += programme.share
        if uniform < reached:
            return name, programme
    return list(parameters.programmes.items())[-1]


def _limits(
    programme: Programme, usual: Mapping[str, float], parameters: Parameters
) -> dict[str, dict[str, float]]:
    return {
        measure: {
            side: _limit(limit, side, usual[measure], parameters.variation[measure].resolution)
            for side, limit in limits.items()
        }
        for measure, limits in programme.limits.items()
    }


def _limit(limit: Limit, side: str, usual: float, resolution: str) -> float:
    """Return the patient's own limit, as a clinician would write it: in the device's steps."""
    known = [limit.absolute] if limit.absolute is not None else []
    if limit.offset is not None:
        known.append(usual + limit.offset)
    further = min(known) if side.endswith("_low") else max(known)
    step = float(resolution)
    return round(round(further / step) * step, 1)


def _spread_of(parameters: Parameters, draws: Draws, measure: str) -> float:
    """Return how much more than others this patient's measure varies: 1 is as the average."""
    cv = parameters.variation[measure].spread_cv
    return max(0.4, 1.0 + cv * draws.normal(f"spread {measure}"))


def _spells(
    draws: Draws, parameters: Parameters, span: tuple[datetime, datetime]
) -> tuple[tuple[datetime, datetime], ...]:
    """Return days in a row without measuring: a holiday, a hospital stay, no wish to."""
    behaviour = parameters.behaviour
    return tuple(
        (begin, begin + timedelta(days=draws.between(behaviour.spell_days, "spell days", place)))
        for place, begin in enumerate(_moments(draws, "spell", behaviour.spell_per_90_days, span))
    )


def _outages(
    draws: Draws, parameters: Parameters, span: tuple[datetime, datetime]
) -> tuple[Outage, ...]:
    delivery = parameters.delivery
    kinds = (
        ("away", delivery.away_per_90_days, delivery.away_h, False),
        ("off", delivery.off_per_90_days, delivery.off_h, True),
    )
    found: list[Outage] = []
    for name, per_90_days, hours, is_off in kinds:
        for place, begin in enumerate(_moments(draws, name, per_90_days, span)):
            low, high = hours
            # Spread evenly over the logarithm: most are short, some last for days.
            lasting_h = low * (high / low) ** draws.uniform(f"{name} hours", place)
            end = begin + timedelta(seconds=round(3600 * lasting_h))
            found.append(Outage(since=begin, until=end, is_off=is_off))
    found.sort(key=lambda one: one.since)
    apart: list[Outage] = []
    for one in found:
        if not apart or one.since >= apart[-1].until:
            apart.append(one)
    return tuple(apart)


def _moments(
    draws: Draws, name: str, per_90_days: float, span: tuple[datetime, datetime]
) -> list[datetime]:
    since, until = span
    days = (until - since) / timedelta(days=1)
    count = poisson(draws.uniform(f"count of {name}"), per_90_days * days / 90)
    return sorted(
        since + timedelta(seconds=round(draws.uniform(f"begin of {name}", place) * days * 86400))
        for place in range(count)
    )
