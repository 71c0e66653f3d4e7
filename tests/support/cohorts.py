"""Small cohorts, and patients of them."""

from __future__ import annotations

from functools import lru_cache

import msgspec

from benchmarks.cohort import parameters
from benchmarks.cohort.driving import Driven, drive
from benchmarks.cohort.generating import Case, case
from benchmarks.cohort.parameters import Parameters
from benchmarks.cohort.plans import plan


@lru_cache(maxsize=1)
def shipped() -> Parameters:
    """Return the shipped parameters."""
    return parameters.read(parameters.DEFAULT)


def small(*, patients: int = 20, days: int = 14, seed: int = 7) -> Parameters:
    """Return the shipped parameters with another size and seed."""
    return msgspec.structs.replace(shipped(), patients=patients, days=days, seed=seed)


@lru_cache(maxsize=256)
def shipped_case(number: int) -> Case:
    """Return one patient of the shipped cohort, over all its days."""
    return case(shipped(), number)


@lru_cache(maxsize=32)
def driven(number: int, *, days: int = 28) -> tuple[Case, Driven]:
    """Return a patient of the shipped cohort and what the engine made of their first days."""
    parameters = msgspec.structs.replace(shipped(), days=days)
    one = case(parameters, number)
    return one, drive(parameters, one, plan(parameters, one.patient))
