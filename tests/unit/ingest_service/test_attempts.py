"""Rule ``failed_attempts``: A3 of the clinical safety review, three within 30 minutes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from ingest_service.alerts import attempts
from ingest_service.alerts.attempts import Attempt
from ingest_service.alerts.finding import Event
from ingest_service.plans.limits import Level

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def attempt(minutes_ago: int, *, is_failed: bool = True, code: str = "85354-9") -> Attempt:
    return Attempt(
        observation_id=uuid4(),
        code=code,
        effective_at=NOW - timedelta(minutes=minutes_ago),
        is_failed=is_failed,
    )


@pytest.mark.parametrize(
    ("others", "is_found"),
    [
        ([], False),
        ([attempt(10)], False),
        ([attempt(20), attempt(10)], True),
        ([attempt(30), attempt(10)], True),
        ([attempt(31), attempt(10)], False),
        ([attempt(20), attempt(15, is_failed=False), attempt(10)], False),
        ([attempt(25, is_failed=False), attempt(20), attempt(10)], True),
        ([attempt(20, code="59408-5"), attempt(10)], False),
    ],
)
def test_three_in_a_row_within_the_window(others: list[Attempt], *, is_found: bool) -> None:
    finding = attempts.judge(attempt(0), others, None, now=NOW)

    assert (finding is not None) is is_found
    if finding:
        assert finding.alert.priority is Level.YELLOW
        assert len(finding.alert.readings) == 3


def test_one_that_arrives_last_and_was_made_between_counts_too() -> None:
    finding = attempts.judge(attempt(10), [attempt(20), attempt(5)], None, now=NOW)

    assert finding is not None


def test_late_ones_are_history_once_a_valid_reading_came_after() -> None:
    old = [attempt(600), attempt(590)]
    later = attempt(60, is_failed=False)

    assert attempts.judge(attempt(580), [*old, later], None, now=NOW) is None
    assert attempts.judge(attempt(580), old, None, now=NOW) is not None


def test_three_more_raise_it_again() -> None:
    first = attempts.judge(attempt(20), [attempt(28), attempt(24)], None, now=NOW)
    assert first is not None
    alert, events = first.alert, [first.event]

    for minutes in (15, 10, 5):
        finding = attempts.judge(attempt(minutes), [], alert, now=NOW)
        assert finding is not None
        alert = finding.alert
        events.append(finding.event)

    assert events == [Event.RAISED, Event.JOINED, Event.JOINED, Event.RERAISED]
