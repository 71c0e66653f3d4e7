"""From a device's indication to the nurse's open page, under load, in a real browser."""

from __future__ import annotations

import itertools
import statistics
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from playwright.sync_api import Page, expect, sync_playwright

from benchmarks import load
from benchmarks.ingest import publisher
from deploy.local.books import given
from deploy.local.platform import Platform, Staff
from deploy.local.scripts import write_script

_CHROMIUM: Final = "/usr/bin/chromium"
_ARGUMENTS: Final = ["--no-sandbox", "--disable-dev-shm-usage"]
# Pressures that no other reading has: the pair tells which indication it was.
_SYSTOLICS, _DIASTOLICS = range(101, 149), range(42, 60)
_LATE_S: Final = 5.0

# Notes when each of those pairs first stands on the page. Runs before the page's own script.
_OBSERVER: Final = r"""
window.seen = {};
const look = () => {
  for (const [, pair] of document.body.innerText.matchAll(/\b(1\d\d\/(?:4[2-9]|5\d))\b/g))
    window.seen[pair] ??= Date.now();
};
document.addEventListener('DOMContentLoaded', () => {
  new MutationObserver(look).observe(document.body, {subtree: true, childList: true,
                                                     characterData: true});
});
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """Milliseconds from the indication's confirmation to the value on the page."""

    readings_per_s: float
    probes: int
    unseen: int
    median_ms: float
    p99_ms: float


def script(file: Path, *, place: int, places: int, count: int, every_s: float) -> Path:
    """Write what one probing cuff measures: pairs that no other one measures."""
    pairs = itertools.islice(_pairs(), place, None, places)
    steps = [
        {"after_s": every_s, "systolic": systolic, "diastolic": diastolic, "pulse": 70}
        for systolic, diastolic in itertools.islice(pairs, count)
    ]
    return write_script(file, steps)


def run(
    platform: Platform,
    nurse: Staff,
    devices: Mapping[str, Sequence[str]],
    *,
    per_s: int,
    lasting_s: float,
) -> Result:
    """Publish ``per_s`` readings a second while cuffs measure and a page is open."""
    ended, sent = threading.Event(), list[int]()

    def publish(gateway_id: str) -> None:
        sent.append(_publish(platform, gateway_id, devices, per_s / len(devices), ended))

    loads = [threading.Thread(target=publish, args=(gateway_id,)) for gateway_id in devices]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=_CHROMIUM, args=_ARGUMENTS)
        page = browser.new_page(locale="sv-SE")
        page.add_init_script(_OBSERVER)
        _sign_in(page, platform.url, nurse)
        began = time.monotonic()
        for thread in loads:
            thread.start()
        page.wait_for_timeout(lasting_s * 1000)
        took_s = time.monotonic() - began
        ended.set()
        page.wait_for_timeout(_LATE_S * 1000)
        seen: dict[str, int] = page.evaluate("() => window.seen")
        browser.close()
    for thread in loads:
        thread.join()
    return _result(platform, seen, sum(sent) / took_s)


def _publish(
    platform: Platform,
    gateway_id: str,
    devices: Mapping[str, Sequence[str]],
    per_s: float,
    ended: threading.Event,
) -> int:
    """Publish steadily until told to end; return how many."""
    connection = publisher(platform, gateway_id)
    outgoing = load.messages(
        gateway_id,
        devices[gateway_id],
        count=1_000_000,
        readings_each=1,
        when=lambda _number: datetime.now(UTC),
        seed=1,
    )
    number, began = 0, time.monotonic()
    for number, each in enumerate(outgoing, start=1):
        connection.publish(each)
        if ended.wait(max(0.0, began + number / per_s - time.monotonic())):
            break
    connection.close()
    return number


def _sign_in(page: Page, url: str, nurse: Staff) -> None:
    page.goto(f"{url}/worklist")
    page.get_by_role("button", name=nurse.subject, exact=True).click()
    expect(page.locator("h1")).to_be_visible()


def _result(platform: Platform, seen: Mapping[str, int], readings_per_s: float) -> Result:
    taken = [
        seen[pair] - gave.timestamp() * 1000 for pair, gave in _gave(platform) if pair in seen
    ]
    return Result(
        readings_per_s=readings_per_s,
        probes=len(taken),
        unseen=sum(pair not in seen for pair, _ in _gave(platform)),
        median_ms=statistics.median(taken),
        p99_ms=statistics.quantiles(taken, n=100, method="inclusive")[98],
    )


def _gave(platform: Platform) -> Iterator[tuple[str, datetime]]:
    """Yield what the probing cuffs gave: the pair in the record's bytes, and when."""
    ledgers = [platform.files(gateway_id).ledger for gateway_id in platform.gateways]
    for (_device, raw), gave in given(ledgers).items():
        # Blood Pressure Measurement: flags, then systolic and diastolic; exponents are zero here.
        value = bytes.fromhex(raw)
        systolic, diastolic = (int.from_bytes(value[at : at + 2], "little") for at in (1, 3))
        yield f"{systolic}/{diastolic}", gave


def _pairs() -> Iterator[tuple[int, int]]:
    return itertools.product(_SYSTOLICS, _DIASTOLICS)
