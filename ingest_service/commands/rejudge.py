"""``hemvital-ingest rejudge``: derive every alert anew, and say where the stored one differs."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, dataclass
from functools import partial
from typing import Final
from uuid import UUID

from ingest_service.admission import alert_rows, differences, rejudging, timelines
from ingest_service.admission.differences import Difference
from ingest_service.commands.database import FAILED, OK, Commands, as_ingest, plain
from ingest_service.store import timelines as stored
from ingest_service.store.connections import Connection
from ingest_service.store.timelines import Person

_AT_ONCE: Final = 500
_TELL_EVERY: Final = 100
_NIL: Final = UUID(int=0)


@dataclass(slots=True)
class _Sum:
    """What was gone through."""

    patients: int = 0
    alerts: int = 0
    from_before: int = 0
    without_record: int = 0
    differences: int = 0


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
    total = _Sum()
    as_ingest(partial(_through, total=total, only=arguments.patient, is_json=arguments.json))
    if arguments.patient and not total.patients:
        print(f"No patient {arguments.patient} has ever had a plan or an alert.", file=sys.stderr)
        return FAILED
    print(_told(total), file=sys.stderr if arguments.json else sys.stdout)
    return FAILED if total.differences else OK


async def _through(
    connection: Connection, *, total: _Sum, only: UUID | None, is_json: bool
) -> None:
    """Go through the patients, each in a transaction of their own that sees one moment."""
    after = _NIL
    while True:
        async with connection.transaction():
            people = await stored.patients(connection, after=after, most=_AT_ONCE, only=only)
        for person in people:
            for one in await _of(connection, person, total):
                total.differences += 1
                print(json.dumps(asdict(one), default=plain) if is_json else _sentence(one))
            if total.patients % _TELL_EVERY == 0:
                print(f"{total.patients} patients …", file=sys.stderr, flush=True)
        if only or len(people) < _AT_ONCE:
            return
        after = people[-1].id


async def _of(connection: Connection, person: Person, total: _Sum) -> list[Difference]:
    total.patients += 1
    try:
        async with connection.transaction():
            await stored.one_sight(connection)
            rows = await stored.alerts(connection, person.id)
            events = await stored.events(connection, person.id)
            timeline, without_record = await timelines.read(connection, person, events)
        alerts = [alert_rows.alert_of(row) for row in rows if not _is_before(row.id)]
        found = rejudging.rejudge(timeline)
    except (ValueError, ArithmeticError, LookupError, TypeError) as error:
        # Something stored cannot be read by this program: the others are compared all the same.
        text = f"it cannot be judged anew ({type(error).__name__}); run it for this patient alone."
        return [Difference(patient_id=person.id, alert_id=None, rule=None, text=text)]
    total.alerts += len(alerts)
    total.from_before += len(rows) - len(alerts)
    total.without_record += without_record
    return differences.between(person.id, alerts, events, found)


def _is_before(alert_id: UUID) -> bool:
    return differences.is_from_before(alert_id)


def _sentence(one: Difference) -> str:
    alert = f" alert {one.alert_id}" if one.alert_id else ""
    rule = f" ({one.rule})" if one.rule else ""
    return f"Patient {one.patient_id}:{alert}{rule}: {one.text}"


def _told(total: _Sum) -> str:
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
