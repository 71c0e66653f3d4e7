"""``hemvital-ingest export``: stored readings, to compare with a ledger outside."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict

from ingest_service.commands.database import OK, Commands, as_ingest, plain
from ingest_service.commands.decisions import moment
from ingest_service.store import records
from ingest_service.store.connections import Connection


def add(commands: Commands) -> None:
    """Add ``export``."""
    about = "Print stored readings, one JSON object a line."
    parser = commands.add_parser("export", help=about, description=about)
    parser.add_argument("what", choices=["readings"])
    parser.add_argument("--ids", action="store_true", help="only their ids, one a line, sorted")
    for name, which in (("--since", "then or later"), ("--until", "before then")):
        about = f"only what was stored {which}, as 2026-03-01T06:00:00Z"
        parser.add_argument(name, type=moment, metavar="TIME", help=about)
    parser.set_defaults(run=_export)


def _export(arguments: argparse.Namespace) -> int:
    bounds = {"since": arguments.since, "until": arguments.until}

    async def export(connection: Connection) -> None:
        if arguments.ids:
            async for record_id in records.export_ids(connection, **bounds):
                print(record_id)
            return
        async for row in records.export(connection, **bounds):
            print(json.dumps(asdict(row), default=plain))

    as_ingest(export)
    return OK
