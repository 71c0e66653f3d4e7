"""What happened to an alert, a line for each, as the log has it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import msgspec

from clinician_api.pages import outcomes
from clinician_api.pages.times import Reader
from ingest_service.store.opened import Happened
from ingest_service.wording.catalogue import Catalogue

_DETAIL: Final = msgspec.json.Decoder(dict[str, Any])
_BY_ITSELF: Final = "rules"


@dataclass(frozen=True, slots=True)
class Line:
    """When, what, who, and what they wrote; ``text`` is theirs and shown as it is."""

    moment: str
    what: str
    who: str
    text: str


def line(happened: Happened, names: Mapping[str, str], reader: Reader) -> Line:
    """Return one event in words; one of a kind that is not known keeps its name."""
    detail = _detail(happened)
    catalogue = reader.catalogue
    what = _words(catalogue).get(happened.event, happened.event.replace("_", " "))
    if outcome := detail.get("outcome"):
        what = f"{what}: {outcomes.word(catalogue, str(outcome))}"
    if to := detail.get("to"):
        what = f"{what} {name(names, str(to))}"
    return Line(
        moment=reader.moment(happened.at),
        what=what,
        who="" if happened.by == _BY_ITSELF else name(names, happened.by),
        text=str(detail.get("note") or _reason(detail, catalogue)),
    )


def name(names: Mapping[str, str], hsa_id: str) -> str:
    """Return somebody's name, or their HSA-id where it is not known."""
    return names.get(hsa_id, hsa_id)


def _detail(happened: Happened) -> dict[str, Any]:
    try:
        return _DETAIL.decode(happened.detail or "{}")
    except msgspec.DecodeError:
        return {}


def _reason(detail: Mapping[str, Any], catalogue: Catalogue) -> str:
    reason = str(detail.get("reason") or detail.get("why") or "")
    return _reasons(catalogue).get(reason, reason)


@cache
def _reasons(catalogue: Catalogue) -> Mapping[str, str]:
    _ = catalogue.gettext
    return {
        "not_finished": _("not finished in time"),
        "signed_out": _("signed out"),
        "shift_ended": _("the shift ended"),
        "absent": _("no longer signed in"),
    }


@cache
def _words(catalogue: Catalogue) -> Mapping[str, str]:
    _ = catalogue.gettext
    return {
        "remeasure_asked": _("The patient was asked to measure again"),
        "not_confirmed": _("A second value was within limits"),
        "raised": _("Raised"),
        "reraised": _("Raised again: worse"),
        "joined": _("A further reading"),
        "evidence_withdrawn": _("A reading was taken back"),
        "ended": _("Ended by itself"),
        "taken": _("Taken"),
        "released": _("Given back"),
        "paused": _("Paused"),
        "resumed": _("Pause ended"),
        "noted": _("Note"),
        "resolved": _("Resolved"),
        "reopened": _("Opened again"),
        "undone": _("Last action undone"),
        "assigned": _("Given to"),
        "withdrawn": _("Withdrawn"),
        "unassigned": _("Nobody's again"),
        "escalated": _("Not dealt with in time: told on"),
        "pause_ended": _("The pause is over"),
    }
