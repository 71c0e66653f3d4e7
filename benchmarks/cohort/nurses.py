"""When a person takes an alert and is done with it: in opening hours, after a while."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from benchmarks.cohort.courses import RED
from benchmarks.cohort.draws import Draws, log_normal
from benchmarks.cohort.parameters import Nurses
from ingest_service.plans.hours import deadline


@dataclass(frozen=True, slots=True, kw_only=True)
class Handling:
    """When an alert is taken and when it is resolved."""

    taken_at: datetime
    resolved_at: datetime


def handling(
    nurses: Nurses, draws: Draws, *, rule: str, level: str, raised_at: datetime
) -> Handling | None:
    """Return what becomes of an alert that waits for a person since ``raised_at``.

    Without it a latched alert would stay open for 90 days and hide what comes after.

    Returns:
        ``None`` if the unit does not open any more.
    """
    is_red = level == RED
    median = nurses.take_red_median_min if is_red else nurses.take_yellow_median_min
    taking, finishing, *_ = draws.uniforms(f"nurse {rule}", int(raised_at.timestamp()))
    take_min = max(1, round(log_normal(taking, median=median, sigma=nurses.sigma)))
    resolve_min = log_normal(finishing, median=nurses.resolve_median_min, sigma=nurses.sigma)
    taken_at = deadline(nurses.hours, raised_at, take_min)
    if taken_at is None:
        return None
    resolved_at = deadline(nurses.hours, taken_at, max(1, round(resolve_min)))
    return None if resolved_at is None else Handling(taken_at=taken_at, resolved_at=resolved_at)
