"""``hemvital-ingest rejudge``: derive every alert anew, and say where the stored one differs."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from typing import Final
from uuid import UUID

from ingest_service.admission import comparing
from ingest_service.admission.comparing import Compared
from ingest_service.admission.differences import Difference
from ingest_service.commands.database import FAILED, OK, Commands, as_ingest, plain
from ingest_service.store.connections import Connection

_TELL_EVERY: Final = 100


def add(commands: Commands) -> None:
    """Add ``rejudge``."""
    about = (
        "Judge every patient anew from the raw readings and everything else that came in, and"
        " compare with the alerts that are stored. Writes nothing."
    )
    parser = commands.add_parser("rejudge", help=about, description=about)
    parser.add_argument(
        "--check",
        action="store_true",
        required=True,
        help="only compare; there is nothing else that it does",
    )
    parser.add_argument("--patient", type=UUID, help="this patient's id alone")
    parser.add_argument("--json", action="store_true", help="one JSON object a difference")
    parser.set_defaults(run=_rejudge)


def _rejudge(arguments: argparse.Namespace) -> int:
    total = Compared()

    async def compare(connection: Connection) -> None:
        async for one in comparing.every(connection, total, only=arguments.patient):
            print(json.dumps(asdict(one), default=plain) if arguments.json else _sentence(one))

    total.tell = _progress
    as_ingest(compare)
    if arguments.patient and not total.patients:
        print(f"No patient {arguments.patient} has ever had a plan or an alert.", file=sys.stderr)
        return FAILED
    print(_told(total), file=sys.stderr if arguments.json else sys.stdout)
    return FAILED if total.differences else OK


def _progress(patients: int) -> None:
    if patients % _TELL_EVERY == 0:
        print(f"{patients} patients …", file=sys.stderr, flush=True)


def _sentence(one: Difference) -> str:
    alert = f" alert {one.alert_id}" if one.alert_id else ""
    rule = f" ({one.rule})" if one.rule else ""
    return f"Patient {one.patient_id}:{alert}{rule}: {one.text}"


def _told(total: Compared) -> str:
    text = (
        f"{total.patients} patients, {total.alerts} alerts judged anew;"
        f" differences: {total.differences or 'none'}."
    )
    if total.from_before:
        text += f" {total.from_before} alerts are from before plans and cannot be derived."
    if total.without_record:
        text += (
            f" {total.without_record} observations were taken as they are stored: the bytes that"
            " they were made from are kept no longer."
        )
    return text
