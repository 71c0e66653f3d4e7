"""Why something was not done, in words a nurse can act on."""

from __future__ import annotations

from collections.abc import Mapping

from clinician_api.pages import timeline
from clinician_api.pages.times import Reader
from ingest_service.alerts.case import BY_RULES
from ingest_service.alerts.refusals import (
    ActionError,
    EndedError,
    PrecededError,
    StaleError,
    TakenError,
)


def told(error: ActionError, names: Mapping[str, str], reader: Reader) -> str:
    """Return who was first and when, or that it cannot be done as the alert stands."""
    _ = reader.catalogue.gettext
    if not isinstance(error, PrecededError):
        return _(
            "That could not be done: the alert is not in a state for it. Nothing has changed."
        )
    first = error.first
    facts = {
        "who": timeline.name(names, first.by),
        "when": "" if first.at is None else reader.moment(first.at),
    }
    if first.by == BY_RULES:
        return _("The alert has changed by itself %(when)s. Read it again.") % facts
    match error:
        case TakenError():
            return _("%(who)s took it %(when)s.") % facts
        case EndedError():
            return _("%(who)s ended it %(when)s.") % facts
        case StaleError() | _:
            return _("%(who)s was first, %(when)s. Read it again.") % facts
