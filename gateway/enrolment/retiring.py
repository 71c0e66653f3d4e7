"""Make a box that goes back empty: no key, no certificate, nobody's readings."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

from gateway.enrolment import files
from gateway.enrolment.failures import EnrolmentError
from gateway.store.database import FILE_NAME

_WAITING: Final = """
SELECT (SELECT count(*) FROM outbox WHERE delivered_us IS NULL)
     + (SELECT count(*) FROM journal WHERE is_decoded = 0)
"""


def retire(state: Path, *, is_forced: bool) -> None:
    """Remove identity and readings once the server has all of them.

    Args:
        state: The state directory.
        is_forced: Also with readings that the server does not have: they are lost.

    Raises:
        InUseError: If the gateway runs.
        EnrolmentError: If something waits, or nobody can tell.
    """
    with files.alone(state, "lock"):  # the daemon's own
        if not is_forced:
            _check_delivered(state)
        files.wipe(state)
        for file in state.glob(f"{FILE_NAME}*"):  # SQLite's log and what was set aside, too
            file.unlink()


def _check_delivered(state: Path) -> None:
    path = state / FILE_NAME
    if not path.exists():
        return
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as opened:
            (waiting,) = opened.execute(_WAITING).fetchone()
    except sqlite3.Error as error:
        text = f"{path} cannot be read ({error}): --force removes it all the same."
        raise EnrolmentError(text, "unreadable") from error
    if waiting:
        text = (
            f"{waiting} reading(s) have not reached the server: let the gateway run until they "
            "have, or lose them with --force."
        )
        raise EnrolmentError(text, "undelivered")
