"""The list as a page to print: A4, black on white, nothing fetched from anywhere.

In Swedish alone: it is paper for a Swedish clinic on its worst day, and has no reader to ask.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final
from zoneinfo import ZoneInfo

from jinja2 import Environment, StrictUndefined

from ingest_service.downtime.listing import KeyLine, Limit, Listed, Risk, Sheet, Value
from ingest_service.plans.limits import FAMILY_OF_CODE, Family

UNKNOWN: Final = "uppgift saknas"

_HEAD: Final = """<!doctype html>
<html lang="sv">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{{ title }}</title>
<style>
@page { size: A4; margin: 12mm; @bottom-right { content: counter(page) "/" counter(pages); } }
body { font: 10pt/1.3 sans-serif; color: #000; background: #fff; margin: 0; }
h1 { font-size: 15pt; margin: 0 0 2mm; }
p { margin: 0 0 3mm; }
table { width: 100%; border-collapse: collapse; }
thead { display: table-header-group; }
tr { break-inside: avoid; }
th, td { border: 0.3mm solid #000; padding: 1.2mm; text-align: left; vertical-align: top; }
td.box { width: 22mm; }
.red { font-weight: bold; border-left: 2mm solid #000; }
small { font-size: 8.5pt; }
</style>
</head>
<body>
"""

_PAGE: Final = (
    _HEAD
    + """<h1>Reservrutin: ring dessa patienter, {{ unit }}</h1>
<p><strong>Läget {{ written_at }}.</strong> {{ patients|length }} patienter, den som ska ringas
först överst. Värden efter den tiden saknas. Arket innehåller patientuppgifter: lämna det inte
framme, strimla det efteråt och för in i journalen vad som sagts.</p>
<table>
<thead><tr><th>Nr</th><th>Patient</th><th>Telefon</th><th>Senaste värden</th><th>Gränser</th>
<th>Att göra enligt plan</th><th>Ringd kl, sign.</th></tr></thead>
<tbody>
{% for one in patients %}<tr>
<td>{{ loop.index }}</td>
<td class="{{ 'red' if one.alert == 'red' else '' }}">{{ one.name }}<br>{{ one.number }}
{% if one.programme %}<br><small>{{ one.programme }}</small>{% endif %}
{% if one.alert %}<br><strong>{{ one.alert_text }}</strong>{% endif %}
{% if one.risk %}<br><small>{{ one.risk }}</small>{% endif %}</td>
<td>{{ one.phone }}</td>
<td>{% for line in one.values %}{{ line }}<br>
{% else %}inga värden det senaste året{% endfor %}</td>
<td>{% for line in one.limits %}{{ line }}<br>
{% else %}inga gränser: övervakas inte{% endfor %}</td>
<td>{{ one.instruction }}</td>
<td class="box"></td>
</tr>
{% endfor %}</tbody>
</table>
</body>
</html>
"""
)

_KEY: Final = (
    _HEAD
    + """<h1>Skyddade identiteter i reservlistan, {{ unit }}</h1>
<p><strong>Läget {{ written_at }}.</strong> Visas bara för den som ska ringa. Telefon och adress
står inte här: ta dem ur journalsystemet eller genom växeln. Ligger aldrig ihop med listan.</p>
<table>
<thead><tr><th>Nr i listan</th><th>Namn</th><th>Personnummer</th></tr></thead>
<tbody>
{% for one in lines %}<tr>
<td>{{ one.id }}</td><td>{{ one.name }}</td><td>{{ one.number }}</td>
</tr>
{% endfor %}</tbody>
</table>
</body>
</html>
"""
)

_ENVIRONMENT: Final = Environment(autoescape=True, undefined=StrictUndefined)
_PAGES: Final = _ENVIRONMENT.from_string(_PAGE)
_KEYS: Final = _ENVIRONMENT.from_string(_KEY)

_NAMES: Final[Mapping[Family, tuple[str, str]]] = {
    Family.BLOOD_PRESSURE: ("Blodtryck", "mmHg"),
    Family.PULSE: ("Puls", "/min"),
    Family.SPO2: ("SpO2", "%"),
}
_MEASURES: Final = {
    "systolic": "Systoliskt",
    "diastolic": "Diastoliskt",
    "pulse": "Puls",
    "spo2": "SpO2",
}
_ALERTS: Final = {"red": "RÖD", "yellow": "Gul", "blue": "Blå"}
_RISKS: Final = {
    Risk.HIGH: "hög risk enligt plan",
    Risk.MEDIUM: "medelhög risk enligt plan",
    Risk.LOW: "låg risk enligt plan",
    Risk.UNKNOWN: "",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """One patient, in words."""

    name: str
    number: str
    programme: str | None
    alert: str | None
    alert_text: str
    risk: str
    phone: str
    values: Sequence[str]
    limits: Sequence[str]
    instruction: str


def page(sheet: Sheet, zone: ZoneInfo) -> str:
    """Return one unit's list as HTML."""
    now = sheet.written_at
    return _PAGES.render(
        title=f"Reservlista {sheet.unit}",
        unit=sheet.unit,
        written_at=_moment(now, zone),
        patients=[_row(each, now, zone) for each in sheet.patients],
    )


def key_page(unit: str, lines: Sequence[KeyLine], now: datetime, zone: ZoneInfo) -> str:
    """Return who the masked lines are, as HTML."""
    return _KEYS.render(
        title="Skyddade identiteter", unit=unit, written_at=_moment(now, zone), lines=lines
    )


def _row(one: Listed, now: datetime, zone: ZoneInfo) -> _Row:
    since = f" sedan {_moment(one.alert_since, zone)}" if one.alert_since else ""
    phone = "se arket över skyddade identiteter" if one.is_protected else one.phone or UNKNOWN
    return _Row(
        name=one.name,
        number=one.number,
        programme=one.programme,
        alert=one.alert,
        alert_text=f"{_ALERTS.get(one.alert or '', one.alert)}{since}",
        risk=_RISKS[one.risk],
        phone=phone,
        values=[_value(each, now, zone) for each in one.values],
        limits=[_limit(each) for each in one.limits],
        instruction=one.instruction or UNKNOWN,
    )


def _value(one: Value, now: datetime, zone: ZoneInfo) -> str:
    family = FAMILY_OF_CODE.get(one.code)
    name, unit = _NAMES[family] if family else (one.code, "")
    number = (
        _number(one.value)
        if one.systolic is None
        else f"{_number(one.systolic)}/{_number(one.diastolic)}"
    )
    return f"{name} {number} {unit}, {_moment(one.measured_at, zone)} ({_age(one, now)})"


def _limit(one: Limit) -> str:
    parts = [
        f"{word} {side} {_number(limit)}"
        for word, side, limit in (
            ("röd", "under", one.red_low),
            ("gul", "under", one.yellow_low),
            ("gul", "över", one.yellow_high),
            ("röd", "över", one.red_high),
        )
        if limit is not None
    ]
    return f"{_MEASURES.get(one.measure, one.measure)}: {', '.join(parts)}"


def _number(value: Decimal | None) -> str:
    return "?" if value is None else f"{value:f}".replace(".", ",")


def _age(one: Value, now: datetime) -> str:
    minutes = max(int((now - one.measured_at).total_seconds() // 60), 0)
    if minutes < 2 * 60:
        return f"{minutes} min"
    if minutes < 2 * 24 * 60:
        return f"{minutes // 60} tim"
    return f"{minutes // (24 * 60)} dygn"


def _moment(at: datetime, zone: ZoneInfo) -> str:
    return f"{at.astimezone(zone):%Y-%m-%d %H:%M}"
