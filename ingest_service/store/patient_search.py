"""Finding a patient of one's own unit by name or number."""

from __future__ import annotations

import re
from typing import Final

from psycopg.rows import class_row

from ingest_service.store.callers import Caller
from ingest_service.store.connections import Connection
from ingest_service.store.worklist import ListedPatient

# Whose identity is protected is found by the whole number alone: a part of a name would tell who
# they are.
_SEARCH: Final = r"""
SELECT id, identifier_system, identifier_value, family, given, birth_date, gender, programme,
       is_protected
  FROM patient
 WHERE care_unit_id = ANY(%(units)s)
   AND (identifier_value = %(number)s
        OR NOT is_protected
           AND (%(number)s <> '' AND identifier_value LIKE '%%' || %(number)s || '%%'
                OR %(number)s = ''
                   AND (given || ' ' || family ILIKE '%%' || %(name)s || '%%'
                        OR family || ' ' || given ILIKE '%%' || %(name)s || '%%')))
 ORDER BY family, given, id
 LIMIT %(limit)s
"""

_NUMBER: Final = re.compile(r"[0-9][0-9 +-]*")


async def search(
    connection: Connection, caller: Caller, text: str, *, limit: int
) -> list[ListedPatient]:
    """Return the caller's patients whose name or number has that text in it, by name.

    Args:
        connection: In a transaction.
        caller: Who asks; only patients of their units are found.
        text: Some of a name, or some digits of a number, with or without a dash.
        limit: How many at most.
    """
    text = " ".join(text.split())
    is_number = _NUMBER.fullmatch(text) is not None
    values = {
        "units": list(caller.care_unit_ids),
        "number": re.sub(r"[^0-9]", "", text) if is_number else "",
        "name": re.sub(r"([\\%_])", r"\\\1", text),
        "limit": limit,
    }
    async with connection.cursor(row_factory=class_row(ListedPatient)) as cursor:
        await cursor.execute(_SEARCH, values)
        return await cursor.fetchall()
