"""The page after: a signed position, which is all that a next link carries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec
from itsdangerous import BadData, URLSafeSerializer

from clinician_api.errors import BadRequestError
from clinician_api.fhir.parameters import CURSOR

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """A search's applied parameters and the last row that was given out."""

    applied: tuple[tuple[str, str], ...]
    at: datetime
    row_id: UUID


class Cursors:
    """Turns positions into opaque text and back.

    The server keeps nothing, and the text proves nothing but where to go on: who may see what is
    decided again for each page. It holds the search itself, so it fits no other.
    """

    def __init__(self, secret: bytes) -> None:
        self._serializer = URLSafeSerializer(secret, salt="hemvital.search")

    def write(self, position: Position) -> str:
        """Return the cursor of a position."""
        return str(
            self._serializer.dumps(
                [
                    position.applied,
                    (position.at - _EPOCH) // timedelta(microseconds=1),
                    position.row_id.hex,
                ]
            )
        )

    def read(self, cursor: str) -> Position:
        """Return the position of a cursor, or raise `BadRequestError`."""
        try:
            content: Any = self._serializer.loads(cursor)
            applied, microseconds, row_id = msgspec.convert(
                content, tuple[tuple[tuple[str, str], ...], int, str]
            )
        except (BadData, msgspec.ValidationError) as error:
            raise BadRequestError("_cursor: not one that this server gave out") from error
        return Position(
            applied=applied,
            at=_EPOCH + timedelta(microseconds=microseconds),
            row_id=UUID(row_id),
        )


def pages_of(given: Sequence[tuple[str, str]]) -> str | None:
    """Return the cursor among the parameters of a request, if it is one for a further page.

    Raises:
        BadRequestError: If anything but ``_format`` stands beside it: it would be passed over,
            and the page would hold what it should have left out.
    """
    cursors = [value for name, value in given if name == CURSOR]
    if not cursors:
        return None
    if len(cursors) > 1 or any(name not in {CURSOR, "_format"} for name, _ in given):
        raise BadRequestError("_cursor: stands alone; follow the link as it was given")
    return cursors[0]
