"""``hemvital-ingest backups``: which unit takes over from which, when, and for how long (A11)."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from functools import partial
from typing import Final
from uuid import UUID, uuid4

from psycopg import IntegrityError
from psycopg.errors import CheckViolation, ExclusionViolation, ForeignKeyViolation

from ingest_service.alerts.backup import When
from ingest_service.commands.database import FAILED, OK, Clock, Commands, as_operator, plain
from ingest_service.store import backups
from ingest_service.store.backups import AgreementRow
from ingest_service.store.connections import Connection

_REFUSED: Final[Mapping[type[IntegrityError], str]] = {
    CheckViolation: "A unit is no backup of itself, and --hours is 1 to 72.",
    ExclusionViolation: "Another agreement of that unit holds on that occasion at that time.",
    ForeignKeyViolation: "There is no such care unit.",
}


def add(commands: Commands, clock: Clock) -> None:
    """Add ``backups`` and what can be done with an agreement."""
    about = "Backup units: who answers for a unit that is closed, or does not take its alerts."
    parser = commands.add_parser("backups", help=about, description=about)
    within = parser.add_subparsers(required=True, metavar="list|add|end")
    listed = within.add_parser("list", help="The agreements of a unit that hold or will hold.")
    listed.add_argument("--unit", type=UUID, required=True, help="the care unit's id")
    listed.add_argument("--json", action="store_true", help="one JSON object a line")
    new = within.add_parser("add", help="Register an agreement; prints its id.")
    new.add_argument("--unit", type=UUID, required=True, help="whose alerts are handed over")
    new.add_argument("--backup", type=UUID, required=True, help="the care unit that answers")
    new.add_argument(
        "--when",
        type=When,
        choices=list(When),
        required=True,
        help="closed: red while the unit is closed; escalated: nobody took it",
    )
    new.add_argument("--hours", type=int, default=12, help="how long it may open a patient (12)")
    new.add_argument("--since", type=datetime.fromisoformat, help="with an offset; else now")
    new.add_argument("--until", type=datetime.fromisoformat, help="without it: until it is ended")
    end = within.add_parser("end", help="End an agreement; what was opened stays open.")
    end.add_argument("agreement", type=UUID)
    for decision in (new, end):
        decision.add_argument("--by", required=True, help="who decides: an HSA-id")
    for one, run in ((listed, _list), (new, _add), (end, _end)):
        one.set_defaults(run=partial(run, clock=clock))


def _list(arguments: argparse.Namespace, clock: Clock) -> int:
    found: list[AgreementRow] = []

    async def read(connection: Connection) -> None:
        found.extend(await backups.of_units(connection, [arguments.unit], at=clock()))

    as_operator(read)
    for one in found:
        if arguments.json:
            print(json.dumps(asdict(one), default=plain))
            continue
        until = f" to {one.until:%Y-%m-%d %H:%M%z}" if one.until else ""
        print(f"{one.id}  {one.occasion:9}  {one.backup_unit_id}  ", end="")
        print(f"{one.right_h} h each time, from {one.since:%Y-%m-%d %H:%M%z}{until}")
    if not found:
        print("That unit has no backup: while it is closed nobody answers.", file=sys.stderr)
    return OK


def _add(arguments: argparse.Namespace, clock: Clock) -> int:
    now = clock()
    times = [one for one in (arguments.since, arguments.until) if one is not None]
    if any(one.tzinfo is None for one in times):
        print(
            "--since and --until need an offset: 2026-12-01T08:00:00+01:00.",
            file=sys.stderr,
        )
        return FAILED
    row = AgreementRow(
        id=uuid4(),
        care_unit_id=arguments.unit,
        backup_unit_id=arguments.backup,
        occasion=arguments.when.value,
        right_h=arguments.hours,
        since=arguments.since or now,
        until=arguments.until,
    )
    if row.until is not None and row.until <= max(row.since, now):
        print("--until is over already, or before --since.", file=sys.stderr)
        return FAILED

    async def register(connection: Connection) -> None:
        await backups.register(connection, row, by=arguments.by, at=now)

    try:
        as_operator(register)
    except IntegrityError as error:
        if type(error) not in _REFUSED:
            raise
        print(_REFUSED[type(error)], file=sys.stderr)
        return FAILED
    print(row.id)
    return OK


def _end(arguments: argparse.Namespace, clock: Clock) -> int:
    is_done: list[bool] = []

    async def end(connection: Connection) -> None:
        is_done.append(
            await backups.end(connection, arguments.agreement, by=arguments.by, at=clock())
        )

    as_operator(end)
    if not all(is_done):
        print("No such agreement holds or will hold.", file=sys.stderr)
        return FAILED
    return OK
