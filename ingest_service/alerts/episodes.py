"""What a person has dealt with already: the same trouble is not new because it goes on.

Only of yellow. Nothing mutes a red.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from ingest_service.alerts.alert import Alert
from ingest_service.alerts.case import Case
from ingest_service.alerts.outcomes import OUTCOMES

#: A second value was within limits: nobody was alerted.
NOT_CONFIRMED: Final = "not_confirmed"
#: All that it rested on was taken back.
EVIDENCE_WITHDRAWN: Final = "evidence_withdrawn"

#: How alerts end that no person ended.
BY_ITSELF: Final = frozenset({NOT_CONFIRMED, EVIDENCE_WITHDRAWN})

#: So long what goes on is no news. Ours, for a clinician to change: a patient who stays beyond
#: limits is named again once a week, however often somebody closed it.
LONGEST: Final = timedelta(days=7)


def dealt_with(case: Case, rule: str, *, now: datetime) -> Alert | None:
    """Return the last alert of a rule if a person ended it lately and found it true.

    What goes on since then and is no worse is no news. After an error of measurement, or where
    nobody was reached, the next value is. One that rests on nothing any more says nothing.
    """
    alert = case.ended.get(rule)
    if alert is None or alert.resolved_at is None:
        return None
    outcome = OUTCOMES.get(alert.outcome or "")
    if outcome is None or outcome.is_true is not True:
        return None
    if now - alert.resolved_at > LONGEST or not alert.standing:
        return None
    return alert


def dealt_with_at(case: Case, rule: str, *, now: datetime) -> datetime | None:
    """Return up to when what was measured is dealt with by a person, if it is."""
    alert = dealt_with(case, rule, now=now)
    return None if alert is None else alert.resolved_at
