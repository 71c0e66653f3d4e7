"""What a nurse does to an alert in a real browser: take, pause, resolve, undo; who was first."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.api import Api
from tests.support.browsing import overflow, refused, signed_in
from tests.support.clinic import Clinic, Unit

pytestmark = [pytest.mark.browser, pytest.mark.timescale, pytest.mark.timeout(120)]


def chosen(page: Page) -> None:
    """Open the only alert beside the list."""
    page.locator("tr[data-priority=red] a.nm").click()
    expect(page.locator("#pane #why")).to_be_visible()


def test_she_takes_it_in_two_clicks_and_closes_it_in_four_more(
    browser: Browser, api: Api, clinic: Clinic, unit: Unit
) -> None:
    clinic.red_pressure(unit)
    faults: list[str] = []

    with signed_in(browser, api, faults) as page:
        chosen(page)
        pane = page.locator("#pane")
        expect(pane).to_contain_text("Blodtryck 192/118 och 188/114 mmHg")
        pane.get_by_role("button", name="Ta", exact=False).first.click()
        expect(pane).to_contain_text("Taget av Anna Berg")

        pane.get_by_label("Ringt, inget behövdes").check()
        pane.get_by_role("button", name="Ringt, råd givna").click()
        pane.get_by_role("button", name="Åtgärda", exact=True).click()

        expect(pane).to_contain_text("Åtgärdat: Ringt, inget behövdes")
        expect(pane.locator(".tl li").first).to_contain_text("Ringt, råd givna")
        expect(page.get_by_text("Inga öppna larm")).to_be_visible(timeout=5000)
        assert refused(page) == []
    assert faults == []


def test_what_she_has_just_done_she_can_undo_for_ten_seconds(
    browser: Browser, api: Api, clinic: Clinic, unit: Unit
) -> None:
    clinic.red_pressure(unit)

    with signed_in(browser, api, []) as page:
        chosen(page)
        pane = page.locator("#pane")
        pane.locator("form[action$='/take'] button").click()
        expect(pane).to_contain_text("Taget av Anna Berg")
        pane.get_by_role("button", name="Ångra").click()

        expect(pane.locator(".state")).to_contain_text("Ny")
        expect(pane.locator(".tl li").first).to_contain_text("Senaste åtgärden ångrad")
        expect(pane.get_by_role("button", name="Ångra")).to_have_count(0)


def test_the_second_of_two_nurses_is_told_who_was_first(
    browser: Browser, api: Api, clinic: Clinic, unit: Unit
) -> None:
    clinic.red_pressure(unit)

    with (
        signed_in(browser, api, []) as first,
        signed_in(browser, api, [], who="bo") as second,
    ):
        for page in (first, second):
            chosen(page)
        first.locator("#pane form[action$='/take'] button").click()
        expect(first.locator("#pane")).to_contain_text("Taget av Anna Berg")
        second.locator("#pane form[action$='/take'] button").click()

        expect(second.get_by_role("alert").filter(has_text="Anna Berg")).to_be_visible()
        expect(second.locator("#pane .state")).to_contain_text("Taget av Anna Berg")
        expect(second.locator("#pane form[action$='/take']")).to_have_count(0)


def test_a_pause_has_a_reason_and_an_end_and_a_list_of_its_own(
    browser: Browser, api: Api, clinic: Clinic, unit: Unit
) -> None:
    clinic.red_pressure(unit)

    with signed_in(browser, api, []) as page:
        chosen(page)
        pane = page.locator("#pane")
        pane.get_by_text("Pausa…").click()
        # A red rests for half an hour at most (details 20): longer is not offered.
        expect(pane.locator("select[name=minutes] option")).to_have_text(["15 min", "30 min"])
        pane.locator("input[name=reason]").fill("Ringer om en kvart")
        pane.get_by_role("button", name="Pausa", exact=True).click()
        expect(pane.locator(".state")).to_contain_text("Ringer om en kvart")

        page.get_by_role("link", name="Pausade 1").first.click()
        row = page.locator("tr[data-priority=red]")
        expect(row).to_contain_text("åter om")
        page.get_by_role("link", name="Alla 0").click()
        expect(page.get_by_text("Inga öppna larm")).to_be_visible()


@pytest.mark.parametrize("width", [320, 390])
def test_without_scripts_and_on_a_phone_every_step_is_a_page(
    browser: Browser, api: Api, clinic: Clinic, unit: Unit, width: int
) -> None:
    alert_id = clinic.red_pressure(unit)

    with signed_in(browser, api, [], has_script=False, width=width) as page:
        page.locator("tr[data-priority=red] a.nm").click()
        page.wait_for_url(f"{api.url}/alerts/{alert_id}")
        page.locator("form[action$='/take'] button").click()
        expect(page.locator(".state")).to_contain_text("Taget av Anna Berg")
        page.get_by_label("Besök bokat").check()
        page.locator("#resolve-note").fill("Tid i morgon")
        page.get_by_role("button", name="Åtgärda", exact=True).click()

        expect(page.locator(".state")).to_contain_text("Åtgärdat: Besök bokat")
        assert page.url == f"{api.url}/alerts/{alert_id}"
        assert "19610118" not in page.url + page.title()


def test_nothing_of_an_alert_scrolls_sideways(
    browser: Browser, api: Api, clinic: Clinic, unit: Unit
) -> None:
    alert_id = clinic.red_pressure(unit)

    with signed_in(browser, api, [], width=320) as page:
        page.goto(f"{api.url}/alerts/{alert_id}")
        assert overflow(page) == 0
        page.set_viewport_size({"width": 683, "height": 384})  # 1366 px at 200 %
        assert overflow(page) == 0


def test_the_next_shift_reads_what_was_done(
    browser: Browser, api: Api, clinic: Clinic, unit: Unit
) -> None:
    clinic.red_pressure(unit)
    faults: list[str] = []

    with signed_in(browser, api, faults, who="bo", width=390) as page:
        page.get_by_role("link", name="Överlämning").click()
        expect(page.locator("section", has_text="Röda: vad hände").first).to_contain_text(
            "Blodtryck 192/118 och 188/114 mmHg"
        )
        assert overflow(page) == 0
        assert refused(page) == []
    assert faults == []


def test_a_technician_sees_no_patient(
    browser: Browser, api: Api, clinic: Clinic, unit: Unit
) -> None:
    alert_id = clinic.red_pressure(unit)

    with signed_in(browser, api, [], who="tea") as page:
        for address in ("/worklist", f"/alerts/{alert_id}"):
            page.goto(f"{api.url}{address}")
            expect(page.get_by_text("Ditt uppdrag har ingen roll för detta")).to_be_visible()


def test_an_alert_that_changed_by_itself_is_said_so(
    browser: Browser, api: Api, clinic: Clinic, unit: Unit
) -> None:
    clinic.red_pressure(unit)

    with signed_in(browser, api, []) as page:
        chosen(page)
        clinic.overdue(unit, datetime.now(UTC) - timedelta(minutes=1))
        page.locator("#pane form[action$='/take'] button").click()

        # Its time ran out meanwhile: that happens first, and she reads it before she acts.
        expect(page.get_by_role("alert").filter(has_text="av sig självt")).to_be_visible()
        expect(page.locator("#pane .tl")).to_contain_text("Ej hanterat i tid")
        page.locator("#pane form[action$='/take'] button").click()
        expect(page.locator("#pane .state")).to_contain_text("Taget av Anna Berg")


def test_by_keyboard_alone_she_opens_takes_and_closes(
    browser: Browser, api: Api, clinic: Clinic, unit: Unit
) -> None:
    clinic.red_pressure(unit)

    with signed_in(browser, api, []) as page:
        for _ in range(40):  # from the top of the page, as somebody without a mouse comes
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.matches('tr a.nm')"):
                break
        page.keyboard.press("Enter")
        expect(page.locator("#who")).to_be_focused()

        page.keyboard.press("t")  # within 0.8 s of the change no key acts (detail 26)
        page.wait_for_timeout(900)
        expect(page.locator("#pane .state")).to_contain_text("Ny")
        page.keyboard.press("t")
        expect(page.locator("#pane .state")).to_contain_text("Taget av Anna Berg")

        for _ in range(40):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.name === 'outcome'"):
                break
        page.keyboard.press("Space")
        page.keyboard.press("Tab")
        page.keyboard.type("Ringt 112")  # letters that are written are no commands
        expect(page.locator("#resolve-note")).to_have_value("Ringt 112")
        for _ in range(5):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.textContent.trim() === 'Åtgärda'"):
                break
        page.keyboard.press("Enter")
        expect(page.locator("#pane .state")).to_contain_text("Åtgärdat: Akutvård")
