"""No page keeps anybody out: axe-core's rules (WCAG 2.1 A and AA), in light and in dark."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Browser, expect

from tests.e2e.pages.test_patient import four_weeks
from tests.support.api import Api
from tests.support.browsing import barriers, signed_in
from tests.support.clinic import Clinic, Unit

pytestmark = [pytest.mark.browser, pytest.mark.timescale, pytest.mark.timeout(180)]


@pytest.mark.parametrize("is_dark", [False, True], ids=["light", "dark"])
def test_no_page_has_a_barrier(
    browser: Browser, api: Api, clinic: Clinic, unit: Unit, *, is_dark: bool
) -> None:
    alert_id, patient = clinic.red_pressure(unit), four_weeks(clinic, unit)
    now = datetime.now(UTC)
    for number, priority in enumerate(("yellow", "blue"), start=1):
        at = now - timedelta(hours=number)
        clinic.alert(unit, patient, at, rule=f"silence.{number}", priority=priority)
    found: dict[str, list[str]] = {}

    with signed_in(browser, api, [], is_dark=is_dark) as page:
        expect(page.locator("#badge")).to_have_text("Live")
        page.locator("tr[data-priority=red] a.nm").click()
        expect(page.locator("#pane #why")).to_be_visible()
        found["worklist"] = barriers(page)
        page.goto(f"{api.url}/alerts/{alert_id}")
        page.get_by_text("Åtgärda…").click()
        page.get_by_text("Pausa…").click()
        found["alert"] = barriers(page)
        page.goto(f"{api.url}/patients/{patient}")
        page.get_by_text("Visa som tabell").first.click()
        found["patient"] = barriers(page)
        page.goto(f"{api.url}/handover")
        found["handover"] = barriers(page)
        page.goto(f"{api.url}/worklist")
        page.locator("#q").fill("Tolvan")
        page.get_by_role("button", name="Sök").click()
        expect(page.locator("#found")).to_be_visible()
        found["search"] = barriers(page)
        page.goto(f"{api.url}/measures")
        found["measures"] = barriers(page)
        page.goto(f"{api.url}/nothing")
        found["error"] = barriers(page)

    assert found == {name: [] for name in found}


def test_a_barrier_would_be_found(browser: Browser) -> None:
    page = browser.new_page()
    page.set_content('<html lang="sv"><title>x</title><main><h1>x</h1><img src="x"></main></html>')

    assert [one.partition(":")[0] for one in barriers(page)] == ["image-alt"]
    page.close()
