"""The gateway's radio gets itself out of what BlueZ and devices do, on the virtual radio."""

from __future__ import annotations

import itertools
from collections.abc import Generator
from pathlib import Path

import pytest

from device_adapters.contract.configuration import ScanMode
from device_adapters.contract.standing import Problem
from tests.support.listening import home
from tests.support.radio import RadioWorld, VirtualDevice, radio_world, wait_until

pytestmark = [pytest.mark.radio, pytest.mark.asyncio(loop_scope="module")]

BRISK = ("--linger-s", "0.2", "--advertising-ms", "30")
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def world() -> Generator[RadioWorld]:
    with radio_world(radio=["--supervision-s", "0.5"]) as started:
        yield started


def measured(world: RadioWorld, *arguments: str, count: int = 1) -> VirtualDevice:
    """Start a cuff that has measured values that no other cuff has."""
    number = next(_numbers)
    cuff = world.cuff(f"F0:00:00:00:03:{number:02X}", *BRISK, *arguments)
    for diastolic in range(60, 60 + count):
        cuff.measure(systolic=100 + number, diastolic=diastolic)
    wait_until(lambda: len(cuff.ledger("measured")) == count, within_s=10, what="measured")
    return cuff


async def test_connects_that_are_in_progress_are_got_over(
    world: RadioWorld, tmp_path: Path
) -> None:
    world.fault(fault="in_progress", of="connect", times=2)
    cuff = measured(world)

    async with home(world, tmp_path) as gateway:
        await gateway.wait_emptied(cuff)
        await gateway.wait_for(lambda: not gateway.reports.wrong, "nothing wrong")

    assert gateway.reports.said == [
        ("began device_refused", cuff.address),
        ("ended device_refused", cuff.address),
    ]


@pytest.mark.soak  # five visits, each after the pause of the one before
async def test_connects_in_progress_for_ever_are_ended_by_a_power_cycle(
    world: RadioWorld, tmp_path: Path
) -> None:
    world.fault(fault="in_progress", of="connect", until_power=True)
    cuff = measured(world)

    async with home(world, tmp_path, cool_down_s=0.05) as gateway:
        await gateway.wait_emptied(cuff)

    assert ("began device_refused", cuff.address) in gateway.reports.said


async def test_a_scan_in_progress_for_ever_is_ended_by_a_power_cycle(
    world: RadioWorld, tmp_path: Path
) -> None:
    world.fault(fault="in_progress", of="scan", until_power=True)
    cuff = measured(world)

    async with home(world, tmp_path) as gateway:
        await gateway.wait_emptied(cuff)

    assert gateway.reports.said[:2] == [("began radio_deaf", None), ("ended radio_deaf", None)]


@pytest.mark.soak  # bleak gives a connect twenty seconds
async def test_a_connect_that_is_never_answered_is_cancelled(
    world: RadioWorld, tmp_path: Path
) -> None:
    world.fault(fault="stuck", times=1)
    cuff = measured(world)

    async with home(world, tmp_path) as gateway:
        await gateway.wait_for(
            lambda: set(cuff.ledger("measured")) <= set(gateway.journalled()),
            "emptied",
            within_s=50,
        )


async def test_a_deaf_adapter_is_switched_off_and_on(world: RadioWorld, tmp_path: Path) -> None:
    world.fault(fault="deaf")
    cuff = measured(world)

    async with home(world, tmp_path) as gateway:
        await gateway.wait_emptied(cuff)

    assert not gateway.reports.wrong


async def test_a_connection_that_somebody_left_open_is_ended(
    world: RadioWorld, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "gateway.ble")
    cuff = measured(world, "--idle-s", "60")
    async with home(world, tmp_path, devices=["F0:00:00:00:00:FF"]) as other:
        world.fault(fault="held", address=cuff.address)
        await other.wait_for(lambda: '"connected"' in cuff.log.read_text(), "connected")
        assert other.journalled() == []

    async with home(world, tmp_path / "ours") as gateway:
        await gateway.wait_emptied(cuff)

    # At once, and not by the power cycle that silence would have led to.
    assert "stale connection ended" in caplog.text


async def test_services_that_are_never_resolved_do_not_hold_others_up(
    world: RadioWorld, tmp_path: Path
) -> None:
    world.fault(fault="unresolved", times=1)
    cuffs = [measured(world, "--idle-s", "2") for _ in range(2)]

    async with home(world, tmp_path) as gateway:
        for cuff in cuffs:
            await gateway.wait_emptied(cuff)


async def test_a_lost_bond_is_told_and_mended_while_a_window_is_open(
    world: RadioWorld, tmp_path: Path
) -> None:
    cuff = measured(world, "--security", "just-works")
    paired = ("paired", cuff.address)
    async with home(world, tmp_path, devices=[cuff.address]) as gateway:
        gateway.window.open(60)
        await gateway.wait_for(lambda: paired in gateway.reports.said, "paired")
        gateway.window.close()
        cuff.measure(fault="drop_bond")
        cuff.measure(systolic=150)
        await gateway.wait_for(
            lambda: (
                gateway.reports.wrong.get((Problem.DEVICE_REFUSED, cuff.address))
                == "ends each connection at once: the bond may be lost, then pair again"
            ),
            "told",
        )
        given_without_window = len(gateway.journalled())
        gateway.window.open(60)
        await gateway.wait_emptied(cuff)
        await gateway.wait_for(lambda: not gateway.reports.wrong, "nothing wrong")

    assert given_without_window == 1
    assert [said for said, _ in gateway.reports.said] == [
        "pairing_opened",
        "paired",
        "pairing_closed",
        "began device_refused",
        "pairing_opened",
        "paired",
        "ended device_refused",
    ]


async def test_nobody_pairs_outside_a_window_configured_or_not(
    world: RadioWorld, tmp_path: Path
) -> None:
    cuff = measured(world, "--security", "just-works")

    async with home(world, tmp_path, devices=[cuff.address]) as gateway:
        await gateway.wait_for(
            lambda: (
                gateway.reports.wrong.get((Problem.DEVICE_REFUSED, cuff.address))
                == "pairing was refused: no pairing window is open"
            ),
            "told",
        )

    assert ("pairing_refused", cuff.address) in gateway.reports.said
    assert cuff.ledger("given") == []


async def test_a_device_is_taken_up_and_sent_away_while_the_radio_runs(
    world: RadioWorld, tmp_path: Path
) -> None:
    first = measured(world, "--security", "just-works")
    second = measured(world)
    paired = ("paired", first.address)

    async with home(world, tmp_path, devices=[first.address]) as gateway:
        gateway.window.open(60)
        await gateway.wait_for(lambda: paired in gateway.reports.said, "paired")
        before = len(gateway.journalled())
        gateway.radio.configure([second.address], ScanMode.ACTIVE)
        await gateway.wait_emptied(second)
        first.measure(systolic=150)
        gateway.radio.configure([first.address, second.address], ScanMode.ACTIVE)
        # Sent away it lost its bond: taken up again it has to pair again.
        await gateway.wait_for(lambda: gateway.reports.said.count(paired) == 2, "paired again")
        await gateway.wait_emptied(first)

    assert before == 1


async def test_a_passive_scan_falls_back_where_bluez_cannot(
    world: RadioWorld, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cuff = measured(world)

    async with home(world, tmp_path) as gateway:
        gateway.radio.configure(None, ScanMode.PASSIVE)
        await gateway.wait_for(lambda: "passive scan is not possible" in caplog.text, "told")
        await gateway.wait_emptied(cuff)

    assert gateway.radio.scan_mode is ScanMode.ACTIVE


@pytest.mark.parametrize("kind", ["cuff", "oximeter"])
async def test_a_low_battery_is_told_until_there_is_a_full_one(
    world: RadioWorld, tmp_path: Path, kind: str
) -> None:
    start = world.cuff if kind == "cuff" else world.oximeter
    device = start(f"F0:00:00:00:03:{next(_numbers):02X}", *BRISK, "--battery", "87")
    low = (Problem.BATTERY_LOW, device.address)

    async with home(world, tmp_path) as gateway:
        device.measure(fault="battery", percent=12)
        device.measure()
        await gateway.wait_for(lambda: low in gateway.reports.wrong, "low")
        (standing,) = [each for each in gateway.book.standings() if each.id == device.address]
        detail = gateway.reports.wrong[low]
        await gateway.wait_for(lambda: '"disconnected"' in device.log.read_text(), "hung up")
        device.measure(fault="battery", percent=98)
        device.measure()
        await gateway.wait_for(lambda: low not in gateway.reports.wrong, "full")

    assert (standing.battery_percent, detail) == (12, "12 %")
    assert standing.seen_at is not None


async def test_who_is_not_configured_any_more_is_left_alone_though_just_heard(
    world: RadioWorld, tmp_path: Path
) -> None:
    is_begun = False
    ours, stranger = measured(world), measured(world)

    async with home(world, tmp_path, may_visit=lambda: is_begun) as gateway:
        heard = {ours.address, stranger.address}
        await gateway.wait_for(
            lambda: heard <= {each.id for each in gateway.book.standings() if each.seen_at},
            "both heard",
        )
        gateway.radio.configure([ours.address], ScanMode.ACTIVE)
        is_begun = True
        await gateway.wait_emptied(ours)
        ours.measure()
        await gateway.wait_emptied(ours)

        assert stranger.ledger("given") == []
        assert [each.id for each in gateway.book.standings()] == [ours.address]


async def test_while_nothing_can_be_kept_devices_are_heard_and_left_alone(
    world: RadioWorld, tmp_path: Path
) -> None:
    has_room = False
    cuff = measured(world)

    async with home(world, tmp_path, may_visit=lambda: has_room) as gateway:
        await gateway.wait_for(
            lambda: any(
                each.id == cuff.address and each.seen_at for each in gateway.book.standings()
            ),
            "heard",
        )
        assert cuff.ledger("given") == []
        has_room = True
        await gateway.wait_emptied(cuff)
