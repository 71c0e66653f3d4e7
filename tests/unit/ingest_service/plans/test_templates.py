"""Templates: for whom they must not be used, and what a plan of theirs must keep."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

import msgspec
import pytest

from ingest_service.plans import checking
from ingest_service.plans.limits import Level, Limits, Measure
from ingest_service.plans.plan import Approval, Fact, Oxygen, Plan, Symptom
from ingest_service.plans.templates.library import shipped
from ingest_service.plans.templates.template import (
    Template,
    TemplateError,
    assign,
    departures,
    narrowing_faults,
)
from ingest_service.protocols.library import shipped as shipped_protocols

SINCE = datetime(2026, 1, 1, tzinfo=UTC)
FIT = {
    Fact.COPD: False,
    Fact.HOME_OXYGEN: False,
    Fact.USUALLY_LOW_SATURATION: False,
    Fact.BASELINE_KNOWN: True,
}


def template(name: str) -> Template:
    return shipped()[name, 1]


def assigned(
    name: str, facts: dict[Fact, bool] | None = None, oxygen: Oxygen | None = None
) -> Plan:
    return assign(
        template(name),
        plan_id=UUID(int=1),
        patient_id=UUID(int=2),
        care_unit_id=UUID(int=3),
        since=SINCE,
        facts=facts or {},
        oxygen=oxygen,
    )


def test_a16_a_patient_of_whom_everything_is_known_can_get_oximetry() -> None:
    assert checking.faults(assigned("covid-oximetry", FIT)) == []


@pytest.mark.parametrize("fact", list(FIT))
@pytest.mark.parametrize("is_unknown", [True, False], ids=["unknown", "otherwise"])
def test_a16_oximetry_goes_to_nobody_with_copd_oxygen_or_unknown_baseline(
    fact: Fact, is_unknown: bool
) -> None:
    facts = dict(FIT)
    if is_unknown:
        del facts[fact]
    else:
        facts[fact] = not facts[fact]

    with pytest.raises(TemplateError, match=rf"plan\.facts\.{fact}"):
        assigned("covid-oximetry", facts)


def test_a16_a_plan_of_it_cannot_become_one_by_a_later_change() -> None:
    plan = assigned("covid-oximetry", FIT)

    changed = msgspec.structs.replace(plan, facts={**FIT, Fact.COPD: True})

    assert departures(template("covid-oximetry"), plan) == []
    assert any("plan.facts.copd" in one for one in departures(template("covid-oximetry"), changed))


def approved(plan: Plan, role: str) -> Plan:
    return msgspec.structs.replace(plan, approval=Approval(by="SE1", role=role, at=SINCE))


def test_a16_pregnancy_asks_for_symptoms_and_an_obstetrician_approves() -> None:
    plan, found = assigned("pregnancy"), template("pregnancy")
    asked = {rule.question for rule in plan.rules if isinstance(rule, Symptom)}

    without = msgspec.structs.replace(
        plan,
        rules=tuple(
            rule
            for rule in plan.rules
            if not (isinstance(rule, Symptom) and rule.question == "vision")
        ),
    )

    assert asked == {"headache", "vision", "epigastric_pain"}
    assert departures(found, approved(plan, "obstetrician")) == []
    assert any("role" in one for one in departures(found, approved(plan, "nurse")))
    assert any("'vision'" in one for one in departures(found, without))


@pytest.mark.parametrize(("measure", "acute"), [(Measure.SYSTOLIC, 160), (Measure.DIASTOLIC, 110)])
def test_a16_160_over_110_in_pregnancy_is_red_at_once_and_stays_so(
    measure: Measure, acute: int
) -> None:
    plan, found = assigned("pregnancy"), template("pregnancy")

    limits = plan.limits_at(SINCE)[measure]
    looser = msgspec.structs.replace(
        plan,
        limits={
            **plan.limits,
            measure: msgspec.structs.replace(
                limits, red_high=limits.red_high and limits.red_high + 5
            ),
        },
    )

    assert limits.level(Decimal(acute)) is Level.RED
    assert limits.is_immediate(Decimal(acute))
    assert limits.level(Decimal(acute - 1)) is not Level.RED
    assert any(f"limits.{measure}" in one for one in departures(found, looser))


def test_a13_copd_without_stated_oxygen_is_no_plan() -> None:
    with pytest.raises(TemplateError, match="home_oxygen"):
        assigned("copd")

    unstated = assigned("copd", {Fact.HOME_OXYGEN: False})
    stated = assigned("copd", {Fact.HOME_OXYGEN: False}, Oxygen(is_used=False))
    oxygen = assigned("copd", {Fact.HOME_OXYGEN: True}, Oxygen(is_used=True))

    assert any("oxygen.is_used" in one for one in checking.faults(unstated))
    assert checking.faults(stated) == []
    assert any("limits.spo2.yellow_high" in one for one in checking.faults(oxygen))


def test_a13_on_oxygen_both_sides_are_limited_and_too_high_alerts() -> None:
    plan = assigned("copd", {Fact.HOME_OXYGEN: True}, Oxygen(is_used=True))
    limits = msgspec.structs.replace(plan.limits[Measure.SPO2], yellow_high=Decimal(92))

    both = msgspec.structs.replace(plan, limits={**plan.limits, Measure.SPO2: limits})

    assert checking.faults(both) == []
    # NEWS2 scale 2: 93 and above on oxygen scores.
    assert both.limits_at(SINCE)[Measure.SPO2].level(Decimal(93)) is Level.YELLOW


@pytest.mark.parametrize("found", shipped().values(), ids=lambda one: one.id)
def test_every_template_says_that_it_is_one_and_where_its_numbers_come_from(
    found: Template,
) -> None:
    protocols = {name for name, _ in shipped_protocols()}

    for measure in found.limits:
        assert any(place.startswith(f"limits.{measure}") for place in found.sources), measure
    assert found.notice.startswith("A template.")
    assert "no" in found.notice
    assert "named clinician" in found.notice
    assert {one.protocol for one in found.activities if one.protocol} <= protocols


def test_a_units_template_may_narrow_a_regions_and_not_widen_it() -> None:
    wide = template("covid-oximetry")
    spo2 = wide.limits[Measure.SPO2]

    def narrowed(limits: Limits) -> Template:
        return msgspec.structs.replace(
            wide, id="unit", limits={**wide.limits, Measure.SPO2: limits}
        )

    tight = narrowed(msgspec.structs.replace(spo2, red_low=Decimal(94)))
    loose = narrowed(msgspec.structs.replace(spo2, red_low=Decimal(90)))

    assert narrowing_faults(wide, tight) == []
    assert narrowing_faults(wide, loose) == [
        "template.limits.spo2: is looser than in covid-oximetry"
    ]
    unguarded = msgspec.structs.replace(tight, requires={})
    assert any("requires.copd" in one for one in narrowing_faults(wide, unguarded))
