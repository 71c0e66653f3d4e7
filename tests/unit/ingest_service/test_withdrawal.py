"""Evidence that is taken back (A8): a red alert is withdrawn only by a person."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

import pytest

from ingest_service.alerts.finding import Alert, Event, Evidence, State
from ingest_service.plans.limits import Level
from ingest_service.alerts.withdrawal import without

FIRST, SECOND, OTHER = UUID(int=1), UUID(int=2), UUID(int=3)


def alert(priority: Level, *ids: UUID) -> Alert:
    readings = tuple(
        Evidence(
            observation_id=each,
            code="2708-6",
            effective_at=datetime(2026, 3, 1, 7, tzinfo=UTC),
            value=Decimal(86),
            level=priority,
            is_raise=each == FIRST,
        )
        for each in ids
    )
    return Alert(rule="limit.spo2", priority=priority, state=State.TAKEN, readings=readings)


def test_an_alert_that_does_not_rest_on_it_is_left_alone() -> None:
    assert without(alert(Level.RED, FIRST), {OTHER}) is None


@pytest.mark.parametrize("priority", [Level.RED, Level.YELLOW])
def test_with_something_left_it_stays_as_it_was_and_shows_what_went(priority: Level) -> None:
    found = without(alert(priority, FIRST, SECOND), {FIRST})

    assert found is not None
    event, left = found
    assert (event, left.state, left.priority) == (
        Event.EVIDENCE_WITHDRAWN,
        State.TAKEN,
        priority,
    )
    assert [each.is_withdrawn for each in left.readings] == [True, False]
    assert [each.observation_id for each in left.standing] == [SECOND]


@pytest.mark.parametrize(
    ("priority", "event", "state"),
    [
        (Level.RED, Event.EVIDENCE_WITHDRAWN, State.TAKEN),
        (Level.YELLOW, Event.WITHDRAWN, State.RESOLVED),
    ],
)
def test_with_nothing_left_only_a_yellow_one_ends_by_itself(
    priority: Level, event: Event, state: State
) -> None:
    found = without(alert(priority, FIRST, SECOND), {FIRST, SECOND})

    assert found is not None
    assert (found[0], found[1].state) == (event, state)


def test_taken_back_twice_is_taken_back_once() -> None:
    found = without(alert(Level.RED, FIRST), {FIRST})

    assert found is not None
    assert without(found[1], {FIRST}) is None


def test_worse_is_measured_against_what_still_stands() -> None:
    found = without(alert(Level.RED, FIRST, SECOND), {FIRST})

    assert found is not None
    assert [each.observation_id for each in found[1].reference()] == [SECOND]
