"""Small charts drawn here as SVG: a true time axis, the patient's band, marks beyond limits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from markupsafe import Markup

from clinician_api.pages.facts import bound, crossed
from ingest_service.alerts.limits import Level, Limits

WIDTH: Final = 124
HEIGHT: Final = 36
_LEFT, _TOP, _BOTTOM = 4, 4, 4
_GAP: Final = timedelta(hours=48)  # no line is drawn over more than this without a reading


@dataclass(frozen=True, slots=True)
class Point:
    """One value at its time."""

    at: datetime
    value: Decimal


def draw(
    points: Sequence[Point], limits: Limits, *, start: datetime, end: datetime, label: str
) -> Markup:
    """Return the chart of a patient's values between two moments.

    Args:
        points: Values, oldest first; those outside the interval are left out.
        limits: The patient's limits now: the band lies between the yellow ones, or the red ones
            where there are no yellow.
        start: The left edge.
        end: The right edge; equal lengths of time are equally wide all over.
        label: What a reader who does not see the chart is told.
    """
    shown = [point for point in points if start <= point.at <= end]
    scale = _Scale(shown, limits, start, end)
    parts = [
        Markup('<svg class="ch" viewBox="0 0 {} {}" role="img" aria-label="{}">').format(
            WIDTH, HEIGHT, label
        ),
        _band(limits, scale),
        *(_line(run, scale) for run in _runs(shown)),
        *(_mark(point, limits, scale, is_last=point is shown[-1]) for point in shown),
        Markup("</svg>"),
    ]
    return Markup("").join(parts)


class _Scale:
    def __init__(
        self, points: Sequence[Point], limits: Limits, start: datetime, end: datetime
    ) -> None:
        bounds = (limits.red_low, limits.yellow_low, limits.yellow_high, limits.red_high)
        seen = [point.value for point in points] + [each for each in bounds if each is not None]
        low, high = float(min(seen, default=0)), float(max(seen, default=1))
        margin = max((high - low) * 0.08, 1.0)
        self.low, self.high = low - margin, high + margin
        self._start, self._length = start, (end - start).total_seconds()

    def x(self, at: datetime) -> float:
        share = (at - self._start).total_seconds() / self._length
        return _LEFT + share * (WIDTH - 2 * _LEFT)

    def y(self, value: Decimal | float) -> float:
        share = (float(value) - self.low) / (self.high - self.low)
        return HEIGHT - _BOTTOM - share * (HEIGHT - _TOP - _BOTTOM)


def _band(limits: Limits, scale: _Scale) -> Markup:
    high, low = bound(limits, "high", Level.YELLOW), bound(limits, "low", Level.YELLOW)
    if high is None and low is None:
        return Markup("")
    top = _TOP / 2 if high is None else scale.y(high)
    bottom = HEIGHT - _BOTTOM / 2 if low is None else scale.y(low)
    return Markup('<rect class="band" x="0" y="{:.1f}" width="{}" height="{:.1f}"/>').format(
        top, WIDTH, max(bottom - top, 0.0)
    )


def _runs(points: Sequence[Point]) -> Iterator[list[Point]]:
    """Yield stretches without a gap: a line over missing days would show what nobody knows."""
    run: list[Point] = []
    for point in points:
        if run and point.at - run[-1].at > _GAP:
            yield run
            run = []
        run.append(point)
    if run:
        yield run


def _line(run: Sequence[Point], scale: _Scale) -> Markup:
    path = "L".join(f"{scale.x(point.at):.1f} {scale.y(point.value):.1f}" for point in run)
    return Markup('<path class="ln" d="M{}"/>').format(path)


def _mark(point: Point, limits: Limits, scale: _Scale, *, is_last: bool) -> Markup:
    x, y = f"{scale.x(point.at):.1f}", f"{scale.y(point.value):.1f}"
    match crossed(limits, point.value):
        case ("high", Level.RED):
            return Markup('<path class="oor" d="M{} {}m0-4l3.6 6.4h-7.2z"/>').format(x, y)
        case ("low", Level.RED):
            return Markup('<path class="oor" d="M{} {}m0 4l3.6-6.4h-7.2z"/>').format(x, y)
        case (_, Level.YELLOW):
            return Markup('<path class="warn" d="M{} {}m0-3.4l3.4 3.4-3.4 3.4-3.4-3.4z"/>').format(
                x, y
            )
        case _:
            size = "2.6" if is_last else "1.2"
            return Markup('<circle class="pt" cx="{}" cy="{}" r="{}"/>').format(x, y, size)
