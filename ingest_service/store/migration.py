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

from ingest_service.store import columnstore, text_dictionaries, texts

_SCRIPTS: Final = Path(__file__).with_name("migrations")
_LOCK_TIMEOUT: Final = "10s"

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


def apply(dsn: str) -> int:
    """Apply what is missing and return how many migrations that was; harmless when repeated.

    The database also gets copies of the dictionaries that texts are compressed with and, in
    TimescaleDB's licensed edition, its columnstore.

    Args:
        dsn: Connection string of the role that owns the schema.

    Raises:
        psycopg.Error: If the database is away, or a table stays locked by others for longer than
            the lock time-out: nothing of that migration is then done, and it can be repeated.
        DictionaryError: If the database's texts rest on another dictionary than this release's.
    """
    with psycopg.connect(dsn, autocommit=True) as guard:
        guard.execute(_LOCK)
        # The casts are safe: the protocols name what yoyo 9 documents, and yoyo has no types.
        backend = cast("_Backend", yoyo.get_backend(_uri(dsn)))  # pyright: ignore[reportUnknownMemberType] untyped
        try:
            # yoyo's own lock is a row that SIGKILL leaves behind. Whoever holds the lock above
            # is alone, so a row there now is such a one.
            backend.break_lock()
            sources = str(_SCRIPTS), SchemaManager.get_migrations_path()
            scripts = cast("_Migrations", yoyo.read_migrations(*sources))  # pyright: ignore[reportUnknownMemberType] untyped
            missing = backend.to_apply(scripts)
            backend.apply_migrations(missing)
        finally:
            backend.connection.close()
        text_dictionaries.keep(guard, texts.dictionaries())
        columnstore.enable_where_licensed(guard)
        return len(missing)


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
