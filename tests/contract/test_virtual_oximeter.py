"""The virtual oximeter, as bleak's own BlueZ backend sees it."""

from __future__ import annotations

import pytest
from bleak.exc import BleakError

from tests.contract.central import (
    ABORT,
    BRISK,
    CONTINUOUS,
    CONTROL_POINT,
    COUNT_ALL,
    DELETE_ALL,
    REPORT_ALL,
    SPOT_CHECK,
    Received,
    connected,
    fresh_address,
    until,
)
from tests.support.radio import RadioWorld

pytestmark = [pytest.mark.radio, pytest.mark.asyncio(loop_scope="module")]


async def test_spot_checks_are_counted_reported_again_and_never_deleted(
    world: RadioWorld,
) -> None:
    oximeter = world.oximeter(fresh_address(), "--capacity", "3", *BRISK)
    for spo2 in (95, 94, 93, 92):
        oximeter.measure(spo2=spo2, pulse=70)
    await until(lambda: len(oximeter.ledger("measured")) == 4, "4 spot checks")

    async with connected(oximeter.address) as first:
        control = Received(first.client)
        await first.listen(SPOT_CHECK)
        await control.listen(CONTROL_POINT)
        for number, request in enumerate((COUNT_ALL, DELETE_ALL, REPORT_ALL), start=1):
            await first.client.write_gatt_char(CONTROL_POINT, request, True)
            await control.wait(number)
        await first.wait_over()
    oximeter.measure(spo2=91, pulse=70)
    async with connected(oximeter.address) as second:
        control_again = Received(second.client)
        await second.listen(SPOT_CHECK)
        await control_again.listen(CONTROL_POINT)
        await second.client.write_gatt_char(CONTROL_POINT, REPORT_ALL, True)
        await second.wait_over()

    # Response codes: Bluetooth SIG, GATT Specification Supplement, Record Access Control Point.
    assert control.values == [
        bytes.fromhex("05000300"),
        bytes.fromhex("06000202"),
        bytes.fromhex("06000101"),
    ]
    assert [value[1] for value in first.values] == [94, 93, 92]
    assert second.values[:2] == first.values[1:]
    assert len(oximeter.ledger("dropped")) == 2


async def test_a_report_can_be_aborted(world: RadioWorld) -> None:
    oximeter = world.oximeter(fresh_address(), "--capacity", "500", *BRISK)
    for _ in range(500):
        oximeter.measure(spo2=95)
    await until(lambda: len(oximeter.ledger("measured")) == 500, "500 spot checks", within_s=20)

    async with connected(oximeter.address) as received:
        control = Received(received.client)
        await received.listen(SPOT_CHECK)
        await control.listen(CONTROL_POINT)
        await received.client.write_gatt_char(CONTROL_POINT, REPORT_ALL, True)
        await received.wait(1)
        with pytest.raises(BleakError):  # a procedure is under way
            await received.client.write_gatt_char(CONTROL_POINT, COUNT_ALL, True)
        await received.client.write_gatt_char(CONTROL_POINT, ABORT, True)
        await control.wait(1)

    assert control.values == [bytes.fromhex("06000301")]
    assert len(received.values) < 500


async def test_a_live_oximeter_shows_the_pulse_and_gives_the_fresh_value(
    world: RadioWorld,
) -> None:
    oximeter = world.oximeter(fresh_address(), "--live", "--finger-s", "2.5", *BRISK)
    oximeter.measure(spo2=88, pulse=101)

    async with connected(oximeter.address) as received:
        stream = Received(received.client)
        await stream.listen(CONTINUOUS)
        await received.listen(SPOT_CHECK)
        await received.wait(1)

    assert stream.values[0] == bytes.fromhex("04580065002000")
    assert received.values[0][:5] == bytes.fromhex("0358006500")
    assert received.values[0][-2:] == b"\x00\x01"  # fully qualified, not from storage
    assert oximeter.ledger("given") == received.values
