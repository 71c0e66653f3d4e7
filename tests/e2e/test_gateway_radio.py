"""The whole gateway as a process, on the virtual radio and the real broker."""

from __future__ import annotations

import secrets
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Generator
from contextlib import closing, contextmanager
from decimal import Decimal
from pathlib import Path

import pytest

from device_adapters.contract.messages import ReadingRecord, TimeQuality
from device_adapters.contract.readings import BloodPressure, PulseOximetry
from device_adapters.contract.standing import decode_status
from gateway.status import read_status
from gateway.store.database import FILE_NAME
from tests.support.gateway import FakeIngest, GatewayProcess, gateway_environment
from tests.support.radio import Part, RadioWorld, VirtualDevice, radio_world, wait_until
from tests.support.services import Broker

pytestmark = [pytest.mark.broker, pytest.mark.radio]

CUFF, OXIMETER = "F0:00:00:00:00:01", "F0:00:00:00:00:02"


@pytest.fixture
def gateway_id() -> str:
    return f"gateway-{secrets.token_hex(4)}"


@pytest.fixture
def world() -> Generator[RadioWorld]:
    with radio_world() as started:
        yield started


def started(
    world: RadioWorld, broker: Broker, gateway_id: str, directory: Path, **settings: str
) -> GatewayProcess:
    environment = world.environment | gateway_environment(broker, gateway_id, directory / "state")
    environment |= {f"HEMVITAL_GATEWAY_{name.upper()}": value for name, value in settings.items()}
    return GatewayProcess(environment, directory / "gateway.log")


@contextmanager
def gateway(
    world: RadioWorld, broker: Broker, gateway_id: str, directory: Path, **settings: str
) -> Generator[GatewayProcess]:
    process = started(world, broker, gateway_id, directory, **settings)
    try:
        yield process
    except BaseException as error:
        process.kill()
        error.add_note(process.text())
        raise
    assert process.stop() == 0, process.text()


def journalled(state: Path) -> list[bytes]:
    """Return what the gateway's journal holds, in order."""
    with closing(sqlite3.connect(state / FILE_NAME)) as connection:
        return [raw for (raw,) in connection.execute("SELECT raw FROM journal ORDER BY number")]


def fill(cuff: VirtualDevice, count: int) -> None:
    for number in range(count):
        cuff.measure(after_s=0, systolic=120 + number, diastolic=80, mean=93, pulse=66)
    wait_until(lambda: len(cuff.ledger("measured")) == count, within_s=10, what="measured")


def pressures(readings: list[ReadingRecord]) -> list[BloodPressure]:
    return [each.reading for each in readings if isinstance(each.reading, BloodPressure)]


def test_a_full_cuff_is_emptied_into_the_broker_exactly_once(
    world: RadioWorld, broker: Broker, gateway_id: str, tmp_path: Path
) -> None:
    cuff = world.cuff(CUFF, "--timezone", "Europe/Stockholm")
    fill(cuff, 25)

    with (
        FakeIngest(broker, gateway_id) as ingest,
        gateway(world, broker, gateway_id, tmp_path),
    ):
        ingest.wait_for(lambda: len(ingest.records) >= 25, "25 records")

    assert [arrival.number for arrival in ingest.arrivals] == list(range(1, 26))
    assert [record.reception.raw for record in ingest.readings] == cuff.ledger("given")
    found = pressures(ingest.readings)
    assert [reading.systolic for reading in found] == [Decimal(120 + n) for n in range(25)]
    assert {reading.pulse_per_min for reading in found} == {Decimal(66)}
    first = ingest.readings[0]
    assert first.device.id == CUFF
    assert first.device.model == "Virtual Cuff 1"
    assert first.time_quality is TimeQuality.SYNCHRONISED
    assert first.is_identity_own
    assert len({record.record_id for record in ingest.readings}) == 25
    assert read_status(tmp_path / "state").undelivered == 0


def test_a_wrong_clock_is_measured_and_corrected(
    world: RadioWorld, broker: Broker, gateway_id: str, tmp_path: Path
) -> None:
    cuff = world.cuff(CUFF, "--timezone", "Europe/Stockholm", "--skew-s", "-600")
    fill(cuff, 1)

    with (
        FakeIngest(broker, gateway_id) as ingest,
        gateway(world, broker, gateway_id, tmp_path),
    ):
        ingest.wait_for(lambda: len(ingest.records) >= 1, "one record")

    (record,) = ingest.readings
    offset_s = record.reception.device_clock_offset_s
    assert offset_s is not None
    assert 599 <= offset_s <= 602
    assert record.time_quality is TimeQuality.CORRECTED
    age_s = (record.reception.received_at - record.effective_at).total_seconds()
    assert -2 <= age_s <= 10


def test_an_oximeter_gives_its_stored_readings(
    world: RadioWorld, broker: Broker, gateway_id: str, tmp_path: Path
) -> None:
    oximeter = world.oximeter(OXIMETER, "--timezone", "Europe/Stockholm", "--finger-s", "0")
    for spo2 in (86, 91, 97):
        oximeter.measure(after_s=0.1, spo2=spo2, pulse=96)

    with (
        FakeIngest(broker, gateway_id) as ingest,
        gateway(world, broker, gateway_id, tmp_path),
    ):
        ingest.wait_for(
            lambda: len({record.record_id for record in ingest.readings}) >= 3, "three"
        )

    values = [
        each.reading.spo2 for each in ingest.readings if isinstance(each.reading, PulseOximetry)
    ]
    assert set(values) == {Decimal(86), Decimal(91), Decimal(97)}


def test_a_gateway_killed_again_and_again_sends_all_it_journalled(
    world: RadioWorld, broker: Broker, gateway_id: str, tmp_path: Path
) -> None:
    cuff = world.cuff(CUFF, "--timezone", "Europe/Stockholm")
    fill(cuff, 60)

    with FakeIngest(broker, gateway_id) as ingest:
        for kill in range(1, 4):
            process = started(world, broker, gateway_id, tmp_path)
            wait_until(
                lambda at=15 * kill: len(cuff.ledger("given")) >= at,
                within_s=15,
                what=f"{15 * kill} records given",
            )
            process.kill()
        with gateway(world, broker, gateway_id, tmp_path):
            wait_until(lambda: len(cuff.ledger("given")) == 60, within_s=15, what="all given")
            journal = journalled(tmp_path / "state")
            ingest.wait_for(lambda: len(ingest.records) >= len(journal), "what was journalled")

    given, arrived = cuff.ledger("given"), [each.reception.raw for each in ingest.readings]
    assert arrived == journalled(tmp_path / "state")
    assert set(arrived) <= set(given)
    # BlueZ confirms before the gateway sees it, and goes on until it notices that its client is
    # dead: on this radio, a hundred times faster than a real one, each kill costs a few records,
    # on a busy machine a few more.
    assert len(given) - len(set(arrived)) <= 3 * 10
    assert read_status(tmp_path / "state").undelivered == 0


def test_the_broker_tells_of_a_gateway_that_died(
    world: RadioWorld, broker: Broker, gateway_id: str, tmp_path: Path
) -> None:
    with FakeIngest(broker, gateway_id) as ingest:
        process = started(world, broker, gateway_id, tmp_path)
        try:
            ingest.wait_for(lambda: len(ingest.statuses) >= 1, "status")
        finally:
            process.kill()
        ingest.wait_for(lambda: len(ingest.statuses) >= 2, "last will")

    assert decode_status(ingest.statuses[0]).is_online
    assert not decode_status(ingest.statuses[-1]).is_online


def test_two_gateways_that_hear_the_same_ten_cuffs_double_nothing_and_lose_nothing(
    world: RadioWorld, broker: Broker, gateway_id: str, tmp_path: Path
) -> None:
    cuffs = [world.cuff(f"F0:00:00:00:05:{number:02X}") for number in range(10)]
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()

    with (
        second_host(world) as other,
        FakeIngest(broker, gateway_id) as one,
        FakeIngest(broker, f"{gateway_id}-2") as two,
        gateway(world, broker, gateway_id, tmp_path / "one", cool_down_s="0.2"),
        gateway(other, broker, f"{gateway_id}-2", tmp_path / "two", cool_down_s="0.2"),
    ):
        for number, cuff in enumerate(cuffs):
            for diastolic in (70, 80):
                cuff.measure(systolic=110 + number, diastolic=diastolic)
        wait_until(
            lambda: len({each.record_id for each in one.readings + two.readings}) >= 20,
            within_s=30,
            what="all readings",
        )

    measured = [record for cuff in cuffs for record in cuff.ledger("measured")]
    arrived = [each.reception.raw for each in one.readings + two.readings]
    assert sorted(arrived) == sorted(measured)


@contextmanager
def second_host(world: RadioWorld) -> Generator[RadioWorld]:
    """Another machine's bus and org.bluez, within reach of the same devices."""
    with tempfile.TemporaryDirectory(prefix="hemvital-") as directory:
        other = RadioWorld(Path(directory), air=world.air)
        try:
            other.start_bus()
            other.start_bluez("--address", "C0:00:00:00:00:02")
            yield other
        finally:
            other.end()


def test_only_configured_devices_are_visited(
    world: RadioWorld, broker: Broker, gateway_id: str, tmp_path: Path
) -> None:
    ours = world.cuff(CUFF)
    neighbours = world.cuff("F0:00:00:00:00:09")
    fill(ours, 1)
    fill(neighbours, 1)

    with (
        FakeIngest(broker, gateway_id) as ingest,
        gateway(world, broker, gateway_id, tmp_path, devices=CUFF.lower()),
    ):
        ingest.wait_for(lambda: len(ingest.records) >= 1, "one record")

    assert [record.device.id for record in ingest.readings] == [CUFF]
    assert neighbours.ledger("given") == []


def test_a_protected_cuff_pairs_once_somebody_at_the_box_opens_the_window(
    world: RadioWorld, broker: Broker, gateway_id: str, tmp_path: Path
) -> None:
    cuff = world.cuff(CUFF, "--security", "just-works")
    fill(cuff, 2)

    with (
        FakeIngest(broker, gateway_id) as ingest,
        gateway(world, broker, gateway_id, tmp_path, devices=CUFF) as process,
    ):
        process.wait_for_log("pairing refused")
        given_before = cuff.ledger("given")
        program = Path(sys.executable).with_name("hemvital-gateway")
        asked = subprocess.run(
            [program, "pair", "--minutes", "5", "--state", tmp_path / "state"],
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
        ingest.wait_for(lambda: len(ingest.records) >= 2, "two records")

    assert (asked.returncode, given_before) == (0, []), asked.stderr
    assert asked.stdout == "Devices may pair with this gateway for 5 minutes from now.\n"
    assert "pairing admitted" in process.text()


def test_the_radio_is_found_again_after_bluez_was_restarted(
    broker: Broker, gateway_id: str, tmp_path: Path
) -> None:
    with (
        world_of_parts() as (world, _, bluez),
        FakeIngest(broker, gateway_id) as ingest,
        gateway(world, broker, gateway_id, tmp_path) as process,
    ):
        cuff = world.cuff(CUFF)
        process.wait_for_log("broker connected")
        fill(cuff, 1)
        ingest.wait_for(lambda: len(ingest.records) >= 1, "before")
        bluez.kill()
        world.start_bluez()
        process.wait_for_log("BlueZ was restarted")
        cuff.measure(after_s=0, systolic=190, diastolic=118, mean=143, pulse=88)
        ingest.wait_for(lambda: len(ingest.records) >= 2, "after")

    assert pressures(ingest.readings)[1].systolic == Decimal(190)


def test_the_radio_is_found_again_after_its_adapter_lost_power(
    broker: Broker, gateway_id: str, tmp_path: Path
) -> None:
    # BlueZ forgets then that it was asked to listen, and does not say so by itself.
    with (
        world_of_parts() as (world, radio, _),
        FakeIngest(broker, gateway_id) as ingest,
        gateway(world, broker, gateway_id, tmp_path) as process,
    ):
        cuff = world.cuff(CUFF)
        process.wait_for_log("broker connected")
        fill(cuff, 1)
        ingest.wait_for(lambda: len(ingest.records) >= 1, "before")
        radio.kill()
        world.start_radio()
        cuff.measure(after_s=0, systolic=190, diastolic=118, mean=143, pulse=88)
        ingest.wait_for(lambda: len(ingest.records) >= 2, "after")

    assert pressures(ingest.readings)[1].systolic == Decimal(190)


def test_the_radio_is_found_again_after_the_system_bus_was_lost(
    broker: Broker, gateway_id: str, tmp_path: Path
) -> None:
    # Nobody is left to say that BlueZ is gone; it must not take the silence of 90 s to find out.
    with (
        world_of_parts() as (world, _, bluez),
        FakeIngest(broker, gateway_id) as ingest,
        gateway(world, broker, gateway_id, tmp_path) as process,
    ):
        cuff = world.cuff(CUFF)
        process.wait_for_log("broker connected")
        fill(cuff, 1)
        ingest.wait_for(lambda: len(ingest.records) >= 1, "before")
        world.bus.kill()
        bluez.kill()
        world.start_bus()
        world.start_bluez()
        cuff.measure(after_s=0, systolic=190, diastolic=118, mean=143, pulse=88)
        ingest.wait_for(lambda: len(ingest.records) >= 2, "after")

    assert pressures(ingest.readings)[1].systolic == Decimal(190)


@contextmanager
def world_of_parts() -> Generator[tuple[RadioWorld, Part, Part]]:
    """A world whose radio and org.bluez can be killed."""
    with tempfile.TemporaryDirectory(prefix="hemvital-") as directory:
        world = RadioWorld(Path(directory))
        try:
            world.start_bus()
            radio = world.start_radio()
            yield world, radio, world.start_bluez()
        finally:
            world.end()
