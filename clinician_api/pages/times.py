"""Times as a nurse reads them: how long ago, and when."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from babel.dates import format_date, format_skeleton

from ingest_service.wording.catalogue import Catalogue

_DAY: Final = timedelta(days=1)
_HOUR_MINUTES: Final = 60
_MINUTES_SHOWN_TO_HOURS: Final = 10
_DAYS_FROM_HOURS: Final = 48


@dataclass(frozen=True, slots=True)
class Reader:
    """Who reads: language and zone, and what the time is while they do."""

    catalogue: Catalogue
    zone: ZoneInfo
    now: datetime

    def length(self, span: timedelta) -> str:
        """Return a length of time, rounded down: ``12 min``, ``1 h 40 min``, ``2 d``.

        Elapsed time, not calendar days: midnight changes nothing.
        """
        _ = self.catalogue.gettext
        minutes = max(0, int(span.total_seconds() // 60))
        if minutes < _HOUR_MINUTES:
            return _("%(minutes)d min") % {"minutes": minutes}
        hours, minutes = divmod(minutes, _HOUR_MINUTES)
        if hours < _MINUTES_SHOWN_TO_HOURS and minutes:
            return _("%(hours)d h %(minutes)d min") % {"hours": hours, "minutes": minutes}
        if hours < _DAYS_FROM_HOURS:
            return _("%(hours)d h") % {"hours": hours}
        return _("%(days)d d") % {"days": hours // 24}

    def since(self, at: datetime) -> str:
        """Return how long ago that was."""
        if self.now - at < timedelta(minutes=1):
            return self.catalogue.gettext("just now")
        return self.catalogue.gettext("%(length)s ago") % {"length": self.length(self.now - at)}

    def moment(self, at: datetime) -> str:
        """Return when it was: ``today 09:30``, ``yesterday 23:10``, ``Fri 20 Nov 07:52``."""
        _ = self.catalogue.gettext
        local, today = at.astimezone(self.zone), self.now.astimezone(self.zone).date()
        clock = f"{local:%H:%M}"
        if local.date() == today:
            return _("today %(time)s") % {"time": clock}
        if local.date() == today - _DAY:
            return _("yesterday %(time)s") % {"time": clock}
        skeleton = "MMMEd" if local.year == today.year else "yMMMEd"
        day = format_skeleton(skeleton, local, locale=self.catalogue.locale)
        return f"{day} {clock}"

    def day(self) -> str:
        """Return today's date in full."""
        text = format_date(
            self.now.astimezone(self.zone).date(), "full", locale=self.catalogue.locale
        )
        return text[:1].upper() + text[1:]

    def clock(self) -> str:
        """Return the time of day with seconds."""
        return f"{self.now.astimezone(self.zone):%H:%M:%S}"
