"""What came of an alert, in words; the codes are `ingest_service.alerts.outcomes`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from ingest_service.alerts.outcomes import OUTCOMES
from ingest_service.wording.catalogue import Catalogue


def choices(catalogue: Catalogue, priority: str) -> list[tuple[str, str]]:
    """Return the codes with which a person may end an alert of that priority, with words."""
    return [
        (code, word(catalogue, code))
        for code, outcome in OUTCOMES.items()
        if outcome.is_for_persons and (outcome.is_for_red or priority != "red")
    ]


def word(catalogue: Catalogue, code: str) -> str:
    """Return an outcome in words; one that is not known keeps its code."""
    return _words(catalogue).get(code, code)


@cache
def _words(catalogue: Catalogue) -> Mapping[str, str]:
    _ = catalogue.gettext
    return {
        "emergency_care": _("Emergency care"),
        "referred_to_physician": _("Referred to a physician"),
        "visit_arranged": _("Visit arranged"),
        "treatment_changed": _("Treatment changed"),
        "advice_given": _("Called, advice given"),
        "followed_up_elsewhere": _("Followed up elsewhere"),
        "contacted_no_change": _("Called, nothing needed"),
        "expected_for_patient": _("Expected for this patient"),
        "limits_changed": _("Limits changed"),
        "normal_when_repeated": _("Normal when repeated"),
        "measuring_error": _("Error of measuring"),
        "another_person": _("Another person measured"),
        "technical_fault": _("Technical fault"),
        "not_reached": _("Not reached"),
        "other": _("Other"),
        "withdrawn": _("Withdrawn"),
        "deceased": _("The patient has died"),
        "not_confirmed": _("Not confirmed by a second value"),
        "evidence_withdrawn": _("What it rested on was taken back"),
        "measured": _("Measured after all"),
    }
