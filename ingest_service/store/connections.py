"""Connections to the database, with a bound on everything that could wait for ever."""

from __future__ import annotations

from typing import Final

import psycopg
from psycopg import AsyncConnection
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import TupleRow
from psycopg_pool import AsyncConnectionPool

Connection = AsyncConnection[TupleRow]
Pool = AsyncConnectionPool[Connection]

_STATEMENT_S: Final = 20
_LOCK_S: Final = 10
TRANSACTION_S: Final = 60  # also the horizon behind which nothing can still be committed

_PING: Final = "SELECT 1"


def pool(dsn: str, *, name: str, size: int) -> Pool:
    """Return a closed pool; use it as an asynchronous context manager.

    Args:
        dsn: Connection string of the service's own role.
        name: Shown in ``pg_stat_activity``.
        size: Most connections; one stays open when idle.
    """
    return AsyncConnectionPool(
        bounded(dsn, name),
        connection_class=AsyncConnection[TupleRow],
        min_size=1,
        max_size=size,
        timeout=5.0,
        reconnect_timeout=0.0,  # never gives up: the service waits, the broker keeps
        open=False,
    )


def bounded(dsn: str, name: str) -> str:
    """Return the connection string with time-outs, so that no statement or lock waits for ever."""
    options = (
        f"{conninfo_to_dict(dsn).get('options') or ''}"
        f" -c statement_timeout={_STATEMENT_S}s -c lock_timeout={_LOCK_S}s"
        f" -c transaction_timeout={TRANSACTION_S}s"
        f" -c idle_in_transaction_session_timeout={TRANSACTION_S}s"
    )
    return make_conninfo(
        dsn,
        application_name=name,
        options=options.strip(),
        connect_timeout=5,
        tcp_user_timeout=15_000,
    )


async def ping(connections: Pool) -> str | None:
    """Return nothing if the database answers, else why it does not."""
    try:
        async with connections.connection(timeout=2.0) as connection:
            await connection.execute(_PING)
    except psycopg.OperationalError as error:
        return f"database: {type(error).__name__}"
    return None
