"""A device's memory and its ledger: bounded, and whole after a kill."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from virtual_devices.ledger import Ledger
from virtual_devices.memory import Memory


def test_a_full_memory_drops_its_oldest_record_and_counts_it() -> None:
    memory = Memory(2)

    dropped = [memory.append(record) for record in (b"1", b"2", b"3")]

    assert dropped == [None, None, b"1"]
    assert memory.records == (b"2", b"3")
    assert memory.dropped == 1


def test_equal_records_are_removed_one_at_a_time() -> None:
    memory = Memory(3)
    for record in (b"1", b"1", b"2"):
        memory.append(record)

    memory.remove(b"1")

    assert memory.records == (b"1", b"2")


def test_a_record_that_was_dropped_meanwhile_needs_no_removal() -> None:
    memory = Memory(1)
    memory.append(b"1")
    memory.append(b"2")

    memory.remove(b"1")

    assert memory.records == (b"2",)


def test_what_is_in_the_file_is_there_after_the_process(tmp_path: Path) -> None:
    file = tmp_path / "memory"
    before = Memory(3, file=file)
    before.append(b"\x16\xff")
    before.clock_offset = timedelta(minutes=-7)

    after = Memory(3, file=file, clock_offset=timedelta(days=1))

    assert after.records == (b"\x16\xff",)
    assert after.clock_offset == timedelta(minutes=-7)


def test_a_file_that_is_no_memory_is_refused_by_name(tmp_path: Path) -> None:
    file = tmp_path / "memory"
    file.write_text("[]", encoding="utf-8")

    with pytest.raises(ValueError, match="memory: not a device's memory"):
        Memory(3, file=file)


def test_the_ledger_has_one_line_an_event_and_goes_on_after_a_restart(tmp_path: Path) -> None:
    file = tmp_path / "ledger"
    noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
    uuid = "00002a35-0000-1000-8000-00805f9b34fb"

    for event in ("measured", "given"):
        Ledger(file, device="F0:00:00:00:00:01", clock=lambda: noon).write(event, uuid, b"\x1e")

    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    assert [line["event"] for line in lines] == ["measured", "given"]
    assert lines[0] == {
        "event": "measured",
        "at": "2026-03-01T12:00:00+00:00",
        "device": "F0:00:00:00:00:01",
        "characteristic": uuid,
        "raw": "1e",
    }
