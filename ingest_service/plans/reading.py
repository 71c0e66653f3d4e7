"""Read a plan document from JSON; what is wrong is named by element, and no value is repeated."""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from ingest_service.plans.plan import Plan

_Json = Any

MOST_BYTES: Final = 256 * 1024
_DECODER: Final = msgspec.json.Decoder(Plan)
_AT: Final = re.compile(r" - at (?:`key` in )?`\$([^`]*)`$")
_STEPS: Final = re.compile(r"[.\[\]]+")
_VALUE: Final = re.compile(r"(Invalid enum value) .*")


class PlanError(ValueError):
    """A document is no plan that can be used; says where and what, and repeats no value."""


def decode(document: bytes | str, *, name: str = "plan") -> Plan:
    """Return the plan that a JSON document is.

    Only its shape is looked at: `checking.faults` tells whether it makes sense.

    Raises:
        PlanError: If it has another shape, with the element, by the name of the whole.
    """
    if len(document) > MOST_BYTES:
        raise PlanError(f"{name}: more than {MOST_BYTES} bytes")
    try:
        return _DECODER.decode(document)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        place, what = _fault(error)
        raise PlanError(f"{name}{_named(document, place, what)}: {what}") from error


def encode(plan: Plan) -> str:
    """Return the plan as the document that it is stored as."""
    return msgspec.json.encode(plan).decode()


def _fault(error: Exception) -> tuple[str, str]:
    text = str(error)
    found = _AT.search(text)
    what = _AT.sub("", text).splitlines()[0] if text else type(error).__name__
    return found[1] if found else "", _VALUE.sub(r"\1", what)


def _named(document: bytes | str, place: str, what: str) -> str:
    """Return the place with the names of the members that the decoder leaves out (``[...]``)."""
    whole: _Json = msgspec.json.decode(document) if "[...]" in place else None
    while "[...]" in place:
        steps = [step for step in _STEPS.split(place.split("[...]", maxsplit=1)[0]) if step]
        for key in _within(whole, steps):
            alone = _only(whole, steps, key)
            if _fails_by(alone, what):
                whole, place = alone, place.replace("[...]", f".{key}", 1)
                break
        else:
            break
    return place


def _fails_by(whole: _Json, what: str) -> bool:
    try:
        _DECODER.decode(msgspec.json.encode(whole))
    except (msgspec.DecodeError, RecursionError) as error:
        return _fault(error)[1] == what
    return False


def _within(whole: _Json, steps: list[str]) -> list[str]:
    """Return the members' names of the object at that place."""
    for step in steps:
        whole = whole[int(step) if step.isdigit() else step]
    return list(whole)


def _only(whole: _Json, steps: list[str], key: str) -> _Json:
    """Return the document with no other member in the object at that place."""
    if not steps:
        return {key: whole[key]}
    if isinstance(whole, list):
        rest: list[_Json] = [*whole]
        rest[int(steps[0])] = _only(rest[int(steps[0])], steps[1:], key)
        return rest
    return {**whole, steps[0]: _only(whole[steps[0]], steps[1:], key)}
