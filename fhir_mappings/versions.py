"""A stored Observation as a later version of itself, every byte of what it said kept."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import msgspec

_OBJECT: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


def taken_back(resource: str, *, version: int, issued: datetime) -> str:
    """Return an Observation as ``entered-in-error``: what it said stands, and is not to be used.

    Made from the text and not mapped anew: it takes back what was said, whatever today's mapping
    would say, and needs no bytes of the device.

    Args:
        resource: The finished JSON text of the version before.
        version: The new version.
        issued: When it is made available, in UTC.
    """
    members = _OBJECT.decode(resource)
    meta = _OBJECT.decode(members["meta"])
    at = _raw(issued.isoformat())
    meta |= {"versionId": _raw(str(version)), "lastUpdated": at}
    members |= {"meta": _raw(meta), "status": _raw("entered-in-error"), "issued": at}
    return msgspec.json.encode(members).decode()


def _raw(value: object) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))
