"""Two programmes, one patient (A18): what one would alert on, the merged plan alerts on too."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest_service.plans.limits import Family, Level, Limits, Measure
from ingest_service.plans.merging import conflicts, merged
from ingest_service.plans.plan import (
    Activity,
    Confirm,
    Fact,
    OnRed,
    Pause,
    Plan,
    Side,
    Silence,
    Status,
    Sustained,
    TemporaryLimits,
    YellowReading,
)
from ingest_service.plans.windows import Condition, Window

T0 = datetime(2026, 1, 1, tzinfo=UTC)
LEAD = UUID(int=1)
MEASURES = [Measure.SPO2, Measure.PULSE]


def plan(number: int, **given: object) -> Plan:
    made = Plan(
        id=UUID(int=number + 100),
        version=1,
        patient_id=UUID(int=7),
        care_unit_id=UUID(int=number),
        programme=f"programme {number}",
        status=Status.ACTIVE,
        since=T0,
    )
    return msgspec.structs.replace(made, **given)


@st.composite
def limits(draw: st.DrawFn) -> Limits:
    values = sorted(draw(st.lists(st.integers(70, 100), min_size=4, max_size=4)))
    keep = draw(st.lists(st.booleans(), min_size=4, max_size=4))
    red_low, yellow_low, yellow_high, red_high = (
        Decimal(value) if is_kept else None for value, is_kept in zip(values, keep, strict=True)
    )
    return Limits(
        red_low=red_low,
        yellow_low=yellow_low,
        yellow_high=yellow_high,
        red_high=red_high,
        immediate_low=red_low and red_low - draw(st.integers(0, 5)),
    )


@st.composite
def parts(draw: st.DrawFn) -> list[Plan]:
    found: list[Plan] = []
    for number in range(1, draw(st.integers(1, 3)) + 1):
        measures = draw(st.lists(st.sampled_from(MEASURES), unique=True))
        since = draw(st.integers(0, 5))
        temporary = [
            TemporaryLimits(
                measure=measure,
                limits=draw(limits()),
                since=T0 + timedelta(days=since),
                until=T0 + timedelta(days=since + draw(st.integers(1, 5))),
                by="SE1",
                reason="infection",
            )
            for measure in measures
            if draw(st.booleans())
        ]
        found.append(
            plan(
                number,
                limits={measure: draw(limits()) for measure in measures},
                limits_when={Condition.ASLEEP: {Measure.SPO2: draw(limits())}}
                if draw(st.booleans())
                else {},
                temporary=tuple(temporary),
                confirm={
                    Family.SPO2: Confirm(
                        within_min=draw(st.integers(0, 30)),
                        yellow=draw(st.sampled_from(YellowReading)),
                    )
                },
            )
        )
    return draw(st.permutations(found))


def rank(one: Plan, at: datetime, when: Condition, measure: Measure, value: Decimal) -> int:
    found = one.limits_at(at, when).get(measure)
    level = found.level(value) if found else None
    return level.rank if level else 0


@settings(max_examples=300, deadline=None)
@given(parts(), st.integers(0, 11), st.sampled_from(Condition), st.integers(60, 110))
def test_a18_a_merged_plan_is_never_looser_than_any_part(
    given_parts: list[Plan], day: int, when: Condition, value: int
) -> None:
    at = T0 + timedelta(days=day)

    both = merged(given_parts, lead_unit=LEAD)

    assert both is not None
    for part in given_parts:
        for measure in MEASURES:
            reading = Decimal(value)
            assert rank(both, at, when, measure, reading) >= rank(part, at, when, measure, reading)
            theirs, ours = part.limits_at(at, when), both.limits_at(at, when)
            if measure in theirs and theirs[measure].is_immediate(reading):
                assert ours[measure].is_immediate(reading)
        if Measure.SPO2 in part.limits:
            mine, own = both.confirm_of(Family.SPO2), part.confirm_of(Family.SPO2)
            assert mine.within_min <= own.within_min


@settings(max_examples=100, deadline=None)
@given(parts())
def test_a18_merging_does_not_depend_on_the_order(given_parts: list[Plan]) -> None:
    assert merged(given_parts, lead_unit=LEAD) == merged(given_parts[::-1], lead_unit=LEAD)


def test_one_plan_alone_stays_as_it_is() -> None:
    alone = plan(1)

    assert merged([alone]) is alone
    assert merged([]) is None


def test_a18_the_patients_unit_leads_and_both_instructions_are_kept() -> None:
    lungs = plan(1, on_red=OnRed(in_hours="Call.", out_of_hours="1177"), language="fi")
    heart = plan(
        2,
        since=T0 - timedelta(days=9),
        on_red=OnRed(in_hours="Call the heart nurse.", out_of_hours="1177", tell_kin=True),
        facts={Fact.HEART_FAILURE: True},
    )

    both = merged([heart, lungs], lead_unit=LEAD)

    assert both is not None
    assert (both.id, both.care_unit_id, both.language) == (lungs.id, LEAD, "fi")
    assert both.on_red == OnRed(
        in_hours="programme 1: Call.\nprogramme 2: Call the heart nurse.",
        out_of_hours="1177",
        tell_kin=True,
    )
    assert [part.id for part in both.merged_from] == [lungs.id, heart.id]


def test_a18_one_activity_in_two_programmes_is_asked_for_once() -> None:
    morning = (Window(name="morning", start="06:00", end="10:00"),)
    one = Activity(family=Family.SPO2, windows=morning)
    later = T0 + timedelta(days=3)
    extra = Activity(family=Family.PULSE, windows=morning)

    both = merged([plan(1, activities=(one,)), plan(2, activities=(one, extra), since=later)])

    assert both is not None
    assert both.activities == (one, msgspec.structs.replace(extra, since=later))


def test_a18_rules_of_one_id_that_differ_are_both_kept() -> None:
    def sustained(count: int) -> Sustained:
        return Sustained(id="high", measure=Measure.PULSE, side=Side.HIGH, count=count, of=5)

    both = merged(
        [
            plan(1, rules=(sustained(3), Silence(yellow_after_h=48, red_after_h=None))),
            plan(2, rules=(sustained(2), Silence(yellow_after_h=72, red_after_h=96))),
        ]
    )

    assert both is not None
    assert {rule.count for rule in both.rules if isinstance(rule, Sustained)} == {2, 3}
    assert len({rule.id for rule in both.rules}) == len(both.rules)
    [silence] = [rule for rule in both.rules if isinstance(rule, Silence)]
    assert (silence.yellow_after_h, silence.red_after_h) == (48, 96)


def test_a18_a_patient_is_paused_only_where_both_programmes_pause() -> None:
    def paused(since: int, until: int | None) -> tuple[Pause, ...]:
        end = None if until is None else T0 + timedelta(days=until)
        return (Pause(since=T0 + timedelta(days=since), until=end, reason="ward", by="SE1"),)

    both = merged([plan(1, pauses=paused(1, None)), plan(2, pauses=paused(3, 5))])

    assert both is not None
    days = [day for day in range(8) if both.is_paused(T0 + timedelta(days=day))]
    assert days == [3, 4]


@pytest.mark.parametrize(("low", "told"), [("94", [Measure.SPO2]), ("88", [])])
def test_a18_limits_that_leave_no_value_between_them_are_told(
    low: str, told: list[Measure]
) -> None:
    copd = plan(1, limits={Measure.SPO2: Limits(yellow_low=Decimal(86), yellow_high=Decimal(92))})
    infection = plan(2, limits={Measure.SPO2: Limits(yellow_low=Decimal(low))})

    assert conflicts([copd, infection]) == told
    both = merged([copd, infection])
    assert both is not None
    assert (both.limits[Measure.SPO2].level(Decimal(93)) is Level.YELLOW) is True


def test_a18_a_limit_loosened_for_a_time_in_one_programme_stays_in_the_other() -> None:
    def limited(low: str) -> dict[Measure, Limits]:
        return {Measure.SPO2: Limits(red_low=Decimal(low))}

    week = T0 + timedelta(days=7)
    loose = TemporaryLimits(
        measure=Measure.SPO2,
        limits=Limits(red_low=Decimal(84)),
        since=T0,
        until=week,
        by="SE1",
        reason="infection",
    )

    both = merged(
        [plan(1, limits=limited("90"), temporary=(loose,)), plan(2, limits=limited("88"))]
    )

    assert both is not None
    assert both.limits_at(T0)[Measure.SPO2].red_low == 88
    assert both.limits_at(week)[Measure.SPO2].red_low == 90


def test_a18_what_counts_yellow_days_counts_those_that_are_red_by_the_other_plan() -> None:
    one = plan(1, limits={Measure.SPO2: Limits(red_low=Decimal(85), yellow_low=Decimal(88))})
    other = plan(2, limits={Measure.SPO2: Limits(red_low=Decimal(90))})

    both = merged([one, other])

    assert both is not None
    assert both.limits[Measure.SPO2].yellow_low == 90
