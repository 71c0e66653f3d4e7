"""Read rows out of a SQLite file that SQLite itself refuses: page by page, whatever still holds.

`Pages` shows a file's pages as SQLite would see them, with what its log has committed laid over
them. `leaves` walks a table from its root and passes over what is damaged; `rows` reads the rows
of one page. Nothing is trusted: every number is looked at before it leads anywhere, and what does
not fit ends the row, not the reading.

Source:
    https://www.sqlite.org/fileformat2.html, sections 1.3 (header), 1.5 (freelist), 1.6 (b-trees),
    2.1 (records) and 4 (write-ahead log).
"""

from __future__ import annotations

import os
import struct
from collections.abc import Generator, Iterable, Sequence
from pathlib import Path
from typing import Final, Self

Value = None | int | float | str | bytes

LEAF: Final = 0x0D
_INTERIOR: Final = 0x05
_KINDS: Final = frozenset((0x02, _INTERIOR, 0x0A, LEAF))
_HEADER: Final = 100
_SIZES: Final = (512, 1024, 2048, 4096, 8192, 16384, 32768)
_SAMPLE: Final = 64
_LOG_HEADER: Final = 32
_FRAME_HEADER: Final = 24
_LOG_MAGIC: Final = {0x377F0682: "<", 0x377F0683: ">"}
_MOST_PAYLOAD: Final = 1 << 20  # no row of ours comes near it
_DEEPEST: Final = 32
_REAL: Final = 7  # kinds of values: below are integers
_BLOB: Final = 12  # from here on blobs and texts in turn


class Pages:
    """The pages of one file; reads, and changes nothing."""

    def __init__(self, file: Path, log: Path) -> None:
        self._file = os.open(file, os.O_RDONLY)
        self._log = os.open(log, os.O_RDONLY) if log.exists() else None
        self._frames: dict[int, int] = {}
        self.size = self._page_size()
        file_bytes = os.fstat(self._file).st_size
        self.count = -(-file_bytes // self.size)
        self._take_log()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for handle in (self._file, self._log):
            if handle is not None:
                os.close(handle)

    def page(self, number: int) -> bytes:
        """Return a page; zeros for what is not there or that the disk does not give."""
        if not 1 <= number <= self.count:
            return bytes(self.size)
        if (at := self._frames.get(number)) is not None:
            return self._read(self._log, at, self.size)
        return self._read(self._file, (number - 1) * self.size, self.size)

    def free(self) -> set[int]:
        """Return the pages that the file calls unused, as far as its list of them can be read."""
        found: set[int] = set()
        (trunk,) = struct.unpack_from(">I", self.page(1), 32)
        while 1 < trunk <= self.count and trunk not in found:
            found.add(trunk)
            page = self.page(trunk)
            trunk, count = struct.unpack_from(">II", page)
            if count > self.size // 4 - 2:
                break
            found.update(struct.unpack_from(f">{count}I", page, 8))
        return found

    def _read(self, handle: int | None, at: int, size: int) -> bytes:
        try:
            found = b"" if handle is None else os.pread(handle, size, at)
        except OSError:
            found = b""  # a sector that the card no longer gives
        return found.ljust(size, b"\0")

    def _page_size(self) -> int:
        """Return the size that file, log or, where both are damaged, the pages themselves tell."""
        header = self._read(self._file, 0, _HEADER)
        (told,) = struct.unpack_from(">H", header, 16)
        if header.startswith(b"SQLite format 3\0") and told in _SIZES:
            return told
        magic, _, told = struct.unpack_from(">III", self._read(self._log, 0, _LOG_HEADER))
        if magic in _LOG_MAGIC and told in _SIZES:
            return told
        fits = {size: self._fitting(size) for size in _SIZES}
        # A multiple of the true size meets pages too, a part of it mostly their middles.
        return next(size for size in _SIZES if fits[size] >= 0.7 * max(fits.values()))

    def _fitting(self, size: int) -> int:
        """Return how many of the first pages would be a tree's, if pages were of this size."""
        found = [self._read(self._file, place * size, 12) for place in range(1, _SAMPLE)]
        return sum(
            page[0] in _KINDS
            and 0 < int.from_bytes(page[3:5]) <= size // 4
            and int.from_bytes(page[5:7]) <= size
            for page in found
        )

    def _take_log(self) -> None:
        """Note where the log's committed pages are; it ends where its sums no longer agree."""
        header = self._read(self._log, 0, _LOG_HEADER)
        magic, _, size = struct.unpack_from(">III", header)
        order = _LOG_MAGIC.get(magic)
        sums = _summed(header[:24], (0, 0), order or ">")
        if order is None or size != self.size or sums != struct.unpack_from(">II", header, 24):
            return
        salts, at, waiting = header[16:24], _LOG_HEADER, dict[int, int]()
        while True:
            frame = self._read(self._log, at, _FRAME_HEADER + self.size)
            number, after, salt, *told = struct.unpack_from(">II8sII", frame)
            if salt != salts or not number:
                return
            sums = _summed(frame[:8], sums, order)
            sums = _summed(frame[_FRAME_HEADER:], sums, order)
            if sums != tuple(told):
                return
            waiting[number] = at + _FRAME_HEADER
            if after:
                self._frames |= waiting
                self.count = after
                waiting.clear()
            at += _FRAME_HEADER + self.size


def leaves(pages: Pages, root: int) -> Generator[int]:
    """Walk a table from its root to its leaves; a branch that is damaged is passed over."""
    seen: set[int] = set()
    waiting = [(root, 0)]
    while waiting:
        number, depth = waiting.pop()
        if number in seen or not 1 <= number <= pages.count or depth > _DEEPEST:
            continue
        seen.add(number)
        page, at = pages.page(number), _HEADER if number == 1 else 0
        if page[at] == LEAF:
            yield number
        elif page[at] == _INTERIOR:
            children = [
                int.from_bytes(page[place : place + 4]) for place in _cells(page, at, at + 12)
            ]
            children.append(int.from_bytes(page[at + 8 : at + 12]))
            waiting += [(child, depth + 1) for child in reversed(children)]


def rows(pages: Pages, number: int) -> Generator[tuple[int, Sequence[Value]] | None]:
    """Read the rows of one leaf: number and values each, or None for one that cannot be read."""
    page, at = pages.page(number), _HEADER if number == 1 else 0
    for place in _cells(page, at, at + 8):
        try:
            size, start = _varint(page, place)
            row, start = _varint(page, start)
            yield _signed(row), _record(_payload(pages, page, start, size))
        except (ValueError, IndexError, struct.error):
            yield None


def _cells(page: bytes, at: int, pointers: int) -> Iterable[int]:
    count = min(int.from_bytes(page[at + 3 : at + 5]), (len(page) - pointers) // 2)
    return struct.unpack_from(f">{count}H", page, pointers)


def _payload(pages: Pages, page: bytes, start: int, size: int) -> bytes:
    if size > _MOST_PAYLOAD:
        raise ValueError("too long for a row")
    usable = pages.size
    local = size
    if size > usable - 35:
        least = (usable - 12) * 32 // 255 - 23
        local = least + (size - least) % (usable - 4)
        local = local if local <= usable - 35 else least
    if start + local > len(page):
        raise ValueError("beyond the page")
    found = page[start : start + local]
    (following,) = struct.unpack_from(">I", page, start + local) if local < size else (0,)
    while len(found) < size:
        if not 1 < following <= pages.count:
            raise ValueError("rest is not there")
        rest = pages.page(following)
        (following,) = struct.unpack_from(">I", rest)
        found += rest[4 : 4 + size - len(found)]
    return found


def _record(payload: bytes) -> Sequence[Value]:
    end, at = _varint(payload, 0)
    kinds: list[int] = []
    while at < end:
        kind, at = _varint(payload, at)
        kinds.append(kind)
    if at != end:
        raise ValueError("header of the wrong length")
    values: list[Value] = []
    for kind in kinds:
        size = _size(kind)
        raw = payload[at : at + size]
        if len(raw) != size:
            raise ValueError("values beyond the row")
        values.append(_value(kind, raw))
        at += size
    if at != len(payload):
        raise ValueError("bytes after the last value")
    return values


def _size(kind: int) -> int:
    if kind >= _BLOB:
        return (kind - _BLOB) // 2
    sizes = (0, 1, 2, 3, 4, 6, 8, 8, 0, 0)
    if kind >= len(sizes):
        raise ValueError("no kind of value")
    return sizes[kind]


def _value(kind: int, raw: bytes) -> Value:
    match kind:
        case 0:
            return None
        case 7:  # _REAL
            return struct.unpack(">d", raw)[0]
        case 8 | 9:
            return kind - 8
        case _ if kind < _REAL:
            return int.from_bytes(raw, signed=True)
        case _:
            return raw.decode() if kind % 2 else raw


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for place in range(at, at + 8):
        value = value << 7 | data[place] & 0x7F
        if not data[place] & 0x80:
            return value, place + 1
    return value << 8 | data[at + 8], at + 9


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value


def _summed(data: bytes, before: tuple[int, int], order: str) -> tuple[int, int]:
    first, second = before
    words = struct.unpack(f"{order}{len(data) // 4}I", data)
    for odd, even in zip(words[::2], words[1::2], strict=True):
        first = (first + odd + second) & 0xFFFFFFFF
        second = (second + even + first) & 0xFFFFFFFF
    return first, second
