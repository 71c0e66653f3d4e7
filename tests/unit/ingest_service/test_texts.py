"""Stored texts: whole again, or an error that says which and why; never something else."""

from __future__ import annotations

import hashlib
import re
import threading
from pathlib import Path
from typing import Final
from uuid import UUID

import pytest
from zstandard import ZstdCompressionDict, ZstdCompressor, ZstdDecompressor

from ingest_service.store import texts
from ingest_service.store.texts import UnreadableTextError

_VECTORS: Final = Path(__file__).parents[2] / "vectors" / "fhir"
_TEXT: Final = (_VECTORS / "obs-bp.json").read_text(encoding="utf-8")
_ID: Final = UUID("00000000-0000-5000-8000-000000000001")

# Texts rest on these bytes. A dictionary is added, never changed and never taken away.
_RELEASED: Final = {
    40001: "c570977766afcf3ad1965b2ab85b7ecb703eac80b4724154039325e7440eda09",
    40002: "4e543e23e2b063dd0a3402007dc2236dceaf18605415eb83204ac57af5afbeb3",
}


def _dictionary(number: int, *, content: bytes | None = None) -> ZstdCompressionDict:
    """Return the released dictionary of observations under another number, or changed."""
    released = content or texts.dictionaries()[texts.OBSERVATION]
    # RFC 8878, section 5: magic number, then the dictionary's number in four bytes.
    return ZstdCompressionDict(released[:4] + number.to_bytes(4, "little") + released[8:])


def _frame(dictionary: ZstdCompressionDict) -> bytes:
    return ZstdCompressor(dict_data=dictionary, write_checksum=True).compress(_TEXT.encode())


def _flipped(body: bytes, at: int, bit: int) -> bytes:
    return body[:at] + bytes([body[at] ^ 1 << bit]) + body[at + 1 :]


def _read(body: bytes) -> str | None:
    try:
        return texts.resource_of(_ID, None, body)
    except UnreadableTextError:
        return None


def test_every_released_dictionary_is_there_byte_for_byte() -> None:
    found = {
        number: hashlib.sha256(content).hexdigest()
        for number, content in texts.dictionaries().items()
    }

    assert found == _RELEASED


def test_a_dictionary_knows_its_own_number() -> None:
    for number, content in texts.dictionaries().items():
        assert ZstdCompressionDict(content).dict_id() == number


def test_no_dictionary_holds_a_person() -> None:
    # What a Patient or a personnummer is written with; resources and records refer by random ids.
    personal = re.compile(rb"personnummer|urn:oid:1\.2\.752|electronichealth|family|birthDate")

    assert [n for n, content in texts.dictionaries().items() if personal.search(content)] == []


@pytest.mark.parametrize("name", sorted(file.name for file in _VECTORS.glob("obs-*.json")))
def test_a_text_is_read_by_zstd_alone_with_the_released_dictionary(name: str) -> None:
    text = (_VECTORS / name).read_text(encoding="utf-8")
    dictionary = ZstdCompressionDict(texts.dictionaries()[40001])

    body = texts.body_of(text)

    assert ZstdDecompressor(dict_data=dictionary).decompress(body).decode() == text
    assert texts.resource_of(_ID, None, body) == text


def test_a_record_is_read_by_zstd_alone_with_the_released_dictionary() -> None:
    record = '{"type":"reading","device":{"id":"Blodtrycksmätare Å"}}'.encode()
    dictionary = ZstdCompressionDict(texts.dictionaries()[40002])

    stored = texts.stored_record(record)

    assert ZstdDecompressor(dict_data=dictionary).decompress(stored) == record
    assert texts.record_of(_ID, stored) == record


def test_a_frame_names_its_dictionary_and_has_a_checksum() -> None:
    body = texts.body_of(_TEXT)

    # RFC 8878, section 3.1.1: magic number; descriptor with a size of two bytes, one segment, a
    # checksum and a dictionary number of two bytes; then that number, 40001.
    assert body[:7] == bytes.fromhex("28B52FFD 66 419C")


def test_what_an_older_release_stored_is_read_as_it_is() -> None:
    assert texts.resource_of(_ID, _TEXT, None) == _TEXT
    assert texts.record_of(_ID, b'{"type":"reading"}') == b'{"type":"reading"}'


def test_a_text_of_a_newer_release_names_observation_and_dictionary() -> None:
    with pytest.raises(UnreadableTextError, match=f"{_ID}.*dictionary 40999"):
        texts.resource_of(_ID, None, _frame(_dictionary(40999)))


def test_a_text_of_another_dictionary_under_the_same_number_is_no_text() -> None:
    released = texts.dictionaries()[texts.OBSERVATION]
    other = _dictionary(40001, content=released[:-9] + b"#" + released[-9:])

    with pytest.raises(UnreadableTextError, match=f"{_ID}.*dictionary 40001"):
        texts.resource_of(_ID, None, _frame(other))


def test_a_damaged_text_is_never_taken_for_another() -> None:
    body = texts.body_of(_TEXT)
    damaged = [_flipped(body, at, bit) for at in range(len(body)) for bit in range(8)]

    read = [_read(each) for each in damaged]

    # A few bits say nothing of the text (RFC 8878, section 3.1.1.1.1: unused ones); it is whole.
    assert set(read) == {None, _TEXT}
    assert read.count(None) > 0.99 * len(read)


def test_a_text_that_was_cut_is_no_text() -> None:
    body = texts.body_of(_TEXT)

    assert {_read(body[:length]) for length in range(len(body))} == {None}


def test_no_text_at_all_is_an_error() -> None:
    with pytest.raises(UnreadableTextError, match=str(_ID)):
        texts.resource_of(_ID, None, None)
    with pytest.raises(UnreadableTextError, match=str(_ID)):
        texts.record_of(_ID, b"")


def test_threads_do_not_disturb_each_other() -> None:
    wrong = list[str]()

    def work(name: str) -> None:
        for number in range(500):
            text = f"{name} {number} {_TEXT}"
            if texts.resource_of(_ID, None, texts.body_of(text)) != text:
                wrong.append(text)

    threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)

    assert wrong == []
