"""A patient's page in a real browser: wide, on a phone, and on paper."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from playwright.sync_api import Browser, expect

from tests.support.api import Api
from tests.support.browsing import overflow, refused, signed_in
from tests.support.clinic import PULSE, SPO2, Clinic, Unit

pytestmark = [pytest.mark.browser, pytest.mark.timescale, pytest.mark.timeout(120)]


def four_weeks(clinic: Clinic, unit: Unit) -> UUID:
    """Return a patient who measured twice a day."""
    now, patient = datetime.now(UTC), clinic.patient(unit)
    clinic.limits(patient, systolic=(None, 100, 150, 180), diastolic=(None, 60, 90, 110))
    for number in range(1, 30):
        at, turn = now - timedelta(hours=12 * number), math.sin(number)
        pressure = 150 + round(20 * turn), 90 + round(12 * turn)
        clinic.observation(unit, patient, at, values=pressure, is_irregular=number % 9 == 0)
        clinic.observation(unit, patient, at, code=SPO2, values=(93 + round(2 * turn),))
        clinic.observation(unit, patient, at, code=PULSE, values=(72 + round(8 * turn),))
    return patient


def test_charts_share_a_time_axis_and_have_a_table_each(
    browser: Browser, api: Api, clinic: Clinic, unit: Unit
) -> None:
    patient = four_weeks(clinic, unit)
    faults: list[str] = []

    with signed_in(browser, api, faults) as page:
        page.goto(f"{api.url}/patients/{patient}")
        charts = page.locator("svg.ch.big")
        expect(charts).to_have_count(3)
        # Dates stand under the same places in all three: one time axis.
        places = [
            charts.nth(each)
            .locator("text[text-anchor=middle]")
            .evaluate_all("texts => texts.map(text => text.getAttribute('x') + text.textContent)")
            for each in range(3)
        ]
        assert places[0] == places[1] == places[2]
        assert len(places[0]) >= 3

        page.get_by_text("Visa som tabell").nth(1).click()
        expect(page.locator("section.cc").nth(1).locator("tbody tr")).to_have_count(29)
        assert str(patient) in page.url
        assert "Tolvan" not in page.title()
        assert refused(page) == []
    assert faults == []


@pytest.mark.parametrize("width", [320, 390, 683, 1920])  # 683: 1366 px at 200 %
def test_nothing_of_it_scrolls_sideways(
    browser: Browser, api: Api, clinic: Clinic, unit: Unit, width: int
) -> None:
    patient = four_weeks(clinic, unit)

    with signed_in(browser, api, [], width=width) as page:
        page.goto(f"{api.url}/patients/{patient}")
        page.get_by_text("Visa som tabell").nth(1).click()

        assert overflow(page) == 0


def test_on_paper_it_names_the_patient_and_draws_with_vectors(
    browser: Browser, api: Api, clinic: Clinic, unit: Unit
) -> None:
    patient = four_weeks(clinic, unit)

    with signed_in(browser, api, []) as page:
        page.goto(f"{api.url}/patients/{patient}")
        page.emulate_media(media="print")
        expect(page.locator(".ban")).to_be_visible()
        expect(page.locator(".top")).to_be_hidden()
        pdf = page.pdf(format="A4", prefer_css_page_size=True, print_background=True)

    assert pdf.startswith(b"%PDF")
    assert b"/Subtype /Image" not in pdf
