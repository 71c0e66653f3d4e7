"""Our own parts: what opens an incident, what it covers, and what it must not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ingest_service.outage import chain, rules
from ingest_service.outage.chain import Chain
from ingest_service.outage.cover import covers, overlaps
from ingest_service.outage.incident import Cause, Event, Incident
from ingest_service.outage.rules import DEFAULT, RulesError

NOW = datetime(2026, 11, 25, 9, 41, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
FRESH, OLD = NOW - MINUTE, NOW - 4 * MINUTE


def opened(**known: datetime | None) -> Incident | None:
    change = chain.judge(Chain(**known), None, now=NOW, rules=DEFAULT)
    return change.after if change else None


@pytest.mark.parametrize(
    ("known", "cause", "is_covering"),
    [
        ({}, None, False),
        ({"stored_to": FRESH, "judged_to": FRESH, "canary_heard_at": FRESH}, None, False),
        ({"stored_to": NOW - 3 * MINUTE, "judged_to": NOW - 3 * MINUTE}, None, False),
        ({"deaf_since": OLD, "stored_to": OLD}, Cause.SERVER_DEAF, True),
        ({"stored_to": OLD, "canary_heard_at": FRESH}, Cause.NOT_STORED, True),
        # A dead canary must not mute what watches over everybody.
        ({"stored_to": OLD, "canary_heard_at": OLD}, Cause.CANARY_LOST, False),
        ({"stored_to": OLD}, Cause.CANARY_LOST, False),
        # Readings that are stored are no missed ones, whoever judges them.
        (
            {"stored_to": FRESH, "judged_to": OLD, "canary_heard_at": FRESH},
            Cause.NOT_JUDGED,
            False,
        ),
    ],
)
def test_what_is_broken_and_whom_it_covers(
    known: dict[str, datetime], cause: Cause | None, is_covering: bool
) -> None:
    incident = opened(**known)

    assert (incident.cause if incident else None) is cause
    found = [incident] if incident else []
    assert covers(found, gateway_id="any", at=NOW) is is_covering
    assert covers(found, gateway_id=None, at=NOW) is is_covering
    assert not covers(found, gateway_id="any", at=OLD - MINUTE)


def test_it_ends_after_five_calm_minutes_and_covers_a_quarter_of_an_hour_more() -> None:
    incident = opened(deaf_since=OLD)
    assert incident is not None
    calm = Chain(stored_to=NOW + 30 * MINUTE)
    for minute in range(6):
        change = chain.judge(calm, incident, now=NOW + minute * MINUTE, rules=DEFAULT)
        if change:
            incident = change.after

    assert incident.ended_at == NOW + 5 * MINUTE
    assert covers([incident], gateway_id="any", at=NOW + 15 * MINUTE)
    assert not covers([incident], gateway_id="any", at=NOW + 16 * MINUTE)
    assert overlaps([incident], gateway_id="any", since=OLD - 60 * MINUTE, until=OLD)
    assert not overlaps([incident], gateway_id="any", since=OLD - 60 * MINUTE, until=OLD - MINUTE)


def test_it_goes_on_where_calm_is_broken_and_tells_another_cause() -> None:
    incident = opened(deaf_since=OLD)
    assert incident is not None
    calm = chain.judge(Chain(), incident, now=NOW, rules=DEFAULT)
    assert calm is not None
    again = chain.judge(
        Chain(stored_to=OLD, canary_heard_at=NOW + 3 * MINUTE),
        calm.after,
        now=NOW + 4 * MINUTE,
        rules=DEFAULT,
    )

    assert again is not None
    assert (again.event, again.after.cause) == (Event.CHANGED, Cause.NOT_STORED)
    assert (again.after.calm_since, again.after.began_at) == (None, OLD)


def test_a_region_brings_its_own_numbers(tmp_path: Path) -> None:
    file = tmp_path / "rules.json"
    file.write_text('{"unit_count": 3, "canary_late_min": 10}')

    own = rules.read(file)

    assert (own.unit_count, own.all_count) == (3, DEFAULT.all_count)
    assert chain.judge(Chain(stored_to=OLD), None, now=NOW, rules=own) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"unit_cuont": 3}', "unknown field `unit_cuont`"),
        ('{"unit_share": 20}', r"`float` <= 1.0 - at `\$.unit_share`"),
        ('{"unit_count": 1}', r"`int` >= 2 - at `\$.unit_count`"),
        ("x", "JSON is malformed"),
    ],
)
def test_wrong_numbers_are_refused_by_name(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "rules.json"
    file.write_text(text)

    with pytest.raises(RulesError, match=said):
        rules.read(file)
