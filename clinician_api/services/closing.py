"""Ending several alerts at once: of those that only inform, and of no others."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID, uuid5

from clinician_api.errors import BulkRefusedError
from ingest_service.admission import actions
from ingest_service.alerts.actions import Resolve
from ingest_service.alerts.refusals import ActionError
from ingest_service.store import opened
from ingest_service.store.callers import Caller
from ingest_service.store.connections import Pool


async def close(
    pool: Pool,
    caller: Caller,
    chosen: Mapping[UUID, int],
    *,
    outcome: str,
    action_id: UUID,
    now: datetime,
) -> int:
    """End these alerts with one outcome, each in a transaction of its own.

    Args:
        pool: Where connections come from.
        caller: Who acts.
        chosen: Alerts, with the version of each that the person saw.
        outcome: What came of them all.
        action_id: Of the form: sent twice, each is ended once.
        now: When.

    Returns:
        How many were ended; one that has changed meanwhile, or is another's by now, stays.

    Raises:
        BulkRefusedError: If one of them is more than information: then none is ended.
    """
    async with pool.connection() as connection:
        priorities = await opened.priorities(connection, caller, chosen)
    if any(priority != "blue" for priority in priorities.values()):
        raise BulkRefusedError("red and yellow alerts are ended one at a time")
    done = 0
    for alert_id, version in chosen.items():
        async with pool.connection() as connection:
            try:
                await actions.act(
                    connection,
                    caller,
                    alert_id,
                    Resolve(outcome=outcome),
                    action_id=uuid5(action_id, str(alert_id)),
                    now=now,
                    version=version,
                )
            except ActionError:
                continue  # it stands in the list as it is now
            done += 1
    return done
