"""The columnstore of the licensed edition: on the Apache edition, which runs here, nothing."""

from __future__ import annotations

import psycopg
import pytest

from ingest_service.store import columnstore
from tests.support.services import Database

pytestmark = pytest.mark.timescale


def test_the_apache_edition_is_left_as_it_is(database: Database) -> None:
    with psycopg.connect(database.dsn(), autocommit=True) as connection:
        edition = connection.execute("SHOW timescaledb.license").fetchone()
        is_enabled = columnstore.enable_where_licensed(connection)
        hypertables = connection.execute(
            "SELECT hypertable_name, compression_enabled FROM timescaledb_information.hypertables"
        ).fetchall()

    assert edition == ("apache",)
    assert is_enabled is False
    assert dict(hypertables) == {"observation": False, "observation_change": False}
