"""Rule ``limit``: levels, worsening and late readings, as tables.

Sources: the scenarios of the clinical safety review (A1, A2, A5, A7, A13) and, for the limits,
the figures named beside them.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest_service.alerts import threshold
from ingest_service.alerts.finding import Alert, Event, Evidence, Finding, State
from ingest_service.plans.limits import Family, Level, Limits, Measure
from ingest_service.alerts.threshold import Measured

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
# Red above 180/110 is the ESC's urgent evaluation; yellow above 160/100 an example.
PRESSURE = {
    Measure.SYSTOLIC: Limits(
        red_low=Decimal(90),
        yellow_low=Decimal(100),
        yellow_high=Decimal(160),
        red_high=Decimal(180),
    ),
    Measure.DIASTOLIC: Limits(yellow_high=Decimal(100), red_high=Decimal(110)),
}
# A13: a patient who retains carbon dioxide on oxygen, target 88-92.
SPO2 = {
    Measure.SPO2: Limits(
        red_low=Decimal(85),
        yellow_low=Decimal(88),
        yellow_high=Decimal(92),
        red_high=Decimal(96),
    )
}


def pressure(
    systolic: str, diastolic: str, *, ago: timedelta = timedelta(0), identity: UUID | None = None
) -> Measured:
    return Measured(
        observation_id=identity or uuid4(),
        code="85354-9",
        family=Family.BLOOD_PRESSURE,
        values={Measure.SYSTOLIC: Decimal(systolic), Measure.DIASTOLIC: Decimal(diastolic)},
        unit="mm[Hg]",
        effective_at=NOW - ago,
    )


def saturation(value: str, *, ago: timedelta = timedelta(0)) -> Measured:
    return Measured(
        observation_id=uuid4(),
        code="59408-5",
        family=Family.SPO2,
        values={Measure.SPO2: Decimal(value)},
        unit="%",
        effective_at=NOW - ago,
    )


def raised(reading: Measured, limits: dict[Measure, Limits], *, taken: bool = True) -> Alert:
    finding = threshold.judge(reading, limits, None, [], now=NOW)
    assert finding is not None
    state = State.TAKEN if taken else State.NEW
    alert = finding.alert
    return Alert(rule=alert.rule, priority=alert.priority, state=state, readings=alert.readings)


@pytest.mark.parametrize(
    ("systolic", "diastolic", "level"),
    [
        ("128", "82", None),
        ("160", "100", None),  # at a limit is within it
        ("160.1", "82", Level.YELLOW),
        ("128", "101", Level.YELLOW),
        ("180", "110", Level.YELLOW),
        ("181", "82", Level.RED),
        ("128", "111", Level.RED),
        ("192", "118", Level.RED),  # the example
        ("99", "60", Level.YELLOW),
        ("90", "60", Level.YELLOW),
        ("89", "60", Level.RED),
    ],
)
def test_a_pressure_is_as_urgent_as_its_worse_value(
    systolic: str, diastolic: str, level: Level | None
) -> None:
    finding = threshold.judge(pressure(systolic, diastolic), PRESSURE, None, [], now=NOW)

    assert (finding.reading.level if finding else None) is level


@pytest.mark.parametrize(
    ("value", "level"),
    [
        ("84", Level.RED),
        ("87", Level.YELLOW),
        ("88", None),
        ("92", None),
        ("93", Level.YELLOW),
        ("97", Level.RED),
    ],
)
def test_saturation_has_two_sides(value: str, level: Level | None) -> None:
    finding = threshold.judge(saturation(value), SPO2, None, [], now=NOW)

    assert (finding.reading.level if finding else None) is level


def test_a_measure_without_limits_is_not_judged() -> None:
    assert threshold.judge(pressure("250", "150"), SPO2, None, [], now=NOW) is None


@pytest.mark.parametrize(
    ("first", "then", "event"),
    [
        ("84", "84", Event.JOINED),
        ("84", "83", Event.JOINED),  # the step for SpO2 is 2
        ("84", "82", Event.RERAISED),
        ("84", "78", Event.RERAISED),  # A7's own example
        ("84", "86", Event.JOINED),  # less bad, still beyond
        ("87", "84", Event.RERAISED),  # yellow to red
        ("84", "97", Event.RERAISED),  # beyond the other side
    ],
)
def test_a7_a_taken_saturation_alert_is_raised_again_only_by_worse(
    first: str, then: str, event: Event
) -> None:
    alert = raised(saturation(first, ago=timedelta(minutes=5)), SPO2)

    finding = threshold.judge(saturation(then), SPO2, alert, [], now=NOW)

    assert finding is not None
    assert finding.event is event
    assert finding.alert.state is (State.NEW if event is Event.RERAISED else State.TAKEN)


@pytest.mark.parametrize(
    ("then", "event"),
    [
        (("199", "112"), Event.JOINED),  # steps: systolic 10, diastolic 5
        (("200", "112"), Event.RERAISED),
        (("185", "117"), Event.RERAISED),
        (("185", "116"), Event.JOINED),
    ],
)
def test_a7_a_taken_pressure_alert_is_raised_again_by_either_value(
    then: tuple[str, str], event: Event
) -> None:
    alert = raised(pressure("190", "112", ago=timedelta(minutes=5)), PRESSURE)

    finding = threshold.judge(pressure(*then), PRESSURE, alert, [], now=NOW)

    assert finding is not None
    assert finding.event is event


def test_a7_a_value_that_creeps_down_in_small_steps_is_noticed() -> None:
    alert = raised(saturation("84", ago=timedelta(minutes=30)), SPO2)

    first = threshold.judge(saturation("83", ago=timedelta(minutes=20)), SPO2, alert, [], now=NOW)
    assert first is not None
    second = threshold.judge(saturation("82"), SPO2, first.alert, [], now=NOW)

    assert second is not None
    assert (first.event, second.event) == (Event.JOINED, Event.RERAISED)


def test_priority_is_latched() -> None:
    alert = raised(pressure("192", "118", ago=timedelta(minutes=5)), PRESSURE)

    finding = threshold.judge(pressure("165", "82"), PRESSURE, alert, [], now=NOW)

    assert finding is not None
    assert finding.alert.priority is Level.RED


@pytest.mark.parametrize(
    ("late", "others", "alerts"),
    [
        (timedelta(days=3), [], True),  # 72 hours without network, and all that is known
        (timedelta(days=3), [("94", timedelta(days=4))], True),
        (timedelta(days=3), [("90", timedelta(days=1))], False),  # later and within
        (timedelta(days=3), [("86", timedelta(days=1))], True),  # later and beyond
        (timedelta(minutes=29), [("90", timedelta(0))], True),  # not late
        (timedelta(minutes=31), [("90", timedelta(0))], False),
    ],
)
def test_a5_late_readings(
    late: timedelta, others: list[tuple[str, timedelta]], *, alerts: bool
) -> None:
    recent = [saturation(value, ago=ago) for value, ago in others]

    finding = threshold.judge(saturation("82", ago=late), SPO2, None, recent, now=NOW)

    assert (finding is not None) is alerts


def test_an_alert_keeps_what_raised_it_and_stays_bounded() -> None:
    first = pressure("192", "118", ago=timedelta(minutes=29))
    alert = raised(first, PRESSURE)

    for _ in range(300):
        finding = threshold.judge(pressure("185", "112"), PRESSURE, alert, [], now=NOW)
        assert finding is not None
        alert = finding.alert

    assert len(alert.readings) == 100
    assert alert.readings[0].observation_id == first.observation_id


@given(
    st.lists(
        st.tuples(st.integers(40, 300), st.integers(20, 200)).filter(lambda v: v[0] > v[1]),
        min_size=1,
        max_size=20,
    )
)
def test_any_sequence_shows_its_worst_level_and_never_less(values: list[tuple[int, int]]) -> None:
    alert: Alert | None = None
    worst: Level | None = None
    for systolic, diastolic in values:
        reading = pressure(str(systolic), str(diastolic))
        level = threshold.level_of(reading.values, PRESSURE)
        if level and (worst is None or level.rank > worst.rank):
            worst = level

        finding: Finding | None = threshold.judge(reading, PRESSURE, alert, [], now=NOW)
        alert = finding.alert if finding else alert

    assert (alert.priority if alert else None) is worst


def test_evidence_says_what_was_measured() -> None:
    finding = threshold.judge(pressure("192.0", "118"), PRESSURE, None, [], now=NOW)

    assert finding is not None
    assert isinstance(finding.reading, Evidence)
    assert (str(finding.reading.systolic), finding.reading.unit) == ("192.0", "mm[Hg]")
    assert set(finding.limits) == {Measure.SYSTOLIC, Measure.DIASTOLIC}
