"""Compressed texts, read as one would with a backup and nothing else.

By zstd alone and the dictionaries that stand in the database.
"""

from __future__ import annotations

from typing import Any, Final

import psycopg
from zstandard import ZstdCompressionDict, ZstdDecompressor, get_frame_parameters

#: How a zstd frame begins (RFC 8878, section 3.1.1), as PostgreSQL writes bytes.
BEGINNING: Final = "\\x28b52ffd"

Dictionaries = dict[int, bytes]


def dictionaries(opened: psycopg.Connection[Any]) -> Dictionaries:
    """Return the dictionaries that the database keeps."""
    return dict(opened.execute("SELECT id, content FROM text_dictionary").fetchall())


def text_of(frame: str, kept: Dictionaries) -> str:
    """Return the text of a frame, given in hexadecimal after ``\\x``."""
    data = bytes.fromhex(frame.removeprefix("\\x"))
    dictionary = ZstdCompressionDict(kept[get_frame_parameters(data).dict_id])
    return ZstdDecompressor(dict_data=dictionary).decompress(data).decode()
