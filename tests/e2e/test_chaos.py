"""Parts of the running platform are killed; the devices' own books say what must be there."""

from __future__ import annotations

import json
import secrets
from pathlib import Path

import pytest

from deploy.local import chaos

_PARTS = [
    "gateway-1",
    "gateway-2",
    "mosquitto",
    chaos.BROKER_AND_DISK,
    "ingest",
    "ingest-2",
    "postgresql",
]


@pytest.mark.radio
@pytest.mark.broker
@pytest.mark.timescale
@pytest.mark.timeout(240)
def test_what_reached_a_gateways_journal_arrives_once_whatever_is_killed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seed = secrets.randbelow(1_000_000)  # another sample each time; the output names it
    arguments = ["--seed", str(seed), "--kills", "8", "--state", str(tmp_path), "--only", *_PARTS]

    status = chaos.main(arguments)

    printed = capsys.readouterr()
    assert status == 0, printed.out + printed.err
    counts = json.loads(printed.out.splitlines()[-1])
    assert counts["stored"] > 0
    assert counts["stored"] + counts["in_window"] >= counts["given"]


@pytest.mark.soak
@pytest.mark.timeout(3 * 3600)
@pytest.mark.parametrize("seed", range(1, 5))
def test_nothing_is_lost_over_hundreds_of_kills(
    seed: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status = chaos.main(["--seed", str(seed), "--kills", "50", "--state", str(tmp_path)])

    printed = capsys.readouterr()
    assert status == 0, printed.out + printed.err
    with capsys.disabled():
        print(printed.out.splitlines()[-1])  # noqa: T201 - the figures are what it is run for
