"""Let time pass for patients whose time has come: deadlines, missed windows, silence."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from ingest_service.admission import averages, cases
from ingest_service.alerts import deadlines, engine
from ingest_service.alerts.rules import unjudged
from ingest_service.store import alerts, clocks, patients
from ingest_service.store.clocks import Clock
from ingest_service.store.connections import Connection

logger = logging.getLogger(__name__)

_AT_ONCE: Final = 50
_AGAIN: Final = timedelta(minutes=5)


async def pass_time(connection: Connection, *, now: datetime, most: int) -> int:
    """Judge who is due by now, each deadline at its own time, and return how many that were.

    A transaction for some at a time; whoever waits for one of its patients waits shortly. It may
    run twice at once and after any interruption: what is judged is not due any more.

    Args:
        connection: With no transaction open.
        now: The time it is.
        most: How many patients at most.
    """
    async with connection.transaction():  # of its own: else all that follows would be one
        ids = sorted(await clocks.due(connection, now=now, most=most))
    for start in range(0, len(ids), _AT_ONCE):
        some = ids[start : start + _AT_ONCE]
        try:
            await _judge(connection, some, now)
        except Exception:  # one patient that cannot be judged must not hold up the others
            logger.exception(
                "time could not be judged for all at once", extra={"count": len(some)}
            )
            await _one_by_one(connection, some, now)
    return len(ids)


async def _one_by_one(connection: Connection, ids: Sequence[UUID], now: datetime) -> None:
    for patient_id in ids:
        try:
            await _judge(connection, [patient_id], now)
        except Exception:  # a person must look, and the others' turn comes
            logger.exception("time could not be judged for a patient")
            await _give_up(connection, patient_id, now)


async def _give_up(connection: Connection, patient_id: UUID, now: datetime) -> None:
    """Say in red that a person must judge this patient, once, and try again later."""
    try:
        async with connection.transaction():
            locked = await patients.lock(connection, [patient_id])
            loaded = await cases.load(connection, locked, now=now, is_blind=True)
            for case in loaded.values():
                deadlines.pass_alerts(case, now)  # what stands is escalated all the same
                if unjudged.RULE not in case.alerts:
                    engine.could_not_pass(case, now=now)
            if await cases.write(connection, loaded.values(), locked, now=now):
                await alerts.notify_pages(connection, {p.care_unit_id for p in locked.values()})
    except Exception:  # not even that: the log is left, and the clock's metrics
        logger.exception("it could not be said that time was not judged")
    async with connection.transaction():
        await clocks.postpone(connection, patient_id, now + _AGAIN)


async def _judge(connection: Connection, ids: Sequence[UUID], now: datetime) -> None:
    async with connection.transaction():
        locked = await patients.lock(connection, ids)
        known = await clocks.of(connection, locked)
        due = {
            patient_id: patient
            for patient_id, patient in locked.items()
            if (clock := known.get(patient_id)) and _is_due(clock, now)
        }
        loaded = await cases.load(connection, due, now=now)
        await cases.look_back_whole(connection, loaded, now=now)
        for case in loaded.values():
            engine.advance(case, now)
        wanted = [
            one
            for case in loaded.values()
            if (plan := case.plan_at(now)) is not None
            for one in averages.wanted_by(plan, due[case.patient_id])
        ]
        for issued in await averages.issue(connection, wanted, now=now):
            averages.take(loaded[issued.row.patient_id], issued, now=now)
        if await cases.write(connection, loaded.values(), due, now=now):
            await alerts.notify_pages(connection, {one.care_unit_id for one in due.values()})
        await cases.set_clocks(connection, list(loaded.values()), now=now)
        ticked = [known[patient_id] for patient_id in loaded]
        if ticked:
            await clocks.note_ticks(connection, ticked, at=now)


def _is_due(clock: Clock, now: datetime) -> bool:
    """Tell whether it is still due: another may have judged it while its lock was waited for."""
    return clock.due_at is not None and clock.due_at <= now
