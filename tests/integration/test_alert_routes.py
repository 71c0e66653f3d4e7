"""One alert's page and forms, without a browser: who may, what is refused, what is logged."""

from __future__ import annotations

import re
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import httpx
import psycopg
import pytest

from tests.support.api import Api, LoopbackCookies, identity_provider, running_api
from tests.support.clinic import Clinic, Unit
from tests.support.services import Database

pytestmark = pytest.mark.timescale

SAME = {"Sec-Fetch-Site": "same-origin"}


@pytest.fixture
def clinic(database: Database) -> Clinic:
    return Clinic(database.dsn())


@pytest.fixture
def unit(clinic: Clinic) -> Unit:
    return clinic.unit()


@pytest.fixture
def api(tmp_path: Path, database: Database, unit: Unit) -> Generator[Api]:
    with (
        identity_provider(unit.hsa_id) as issuer,
        running_api(tmp_path, dsn=database.dsn("hemvital_api"), issuer=issuer) as started,
    ):
        yield started


@contextmanager
def staff(api: Api, who: str = "anna") -> Generator[httpx.Client]:
    with httpx.Client(
        base_url=api.url, transport=LoopbackCookies(), follow_redirects=True, timeout=10
    ) as client:
        form = client.get("/worklist")
        client.post(form.url, data={"sub": who})
        yield client


def form_of(client: httpx.Client, alert_id: UUID) -> dict[str, str]:
    text = client.get(f"/alerts/{alert_id}").text
    return {
        name: re.findall(rf'name="{name}" value="([^"]+)"', text)[0]
        for name in ("action_id", "version")
    }


def logged(database: Database) -> list[tuple[str, str, int]]:
    with psycopg.connect(database.dsn()) as connection:
        rows = connection.execute(
            "SELECT actor, action, cardinality(patient_ids) FROM access_log ORDER BY id"
        )
        return rows.fetchall()


def test_a_form_that_is_sent_twice_is_done_once(
    api: Api, clinic: Clinic, unit: Unit, database: Database
) -> None:
    alert_id = clinic.red_pressure(unit)

    with staff(api) as client:
        form = form_of(client, alert_id)
        answers = [
            client.post(f"/alerts/{alert_id}/take", data=form, headers=SAME) for _ in range(2)
        ]

    assert [each.status_code for each in answers] == [200, 200]
    with psycopg.connect(database.dsn()) as connection:
        events = connection.execute("SELECT event, by FROM alert_event ORDER BY id").fetchall()
    assert events == [("taken", "SE2321000016-1001")]


def test_b6_opening_an_alert_is_logged_as_its_own(
    api: Api, clinic: Clinic, unit: Unit, database: Database
) -> None:
    alert_id = clinic.red_pressure(unit)

    with staff(api) as client:
        client.get(f"/alerts/{alert_id}")

    assert logged(database)[-1] == ("SE2321000016-1001", "alert", 1)


@pytest.mark.parametrize(
    ("deed", "fields"),
    [
        ("take", {}),
        ("resolve", {"outcome": "advice_given", "note": "Ringt"}),
        ("note", {"text": "Ringt"}),
    ],
)
def test_another_units_alert_is_like_none(
    api: Api, clinic: Clinic, unit: Unit, deed: str, fields: dict[str, str]
) -> None:
    alert_id = clinic.red_pressure(clinic.unit("SE2321000016-E102", "Annan mottagning"))
    form = {"action_id": str(uuid4()), "version": "1", **fields}

    with staff(api) as client:
        theirs = client.post(f"/alerts/{alert_id}/{deed}", data=form, headers=SAME)
        nobodys = client.post(f"/alerts/{uuid4()}/{deed}", data=form, headers=SAME)
        page = client.get(f"/alerts/{alert_id}")

    assert [each.status_code for each in (theirs, nobodys, page)] == [404, 404, 404]
    strip = re.compile("<code>.*</code>")
    assert strip.sub("", theirs.text) == strip.sub("", nobodys.text)


def test_a11_a_backup_unit_opens_what_it_was_handed_and_nothing_else(
    api: Api, clinic: Clinic, unit: Unit, database: Database
) -> None:
    other = clinic.unit("SE2321000016-E102", "Annan mottagning")
    handed, kept = clinic.red_pressure(other), clinic.alert(other, clinic.patient(other), None)
    now = datetime.now(UTC)
    with psycopg.connect(database.dsn()) as connection:
        connection.execute(
            "INSERT INTO backup_agreement (id, care_unit_id, backup_unit_id, occasion, valid,"
            " registered_by, registered_at)"
            " VALUES (%(id)s, %(unit)s, %(backup)s, 'closed', tstzrange(%(now)s, NULL), 'x',"
            " %(now)s)",
            {"id": UUID(int=5), "unit": other.id, "backup": unit.id, "now": now},
        )
        connection.execute(
            "INSERT INTO backup_grant (agreement_id, alert_id, patient_id, care_unit_id,"
            " backup_unit_id, valid, reason)"
            " SELECT %s, id, patient_id, care_unit_id, %s, tstzrange(%s, %s), 'closed'"
            "   FROM alert WHERE id = %s",
            [UUID(int=5), unit.id, now - timedelta(hours=1), now + timedelta(hours=1), handed],
        )

    with staff(api) as client:
        page = client.get(f"/alerts/{handed}")
        form = form_of(client, handed)
        taken = client.post(f"/alerts/{handed}/take", data=form, headers=SAME)
        hidden = client.get(f"/alerts/{kept}")

    assert "Blodtryck 192/118 och 188/114 mmHg" in page.text
    assert (taken.status_code, hidden.status_code) == (200, 404)


def test_what_is_sent_wrong_changes_nothing_and_is_said(
    api: Api, clinic: Clinic, unit: Unit, database: Database
) -> None:
    alert_id = clinic.red_pressure(unit)
    form = {"action_id": str(uuid4()), "version": "1"}

    with staff(api) as client:

        def send(deed: str, **fields: str) -> int:
            given = form | {"action_id": str(uuid4())} | fields
            path = f"/alerts/{alert_id}/{deed}"
            return client.post(path, data=given, headers=SAME).status_code

        codes = {
            "no outcome": send("resolve", note="x"),
            "red as not reached": send("resolve", outcome="not_reached", note="x"),
            "without a note": send("resolve", outcome="advice_given"),
            "unknown outcome": send("resolve", outcome="<b>", note="x"),
            "a red for a day": send("pause", minutes="1440", reason="x"),
            "a pause without reason": send("pause", minutes="15", reason="  "),
            "an old version": send("take", version="7"),
            "no version": send("take", version="x"),
            "a note too long": send("note", text="x" * 4001),
        }
        foreign = client.post(
            f"/alerts/{alert_id}/take", data=form, headers={"Sec-Fetch-Site": "cross-site"}
        )

    assert codes == {
        "no outcome": 422,
        "red as not reached": 409,
        "without a note": 409,
        "unknown outcome": 409,
        "a red for a day": 409,
        "a pause without reason": 400,
        "an old version": 409,
        "no version": 422,
        "a note too long": 422,
    }
    assert foreign.status_code == 403
    with psycopg.connect(database.dsn()) as connection:
        assert connection.execute("SELECT state, version FROM alert").fetchall() == [("new", 1)]
        assert connection.execute("SELECT count(*) FROM alert_event").fetchone() == (0,)


def test_who_has_no_role_for_patients_opens_none(api: Api, clinic: Clinic, unit: Unit) -> None:
    alert_id = clinic.red_pressure(unit)

    with staff(api, "tea") as client:
        answers = [client.get(path) for path in ("/worklist", f"/alerts/{alert_id}")]

    assert [each.status_code for each in answers] == [403, 403]
    assert all("192/118" not in each.text for each in answers)


def test_what_somebody_wrote_is_shown_as_text(api: Api, clinic: Clinic, unit: Unit) -> None:
    alert_id = clinic.red_pressure(unit)

    with staff(api) as client:
        form = form_of(client, alert_id) | {"text": "<script>alert(1)</script>"}
        page = client.post(f"/alerts/{alert_id}/note", data=form, headers=SAME)

    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page.text
    assert "<script>alert" not in page.text


def test_the_patient_is_asked_to_measure_again_and_the_alert_stays(
    api: Api, clinic: Clinic, unit: Unit, database: Database
) -> None:
    alert_id = clinic.red_pressure(unit)

    with staff(api) as client:
        form = form_of(client, alert_id)
        pages = [
            client.post(f"/alerts/{alert_id}/remeasure", data=form, headers=SAME) for _ in range(2)
        ]

    assert "Patienten ombads mäta igen · Anna Berg" in pages[-1].text
    with psycopg.connect(database.dsn()) as connection:
        said = connection.execute("SELECT kind, recipient, state FROM message").fetchall()
        assert connection.execute("SELECT state, version FROM alert").fetchall() == [("new", 2)]
    assert said == [("remeasure_request", "patient", "waiting")]


def test_several_at_once_are_ended_only_where_all_just_inform(
    api: Api, clinic: Clinic, unit: Unit, database: Database
) -> None:
    now, people = datetime.now(UTC), [clinic.patient(unit) for _ in range(3)]
    blue = [clinic.alert(unit, one, now, rule="missed", priority="blue") for one in people[:2]]
    yellow = clinic.alert(unit, people[2], now, rule="silence", priority="yellow")

    def state() -> list[tuple[str, str]]:
        with psycopg.connect(database.dsn()) as connection:
            rows = connection.execute("SELECT priority, state FROM alert ORDER BY priority, id")
            return rows.fetchall()

    with staff(api) as client:

        def close(*alerts: UUID, version: int = 1) -> int:
            form = {
                "action_id": str(uuid4()),
                "outcome": "contacted_no_change",
                "alert": [f"{one}:{version}" for one in alerts],
            }
            return client.post("/worklist/close", data=form, headers=SAME).status_code

        assert close(*blue, yellow) == 409
        assert state() == [("blue", "new"), ("blue", "new"), ("yellow", "new")]
        assert close(*blue, version=9) == 200  # changed since: they stand in the list
        assert state() == [("blue", "new"), ("blue", "new"), ("yellow", "new")]
        assert close(*blue) == 200

    assert state() == [("blue", "resolved"), ("blue", "resolved"), ("yellow", "new")]
