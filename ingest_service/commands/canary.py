"""``hemvital-ingest canary``: make it known, run it, see what came through."""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import asdict
from datetime import timedelta
from functools import partial
from typing import Final

from ingest_service.canary import legs, nobody, setup
from ingest_service.canary.legs import Leg, Way
from ingest_service.commands.database import (
    FAILED,
    OK,
    Clock,
    Commands,
    as_ingest,
    as_owner,
    plain,
)
from ingest_service.store import canary
from ingest_service.store.canary import Pass
from ingest_service.store.connections import Connection

_LONG: Final = timedelta(days=3650)  # whatever is late is told, since when it may be


def add(commands: Commands, clock: Clock) -> None:
    """Add ``canary`` and what can be done with it."""
    about = "A reading of nobody each minute through every part, to see that each works."
    parser = commands.add_parser("canary", help=about, description=about)
    within = parser.add_subparsers(required=True, metavar="setup|run|show")
    put = within.add_parser("setup", help="Make the canary known; the same again changes nothing.")
    put.set_defaults(run=partial(_setup, clock))
    run = within.add_parser("run", help="Run the canary until it is told to stop.")
    run.set_defaults(run=_run)
    show = within.add_parser(
        "show", help="Tell what the database knows of it; exit code 1 if readings do not come."
    )
    show.add_argument("--json", action="store_true", help="as a JSON object")
    show.set_defaults(run=partial(_show, clock))


def _setup(_clock: Clock, _arguments: argparse.Namespace) -> int:
    async def put(connection: Connection) -> None:
        await setup.put(connection)

    as_owner(put)
    print(
        f"The canary's gateway is {nobody.GATEWAY}: give it a certificate of that name, as any"
        " gateway gets one, and start hemvital-ingest canary run."
    )
    return OK


def _show(clock: Clock, arguments: argparse.Namespace) -> int:
    found: list[Pass] = []

    async def look(connection: Connection) -> None:
        seen = await canary.newest(connection)
        found.extend([seen] if seen else [])

    as_ingest(look)
    if not found:
        print("The jobs have never looked: is the schema current, and do they run?")
        return FAILED
    seen, now = found[0], clock()
    if arguments.json:
        print(json.dumps(asdict(seen), default=plain))
    # What only the canary's own process sees, the door and the pages, is not in the database.
    way = Way(
        published=now,
        stored=seen.stored_to,
        judged=seen.judged_to,
        looked_at=seen.at,
        has_page=False,
    )
    deaf = legs.deaf(way, began_at=now - _LONG, now=now)
    if seen.judged_to is None:
        deaf = Leg.JUDGED if seen.stored_to else Leg.STORED
    if arguments.json:
        return FAILED if deaf else OK
    for leg in (Leg.STORED, Leg.JUDGED, Leg.JOB):
        at = way.at(leg)
        print(f"{leg:<8} {f'{at:%Y-%m-%d %H:%M:%S} UTC' if at else 'never'}")
    print(legs.sentence(way, deaf, now) if deaf else "The canary's readings come through.")
    return FAILED if deaf else OK


def _run(_arguments: argparse.Namespace) -> int:
    # Another program: it speaks HTTP, which no other command needs, and none of what they load.
    os.execv(sys.executable, [sys.executable, "-P", "-m", "ingest_service.canary"])  # noqa: S606 - ourselves
