"""The one door for what persons do to alerts: one action, one transaction.

The order of locks is that of docs/adr/0005: patients, then alerts. Under the patient's lock the
alert is read, deadlines that have passed happen first, then the action. Of two nurses at once one
comes after the other, and is told who was first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import msgspec

from ingest_service.admission import cases
from ingest_service.alerts import acting, deadlines, life
from ingest_service.alerts.actions import Action
from ingest_service.alerts.alert import Alert
from ingest_service.alerts.case import BY_RULES, Case
from ingest_service.alerts.refusals import (
    ActionError,
    First,
    RefusedError,
    StaleError,
    UnknownAlertError,
)
from ingest_service.store import acts, alerts, backups, deaths, patients
from ingest_service.store.acts import Act
from ingest_service.store.alerts import Place
from ingest_service.store.callers import Caller
from ingest_service.store.connections import Connection


@dataclass(frozen=True, slots=True, kw_only=True)
class Acted:
    """The alert after an action, whose it is, and whether the action was done before already."""

    alert: Alert
    patient_id: UUID
    care_unit_id: UUID
    is_repeated: bool = False


async def act(
    connection: Connection,
    caller: Caller,
    alert_id: UUID,
    action: Action,
    *,
    action_id: UUID,
    now: datetime,
    version: int | None = None,
) -> Acted:
    """Do what a member of staff does to an alert.

    Args:
        connection: With no transaction open; of the role ``hemvital_api`` or ``hemvital_ingest``.
        caller: Who acts, and for which unit.
        alert_id: Which alert.
        action: What is done.
        action_id: Chosen where the action was made: the same once more does nothing more.
        now: When.
        version: The alert's version as the person saw it; refused if it is another by now.

    Raises:
        UnknownAlertError: If there is none, or it is neither of the caller's unit nor handed to
            it.
        PrecededError: If somebody else was first (`refusals`); says who and when.
        RefusedError: If it cannot be done so, or ``action_id`` was used for something else.
    """
    if caller.kind != "staff":
        raise RefusedError(alert_id, "only members of staff act on alerts.")
    alert, refused = None, None
    async with connection.transaction():
        place = await _entered(connection, caller, alert_id, now)
        people = await patients.lock(connection, [place.patient_id])
        loaded = await cases.load_for_acting(connection, people, now=now, wanted=alert_id)
        case = loaded[place.patient_id]
        if before := await acts.known(connection, action_id):
            return _repeated(case, before, caller, alert_id, action)
        deadlines.pass_alerts(case, now)
        try:
            _check_version(case, alert_id, version)
            alert = acting.act(case, alert_id, action, by=caller.actor, now=now)
        except ActionError as error:
            # What time has brought stays: else whoever looks again sees what was before, and is
            # refused for it again.
            refused = error
        await cases.write(connection, [case], people, now=now)
        if alert is not None:
            done = Act(
                id=action_id,
                alert_id=alert_id,
                patient_id=place.patient_id,
                care_unit_id=caller.care_unit_ids[0],
                by=caller.actor,
                at=now,
                action=msgspec.json.encode(action).decode(),
                became_id=alert.id,
            )
            if not await acts.add(connection, done):
                raise _used(alert_id)
        await alerts.notify_pages(connection, {place.care_unit_id})
    if alert is None:
        raise refused or UnknownAlertError(alert_id)
    return Acted(alert=alert, patient_id=place.patient_id, care_unit_id=place.care_unit_id)


async def unassign_owner(connection: Connection, owner: str, reason: str, *, now: datetime) -> int:
    """Let everything that one person owns be nobody's again, and return how much that was (A6).

    ``reason`` is one of `life.SIGNED_OUT`, `life.SHIFT_ENDED` and `life.ABSENT`. Each patient is
    a transaction's own: whoever is busy holds up only themselves.
    """
    return await _of_owner(
        connection,
        owner,
        lambda case: life.unassign(case, owner, reason, now=now),
        now=now,
    )


async def reassign_owner(
    connection: Connection, caller: Caller, owner: str, to: str, reason: str, *, now: datetime
) -> int:
    """Let a unit's lead give everything that one person owns in it to another (A6).

    That the caller leads the unit, whoever calls this has checked.
    """

    def reassign(case: Case) -> tuple[Alert, ...]:
        if case.care_unit_id not in caller.care_unit_ids:
            return ()
        return acting.reassign_all(case, owner, to, reason, by=caller.actor, now=now)

    return await _of_owner(connection, owner, reassign, now=now)


async def unassign_absent(
    connection: Connection, *, now: datetime, signed_out: str | None = None
) -> int:
    """Let what people own who have no session any more be nobody's (A6).

    Args:
        connection: With no transaction open.
        now: The time it is.
        signed_out: Who has just left; they may still be signed in somewhere else.

    Returns:
        How many alerts that were.
    """
    async with connection.transaction():
        absent = await alerts.absent_owners(connection, now)
    count = 0
    for owner in absent:
        reason = life.SIGNED_OUT if owner == signed_out else life.ABSENT
        count += await unassign_owner(connection, owner, reason, now=now)
    return count


async def deceased(
    connection: Connection, caller: Caller, patient_id: UUID, source: str, *, now: datetime
) -> int:
    """Note that a patient has died: end every alert, and say nothing more to their home.

    Returns:
        How many alerts that ended.

    Raises:
        UnknownAlertError: If the caller may not know of such a patient.
    """
    async with connection.transaction():
        people = await patients.lock(connection, [patient_id])
        patient = people.get(patient_id)
        if patient is None or patient.care_unit_id not in caller.care_unit_ids:
            raise UnknownAlertError(patient_id)
        await deaths.tell(connection, patient_id, by=caller.actor, source=source, at=now)
        case = (await cases.load_for_acting(connection, people, now=now))[patient_id]
        ended = acting.deceased(case, by=caller.actor, now=now)
        await cases.write(connection, [case], people, now=now)
        await alerts.notify_pages(connection, {patient.care_unit_id})
    return len(ended)


async def _entered(connection: Connection, caller: Caller, alert_id: UUID, now: datetime) -> Place:
    """Return where the alert belongs, if the caller may act there."""
    place = await alerts.place_of(connection, alert_id)
    if place is None:
        raise UnknownAlertError(alert_id)
    is_own = place.care_unit_id in caller.care_unit_ids
    if not is_own and not await backups.is_open_to(
        connection, alert_id, caller.care_unit_ids, at=now
    ):
        raise UnknownAlertError(alert_id)
    return place


def _repeated(case: Case, before: Act, caller: Caller, alert_id: UUID, action: Action) -> Acted:
    """Return what an action that is done already made, if it is the same."""
    given = msgspec.json.decode(msgspec.json.encode(action))
    is_same = (before.alert_id, before.by) == (alert_id, caller.actor)
    if not is_same or msgspec.json.decode(before.action) != given:
        raise _used(alert_id)
    alert = case.find(before.became_id)
    if alert is None:
        raise UnknownAlertError(alert_id)
    return Acted(
        alert=alert,
        patient_id=case.patient_id,
        care_unit_id=case.care_unit_id,
        is_repeated=True,
    )


def _used(alert_id: UUID) -> RefusedError:
    return RefusedError(alert_id, "this action's id was used for another action.")


def _check_version(case: Case, alert_id: UUID, version: int | None) -> None:
    alert = case.find(alert_id)
    if alert is None:
        raise UnknownAlertError(alert_id)
    if version is not None and alert.version != version:
        last = [change for change in case.changes if change.alert.id == alert_id]
        by, at = (last[-1].by, last[-1].at) if last else (alert.state_by, alert.state_at)
        first = First(by=by or BY_RULES, at=at)
        raise StaleError(alert_id, "it has changed since; it was last moved by", first)


async def _of_owner(
    connection: Connection,
    owner: str,
    change: Callable[[Case], tuple[Alert, ...]],
    *,
    now: datetime,
) -> int:
    async with connection.transaction():
        owned = await alerts.of_owner(connection, owner)
    count = 0
    for patient_id in owned:
        async with connection.transaction():
            people = await patients.lock(connection, [patient_id])
            for case in (await cases.load_for_acting(connection, people, now=now)).values():
                count += len(change(case))
                if await cases.write(connection, [case], people, now=now):
                    await alerts.notify_pages(connection, {case.care_unit_id})
    return count
