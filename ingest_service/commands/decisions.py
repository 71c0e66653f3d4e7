"""Who decides, and why: what every command that changes a record asks for."""

from __future__ import annotations

import argparse
from datetime import datetime
from uuid import uuid4

from ingest_service.admission.revising import Decision


def add_decider(parser: argparse.ArgumentParser, *, is_reasoned: bool = False) -> None:
    """Ask who decides and why; with ``is_reasoned`` it does not go without a reason."""
    parser.add_argument(
        "--by", required=True, help="who decides: an HSA-id, else the name they are known by here"
    )
    parser.add_argument(
        "--why", required=is_reasoned, help="why, in words and without personal data; it is kept"
    )


def decision_of(arguments: argparse.Namespace) -> Decision:
    """Return what the command's options say, as a decision of its own."""
    return Decision(change_id=uuid4(), by=arguments.by, why=arguments.why)


def moment(text: str) -> datetime:
    """Return a time with a zone.

    Raises:
        argparse.ArgumentTypeError: If it is none.
    """
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError("no time as ISO 8601 writes it") from error
    if at.tzinfo is None:
        raise argparse.ArgumentTypeError("a time needs a zone, for example +01:00")
    return at
