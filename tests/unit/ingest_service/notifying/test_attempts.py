"""When a telling is tried again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest_service.notifying import attempts

NOW = datetime(2026, 11, 25, 2, 0, tzinfo=UTC)


def waits(chance: float) -> list[float]:
    found = list[float]()
    for count in range(1, 100):
        at = attempts.next_try(count, now=NOW, chance=chance)
        if at is None:
            break
        found.append((at - NOW).total_seconds())
    return found


def test_waits_double_to_a_ceiling_and_end_within_reds_half_hour() -> None:
    # docs/reference/notifications.md states these.
    assert waits(0.5) == pytest.approx([5, 10, 20, 40, 80, 160, 300, 300, 300, 300, 300])
    assert 25 * 60 < sum(waits(0.5)) < 35 * 60
    assert sum(waits(0.5)[: attempts.NEXT_RANK_AFTER - 1]) < 60


def test_many_do_not_come_back_at_once() -> None:
    assert waits(0.0)[0] == pytest.approx(4)
    assert waits(1.0)[0] == pytest.approx(6)


@given(st.integers(1, 11), st.floats(0, 1), st.none() | st.floats(0, 1e12))
def test_a_wish_is_respected_up_to_an_hour(count: int, chance: float, wish: float | None) -> None:
    at = attempts.next_try(count, now=NOW, chance=chance, retry_after_s=wish)

    assert at is not None
    assert min(wish or 0, 3600) <= (at - NOW).total_seconds() <= 3600
    assert at > NOW + timedelta(seconds=3)
