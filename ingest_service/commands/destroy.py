"""``hemvital-ingest destroy``: one patient's record, on a decision; first only shown."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from functools import partial
from typing import Final
from uuid import UUID

from ingest_service import destruction
from ingest_service.commands.database import OK, Clock, Commands, as_owner, plain
from ingest_service.destruction import Survey
from ingest_service.store.connections import Connection
from ingest_service.store.destruction import Holding

_BACKUPS: Final = (
    "Copies of the database (backups, standbys' archives of the log) still hold it: destroy or\n"
    "age them out, and after a restore from an older one carry out this decision again."
)


def add(commands: Commands, clock: Clock) -> None:
    """Add ``destroy``."""
    about = (
        "Destroy one patient's record because a decision orders it; without --execute only show."
    )
    parser = commands.add_parser("destroy", help=about, description=about)
    parser.add_argument("--patient", type=UUID, required=True)
    parser.add_argument("--decision", required=True, help="number of the decision that orders it")
    parser.add_argument("--by", required=True, help="who carries it out, as it will be kept")
    parser.add_argument("--execute", action="store_true", help="do it; it cannot be undone")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.set_defaults(run=partial(_destroy, clock))


def _destroy(clock: Clock, arguments: argparse.Namespace) -> int:
    found: list[Survey] = []

    async def look(connection: Connection) -> None:
        found.append(await destruction.survey(connection, arguments.patient, now=clock()))

    async def carry_out(connection: Connection) -> None:
        done = await destruction.carry_out(
            connection,
            arguments.patient,
            decision=arguments.decision,
            by=arguments.by,
            now=clock(),
        )
        found.append(done)

    as_owner(carry_out if arguments.execute else look)
    if arguments.json:
        print(json.dumps(_document(found[0], arguments), default=plain))
    else:
        _tell(found[0], is_done=arguments.execute)
    return OK


def _document(found: Survey, arguments: argparse.Namespace) -> dict[str, object]:
    return {
        "patient_id": found.patient_id,
        "decision": arguments.decision,
        "is_done": arguments.execute,
        "obstacles": found.obstacles,
        "destroyed": [asdict(one) for one in found.destroyed],
        "kept": [asdict(one) for one in found.kept],
        "receivers": [asdict(one) for one in found.receivers],
    }


def _tell(found: Survey, *, is_done: bool) -> None:
    print("Destroyed:" if is_done else "Would be destroyed:")
    for one in found.destroyed:
        print(_line(one))
    print("Kept, without values or names:")
    for one in found.kept:
        print(_line(one))
    print("Must destroy it too, having received it:")
    for receiver in found.receivers:
        print(
            f"  {receiver.name} ({receiver.kind} {receiver.id}), "
            f"{receiver.first_at:%Y-%m-%d} to {receiver.last_at:%Y-%m-%d}"
        )
    if not found.receivers:
        print("  nobody")
    print(_BACKUPS)
    for obstacle in found.obstacles:
        print(f"Stands against it: {obstacle}")
    if not is_done:
        print("Nothing was changed. With --execute it is carried out.")


def _line(one: Holding) -> str:
    span = f"{one.first_at:%Y-%m-%d} to {one.last_at:%Y-%m-%d}" if one.first_at else ""
    return f"  {one.table:<20} {one.rows:>8}  {span}".rstrip()
