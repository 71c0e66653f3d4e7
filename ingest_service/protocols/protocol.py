"""A home blood-pressure protocol: how often to measure, and which readings make the average.

Several are in use, so none stands in code: a protocol is a document that names its source. What
no document can ask for is that an irregular pulse or a doubtful person keeps a reading out (A2).
"""

from __future__ import annotations

from datetime import datetime, time
from enum import StrEnum
from itertools import pairwise
from typing import Annotated, Final, Literal

import msgspec

_DAY_MIN: Final = 24 * 60
_MOST_BYTES: Final = 64 * 1024  # a document has about one kilobyte

_Text = Annotated[str, msgspec.Meta(min_length=1, max_length=2000)]
_Name = Annotated[str, msgspec.Meta(pattern=r"\A[a-z0-9]+(?:[-_][a-z0-9]+)*\Z", max_length=40)]
_Clock = Annotated[str, msgspec.Meta(pattern=r"\A(?:[01][0-9]|2[0-3]):[0-5][0-9]\Z")]
_Count = Annotated[int, msgspec.Meta(ge=1, le=400)]
_Few = Annotated[int, msgspec.Meta(ge=1, le=10)]
_Left = Annotated[int, msgspec.Meta(ge=0, le=30)]
_Seconds = Annotated[int, msgspec.Meta(ge=0, le=4 * 3600)]


class ProtocolError(ValueError):
    """The document is no protocol; the text says which one, which field and what is wrong."""


class SittingValue(StrEnum):
    """What of a sitting goes into the average."""

    EVERY_READING = "every_reading"  # all readings weigh the same, however many a sitting has
    MEAN = "mean"  # the sitting's mean: all sittings weigh the same
    LOWEST = "lowest"  # the reading with the lowest systolic pressure, as the pair it was


class MoreReadings(StrEnum):
    """Which readings count where a sitting has more than were asked for."""

    FIRST = "first"
    LAST = "last"
    ALL = "all"


class MoreSittings(StrEnum):
    """Which sitting counts where there are several in one window of one day."""

    FIRST = "first"
    LAST = "last"
    ALL = "all"
    FIRST_COMPLETE = "first_complete"  # else the one with most readings, of equals the first


class Window(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When a sitting takes place, on the home's clock; an end before its begin is next morning."""

    name: _Name
    begins: _Clock
    ends: _Clock


class Protocol(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One version of a protocol; a change of any member but the texts needs a new version.

    Attributes:
        source: Where it is published.
        source_status: How far that was checked: ``read`` there, taken from a ``secondary`` text
            that names it, or ``unverified``.
        source_note: What of it the source says and what is our reading of it.
        days: How long a course lasts; also how far back the rolling average reaches.
        first_days_out: Days at the beginning of a course that are left out, counted in days on
            which the patient measured. A rolling average has no beginning and leaves out none.
        sittings: The day's windows in their order; the first one's begin begins the day.
        readings_per_sitting: How many readings a sitting asks for.
        readings_when_irregular: How many where the device told of an irregular pulse in it.
        first_readings_out: Readings at the beginning of each sitting that are left out.
        sitting_gap_s: Readings further apart than this belong to different sittings.
        rest_before_s: Rest before a sitting; ``None`` where the source says nothing.
        rest_between_s: Rest between its readings, likewise.
        minimum_readings: How many must be in the average for it to be enough for a decision.
        minimum_days: On how many days of the period the patient must have measured, those that
            are left out included; ``None`` where the source asks for no number of days.
    """

    id: _Name
    version: _Count
    title: _Text
    source: _Text
    source_status: Literal["read", "secondary", "unverified"]
    source_note: _Text
    days: _Count
    first_days_out: _Left
    sittings: Annotated[tuple[Window, ...], msgspec.Meta(min_length=1, max_length=6)]
    readings_per_sitting: _Few
    readings_when_irregular: _Few
    first_readings_out: _Left
    sitting_value: SittingValue
    more_readings: MoreReadings
    more_sittings: MoreSittings
    sitting_gap_s: _Seconds
    rest_before_s: _Seconds | None
    rest_between_s: _Seconds | None
    minimum_readings: _Count
    minimum_days: _Count | None

    def __post_init__(self) -> None:
        """Refuse what each member allows and all of them together do not."""
        if problem := self._problem():
            raise ValueError(problem)

    @property
    def day_begins(self) -> time:
        """When a day of the protocol begins; a reading before it belongs to the day before."""
        return _clock(self.sittings[0].begins)

    def window_at(self, local: datetime) -> str | None:
        """Return the name of the window that a wall-clock time lies in, ``None`` between them."""
        minute = (local.hour * 60 + local.minute - _minutes(self.sittings[0].begins)) % _DAY_MIN
        return next(
            (
                window.name
                for window, (begins, ends) in zip(self.sittings, self._offsets(), strict=True)
                if begins <= minute < ends
            ),
            None,
        )

    def most_readings(self) -> int:
        """Return how many readings an average holds where everything was done as asked."""
        each = self.readings_per_sitting - self.first_readings_out
        of_sitting = 1 if self.sitting_value is SittingValue.LOWEST else each
        return (self.days - self.first_days_out) * len(self.sittings) * of_sitting

    def _offsets(self) -> list[tuple[int, int]]:
        """Return each window's begin and end in minutes after the day's begin."""
        first = _minutes(self.sittings[0].begins)
        return [
            (
                (_minutes(window.begins) - first) % _DAY_MIN,
                (_minutes(window.ends) - first) % _DAY_MIN or _DAY_MIN,
            )
            for window in self.sittings
        ]

    def _problem(self) -> str | None:
        names = [window.name for window in self.sittings]
        offsets = self._offsets()
        checks = (
            (len(set(names)) < len(names), "sittings: two have the same name"),
            (
                any(begins >= ends for begins, ends in offsets)
                or any(one[1] > other[0] for one, other in pairwise(offsets)),
                "sittings: windows overlap or are not in the day's order",
            ),
            (self.first_days_out >= self.days, "first_days_out: leaves no day of days"),
            (
                self.first_readings_out >= self.readings_per_sitting,
                "first_readings_out: leaves no reading of readings_per_sitting",
            ),
            (
                self.readings_when_irregular < self.readings_per_sitting,
                "readings_when_irregular: fewer than readings_per_sitting",
            ),
            (
                self.sitting_gap_s <= (self.rest_between_s or 0),
                "sitting_gap_s: not longer than rest_between_s",
            ),
            (
                (self.minimum_days or 1) > self.days,
                "minimum_days: more than days",
            ),
            (
                self.minimum_readings > self.most_readings(),
                f"minimum_readings: more than the {self.most_readings()} that the protocol gives",
            ),
        )
        return next((text for is_wrong, text in checks if is_wrong), None)


def parse(document: bytes, *, name: str) -> Protocol:
    """Return the protocol that a JSON document describes.

    Args:
        document: The document; an unknown member is refused, since it may be a known one misspelt.
        name: What to call it in an error, for example the file's name.

    Raises:
        ProtocolError: If it is none; the text names the document, the field and what is wrong.
    """
    if len(document) > _MOST_BYTES:
        raise ProtocolError(f"{name}: longer than {_MOST_BYTES} bytes")
    try:
        return msgspec.json.decode(document, type=Protocol)
    except msgspec.ValidationError as error:
        what, _, path = str(error).partition(" - at `$")
        field = path.strip("`.")
        raise ProtocolError(f"{name}: {field}: {what}" if field else f"{name}: {what}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ProtocolError(f"{name}: not JSON: {error}") from error


def _minutes(clock: str) -> int:
    return int(clock[:2]) * 60 + int(clock[3:])


def _clock(clock: str) -> time:
    return time(int(clock[:2]), int(clock[3:]))
