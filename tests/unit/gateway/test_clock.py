"""The machine's own clock."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import pytest

from gateway.clock import ClockSource, SystemClock, in_words, is_kernel_synchronised


def test_moments_follow_each_other_within_the_kernels_boot() -> None:
    clock = SystemClock(ClockSource.TRUSTED)

    first, second = clock.read(), clock.read()

    assert str(clock.boot_id) == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert first.monotonic_ns < second.monotonic_ns
    # The count includes time asleep, as the kernel's own uptime does.
    uptime_s = float(Path("/proc/uptime").read_text().split()[0])
    assert second.monotonic_ns / 1e9 == pytest.approx(uptime_s, abs=1)


def test_a_file_of_the_time_service_vouches_for_the_clock(tmp_path: Path) -> None:
    mark = tmp_path / "synchronized"
    clock = SystemClock(ClockSource.FILE, file=mark)

    before = clock.read().is_synchronised, clock.doubt
    mark.touch()
    after = clock.read().is_synchronised, clock.doubt

    assert before == (False, "no time service has confirmed the clock")
    assert after == (True, None)


@pytest.mark.parametrize("age_s", [-3600, 3600, 86_400])
def test_a_file_that_does_not_fit_the_clock_at_the_start_vouches_for_nothing(
    tmp_path: Path, age_s: int
) -> None:
    mark = tmp_path / "synchronized"
    mark.touch()
    touched = mark.stat().st_mtime - age_s
    os.utime(mark, (touched, touched))

    assert not SystemClock(ClockSource.FILE, file=mark).read().is_synchronised


@pytest.mark.parametrize(
    ("span", "text"),
    [
        (timedelta(seconds=5), "5 s"),
        (timedelta(hours=1), "1 h 0 min"),
        (timedelta(days=1, minutes=2), "1 d 2 min"),
    ],
)
def test_spans_are_told_in_words(span: timedelta, text: str) -> None:
    assert in_words(span) == text


@pytest.mark.parametrize(
    ("source", "expected"),
    [(ClockSource.TRUSTED, True), (ClockSource.ADJTIMEX, is_kernel_synchronised())],
)
def test_who_is_asked_is_configured(source: ClockSource, expected: bool) -> None:
    assert SystemClock(source).read().is_synchronised is expected
