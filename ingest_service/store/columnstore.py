"""Columns instead of rows for old observations, where the edition of TimescaleDB has them.

The Apache edition, which everything here works on, does not. This was written after TimescaleDB
2.19's reference and never run on the licensed edition: docs/reference/ingest-settings.md says so.
"""

from __future__ import annotations

from typing import Final

import psycopg

_EDITION: Final = "SHOW timescaledb.license"
_IS_ENABLED: Final = """
SELECT compression_enabled
  FROM timescaledb_information.hypertables
 WHERE hypertable_name = 'observation'
"""
# What is asked for together lies together: one patient's readings, newest first.
_ENABLE: Final = """
ALTER TABLE observation SET (timescaledb.enable_columnstore, timescaledb.segmentby = 'patient_id',
                             timescaledb.orderby = 'effective_at DESC, id DESC')
"""
# A year: by then time corrections have come, and trends are drawn from what is newer.
_POLICY: Final = """
CALL add_columnstore_policy('observation', after => INTERVAL '1 year', if_not_exists => true)
"""


def enable_where_licensed(connection: psycopg.Connection) -> bool:
    """Let chunks older than a year become columns, and return whether this edition can."""
    found = connection.execute(_EDITION).fetchone()
    if found != ("timescale",):
        return False
    if connection.execute(_IS_ENABLED).fetchone() != (True,):
        connection.execute(_ENABLE)
    connection.execute(_POLICY)
    return True
