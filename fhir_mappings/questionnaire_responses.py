"""A patient's answers as a FHIR R4 QuestionnaireResponse: what rules need is read out of it.

The resource is kept as it was written. Read out is one number for each question: an integer or a
decimal as it is, a boolean as 0 or 1, a coding by its ordinal value (extension ``ordinalValue``),
yes and no of HL7's table 0136 as 1 and 0. Text is kept and not judged.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final
from uuid import UUID

import msgspec

ORDINAL: Final = "http://hl7.org/fhir/StructureDefinition/ordinalValue"
_YES_NO: Final = {"Y": Decimal(1), "N": Decimal(0)}
_MOST_BYTES: Final = 100_000
_MOST_ANSWERS: Final = 200
_DEEPEST: Final = 5


class QuestionnaireResponseError(ValueError):
    """It is no QuestionnaireResponse that can be taken; the text names the element, no value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """One questionnaire answered at one time; ``values`` by the question's ``linkId``."""

    id: UUID
    questionnaire: str
    answered_at: datetime
    values: dict[str, Decimal]


class _Extension(msgspec.Struct, rename="camel"):
    url: str
    value_decimal: Decimal | None = None


class _Coding(msgspec.Struct, rename="camel"):
    code: str | None = None
    extension: tuple[_Extension, ...] = ()


class _Answer(msgspec.Struct, rename="camel"):
    value_integer: int | None = None
    value_decimal: Decimal | None = None
    value_boolean: bool | None = None
    value_coding: _Coding | None = None
    item: tuple[_Item, ...] = ()


class _Item(msgspec.Struct, rename="camel"):
    link_id: str
    answer: tuple[_Answer, ...] = ()
    item: tuple[_Item, ...] = ()


class _Response(
    msgspec.Struct, rename="camel", tag_field="resourceType", tag="QuestionnaireResponse"
):
    id: UUID
    questionnaire: str
    status: str
    authored: datetime
    item: tuple[_Item, ...] = ()


_DECODER: Final = msgspec.json.Decoder(_Response)
_TAKEN: Final = frozenset({"completed", "amended"})


def read(resource: bytes) -> Answers:
    """Return what rules need of a QuestionnaireResponse.

    Raises:
        QuestionnaireResponseError: If it is none, has no time with a zone, or is not completed.
    """
    if len(resource) > _MOST_BYTES:
        raise QuestionnaireResponseError(f"more than {_MOST_BYTES} bytes")
    try:
        given = _DECODER.decode(resource)
    except (msgspec.DecodeError, RecursionError) as error:
        raise QuestionnaireResponseError(_named(error)) from error
    if given.status not in _TAKEN:
        raise QuestionnaireResponseError("QuestionnaireResponse.status: not completed")
    if given.authored.tzinfo is None:
        raise QuestionnaireResponseError("QuestionnaireResponse.authored: no zone")
    values: dict[str, Decimal] = {}
    for link_id, value in _values(given.item, _DEEPEST):
        if len(values) == _MOST_ANSWERS:
            raise QuestionnaireResponseError(
                f"QuestionnaireResponse.item: more than {_MOST_ANSWERS} answers"
            )
        values[link_id] = value
    return Answers(
        id=given.id,
        questionnaire=given.questionnaire,
        answered_at=given.authored,
        values=values,
    )


def _values(items: Iterable[_Item], depth: int) -> Iterator[tuple[str, Decimal]]:
    if depth == 0:
        raise QuestionnaireResponseError("QuestionnaireResponse.item: nested too deep")
    for item in items:
        for answer in item.answer:
            if (value := _value(answer)) is not None:
                yield item.link_id, value
            yield from _values(answer.item, depth - 1) if answer.item else ()
        yield from _values(item.item, depth - 1) if item.item else ()


def _value(answer: _Answer) -> Decimal | None:
    if answer.value_integer is not None:
        return Decimal(answer.value_integer)
    if answer.value_decimal is not None:
        return answer.value_decimal
    if answer.value_boolean is not None:
        return Decimal(int(answer.value_boolean))
    if (coding := answer.value_coding) is None:
        return None
    for one in coding.extension:
        if one.url == ORDINAL and one.value_decimal is not None:
            return one.value_decimal
    return _YES_NO.get(coding.code or "")


def _named(error: Exception) -> str:
    """Return the decoder's sentence, which names the element and the type and no value."""
    return str(error).replace("$", "QuestionnaireResponse")[:200]
