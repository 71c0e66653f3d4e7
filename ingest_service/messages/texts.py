"""What each message says, in the language of a catalogue.

A text takes no fact about a patient: no name, no value, no diagnosis, not even which measurement.
Telephones lie on tables (SCENARIOS A12).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from ingest_service.messages.message import Kind, Priority
from ingest_service.wording.catalogue import Catalogue

_NUMBERS: Final[Mapping[Priority, int]] = {"red": 1, "yellow": 2, "blue": 3}

# No vowels, so that none is a word, and no digits, so that none is taken for a value.
_LETTERS: Final = "BCDFGHJKLMNPQRSTVWXZ"
_REFERENCE_LENGTH: Final = 6


@dataclass(frozen=True, slots=True)
class Said:
    """A text and the language that it is in, which a voice has to know."""

    text: str
    language: str


@dataclass(frozen=True, slots=True)
class Notice:
    """What staff are told: a subject, a text, and the language of both."""

    subject: str
    text: str
    language: str


def for_home(catalogue: Catalogue, kind: Kind) -> Said:
    """Return what a patient or their kin is told.

    Raises:
        KeyError: If that kind is not for people at home.
    """
    message = _HOME[kind]
    return Said(_home(catalogue)[kind], catalogue.language_of(message))


def for_staff(
    catalogue: Catalogue,
    kind: Kind,
    *,
    priority: Priority | None,
    reference: str,
    link: str | None,
) -> Notice:
    """Return what staff are told.

    Args:
        catalogue: The channel's language.
        kind: What it is about.
        priority: The alert's; one that is not known counts as the most urgent.
        reference: What `reference_of` returned.
        link: Where the worklist is; nobody's page.

    Raises:
        KeyError: If that kind is not for staff.
    """
    facts = {"number": _NUMBERS[priority or "red"], "reference": reference}
    text = _staff(catalogue)[kind] % facts
    _ = catalogue.gettext
    if kind in _ABOUT_ALERTS:
        subject = _("Alert %(number)d in Hemvital (%(reference)s)") % facts
    else:
        subject = _("Message from Hemvital (%(reference)s)") % facts
    return Notice(subject, f"{text} {link}" if link else text, catalogue.code)


def reference_of(message_id: UUID) -> str:
    """Return six letters by which people can talk about a message; they say nothing else."""
    number, letters = message_id.int, ""
    for _ in range(_REFERENCE_LENGTH):
        number, index = divmod(number, len(_LETTERS))
        letters += _LETTERS[index]
    return letters


_ABOUT_ALERTS: Final = frozenset(
    {Kind.STAFF_ALERT, Kind.STAFF_UNASSIGNED, Kind.STAFF_ESCALATION, Kind.BACKUP_HANDOVER}
)


class _Ids:
    """Stands in for a catalogue, to learn the messages' own ids."""

    @staticmethod
    def gettext(message: str) -> str:
        return message


def _home(catalogue: Catalogue | type[_Ids]) -> Mapping[Kind, str]:
    _ = catalogue.gettext
    return {
        Kind.REMEASURE_REQUEST: _(
            "Please measure again now. If you feel worse: call 112, for advice 1177."
        ),
        Kind.MEASURE_REMINDER: _(
            "It is time to measure. If you feel worse: call 112, for advice 1177."
        ),
        Kind.RED_OUT_OF_HOURS: _(
            "Your clinic is closed. Measure again. If you feel worse: call 112, for advice 1177."
        ),
        Kind.RED_OUT_OF_HOURS_KIN: _(
            "You are named as next of kin. The clinic is closed. Please see how your relative is. "
            "If they feel worse: call 112, for advice 1177."
        ),
        Kind.CHAIN_BROKEN: _(
            "We do not get your readings right now. Call your clinic if you feel worse. When it "
            "is closed: call 112, for advice 1177."
        ),
        Kind.CHAIN_WHOLE: _("We get your readings again. Measure as usual."),
    }


def _staff(catalogue: Catalogue) -> Mapping[Kind, str]:
    _ = catalogue.gettext
    return {
        Kind.STAFF_ALERT: _("Alert %(number)d in Hemvital (%(reference)s). Open the worklist."),
        Kind.STAFF_UNASSIGNED: _(
            "Alert %(number)d in Hemvital is nobody's any more (%(reference)s). Open the worklist."
        ),
        Kind.STAFF_ESCALATION: _(
            "Alert %(number)d in Hemvital was not dealt with in time (%(reference)s). Open the "
            "worklist."
        ),
        Kind.BACKUP_HANDOVER: _(
            "Alert %(number)d in Hemvital was handed to you as backup (%(reference)s). Open the "
            "worklist."
        ),
        Kind.INCIDENT: _(
            "Readings from many homes do not reach Hemvital (%(reference)s). Follow the fallback "
            "routine."
        ),
        Kind.INCIDENT_OVER: _("Readings from homes reach Hemvital again (%(reference)s)."),
        Kind.UNDELIVERED: _(
            "Hemvital reached nobody by any channel of a unit's role (%(reference)s). Look at its "
            "channels."
        ),
        Kind.TEST: _(
            "This is a test of a channel from Hemvital (%(reference)s). There is nothing to do."
        ),
    }


_HOME: Final = _home(_Ids)
