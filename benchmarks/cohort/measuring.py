"""A patient measures: readings of a device at a time, with everything that can go wrong."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from math import exp
from typing import Final
from uuid import UUID, uuid5
from zoneinfo import ZoneInfo

from benchmarks.cohort.body import Body, in_steps
from benchmarks.cohort.draws import Draws, normal
from benchmarks.cohort.parameters import Parameters
from benchmarks.cohort.patients import Outage, Patient
from benchmarks.cohort.records import Artifact, Cause, Made, Reading

BLOOD_PRESSURE, SPO2, BODY_WEIGHT, PULSE = "blood_pressure", "spo2", "body_weight", "pulse"
_MEASURES: Final[Mapping[str, tuple[str, ...]]] = {
    BLOOD_PRESSURE: ("systolic", "diastolic"),
    SPO2: ("spo2",),
    BODY_WEIGHT: ("body_weight",),
}
#: Devices that count the pulse beside what they are for.
COUNTS_PULSE: Final = frozenset({BLOOD_PRESSURE, SPO2})
_KEEPS_MEMORY: Final = frozenset({BLOOD_PRESSURE, BODY_WEIGHT})
_FAILED_GAP: Final = timedelta(seconds=75)


@dataclass(frozen=True, slots=True, kw_only=True)
class Produced:
    """One reading, how it came about, and whether it waits in the quarantine."""

    reading: Reading
    made: Made
    is_quarantined: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Flaw:
    """What is wrong with one reading."""

    artifact: Artifact | None = None
    flags: tuple[str, ...] = ()
    sd_factor: float = 1.0
    shift: float = 0.0


class Home:
    """A patient with their devices and gateway: measures when asked to."""

    def __init__(self, parameters: Parameters, patient: Patient) -> None:
        self.patient = patient
        self.body = Body(parameters, patient)
        self._parameters = parameters
        self._draws: Draws = patient.draws
        self._zone: ZoneInfo = parameters.zone

    def sit(self, family: str, at: datetime, *, readings: int, why: Cause) -> Iterator[Produced]:
        """Yield one sitting with one device: failed attempts, then readings, a gap between.

        Nothing comes of what was lost: made while the gateway was off, by a device that keeps
        nothing.
        """
        place = int(at.timestamp())
        chance, length, giving_up, gap, other, *_ = self._draws.uniforms(f"sit {family}", place)
        at, has_given_up = yield from self._fail(
            family, at, why, chance=chance, length=length, giving_up=giving_up
        )
        if has_given_up:
            return
        low, high = self._parameters.behaviour.gap_s
        others = self.patient.other
        is_other = (
            why is Cause.SCHEDULED
            and family == BLOOD_PRESSURE
            and others is not None
            and other < self._parameters.other_person.per_sitting
        )
        for number in range(readings):
            when = at + timedelta(seconds=round(number * (low + (high - low) * gap)))
            if is_other and others is not None:
                yield from self._other(when, others)
            else:
                yield from self._own(family, when, why)

    def again(self, family: str, asked_at: datetime) -> datetime | None:
        """Return when the patient measures after a request, or ``None`` if they do not."""
        behaviour = self._parameters.behaviour
        willing, minutes, *_ = self._draws.uniforms(f"request {family}", int(asked_at.timestamp()))
        chance = self.patient.answers_request
        if self.is_asleep(asked_at):
            chance *= behaviour.answers_asleep
        if willing >= chance:
            return None
        spent = behaviour.answer_median_min * exp(behaviour.answer_sigma * normal(minutes))
        at = asked_at + timedelta(seconds=max(60, round(60 * spent)))
        ill = self.patient.deterioration_at(at)
        is_away = any(since <= at < until for since, until in self.patient.spells)
        if is_away or (ill is not None and ill.is_silent(at)) or at >= self.patient.until:
            return None
        return at

    def is_asleep(self, at: datetime) -> bool:
        """Tell whether the patient sleeps at that time."""
        since, until = self._parameters.behaviour.asleep
        clock = at.astimezone(self._zone).strftime("%H:%M")
        return clock >= since or clock < until if since > until else since <= clock < until

    def _fail(
        self,
        family: str,
        at: datetime,
        why: Cause,
        *,
        chance: float,
        length: float,
        giving_up: float,
    ) -> Generator[Produced, None, tuple[datetime, bool]]:
        """Yield failed attempts; return when the next one begins, and whether there is none."""
        artifacts = self._parameters.artifacts
        ill = self.patient.deterioration_at(at)
        unwell = ill.unwell(at) if ill else 0.0
        if chance >= artifacts.failed_run + artifacts.failed_run_when_unwell * unwell:
            return at, False
        low, high = artifacts.failed_run_length
        for number in range(int(low + (high - low + 1) * length)):
            when = at + number * _FAILED_GAP
            received = self._received(family, when)
            if received is None:
                continue
            reading = Reading(
                id=self._id(f"failed {family}", when),
                patient_id=self.patient.id,
                family=family,
                effective_at=self.local(when),
                received_at=received,
                is_failed=True,
            )
            yield Produced(reading=reading, made=_made(reading, why, None))
            at = when + _FAILED_GAP
        return at, giving_up < artifacts.gives_up

    def _own(self, family: str, at: datetime, why: Cause) -> Iterator[Produced]:
        received = self._received(family, at)
        if received is None:
            return
        flaw, is_wrong_slot = self._flaw(family, at)
        values = {
            measure: self.body.shown(
                measure, at, sd_factor=flaw.sd_factor, shift=self._shift(measure, flaw)
            )
            for measure in _MEASURES[family]
        }
        rows = {family: values}
        if family in COUNTS_PULSE and PULSE in self.patient.usual:
            factor = (
                self._parameters.irregular.reading_factor if self.patient.is_irregular else 1.0
            )
            rows[PULSE] = {PULSE: self.body.shown(PULSE, at, sd_factor=factor)}
        for row, shown in rows.items():
            reading = Reading(
                id=self._id(f"{family} {row}", at),
                patient_id=self.patient.id,
                family=row,
                effective_at=self.local(at),
                received_at=received,
                values={measure: str(value) for measure, value in shown.items()},
                flags=flaw.flags,
            )
            artifact = Artifact.WRONG_SLOT if is_wrong_slot else flaw.artifact
            yield Produced(
                reading=reading,
                made=_made(reading, why, artifact),
                is_quarantined=is_wrong_slot,
            )

    def _other(self, at: datetime, usual: Mapping[str, float]) -> Iterator[Produced]:
        """Yield a reading that somebody else made with the patient's cuff.

        Where the cuff tells users apart it is nobody's that we know, and waits in the quarantine;
        else it is taken for the patient's.
        """
        received = self._received(BLOOD_PRESSURE, at)
        if received is None:
            return
        place = int(at.timestamp())
        values: dict[str, dict[str, str]] = {BLOOD_PRESSURE: {}, PULSE: {}}
        for measure, value in usual.items():
            variation = self._parameters.variation[measure]
            sd = (variation.day_sd**2 + variation.slot_sd**2 + variation.reading_sd**2) ** 0.5
            noise = self._draws.normal(f"other reading {measure}", place)
            family = PULSE if measure == PULSE else BLOOD_PRESSURE
            values[family][measure] = str(in_steps(variation, value + sd * noise))
        for family, shown in values.items():
            reading = Reading(
                id=self._id(f"other {family}", at),
                patient_id=self.patient.id,
                family=family,
                effective_at=self.local(at),
                received_at=received,
                values=shown,
            )
            yield Produced(
                reading=reading,
                made=_made(reading, Cause.SCHEDULED, Artifact.OTHER_PERSON),
                is_quarantined=self.patient.has_user_slots,
            )

    def _flaw(self, family: str, at: datetime) -> tuple[_Flaw, bool]:
        """Return what is wrong with a reading, and whether it was made in another's user slot."""
        artifacts, irregular = self._parameters.artifacts, self._parameters.irregular
        place = int(at.timestamp())
        moving, fitting, size, flagged, slot, *_ = self._draws.uniforms(f"flaw {family}", place)
        if family == SPO2:
            if moving < artifacts.cold_finger:
                low, high = artifacts.cold_finger_depth
                depth = low + (high - low) * size
                flaw = _Flaw(artifact=Artifact.COLD_FINGER, flags=("low_perfusion",), shift=-depth)
                return flaw, False
            return _Flaw(), False
        if family != BLOOD_PRESSURE:
            return _Flaw(), False
        is_wrong_slot = (
            self.patient.other is not None
            and self.patient.has_user_slots
            and slot < self._parameters.other_person.wrong_slot
        )
        is_irregular = self.patient.is_irregular
        factor = irregular.reading_factor if is_irregular else 1.0
        flags = ("irregular_pulse",) if is_irregular and flagged < irregular.flagged_share else ()
        if moving < artifacts.movement:
            flaw = _Flaw(
                artifact=Artifact.MOVEMENT,
                flags=(*flags, "body_movement"),
                sd_factor=factor * artifacts.movement_sd_factor,
            )
        elif fitting < artifacts.loose_cuff:
            low, high = artifacts.loose_cuff_shift
            flaw = _Flaw(
                artifact=Artifact.LOOSE_CUFF,
                flags=(*flags, "cuff_too_loose"),
                sd_factor=factor,
                shift=low + (high - low) * size,
            )
        else:
            flaw = _Flaw(flags=flags, sd_factor=factor)
        return flaw, is_wrong_slot

    def _shift(self, measure: str, flaw: _Flaw) -> float:
        # A loose cuff reads both pressures wrong, the diastolic by about half as much.
        return flaw.shift / 2 if measure == "diastolic" else flaw.shift

    def _received(self, family: str, at: datetime) -> datetime | None:
        """Return when the server has a reading of that time; ``None`` if it never gets it."""
        delivery = self._parameters.delivery
        quick, kept, *_ = self._draws.uniforms(f"delivery {family}", int(at.timestamp()))
        outage = _outage_at(self.patient.outages, at)
        if outage is None:
            low, high = delivery.seconds
            return at + timedelta(seconds=round(low + (high - low) * quick))
        is_kept = family in _KEEPS_MEMORY and kept < delivery.kept_in_memory
        if outage.is_off and not is_kept:
            return None
        # All in one message: what waited is sent together.
        spent = self._draws.between(delivery.burst_s, "burst", int(outage.until.timestamp()))
        return outage.until + timedelta(seconds=round(spent))

    def local(self, at: datetime) -> datetime:
        """Return the time in the home's offset, as a gateway writes it."""
        local = at.astimezone(self._zone)
        return local.replace(tzinfo=timezone(local.utcoffset() or timedelta()))

    def _id(self, what: str, at: datetime) -> UUID:
        return uuid5(self.patient.id, f"{what} {at.astimezone(UTC).isoformat()}")


def _made(reading: Reading, why: Cause, artifact: Artifact | None) -> Made:
    return Made(reading_id=reading.id, patient_id=reading.patient_id, why=why, artifact=artifact)


def _outage_at(outages: tuple[Outage, ...], at: datetime) -> Outage | None:
    for one in outages:
        if one.since <= at < one.until:
            return one
    return None
