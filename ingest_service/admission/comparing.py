"""Compare what is stored of alerts with what follows from everything that came in."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from ingest_service.admission import alert_rows, differences, rejudging, timelines
from ingest_service.admission.differences import Difference
from ingest_service.store import timelines as stored
from ingest_service.store.connections import Connection
from ingest_service.store.timelines import Person

_AT_ONCE: Final = 500
_NIL: Final = UUID(int=0)


@dataclass(slots=True, kw_only=True)
class Compared:
    """What was gone through so far; ``tell`` is called with each patient's number.

    ``from_before`` are alerts that limits raised before there were plans; ``without_record`` are
    observations taken as they are stored, since their bytes are kept no longer.
    """

    patients: int = 0
    alerts: int = 0
    events: int = 0
    from_before: int = 0
    without_record: int = 0
    differences: int = 0
    tell: Callable[[int], None] | None = None


async def every(
    connection: Connection, total: Compared, *, only: UUID | None = None
) -> AsyncIterator[Difference]:
    """Yield what differs, patient by patient; one patient is held in memory at a time.

    Args:
        connection: With no transaction open; each patient is one, which writes nothing.
        total: Counts on.
        only: This patient alone.
    """
    after = _NIL
    while True:
        async with connection.transaction():
            people = await stored.patients(connection, after=after, most=_AT_ONCE, only=only)
        for person in people:
            total.patients += 1
            for one in await _of(connection, person, total):
                total.differences += 1
                yield one
            if total.tell is not None:
                total.tell(total.patients)
        if only or len(people) < _AT_ONCE:
            return
        after = people[-1].id


async def _of(connection: Connection, person: Person, total: Compared) -> list[Difference]:
    try:
        async with connection.transaction():
            await stored.one_sight(connection)
            rows = await stored.alerts(connection, person.id)
            events = await stored.events(connection, person.id)
            timeline, without_record = await timelines.read(connection, person, events)
        known = [row for row in rows if not differences.is_from_before(row.id)]
        alerts = [alert_rows.alert_of(row) for row in known]
        found = rejudging.rejudge(timeline)
    except (ValueError, ArithmeticError, LookupError, TypeError) as error:
        # Something that is stored cannot be read by this program; the others are compared.
        text = f"what is stored of the patient cannot be judged anew: {type(error).__name__}."
        return [Difference(patient_id=person.id, alert_id=None, rule=None, text=text)]
    total.alerts += len(alerts)
    total.events += len(events)
    total.from_before += len(rows) - len(alerts)
    total.without_record += without_record
    return differences.between(person.id, alerts, events, found)
