"""After an unclean stop what devices still keep is read again, at their first advertisement."""

from __future__ import annotations

import secrets
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.support.gateway import FakeIngest, GatewayProcess, gateway_environment
from tests.support.radio import RadioWorld, radio_world
from tests.support.services import Broker

pytestmark = [pytest.mark.broker, pytest.mark.radio]

OXIMETER = "F0:00:00:00:00:02"


@pytest.fixture
def world() -> Generator[RadioWorld]:
    with radio_world() as started:
        yield started


def test_an_oximeter_is_read_again_after_a_kill(
    world: RadioWorld, broker: Broker, tmp_path: Path
) -> None:
    # The longest cool-down: nothing of the run before may keep the next one from visiting.
    gateway_id = f"gateway-{secrets.token_hex(4)}"
    environment = world.environment | gateway_environment(broker, gateway_id, tmp_path / "state")
    environment["HEMVITAL_GATEWAY_COOL_DOWN_S"] = "3600"
    oximeter = world.oximeter(OXIMETER, "--timezone", "Europe/Stockholm", "--finger-s", "0")
    for spo2 in (86, 91, 97):
        oximeter.measure(after_s=0.1, spo2=spo2, pulse=96)

    with FakeIngest(broker, gateway_id) as ingest:
        first = GatewayProcess(environment, tmp_path / "first.log")
        try:
            ingest.wait_for(lambda: len(ingest.readings) >= 3, "three")
        finally:
            first.kill()
        arrived = len(ingest.readings)
        second = GatewayProcess(environment, tmp_path / "second.log")
        try:
            second.wait_for_log("started_after_unclean_stop")
            oximeter.measure(after_s=0, spo2=95, pulse=80)  # it sleeps until somebody measures
            ingest.wait_for(lambda: len(ingest.readings) >= arrived + 4, "the three again")
        finally:
            code = second.stop()

    assert code == 0, second.text()
    ids = [record.record_id for record in ingest.readings]
    assert len(set(ids)) < len(ids)  # read twice, one record each
    assert {record.reception.raw for record in ingest.readings} == set(oximeter.ledger("given"))
