"""``hemvital-ingest export``: what is stored, for whoever compares it or takes it out."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from datetime import datetime
from functools import partial
from uuid import UUID

from fhir_mappings.care_plan_details import UnitDetails
from fhir_mappings.care_plans import map_care_plan
from ingest_service.commands.database import FAILED, OK, Clock, Commands, as_ingest, plain
from ingest_service.commands.decisions import moment
from ingest_service.plans import describing, reading
from ingest_service.plans.describing import Written
from ingest_service.plans.reading import PlanError
from ingest_service.store import plan_export, records
from ingest_service.store.connections import Connection
from ingest_service.store.plan_export import ExportedPlan


def add(commands: Commands, clock: Clock) -> None:
    """Add ``export`` and what can be exported."""
    about = "Print what is stored, one JSON object a line."
    parser = commands.add_parser("export", help=about, description=about)
    within = parser.add_subparsers(required=True, metavar="readings|plans")
    readings = within.add_parser("readings", help="Readings as their devices sent them.")
    readings.add_argument("--ids", action="store_true", help="only their ids, one a line, sorted")
    readings.set_defaults(run=_readings)
    plans = within.add_parser("plans", help="Every version of plans, each a FHIR R4 CarePlan.")
    plans.add_argument("--patient", type=UUID, help="only this patient's")
    plans.set_defaults(run=partial(_plans, clock))
    for one, what in ((readings, "stored"), (plans, "written")):
        for name, which in (("--since", "then or later"), ("--until", "before then")):
            about = f"only what was {what} {which}, as 2026-03-01T06:00:00Z"
            one.add_argument(name, type=moment, metavar="TIME", help=about)


def _readings(arguments: argparse.Namespace) -> int:
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


def _plans(clock: Clock, arguments: argparse.Namespace) -> int:
    unreadable: list[str] = []

    async def export(connection: Connection) -> None:
        now = clock()
        async for row in plan_export.export(
            connection,
            patient=arguments.patient,
            since=arguments.since,
            until=arguments.until,
        ):
            try:
                print(_care_plan(row, now))
            except PlanError as error:
                # The others are exported all the same; that something is missing must be seen.
                unreadable.append(str(error))

    as_ingest(export)
    for one in unreadable:
        print(f"Not exported: {one}", file=sys.stderr)
    return FAILED if unreadable else OK


def _care_plan(row: ExportedPlan, now: datetime) -> str:
    plan = reading.decode(row.body, name=f"plan {row.id} version {row.version}")
    in_force = (row.valid_from or plan.since, row.valid_until) if row.is_ever_in_force else None
    written = Written(
        by=row.written_by,
        at=row.written_at,
        reason=row.reason,
        in_force=in_force,
        unit=UnitDetails(hsa_id=row.unit_hsa_id, name=row.unit_name),
        lead_unit=UnitDetails(hsa_id=row.lead_unit_hsa_id, name=row.lead_unit_name),
    )
    document = row.body.encode()
    return map_care_plan(describing.details(plan, written, at=now, document=document))
