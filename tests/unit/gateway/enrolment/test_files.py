"""The identity on the disk: its owner's alone, and whole whenever the power goes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from gateway.enrolment import files
from gateway.enrolment.files import InUseError

NAMES: Final[tuple[str, ...]] = (
    files.CERTIFICATE,
    files.AUTHORITY,
    files.SETTINGS,
    files.ABOUT,
)
OLD: Final[dict[str, bytes]] = dict.fromkeys(NAMES, b"old")
NEW: Final[dict[str, bytes]] = dict.fromkeys(NAMES, b"new")

# Ends the process, as a power cut would, right before its nth change of the disk.
SWITCH = """
import os, sys
from pathlib import Path
from gateway.enrolment import files
left = int(sys.argv[2])
def audit(event, arguments):
    global left
    changes = event in {"os.rename", "os.symlink", "os.remove", "os.mkdir", "os.rmdir"}
    changes |= event == "open" and bool(arguments[2] & os.O_CREAT)
    if changes:
        left -= 1
        if left < 0:
            os._exit(9)
state = Path(sys.argv[1])
sys.addaudithook(audit)
directory = files.prepare(state, "new", b"new")
contents = {name: b"new" for name in sys.argv[3:]}
files.put_in_place(state, directory, contents)
"""


def whole(state: Path) -> set[bytes]:
    """Return what the identity that counts is made of: one element if it is whole."""
    directory = files.current(state)
    assert directory is not None
    return {(directory / name).read_bytes() for name in (files.KEY, *OLD)}


def enrolled(state: Path) -> None:
    directory = files.prepare(state, "old", b"old")
    files.put_in_place(state, directory, OLD)


def test_a_power_cut_at_any_step_leaves_the_old_or_the_new_whole(tmp_path: Path) -> None:
    seen: list[set[bytes]] = []
    for step in range(100):
        state = tmp_path / str(step)
        state.mkdir()
        enrolled(state)
        done = subprocess.run(
            [sys.executable, "-c", SWITCH, str(state), str(step), *NEW], check=False, timeout=30
        )
        seen.append(whole(state))
        # Whoever tries again gets there, from whatever was left.
        files.put_in_place(state, files.prepare(state, "new", b"new"), NEW)
        assert whole(state) == {b"new"}
        assert sorted(each.name for each in state.iterdir()) == ["identity", "identity-new"]
        if done.returncode == 0:
            break
        assert done.returncode == 9

    assert seen[0] == {b"old"}
    assert seen[-1] == {b"new"}
    assert len(seen) > 15
    assert all(each in ({b"old"}, {b"new"}) for each in seen)


def test_the_key_of_a_question_without_an_answer_is_asked_with_again(tmp_path: Path) -> None:
    first = files.prepare(tmp_path, "code", b"first")

    again = files.prepare(tmp_path, "code", b"second")

    assert again == first
    assert (again / files.KEY).read_bytes() == b"first"
    assert (files.prepare(tmp_path, "other", b"second") / files.KEY).read_bytes() == b"second"


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o777])
def test_everything_is_its_owners_alone_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    state = tmp_path / "state"
    before = os.umask(umask)
    try:
        with files.alone(state):
            enrolled(state)
    finally:
        os.umask(before)

    modes = {
        path.name: oct(path.stat().st_mode & 0o777)
        for path in state.rglob("*")
        if not path.is_symlink() and path.name != "enrolment.lock"
    }
    assert modes.pop("identity-old") == "0o700"
    assert oct(state.stat().st_mode & 0o777) == "0o700"
    assert set(modes.values()) == {"0o600"}
    assert set(modes) == {files.KEY, *OLD}


def test_two_at_once_do_not_mix(tmp_path: Path) -> None:
    with files.alone(tmp_path), pytest.raises(InUseError), files.alone(tmp_path):
        pass


def test_a_wiped_gateway_has_no_key_left(tmp_path: Path) -> None:
    enrolled(tmp_path)
    files.prepare(tmp_path, "asked", b"pending")

    files.wipe(tmp_path)

    assert files.current(tmp_path) is None
    assert list(tmp_path.iterdir()) == []
