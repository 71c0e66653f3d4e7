"""``hemvital-ingest downtime``: keep a list of whom to phone in files, for when nothing works."""

from __future__ import annotations

import argparse
import os
import sys
from functools import partial

from ingest_service.commands.database import Commands


def add(commands: Commands) -> None:
    """Add ``downtime``."""
    about = "Keep a list of whom to phone, by risk, in files: what there is when all is down."
    parser = commands.add_parser("downtime", help=about, description=about)
    within = parser.add_subparsers(required=True, metavar="write|run")
    once = within.add_parser("write", help="Write the lists once.")
    once.set_defaults(run=partial(_become, "write"))
    run = within.add_parser(
        "run", help="Write them every quarter of an hour and when an incident opens."
    )
    run.set_defaults(run=partial(_become, "run"))


def _become(what: str, _arguments: argparse.Namespace) -> int:
    # Another program: it makes pages, which no other command needs.
    os.execv(sys.executable, [sys.executable, "-P", "-m", "ingest_service.downtime", what])  # noqa: S606 - ourselves
