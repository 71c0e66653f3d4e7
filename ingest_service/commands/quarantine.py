"""``hemvital-ingest quarantine``: what waits, and what a person decides about it."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from dataclasses import asdict
from functools import partial
from typing import Final
from uuid import UUID

from ingest_service.admission import decisions
from ingest_service.admission.fate import Result
from ingest_service.admission.incoming import Reason
from ingest_service.admission.persistence import readmit_surely
from ingest_service.commands.database import (
    FAILED,
    OK,
    Clock,
    Commands,
    as_ingest,
    as_operator,
    plain,
)
from ingest_service.commands.decisions import add_decider, decision_of, moment
from ingest_service.store import alerts, quarantine
from ingest_service.store.connections import Connection
from ingest_service.store.quarantine import Ending

_BATCH: Final = 100


def add(commands: Commands, clock: Clock) -> None:
    """Add ``quarantine`` and what can be done with it."""
    about = "Look at what waits in the quarantine, and decide."
    parser = commands.add_parser("quarantine", help=about, description=about)
    within = parser.add_subparsers(required=True, metavar="list|show|assign|reject|replay")
    one = within.add_parser("list", help="What waits, oldest first.")
    one.add_argument("--all", action="store_true", help="also what waits no longer")
    one.add_argument("--json", action="store_true", help="one JSON object a line")
    one.set_defaults(run=_list)
    show = within.add_parser("show", help="The bytes of one entry, as they came.")
    show.add_argument("id", type=int)
    show.set_defaults(run=_show)
    assign = within.add_parser(
        "assign", help="Decide whose a reading is: it is stored and judged."
    )
    assign.add_argument("id", type=int)
    assign.add_argument("--patient", type=UUID, required=True, help="the patient's id")
    assign.add_argument(
        "--effective-at", type=moment, help="when it was measured, with a zone; else as it says"
    )
    add_decider(assign, is_reasoned=True)
    assign.set_defaults(run=partial(_assign, clock=clock))
    reject = within.add_parser("reject", help="Decide that an entry is in nobody's record.")
    reject.add_argument("id", type=int)
    add_decider(reject)
    reject.set_defaults(run=_reject)
    replay = within.add_parser(
        "replay", help="Take entries through the door again, by what is known now."
    )
    replay.add_argument("id", type=int, nargs="*", help="these alone; without, all that wait")
    replay.add_argument("--reason", choices=sorted(Reason), help="those that wait for this alone")
    add_decider(replay)
    replay.set_defaults(run=partial(_replay, clock=clock))


def _list(arguments: argparse.Namespace) -> int:
    async def show(connection: Connection) -> None:
        after = 0
        while page := await quarantine.page(connection, after=after, is_all=arguments.all):
            for entry in page:
                if arguments.json:
                    print(json.dumps(asdict(entry), default=plain))
                else:
                    at = f"{entry.received_at:%Y-%m-%d %H:%M:%S}Z"
                    number = entry.number or "-"
                    print(f"{entry.id:>8}  {at}  {entry.gateway_id}  {number}  ", end="")
                    priority = f"{entry.priority}  ".upper() if entry.priority else ""
                    print(f"{priority}{entry.reason}: {entry.detail}")
            after = page[-1].id

    as_ingest(show)
    return OK


def _show(arguments: argparse.Namespace) -> int:
    found: list[bytes] = []

    async def show(connection: Connection) -> None:
        if (payload := await quarantine.payload(connection, arguments.id)) is not None:
            found.append(payload)

    as_ingest(show)
    if not found:
        print(f"The quarantine has no entry {arguments.id}.", file=sys.stderr)
        return FAILED
    sys.stdout.buffer.write(found[0])
    sys.stdout.buffer.flush()
    return OK


def _assign(arguments: argparse.Namespace, clock: Clock) -> int:
    async def assign(connection: Connection) -> None:
        decided = await decisions.assign(
            connection,
            arguments.id,
            arguments.patient,
            decision_of(arguments),
            now=clock(),
            effective_at=arguments.effective_at,
        )
        if decided.result == Result.DUPLICATE:
            print(f"Reading {decided.record_id} was stored before; the entry waits no longer.")
        else:
            print(f"Reading {decided.record_id} is stored; alert events: {decided.alerts}.")

    as_operator(assign)
    return OK


def _replay(arguments: argparse.Namespace, clock: Clock) -> int:
    ending = Ending("replayed", arguments.by, arguments.why)
    counts = Counter[str]()

    async def replay(connection: Connection) -> None:
        after = 0
        while ids := arguments.id or await quarantine.ids_waiting(
            connection, after=after, most=_BATCH, reason=arguments.reason
        ):
            await connection.commit()
            counts.update(entries=len(ids))
            for outcome in await readmit_surely(connection, ids, ending, now=clock()):
                counts.update(stored=outcome.counts["released"], moved=len(outcome.refused))
            after = max(ids)
            if arguments.id:
                break

    as_operator(replay)
    print(
        f"{counts['entries']} looked at, {counts['stored']} let in,"
        f" {counts['moved']} wait for another reason now."
    )
    return OK


def _reject(arguments: argparse.Namespace) -> int:
    found: list[UUID | None] = []

    async def reject(connection: Connection) -> None:
        entry = await quarantine.reject(
            connection, arguments.id, by=arguments.by, why=arguments.why
        )
        if entry:
            found.append(entry[1])
            await alerts.notify_pages(connection, {unit for unit in found if unit})

    as_operator(reject)
    if not found:
        print(f"No entry {arguments.id} waits in the quarantine.", file=sys.stderr)
        return FAILED
    return OK
