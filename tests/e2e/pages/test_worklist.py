"""The nurse's page in a real browser, against the real server and database."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from playwright.sync_api import Browser, BrowserContext, expect

from tests.support.api import Api, identity_provider, running_again, running_api
from tests.support.browsing import overflow, refused, signed_in
from tests.support.clinic import Clinic, Unit
from tests.support.services import Database

pytestmark = [pytest.mark.browser, pytest.mark.timescale, pytest.mark.timeout(120)]


def test_a_nurse_signs_in_and_reads_why(
    browser: Browser, api: Api, clinic: Clinic, unit: Unit
) -> None:
    faults: list[str] = []
    clinic.red_pressure(unit, is_told=False)

    with signed_in(browser, api, faults) as page:
        row = page.locator("tr[data-priority=red]")

        expect(row).to_contain_text(
            "Blodtryck 192/118 och 188/114 mmHg med 5 minuters mellanrum,"
            " över patientens gräns 180/110."
        )
        expect(page.locator(".tile.red")).to_contain_text("kontakta nu")
        expect(row).to_contain_text("oregelbunden puls")
        expect(page.get_by_text("Anna Berg")).to_be_visible()
        expect(page.locator("#badge")).to_have_text("Live")
        assert "19610118" not in page.url + page.title()
        assert refused(page) == []
    assert faults == []


def test_a_new_alert_appears_without_reload(
    browser: Browser, api: Api, clinic: Clinic, unit: Unit
) -> None:
    faults: list[str] = []

    with signed_in(browser, api, faults) as page:
        expect(page.locator("#badge")).to_have_text("Live")
        expect(page.get_by_text("Inga öppna larm")).to_be_visible()
        page.mouse.move(1, 1)
        clinic.red_pressure(unit, is_told=True)

        expect(page.locator("tr[data-priority=red]")).to_be_visible(timeout=2000)
        expect(page.locator("#announce")).to_have_text("Nytt rött larm")
        assert refused(page) == []
    assert faults == []


def test_no_row_moves_under_the_pointer(
    browser: Browser, api: Api, clinic: Clinic, unit: Unit
) -> None:
    clinic.red_pressure(unit, is_told=False)

    with signed_in(browser, api, []) as page:
        expect(page.locator("#badge")).to_have_text("Live")
        page.locator("tr[data-priority=red]").hover()
        other = clinic.patient(unit, given="Femtio", family="Sjuttiosson")
        clinic.alert(unit, other, datetime.now(UTC) - timedelta(hours=1), is_told=True)

        expect(page.locator("#fresh")).to_contain_text("1 nytt larm", timeout=2000)
        expect(page.locator("#announce")).to_have_text("Nytt rött larm")
        assert page.locator("tr[data-priority=red]").count() == 1
        page.locator("#fresh").click()
        expect(page.locator("tr[data-priority=red]")).to_have_count(2)


@pytest.mark.parametrize("width", [320, 390, 1366])
def test_nothing_scrolls_sideways(
    browser: Browser, api: Api, clinic: Clinic, unit: Unit, width: int
) -> None:
    clinic.red_pressure(unit, is_told=False)
    clinic.patient(unit, given="Ett-Mycket", family="Långtefternamnutanmellanslagellerbindestreck")

    with signed_in(browser, api, []) as page:
        page.set_viewport_size({"width": width, "height": 800})

        assert overflow(page) == 0


def test_a_dead_server_is_told_within_twelve_seconds(
    browser: Browser, api: Api, clinic: Clinic, unit: Unit
) -> None:
    clinic.red_pressure(unit, is_told=False)

    with signed_in(browser, api, []) as page:
        expect(page.locator("#badge")).to_have_text("Live")
        api.kill()
        killed = time.monotonic()

        expect(page.locator("#badge")).to_contain_text("Inte live", timeout=12_000)
        assert time.monotonic() - killed < 12
        expect(page.locator("tr[data-priority=red]")).to_be_visible()


def test_the_page_comes_back_to_life_with_what_it_missed(
    browser: Browser, tmp_path: Path, api: Api, clinic: Clinic, unit: Unit
) -> None:
    with signed_in(browser, api, []) as page:
        expect(page.locator("#badge")).to_have_text("Live")
        page.mouse.move(1, 1)
        api.kill()
        clinic.red_pressure(unit, is_told=True)
        with running_again(api, tmp_path):
            expect(page.locator("tr[data-priority=red]")).to_be_visible(timeout=15_000)
            expect(page.locator("#badge")).to_have_text("Live")


def test_ten_tabs_share_one_stream(browser: Browser, api: Api, clinic: Clinic, unit: Unit) -> None:
    with signed_in(browser, api, []) as page:
        context: BrowserContext = page.context
        tabs = [page, *(context.new_page() for _ in range(9))]
        for tab in tabs[1:]:
            tab.goto(f"{api.url}/worklist")
            tab.mouse.move(1, 1)
        clinic.red_pressure(unit, is_told=True)

        for tab in tabs:
            expect(tab.locator("tr[data-priority=red]")).to_be_visible(timeout=5000)


def test_without_scripts_she_reads_the_same_and_leaves(
    browser: Browser, api: Api, clinic: Clinic, unit: Unit
) -> None:
    clinic.red_pressure(unit, is_told=False)
    context = browser.new_context(locale="sv-SE", java_script_enabled=False)
    page = context.new_page()

    page.goto(api.url)
    page.get_by_role("button", name="anna").click()

    expect(page.locator("tr[data-priority=red]")).to_contain_text("över patientens gräns 180/110.")
    expect(page.locator("#badge")).to_contain_text("Kl. ")
    page.get_by_role("button", name="Logga ut").click()
    expect(page.get_by_text("Du är utloggad").first).to_be_visible()
    context.close()


def test_english_and_sign_out(browser: Browser, api: Api, clinic: Clinic, unit: Unit) -> None:
    clinic.red_pressure(unit, is_told=False)

    with signed_in(browser, api, []) as page:
        page.get_by_role("button", name="English").click()
        expect(page.locator("tr[data-priority=red]")).to_contain_text(
            "Blood pressure 192/118 and 188/114 mmHg 5 minutes apart,"
            " above the patient's limit 180/110."
        )
        page.get_by_role("button", name="Sign out").click()
        expect(page.get_by_text("You are signed out")).to_be_visible()
        page.goto(f"{api.url}/worklist")
        expect(page).not_to_have_url(f"{api.url}/worklist")


def test_an_unknown_unit_is_told_so(
    browser: Browser, tmp_path: Path, database: Database, unit: Unit
) -> None:
    with (
        identity_provider("SE2321000016-E999") as issuer,
        running_api(tmp_path, dsn=database.dsn("hemvital_api"), issuer=issuer) as api,
    ):
        context = browser.new_context(locale="sv-SE")
        page = context.new_page()
        page.goto(api.url)
        page.get_by_role("button", name="anna").click()

        expect(page.get_by_text("Din vårdenhet använder inte Hemvital")).to_be_visible()
        context.close()


def test_a10_a_control_reading_that_does_not_come_through_is_said_in_red(
    browser: Browser, api: Api, database: Database
) -> None:
    def told(ago: timedelta) -> None:
        at = datetime.now(UTC) - ago
        with psycopg.connect(database.dsn()) as connection:
            payload = f"{at:%Y-%m-%dT%H:%M:%S.%f}Z"
            connection.execute("SELECT pg_notify('canary', %s)", [payload])

    with signed_in(browser, api, []) as page:
        expect(page.locator("#badge")).to_have_text("Live")
        expect(page.locator("#deaf")).to_be_hidden()

        told(timedelta(minutes=4))
        expect(page.locator("#deaf")).to_contain_text("Följ reservrutinen", timeout=8000)
        expect(page.locator("#badge")).to_have_text("Live")  # the server itself is well

        told(timedelta(seconds=20))
        expect(page.locator("#control")).to_contain_text("Kontrollmätning", timeout=8000)
        expect(page.locator("#deaf")).to_be_hidden()
