"""When silence is an incident, as data: a region may bring its own numbers."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Final

import msgspec

_Count = Annotated[int, msgspec.Meta(ge=2, le=100_000)]
_Share = Annotated[float, msgspec.Meta(gt=0, le=1)]
_Minutes = Annotated[int, msgspec.Meta(ge=1, le=24 * 60)]


class RulesError(ValueError):
    """A file of rules is wrong; the text says which and where."""


class OutageRules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The numbers; each of them is ours and wants the experience of a region.

    Gateways went at once if so many, and so large a share of those that were there before, fell
    silent within ``within_min``: of one unit, or of all together. Shares guard large fleets, in
    which a few are always away, and counts guard small ones, in which one is a large share.

    An incident of gateways ends when for ``calm_min`` fewer are away than ``unit_count`` or than
    ``ends_below`` of the most that were. Not at half: the other half would be items at once.
    Whoever is back is covered for ``catch_up_min`` more: what waited at home has to come first.
    """

    unit_count: _Count = 5
    unit_share: _Share = 0.2
    all_count: _Count = 20
    all_share: _Share = 0.1
    within_min: _Minutes = 15
    calm_min: _Minutes = 5
    ends_below: _Share = 0.1
    catch_up_min: _Minutes = 15
    canary_late_min: _Minutes = 3

    @property
    def within(self) -> timedelta:
        """Return the time within which gateways go at once."""
        return timedelta(minutes=self.within_min)

    @property
    def calm(self) -> timedelta:
        """Return how long it has to be calm before an incident ends."""
        return timedelta(minutes=self.calm_min)

    @property
    def catch_up(self) -> timedelta:
        """Return how long whoever is back is still covered."""
        return timedelta(minutes=self.catch_up_min)

    @property
    def canary_late(self) -> timedelta:
        """Return the age from which the canary is late."""
        return timedelta(minutes=self.canary_late_min)


DEFAULT: Final = OutageRules()


def read(path: Path) -> OutageRules:
    """Return the rules in a JSON file; what it leaves out is as by default.

    Raises:
        RulesError: If it holds anything else.
        OSError: If it cannot be read.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=OutageRules)
    except msgspec.DecodeError as error:
        raise RulesError(f"{path.name}: {error}") from error
