"""What a person can do to an alert, as values that travel: in JSON ``type`` names the action."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final

import msgspec

#: Longest HSA-id, reason and note, in characters.
PERSON_MOST: Final = 64
REASON_MOST: Final = 500
NOTE_MOST: Final = 4000

_Reason = Annotated[str, msgspec.Meta(min_length=1, max_length=REASON_MOST)]
_Note = Annotated[str, msgspec.Meta(max_length=NOTE_MOST)]
_Person = Annotated[str, msgspec.Meta(min_length=1, max_length=PERSON_MOST)]
_Code = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]


class Take(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="take"):
    """See it and own it, in one: whoever took it acts on it."""


class Release(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="release"
):
    """Give it back, for anybody to take."""


class Assign(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="assign"):
    """Let a colleague own it.

    ``held_by`` is who owns it as the person saw it: if it is somebody else by now, they are told.
    """

    to: _Person
    reason: _Reason
    held_by: _Person | None = None


class Pause(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="pause"):
    """Let it rest until a time; it comes back by itself, and at once if a value is worse."""

    until: Annotated[datetime, msgspec.Meta(tz=True)]
    reason: _Reason


class Resume(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="resume"):
    """End its pause now."""


class Remeasure(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="remeasure"
):
    """Ask the patient to measure again; the alert stays as it is."""


class Resolve(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="resolve"
):
    """End it, with an outcome (`ingest_service.alerts.outcomes`) and a note that is signed."""

    outcome: _Code
    note: _Note = ""


class Reopen(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="reopen"):
    """Open it again after all."""

    reason: _Reason


class Undo(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="undo"):
    """Take back one's own last action, within seconds."""


class Note(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="note"):
    """Write something down; it is signed and never changed."""

    text: Annotated[str, msgspec.Meta(min_length=1, max_length=NOTE_MOST)]


class Withdraw(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="withdraw"
):
    """Say that it should never have been: what it rested on was taken back (A8)."""

    reason: _Reason


Action = (
    Take
    | Release
    | Assign
    | Pause
    | Resume
    | Remeasure
    | Resolve
    | Reopen
    | Undo
    | Note
    | Withdraw
)

_DECODER: Final = msgspec.json.Decoder(Action)


def decode(document: bytes) -> Action:
    """Read an action from JSON.

    Raises:
        msgspec.DecodeError: If it is none, or a text in it is too long; says what and where.
    """
    return _DECODER.decode(document)
