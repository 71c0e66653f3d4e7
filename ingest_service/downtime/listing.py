"""Whom to phone first when nothing works: pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from enum import IntEnum

import msgspec


class Risk(IntEnum):
    """What a plan says of its patient, the highest first; without one nobody knows."""

    HIGH = 0
    MEDIUM = 1
    UNKNOWN = 2
    LOW = 3


class Value(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The newest value of one kind; a pressure has two."""

    code: str
    measured_at: datetime
    value: Decimal | None = None
    systolic: Decimal | None = None
    diastolic: Decimal | None = None


class Limit(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The limits of one measure, approved by a clinician."""

    measure: str
    red_low: Decimal | None = None
    yellow_low: Decimal | None = None
    yellow_high: Decimal | None = None
    red_high: Decimal | None = None


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """A patient of one unit as the list shows them.

    ``number`` is the personal number, ``phone`` absent where it is not known. ``alert`` is the
    most urgent one that is open, and ``alert_since`` its beginning. ``instruction`` is the plan's
    own words on what to do. Of a protected identity neither name nor number nor phone is here:
    see `key_of`.
    """

    id: str
    name: str
    number: str
    phone: str | None
    is_protected: bool
    programme: str | None
    risk: Risk
    alert: str | None
    alert_since: datetime | None
    values: tuple[Value, ...]
    limits: tuple[Limit, ...]
    instruction: str | None

    @property
    def last_at(self) -> datetime | None:
        """Return when the newest value was measured."""
        return max((each.measured_at for each in self.values), default=None)


class KeyLine(msgspec.Struct, frozen=True, kw_only=True):
    """Who a masked line is; it lies in a file of its own."""

    id: str
    name: str
    number: str


class Sheet(msgspec.Struct, frozen=True, kw_only=True):
    """One unit's list, as of ``written_at``; ``patients`` in the order in which to phone."""

    unit: str
    written_at: datetime
    patients: tuple[Listed, ...]


_URGENCY = {"red": 0, "yellow": 1, "blue": 2}
MASKED = "Skyddad identitet"


def in_order(patients: Iterable[Listed]) -> Sequence[Listed]:
    """Return the patients in the order in which to phone.

    An open red first, then yellow; then by the plan's risk; then who has not been seen for
    longest, and before them who was never seen.
    """
    return sorted(patients, key=_place)


def masked(patient: Listed) -> Listed:
    """Return a protected patient as the list may show them: a line that names nobody.

    She stands in the list all the same, with her values and her place: who is left out is not
    phoned. Everybody else is returned as is.
    """
    if not patient.is_protected:
        return patient
    return msgspec.structs.replace(
        patient, name=MASKED, number=f"Nr {reference(patient)}", phone=None
    )


def key_of(patients: Iterable[Listed]) -> tuple[KeyLine, ...]:
    """Return who the masked lines are, for a file of its own; without phone and address."""
    return tuple(
        KeyLine(id=reference(each), name=each.name, number=each.number)
        for each in patients
        if each.is_protected
    )


def reference(patient: Listed) -> str:
    """Return what a masked line and its key have in common."""
    return patient.id[:8].upper()


def _place(patient: Listed) -> tuple[int, int, bool, float, str]:
    urgency = _URGENCY.get(patient.alert or "", len(_URGENCY))
    last = patient.last_at
    return (
        urgency,
        patient.risk,
        last is not None,
        last.timestamp() if last else 0.0,
        patient.id,
    )
