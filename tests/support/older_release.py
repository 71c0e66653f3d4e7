"""What a worker of the release before compression says to the database, word for word.

It goes on running while the schema is brought up to date and workers are replaced one by one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

import psycopg

_ADD: Final = """
INSERT INTO observation (id, record_id, version, care_provider_id, care_unit_id, patient_id,
       device_id, code, status, effective_at, time_quality, value, systolic, diastolic,
       is_irregular, is_doubtful, last_updated, resource)
SELECT id, record_id, version, care_provider_id, care_unit_id, patient_id,
       device_id, code, status, effective_at, time_quality, value, systolic, diastolic,
       is_irregular, is_doubtful, last_updated, resource
  FROM json_to_recordset(%s::json)
       AS row(id uuid, record_id uuid, version integer, care_provider_id uuid, care_unit_id uuid,
              patient_id uuid, device_id text, code text, status text, effective_at timestamptz,
              time_quality text, value numeric, systolic numeric, diastolic numeric,
              is_irregular boolean, is_doubtful boolean, last_updated timestamptz, resource text)
"""

_RETIRE: Final = """
WITH gone AS (
    DELETE FROM observation o
     USING identity i
     WHERE i.record_id = ANY(%(records)s)
       AND (o.id, o.effective_at) = (i.id, i.effective_at)
       AND o.effective_at BETWEEN %(since)s AND %(until)s
    RETURNING o.id, o.version, o.effective_at, o.last_updated, o.resource, o.record_id
), kept AS (
    INSERT INTO observation_history
           (id, version, effective_at, last_updated, resource, changed_by, reason)
    SELECT g.id, g.version, g.effective_at, g.last_updated, g.resource, c.changed_by, c.reason
      FROM gone g
      JOIN json_to_recordset(%(changes)s::json)
           AS c(record_id uuid, changed_by text, reason text) USING (record_id)
)
SELECT record_id, max(version) FROM gone GROUP BY record_id
"""

_ADD_IDENTITY: Final = """
INSERT INTO identity (id, record_id, effective_at, phd_identifier)
SELECT id, record_id, effective_at, phd_identifier
  FROM json_to_recordset(%s::json)
       AS row(id uuid, record_id uuid, effective_at timestamptz, phd_identifier text)
 ORDER BY id
"""


def add(connection: psycopg.Connection, *rows: Mapping[str, Any]) -> None:
    """Store observations, each as its columns in JSON, with their text under ``resource``."""
    connection.execute(_ADD, [json.dumps(rows)])


def add_identity(connection: psycopg.Connection, row: Mapping[str, Any]) -> None:
    """Store an identity with the PHD identifier's text."""
    connection.execute(_ADD_IDENTITY, [json.dumps([row])])


def retire(connection: psycopg.Connection, record_id: UUID) -> int:
    """Move a record's observations to the history and return their version."""
    change = {"record_id": str(record_id), "changed_by": "gateway", "reason": "a better time"}
    values = {
        "records": [record_id],
        "since": "2000-01-01T00:00:00Z",
        "until": "2100-01-01T00:00:00Z",
        "changes": json.dumps([change]),
    }
    found = connection.execute(_RETIRE, values).fetchone()
    return found[1] if found else 0
