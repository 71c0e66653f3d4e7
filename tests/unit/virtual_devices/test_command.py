"""The command: its help, its errors, and how a part ends."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from virtual_devices.command import main

PROGRAM = str(Path(sys.executable).with_name("hemvital-virtual"))


def test_help_names_every_part(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_info:
        main(["--help"])

    assert exit_info.value.code == 0
    help_text = capsys.readouterr().out
    assert all(part in help_text for part in ("radio", "bluez", "cuff", "oximeter"))


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["cuff", "--air", "tcp:1"], "not of the form unix:PATH"),
        (["cuff", "--air", "unix:/a", "--timezone", "Mars/Olympus"], "no time zone"),
        (["cuff", "--air", "unix:/a", "--systolic", "high"], "is no number"),
        (["radio", "--air", "unix:/a", "--rssi", "loud"], "is not ADDRESS=DBM"),
        (["tricorder"], "invalid choice"),
    ],
)
def test_wrong_arguments_are_named(
    arguments: list[str], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_info:
        main(arguments)

    assert exit_info.value.code == 2
    assert named in capsys.readouterr().err


def test_a_part_that_cannot_start_says_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    memory = tmp_path / "memory"
    memory.write_text("nonsense", encoding="utf-8")

    status = main(["cuff", "--air", f"unix:{tmp_path / 'air'}", "--memory", str(memory)])

    assert status == 1
    assert "not a device's memory" in capsys.readouterr().err


def test_a_missing_bus_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bus = f"unix:path={tmp_path / 'bus'}"

    status = main(["bluez", "--air", f"unix:{tmp_path / 'air'}", "--bus", bus])

    assert status == 1
    assert f"no bus at {bus}" in capsys.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_part_cleanly(number: signal.Signals, tmp_path: Path) -> None:
    command = [PROGRAM, "radio", "--air", f"unix:{tmp_path / 'air'}"]

    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert "radio ready" in process.stdout.readline()
        process.send_signal(number)
        status = process.wait(5)

    assert status == 0
