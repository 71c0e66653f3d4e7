"""Why an action on an alert was not done; each text is one sentence without a patient's data."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class First:
    """Who was there first, and when; ``by`` is an HSA-id, or ``rules``."""

    by: str
    at: datetime | None


class ActionError(Exception):
    """The action was not done; nothing has changed."""

    def __init__(self, alert_id: UUID, text: str) -> None:
        super().__init__(f"Alert {alert_id}: {text}")
        self.alert_id = alert_id


class UnknownAlertError(ActionError):
    """There is no such alert, or whoever asks may not know of it."""

    def __init__(self, alert_id: UUID) -> None:
        super().__init__(alert_id, "there is none with that id.")


class RefusedError(ActionError):
    """It cannot be done so: the alert is in no state for it, or a value is out of bounds."""


class PrecededError(ActionError):
    """Somebody else was first; ``first`` says who and when."""

    def __init__(self, alert_id: UUID, what: str, first: First) -> None:
        when = "" if first.at is None else f" at {first.at.isoformat(timespec='seconds')}"
        super().__init__(alert_id, f"{what} {first.by}{when}.")
        self.first = first


class TakenError(PrecededError):
    """Somebody else owns it."""


class EndedError(PrecededError):
    """It is resolved already."""


class StaleError(PrecededError):
    """It has changed since the person looked at it."""
