"""What messages are made of: bounded elements, and the one way to read JSON into a type.

Each element has a bound, so that whatever stores or formats it needs none of its own.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Final, TypeVar

import msgspec

_T = TypeVar("_T")

Id = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
Name = Annotated[str, msgspec.Meta(max_length=128)]
Detail = Annotated[str, msgspec.Meta(max_length=200)]
TraceId = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{32}$", min_length=32, max_length=32)]
Time = Annotated[datetime, msgspec.Meta(tz=True)]
Raw = Annotated[bytes, msgspec.Meta(max_length=4096)]
Generation = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
Nanoseconds = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
Address = Annotated[str, msgspec.Meta(pattern="^[0-9A-F]{2}(:[0-9A-F]{2}){5}$")]
Percent = Annotated[int, msgspec.Meta(ge=0, le=100)]

# msgspec repeats an unknown enumerated value or tag, which may be anything that somebody typed.
_REPEATED: Final = re.compile(r"(Invalid (?:enum )?value) .*?( - at `[^`]*`)?", re.DOTALL)


class ContractError(ValueError):
    """The message breaks the contract; the text says which part, and never what stood there."""


def decode(decoder: msgspec.json.Decoder[_T], payload: bytes) -> _T:
    """Return what a payload says, or raise `ContractError`."""
    try:
        return decoder.decode(payload)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise ContractError(_without_value(str(error))) from error


def _without_value(text: str) -> str:
    repeated = _REPEATED.fullmatch(text)
    return f"{repeated[1]}{repeated[2] or ''}" if repeated else text
