"""The demo, followed from the indication to the nurse's page and the EHR."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.local import demo_check


@pytest.mark.radio
@pytest.mark.broker
@pytest.mark.timescale
@pytest.mark.timeout(180)
def test_readings_go_through_every_part_and_can_be_read_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status = demo_check.main(["--state", str(tmp_path)])

    printed = capsys.readouterr()
    assert status == 0, printed.out + printed.err
    assert "blood pressure over FHIR" in printed.out
    assert "red alert 192/118 on the nurse's page" in printed.out
    assert "oxygen saturation over FHIR" in printed.out
