"""Run a program under a unit's system call filter, where no systemd can run the unit.

What the filter holds is read off the unit's own file and asked of the machine's
``systemd-analyze``: ``confinement.py UNIT PROGRAM ARGUMENT …``.
"""

from __future__ import annotations

import ctypes
import errno
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

_ALLOW: Final = 0x7FFF0000  # SECCOMP_RET_ALLOW of linux/seccomp.h
_ERRNO: Final = 0x00050000  # SECCOMP_RET_ERRNO
_EQUAL, _MASKED_EQUAL = 4, 7  # enum scmp_compare of seccomp.h
_WRITE, _EXECUTE = 2, 4  # PROT_WRITE and PROT_EXEC of mman.h
_FAMILIES: Final = {"AF_UNIX": 1, "AF_INET": 2, "AF_INET6": 10}


class _Comparison(ctypes.Structure):
    _fields_ = [
        ("argument", ctypes.c_uint),
        ("operator", ctypes.c_int),
        ("first", ctypes.c_uint64),
        ("second", ctypes.c_uint64),
    ]


def load_filter(unit: Path) -> None:
    """Put this process under the unit's filter, for good.

    Of RestrictNamespaces only clone3 is in it, refused as systemd refuses it: programs then use
    clone, whose flags systemd can see.
    """
    settings = _settings(unit)
    allowed = _allowed(settings["SystemCallFilter"])
    library: Any = ctypes.CDLL("libseccomp.so.2")
    library.seccomp_init.restype = ctypes.c_void_p
    context = ctypes.c_void_p(library.seccomp_init(_ERRNO | errno.EPERM))
    for name in sorted(allowed - {"socket", "mmap", "mprotect", "clone3"}):
        _allow(library, context, name)
    for family in " ".join(settings["RestrictAddressFamilies"]).split():
        _allow(library, context, "socket", _Comparison(0, _EQUAL, _FAMILIES[family], 0))
    if settings.get("MemoryDenyWriteExecute") == ["yes"]:
        both = _WRITE | _EXECUTE
        _allow(library, context, "mmap", _Comparison(2, _MASKED_EQUAL, _EXECUTE, 0))
        _allow(library, context, "mmap", _Comparison(2, _MASKED_EQUAL, both, _EXECUTE))
        _allow(library, context, "mprotect", _Comparison(2, _MASKED_EQUAL, _EXECUTE, 0))
    clone3 = library.seccomp_syscall_resolve_name(b"clone3")
    library.seccomp_rule_add(context, _ERRNO | errno.ENOSYS, clone3, 0)
    # libseccomp sets no_new_privs with it, as NoNewPrivileges= does.
    assert library.seccomp_load(context) == 0, "the filter was not taken"


def _allow(library: Any, context: ctypes.c_void_p, name: str, *when: _Comparison) -> None:
    number = library.seccomp_syscall_resolve_name(name.encode())
    if number >= 0:  # else it is no call of this architecture
        comparisons = (_Comparison * len(when))(*when)
        code = library.seccomp_rule_add_array(context, _ALLOW, number, len(when), comparisons)
        assert code == 0, f"{name}: {code}"


def _settings(unit: Path) -> Mapping[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in unit.read_text(encoding="utf-8").splitlines():
        name, is_setting, value = line.partition("=")
        if is_setting and not line.startswith("#"):
            found.setdefault(name, []).append(value)
    return found


def _allowed(lines: list[str]) -> set[str]:
    groups = _groups()
    allowed = _expanded("@default", groups)  # systemd.exec(5): always in an allow list
    for line in lines:
        names = line.removeprefix("~").split()
        calls = set[str]().union(*(_expanded(name, groups) for name in names))
        allowed = allowed - calls if line.startswith("~") else allowed | calls
    return allowed


def _groups() -> Mapping[str, list[str]]:
    asked = ["systemd-analyze", "syscall-filter"]
    listed = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
    groups: dict[str, list[str]] = {}
    members: list[str] = []
    for line in listed.splitlines():
        if line.startswith("@"):
            members = groups.setdefault(line.strip(), [])
        elif line.startswith("    ") and not line.strip().startswith("#"):
            members.append(line.strip())
    return groups


def _expanded(name: str, groups: Mapping[str, list[str]]) -> set[str]:
    if not name.startswith("@"):
        return {name}
    return set[str]().union(*(_expanded(member, groups) for member in groups[name]))


if __name__ == "__main__":
    load_filter(Path(sys.argv[1]))
    os.execv(sys.argv[2], sys.argv[2:])  # noqa: S606 - a test's own words
