"""Blood pressure drawn here as SVG: a bar for each reading, its ends told apart by their shape."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final

from markupsafe import Markup

from clinician_api.pages.chart import Frame
from clinician_api.pages.times import Reader
from ingest_service.plans.limits import Limits, Measure
from ingest_service.store.worklist import Measured
from ingest_service.wording.crossing import crossed

_NONE: Final = Limits()
# From the value on: a disc for systolic, a square for diastolic. Colour tells the level.
_SYSTOLIC: Final = "m-2.8 0a2.8 2.8 0 1 0 5.6 0a2.8 2.8 0 1 0-5.6 0"
_DIASTOLIC: Final = "m-2.4-2.4h4.8v4.8h-4.8z"
_CROSS: Final = "m-3-3l6 6m0-6l-6 6"


def draw(
    rows: Sequence[Measured],
    limits: Mapping[Measure, Limits],
    *,
    start: datetime,
    end: datetime,
    label: str,
    reader: Reader,
    size: tuple[int, int],
) -> Markup:
    """Return the chart of blood pressures between two moments.

    No band is drawn: a field for one would hold values that are too high for the other. An open
    ring stands around an irregular pulse; an uncertain reading is crossed out.

    Args:
        rows: Pressures, oldest first; those outside the interval are left out.
        limits: The patient's limits now.
        start: The left edge.
        end: The right edge.
        label: What a reader who does not see the chart is told.
        reader: Whose clock and language the dates are in.
        size: Width and height.
    """
    shown = [row for row in rows if start <= row.effective_at <= end]
    both = [limits.get(measure, _NONE) for measure in (Measure.SYSTOLIC, Measure.DIASTOLIC)]
    seen = [value for row in shown for value in (row.systolic, row.diastolic) if value is not None]
    frame = Frame(seen, both, start, end, size)
    return frame.drawn(
        label,
        *frame.grid(),
        *frame.dates(reader),
        *frame.limits(both[0]),
        *frame.limits(both[1]),
        *_bars(shown, frame),
        *_ends(shown, both, frame),
        *_doubts(shown, frame),
    )


def _bars(rows: Sequence[Measured], frame: Frame) -> Iterator[str]:
    path = ""
    for row in rows:
        if row.systolic is not None and row.diastolic is not None:
            top, bottom = frame.y(row.systolic), frame.y(row.diastolic)
            path += f"M{frame.x(row.effective_at):.1f} {top:.1f}V{bottom:.1f}"
    yield f'<path class="bar" d="{path}"/>' if path else ""


def _ends(rows: Sequence[Measured], both: Sequence[Limits], frame: Frame) -> Iterator[str]:
    paths: dict[str, str] = {}
    for row in rows:
        x = frame.x(row.effective_at)
        for value, limits, name, shape in (
            (row.systolic, both[0], "sys", _SYSTOLIC),
            (row.diastolic, both[1], "dia", _DIASTOLIC),
        ):
            if value is not None:
                found = crossed(limits, value)
                kind = f"{name} {found[1].value}" if found else name
                paths[kind] = paths.get(kind, "") + f"M{x:.1f} {frame.y(value):.1f}{shape}"
    for kind, path in paths.items():
        yield f'<path class="{kind}" d="{path}"/>'


def _doubts(rows: Sequence[Measured], frame: Frame) -> Iterator[str]:
    crosses = ""
    for row in rows:
        if row.systolic is None:
            continue
        x, y = frame.x(row.effective_at), frame.y(row.systolic)
        if row.is_irregular:
            yield f'<circle class="hol" cx="{x:.1f}" cy="{y:.1f}" r="5.5"/>'
        if row.is_doubtful:
            crosses += f"M{x:.1f} {y:.1f}{_CROSS}"
    if crosses:
        yield f'<path class="x" d="{crosses}"/>'
