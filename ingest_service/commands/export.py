"""``hemvital-ingest export``: stored readings, to compare with a ledger outside."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict

from ingest_service.commands.database import OK, Commands, as_ingest, plain
from ingest_service.store import records
from ingest_service.store.connections import Connection


def add(commands: Commands) -> None:
    """Add ``export``."""
    about = "Print stored readings, one JSON object a line."
    parser = commands.add_parser("export", help=about, description=about)
    parser.add_argument("what", choices=["readings"])
    parser.set_defaults(run=_export)


def _export(_arguments: argparse.Namespace) -> int:
    async def export(connection: Connection) -> None:
        async for row in records.export(connection):
            print(json.dumps(asdict(row), default=plain))

    as_ingest(export)
    return OK
