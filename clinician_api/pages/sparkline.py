"""Small charts drawn here as SVG: a true time axis, the patient's band, marks beyond limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from markupsafe import Markup, escape

from ingest_service.plans.limits import Level, Limits
from ingest_service.wording.crossing import Side, bound, crossed

WIDTH: Final = 124
HEIGHT: Final = 36
_LEFT, _TOP, _BOTTOM = 4, 4, 4
_LOWEST, _HIGHEST = Decimal("-Infinity"), Decimal("Infinity")
_GAP: Final = timedelta(hours=48)  # no line is drawn over more than this without a reading

# Class and path of a mark, from the point on. A dot is a line of no length with round ends.
_SHAPES: Final[Mapping[tuple[Side, Level] | None, tuple[str, str]]] = {
    ("high", Level.RED): ("oor", "m0-4l3.6 6.4h-7.2z"),
    ("low", Level.RED): ("oor", "m0 4l3.6-6.4h-7.2z"),
    ("high", Level.YELLOW): ("warn", "m0-3.4l3.4 3.4-3.4 3.4-3.4-3.4z"),
    ("low", Level.YELLOW): ("warn", "m0-3.4l3.4 3.4-3.4 3.4-3.4-3.4z"),
    None: ("dot", "h0"),
}


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
    placed = [f"{scale.x(point.at):.1f} {scale.y(point.value):.1f}" for point in shown]
    return Markup(  # noqa: S704 - numbers, constants, and the label, which is escaped
        f'<svg class="ch" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(label)}">'
        f"{_band(limits, scale)}{lines(shown, placed)}{marks(shown, placed, limits)}</svg>"
    )


class _Scale:
    def __init__(
        self, points: Sequence[Point], limits: Limits, start: datetime, end: datetime
    ) -> None:
        # The band and the readings: a red limit that is far off would press them flat.
        band = (bound(limits, "low", Level.YELLOW), bound(limits, "high", Level.YELLOW))
        seen = [point.value for point in points] + [each for each in band if each is not None]
        low, high = float(min(seen, default=0)), float(max(seen, default=1))
        margin = max((high - low) * 0.08, 1.0)
        self._start, self._low = start, low - margin
        self._per_second = (WIDTH - 2 * _LEFT) / (end - start).total_seconds()
        self._per_unit = (HEIGHT - _TOP - _BOTTOM) / (high - low + 2 * margin)

    def x(self, at: datetime) -> float:
        return _LEFT + (at - self._start).total_seconds() * self._per_second

    def y(self, value: Decimal) -> float:
        return HEIGHT - _BOTTOM - (float(value) - self._low) * self._per_unit


def _band(limits: Limits, scale: _Scale) -> str:
    high, low = bound(limits, "high", Level.YELLOW), bound(limits, "low", Level.YELLOW)
    if high is None and low is None:
        return ""
    top = _TOP / 2 if high is None else scale.y(high)
    bottom = HEIGHT - _BOTTOM / 2 if low is None else scale.y(low)
    height = max(bottom - top, 0.0)
    return f'<rect class="band" x="0" y="{top:.1f}" width="{WIDTH}" height="{height:.1f}"/>'


def lines(points: Sequence[Point], placed: Sequence[str]) -> str:
    """Return the line, broken where days are missing: nobody knows what was between."""
    path, before = "", None
    for point, place in zip(points, placed, strict=True):
        is_start = before is None or point.at - before > _GAP
        path += f"{'M' if is_start else 'L'}{place}"
        before = point.at
    return f'<path class="ln" d="{path}"/>' if path else ""


def marks(points: Sequence[Point], placed: Sequence[str], limits: Limits) -> str:
    """Return a mark for each reading: beyond a limit one of its own shape, else a dot."""
    paths = {"dot": "", "warn": "", "oor": ""}
    lows = [each for each in (limits.red_low, limits.yellow_low) if each is not None]
    highs = [each for each in (limits.yellow_high, limits.red_high) if each is not None]
    low, high = max(lows, default=_LOWEST), min(highs, default=_HIGHEST)
    for point, place in zip(points, placed, strict=True):
        # Most readings lie within: those are not asked which limit they are beyond.
        is_within = low <= point.value <= high
        name, shape = _SHAPES[None if is_within else crossed(limits, point.value)]
        paths[name] += f"M{place}{shape}"
    drawn = "".join(f'<path class="{name}" d="{path}"/>' for name, path in paths.items() if path)
    if points and crossed(limits, points[-1].value) is None:
        x, y = placed[-1].split()
        drawn += f'<circle class="pt" cx="{x}" cy="{y}" r="2.6"/>'
    return drawn
