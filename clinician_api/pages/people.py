"""How a list names a patient."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Final

from clinician_api.pages.times import Reader
from fhir_mappings.identifiers import PERSONNUMMER, RESERVNUMMER, SAMORDNINGSNUMMER
from ingest_service.store.worklist import ListedPatient

_WITHOUT_DASH: Final = 12


@dataclass(frozen=True, slots=True)
class Person:
    """Name, number and a line that helps to tell people apart; masked where protected."""

    name: str
    number: str
    detail: str
    is_protected: bool


def person(patient: ListedPatient, reader: Reader) -> Person:
    """Return how the list names a patient.

    A protected identity shows neither name nor number: who may see them is another, logged step.
    """
    _ = reader.catalogue.gettext
    if patient.is_protected:
        return Person(
            name=_("Protected identity"),
            number=_("Name and number are hidden"),
            detail=patient.programme or "",
            is_protected=True,
        )
    parts = [
        _age(patient.birth_date, reader),
        {"female": _("woman"), "male": _("man")}.get(patient.gender or "", ""),
        patient.programme or "",
    ]
    return Person(
        name=f"{patient.given} {patient.family}",
        number=_number(patient, reader),
        detail=" · ".join(part for part in parts if part),
        is_protected=False,
    )


def _number(patient: ListedPatient, reader: Reader) -> str:
    """Return the number as YYYYMMDD-NNNN; another kind than personnummer is named."""
    _ = reader.catalogue.gettext
    digits = patient.identifier_value
    is_dashed = (
        patient.identifier_system in {PERSONNUMMER, SAMORDNINGSNUMMER}
        and len(digits) == _WITHOUT_DASH
    )
    shown = f"{digits[:8]}-{digits[8:]}" if is_dashed else digits
    kind = {
        SAMORDNINGSNUMMER: _("coordination number"),
        RESERVNUMMER: _("reserve number"),
        PERSONNUMMER: "",
    }.get(patient.identifier_system, _("other number"))
    return f"{shown} ({kind})" if kind else shown


def _age(born: date | None, reader: Reader) -> str:
    if born is None:
        return ""
    today = reader.now.astimezone(reader.zone).date()
    years = today.year - born.year - ((today.month, today.day) < (born.month, born.day))
    return reader.catalogue.ngettext("%(years)d year", "%(years)d years", years) % {"years": years}
