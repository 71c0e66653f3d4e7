"""Asking for a pairing window at the box: who may, and what is thrown away."""

from __future__ import annotations

import fcntl
import threading
from collections.abc import Generator
from pathlib import Path

import pytest

from gateway import pairing
from gateway.pairing import FILE_NAME, PairingError, PairingRequests


@pytest.fixture
def running(tmp_path: Path) -> Generator[Path]:
    """A state directory whose lock a gateway holds."""
    with (tmp_path / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield tmp_path


def test_a_running_gateway_takes_the_request_once(running: Path) -> None:
    requests = PairingRequests(running)
    asking = threading.Thread(target=pairing.ask, args=(running, 10))
    asking.start()

    taken = None
    while taken is None:
        taken = requests.take_s()
    asking.join(5)

    assert (taken, requests.take_s(), asking.is_alive()) == (600, None, False)


def test_without_a_running_gateway_nothing_is_left_for_the_next(tmp_path: Path) -> None:
    with pytest.raises(PairingError, match="No gateway runs"):
        pairing.ask(tmp_path, 10)

    assert list(tmp_path.iterdir()) == []


def test_a_gateway_that_does_not_look_is_told_of_and_leaves_nothing(
    running: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pairing, "_ANSWER_WITHIN_S", 0.05)

    with pytest.raises(PairingError, match="no window is open"):
        pairing.ask(running, 10)

    assert not (running / FILE_NAME).exists()


@pytest.mark.parametrize("minutes", [0, -1, 31, 10**9])
def test_a_window_is_a_minute_to_half_an_hour(running: Path, minutes: int) -> None:
    with pytest.raises(PairingError, match="1 to 30"):
        pairing.ask(running, minutes)


def test_what_was_asked_before_the_start_is_thrown_away(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_text("10")

    assert PairingRequests(tmp_path).take_s() is None


@pytest.mark.parametrize("text", ["", "ten", "-1", "1e9", "10\n10", "1" * 5000, "\x00"])
def test_what_is_no_number_opens_nothing_and_is_thrown_away(tmp_path: Path, text: str) -> None:
    requests = PairingRequests(tmp_path)
    (tmp_path / FILE_NAME).write_text(text)

    assert requests.take_s() is None
    assert not (tmp_path / FILE_NAME).exists()


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    requests = PairingRequests(tmp_path)
    (tmp_path / "elsewhere").write_text("10")
    (tmp_path / FILE_NAME).symlink_to(tmp_path / "elsewhere")

    assert requests.take_s() is None


def test_a_number_too_large_is_half_an_hour(tmp_path: Path) -> None:
    requests = PairingRequests(tmp_path)
    (tmp_path / FILE_NAME).write_text("9999999")

    assert requests.take_s() == 1800
