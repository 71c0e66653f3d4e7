"""Whether the gateway's file can still be written: by writing it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from gateway.store.database import FILE_NAME


def prove_write(directory: Path) -> None:
    """Commit one page to the file, down to the disk; for a thread of its own.

    What is written is what stands there: the file's generation. It costs one page of the
    write-ahead log and a flush, and holds the lock only for these.

    Raises:
        sqlite3.Error: If it cannot be written, or another connection held the lock for 5 s.
    """
    path = directory / FILE_NAME
    # Not "rwc": a file that was taken away must not come back empty.
    with closing(
        sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=rw", uri=True, isolation_level=None, timeout=5
        )
    ) as connection:
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute("BEGIN IMMEDIATE")
        (generation,) = connection.execute("PRAGMA user_version").fetchone()
        connection.execute(f"PRAGMA user_version = {int(generation)}")
        connection.execute("COMMIT")
