"""What devices say of themselves."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

import msgspec

from ingest_service.store.connections import Connection
from ingest_service.store.rows import packed

# Locked in order: an UPDATE alone takes its rows as it finds them.
_DESCRIBE: Final = """
WITH given AS MATERIALIZED (
    SELECT * FROM json_to_recordset(%s::json)
           AS row(id text, manufacturer text, model text, serial text, firmware text)
), locked AS MATERIALIZED (
    SELECT d.id FROM device d JOIN given USING (id) ORDER BY d.id FOR NO KEY UPDATE OF d
)
UPDATE device d
   SET manufacturer = coalesce(d.manufacturer, given.manufacturer),
       model = coalesce(d.model, given.model),
       serial = coalesce(d.serial, given.serial),
       firmware = coalesce(given.firmware, d.firmware),
       last_updated = clock_timestamp()
  FROM given JOIN locked USING (id)
 WHERE d.id = given.id
"""


@dataclass(frozen=True, slots=True)
class Description:
    """What is known of a device beside its id."""

    manufacturer: str | None
    model: str | None
    serial: str | None
    firmware: str | None


class DescriptionRow(msgspec.Struct, frozen=True, kw_only=True):
    """What a device said of itself."""

    id: str
    manufacturer: str | None
    model: str | None
    serial: str | None
    firmware: str | None


async def describe(connection: Connection, rows: Collection[DescriptionRow]) -> None:
    """Fill in what was not known; firmware alone changes in a device's life, and is replaced."""
    await connection.execute(_DESCRIBE, [packed(rows)])
