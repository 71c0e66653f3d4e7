"""One patient's part of the cohort's files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import uuid5

from benchmarks.cohort.courses import RED, YELLOW
from benchmarks.cohort.diary import Diary
from benchmarks.cohort.measuring import Home, Produced
from benchmarks.cohort.parameters import Parameters
from benchmarks.cohort.patients import Patient, patient
from benchmarks.cohort.records import Answer, Monitored, Truth


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One patient: who they are, what is true of them, and what they do unasked.

    ``produced`` and ``answers`` are in the order in which the server has them.
    """

    patient: Patient
    home: Home
    monitored: Monitored
    truths: Sequence[Truth]
    produced: Sequence[Produced]
    answers: Sequence[Answer]


def case(parameters: Parameters, number: int) -> Case:
    """Return one patient of the cohort, alone: nothing depends on another patient."""
    who = patient(parameters, number)
    home = Home(parameters, who)
    diary = Diary(parameters, home)
    # What reaches the server after the end is outside what the cohort can tell of.
    produced = [one for one in diary.readings() if one.reading.received_at < who.until]
    produced.sort(
        key=lambda one: (one.reading.received_at, one.reading.effective_at, one.reading.id)
    )
    return Case(
        patient=who,
        home=home,
        monitored=_monitored(who),
        truths=_truths(who),
        produced=produced,
        answers=[one for one in diary.answers() if one.received_at < who.until],
    )


def _monitored(who: Patient) -> Monitored:
    return Monitored(
        patient_id=who.id,
        programme=who.programme,
        since=who.since,
        until=who.until,
        is_irregular=who.is_irregular,
        is_shared=who.other is not None,
        answers_request=f"{who.answers_request:.3f}",
        adherence=f"{who.adherence:.3f}",
    )


def _truths(who: Patient) -> list[Truth]:
    # What would be crossed after the end is crossed by nobody who is looked at.
    reds = [
        at if (at := one.crossed_red_at) is not None and at < who.until else None
        for one in who.deteriorations
    ]
    return [
        Truth(
            id=uuid5(who.id, f"deterioration {place}"),
            patient_id=who.id,
            programme=who.programme,
            kind=one.kind,
            severity=YELLOW if red is None else RED,
            measures=one.measures,
            onset=one.onset,
            crossed_at=one.crossed_at,
            crossed_red_at=red,
            silent_from=one.silent_from,
            ends_at=min(one.ends_at, who.until),
        )
        for place, (one, red) in enumerate(zip(who.deteriorations, reds, strict=True))
    ]
