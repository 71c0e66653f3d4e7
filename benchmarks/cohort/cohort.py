"""A whole cohort: patient after patient, in one or several processes, into files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import msgspec

from benchmarks.cohort.driving import Driven, drive
from benchmarks.cohort.generating import Case, case
from benchmarks.cohort.outcomes import Outcome, outcome
from benchmarks.cohort.parameters import Parameters
from benchmarks.cohort.patients import patient_id
from benchmarks.cohort.plain import alerts as plain_alerts
from benchmarks.cohort.plain import exact
from benchmarks.cohort.plans import plan
from benchmarks.cohort.records import Alert

#: What is written, and what each line is.
FILES: Final = (
    "patients.jsonl",
    "plans.jsonl",
    "readings.jsonl",
    "quarantined.jsonl",
    "answers.jsonl",
    "truth.jsonl",
    "made.jsonl",
    "plain.jsonl",
    "alerts.jsonl",
    "requests.jsonl",
    "requested.jsonl",
)
_CHUNK: Final = 4
_ENCODER: Final = msgspec.json.Encoder(decimal_format="string")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Task:
    parameters: bytes
    number: int
    is_driven: bool
    given: Sequence[Alert] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Done:
    lines: Mapping[str, bytes]
    outcome: Outcome


def run(
    parameters: Parameters,
    folder: Path,
    *,
    jobs: int,
    is_driven: bool,
    given: Mapping[UUID, Sequence[Alert]],
    tell: Callable[[int, int], None],
) -> list[Outcome]:
    """Write the cohort's files and return what became of each patient.

    Memory is bounded by the patients that are worked on: each is written before it is forgotten,
    in the order of their numbers, so the files are the same whatever the number of processes.

    Args:
        parameters: Of the cohort.
        folder: Where the files go; it exists.
        jobs: How many processes.
        is_driven: Whether the alert engine judges the patients.
        given: Alerts to be judged where it does not, by patient.
        tell: Called with the patients done and all.
    """
    encoded = _ENCODER.encode(parameters)
    tasks = (
        _Task(
            parameters=encoded,
            number=number,
            is_driven=is_driven,
            given=given.get(patient_id(parameters.seed, number), ()),
        )
        for number in range(parameters.patients)
    )
    outcomes: list[Outcome] = []
    with ExitStack() as stack:
        files = {name: stack.enter_context((folder / name).open("wb")) for name in FILES}
        for done in _mapped(tasks, jobs, stack):
            for name, text in done.lines.items():
                files[name].write(text)
            outcomes.append(done.outcome)
            tell(len(outcomes), parameters.patients)
    return outcomes


def _mapped(tasks: Iterable[_Task], jobs: int, stack: ExitStack) -> Iterator[_Done]:
    if jobs == 1:
        return map(_work, tasks)
    pool = stack.enter_context(get_context("spawn").Pool(jobs))
    return pool.imap(_work, tasks, chunksize=_CHUNK)


# As text and not pickled: what is left out because it is the default is told by identity, which
# pickling loses, and then two processes would write other bytes than one.
@lru_cache(maxsize=1)
def _decoded(parameters: bytes) -> Parameters:
    return msgspec.json.decode(parameters, type=Parameters)


def _work(task: _Task) -> _Done:
    parameters = _decoded(task.parameters)
    one = case(parameters, task.number)
    limits = exact(one.patient.limits)
    own = plan(parameters, one.patient)
    driven = drive(parameters, one, own) if task.is_driven else Driven(alerts=list(task.given))
    stored = [each.reading for each in one.produced if not each.is_quarantined]
    plain = plain_alerts(stored, limits)
    return _Done(
        lines={
            "plans.jsonl": lines([own]),
            "plain.jsonl": lines(plain),
            **_of_patient(one),
            **_of_rules(driven),
        },
        outcome=outcome(
            one.monitored,
            one.truths,
            [*one.produced, *driven.requested],
            limits,
            rules=driven.alerts,
            plain=plain,
            requests=driven.requests,
        ),
    )


def _of_patient(one: Case) -> dict[str, bytes]:
    return {
        "patients.jsonl": lines([one.monitored]),
        "readings.jsonl": lines(each.reading for each in one.produced if not each.is_quarantined),
        "quarantined.jsonl": lines(each.reading for each in one.produced if each.is_quarantined),
        "answers.jsonl": lines(one.answers),
        "truth.jsonl": lines(one.truths),
        "made.jsonl": lines(each.made for each in one.produced if each.made.is_remarkable),
    }


def _of_rules(driven: Driven) -> dict[str, bytes]:
    return {
        "alerts.jsonl": lines(driven.alerts),
        "requests.jsonl": lines(driven.requests),
        "requested.jsonl": lines(each.reading for each in driven.requested),
    }


def lines(records: Iterable[Any]) -> bytes:
    """Return records as JSON Lines."""
    return b"".join(_ENCODER.encode(one) + b"\n" for one in records)
