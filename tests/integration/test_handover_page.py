"""The hand-over, without a browser: what the next shift reads, and what is logged."""

from __future__ import annotations

import re
from collections.abc import Generator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from tests.integration.test_alert_routes import SAME, form_of, logged, staff
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


def section(text: str, name: str) -> str:
    found = re.search(rf'aria-labelledby="{name}">(.*?)</section>', text, re.DOTALL)
    assert found is not None
    return found[1]


def test_reds_come_first_with_what_was_done_and_written(
    api: Api, clinic: Clinic, unit: Unit, database: Database
) -> None:
    red = clinic.red_pressure(unit)
    now = datetime.now(UTC)
    quiet = clinic.patient(unit, given="Femtio", family="Sjuttiosson")
    clinic.alert(unit, quiet, now - timedelta(hours=3), rule="silence", priority="yellow")
    clinic.overdue(unit, now - timedelta(hours=2))

    with staff(api) as client:
        before = client.get("/handover").text
        # Its time was out: that comes first, and is read before the next step.
        client.post(f"/alerts/{red}/take", data=form_of(client, red), headers=SAME)
        done = form_of(client, red) | {"outcome": "visit_arranged", "note": "Tid i morgon 9"}
        client.post(f"/alerts/{red}/resolve", data=done, headers=SAME)
        after = client.get("/handover").text

    assert "Ej taget, 2 h över tid" in section(before, "reds")
    assert "av Anna Berg: Besök bokat" in section(after, "reds")
    assert "<q>Tid i morgon 9</q>" in section(after, "reds")
    assert "Femtio Sjuttiosson" in section(after, "open")
    assert "Inget har avslutats." in section(after, "ended")
    assert ("SE2321000016-1001", "handover", 2) in logged(database)


def test_what_ended_before_yesterday_and_what_is_another_units_is_not_told(
    api: Api, clinic: Clinic, unit: Unit, database: Database
) -> None:
    other = clinic.unit("SE2321000016-E102", "Annan mottagning")
    theirs = clinic.patient(other, given="Femtio", family="Sjuttiosson")
    clinic.alert(other, theirs, datetime.now(UTC), rule="silence")
    old = clinic.red_pressure(unit)
    with psycopg.connect(database.dsn()) as connection:
        connection.execute(
            "UPDATE alert SET state = 'resolved', outcome = 'advice_given',"
            " resolved_at = now() - interval '25 hours' WHERE id = %s",
            [old],
        )

    with staff(api) as client:
        text = client.get("/handover").text

    assert "Inget rött senaste dygnet." in text
    assert "Sjuttiosson" not in text
    assert "192/118" not in text
