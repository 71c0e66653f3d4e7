"""``hemvital-ingest readings``: what a person decides about a reading that is stored."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from dataclasses import asdict
from functools import partial
from typing import Final
from uuid import UUID

from device_adapters import registry
from ingest_service.admission import decisions, replaying
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
from ingest_service.jobs.replay import decoder
from ingest_service.store import provenance, records
from ingest_service.store.connections import Connection

_BATCH: Final = 200
_NIL: Final = UUID(int=0)


def add(commands: Commands, clock: Clock) -> None:
    """Add ``readings`` and what can be decided about one."""
    about = "Decide about stored readings: whose they are, or that they are nobody's."
    parser = commands.add_parser("readings", help=about, description=about)
    within = parser.add_subparsers(required=True, metavar="reassign|invalidate|replay|history")
    reassign = within.add_parser("reassign", help="Give a reading to another patient.")
    reassign.add_argument("record", type=UUID, help="the reading's record id")
    reassign.add_argument("--patient", type=UUID, required=True, help="the patient's id")
    add_decider(reassign, is_reasoned=True)
    reassign.set_defaults(run=partial(_reassign, clock=clock))
    invalidate = within.add_parser("invalidate", help="Take a reading back: it is nobody's.")
    invalidate.add_argument("record", type=UUID, help="the reading's record id")
    add_decider(invalidate, is_reasoned=True)
    invalidate.set_defaults(run=partial(_invalidate, clock=clock))
    replay = within.add_parser(
        "replay", help="Read kept bytes anew by the codecs and mapping of this program."
    )
    replay.add_argument("record", type=UUID, nargs="*", help="these alone; without, all")
    replay.add_argument("--device", help="of this device alone")
    replay.add_argument("--since", type=moment, help="measured at or after this, with a zone")
    replay.add_argument("--until", type=moment, help="measured before this, with a zone")
    replay.add_argument("--execute", action="store_true", help="without it, only count")
    add_decider(replay, is_reasoned=True)
    replay.set_defaults(run=partial(_replay, clock=clock))
    history = within.add_parser("history", help="What was decided about a reading, and by whom.")
    history.add_argument("record", type=UUID, help="the reading's record id")
    history.add_argument("--json", action="store_true", help="one JSON object a line")
    history.set_defaults(run=_history)


def _reassign(arguments: argparse.Namespace, clock: Clock) -> int:
    async def reassign(connection: Connection) -> None:
        decided = await decisions.reassign(
            connection,
            arguments.record,
            arguments.patient,
            decision_of(arguments),
            now=clock(),
        )
        print(f"Reading {decided.record_id} is that patient's; alert events: {decided.alerts}.")

    as_operator(reassign)
    return OK


def _invalidate(arguments: argparse.Namespace, clock: Clock) -> int:
    async def invalidate(connection: Connection) -> None:
        decided = await decisions.invalidate(
            connection, arguments.record, decision_of(arguments), now=clock()
        )
        print(f"Reading {decided.record_id} is taken back; alert events: {decided.alerts}.")

    as_operator(invalidate)
    return OK


def _replay(arguments: argparse.Namespace, clock: Clock) -> int:
    counts = Counter[str]()
    decode, decision = decoder(registry.load()), decision_of(arguments)

    async def replay(connection: Connection) -> None:
        after = _NIL
        while ids := arguments.record or await records.ids(
            connection,
            after=after,
            most=_BATCH,
            device=arguments.device,
            since=arguments.since,
            until=arguments.until,
        ):
            await connection.commit()
            counts.update(
                await replaying.replay(
                    connection,
                    ids,
                    decode,
                    decision,
                    now=clock(),
                    is_trial=not arguments.execute,
                )
            )
            print(f"  {counts.total()} read, {counts['changed']} differ", file=sys.stderr)
            after = max(ids)
            if arguments.record:
                break

    as_operator(replay)
    verb = "changed" if arguments.execute else "would change"
    print(
        f"{counts.total()} read: {counts['changed']} {verb}, {counts['unchanged']} alike,"
        f" {counts['unreadable']} without a codec here, {counts['impossible']} impossible now."
    )
    return OK


def _history(arguments: argparse.Namespace) -> int:
    found = list[provenance.Decided]()

    async def read(connection: Connection) -> None:
        found.extend(await provenance.of_record(connection, arguments.record))

    as_ingest(read)
    for one in found:
        if arguments.json:
            print(json.dumps(asdict(one), default=plain))
        else:
            at = f"{one.recorded:%Y-%m-%d %H:%M:%S}Z"
            print(f"{at}  {one.activity:12}  {one.decided_by}  {one.patient_id}  {one.reason}")
    if not found:
        print("Nothing was decided about that reading.", file=sys.stderr)
        return FAILED
    return OK
