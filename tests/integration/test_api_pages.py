"""Sign-in, sessions, the live signal and the access log of the pages, without a browser."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import httpx
import psycopg
import pytest

from tests.support import plan_documents
from tests.support.api import Api, LoopbackCookies, identity_provider, running_api
from tests.support.clinic import SPO2, Clinic, Unit, reading
from tests.support.ingest import GATEWAY, Home
from tests.support.services import Database

pytestmark = [pytest.mark.timescale, pytest.mark.timeout(90)]


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
def nurse(api: Api) -> Generator[httpx.Client]:
    """Sign in at the provider's form; cookies travel as in a browser on a loopback address."""
    with httpx.Client(
        base_url=api.url, transport=LoopbackCookies(), follow_redirects=True, timeout=10
    ) as client:
        form = client.get("/worklist")
        page = client.post(form.url, data={"sub": "anna"})
        assert page.url.path == "/worklist", page.text
        yield client


def test_the_cookie_is_bound_and_only_its_digest_is_stored(api: Api, database: Database) -> None:
    with nurse(api) as client, psycopg.connect(database.dsn()) as connection:
        cookie = next(each for each in client.cookies.jar if each.name == "__Host-hemvital")
        stored = connection.execute("SELECT cookie_digest FROM web_session").fetchall()

    assert cookie.secure
    assert cookie.path == "/"
    assert not cookie.domain_specified
    assert cookie.has_nonstandard_attr("HttpOnly")
    assert len(stored) == 1
    assert str(cookie.value).encode() not in bytes(stored[0][0])


def test_pages_are_kept_by_nobody_and_allow_no_inline_script(api: Api) -> None:
    with nurse(api) as client:
        answer = client.get("/worklist")

    assert answer.headers["Cache-Control"] == "no-store"
    assert "'unsafe" not in answer.headers["Content-Security-Policy"]
    assert "<style" not in answer.text
    assert " style=" not in answer.text
    assert "<script>" not in answer.text


def test_an_idle_session_ends_though_the_page_refreshes_itself(
    api: Api, database: Database
) -> None:
    with nurse(api) as client:
        with psycopg.connect(database.dsn()) as connection:
            connection.execute("UPDATE web_session SET seen_at = seen_at - interval '29 min'")
        assert client.get("/worklist/rows").status_code == 200
        with psycopg.connect(database.dsn()) as connection:
            connection.execute("UPDATE web_session SET seen_at = seen_at - interval '2 min'")

        assert client.get("/worklist/rows").status_code == 401
        assert client.get("/worklist/events").status_code == 401


def test_a_reader_who_is_there_stays_signed_in(api: Api, database: Database) -> None:
    with nurse(api) as client:
        with psycopg.connect(database.dsn()) as connection:
            connection.execute("UPDATE web_session SET seen_at = seen_at - interval '29 min'")
        client.get("/worklist/rows", headers={"X-Active": "1"})
        with psycopg.connect(database.dsn()) as connection:
            connection.execute("UPDATE web_session SET seen_at = seen_at - interval '2 min'")

        assert client.get("/worklist/rows").status_code == 200


@pytest.mark.parametrize(
    "headers",
    [{}, {"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}],
)
def test_a_form_of_another_site_signs_nobody_out(api: Api, headers: dict[str, str]) -> None:
    with nurse(api) as client:
        assert client.post("/sign-out", headers=headers).status_code == 403
        assert client.get("/worklist/rows").status_code == 200


def test_sign_out_ends_the_session(api: Api, database: Database) -> None:
    with nurse(api) as client:
        client.post("/sign-out", headers={"Sec-Fetch-Site": "same-origin"})

        with psycopg.connect(database.dsn()) as connection:
            assert connection.execute("SELECT count(*) FROM web_session").fetchone() == (0,)
        assert client.get("/worklist/rows").status_code == 401


def test_a_sign_in_that_this_browser_did_not_begin_is_refused(api: Api) -> None:
    answer = httpx.get(f"{api.url}/sign-in/done?code=x&state=y", headers={"Accept-Language": "en"})

    assert answer.status_code == 400
    assert "You were not signed in" in answer.text


def test_a_list_is_logged_when_what_it_shows_changes(
    api: Api, clinic: Clinic, unit: Unit, database: Database
) -> None:
    first = clinic.patient(unit)
    with nurse(api) as client:
        for _ in range(3):
            client.get("/worklist/rows")
        second = clinic.patient(unit)
        client.get("/worklist/rows")

    with psycopg.connect(database.dsn()) as connection:
        logged = connection.execute(
            "SELECT actor, purpose, action, patient_ids FROM access_log ORDER BY id"
        ).fetchall()
    assert logged == [
        ("SE2321000016-1001", "Vård och behandling", "worklist", [first]),
        ("SE2321000016-1001", "Vård och behandling", "worklist", sorted([first, second])),
    ]


def test_another_units_patients_are_not_on_the_list(api: Api, clinic: Clinic, unit: Unit) -> None:
    other = clinic.unit("SE2321000016-E102", "Lungmottagningen")
    theirs = clinic.patient(other, given="Främmande")
    clinic.alert(other, theirs, datetime.now(UTC))
    clinic.patient(unit, given="Egen")

    with nurse(api) as client:
        page = client.get("/worklist").text

    assert "Egen" in page
    assert "Främmande" not in page


def test_a_late_reading_tells_its_age(api: Api, clinic: Clinic, unit: Unit) -> None:
    now = datetime.now(UTC)
    patient = clinic.patient(unit)
    clinic.alert(
        unit,
        patient,
        now,
        rule="limit.spo2",
        limits={"spo2": {"red_low": "85"}},
        readings=[reading(now - timedelta(days=2, hours=1), SPO2, value="82", unit="%")],
    )

    with nurse(api) as client:
        page = client.get("/worklist").text

    assert "mätt 2 d sedan, kom nyss" in page
    assert "Syremättnad 82 %, under patientens gräns 85" in page


def test_a8_what_was_taken_back_counts_no_longer_and_is_said(
    api: Api, clinic: Clinic, unit: Unit
) -> None:
    now = datetime.now(UTC)
    gone = reading(now, SPO2, value="70", unit="%") | {"is_withdrawn": True}
    left = reading(now, SPO2, value="82", unit="%", flags=["may_be_another"])
    limits = {"spo2": {"red_low": "85"}}
    for readings in ([gone, left], [gone]):
        patient = clinic.patient(unit)
        clinic.alert(unit, patient, now, rule="limit.spo2", limits=limits, readings=readings)

    with nurse(api) as client:
        page = client.get("/worklist").text

    assert "Syremättnad 82 %, under patientens gräns 85" in page
    assert "1 mätning återtagen" in page
    assert "kan vara en annan person" in page
    assert "Det som larmet byggde på har återtagits: bedöm och avsluta det själv." in page
    assert "Syremättnad 70" not in page


def test_who_has_no_limits_stands_apart(api: Api, clinic: Clinic, unit: Unit) -> None:
    monitored, other = clinic.patient(unit, given="Övervakad"), clinic.patient(unit, given="Annan")
    clinic.limits(monitored, pulse=(40, 50, 110, 130))
    clinic.frame(unit, other, datetime.now(UTC), "unsupported_frame")
    clinic.quarantine(unit, datetime.now(UTC) - timedelta(hours=5, minutes=1))

    with nurse(api) as client:
        page = client.get("/worklist").text

    without = page.index("övervakas inte")
    others = page.index("Utan öppna larm")
    assert without < page.index("Annan") < others < page.index("Övervakad")
    assert "1 mätning från mätaren gick inte att tyda" in page
    assert "1 mätning väntar i karantän" in page
    assert "äldst 5 h" in page


def test_who_needs_her_first_stands_first_and_once(
    api: Api, clinic: Clinic, unit: Unit, database: Database
) -> None:
    now = datetime.now(UTC)
    people = {name: clinic.patient(unit, given=name) for name in ("Ett", "Två", "Tre", "Fyra")}

    def raised(name: str, minutes: int, priority: str, rule: str = "silence") -> UUID:
        at = now - timedelta(minutes=minutes)
        return clinic.alert(unit, people[name], at, priority=priority, rule=rule)

    raised("Fyra", 600, "yellow")
    taken = raised("Tre", 500, "red")
    raised("Två", 10, "red")
    raised("Ett", 20, "red")
    raised("Ett", 300, "yellow", "failed_attempts")
    with psycopg.connect(database.dsn()) as connection:
        connection.execute(
            "UPDATE alert SET state = 'taken', owner = 'SE2321000016-1001' WHERE id = %s", [taken]
        )

    with nurse(api) as client:
        text = client.get("/worklist").text

    # Priority, then what nobody has taken, then the longest wait (details 1 and 3).
    rows = re.findall(r'data-key="([^"]+)"', text)
    names = {str(patient): name for name, patient in people.items()}
    assert [names[row] for row in rows] == ["Ett", "Två", "Tre", "Fyra"]


def test_a19_whoever_is_not_monitored_is_listed_with_the_reason(
    api: Api, clinic: Clinic, unit: Unit
) -> None:
    now, limits = datetime.now(UTC), {"pulse": {"red_high": 130}}
    clinic.patient(unit, given="Ingen")
    given = {
        "Utkast": {"status": "draft"},
        "Slut": {"status": "active", "until": (now - timedelta(days=2)).isoformat()},
        "Paus": {"status": "on-hold"},
        "Senare": {"status": "active", "since": (now + timedelta(days=2)).isoformat()},
    }
    for name, changes in given.items():
        patient = clinic.patient(unit, given=name)
        clinic.plan(plan_documents.document(patient, unit.id, limits, **changes))

    with nurse(api) as client:
        text = client.get("/worklist").text

    rows = {
        name: text[(at := text.index(f"{name} Tolvansson")) : at + 600]
        for name in ("Ingen", *given)
    }
    assert "ingen plan" in rows["Ingen"]
    assert "ett utkast väntar på godkännande" in rows["Utkast"]
    assert "planen gick ut" in rows["Slut"]
    assert "planen är pausad" in rows["Paus"]
    assert "planen börjar" in rows["Senare"]


async def test_a1_a_red_reading_without_an_owner_stands_above_the_alerts(
    api: Api, unit: Unit, database: Database
) -> None:
    home = Home(database=database)
    home.execute("INSERT INTO gateway (id, care_unit_id) VALUES (%s, %s)", GATEWAY, unit.id)
    await home.give(home.cuff("192", "118", device="F0:A1:00:00:00:99"))

    with nurse(api) as client:
        page = client.get("/worklist/rows").text
        home.execute("UPDATE quarantine SET raised_at = raised_at - interval '31 minutes'")
        later = client.get("/worklist/rows").text
        home.execute("UPDATE quarantine SET resolved_at = now()")
        resolved = client.get("/worklist/rows").text

    assert page.index("1 mätning utan ägare, röd") < page.index("Öppna larm")
    assert "inom 30 minuter" in page
    assert "över tiden" not in page
    assert "över tiden" in later
    assert "utan ägare" not in resolved


def test_markup_in_what_is_stored_is_shown_as_text(
    api: Api, clinic: Clinic, unit: Unit, database: Database
) -> None:
    markup = "<script>alert(1)</script>\"'><img src=x>"
    patient = clinic.patient(unit, given=markup, family=markup)
    now = datetime.now(UTC)
    flagged = reading(now, SPO2, value="82", unit=markup, flags=[markup])
    clinic.alert(unit, patient, now, rule="limit.spo2", readings=[flagged])
    clinic.alert(unit, patient, now, rule=markup)
    with psycopg.connect(database.dsn()) as connection:
        connection.execute("UPDATE care_unit SET name = %s", [markup])

    with nurse(api) as client:
        page = client.get("/worklist").text

    assert "<img" not in page
    assert "<script>" not in page
    assert page.count("&lt;script&gt;") >= 4


def test_alert_facts_of_an_unknown_shape_still_show_the_alert(
    api: Api, clinic: Clinic, unit: Unit
) -> None:
    patient = clinic.patient(unit, given="Tydlig")
    clinic.alert(unit, patient, datetime.now(UTC), rule="new.rule", readings=[{"strange": True}])

    with nurse(api) as client:
        page = client.get("/worklist").text

    assert "Tydlig" in page
    assert "new.rule" in page


def test_a_commit_reaches_an_open_stream_at_once(api: Api, clinic: Clinic, unit: Unit) -> None:
    patient = clinic.patient(unit)
    with nurse(api) as client, client.stream("GET", "/worklist/events") as stream:
        lines = stream.iter_lines()
        assert next(line for line in lines if line.startswith("data:"))

        committed = time.monotonic()
        clinic.alert(unit, patient, datetime.now(UTC), is_told=True)
        assert next(line for line in lines if line.startswith("event:")) == "event: worklist"

        assert time.monotonic() - committed < 0.3


def test_another_units_change_wakes_nobody(api: Api, clinic: Clinic, unit: Unit) -> None:
    other = clinic.unit("SE2321000016-E102", "Lungmottagningen")
    with nurse(api) as client, client.stream("GET", "/worklist/events") as stream:
        lines = stream.iter_lines()
        assert next(line for line in lines if line.startswith("data:"))

        clinic.alert(other, clinic.patient(other), datetime.now(UTC), is_told=True)

        # Within the heartbeat's five seconds nothing else comes.
        assert next(line for line in lines if line.startswith("event:")) == "event: beat"


def test_the_signal_returns_after_the_database_cut_it(
    api: Api, clinic: Clinic, unit: Unit, database: Database
) -> None:
    with nurse(api) as client, client.stream("GET", "/worklist/events") as stream:
        lines = stream.iter_lines()
        assert next(line for line in lines if line.startswith("data:"))
        with psycopg.connect(database.dsn("hemvital_api")) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE usename = current_user AND pid <> pg_backend_pid()"
                " AND datname = current_database()"
            )

        # Every page looks again: what happened in between is unknown.
        assert next(line for line in lines if line.startswith("event:")) == "event: worklist"
        clinic.alert(unit, clinic.patient(unit), datetime.now(UTC), is_told=True)
        assert next(line for line in lines if line.startswith("event:")) == "event: worklist"


def test_open_streams_do_not_hold_the_stop(api: Api) -> None:
    with nurse(api) as client:
        began = threading.Event()

        def watch() -> None:
            try:
                with client.stream("GET", "/worklist/events") as stream:
                    for _ in stream.iter_lines():
                        began.set()
            except httpx.HTTPError:
                pass

        watcher = threading.Thread(target=watch)
        watcher.start()
        assert began.wait(5)

        took = api.stop()
        watcher.join(5)

    assert took < 3
    assert api.process.returncode == 0


def test_what_waits_for_a_second_value_is_no_alert_yet(
    api: Api, clinic: Clinic, unit: Unit
) -> None:
    patient = clinic.patient(unit)
    clinic.limits(patient, spo2=(88, 90, None, None))
    clinic.alert(unit, patient, None, rule="limit.spo2", state="awaiting")

    with nurse(api) as client:
        answer = client.get("/worklist")

    assert answer.status_code == 200
    assert "No open alerts" in answer.text or "Inga öppna larm" in answer.text
