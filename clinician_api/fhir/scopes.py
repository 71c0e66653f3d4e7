"""SMART system scopes: what a client's token lets it do."""

from __future__ import annotations

import re
from typing import Final, Literal

Interaction = Literal["r", "s"]

_SCOPE: Final = re.compile(r"system/(?P<type>[A-Za-z]+|\*)\.(?P<rights>read|write|\*|c?r?u?d?s?)")
_RIGHTS: Final = {"read": "rs", "write": "cud", "*": "cruds"}


def allow(scopes: str, resource_type: str, interaction: Interaction) -> bool:
    """Tell whether the scopes allow an interaction: ``r`` read, ``s`` search.

    A scope of another form gives nothing; a scope that is narrowed by a query (``?category=…``)
    is not understood here and gives nothing either.

    Source:
        SMART App Launch 2.2, Scopes for requesting FHIR resources; version 1's ``.read`` is
        ``.rs``.
    """
    for scope in scopes.split():
        match = _SCOPE.fullmatch(scope)
        if match is None or match["type"] not in {resource_type, "*"}:
            continue
        if interaction in _RIGHTS.get(match["rights"], match["rights"]):
            return True
    return False
