"""Holding the three books against each other; the expected counts are worked by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from deploy.local.books import Comparison, Record, Stored, compare, remembered
from virtual_devices.memory import Memory

_AT = datetime(2026, 3, 1, 7, 31, 5, tzinfo=UTC)
_A: Record = ("F0:00:00:00:01:01", "aa")
_B: Record = ("F0:00:00:00:01:01", "bb")
_C: Record = ("F0:00:00:00:01:01", "cc")
_OWNER = {"F0:00:00:00:01:01": "patient-1"}


def _stored(record: Record, *, patient: str = "patient-1", late_s: float = 0) -> Stored:
    at = _AT + timedelta(seconds=late_s)
    return Stored(record=record, patient_id=patient, effective_at=at)


def _compare(
    journalled: set[Record], stored: list[Stored], *, remembered: frozenset[Record] = frozenset()
) -> Comparison:
    books = {_A: _AT, _B: _AT, _C: _AT}
    return compare(
        given=books,
        measured=books,
        remembered=remembered,
        journalled=frozenset(journalled),
        stored=stored,
        patient_of=lambda record: _OWNER.get(record[0]),
    )


def test_equal_books_are_sound() -> None:
    found = _compare({_A, _B, _C}, [_stored(_A), _stored(_B), _stored(_C)])

    assert found == Comparison(
        given=3, stored=3, doubled=0, misplaced=0, lost=0, held=0, in_window=0
    )
    assert found.is_sound


def test_what_the_gateway_never_had_on_disk_is_counted_apart() -> None:
    found = _compare({_A, _B}, [_stored(_A), _stored(_B)])

    assert found.in_window == 1
    assert found.is_sound


def test_a_journalled_record_that_did_not_arrive_is_lost() -> None:
    found = _compare({_A, _B, _C}, [_stored(_A), _stored(_B)])

    assert found.lost == 1
    assert not found.is_sound


def test_what_a_device_still_holds_was_never_fetched() -> None:
    all_three = [_stored(_A), _stored(_B), _stored(_C)]
    kept, waiting = _A, ("F0:00:00:00:01:01", "dd")  # an oximeter keeps what it gave

    found = _compare({_A, _B, _C}, all_three, remembered=frozenset([kept, waiting]))

    assert found.held == 1
    assert not found.is_sound


def test_a_memory_is_read_as_a_device_writes_it(tmp_path: Path) -> None:
    memory = Memory(10, file=tmp_path / "cuff.memory")
    memory.append(bytes.fromhex("aabb"))

    found = remembered([("X", tmp_path / "cuff.memory"), ("Y", tmp_path / "none.memory")])

    assert found == {("X", "aabb")}


def test_a_record_stored_twice_is_doubled() -> None:
    found = _compare({_A, _B, _C}, [_stored(_A), _stored(_A), _stored(_B), _stored(_C)])

    assert found.doubled == 1
    assert not found.is_sound


def test_another_patient_or_another_time_is_misplaced() -> None:
    wrong_patient, wrong_time = _stored(_A, patient="patient-2"), _stored(_B, late_s=60)

    found = _compare({_A, _B, _C}, [wrong_patient, wrong_time, _stored(_C, late_s=2)])

    assert found.misplaced == 2
    assert not found.is_sound


def test_a_record_that_no_device_measured_is_misplaced() -> None:
    found = _compare({_A, _B, _C}, [_stored(_A), _stored(_B), _stored(_C), _stored(("X", "dd"))])

    assert found.misplaced == 1
