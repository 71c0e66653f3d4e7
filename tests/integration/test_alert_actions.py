"""What persons do to alerts, in the real database: two at once, twice the same, and a reading."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import AsyncConnection
from psycopg.rows import dict_row

from ingest_service.admission import actions
from ingest_service.admission.passing import pass_time
from ingest_service.alerts import life
from ingest_service.alerts.actions import (
    Action,
    Note,
    Pause,
    Release,
    Reopen,
    Resolve,
    Take,
    Undo,
)
from ingest_service.alerts.alert import State
from ingest_service.alerts.refusals import (
    EndedError,
    RefusedError,
    StaleError,
    TakenError,
    UnknownAlertError,
)
from ingest_service.store import backups
from ingest_service.store.backups import AgreementRow
from ingest_service.store.callers import Caller
from ingest_service.store.connections import Connection
from tests.support import plans
from tests.support.alert_life import ANNA, BERIT, CILLA, LEAD
from tests.support.clinic import Clinic, Unit
from tests.support.ingest import UNIT, registered
from tests.support.services import Database

pytestmark = pytest.mark.timescale

NOW: Final = datetime(2026, 11, 25, 9, 0, tzinfo=UTC)  # a Wednesday, 10 o'clock in Stockholm
RESOLVE: Final = Resolve(outcome="advice_given", note="Ringde, mår bättre.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ward:
    """A unit with one patient, and those who work there."""

    database: Database
    clinic: Clinic
    unit: Unit
    patient_id: UUID

    def alert(self, **given: Any) -> UUID:
        """Raise a red alert of this patient."""
        return self.clinic.alert(self.unit, self.patient_id, NOW - timedelta(minutes=5), **given)

    def caller(self, hsa_id: str = ANNA, unit: Unit | None = None) -> Caller:
        """Return somebody who works at this unit, or at another."""
        return Caller(
            actor=hsa_id,
            kind="staff",
            care_unit_ids=((unit or self.unit).id,),
            trace_id="0" * 32,
            purpose="Vård och behandling",
        )

    @asynccontextmanager
    async def api(self, role: str = "hemvital_api") -> AsyncGenerator[Connection]:
        """Connect as the API does."""
        async with await AsyncConnection.connect(self.database.dsn(role)) as opened:
            yield opened

    async def do(self, alert_id: UUID, action: Action, **given: Any) -> actions.Acted:
        """Act once, on a connection of its own."""
        caller = given.pop("caller", None) or self.caller(given.pop("by", ANNA))
        arguments: dict[str, Any] = {"action_id": uuid4(), "now": NOW, **given}
        async with self.api() as connection:
            return await actions.act(connection, caller, alert_id, action, **arguments)

    def rows(self, query: str, *values: object) -> list[dict[str, Any]]:
        """Return what a query finds, as the owner sees it."""
        with (
            psycopg.connect(self.database.dsn()) as opened,
            opened.cursor(row_factory=dict_row) as cursor,
        ):
            return cursor.execute(query.encode(), values).fetchall()

    def row(self, alert_id: UUID) -> dict[str, Any]:
        """Return an alert as it is stored."""
        [row] = self.rows("SELECT * FROM alert WHERE id = %s", alert_id)
        return row

    def events(self, alert_id: UUID) -> list[tuple[str, str]]:
        """Return what happened to an alert and by whom, in order."""
        query = "SELECT event, by FROM alert_event WHERE alert_id = %s ORDER BY id"
        return [(row["event"], row["by"]) for row in self.rows(query, alert_id)]

    def execute(self, statement: str, *values: object) -> None:
        """Carry out a statement as the owner."""
        with psycopg.connect(self.database.dsn()) as opened:
            opened.execute(statement.encode(), values)


@pytest.fixture
def ward(database: Database) -> Ward:
    clinic = Clinic(database.dsn())
    unit = clinic.unit()
    return Ward(database=database, clinic=clinic, unit=unit, patient_id=clinic.patient(unit))


async def test_what_a_nurse_does_is_stored_with_who_and_when(ward: Ward) -> None:
    alert_id = ward.alert()

    taken = await ward.do(alert_id, Take())
    await ward.do(alert_id, RESOLVE, now=NOW + timedelta(minutes=4))

    assert (taken.alert.owner, taken.patient_id) == (ANNA, ward.patient_id)
    row = ward.row(alert_id)
    assert (row["state"], row["owner"], row["outcome"]) == ("resolved", None, "advice_given")
    assert (row["state_by"], row["resolved_at"]) == (ANNA, NOW + timedelta(minutes=4))
    assert ward.events(alert_id) == [("taken", ANNA), ("resolved", ANNA)]
    [_, ended] = ward.rows("SELECT at, detail FROM alert_event ORDER BY id")
    assert ended["at"] == NOW + timedelta(minutes=4)
    assert ended["detail"] == {"outcome": "advice_given", "note": "Ringde, mår bättre."}


async def test_of_two_nurses_at_once_one_wins_and_the_other_is_told_who(ward: Ward) -> None:
    alert_id = ward.alert()
    async with ward.api() as one, ward.api() as other:
        for number in range(200):
            now = NOW + timedelta(seconds=number)

            results = await asyncio.gather(
                *(
                    actions.act(
                        connection,
                        ward.caller(nurse),
                        alert_id,
                        Take(),
                        action_id=uuid4(),
                        now=now,
                    )
                    for connection, nurse in ((one, ANNA), (other, BERIT))
                ),
                return_exceptions=True,
            )

            [winner] = [each for each in results if isinstance(each, actions.Acted)]
            [loser] = [each for each in results if isinstance(each, TakenError)]
            assert winner.alert.owner in {ANNA, BERIT}
            assert (loser.first.by, loser.first.at) == (winner.alert.owner, now)
            back = ward.caller(loser.first.by)
            await actions.act(one, back, alert_id, Release(), action_id=uuid4(), now=now)
    assert len(ward.events(alert_id)) == 400
    assert ward.row(alert_id)["version"] == 401


async def test_a_double_click_is_one_action(ward: Ward) -> None:
    alert_id, action_id = ward.alert(), uuid4()

    results = await asyncio.gather(
        *(ward.do(alert_id, Note(text="Ringde."), action_id=action_id) for _ in range(4))
    )

    assert sorted(each.is_repeated for each in results) == [False, True, True, True]
    assert {each.alert.version for each in results} == {2}
    assert ward.events(alert_id) == [("noted", ANNA)]


async def test_an_actions_id_is_of_one_action(ward: Ward) -> None:
    alert_id, other, action_id = ward.alert(), ward.alert(rule="limit.pulse"), uuid4()
    await ward.do(alert_id, Note(text="Ringde."), action_id=action_id)

    for target, action, by in (
        (alert_id, Note(text="Annat."), ANNA),
        (alert_id, Note(text="Ringde."), BERIT),
        (other, Note(text="Ringde."), ANNA),
    ):
        with pytest.raises(RefusedError, match="another action"):
            await ward.do(target, action, by=by, action_id=action_id)

    assert ward.events(other) == []


async def test_an_actions_id_is_of_one_patient(ward: Ward) -> None:
    alert_id, action_id = ward.alert(), uuid4()
    another = replace(ward, patient_id=ward.clinic.patient(ward.unit))
    other = another.alert()
    await ward.do(alert_id, Take(), action_id=action_id)

    with pytest.raises(RefusedError, match="another action"):
        await another.do(other, Take(), action_id=action_id)

    assert another.events(other) == []


async def test_who_saw_an_older_version_is_told_what_came_between(ward: Ward) -> None:
    alert_id = ward.alert()
    await ward.do(alert_id, Take(), by=BERIT)
    await ward.do(alert_id, Release(), by=BERIT, now=NOW + timedelta(seconds=1))

    with pytest.raises(StaleError) as caught:
        await ward.do(alert_id, RESOLVE, version=1)

    assert caught.value.first.by == BERIT
    assert ward.row(alert_id)["state"] == "new"
    assert (await ward.do(alert_id, RESOLVE, version=3)).alert.state is State.RESOLVED


async def test_undo_brings_the_row_back(ward: Ward) -> None:
    alert_id = ward.alert()
    counting = {"version", "undo", "updated_at"}
    before = {k: v for k, v in ward.row(alert_id).items() if k not in counting}

    await ward.do(alert_id, Take())
    await ward.do(alert_id, Undo(), now=NOW + timedelta(seconds=9))

    after = {k: v for k, v in ward.row(alert_id).items() if k not in counting}
    assert after == before


async def test_what_was_resolved_long_ago_can_be_opened_again(ward: Ward) -> None:
    alert_id = ward.alert()
    await ward.do(alert_id, RESOLVE)

    opened = await ward.do(
        alert_id, Reopen(reason="Ringde igen"), by=BERIT, now=NOW + timedelta(days=90)
    )

    assert opened.alert.state is State.NEW
    with pytest.raises(EndedError):
        await ward.do(await _ended(ward), Take())


async def _ended(ward: Ward) -> UUID:
    alert_id = ward.alert(rule="limit.pulse")
    await ward.do(alert_id, RESOLVE)
    return alert_id


async def test_another_unit_may_not_know_that_there_is_such_an_alert(ward: Ward) -> None:
    alert_id = ward.alert()
    other = ward.clinic.unit("SE2321000016-E102")

    for caller, target in ((ward.caller(unit=other), alert_id), (ward.caller(), uuid4())):
        with pytest.raises(UnknownAlertError):
            await ward.do(target, Take(), caller=caller)

    assert ward.events(alert_id) == []


async def test_a11_a_backup_unit_may_act_on_what_it_was_handed_and_for_so_long(
    ward: Ward,
) -> None:
    alert_id, other = ward.alert(), ward.alert(rule="limit.pulse", priority="yellow")
    backup = ward.clinic.unit("SE2321000016-E102")
    agreement = AgreementRow(
        id=uuid4(),
        care_unit_id=ward.unit.id,
        backup_unit_id=backup.id,
        occasion="escalated",
        right_h=2,
        since=NOW - timedelta(days=30),
        until=None,
    )
    async with ward.api("hemvital_operator") as connection:
        await backups.register(connection, agreement, by=LEAD, at=NOW)
    ward.execute("UPDATE alert SET due_at = %s WHERE id = %s", NOW, alert_id)
    ward.execute(
        "INSERT INTO patient_clock VALUES (%s, %s, %s)",
        ward.patient_id,
        NOW,
        NOW - timedelta(hours=1),
    )
    with pytest.raises(UnknownAlertError):
        await ward.do(alert_id, Take(), caller=ward.caller(CILLA, backup))

    handed_at = NOW + timedelta(minutes=30)
    async with ward.api("hemvital_ingest") as connection:
        await pass_time(connection, now=handed_at, most=10)

    [grant] = ward.rows("SELECT * FROM backup_grant")
    assert (grant["alert_id"], grant["backup_unit_id"]) == (alert_id, backup.id)
    assert (grant["valid"].lower, grant["reason"]) == (handed_at, "escalated")
    async with ward.api() as connection:
        [active] = await backups.active(connection, backup.id, at=handed_at)
        assert (active.patient_id, active.until) == (
            ward.patient_id,
            handed_at + timedelta(hours=2),
        )
    with pytest.raises(UnknownAlertError):
        await ward.do(other, Take(), caller=ward.caller(CILLA, backup), now=handed_at)
    taken = await ward.do(alert_id, Take(), caller=ward.caller(CILLA, backup), now=handed_at)
    assert taken.alert.owner == CILLA
    with pytest.raises(UnknownAlertError):
        await ward.do(
            alert_id,
            RESOLVE,
            caller=ward.caller(CILLA, backup),
            now=handed_at + timedelta(hours=2),
        )


async def test_a6_who_leaves_owns_nothing_any_more(ward: Ward) -> None:
    mine, others = ward.alert(), ward.alert(rule="limit.pulse")
    await ward.do(mine, Take(), by=ANNA)
    await ward.do(others, Take(), by=BERIT)

    async with ward.api() as connection:
        count = await actions.unassign_owner(connection, ANNA, life.SHIFT_ENDED, now=NOW)

    assert count == 1
    assert (ward.row(mine)["state"], ward.row(mine)["owner"]) == ("new", None)
    assert ward.row(others)["owner"] == BERIT
    [told] = ward.rows("SELECT recipient FROM message WHERE kind = 'staff_unassigned'")
    assert told["recipient"] == "nurse_on_duty"


@pytest.mark.parametrize("role", ["hemvital_api", "hemvital_ingest"])
async def test_a6_who_has_no_session_any_more_owns_nothing(ward: Ward, role: str) -> None:
    mine, others = ward.alert(), ward.alert(rule="limit.pulse")
    await ward.do(mine, Take(), by=ANNA)
    await ward.do(others, Take(), by=BERIT)
    for hsa_id, ends_at in ((ANNA, NOW), (BERIT, NOW + timedelta(minutes=1))):
        ward.execute(
            "INSERT INTO web_session (cookie_digest, subject, name, hsa_id, care_unit_id, purpose,"
            " created_at, seen_at, ends_at) VALUES (%s, 's', 'n', %s, %s, 'p', %s, %s, %s)",
            hsa_id.encode(), hsa_id, ward.unit.id, NOW, NOW, ends_at,
        )  # fmt: skip

    async with ward.api(role) as connection:  # at a sign-out, and the clock
        count = await actions.unassign_absent(connection, now=NOW)

    assert count == 1
    assert ward.row(mine)["owner"] is None
    assert ward.row(others)["owner"] == BERIT


async def test_a6_a_lead_gives_everything_of_a_sick_nurse_to_another(ward: Ward) -> None:
    mine, others = ward.alert(), ward.alert(rule="limit.pulse")
    await ward.do(mine, Take(), by=ANNA)
    await ward.do(others, Take(), by=BERIT)

    async with ward.api() as connection:
        count = await actions.reassign_owner(
            connection, ward.caller(LEAD), ANNA, CILLA, "Sjuk", now=NOW
        )

    assert count == 1
    assert ward.row(mine)["owner"] == CILLA
    assert ward.events(mine)[-1] == ("assigned", LEAD)


async def test_one_action_ends_everything_of_a_patient_who_has_died(ward: Ward) -> None:
    red, yellow = ward.alert(), ward.alert(rule="missed", priority="yellow")
    await ward.do(yellow, Pause(until=NOW + timedelta(hours=2), reason="Sover"))
    ward.execute(
        "INSERT INTO message (id, key, kind, recipient, care_unit_id, patient_id, created_at)"
        " VALUES (%s, 'k', 'measure_reminder', 'patient', %s, %s, %s)",
        uuid4(), ward.unit.id, ward.patient_id, NOW,
    )  # fmt: skip

    async with ward.api() as connection:
        count = await actions.deceased(
            connection, ward.caller(), ward.patient_id, "Dottern ringde", now=NOW
        )

    assert count == 2
    assert {ward.row(one)["outcome"] for one in (red, yellow)} == {"deceased"}
    assert {row["state"] for row in ward.rows("SELECT state FROM message")} == {"cancelled"}
    [death] = ward.rows("SELECT told_by, source FROM death")
    assert (death["told_by"], death["source"]) == (ANNA, "Dottern ringde")


async def test_a_worse_reading_at_the_same_time_as_the_end_of_an_alert_is_not_lost(
    database: Database,
) -> None:
    home = await registered(database)
    plans.put(database, plans.copd())
    nurse = Caller(actor=ANNA, kind="staff", care_unit_ids=(UNIT,), trace_id="0" * 32)
    first = home.now
    async with await AsyncConnection.connect(database.dsn("hemvital_api")) as api:
        for number in range(20):
            home.now = first + timedelta(hours=number)
            await home.give(home.oximeter("83"))
            [known] = _open_reds(database)

            async def end(known: dict[str, Any] = known, number: int = number) -> object:
                # Later each time, so that now the one comes first and now the other.
                await asyncio.sleep(number * 0.005)
                return await actions.act(
                    api,
                    nurse,
                    known["id"],
                    RESOLVE,
                    action_id=uuid4(),
                    now=home.now,
                    version=known["version"],
                )

            acted, _ = await asyncio.gather(
                end(), home.give(home.oximeter("78")), return_exceptions=True
            )

            # Whichever came first: she was told of the worse value, or it is an alert of its own.
            [left] = _open_reds(database)
            assert left["state"] == "new"
            assert "78" in left["values"]
            assert isinstance(acted, StaleError) is (left["id"] == known["id"])
            await actions.act(api, nurse, left["id"], RESOLVE, action_id=uuid4(), now=home.now)


def _open_reds(database: Database) -> list[dict[str, Any]]:
    query = """
    SELECT id, version, state, jsonb_path_query_array(readings, '$[*].value') AS values
      FROM alert WHERE state <> 'resolved' AND priority = 'red' AND rule = 'limit.spo2'
    """
    with (
        psycopg.connect(database.dsn()) as opened,
        opened.cursor(row_factory=dict_row) as cursor,
    ):
        return cursor.execute(query).fetchall()
