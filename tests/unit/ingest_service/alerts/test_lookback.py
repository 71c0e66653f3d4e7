"""What is looked back on is enough: a reading is judged as with all that is known."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from ingest_service.alerts import engine, lookback
from ingest_service.alerts.history import Answer, Reading
from ingest_service.plans.limits import Measure
from ingest_service.plans.plan import Baseline, Side, Sustained, Symptom, YellowReading
from tests.support.cases import NOW, answer, case, limits, plan, resolved, saturation, take

ANSWERS = timedelta(days=30)  # before the first that counts, as admission loads them
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
SPO2 = {Measure.SPO2: limits(red_low="88", yellow_low="90", immediate_low="80", hysteresis="1")}
RULES = (
    Sustained(id="s", measure=Measure.SPO2, side=Side.LOW, count=3, of=5),
    Sustained(id="r", measure=Measure.SPO2, side=Side.LOW, count=3, of=5, unit="readings"),
    Baseline(id="b", measure=Measure.SPO2, side=Side.LOW, distance=Decimal(3), fewest=3),
    Symptom(id="y", question="breath", rise=Decimal(2), beyond=Measure.SPO2),
)
AGES = st.integers(1, 60 * 24).map(lambda hours: NOW - hours * HOUR)


def trimmed(known: list[Reading | Answer], one: Reading) -> list[Reading | Answer]:
    """Return what would be loaded to judge a reading."""
    since = lookback.since(case(plan(SPO2, rules=RULES)), one)
    if since is None:
        return []
    return [
        each
        for each in known
        if (
            each.answered_at >= since - ANSWERS
            if isinstance(each, Answer)
            else each.effective_at >= since
        )
    ]


@given(
    st.lists(st.tuples(AGES, st.integers(84, 95)), max_size=40),
    st.lists(st.tuples(AGES, st.integers(0, 5)), max_size=4),
    st.integers(78, 96),
    st.sampled_from(YellowReading),
    st.booleans(),
)
def test_it_is_judged_the_same_as_with_everything(
    values: list[tuple[datetime, int]],
    answers: list[tuple[datetime, int]],
    newest: int,
    policy: YellowReading,
    was_ended: bool,
) -> None:
    known: list[Reading | Answer] = [
        saturation(str(value), at, identity=UUID(int=number))
        for number, (at, value) in enumerate(values)
    ]
    known += [answer(at, breath=value) for at, value in answers]
    reading = saturation(str(newest), NOW, identity=UUID(int=999))
    one = plan(SPO2, within_min=15, yellow=policy, rules=RULES)
    whole, part = case(one, *known), case(one, *trimmed(known, reading))
    if was_ended:
        before = take(case(plan(SPO2)), saturation("89", NOW - 2 * DAY, identity=UUID(int=998)))
        alert = resolved(before, "limit.spo2", NOW - DAY)
        whole.ended[alert.rule] = part.ended[alert.rule] = alert

    engine.take_reading(whole, reading, now=NOW)
    engine.take_reading(part, reading, now=NOW)

    assert [(c.event, c.alert) for c in whole.changes] == [
        (c.event, c.alert) for c in part.changes
    ]


def test_a_value_well_within_limits_asks_for_nothing() -> None:
    asking = case(plan(SPO2, rules=RULES[:2]))

    assert lookback.since(asking, saturation("95")) is None


def test_a_value_within_the_hysteresis_is_looked_back_on() -> None:
    since = lookback.since(case(plan(SPO2, rules=())), saturation("90.5"))  # not back yet

    assert since == NOW - lookback.EPISODE
