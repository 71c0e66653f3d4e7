"""Bring a database from empty, or from any older release, to the current schema.

Our migrations and those that the installed procrastinate brings are one chain, in one table.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, Protocol, cast
from urllib.parse import quote, urlencode

import psycopg
import yoyo  # pyright: ignore[reportMissingTypeStubs] it has none
from procrastinate.schema import SchemaManager
from psycopg.conninfo import conninfo_to_dict
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random

from ingest_service.store import columnstore, text_dictionaries, texts

_SCRIPTS: Final = Path(__file__).with_name("migrations")
# Whoever wants the table waits behind the migration that waits for it: not for long.
_LOCK_TIMEOUT: Final = "3s"

# A worker that reads one table and goes on to write another may meet a migration that has locked
# the other: one of the two is sent away, and it is right to come back.
_ATTEMPTS: Final = Retrying(
    retry=retry_if_exception_type(psycopg.errors.DeadlockDetected),
    stop=stop_after_attempt(8),
    wait=wait_random(0, 0.5),
    reraise=True,
)

# Any number of processes may start at once: the first one works, the others wait here. The lock
# belongs to the connection, so SIGKILL leaves nothing behind (docs/adr/0005).
_LOCK: Final = "SELECT pg_advisory_lock(hashtextextended('hemvital migrations', 0))"


class _Migrations(Protocol):
    def __len__(self) -> int: ...


class _Backend(Protocol):
    """The part of yoyo's backend that is used; yoyo carries no types."""

    connection: Any

    def break_lock(self) -> None: ...
    def to_apply(self, migrations: _Migrations) -> _Migrations: ...
    def apply_migrations(self, migrations: _Migrations) -> None: ...


def apply(dsn: str, scripts: Path = _SCRIPTS) -> int:
    """Apply what is missing and return how many migrations that was; harmless when repeated.

    The database also gets copies of the dictionaries that texts are compressed with and, in
    TimescaleDB's licensed edition, its columnstore.

    Args:
        dsn: Connection string of the role that owns the schema.
        scripts: The directory of our migrations.

    Raises:
        psycopg.Error: If the database is away, or a table stays locked by others for longer than
            the lock time-out: nothing of that migration is then done, and it can be repeated.
            One that deadlocks with the workers is repeated here, a few times.
        DictionaryError: If the database's texts rest on another dictionary than this release's.
    """
    with psycopg.connect(dsn, autocommit=True) as guard:
        guard.execute(_LOCK)
        applied = _apply_missing(dsn, scripts)
        text_dictionaries.keep(guard, texts.dictionaries())
        columnstore.enable_where_licensed(guard)
        return applied


def _apply_missing(dsn: str, scripts: Path) -> int:
    # The casts are safe: the protocols name what yoyo 9 documents, and yoyo has no types.
    backend = cast("_Backend", yoyo.get_backend(_uri(dsn)))  # pyright: ignore[reportUnknownMemberType] untyped
    try:
        # yoyo's own lock is a row that SIGKILL leaves behind. Whoever holds the lock of `apply`
        # is alone, so a row there now is such a one.
        backend.break_lock()
        sources = str(scripts), SchemaManager.get_migrations_path()
        known = cast("_Migrations", yoyo.read_migrations(*sources))  # pyright: ignore[reportUnknownMemberType] untyped
        count = len(backend.to_apply(known))
        for attempt in _ATTEMPTS:
            with attempt:
                backend.apply_migrations(backend.to_apply(known))
        return count
    finally:
        backend.connection.close()


def _uri(dsn: str) -> str:
    """Return the connection string as yoyo wants it, with a bound on waiting for locks.

    A table lock that queues behind a long query makes everybody queue behind it.
    """
    given = {
        name: str(value) for name, value in conninfo_to_dict(dsn).items() if value is not None
    }
    user = quote(given.pop("user", ""), safe="")
    password = quote(given.pop("password", ""), safe="")
    name = quote(given.pop("dbname", user), safe="")
    given["options"] = f"{given.get('options', '')} -c lock_timeout={_LOCK_TIMEOUT}".strip()
    account = f"{user}:{password}@" if password else f"{user}@" if user else ""
    # Host and port travel as arguments: a socket directory has slashes.
    return f"postgresql+psycopg://{account}/{name}?{urlencode(given)}"
