"""A template: what a programme's plans begin as, for whom it must not be used, and its sources.

A template approves nothing: its limits are proposals with their sources, and a named clinician
approves each patient's. There are no national limits to take them from (docs/adr/0035).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Final
from uuid import UUID

import msgspec
from msgspec import Meta

from ingest_service.plans import checking
from ingest_service.plans.limits import Family, Limits, Measure
from ingest_service.plans.plan import (
    Activity,
    Confirm,
    Fact,
    Name,
    Oxygen,
    Plan,
    Risk,
    RuleSettings,
    Status,
    Symptom,
    Target,
    TemplateUse,
    Who,
    Words,
)
from ingest_service.plans.tightening import tighter
from ingest_service.plans.windows import Condition

MOST_BYTES: Final = 128 * 1024


class TemplateError(ValueError):
    """A document is no template that can be used, or not for this patient; says why."""


class Template(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One version of a template; it never changes.

    ``requires`` are facts that must be stated so before it can be assigned: one that is unknown
    excludes (A16). ``questions`` must be asked by a rule of every plan that comes from it,
    ``approved_by_roles`` are who may approve one, and no plan's limits are looser than
    ``no_looser_than``. ``sources`` names for each number where it comes from. ``narrows`` is the
    region's template that a unit's is a narrower form of.
    """

    id: Name
    version: Annotated[int, Meta(ge=1)]
    programme: Annotated[str, Meta(min_length=1, max_length=100)]
    title: Annotated[str, Meta(min_length=1, max_length=200)]
    notice: Words
    sources: Mapping[str, Words]
    activities: tuple[Activity, ...]
    narrows: TemplateUse | None = None
    requires: Mapping[Fact, bool] = {}
    must_state: tuple[Fact, ...] = ()
    states: Mapping[Fact, bool] = {}
    questions: tuple[str, ...] = ()
    approved_by_roles: tuple[Who, ...] = ()
    no_looser_than: Mapping[Measure, Limits] = {}
    days: Annotated[int, Meta(ge=1, le=366)] | None = None
    risk: Risk = Risk.MEDIUM
    targets: Mapping[Measure, Target] = {}
    limits: Mapping[Measure, Limits] = {}
    limits_when: Mapping[Condition, Mapping[Measure, Limits]] = {}
    confirm: Mapping[Family, Confirm] = {}
    rules: tuple[RuleSettings, ...] = ()


def parse(document: bytes, *, name: str) -> Template:
    """Read a template from JSON.

    Raises:
        TemplateError: If it is none, or its plans could never be approved, with what and where.
    """
    if len(document) > MOST_BYTES:
        raise TemplateError(f"{name}: more than {MOST_BYTES} bytes")
    try:
        template = _DECODER.decode(document)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise TemplateError(f"{name}: {error}") from error
    sample = _draft(
        template,
        plan_id=UUID(int=1),
        patient_id=UUID(int=1),
        care_unit_id=UUID(int=1),
        since=_EPOCH,
        facts=template.states,
    )
    found = [fault for fault in checking.faults(sample) if not fault.startswith("plan.oxygen.")]
    if found:
        raise TemplateError(f"{name}: {'; '.join(found)}".replace("plan.", "template."))
    return template


def excluded(template: Template, facts: Mapping[Fact, bool]) -> list[str]:
    """Return why a patient of whom this is known cannot get the template; unknown excludes."""
    found = [
        f"plan.facts.{fact}: is {_words(facts.get(fact))}; template {template.id} is only for "
        f"patients of whom it is {_words(is_so)}"
        for fact, is_so in template.requires.items()
        if facts.get(fact) is not is_so
    ]
    found += [
        f"plan.facts.{fact}: must be stated before template {template.id} can be used"
        for fact in template.must_state
        if fact not in facts
    ]
    return found


def assign(
    template: Template,
    *,
    plan_id: UUID,
    patient_id: UUID,
    care_unit_id: UUID,
    since: datetime,
    facts: Mapping[Fact, bool],
    oxygen: Oxygen | None = None,
) -> Plan:
    """Return a draft of a patient's plan; a clinician sets its limits and approves it.

    Raises:
        TemplateError: If the patient must not get it (A16).
    """
    known = {**template.states, **facts}
    if found := excluded(template, known):
        raise TemplateError("; ".join(found))
    plan = _draft(
        template,
        plan_id=plan_id,
        patient_id=patient_id,
        care_unit_id=care_unit_id,
        since=since,
        facts=known,
    )
    return plan if oxygen is None else msgspec.structs.replace(plan, oxygen=oxygen)


def departures(template: Template, plan: Plan) -> list[str]:
    """Return what a plan that came from the template must not have changed or left out."""
    found = excluded(template, plan.facts)
    asked = {rule.question for rule in plan.rules if isinstance(rule, Symptom)}
    found += [
        f"plan.rules: no rule asks {question!r}, as template {template.id} must"
        for question in template.questions
        if question not in asked
    ]
    found += _looser(template.no_looser_than, plan, template.id)
    approval = plan.approval
    roles = template.approved_by_roles
    if approval is not None and roles and approval.role not in roles:
        found.append(
            f"plan.approval.role: must be {' or '.join(roles)} for template {template.id}"
        )
    return found


def narrowing_faults(wide: Template, narrow: Template) -> list[str]:
    """Return where a unit's template is looser than the region's that it says it narrows."""
    found = [
        f"template.requires.{fact}: is required by {wide.id}"
        for fact, is_so in wide.requires.items()
        if narrow.requires.get(fact) is not is_so
    ]
    found += [
        f"template.questions: {question!r} is asked by {wide.id}"
        for question in wide.questions
        if question not in narrow.questions
    ]
    if wide.approved_by_roles and not set(narrow.approved_by_roles) <= set(wide.approved_by_roles):
        found.append(f"template.approved_by_roles: not all may approve {wide.id}")
    if wide.approved_by_roles and not narrow.approved_by_roles:
        found.append(f"template.approved_by_roles: {wide.id} needs one")
    for name, theirs, ours in (
        ("limits", wide.limits, narrow.limits),
        ("no_looser_than", wide.no_looser_than, narrow.no_looser_than),
    ):
        found += [
            f"template.{name}.{measure}: is looser than in {wide.id}"
            for measure, limits in theirs.items()
            if measure not in ours or not _is_tighter(ours[measure], limits)
        ]
    return found


def _looser(bounds: Mapping[Measure, Limits], plan: Plan, name: str) -> list[str]:
    places = [(f"limits.{measure}", measure, limits) for measure, limits in plan.limits.items()]
    places += [
        (f"temporary[{index}].limits", each.measure, each.limits)
        for index, each in enumerate(plan.temporary)
    ]
    found = [
        f"plan.{place}: is looser than template {name} allows"
        for place, measure, limits in places
        if measure in bounds and not _is_tighter(limits, bounds[measure])
    ]
    return found + [
        f"plan.limits.{measure}: template {name} needs limits"
        for measure in bounds
        if measure not in plan.limits
    ]


def _is_tighter(limits: Limits, bound: Limits) -> bool:
    """Tell whether every value that is beyond the bound is beyond the limits too, no later."""
    both = tighter(limits, bound)
    sides = ("red_low", "yellow_low", "yellow_high", "red_high", "immediate_low", "immediate_high")
    return all(
        getattr(bound, side) is None or getattr(limits, side) == getattr(both, side)
        for side in sides
    )


def _draft(
    template: Template,
    *,
    plan_id: UUID,
    patient_id: UUID,
    care_unit_id: UUID,
    since: datetime,
    facts: Mapping[Fact, bool],
) -> Plan:
    return Plan(
        id=plan_id,
        version=1,
        patient_id=patient_id,
        care_unit_id=care_unit_id,
        programme=template.programme,
        status=Status.DRAFT,
        since=since,
        template=TemplateUse(id=template.id, version=template.version),
        risk=template.risk,
        facts=dict(facts),
        activities=template.activities,
        targets=template.targets,
        limits=template.limits,
        limits_when=template.limits_when,
        confirm=template.confirm,
        rules=template.rules,
    )


def _words(fact: bool | None) -> str:
    return {None: "unknown", True: "so", False: "not so"}[fact]


_DECODER: Final = msgspec.json.Decoder(Template)
_EPOCH: Final = datetime.fromisoformat("2026-01-01T00:00:00+00:00")
