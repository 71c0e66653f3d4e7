"""A chart with axes, drawn here as SVG: true time, the patient's band and limits, marks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, time, timedelta
from decimal import Decimal
from typing import Final

from babel.dates import format_skeleton
from markupsafe import Markup, escape

from clinician_api.pages.sparkline import Point, lines, marks
from clinician_api.pages.times import Reader
from ingest_service.plans.limits import Level, Limits
from ingest_service.wording.crossing import bound

_WIDTH, _HEIGHT = 348, 150
_LEFT, _RIGHT, _TOP, _BOTTOM = 30, 30, 8, 22
_STEPS: Final = (1, 2, 4, 5, 10, 20, 25, 50, 100)
_TICKS: Final = 5  # at most so many values beside the axis
_DAYS: Final = 7  # days between dates under the axis


def draw(
    points: Sequence[Point],
    limits: Limits,
    *,
    start: datetime,
    end: datetime,
    label: str,
    reader: Reader,
) -> Markup:
    """Return the chart of a patient's values between two moments.

    Args:
        points: Values, oldest first; those outside the interval are left out.
        limits: The patient's limits now: the band lies between the yellow ones, a dashed line at
            each red one.
        start: The left edge.
        end: The right edge; equal lengths of time are equally wide all over.
        label: What a reader who does not see the chart is told.
        reader: Whose clock and language the dates are in.
    """
    shown = [point for point in points if start <= point.at <= end]
    frame = _Frame(shown, limits, start, end)
    placed = [f"{frame.x(point.at):.1f} {frame.y(point.value):.1f}" for point in shown]
    return Markup(  # noqa: S704 - numbers, dates, constants, and the label, which is escaped
        f'<svg class="ch big" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img"'
        f' aria-label="{escape(label)}">'
        f"{frame.band(limits)}{''.join(frame.grid())}{''.join(frame.dates(reader))}"
        f"{''.join(frame.limits(limits))}{lines(shown, placed)}{marks(shown, placed, limits)}"
        "</svg>"
    )


class _Frame:
    """Where things are drawn."""

    def __init__(
        self, points: Sequence[Point], limits: Limits, start: datetime, end: datetime
    ) -> None:
        edges = [bound(limits, side, level) for side in ("low", "high") for level in Level]
        seen = [point.value for point in points] + [each for each in edges if each is not None]
        low, high = float(min(seen, default=0)), float(max(seen, default=1))
        self._step = next(
            (step for step in _STEPS if (high - low) / step <= _TICKS - 1), _STEPS[-1]
        )
        self._low = low // self._step * self._step
        self._high = max(-(-high // self._step) * self._step, self._low + self._step)
        self._start, self._end = start, end
        self._per_second = (_WIDTH - _LEFT - _RIGHT) / (end - start).total_seconds()
        self._per_unit = (_HEIGHT - _TOP - _BOTTOM) / (self._high - self._low)

    def x(self, at: datetime) -> float:
        return _LEFT + (at - self._start).total_seconds() * self._per_second

    def y(self, value: Decimal | float) -> float:
        return _HEIGHT - _BOTTOM - (float(value) - self._low) * self._per_unit

    def band(self, limits: Limits) -> str:
        high, low = bound(limits, "high", Level.YELLOW), bound(limits, "low", Level.YELLOW)
        if high is None and low is None:
            return ""
        top = _TOP if high is None else self.y(high)
        bottom = _HEIGHT - _BOTTOM if low is None else self.y(low)
        return (
            f'<rect class="band" x="{_LEFT}" y="{top:.1f}" width="{_WIDTH - _LEFT - _RIGHT}"'
            f' height="{max(bottom - top, 0.0):.1f}"/>'
        )

    def grid(self) -> Iterator[str]:
        value = self._low
        while value <= self._high:
            y = self.y(value)
            yield f'<path class="gr" d="M{_LEFT} {y:.1f}H{_WIDTH - _RIGHT}"/>'
            yield f'<text x="{_LEFT - 5}" y="{y + 3.5:.1f}" text-anchor="end">{value:g}</text>'
            value += self._step

    def limits(self, limits: Limits) -> Iterator[str]:
        for value in (limits.red_low, limits.red_high):
            if value is not None:
                y = self.y(value)
                yield f'<path class="lim" d="M{_LEFT} {y:.1f}H{_WIDTH - _RIGHT}"/>'
                x = _WIDTH - _RIGHT + 4
                yield f'<text class="rd" x="{x}" y="{y + 3.5:.1f}">{value}</text>'

    def dates(self, reader: Reader) -> Iterator[str]:
        """Yield a date under each seventh midnight of the reader's clock, counted from today."""
        day = self._end.astimezone(reader.zone).date()
        while (
            at := datetime.combine(day, time(), tzinfo=reader.zone)
        ) >= self._start and at <= self._end + timedelta(days=1):
            if at <= self._end:
                x = self.x(at)
                text = format_skeleton("MMMd", at, locale=reader.catalogue.locale)
                yield f'<path class="gr" d="M{x:.1f} {_TOP}V{_HEIGHT - _BOTTOM}"/>'
                yield f'<text x="{x:.1f}" y="{_HEIGHT - 6}" text-anchor="middle">{text}</text>'
            day -= timedelta(days=_DAYS)
