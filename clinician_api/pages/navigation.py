"""Where one can go from every page, by what one may do."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from clinician_api.roles import Right


@dataclass(frozen=True, slots=True)
class Entry:
    """A page in the head: its address, which word names it, and whether it is the present one."""

    path: str
    name: str
    is_here: bool


# Names are keys of the words in the template, which the catalogues translate.
_PAGES: Final = (
    ("/worklist", "worklist", Right.READ),
    ("/handover", "handover", Right.READ),
    ("/measures", "measures", Right.READ),
)


def entries(rights: Collection[Right], path: str) -> list[Entry]:
    """Return the pages that somebody with these rights can open, in the order of the day."""
    return [
        Entry(address, name, path == address or path.startswith(f"{address}/"))
        for address, name, right in _PAGES
        if right in rights
    ]


def home(rights: Collection[Right]) -> str:
    """Return where somebody begins."""
    return next((address for address, _, right in _PAGES if right in rights), "/worklist")
