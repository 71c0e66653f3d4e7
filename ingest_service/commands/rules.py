"""``hemvital rules evaluate``: what a plan makes of readings, by the code of production.

docs/reference/rules-evaluate.md says what goes in and comes out.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec

from ingest_service.alerts.alert import Alert
from ingest_service.alerts.case import Case
from ingest_service.alerts.history import History
from ingest_service.alerts.running import run
from ingest_service.commands import readings_file
from ingest_service.commands.database import FAILED, OK, USAGE
from ingest_service.commands.decisions import moment
from ingest_service.plans import checking, reading
from ingest_service.plans import hours as opening_hours
from ingest_service.plans.default_hours import DEFAULT_HOURS
from ingest_service.plans.hours import Hours, HoursError
from ingest_service.plans.plan import Plan
from ingest_service.plans.reading import PlanError
from ingest_service.plans.wall_clock import zone_named
from ingest_service.protocols import library
from ingest_service.protocols.averaging import Average
from ingest_service.wording import catalogue, sentences

_MOST_BYTES: Final = 64 * 1024 * 1024
_LANGUAGES: Final = ("sv", "en")


class InputError(Exception):
    """A file cannot be used; the text says which and where."""


def main(argv: list[str] | None = None) -> int:
    """Run one command of ``hemvital``: 0 done, 1 an input cannot be used, 2 usage."""
    arguments = _parser().parse_args(argv)
    try:
        print(json.dumps(_evaluate(arguments), ensure_ascii=False, indent=2, sort_keys=True))
        sys.stdout.flush()
    except InputError as error:
        print(error, file=sys.stderr)
        return FAILED
    except BrokenPipeError:  # whoever reads has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except OSError as error:
        print(f"{error.filename}: {error.strerror}", file=sys.stderr)
        return USAGE
    return OK


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="hemvital", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    rules = commands.add_parser("rules", help="What the clinical core does.")
    within = rules.add_subparsers(required=True, metavar="evaluate")
    evaluate = within.add_parser("evaluate", help="Alerts, sentences, states and averages.")
    evaluate.add_argument("--plan", type=Path, required=True, help="a plan, as JSON")
    evaluate.add_argument("--readings", type=Path, required=True, help="what came, JSON Lines")
    evaluate.add_argument("--hours", type=Path, help="the unit's opening hours, as JSON")
    evaluate.add_argument("--now", type=moment, required=True, help="the time it is, with a zone")
    return parser


def _evaluate(arguments: argparse.Namespace) -> dict[str, Any]:
    plan = _plan(arguments.plan)
    hours = _hours(arguments.hours) if arguments.hours else DEFAULT_HOURS
    inputs = _inputs(arguments.readings)
    now: datetime = arguments.now
    begins = min([now, plan.since, *(each.received_at for each in inputs)])
    case = Case(
        patient_id=plan.patient_id,
        care_unit_id=plan.care_unit_id,
        plan=plan,
        hours=hours,
        history=History(),
        judged_through=max(begins, plan.since) if plan.since <= now else begins,
    )
    try:
        averages = run(case, inputs, until=now, protocol_of=library.newest)
    except ArithmeticError as error:
        raise InputError(f"{arguments.readings.name}: a value cannot be compared") from error
    return {
        "plan": {"id": str(plan.id), "version": plan.version, "in_force": plan.is_in_force(now)},
        "now": now.isoformat(),
        "readings": len(inputs),
        "alerts": [_alert(each, zone_named(plan.time_zone)) for each in _all(case)],
        "events": [
            {
                "at": change.at.isoformat(),
                "event": change.event,
                "rule": change.alert.rule,
                "priority": change.alert.priority,
                "by": change.by,
            }
            for change in case.changes
        ],
        "messages": [msgspec.to_builtins(each, str_keys=True) for each in case.messages],
        "averages": [_average(each) for each in averages],
    }


def _plan(path: Path) -> Plan:
    try:
        plan = reading.decode(_content(path))
    except PlanError as error:
        raise InputError(f"{path.name}: {error}") from error
    if found := checking.faults(plan):
        raise InputError(f"{path.name}: " + "; ".join(found))
    return plan


def _hours(path: Path) -> Hours:
    try:
        return opening_hours.decode(_content(path))
    except HoursError as error:
        raise InputError(f"{path.name}: {error}") from error


def _inputs(path: Path) -> list[readings_file.Input]:
    try:
        return readings_file.parse(_content(path))
    except readings_file.LineError as error:
        raise InputError("\n".join(f"{path.name}:{each}" for each in error.faults)) from error


def _content(path: Path) -> bytes:
    with path.open("rb") as file:
        content = file.read(_MOST_BYTES + 1)
    if len(content) > _MOST_BYTES:
        raise InputError(f"{path.name}: more than {_MOST_BYTES} bytes")
    return content


def _all(case: Case) -> list[Alert]:
    """Return every alert as it stands last, in the order in which they came up."""
    last: dict[UUID, Alert] = {}
    for change in case.changes:
        last[change.alert.id] = change.alert
    return list(last.values())


def _alert(alert: Alert, zone: ZoneInfo) -> dict[str, Any]:
    used = sorted(alert.standing, key=lambda one: one.effective_at)
    said = catalogue.load()
    return {
        "id": str(alert.id),
        "rule": alert.rule,
        "rule_version": alert.rule_version,
        "priority": alert.priority,
        "state": alert.state,
        "raised_at": _time(alert.raised_at),
        "confirm_by": _time(alert.confirm_by),
        "due_at": _time(alert.due_at),
        "outcome": alert.outcome,
        "plan_version": alert.plan_version,
        "limits": msgspec.to_builtins(alert.limits, str_keys=True),
        "facts": msgspec.to_builtins(alert.facts, str_keys=True),
        "readings": msgspec.to_builtins(alert.readings, str_keys=True),
        "sentences": {
            language: sentences.sentence(
                said[language], alert.rule, alert.limits, used, alert.facts, zone=zone
            )
            for language in _LANGUAGES
        },
    }


def _average(average: Average) -> dict[str, Any]:
    return {
        "protocol": average.protocol_id,
        "protocol_version": average.protocol_version,
        "period": msgspec.to_builtins(average.period, str_keys=True),
        "systolic": _number(average.systolic),
        "diastolic": _number(average.diastolic),
        "pulse": _number(average.pulse),
        "is_enough": average.is_enough,
        "missing": msgspec.to_builtins(average.missing, str_keys=True),
        "used": [str(each.id) for each in average.used],
        "excluded": [
            {"id": str(each.reading.id), "reason": each.reason} for each in average.left_out
        ],
    }


def _number(value: object) -> str | None:
    return None if value is None else str(value)


def _time(at: datetime | None) -> str | None:
    return at.isoformat() if at else None
