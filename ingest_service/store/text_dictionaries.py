"""The database's own copy of every dictionary that texts were ever compressed with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import psycopg

_ADD: Final = """
INSERT INTO text_dictionary (id, content)
VALUES (%s, %s)
    ON CONFLICT (id) DO NOTHING
"""
_CONTENT: Final = "SELECT content FROM text_dictionary WHERE id = %s"


class DictionaryError(RuntimeError):
    """The database holds another dictionary under the same number: texts are at risk."""


def keep(connection: psycopg.Connection, dictionaries: Mapping[int, bytes]) -> None:
    """Store copies of those that the database lacks.

    Raises:
        DictionaryError: If it holds another one under the same number.
    """
    for number, content in dictionaries.items():
        connection.execute(_ADD, [number, content])
        if connection.execute(_CONTENT, [number]).fetchone() != (content,):
            raise DictionaryError(f"dictionary {number} is another one in the database")
