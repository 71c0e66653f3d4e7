"""``hemvital-ingest receivers``: who gets readings, and what they have not heard yet."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from datetime import datetime
from functools import partial

from ingest_service.commands.database import OK, Clock, Commands, as_ingest, plain
from ingest_service.store import receivers
from ingest_service.store.connections import Connection


def add(commands: Commands, clock: Clock) -> None:
    """Add ``receivers`` and what can be seen of them; no patient is named."""
    about = "Look at who gets readings, and what they have not heard yet."
    parser = commands.add_parser("receivers", help=about, description=about)
    within = parser.add_subparsers(required=True, metavar="list|untold")
    everybody = within.add_parser("list", help="Every receiver, with counts and ages.")
    everybody.add_argument("--json", action="store_true", help="one JSON object a line")
    everybody.set_defaults(run=partial(_list, clock))
    untold = within.add_parser("untold", help="Changes that a receiver has not got, oldest first.")
    untold.add_argument("--json", action="store_true", help="one JSON object a line")
    untold.set_defaults(run=partial(_untold, clock))


def _list(clock: Clock, arguments: argparse.Namespace) -> int:
    now = clock()

    async def show(connection: Connection) -> None:
        for one in await receivers.everybody(connection):
            age_s = _age_s(one.oldest_untold_at, now)
            if arguments.json:
                print(json.dumps({**asdict(one), "oldest_untold_s": age_s}, default=plain))
            else:
                waits = f", the oldest for {_span(age_s)}" if age_s is not None else ""
                print(
                    f"{one.id}  {one.kind}  {one.name}  patients: {one.patients}  "
                    f"untold: {one.untold} of {one.news}{waits}"
                )

    as_ingest(show)
    return OK


def _untold(clock: Clock, arguments: argparse.Namespace) -> int:
    now = clock()

    async def show(connection: Connection) -> None:
        after = None
        while page := await receivers.untold(connection, after=after):
            for one in page:
                age_s = _age_s(one.created_at, now)
                if arguments.json:
                    print(json.dumps({**asdict(one), "age_s": age_s}, default=plain))
                else:
                    print(
                        f"{one.created_at:%Y-%m-%d %H:%M:%S}Z  {one.receiver_id}  "
                        f"Observation/{one.observation_id} version {one.version}  "
                        f"change {one.change_id}"
                    )
            after = page[-1]

    as_ingest(show)
    return OK


def _age_s(since: datetime | None, now: datetime) -> int | None:
    return None if since is None else max(0, int((now - since).total_seconds()))


def _span(seconds: int | None) -> str:
    minutes = (seconds or 0) // 60
    days, hours = minutes // 1440, minutes // 60 % 24
    return f"{days} d {hours} h" if days else f"{hours} h {minutes % 60} min"
