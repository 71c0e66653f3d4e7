"""What a disk may hold after a power cut: every write that SQLite gives the kernel, recorded.

`recording` puts a shim around SQLite's own VFS, in the very library that Python's ``sqlite3`` is
linked to, so that the program's code runs unchanged above it. A write is on the disk once its
file has been synced; until then any part of it may be, in sectors of 512 bytes, the last one torn.
A new file's name, and a deleted one's absence, last once their directory has been synced: SQLite
does that with the first sync of a new journal or log. The shared memory beside a log is never on
the disk.

Source:
    https://www.sqlite.org/c3ref/vfs.html and io_methods.html (layouts of the structs);
    https://www.sqlite.org/atomiccommit.html, section 2 (what may be assumed of a disk).
"""

from __future__ import annotations

import ctypes
import os
import random
import sqlite3
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

_SECTOR: Final = 512
_WAL_OR_JOURNAL: Final = (
    0x00000800 | 0x00004000 | 0x00080000
)  # SQLITE_OPEN_MAIN_JOURNAL, SUPER, WAL
_NAME: Final = b"recording"


# What the program under test was told: its name, a number, bytes.
Mark = tuple[str, int, bytes]


class _File(ctypes.Structure):
    """``sqlite3_file``: what follows its methods is the VFS's own."""

    _fields_ = (("methods", ctypes.c_void_p),)


_P = ctypes.c_void_p
_Write = ctypes.CFUNCTYPE(ctypes.c_int, _P, _P, ctypes.c_int, ctypes.c_int64)
_Truncate = ctypes.CFUNCTYPE(ctypes.c_int, _P, ctypes.c_int64)
_Sync = ctypes.CFUNCTYPE(ctypes.c_int, _P, ctypes.c_int)
_Close = ctypes.CFUNCTYPE(ctypes.c_int, _P)
_Open = ctypes.CFUNCTYPE(ctypes.c_int, _P, _P, _P, ctypes.c_int, ctypes.POINTER(ctypes.c_int))
_Delete = ctypes.CFUNCTYPE(ctypes.c_int, _P, _P, ctypes.c_int)


class _Methods(ctypes.Structure):
    """``sqlite3_io_methods``, version 3; what is not recorded stays SQLite's own."""

    _fields_ = (
        ("version", ctypes.c_int),
        ("close", _Close),
        ("read", _P),
        ("write", _Write),
        ("truncate", _Truncate),
        ("sync", _Sync),
        ("others", _P * 13),
    )


class _Vfs(ctypes.Structure):
    """``sqlite3_vfs``, version 3."""

    _fields_ = (
        ("version", ctypes.c_int),
        ("file_bytes", ctypes.c_int),
        ("longest_path", ctypes.c_int),
        ("next", _P),
        ("name", ctypes.c_char_p),
        ("data", _P),
        ("open", _Open),
        ("delete", _Delete),
        ("others", _P * 14),
    )


@dataclass(slots=True)
class _Node:
    """One file's contents, whatever its name is."""

    durable: bytearray = field(default_factory=bytearray)
    # (offset, bytes) is a write, (size, None) a truncation; not synced yet.
    pending: list[tuple[int, bytes | None]] = field(default_factory=list[tuple[int, bytes | None]])
    is_named_by_sync: bool = False


class Disk:
    """A recorded disk: everything that happened, in order, to be cut off anywhere."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str, int, bytes | None]] = []
        self._lock = threading.Lock()

    def note(self, kind: str, name: str, number: int = 0, data: bytes | None = None) -> None:
        """Record one event; the program under test may note its own marks among them."""
        with self._lock:
            self.events.append((kind, name, number, data))

    def mark(self, name: str, number: int = 0, data: bytes | None = None) -> None:
        """Note among the writes that the program has been told something."""
        self.note("mark", name, number, data)

    @property
    def written_bytes(self) -> int:
        """Return how many bytes were given to the kernel."""
        return sum(len(data) for kind, _, _, data in self.events if kind == "write" and data)

    def cut(self, instant: int, chance: random.Random, directory: Path) -> Sequence[Mark]:
        """Write what the disk may hold after power was lost before event ``instant``.

        Args:
            instant: Index of the first event that did not happen.
            chance: Chooses what of the unsynced writes reached the disk.
            directory: Where the files go, empty before.

        Returns:
            The marks before that instant.
        """
        names: dict[str, list[_Node | None]] = {}
        marks: list[Mark] = []
        for kind, name, number, data in self.events[:instant]:
            if kind == "mark":
                marks.append((name, number, data or b""))
            else:
                _happen(names, kind, name, number, data)
        for name, entry in names.items():
            if (node := chance.choice(entry)) is not None:
                (directory / name).write_bytes(_after_power_loss(node, chance))
        return marks


def _happen(
    names: dict[str, list[_Node | None]], kind: str, name: str, number: int, data: bytes | None
) -> None:
    entry = names.setdefault(name, [None])
    node = entry[-1]
    match kind:
        case "open":
            if node is None:
                entry.append(_Node(is_named_by_sync=bool(number & _WAL_OR_JOURNAL)))
        case "delete":
            entry.append(None)
            if number:
                _settle(names)
        case _ if node is None:
            raise AssertionError(f"{kind} of {name}, which is not there")
        case "sync":
            _apply_all(node)
            if node.is_named_by_sync:
                node.is_named_by_sync = False
                _settle(names)
        case "truncate":
            node.pending.append((number, None))
        case _:
            node.pending.append((number, data))


def _settle(names: dict[str, list[_Node | None]]) -> None:
    for entry in names.values():
        del entry[:-1]


def _apply(contents: bytearray, offset: int, data: bytes | None) -> None:
    if data is None:
        del contents[offset:]
        return
    if len(contents) < offset:
        contents.extend(bytes(offset - len(contents)))
    contents[offset : offset + len(data)] = data


def _apply_all(node: _Node) -> None:
    for offset, data in node.pending:
        _apply(node.durable, offset, data)
    node.pending.clear()


def _after_power_loss(node: _Node, chance: random.Random) -> bytes:
    """Return what a file may hold: its synced contents and any part of what came after."""
    contents = bytearray(node.durable)
    share = chance.choice([0.0, 0.1, 0.5, 0.9, 1.0])
    for offset, data in node.pending:
        if data is None:
            if chance.random() < share:
                _apply(contents, offset, None)
            continue
        start = 0
        while start < len(data):
            end = start + _SECTOR - (offset + start) % _SECTOR  # to the sector's own end
            if chance.random() < share:
                sector = data[start:end]
                if chance.random() < 0.05:  # torn
                    sector = sector[: chance.randrange(len(sector))]
                _apply(contents, offset + start, sector)
            start = end
    return bytes(contents)


def _library() -> ctypes.CDLL:
    """Return the library that Python's own ``sqlite3`` uses."""
    with open("/proc/self/maps", encoding="utf-8") as maps:  # noqa: PTH123 - no file, a view
        paths = {line.split()[-1] for line in maps if "libsqlite3" in line}
    assert len(paths) == 1, f"not one libsqlite3 in this process: {paths}"
    library = ctypes.CDLL(paths.pop())
    library.sqlite3_libversion.restype = ctypes.c_char_p
    assert library.sqlite3_libversion().decode() == sqlite3.sqlite_version
    library.sqlite3_vfs_find.restype = ctypes.POINTER(_Vfs)
    return library


class _Shim:
    """Stands before SQLite's own VFS; everything it does not record goes straight through."""

    def __init__(self, disk: Disk, directory: Path) -> None:
        self._disk = disk
        self._directory = os.fsencode(directory.resolve())
        self._library = _library()
        self._own = self._library.sqlite3_vfs_find(None)
        self._names: dict[int, str] = {}
        self._methods: dict[int, tuple[_Methods, _Methods]] = {}
        self.vfs = _Vfs.from_buffer_copy(self._own.contents)
        self.vfs.name = _NAME
        self.vfs.open = _Open(self._open)
        self.vfs.delete = _Delete(self._delete)

    def register(self) -> None:
        """Become the default for databases that are opened from now on."""
        assert self._library.sqlite3_vfs_register(ctypes.byref(self.vfs), 1) == 0

    def withdraw(self) -> None:
        """Give way to SQLite's own; every database opened meanwhile must be closed."""
        assert not self._names, f"still open: {sorted(self._names.values())}"
        assert self._library.sqlite3_vfs_unregister(ctypes.byref(self.vfs)) == 0
        assert self._library.sqlite3_vfs_register(self._own, 1) == 0

    def _open(self, _vfs: int, name: int | None, file: int, flags: int, out: Any) -> int:
        code = int(self._own.contents.open(self._own, name, file, flags, out))
        path = ctypes.string_at(name) if name else b""
        if code == 0 and os.path.dirname(path) == self._directory:  # noqa: PTH120 - bytes
            self._names[file] = os.fsdecode(os.path.basename(path))  # noqa: PTH119
            self._disk.note("open", self._names[file], flags)
            opened = _File.from_address(file)
            opened.methods = ctypes.addressof(self._recording(opened.methods))
        return code

    def _delete(self, _vfs: int, name: int, is_synced: int) -> int:
        code = int(self._own.contents.delete(self._own, name, is_synced))
        path = ctypes.string_at(name)
        if code == 0 and os.path.dirname(path) == self._directory:  # noqa: PTH120
            self._disk.note("delete", os.fsdecode(os.path.basename(path)), is_synced)  # noqa: PTH119
        return code

    def _recording(self, address: int) -> _Methods:
        if address not in self._methods:
            own = _Methods.from_address(address)
            methods = _Methods.from_buffer_copy(own)
            methods.version = min(own.version, 2)  # no mapping into memory: it is not seen
            methods.write = _Write(self._writer(own))
            methods.truncate = _Truncate(self._truncater(own))
            methods.sync = _Sync(self._syncer(own))
            methods.close = _Close(self._closer(own))
            self._methods[address] = own, methods
        return self._methods[address][1]

    def _writer(self, own: _Methods) -> Callable[[int, int, int, int], int]:
        def write(file: int, data: int, size: int, offset: int) -> int:
            code = int(own.write(file, data, size, offset))
            self._disk.note("write", self._names[file], offset, ctypes.string_at(data, size))
            return code

        return write

    def _truncater(self, own: _Methods) -> Callable[[int, int], int]:
        def truncate(file: int, size: int) -> int:
            code = int(own.truncate(file, size))
            self._disk.note("truncate", self._names[file], size)
            return code

        return truncate

    def _syncer(self, own: _Methods) -> Callable[[int, int], int]:
        def sync(file: int, flags: int) -> int:
            code = int(own.sync(file, flags))
            self._disk.note("sync", self._names[file])
            return code

        return sync

    def _closer(self, own: _Methods) -> Callable[[int], int]:
        def close(file: int) -> int:
            del self._names[file]
            return int(own.close(file))

        return close


@contextmanager
def recording(directory: Path) -> Generator[Disk]:
    """Record what SQLite writes in a directory; close every database in it before the end."""
    disk = Disk()
    shim = _Shim(disk, directory)
    shim.register()
    try:
        yield disk
    finally:
        shim.withdraw()
