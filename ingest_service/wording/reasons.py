"""Why rules other than single limits alerted, in one sentence each, from an alert's facts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final

from babel.dates import format_datetime
from babel.numbers import get_decimal_symbol

from ingest_service.alerts.alert import Evidence, Facts
from ingest_service.plans.limits import Family, Measure
from ingest_service.wording.catalogue import Catalogue

_UNIT: Final[Mapping[Measure, str]] = {
    Measure.SYSTOLIC: "mmHg",
    Measure.DIASTOLIC: "mmHg",
    Measure.SPO2: "%",
    Measure.BODY_WEIGHT: "kg",
}

Words = Callable[[Catalogue, Facts, Sequence[Evidence]], str]


def of_rule(catalogue: Catalogue, rule: str, facts: Facts, used: Sequence[Evidence]) -> str | None:
    """Return the sentence of a rule of another kind than a single limit, ``None`` if it is none.

    Args:
        catalogue: The reader's language.
        rule: The alert's rule, such as ``sustained.high``.
        facts: What the rule noted.
        used: What it rests on, oldest first.
    """
    words = _KINDS.get(rule.split(".", maxsplit=1)[0])
    return None if words is None else words(catalogue, facts, used)


def amount(catalogue: Catalogue, value: Decimal | None, measure: Measure | None) -> str:
    """Return a value with its unit, as the language writes it."""
    if value is None:
        return ""
    number = f"{value:f}".replace(".", get_decimal_symbol(catalogue.code))
    if measure is Measure.PULSE:
        return catalogue.gettext("%(value)s per minute") % {"value": number}
    unit = _UNIT.get(measure) if measure else None
    return f"{number}\N{NO-BREAK SPACE}{unit}" if unit else number


def moment(catalogue: Catalogue, at: datetime | None) -> str:
    """Return a time with its date, on the clock that it carries."""
    if at is None:
        return catalogue.gettext("an unknown time")
    return format_datetime(at, "d MMM HH:mm", locale=catalogue.locale)


def _name(catalogue: Catalogue, measure: Measure | None) -> str:
    _ = catalogue.gettext
    names = {
        Measure.SYSTOLIC: _("Systolic pressure"),
        Measure.DIASTOLIC: _("Diastolic pressure"),
        Measure.PULSE: _("Pulse"),
        Measure.SPO2: _("Oxygen saturation"),
        Measure.BODY_WEIGHT: _("Weight"),
    }
    return names[measure] if measure else _("A value")


def _families(catalogue: Catalogue) -> Mapping[str, str]:
    return {
        Family.BLOOD_PRESSURE: catalogue.gettext("Blood pressure"),
        Family.PULSE: _name(catalogue, Measure.PULSE),
        Family.SPO2: _name(catalogue, Measure.SPO2),
        Family.BODY_WEIGHT: _name(catalogue, Measure.BODY_WEIGHT),
    }


def _value(used: Sequence[Evidence], measure: Measure | None) -> Decimal | None:
    for one in reversed(used):
        found = {Measure.SYSTOLIC: one.systolic, Measure.DIASTOLIC: one.diastolic}.get(
            measure or Measure.SPO2, one.value
        )
        if found is not None:
            return found
    return None


def _sustained(catalogue: Catalogue, facts: Facts, used: Sequence[Evidence]) -> str:
    _ = catalogue.gettext
    value = _value(used, facts.measure)
    is_low = None not in (value, facts.limit) and (value or 0) < (facts.limit or 0)
    days = facts.unit == "days"
    if is_low and days:
        text = _("%(name)s below %(limit)s on %(count)d of the last %(of)d days, last %(value)s.")
    elif is_low:
        text = _("%(name)s below %(limit)s in %(count)d of %(of)d readings, last %(value)s.")
    elif days:
        text = _("%(name)s above %(limit)s on %(count)d of the last %(of)d days, last %(value)s.")
    else:
        text = _("%(name)s above %(limit)s in %(count)d of %(of)d readings, last %(value)s.")
    return text % {
        "name": _name(catalogue, facts.measure),
        "limit": amount(catalogue, facts.limit, facts.measure),
        "count": facts.count or 0,
        "of": facts.of or 0,
        "value": amount(catalogue, value, facts.measure),
    }


def _baseline(catalogue: Catalogue, facts: Facts, used: Sequence[Evidence]) -> str:
    text = catalogue.gettext(
        "%(name)s %(value)s, %(difference)s from the patient's usual %(low)s-%(high)s,"
        " %(count)d readings in a row."
    )
    return text % {
        "name": _name(catalogue, facts.measure),
        "value": amount(catalogue, _value(used, facts.measure), facts.measure),
        "difference": amount(catalogue, facts.difference, facts.measure),
        "low": amount(catalogue, facts.usual_low, None),
        "high": amount(catalogue, facts.usual_high, facts.measure),
        "count": facts.count or 0,
    }


def _average(catalogue: Catalogue, facts: Facts, used: Sequence[Evidence]) -> str:
    last = used[-1] if used else None
    text = catalogue.gettext(
        "Average blood pressure at home %(systolic)s/%(diastolic)s mmHg by the protocol"
        " %(protocol)s (version %(version)d), beyond the patient's limits for averages."
    )
    return text % {
        "systolic": amount(catalogue, last and last.systolic, None) or "-",
        "diastolic": amount(catalogue, last and last.diastolic, None) or "-",
        "protocol": facts.protocol or "-",
        "version": facts.protocol_version or 0,
    }


def _change(catalogue: Catalogue, facts: Facts, used: Sequence[Evidence]) -> str:
    _ = catalogue.gettext
    first, last = _value(used[:1], facts.measure), _value(used, facts.measure)
    is_fall = first is not None and last is not None and last < first
    text = (
        _("%(name)s fell by %(difference)s within %(days)d days, to %(value)s.")
        if is_fall
        else _("%(name)s rose by %(difference)s within %(days)d days, to %(value)s.")
    )
    difference = None if facts.difference is None else abs(facts.difference)
    return text % {
        "name": _name(catalogue, facts.measure),
        "difference": amount(catalogue, difference, facts.measure),
        "days": facts.days or 0,
        "value": amount(catalogue, last, facts.measure),
    }


def _symptom(catalogue: Catalogue, facts: Facts, used: Sequence[Evidence]) -> str:
    _ = catalogue.gettext
    given = {"question": facts.question or "-", "answer": facts.answer or "-"}
    measured = [one for one in used if one.code != facts.question]
    if facts.measure is None or not measured:
        return _("The patient answered %(answer)s to the question %(question)s.") % given
    given["name"] = _name(catalogue, facts.measure)
    given["value"] = amount(catalogue, _value(measured, facts.measure), facts.measure)
    return (
        _("The patient answered %(answer)s to the question %(question)s, with %(name)s %(value)s.")
        % given
    )


def _missed(catalogue: Catalogue, facts: Facts, used: Sequence[Evidence]) -> str:
    del used
    text = catalogue.gettext(
        "No reading in %(count)d of the last %(of)d times to measure, the first on %(since)s."
    )
    return text % {
        "count": facts.count or 0,
        "of": facts.of or 0,
        "since": moment(catalogue, facts.since),
    }


def _silence(catalogue: Catalogue, facts: Facts, used: Sequence[Evidence]) -> str:
    del used
    _ = catalogue.gettext
    if facts.unit is not None:
        return _silence_of_one(catalogue, facts, _families(catalogue).get(facts.unit, facts.unit))
    if facts.cause == "trend":
        text = _("Nothing measured since %(since)s, and the last values were worrying: call.")
    else:
        text = _("Nothing measured since %(since)s, although readings would reach us.")
    return text % {"since": moment(catalogue, facts.since)}


def _silence_of_one(catalogue: Catalogue, facts: Facts, what: str) -> str:
    _ = catalogue.gettext
    if facts.cause == "trend":
        text = _("%(what)s not measured since %(since)s, and its last values were worrying: call.")
    else:
        text = _("%(what)s not measured since %(since)s, although other things are.")
    return text % {"what": what, "since": moment(catalogue, facts.since)}


def _unmonitored(catalogue: Catalogue, facts: Facts, used: Sequence[Evidence]) -> str:
    del used
    text = catalogue.gettext(
        "Not monitored since %(since)s: readings would not reach us. Call the patient."
    )
    return text % {"since": moment(catalogue, facts.since)}


def _reconnect(catalogue: Catalogue, facts: Facts, used: Sequence[Evidence]) -> str:
    text = catalogue.gettext(
        "%(count)d readings came late, the oldest of %(since)s. Worst: %(worst)s. Newest:"
        " %(newest)s."
    )
    worst = max(used, key=_badness, default=None)
    return text % {
        "count": facts.count or len(used),
        "since": moment(catalogue, facts.since),
        "worst": _measured(catalogue, worst),
        "newest": _measured(catalogue, max(used, key=lambda one: one.effective_at, default=None)),
    }


def _badness(one: Evidence) -> int:
    return one.level.rank if one.level else 0


def _measured(catalogue: Catalogue, one: Evidence | None) -> str:
    if one is None:
        return "-"
    units = {"mm[Hg]": "mmHg", "/min": "/min"}
    numbers = (one.systolic, one.diastolic) if one.systolic is not None else (one.value,)
    value = "/".join(amount(catalogue, each, None) for each in numbers if each is not None)
    unit = units.get(one.unit or "", one.unit or "")
    return f"{value}\N{NO-BREAK SPACE}{unit} ({moment(catalogue, one.effective_at)})"


def _outage(catalogue: Catalogue, facts: Facts, used: Sequence[Evidence]) -> str:
    del used
    text = catalogue.gettext(
        "Readings of many patients have not reached us since %(since)s: follow the routine for"
        " outages."
    )
    return text % {"since": moment(catalogue, facts.since)}


_KINDS: Final[Mapping[str, Words]] = {
    "sustained": _sustained,
    "baseline": _baseline,
    "average": _average,
    "change": _change,
    "symptom": _symptom,
    "missed": _missed,
    "silence": _silence,
    "unmonitored": _unmonitored,
    "reconnect": _reconnect,
    "outage": _outage,
}
