"""The hours of a unit that has stated none: an office's, never round the clock.

A unit that nobody described must not look as if somebody were there at night: what happens then is
what its patients' plans say for out of hours (A12).
"""

from __future__ import annotations

from typing import Final

from ingest_service.plans.hours import Hours, Opening, ResponseTimes, Week

_DAY: Final = (Opening(start="08:00", end="16:00"),)

#: Weekdays 8 to 16, closed on public holidays and the eves that Swedish offices close on. The
#: times to answer are ours and want a clinic's own: a red within half an hour, a yellow within a
#: half day, a blue within a week.
DEFAULT_HOURS: Final = Hours(
    zone="Europe/Stockholm",
    weekly=Week(monday=_DAY, tuesday=_DAY, wednesday=_DAY, thursday=_DAY, friday=_DAY),
    respond_within_min=ResponseTimes(red=30, yellow=240, blue=2400),
    finish_within_min=120,
    holiday_country="SE",
    also_closed=("Midsommarafton", "Julafton", "Nyårsafton"),
)
