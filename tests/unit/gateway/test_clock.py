"""The machine's own clock."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.clock import ClockSource, SystemClock, is_kernel_synchronised


def test_moments_follow_each_other_within_the_kernels_boot() -> None:
    clock = SystemClock(ClockSource.TRUSTED)

    first, second = clock.read(), clock.read()

    assert str(clock.boot_id) == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert first.monotonic_ns < second.monotonic_ns
    # The count includes time asleep, as the kernel's own uptime does.
    uptime_s = float(Path("/proc/uptime").read_text().split()[0])
    assert second.monotonic_ns / 1e9 == pytest.approx(uptime_s, abs=1)


@pytest.mark.parametrize(
    ("source", "expected"),
    [(ClockSource.TRUSTED, True), (ClockSource.ADJTIMEX, is_kernel_synchronised())],
)
def test_who_is_asked_is_configured(source: ClockSource, expected: bool) -> None:
    assert SystemClock(source).read().is_synchronised is expected
