"""A patient's page, without a browser: who may see it, what it says, what is logged."""

from __future__ import annotations

from collections.abc import Generator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import psycopg
import pytest

from tests.integration.test_alert_routes import SAME, logged, staff
from tests.support.api import Api, identity_provider, running_api
from tests.support.clinic import SPO2, Clinic, Unit
from tests.support.services import Database

pytestmark = pytest.mark.timescale


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


def measured(clinic: Clinic, unit: Unit) -> UUID:
    """Return a patient with 85 % an hour ago, 93 % ten days ago and 96 % sixty days ago."""
    now = datetime.now(UTC)
    patient = clinic.patient(unit)
    clinic.limits(patient, spo2=(86, 88, None, None))
    for ago, value in (
        (timedelta(hours=1), 85),
        (timedelta(days=10), 93),
        (timedelta(days=60), 96),
    ):
        clinic.observation(unit, patient, now - ago, code=SPO2, values=(value,))
    return patient


def test_each_period_has_its_readings_and_a_text_for_who_sees_no_chart(
    api: Api, clinic: Clinic, unit: Unit, database: Database
) -> None:
    patient = measured(clinic, unit)

    with staff(api) as client:
        pages = {
            days: client.get(f"/patients/{patient}", params={"period": days}).text
            for days in (7, 28, 90)
        }

    assert "Syremättnad: 1 mätningar, lägst 85, högst 85, senast 85" in pages[7]
    assert "Syremättnad: 2 mätningar, lägst 85, högst 93, senast 85" in pages[28]
    assert "Syremättnad: 3 mätningar, lägst 85, högst 96, senast 85" in pages[90]
    assert "utanför röd gräns" in pages[7]
    assert "uppgift saknas" in pages[7]  # nobody has stated telephone, kin or medicines
    assert logged(database)[-3:] == [("SE2321000016-1001", "patient", 1)] * 3


def test_another_units_patient_is_like_none(api: Api, clinic: Clinic, unit: Unit) -> None:
    theirs = measured(clinic, clinic.unit("SE2321000016-E102", "Annan mottagning"))

    with staff(api) as client:
        codes = [client.get(f"/patients/{each}").status_code for each in (theirs, uuid4(), "x")]
        codes.append(client.get(f"/patients/{theirs}", params={"period": 8}).status_code)

    assert codes == [404, 404, 422, 422]


def test_a_protected_identity_stays_hidden_and_the_values_are_shown(
    api: Api, clinic: Clinic, unit: Unit, database: Database
) -> None:
    patient = measured(clinic, unit)
    with psycopg.connect(database.dsn()) as connection:
        connection.execute("UPDATE patient SET is_protected = true")
        name = connection.execute("SELECT family, identifier_value FROM patient").fetchone()

    with staff(api) as client:
        text = client.get(f"/patients/{patient}").text

    assert name is not None
    assert not any(str(each) in text for each in name)
    assert "Skyddade personuppgifter" in text
    assert "85" in text


def test_who_measured_nothing_has_a_page_that_says_so(
    api: Api, clinic: Clinic, unit: Unit
) -> None:
    patient = clinic.patient(unit)

    with staff(api) as client:
        text = client.get(f"/patients/{patient}").text

    assert text.count("Inga mätningar under perioden.") == 3
    assert "Ingen plan gäller: inget bedöms." in text
    assert "Ingen enhet är tilldelad." in text


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("tolvansson", 1),
        ("Tolvan T", 1),
        ("tolvansson tolvan", 1),
        ("19610118-2803", 1),
        ("0118 28", 1),
        ("T%n", 0),  # a sign of the pattern language is a sign like any other
        ("_", 0),
        ("", 0),
        ("Sjuttiosson", 0),  # another unit's
        ("'; --", 0),
    ],
)
def test_a_patient_is_found_by_some_of_the_name_or_number(
    api: Api, clinic: Clinic, unit: Unit, asked: str, found: int
) -> None:
    patient = clinic.patient(unit, number="196101182803", gender="female")
    other = clinic.unit("SE2321000016-E102", "Annan mottagning")
    clinic.patient(other, given="Femtio", family="Sjuttiosson")

    with staff(api) as client:
        answer = client.post("/patients", data={"q": asked}, headers=SAME)

    assert answer.text.count(f'href="/patients/{patient}"') == found
    assert answer.text.count('href="/patients/') == found
    assert asked not in str(answer.url) or not asked


def test_a_protected_identity_is_found_by_the_whole_number_alone(
    api: Api, clinic: Clinic, unit: Unit, database: Database
) -> None:
    clinic.patient(unit, number="196101182803", gender="female")
    with psycopg.connect(database.dsn()) as connection:
        connection.execute("UPDATE patient SET is_protected = true")

    with staff(api) as client:
        texts = [
            client.post("/patients", data={"q": asked}, headers=SAME).text
            for asked in ("Tolvan", "1961", "196101182803")
        ]
        foreign = client.post(
            "/patients", data={"q": "Tolvan"}, headers={"Sec-Fetch-Site": "cross-site"}
        )

    assert ['href="/patients/' in text for text in texts] == [False, False, True]
    assert "Tolvansson" not in texts[2]
    assert foreign.status_code == 403
    assert [row for row in logged(database) if row[1] == "search"] == [
        ("SE2321000016-1001", "search", 1)
    ]
