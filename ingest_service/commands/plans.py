"""``hemvital-ingest plans``: what patients are judged by, and a clinician's decisions about it."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from uuid import UUID

import msgspec
from psycopg.errors import ForeignKeyViolation

from ingest_service.admission import planning
from ingest_service.admission.planning import Proposed
from ingest_service.commands.database import FAILED, OK, Clock, Commands, as_operator, plain
from ingest_service.plans import reading
from ingest_service.plans.limits import Level
from ingest_service.plans.plan import Approval, Plan, Status
from ingest_service.plans.templates import library, template
from ingest_service.plans.templates.template import Template
from ingest_service.store import plans
from ingest_service.store.connections import Connection
from ingest_service.store.plans import Affected, Version


def add(commands: Commands, clock: Clock) -> None:
    """Add ``plans`` and what can be done with one."""
    about = "Measurement plans: what patients are judged by, and who approved it."
    parser = commands.add_parser("plans", help=about, description=about)
    within = parser.add_subparsers(required=True, metavar="list|show|write|approve|…")
    listed = within.add_parser("list", help="Every version of a patient's plans.")
    listed.add_argument("--patient", type=UUID, required=True, help="the patient's id")
    show = within.add_parser("show", help="The document of a plan's version.")
    show.add_argument("plan", type=UUID)
    show.add_argument("--version", type=int, help="without it, the latest")
    write = within.add_parser("write", help="Write a draft from a file; nobody is judged by it.")
    write.add_argument("file", type=Path)
    write.add_argument("--by", required=True, help="who writes: an HSA-id")
    approve = within.add_parser("approve", help="Let a patient be judged by a draft.")
    approve.add_argument("plan", type=UUID)
    approve.add_argument("--version", type=int, required=True, help="the draft that was read")
    approve.add_argument("--permanent-reason", help="why a limit is loosened for good")
    stop = within.add_parser("stop", help="Put a plan on hold, revoke or complete it.")
    stop.add_argument("plan", type=UUID)
    stop.add_argument("--as", dest="status", required=True, choices=_STOPS)
    resume = within.add_parser("resume", help="Let a plan on hold judge again.")
    resume.add_argument("plan", type=UUID)
    for decision in (approve, stop, resume):
        decision.add_argument("--by", required=True, help="who decides: an HSA-id")
        decision.add_argument("--role", required=True, help="in which role, such as physician")
    for decision in (stop, resume):
        decision.add_argument("--why", required=True, help="why, without personal data")
    replay = within.add_parser(
        "replay", help="What a plan in a file would have alerted on, beside the present one."
    )
    replay.add_argument("file", type=Path)
    templates = within.add_parser("templates", help="The templates that there are.")
    adopt = within.add_parser("adopt", help="Store a region's or a unit's own template.")
    adopt.add_argument("file", type=Path)
    whose = adopt.add_mutually_exclusive_group(required=True)
    whose.add_argument("--provider", type=UUID, help="the care provider whose it is")
    whose.add_argument("--unit", type=UUID, help="the care unit whose it is")
    adopt.add_argument("--by", required=True, help="who approved it: an HSA-id")
    adopt.add_argument("--role", required=True, help="in which role, such as physician")
    adopt.add_argument("--check", action="store_true", help="write nothing; tell who is affected")
    affected = within.add_parser("affected", help="Plans from an older version of a template.")
    affected.add_argument("template")
    affected.add_argument("--version", type=int, required=True, help="the newer version")
    for one in (listed, replay, templates, adopt, affected):
        one.add_argument("--json", action="store_true", help="as JSON")
    listed.set_defaults(run=_list)
    show.set_defaults(run=_show)
    templates.set_defaults(run=_templates)
    for timed, run in (
        (write, _write),
        (approve, _approve),
        (stop, _stop),
        (resume, _resume),
        (replay, _replay),
        (adopt, _adopt),
        (affected, _affected),
    ):
        timed.set_defaults(run=partial(run, clock=clock))


_STOPS = tuple(map(str, (Status.ON_HOLD, Status.REVOKED, Status.COMPLETED)))


def _list(arguments: argparse.Namespace) -> int:
    found: list[Version] = []

    async def read(connection: Connection) -> None:
        found.extend(await plans.of_patient(connection, arguments.patient))

    as_operator(read)
    for one in found:
        if arguments.json:
            line = {k: v for k, v in asdict(one).items() if k not in {"body", "replay"}}
            print(json.dumps(line, default=plain))
        else:
            since = f"{one.valid_from:%Y-%m-%d %H:%M}Z" if one.valid_from else "never"
            until = f" to {one.valid_until:%Y-%m-%d %H:%M}Z" if one.valid_until else ""
            who = f"{one.approved_by} ({one.approved_role})" if one.approved_by else "nobody"
            print(f"{one.id} {one.version:>3}  {one.status:9}  {one.programme}: ", end="")
            print(f"holds {since}{until}, approved by {who}")
    if not found:
        print("That patient has no plan: nobody judges the readings.", file=sys.stderr)
    return OK


def _show(arguments: argparse.Namespace) -> int:
    found: list[Version] = []

    async def read(connection: Connection) -> None:
        found.extend(await plans.versions(connection, arguments.plan))

    as_operator(read)
    wanted = [one for one in found if arguments.version in {None, one.version}]
    if not wanted:
        print(f"There is no such version of a plan {arguments.plan}.", file=sys.stderr)
        return FAILED
    print(json.dumps(json.loads(wanted[-1].body), ensure_ascii=False, indent=2))
    return OK


def _write(arguments: argparse.Namespace, clock: Clock) -> int:
    plan = _from(arguments.file)

    async def write(connection: Connection) -> None:
        draft = await planning.write(connection, plan, by=arguments.by, now=clock())
        print(f"Draft {draft.id} version {draft.version} is written; nobody is judged by it yet.")

    as_operator(write)
    return OK


def _approve(arguments: argparse.Namespace, clock: Clock) -> int:
    async def approve(connection: Connection) -> None:
        plan, shown = await planning.approve(
            connection,
            arguments.plan,
            arguments.version,
            by=arguments.by,
            role=arguments.role,
            now=clock(),
            permanent_reason=arguments.permanent_reason,
        )
        print(f"Plan {plan.id} version {plan.version} is in force. {_in_words(shown)}")

    as_operator(approve)
    return OK


def _stop(arguments: argparse.Namespace, clock: Clock) -> int:
    async def stop(connection: Connection) -> None:
        plan = await planning.stop(
            connection,
            arguments.plan,
            Status(arguments.status),
            by=arguments.by,
            role=arguments.role,
            reason=arguments.why,
            now=clock(),
        )
        print(f"Plan {plan.id} is {plan.status}: nobody is judged by it.")

    as_operator(stop)
    return OK


def _resume(arguments: argparse.Namespace, clock: Clock) -> int:
    async def resume(connection: Connection) -> None:
        plan = await planning.resume(
            connection,
            arguments.plan,
            by=arguments.by,
            role=arguments.role,
            reason=arguments.why,
            now=clock(),
        )
        print(f"Plan {plan.id} version {plan.version} is in force.")

    as_operator(resume)
    return OK


def _replay(arguments: argparse.Namespace, clock: Clock) -> int:
    plan = _from(arguments.file)

    async def look(connection: Connection) -> None:
        shown = await planning.proposed(connection, plan, now=clock())
        if arguments.json:
            print(json.dumps(msgspec.to_builtins(shown, str_keys=True), ensure_ascii=False))
            return
        print(_in_words(shown))
        for each in shown.after.calls:
            again = " again" if each.is_again else ""
            print(f"  {each.at:%Y-%m-%d %H:%M}Z  {each.level:6}  {each.rule}{again}")

    as_operator(look)
    return OK


def _templates(arguments: argparse.Namespace) -> int:
    found: dict[tuple[str, int], Template] = dict(library.shipped())

    async def read(connection: Connection) -> None:
        found.update(await plans.templates_of(connection))

    as_operator(read)
    for one in found.values():
        if arguments.json:
            print(msgspec.json.encode(one).decode())
        else:
            print(f"{one.id} {one.version}  {one.title}")
    return OK


def _adopt(arguments: argparse.Namespace, clock: Clock) -> int:
    given = template.parse(arguments.file.read_bytes(), name=arguments.file.name)
    found: list[Affected] = []

    async def adopt(connection: Connection) -> None:
        found.extend(
            await planning.adopt(
                connection,
                given,
                owner=arguments.provider or arguments.unit,
                is_unit=arguments.unit is not None,
                approval=Approval(by=arguments.by, role=arguments.role, at=clock()),
            )
        )
        if arguments.check:
            await connection.rollback()

    try:
        as_operator(adopt)
    except ForeignKeyViolation:
        print("There is no such care provider or care unit.", file=sys.stderr)
        return FAILED
    if not arguments.json:
        done = "could be" if arguments.check else "is"
        print(f"Template {given.id} version {given.version} {done} stored. ", end="")
        print(f"Plans of an older version: {len(found)}.")
    _tell_affected(found, is_json=arguments.json)
    return OK


def _affected(arguments: argparse.Namespace, clock: Clock) -> int:
    found: list[Affected] = []

    async def read(connection: Connection) -> None:
        found.extend(
            await plans.affected(connection, arguments.template, arguments.version, clock())
        )

    as_operator(read)
    _tell_affected(found, is_json=arguments.json)
    return OK


def _tell_affected(found: Iterable[Affected], *, is_json: bool) -> None:
    for one in found:
        if is_json:
            print(json.dumps(asdict(one), default=plain))
        else:
            print(f"{one.patient_id}  plan {one.plan_id} version {one.version}, ", end="")
            print(f"from template version {one.template_version}")


def _from(file: Path) -> Plan:
    return reading.decode(file.read_bytes(), name=file.name)


def _in_words(shown: Proposed) -> str:
    def counted(per_week: dict[Level, float]) -> str:
        return ", ".join(f"{per_week[level]:g} {level}" for level in reversed(Level))

    return (
        f"Alerts a week over two weeks: {counted(shown.after.per_week)}; "
        f"by the present plan: {counted(shown.before.per_week)}."
    )
