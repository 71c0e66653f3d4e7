"""A real browser that signs in, acts and tells what it complains of."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from importlib import resources
from typing import Any, Final

from playwright.sync_api import Browser, ConsoleMessage, Page
from playwright.sync_api import sync_playwright as playwright

from tests.support.api import Api

_CHROMIUM: Final = "/usr/bin/chromium"
_FLAGS: Final = ("--no-sandbox", "--disable-dev-shm-usage", "--font-render-hinting=none")

# Told by the browser itself: what the policy refused since the page began.
_WATCH_POLICY: Final = """
window.refused = [];
document.addEventListener('securitypolicyviolation', (event) => {
  window.refused.push(event.violatedDirective);
});
"""


@contextmanager
def running() -> Generator[Browser]:
    """Run Debian's Chromium."""
    with playwright() as driver:
        started = driver.chromium.launch(executable_path=_CHROMIUM, args=list(_FLAGS))
        yield started
        started.close()


@contextmanager
def signed_in(
    browser: Browser,
    api: Api,
    faults: list[str],
    *,
    who: str = "anna",
    has_script: bool = True,
    width: int = 1366,
    is_dark: bool = False,
) -> Generator[Page]:
    """Sign in through the identity provider's own page; collect what the browser complains of."""
    context = browser.new_context(
        locale="sv-SE",
        timezone_id="Europe/Stockholm",
        java_script_enabled=has_script,
        viewport={"width": width, "height": 768},
        color_scheme="dark" if is_dark else "light",
    )
    context.add_init_script(_WATCH_POLICY)
    try:
        page = context.new_page()
        page.goto(api.url)
        page.get_by_role("button", name=who, exact=True).click()
        page.wait_for_url(f"{api.url}/**")

        def note(message: ConsoleMessage) -> None:
            faults.append(f"{message.type}: {message.text}")

        page.on("console", note)
        page.on("pageerror", lambda error: faults.append(str(error)))
        yield page
    finally:
        context.close()


def barriers(page: Page) -> list[str]:
    """Return what axe-core finds that keeps somebody out: its rule, and where."""
    source = resources.files("axe_playwright_python") / "axe.min.js"
    page.evaluate(source.read_text(encoding="utf-8"))
    found: list[dict[str, Any]] = page.evaluate("axe.run().then((found) => found.violations)")
    return [
        f"{one['id']}: {node['html'][:200]} {node.get('failureSummary', '')[:300]}"
        for one in found
        for node in one["nodes"]
    ]


def refused(page: Page) -> object:
    """Return what the content security policy refused on this page."""
    return page.evaluate("window.refused")


def overflow(page: Page) -> object:
    """Return by how many pixels the page is wider than its window."""
    return page.evaluate(
        "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    )
