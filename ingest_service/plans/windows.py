"""Windows of the day in which something is to be measured; wall-clock, not fixed times."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Condition(StrEnum):
    """In which state a value is to be measured."""

    REST = "rest"
    AFTER_EXERTION = "after_exertion"
    ASLEEP = "asleep"


class Sitting(StrEnum):
    """Which sitting of a window counts where there are several."""

    FIRST = "first"
    LAST = "last"
    ALL = "all"


class Window(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One window: ``start`` and ``end`` as HH:MM, ``weekdays`` in ISO numbers, none is all."""

    name: str
    start: str
    end: str
    weekdays: tuple[int, ...] = ()
    condition: Condition = Condition.REST
    sitting: Sitting = Sitting.ALL
