"""A care unit's opening hours and response times."""

from __future__ import annotations

import msgspec


class Hours(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """When a unit is open, and how soon it answers."""

    time_zone: str = "Europe/Stockholm"
