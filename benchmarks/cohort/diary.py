"""What a patient does unasked: sittings in the plan's windows, when unwell, and answers."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from uuid import uuid5

from benchmarks.cohort.draws import normal
from benchmarks.cohort.measuring import Home, Produced
from benchmarks.cohort.parameters import Activity, Parameters, Programme, Window
from benchmarks.cohort.patients import Patient
from benchmarks.cohort.records import Answer, Cause

_HOURS: Final = 24
_ANSWER_DELAY: Final = timedelta(seconds=20)
# Who measures with several devices takes one after the other.
_BETWEEN_DEVICES: Final = timedelta(minutes=4)


class Diary:
    """One patient's days without anybody who asks for anything: the open loop."""

    def __init__(self, parameters: Parameters, home: Home) -> None:
        self._parameters = parameters
        self._home = home
        self._patient: Patient = home.patient
        self._programme: Programme = parameters.programmes[home.patient.programme]

    def readings(self) -> Iterator[Produced]:
        """Yield everything the patient measures, day by day; not in order of time."""
        for day in self.days():
            for activity_place, activity in enumerate(self._programme.activities):
                for window in activity.windows:
                    at = self._sitting(day, window, activity_place)
                    if at is not None:
                        yield from self._sit(activity, at, Cause.SCHEDULED)
            for at, activity in self._unwell(day):
                yield from self._sit(activity, at, Cause.UNWELL)

    def answers(self) -> Iterator[Answer]:
        """Yield the patient's answers: once on a day on which they answer at all."""
        if not self._programme.asks_symptoms:
            return
        behaviour = self._parameters.behaviour
        for day in self.days():
            chance, when, breath, feeling, *_ = self._patient.draws.uniforms(
                "questions", day.toordinal()
            )
            at = self._clock(day, time(8)) + timedelta(seconds=round(7200 * when))
            if chance >= behaviour.answers_questions or not self._is_measuring(at):
                continue
            ill = self._patient.deterioration_at(at)
            dyspnoea = self._patient.dyspnoea + behaviour.dyspnoea_day_sd * normal(breath)
            health = self._patient.health + behaviour.health_day_sd * normal(feeling)
            if ill is not None:
                dyspnoea += ill.dyspnoea.at(at)
                health += ill.health.at(at)
            yield Answer(
                id=uuid5(self._patient.id, f"answer {day.isoformat()}"),
                patient_id=self._patient.id,
                effective_at=self._home.local(at),
                received_at=at + _ANSWER_DELAY,
                answers={
                    "dyspnoea": str(min(max(round(dyspnoea), 0), 5)),
                    "self_rated_health": str(min(max(round(health), 1), 5)),
                },
            )

    def days(self) -> Iterator[date]:
        """Yield the local days on which the patient is monitored."""
        zone = self._parameters.zone
        day = self._patient.since.astimezone(zone).date()
        last = self._patient.until.astimezone(zone).date()
        while day < last:
            yield day
            day += timedelta(days=1)

    def _sit(self, activity: Activity, at: datetime, why: Cause) -> Iterator[Produced]:
        return self._home.sit(activity.family, at, readings=activity.readings, why=why)

    def _sitting(self, day: date, window: Window, activity_place: int) -> datetime | None:
        """Return when the patient sits down in the window; ``None`` if they miss it.

        One draw for a window and day decides for all devices: who forgets, forgets them all.
        """
        if window.weekdays and day.isoweekday() not in window.weekdays:
            return None
        draws = self._patient.draws
        chance, when, *_ = draws.uniforms(f"window {window.name}", day.toordinal())
        if chance >= self._patient.adherence:
            return None
        since = self._clock(day, time.fromisoformat(window.start))
        until = self._clock(day, time.fromisoformat(window.end))
        habit = since + (until - since) * draws.uniform(f"habit {window.name}")
        jitter = timedelta(
            seconds=round(60 * self._parameters.behaviour.jitter_min * normal(when))
        )
        # The last minutes of a window are left for the readings themselves.
        latest = until - timedelta(minutes=15)
        at = min(max(habit + jitter, since), latest) + activity_place * _BETWEEN_DEVICES
        at = at.replace(microsecond=0)
        return at if self._is_measuring(at) else None

    def _unwell(self, day: date) -> Iterator[tuple[datetime, Activity]]:
        """Yield the times at which the patient measures because they feel ill."""
        behaviour = self._parameters.behaviour
        midnight = self._clock(day, time())
        # An hour more than a day may have, where the clocks are put back.
        tomorrow = midnight + timedelta(hours=_HOURS + 1)
        if not any(
            one.onset < tomorrow and midnight < one.ends_at for one in self._patient.deteriorations
        ):
            return
        for hour in range(_HOURS):
            begin = midnight + timedelta(hours=hour)
            ill = self._patient.deterioration_at(begin)
            if ill is None:
                continue
            chance, when, *_ = self._patient.draws.uniforms("unwell", int(begin.timestamp()))
            likely = behaviour.unscheduled_per_hour * ill.unwell(begin)
            if self._home.is_asleep(begin):
                likely *= behaviour.unscheduled_asleep_factor
            at = begin + timedelta(seconds=round(3000 * when))
            if chance >= likely or not self._is_measuring(at):
                continue
            for activity in self._programme.activities:
                if ill.concerns(activity.family):
                    yield at, activity

    def _is_measuring(self, at: datetime) -> bool:
        ill = self._patient.deterioration_at(at)
        return not (
            (ill is not None and ill.is_silent(at))
            or any(since <= at < until for since, until in self._patient.spells)
        )

    def _clock(self, day: date, clock: time) -> datetime:
        """Return the moment of a wall clock's time, in UTC."""
        return datetime.combine(day, clock, self._parameters.zone).astimezone(UTC)
