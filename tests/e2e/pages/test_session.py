"""A session's end: warned of, put off, and survived by what somebody has written."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from playwright.sync_api import Browser, expect

from tests.support.api import Api
from tests.support.browsing import refused, signed_in
from tests.support.clinic import Clinic, Unit
from tests.support.services import Database

pytestmark = [pytest.mark.browser, pytest.mark.timescale, pytest.mark.timeout(120)]


def seen(database: Database, ago: timedelta) -> None:
    """Let the session have been used last so long ago; it ends after thirty minutes without."""
    with psycopg.connect(database.dsn()) as connection:
        connection.execute("UPDATE web_session SET seen_at = %s", [datetime.now(UTC) - ago])


def test_she_is_warned_and_stays_signed_in(
    browser: Browser, api: Api, clinic: Clinic, unit: Unit, database: Database
) -> None:
    alert_id = clinic.red_pressure(unit)
    faults: list[str] = []

    with signed_in(browser, api, faults) as page:
        page.clock.install()
        page.goto(f"{api.url}/alerts/{alert_id}")
        expect(page.locator("#ending")).to_be_hidden()
        seen(database, timedelta(minutes=28, seconds=30))
        page.clock.fast_forward(31_000)

        expect(page.locator("#ending")).to_contain_text("Du loggas ut om 2 min.")
        page.get_by_role("button", name="Fortsätt vara inloggad").click()
        expect(page.locator("#ending")).to_be_hidden()
        assert refused(page) == []
    assert faults == []


def test_what_she_has_written_outlives_the_session(
    browser: Browser, api: Api, clinic: Clinic, unit: Unit, database: Database
) -> None:
    alert_id = clinic.red_pressure(unit)

    with signed_in(browser, api, []) as page:
        page.clock.install()
        page.goto(f"{api.url}/alerts/{alert_id}")
        page.locator("#note").fill("Ringt, återkommer")
        seen(database, timedelta(minutes=31))
        page.clock.fast_forward(31_000)

        expect(page.locator("#ended")).to_be_visible()
        expect(page.get_by_text("Blodtryck 192/118")).to_be_hidden()
        page.get_by_role("button", name="Fortsätt", exact=True).click()
        expect(page.locator("#ended")).to_be_visible()  # not before somebody is signed in

        with page.context.expect_page() as opened:
            page.get_by_role("link", name="Logga in").click()
        opened.value.get_by_role("button", name="anna", exact=True).click()
        opened.value.wait_for_url(f"{api.url}/worklist")
        page.get_by_role("button", name="Fortsätt", exact=True).click()

        expect(page.locator("#ended")).to_be_hidden()
        expect(page.locator("#note")).to_have_value("Ringt, återkommer")
        assert page.evaluate("localStorage.length + sessionStorage.length") == 0


def test_another_person_at_the_same_computer_gets_a_page_of_their_own(
    browser: Browser, api: Api, clinic: Clinic, unit: Unit, database: Database
) -> None:
    alert_id = clinic.red_pressure(unit)

    with signed_in(browser, api, []) as page:
        page.clock.install()
        page.goto(f"{api.url}/alerts/{alert_id}")
        page.locator("#note").fill("Ringt, återkommer")
        seen(database, timedelta(minutes=31))
        page.clock.fast_forward(31_000)
        expect(page.locator("#ended")).to_be_visible()

        with page.context.expect_page() as opened:
            page.get_by_role("link", name="Logga in").click()
        opened.value.get_by_role("button", name="bo", exact=True).click()
        opened.value.wait_for_url(f"{api.url}/worklist")
        page.get_by_role("button", name="Fortsätt", exact=True).click()

        page.wait_for_url(f"{api.url}/worklist")


def test_the_list_hides_itself_and_lives_on_with_the_note_after_signing_in_again(
    browser: Browser, api: Api, clinic: Clinic, unit: Unit, database: Database
) -> None:
    clinic.red_pressure(unit)

    with signed_in(browser, api, []) as page:
        expect(page.locator("#badge")).to_have_text("Live")
        page.locator("tr[data-priority=red] a.nm").click()
        page.locator("#note").fill("Ringt, återkommer")
        page.mouse.move(1, 1)
        seen(database, timedelta(minutes=31))
        other = clinic.patient(unit, given="Femtio", family="Sjuttiosson")
        clinic.alert(unit, other, datetime.now(UTC), is_told=True)

        expect(page.locator("#ended")).to_be_visible(timeout=8000)
        expect(page.get_by_text("Blodtryck 192/118").first).to_be_hidden()
        with page.context.expect_page() as opened:
            page.get_by_role("link", name="Logga in").click()
        opened.value.get_by_role("button", name="anna", exact=True).click()
        opened.value.wait_for_url(f"{api.url}/worklist")
        page.get_by_role("button", name="Fortsätt", exact=True).click()

        expect(page.locator("#note")).to_have_value("Ringt, återkommer")
        expect(page.locator("tr[data-priority=red]")).to_have_count(2, timeout=8000)
