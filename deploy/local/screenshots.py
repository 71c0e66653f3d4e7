"""``make screenshots``: pictures of the pages over the demo's data, for the documentation."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from playwright.sync_api import Browser, ViewportSize, expect, sync_playwright

from deploy.local import demo, scenario
from deploy.local.debian import DebianError
from deploy.local.platform import Platform
from deploy.local.processes import ServerError
from deploy.local.programs import ProgramError
from deploy.local.progress import progress
from deploy.local.state import CHECKOUT, State
from deploy.local.tenancy import InUseError, vacate

_ROOT: Final = CHECKOUT / ".local" / "screenshots"
_TARGET: Final = CHECKOUT / "docs" / "images"
_CHROMIUM: Final = "/usr/bin/chromium"
_ARGUMENTS: Final = ["--no-sandbox", "--disable-dev-shm-usage", "--font-render-hinting=none"]
_SECOND_READING_MS: Final = 90_000
_DESK: Final[ViewportSize] = {"width": 1366, "height": 768}
_WIDE: Final[ViewportSize] = {"width": 1920, "height": 1080}
_PHONE: Final[ViewportSize] = {"width": 390, "height": 844}


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A picture: at what size, in light or dark, and what is opened first."""

    name: str
    viewport: ViewportSize
    opens: str = ""
    is_dark: bool = False


_VIEWS: Final = (
    View(name="worklist", viewport=_DESK, opens="alert"),
    View(name="worklist-wide", viewport=_WIDE, opens="alert"),
    View(name="worklist-phone", viewport=_PHONE),
    View(name="alert-phone", viewport=_PHONE, opens="alert"),
    View(name="patient", viewport=_DESK, opens="patient"),
    View(name="patient-dark", viewport=_DESK, opens="patient", is_dark=True),
)


def main() -> int:
    """Run once; 0 if the pictures were taken, 1 with a sentence if not."""
    state = State(root=_ROOT)
    try:
        vacate(state)
        with Platform(state, demo.plan(_ROOT)) as platform:
            platform.start(progress)
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(
                    executable_path=_CHROMIUM, args=_ARGUMENTS, headless=True
                )
                for view in _VIEWS:
                    _take(browser, platform.url, view, _TARGET / f"{view.name}.png")
    except (DebianError, InUseError, ProgramError, ServerError, OSError) as error:
        print(f"make screenshots: {error}", file=sys.stderr)
        return 1
    return 0


def _take(browser: Browser, url: str, view: View, file: Path) -> None:
    page = browser.new_page(
        viewport=view.viewport,
        locale="sv-SE",
        timezone_id="Europe/Stockholm",
        device_scale_factor=1,
        color_scheme="dark" if view.is_dark else "light",
    )
    page.goto(f"{url}/worklist")
    page.get_by_role("button", name=scenario.NURSE.subject, exact=True).click()
    expect(page.get_by_text("188/114").first).to_be_visible(timeout=_SECOND_READING_MS)
    expect(page.get_by_text("93").first).to_be_visible(timeout=_SECOND_READING_MS)
    if view.opens:
        page.locator("tr[data-priority=red] a.nm").click()
        expect(page.locator("#why")).to_be_visible()
    if view.opens == "patient":
        page.get_by_role("link", name="Patientens sida").click()
        expect(page.get_by_text("Gränser för patienten")).to_be_visible()
    page.screenshot(path=file, full_page=True)
    page.close()
    print(file.relative_to(CHECKOUT))


if __name__ == "__main__":
    sys.exit(main())
