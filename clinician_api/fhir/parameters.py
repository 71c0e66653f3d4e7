"""The one table of what a search understands: it parses, and it fills the statement of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One search parameter as the CapabilityStatement names it."""

    name: str
    type: Literal["reference", "token", "date"]
    definition: str
    documentation: str


_CORE: Final = "http://hl7.org/fhir/SearchParameter/"

OBSERVATION: Final = (
    Parameter(
        name="patient",
        type="reference",
        definition=f"{_CORE}clinical-patient",
        documentation="ID or Patient/ID; comma: any of them",
    ),
    Parameter(
        name="subject",
        type="reference",
        definition=f"{_CORE}Observation-subject",
        documentation="as patient: every subject is a patient",
    ),
    Parameter(
        name="code",
        type="token",
        definition=f"{_CORE}clinical-code",
        documentation="code, system|code or system|; comma: any of them. A pulse goes by 8867-4",
    ),
    Parameter(
        name="category",
        type="token",
        definition=f"{_CORE}Observation-category",
        documentation="vital-signs and phd: every observation is both",
    ),
    Parameter(
        name="date",
        type="date",
        definition=f"{_CORE}clinical-date",
        documentation=(
            "eq ne gt ge lt le sa eb; partial dates; without a zone read in the server's zone; "
            "repeat it for from and to. Always bounded: without it, the window that self shows"
        ),
    ),
    Parameter(
        name="_id",
        type="token",
        definition="http://hl7.org/fhir/SearchParameter/Resource-id",
        documentation="comma: any of them",
    ),
)

# Shape the result and narrow nothing.
RESULT: Final = ("_count", "_sort", "_format")
CURSOR: Final = "_cursor"
DEFAULT_COUNT: Final = 50
MAX_COUNT: Final = 1000
