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

PANE, PAGE = (348, 150), (860, 210)
_LEFT, _RIGHT, _TOP, _BOTTOM = 30, 34, 8, 22
_STEPS: Final = (1, 2, 4, 5, 10, 20, 25, 50, 100)
_TICKS: Final = 5  # at most so many values beside the axis
_DAYS: Final = 7  # days between dates under the axis, at least
_DATES: Final = 6  # about so many dates


def draw(
    points: Sequence[Point],
    limits: Limits,
    *,
    start: datetime,
    end: datetime,
    label: str,
    reader: Reader,
    size: tuple[int, int] = PANE,
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
        size: Width and height.
    """
    shown = [point for point in points if start <= point.at <= end]
    frame = Frame([point.value for point in shown], [limits], start, end, size)
    placed = [f"{frame.x(point.at):.1f} {frame.y(point.value):.1f}" for point in shown]
    return frame.drawn(
        label,
        frame.band(limits),
        *frame.grid(),
        *frame.dates(reader),
        *frame.limits(limits),
        lines(shown, placed),
        marks(shown, placed, limits),
    )


class Frame:
    """Where things are drawn: a true time axis, and values from the lowest to the highest."""

    def __init__(
        self,
        seen: Sequence[Decimal],
        limits: Sequence[Limits],
        start: datetime,
        end: datetime,
        size: tuple[int, int],
    ) -> None:
        self.width, self.height = size
        edges = [
            bound(each, side, level)
            for each in limits
            for side in ("low", "high")
            for level in (Level.YELLOW, Level.RED)
        ]
        known = [*seen, *(each for each in edges if each is not None)]
        low, high = float(min(known, default=0)), float(max(known, default=1))
        self._step = next(
            (step for step in _STEPS if (high - low) / step <= _TICKS - 1), _STEPS[-1]
        )
        self._low = low // self._step * self._step
        self._high = max(-(-high // self._step) * self._step, self._low + self._step)
        self._start, self._end = start, end
        self._per_second = (self.width - _LEFT - _RIGHT) / (end - start).total_seconds()
        self._per_unit = (self.height - _TOP - _BOTTOM) / (self._high - self._low)

    def drawn(self, label: str, *parts: str) -> Markup:
        """Return the whole as a picture with a text for who does not see it."""
        return Markup(  # noqa: S704 - numbers, dates, constants, and the label, which is escaped
            f'<svg class="ch big" viewBox="0 0 {self.width} {self.height}" role="img"'
            f' aria-label="{escape(label)}">{"".join(parts)}</svg>'
        )

    def x(self, at: datetime) -> float:
        """Return where a moment stands."""
        return _LEFT + (at - self._start).total_seconds() * self._per_second

    def y(self, value: Decimal | float) -> float:
        """Return where a value stands."""
        return self.height - _BOTTOM - (float(value) - self._low) * self._per_unit

    def band(self, limits: Limits) -> str:
        """Return the field between the yellow limits, else the red ones."""
        high, low = bound(limits, "high", Level.YELLOW), bound(limits, "low", Level.YELLOW)
        if high is None and low is None:
            return ""
        top = _TOP if high is None else self.y(high)
        bottom = self.height - _BOTTOM if low is None else self.y(low)
        return (
            f'<rect class="band" x="{_LEFT}" y="{top:.1f}" width="{self.width - _LEFT - _RIGHT}"'
            f' height="{max(bottom - top, 0.0):.1f}"/>'
        )

    def grid(self) -> Iterator[str]:
        """Yield a line and its value at each step."""
        value = self._low
        while value <= self._high:
            y = self.y(value)
            yield f'<path class="gr" d="M{_LEFT} {y:.1f}H{self.width - _RIGHT}"/>'
            yield f'<text x="{_LEFT - 5}" y="{y + 3.5:.1f}" text-anchor="end">{value:g}</text>'
            value += self._step

    def limits(self, limits: Limits) -> Iterator[str]:
        """Yield a dashed line and its value at each red limit."""
        for value in (limits.red_low, limits.red_high):
            if value is not None:
                y = self.y(value)
                yield f'<path class="lim" d="M{_LEFT} {y:.1f}H{self.width - _RIGHT}"/>'
                x = self.width - _RIGHT + 4
                yield f'<text class="rd" x="{x}" y="{y + 3.5:.1f}">{value}</text>'

    def dates(self, reader: Reader) -> Iterator[str]:
        """Yield some midnights of the reader's clock with their dates, back from today."""
        days = max(_DAYS, (self._end - self._start) // timedelta(days=1) // _DATES)
        day = self._end.astimezone(reader.zone).date()
        while (at := datetime.combine(day, time(), tzinfo=reader.zone)) >= self._start:
            if at <= self._end:
                x = self.x(at)
                text = format_skeleton("MMMd", at, locale=reader.catalogue.locale)
                yield f'<path class="gr" d="M{x:.1f} {_TOP}V{self.height - _BOTTOM}"/>'
                yield f'<text x="{x:.1f}" y="{self.height - 6}" text-anchor="middle">{text}</text>'
            day -= timedelta(days=days)
