"""Codings that a search may name an observation by, beside the code it is stored under."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from clinician_api.errors import BadRequestError
from fhir_mappings import codes as mapped

BLOOD_PRESSURE: Final = mapped.BLOOD_PRESSURE.code
PULSE: Final = mapped.CUFF_PULSE.code
SPO2: Final = mapped.SPO2.code

_STORED: Final = (
    mapped.BLOOD_PRESSURE,
    mapped.CUFF_PULSE,
    mapped.OXIMETER_PULSE,
    mapped.HEART_RATE,
    mapped.SPO2,
    mapped.BODY_TEMPERATURE,
    mapped.BODY_WEIGHT,
    mapped.SPO2_SERIES,
    mapped.PULSE_SERIES,
)
_DERIVED: Final = (mapped.AVERAGE_PRESSURE,)


class _Coding(msgspec.Struct, frozen=True):
    system: str
    code: str


class _Concept(msgspec.Struct, frozen=True):
    coding: tuple[_Coding, ...]


def _codings() -> Mapping[str, Sequence[frozenset[_Coding]]]:
    """Return for each stored code the codings of each kind of resource stored under it."""
    found = dict[str, list[frozenset[_Coding]]]()
    for measure in (*_STORED, *_DERIVED):
        codings = frozenset(msgspec.json.decode(measure.concept, type=_Concept).coding)
        found.setdefault(measure.code, []).append(codings)
    return found


_OF_CODE: Final = _codings()


def _categories(of: msgspec.Raw) -> Sequence[_Coding]:
    concepts = msgspec.json.decode(of, type=tuple[_Concept, ...])
    return [coding for concept in concepts for coding in concept.coding]


# Whatever a personal health device measured is a vital sign from one; a mean is a vital sign.
_CATEGORIES: Final = _categories(mapped.CATEGORIES)
_CATEGORIES_OF_DERIVED: Final = _categories(mapped.CATEGORIES_OF_DERIVED)
_MEASURED: Final = frozenset(_OF_CODE) - {averaged.code for averaged in _DERIVED}


def codes(token: str) -> tuple[str, ...]:
    """Return the stored codes that a token (``code``, ``system|code``, ``|code``) matches.

    Raises:
        BadRequestError: If only some of what is stored under a code carries the coding: a pulse's
            MDC code depends on the device that counted it. An answer with the others left out
            would look whole.
    """
    matched: list[str] = []
    for code, kinds in _OF_CODE.items():
        carried = [any(_is(token, each) for each in codings) for codings in kinds]
        if all(carried):
            matched.append(code)
        elif any(carried):
            raise BadRequestError(f"code: what carries this is found by {code}")
    return tuple(matched)


def of_category(tokens: Sequence[str]) -> frozenset[str] | None:
    """Return the stored codes that have one of these categories; ``None`` if all have."""
    if any(_is(token, each) for token in tokens for each in _CATEGORIES_OF_DERIVED):
        return None
    if any(_is(token, each) for token in tokens for each in _CATEGORIES):
        return _MEASURED
    return frozenset()


def _is(token: str, coding: _Coding) -> bool:
    """Match a token; ``|code`` asks for a coding without a system, and all of ours have one.

    Source:
        FHIR R4, Search, 3.1.1.4.10 token; codes compare case-insensitively there.
    """
    system, bar, code = token.rpartition("|")
    if not code and not system:
        raise BadRequestError("an empty token matches nothing that could be meant")
    if bar and not system:
        return False
    if system and system != coding.system:
        return False
    return not code or code.lower() == coding.code.lower()
