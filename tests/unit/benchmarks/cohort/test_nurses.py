from __future__ import annotations

from datetime import UTC, datetime

from benchmarks.cohort.draws import Draws
from benchmarks.cohort.nurses import handling
from ingest_service.plans.hours import is_open, opening_minutes
from tests.support.cohorts import shipped

# A Friday at 20:00 in Stockholm; the unit is closed until Monday at 8, which is 07:00 UTC.
_FRIDAY_EVENING = datetime(2026, 10, 30, 19, tzinfo=UTC)
_MONDAY = datetime(2026, 11, 2, 7, tzinfo=UTC)


def test_nobody_takes_an_alert_while_the_unit_is_closed() -> None:
    nurses = shipped().nurses

    for number in range(50):
        done = handling(
            nurses, Draws(1, str(number)), rule="x", level="red", raised_at=_FRIDAY_EVENING
        )

        assert done is not None
        assert done.taken_at > _MONDAY
        assert done.resolved_at > done.taken_at
        assert is_open(nurses.hours, done.taken_at) or done.taken_at.minute == 0


def test_a_red_is_taken_sooner_than_a_yellow() -> None:
    nurses = shipped().nurses

    def median_min(level: str) -> int:
        taken = sorted(
            opening_minutes(nurses.hours, _MONDAY, done.taken_at)
            for number in range(200)
            if (
                done := handling(
                    nurses, Draws(1, str(number)), rule="x", level=level, raised_at=_MONDAY
                )
            )
        )
        return taken[len(taken) // 2]

    # 12 and 75 minutes are the parameters' medians.
    assert 9 <= median_min("red") <= 15
    assert 60 <= median_min("yellow") <= 90
