"""Texts as they are stored: compressed against dictionaries that go with the program.

A stored text is one zstd frame as any zstd writes and reads them. Its header names the dictionary
by number, its checksum tells when the dictionary was another one. A lost dictionary would be a
lost patient record: each one that was ever released stays in ``dictionaries/``, byte for byte, and
`migration.apply` puts a copy into the database, so that a backup can be read by itself
(docs/adr/0016).
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from uuid import UUID

from zstandard import (
    ZstdCompressionDict,
    ZstdCompressor,
    ZstdDecompressor,
    ZstdError,
    get_frame_parameters,
)

#: Numbers from 32,768 to 65,535 take two bytes in a frame and are nobody else's.
OBSERVATION: Final = 40001
RECORD: Final = 40002

#: Above 3 a text costs four times the time for a twentieth of its bytes.
LEVEL: Final = 3

# Ingest takes no message above 128 KiB. A damaged header must not ask for all the memory there is.
_MOST_BYTES: Final = 1 << 20

_FOLDER: Final = Path(__file__).with_name("dictionaries")


class UnreadableTextError(RuntimeError):
    """A stored text that cannot be read; its sentence names the row and the dictionary."""


def dictionaries() -> Mapping[int, bytes]:
    """Return every dictionary that was ever released, by its number."""
    return {int(file.stem): file.read_bytes() for file in sorted(_FOLDER.glob("*.zdict"))}


_DICTIONARIES: Final = {
    number: ZstdCompressionDict(content) for number, content in dictionaries().items()
}
for _dictionary in _DICTIONARIES.values():
    _dictionary.precompute_compress(level=LEVEL)  # pyright: ignore[reportUnknownMemberType] its result is untyped


class _Codecs(threading.local):
    """A thread's own: the library's objects may not be used by two at once."""

    def __init__(self) -> None:
        self.compressors = {
            number: ZstdCompressor(level=LEVEL, dict_data=dictionary, write_checksum=True)
            for number, dictionary in _DICTIONARIES.items()
        }
        self.decompressors = {
            number: ZstdDecompressor(dict_data=dictionary)
            for number, dictionary in _DICTIONARIES.items()
        }


_codecs: Final = _Codecs()


def body_of(resource: str) -> bytes:
    """Return an observation's resource as it is stored."""
    return _codecs.compressors[OBSERVATION].compress(resource.encode())


def resource_of(observation_id: UUID, resource: str | None, body: bytes | None) -> str:
    """Return an observation's resource from its row.

    Args:
        observation_id: Named in the error.
        resource: The text, where a release before compression stored it.
        body: The text as `body_of` gave it, everywhere else.

    Raises:
        UnreadableTextError: If neither can be read.
    """
    if body is not None:
        return _decompressed(f"observation {observation_id}", body).decode()
    if resource is None:
        raise UnreadableTextError(f"observation {observation_id}: no text is stored")
    return resource


def stored_record(record: bytes) -> bytes:
    """Return a record, JSON as it travelled, as it is stored."""
    return _codecs.compressors[RECORD].compress(record)


def record_of(record_id: UUID, stored: bytes) -> bytes:
    """Return a record as it travelled.

    Where a release before compression stored it, it is JSON, which begins with a brace; a frame
    does not.

    Raises:
        UnreadableTextError: If it cannot be read.
    """
    return stored if stored[:1] == b"{" else _decompressed(f"record {record_id}", stored)


def _decompressed(what: str, frame: bytes) -> bytes:
    try:
        header = get_frame_parameters(frame)
    except ZstdError as error:
        raise UnreadableTextError(f"{what}: not a compressed text") from error
    number = header.dict_id
    if header.content_size > _MOST_BYTES:
        raise UnreadableTextError(f"{what}: damaged, dictionary {number}: claims to be huge")
    if number not in _codecs.decompressors:
        raise UnreadableTextError(f"{what}: dictionary {number} is unknown to this release")
    try:
        return _codecs.decompressors[number].decompress(frame)
    except ZstdError as error:
        raise UnreadableTextError(f"{what}: damaged, dictionary {number}: {error}") from error
