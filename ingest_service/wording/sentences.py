"""Why a patient is on the list, in one sentence, from the facts that the alert keeps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta, tzinfo
from decimal import Decimal
from functools import cache
from typing import Final

from babel.numbers import get_decimal_symbol
from msgspec import structs

from ingest_service.alerts.alert import NO_FACTS, Evidence, Facts
from ingest_service.plans.limits import Level, Limits, Measure
from ingest_service.wording import reasons
from ingest_service.wording.catalogue import Catalogue
from ingest_service.wording.crossing import Side, bound, crossed

_SHOWN: Final = 2  # readings that the sentence names one by one
_HOURS_FROM: Final = 120  # minutes; below, they are counted as such
_DAYS_FROM: Final = 2880
_PERCENT: Final = {"limit.spo2": "\N{NO-BREAK SPACE}%"}
_MEASURES: Final[Mapping[str, tuple[Measure, ...]]] = {
    "limit.body_weight": (Measure.BODY_WEIGHT,),
    "limit.blood_pressure": (Measure.SYSTOLIC, Measure.DIASTOLIC),
    "limit.pulse": (Measure.PULSE,),
    "limit.spo2": (Measure.SPO2,),
}


def sentence(
    catalogue: Catalogue,
    rule: str,
    limits: Mapping[Measure, Limits],
    used: Sequence[Evidence],
    facts: Facts = NO_FACTS,
    *,
    zone: tzinfo,
) -> str:
    """Return what a nurse reads of one alert: why, and what there is to doubt.

    Args:
        catalogue: The reader's language.
        rule: Name of the rule that raised it.
        limits: Limits in force when it was judged, by measure.
        used: Readings that it rests on, oldest first.
        facts: What the rule noted beside them.
        zone: The clock on which times are told.
    """
    _ = catalogue.gettext
    used = [structs.replace(one, effective_at=one.effective_at.astimezone(zone)) for one in used]
    if facts.since is not None:
        facts = structs.replace(facts, since=facts.since.astimezone(zone))
    said = [reasons.of_rule(catalogue, rule, facts, used) or reason(catalogue, rule, limits, used)]
    if rule.startswith("limit.") and None not in (facts.usual_low, facts.usual_high):
        usual = {
            "low": reasons.amount(catalogue, facts.usual_low, None),
            "high": reasons.amount(catalogue, facts.usual_high, _MEASURES[rule][0]),
        }
        said.append(_("Usual %(low)s-%(high)s.") % usual)
    if rule == "failed_attempts" and facts.question:
        asked = {"question": facts.question, "answer": facts.answer or "-"}
        said.append(_("Answered %(answer)s to the question %(question)s.") % asked)
    if facts.is_without_remeasurement:
        said.append(_("Asked to measure again, and did not."))
    elif facts.is_unconfirmed:
        said.append(_("Unconfirmed."))
    return " ".join(said)


def reason(
    catalogue: Catalogue, rule: str, limits: Mapping[Measure, Limits], used: Sequence[Evidence]
) -> str:
    """Return the sentence for an alert of a single limit, of attempts, or of an error.

    Args:
        catalogue: The reader's language.
        rule: Name of the rule that raised it.
        limits: Limits in force when it was judged, by measure.
        used: Readings that it rests on, oldest first.
    """
    _ = catalogue.gettext
    if rule == "failed_attempts":
        return catalogue.ngettext(
            "%(count)d failed attempt to measure and none that succeeded: call the patient.",
            "%(count)d failed attempts to measure and none that succeeded: call the patient.",
            len(used),
        ) % {"count": len(used)}
    if rule == "could_not_judge":
        return _("A reading could not be judged automatically: judge it yourself.")
    valued = [each for each in used if numbers(each)]
    if rule not in _MEASURES or not valued:
        return _("Alert by the rule %(rule)s; its readings cannot be shown.") % {"rule": rule}
    return _of_values(catalogue, rule, limits, valued)


def _of_values(
    catalogue: Catalogue, rule: str, limits: Mapping[Measure, Limits], valued: Sequence[Evidence]
) -> str:
    span = valued[-1].effective_at - valued[0].effective_at
    facts = {
        "values": _values(catalogue, valued),
        "limit": _limits_phrase(catalogue, rule, limits, [worst(rule, limits, valued)]),
        "apart": _apart(catalogue, span),
        "span": _span(catalogue, span),
        "count": len(valued),
    }
    if len(valued) == 1:
        return _measured(catalogue)[rule] % facts
    if len(valued) == _SHOWN:
        return _measured_twice(catalogue)[rule] % facts
    worse = worst(rule, limits, valued)
    facts["values"] = value(catalogue, valued[-1])
    if worse is valued[-1]:
        return _measured_often(catalogue)[rule] % facts
    facts["worst"] = value(catalogue, worse)
    return _measured_worse(catalogue)[rule] % facts


def worst(rule: str, limits: Mapping[Measure, Limits], used: Sequence[Evidence]) -> Evidence:
    """Return the reading that is most urgent, and of those the newest that is furthest out.

    An alert is as urgent as its worst reading: the newest may lie within limits again.
    """
    measures = _MEASURES.get(rule, ())

    def urgency(one: Evidence) -> tuple[int, Decimal]:
        rank = -1 if one.level is None else one.level.rank
        pairs = zip(measures, numbers(one), strict=False)
        out = [_beyond(limits[measure], found) for measure, found in pairs if measure in limits]
        return rank, max(out, default=Decimal(0))

    return max(reversed(used), key=urgency)


def _beyond(limits: Limits, found: Decimal) -> Decimal:
    """Return by how much a value lies beyond the limit of its level; below zero is within."""
    out = crossed(limits, found)
    if out is None:
        return Decimal(-1)
    side, level = out
    edge = bound(limits, side, level)
    return Decimal(0) if edge is None else abs(found - edge)


def taken_back(catalogue: Catalogue, count: int) -> str:
    """Return that so many of an alert's readings were taken back and count no longer."""
    text = catalogue.ngettext(
        "%(count)d reading taken back", "%(count)d readings taken back", count
    )
    return text % {"count": count}


def all_taken_back(catalogue: Catalogue) -> str:
    """Return the sentence of a red alert with nothing left to rest on: a person closes it (A8)."""
    return catalogue.gettext(
        "What this alert rested on has been taken back: judge it and close it yourself."
    )


def numbers(used: Evidence) -> tuple[Decimal, ...]:
    """Return a reading's numbers: systolic and diastolic, or the one value, or none."""
    if used.systolic is not None and used.diastolic is not None:
        return used.systolic, used.diastolic
    return () if used.value is None else (used.value,)


def number(catalogue: Catalogue, value: Decimal) -> str:
    """Return a number with the digits that it has and the language's decimal sign."""
    return f"{value:f}".replace(".", _decimal_sign(catalogue))


@cache  # looked up a thousand times for a page, and slow
def _decimal_sign(catalogue: Catalogue) -> str:
    return get_decimal_symbol(catalogue.locale)


def value(catalogue: Catalogue, used: Evidence) -> str:
    """Return a reading's numbers without a unit: ``192/118``, ``86``."""
    return "/".join(number(catalogue, each) for each in numbers(used))


def limit(
    catalogue: Catalogue, rule: str, limits: Mapping[Measure, Limits], used: Evidence
) -> str:
    """Return the limit that a reading lies beyond: ``180/110``, ``systolic 180``, ``88``.

    The side and level of the worse of its numbers decide for both; empty if it is beyond none.
    """
    measures = _MEASURES.get(rule, ())
    found = _crossed(measures, limits, used)
    return "" if found is None else bounds(catalogue, measures, limits, *found)


def bounds(
    catalogue: Catalogue,
    measures: Sequence[Measure],
    limits: Mapping[Measure, Limits],
    side: Side,
    level: Level,
) -> str:
    """Return the limits of one side and level of measures that are read together."""
    found = [
        (measure, value)
        for measure in measures
        if measure in limits and (value := bound(limits[measure], side, level)) is not None
    ]
    if len(found) == len(measures):
        return "/".join(number(catalogue, each) for _, each in found)
    _ = catalogue.gettext
    names = {Measure.SYSTOLIC: _("systolic"), Measure.DIASTOLIC: _("diastolic")}
    return ", ".join(f"{names[measure]} {number(catalogue, each)}" for measure, each in found)


def _crossed(
    measures: Sequence[Measure], limits: Mapping[Measure, Limits], used: Evidence
) -> tuple[Side, Level] | None:
    found = [
        beyond
        for measure, value in zip(measures, numbers(used), strict=False)
        if measure in limits and (beyond := crossed(limits[measure], value)) is not None
    ]
    return max(found, key=lambda each: each[1].rank, default=None)


def _limits_phrase(
    catalogue: Catalogue, rule: str, limits: Mapping[Measure, Limits], valued: Sequence[Evidence]
) -> str:
    """Return ``above the patient's limit 180/110`` for the newest reading that lies beyond one."""
    _ = catalogue.gettext
    for used in reversed(valued):
        beyond = _crossed(_MEASURES[rule], limits, used)
        if beyond is None:
            continue
        shown = {"limit": limit(catalogue, rule, limits, used) + _PERCENT.get(rule, "")}
        if beyond[0] == "high":
            return _("above the patient's limit %(limit)s") % shown
        return _("below the patient's limit %(limit)s") % shown
    return _("beyond the patient's limits")


@cache
def _measured(catalogue: Catalogue) -> Mapping[str, str]:
    _ = catalogue.gettext
    return {
        "limit.blood_pressure": _("Blood pressure %(values)s mmHg, %(limit)s."),
        "limit.body_weight": _("Weight %(values)s kg, %(limit)s."),
        "limit.pulse": _("Pulse %(values)s per minute, %(limit)s."),
        "limit.spo2": _("Oxygen saturation %(values)s %%, %(limit)s."),
    }


@cache
def _measured_twice(catalogue: Catalogue) -> Mapping[str, str]:
    _ = catalogue.gettext
    return {
        "limit.blood_pressure": _("Blood pressure %(values)s mmHg %(apart)s, %(limit)s."),
        "limit.body_weight": _("Weight %(values)s kg %(apart)s, %(limit)s."),
        "limit.pulse": _("Pulse %(values)s per minute %(apart)s, %(limit)s."),
        "limit.spo2": _("Oxygen saturation %(values)s %% %(apart)s, %(limit)s."),
    }


@cache
def _measured_often(catalogue: Catalogue) -> Mapping[str, str]:
    _ = catalogue.gettext
    return {
        "limit.blood_pressure": _(
            "Blood pressure %(values)s mmHg, the last of %(count)d readings within %(span)s,"
            " %(limit)s."
        ),
        "limit.body_weight": _(
            "Weight %(values)s kg, the last of %(count)d readings within %(span)s, %(limit)s."
        ),
        "limit.pulse": _(
            "Pulse %(values)s per minute, the last of %(count)d readings within %(span)s,"
            " %(limit)s."
        ),
        "limit.spo2": _(
            "Oxygen saturation %(values)s %%, the last of %(count)d readings within %(span)s,"
            " %(limit)s."
        ),
    }


@cache
def _measured_worse(catalogue: Catalogue) -> Mapping[str, str]:
    _ = catalogue.gettext
    return {
        "limit.blood_pressure": _(
            "Blood pressure %(worst)s mmHg, %(limit)s; now %(values)s, %(count)d readings within"
            " %(span)s."
        ),
        "limit.body_weight": _(
            "Weight %(worst)s kg, %(limit)s; now %(values)s, %(count)d readings within %(span)s."
        ),
        "limit.pulse": _(
            "Pulse %(worst)s per minute, %(limit)s; now %(values)s, %(count)d readings within"
            " %(span)s."
        ),
        "limit.spo2": _(
            "Oxygen saturation %(worst)s %%, %(limit)s; now %(values)s %%, %(count)d readings"
            " within %(span)s."
        ),
    }


def _values(catalogue: Catalogue, valued: Sequence[Evidence]) -> str:
    named = [value(catalogue, used) for used in valued[-_SHOWN:]]
    return catalogue.gettext(" and ").join(named)


def _apart(catalogue: Catalogue, span: timedelta) -> str:
    count, unit = _rounded(span)
    return {
        "minute": catalogue.ngettext("%(n)d minute apart", "%(n)d minutes apart", count),
        "hour": catalogue.ngettext("%(n)d hour apart", "%(n)d hours apart", count),
        "day": catalogue.ngettext("%(n)d day apart", "%(n)d days apart", count),
    }[unit] % {"n": count}


def _span(catalogue: Catalogue, span: timedelta) -> str:
    count, unit = _rounded(span)
    return {
        "minute": catalogue.ngettext("%(n)d minute", "%(n)d minutes", count),
        "hour": catalogue.ngettext("%(n)d hour", "%(n)d hours", count),
        "day": catalogue.ngettext("%(n)d day", "%(n)d days", count),
    }[unit] % {"n": count}


def _rounded(span: timedelta) -> tuple[int, str]:
    minutes = max(1, round(span.total_seconds() / 60))
    if minutes < _HOURS_FROM:
        return minutes, "minute"
    if minutes < _DAYS_FROM:
        return round(minutes / 60), "hour"
    return round(minutes / 1440), "day"
