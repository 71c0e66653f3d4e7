"""The unit's figures, counted by hand from what the test made happen."""

from __future__ import annotations

import re
from collections.abc import Generator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import psycopg
import pytest

from tests.integration.test_alert_routes import staff
from tests.support.api import Api, identity_provider, running_api
from tests.support.clinic import Clinic, Unit
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


def happened(database: Database, alert_id: UUID, *events: tuple[str, datetime, str]) -> None:
    with psycopg.connect(database.dsn()) as connection:
        for event, at, by in events:
            connection.execute(
                "INSERT INTO alert_event (alert_id, at, event, by) VALUES (%s, %s, %s, %s)",
                [alert_id, at, event, by],
            )


def plain(page: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", page).split())


def test_figures_are_what_happened(
    api: Api, clinic: Clinic, unit: Unit, database: Database
) -> None:
    now = datetime.now(UTC)
    patients = [clinic.patient(unit) for _ in range(2)]
    for one in patients:
        clinic.limits(one, pulse=(40, 50, 110, 130))  # two patients for four weeks: 56 days
    start = now - timedelta(days=3)
    nurse = "SE2321000016-1001"
    quick = clinic.alert(unit, patients[0], start, rule="limit.spo2")
    happened(
        database, quick, ("raised", start, "rules"), ("taken", start + timedelta(minutes=6), nurse)
    )
    slow = clinic.alert(unit, patients[1], start, rule="limit.spo2")
    happened(
        database,
        slow,
        ("raised", start, "rules"),
        ("escalated", start + timedelta(minutes=30), "rules"),
        ("taken", start + timedelta(minutes=46), nurse),
    )
    old = clinic.alert(unit, patients[0], now - timedelta(days=40), rule="silence")
    happened(database, old, ("raised", now - timedelta(days=40), "rules"))
    elsewhere = clinic.unit("SE2321000016-E102", "Annan mottagning")
    other = clinic.alert(elsewhere, clinic.patient(elsewhere), start, rule="missed")
    happened(database, other, ("raised", start, "rules"))
    with psycopg.connect(database.dsn()) as connection:
        for alert_id, outcome in ((quick, "treatment_changed"), (slow, "measuring_error")):
            connection.execute(
                "UPDATE alert SET state = 'resolved', outcome = %s, resolved_at = %s"
                " WHERE id = %s",
                [outcome, now, alert_id],
            )

    with staff(api) as client:
        text = plain(client.get("/measures").text)

    assert "Larm per 100 patientdygn 3,6" in text  # 2 in 56
    assert "2 röda och gula, 56 patientdygn" in text
    assert "Över tid 50 %" in text
    assert "Sa något som stämde 50 %" in text
    assert "limit.spo2 Röd 2 2 50 %" in text
    assert "Röd (2) median 26 min, nio av tio 42 min" in text  # of 6 and 46: linear between
    assert "Behandling ändrad 1" in text
    assert "Mätfel 1" in text
    assert "silence" not in text
    assert "missed" not in text


def test_a_unit_without_alerts_has_no_shares(api: Api, unit: Unit) -> None:
    with staff(api) as client:
        text = plain(client.get("/measures").text)

    assert "Inga larm under tiden." in text
    assert "Över tid \N{EN DASH}" in text
