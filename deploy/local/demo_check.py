"""``make demo-check``: the demo without a person; each reading is followed through every part."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, TypeVar

import httpx

from deploy.local import scenario
from deploy.local.books import given
from deploy.local.debian import DebianError
from deploy.local.platform import INGEST_PROGRAM, Plan, Platform
from deploy.local.processes import ServerError
from deploy.local.programs import ProgramError
from deploy.local.progress import progress
from deploy.local.scripts import write_script
from deploy.local.state import CHECKOUT, State
from deploy.local.tenancy import InUseError, vacate
from deploy.local.visitor import Ehr, Nurse, VisitError

_ROOT: Final = CHECKOUT / ".local" / "demo-check"
_STEP_S: Final = 30.0
_LOOK_S: Final = 0.02
_SLACK: Final = timedelta(minutes=1)  # a device's clock shows whole seconds
_BLOOD_PRESSURE, _OXYGEN_SATURATION = "85354-9", "59408-5"
_PRESSURE: Final = {"after_s": 3, "systolic": 192, "diastolic": 118, "mean": 143, "pulse": 88}
_SPOT_CHECK: Final = {"after_s": 3, "spo2": 93, "pulse": 78}

_Found = TypeVar("_Found")


class CheckError(Exception):
    """A reading got stuck; the text says where, and which log to read."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run once; 0 if both readings and the alert were seen, 1 with a sentence if not."""
    parser = argparse.ArgumentParser(prog="python -m deploy.local.demo_check", description=__doc__)
    parser.add_argument("--state", type=Path, default=_ROOT, help="emptied first")
    state = State(root=parser.parse_args(argv).state.absolute())
    try:
        vacate(state)
        with Platform(state, _plan(state.root)) as platform:
            platform.start(progress)
            _follow(platform)
    except (
        CheckError, DebianError, InUseError, ProgramError, ServerError, VisitError,
        httpx.HTTPError, OSError,
    ) as error:  # fmt: skip
        print(f"make demo-check: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("make demo-check: stopped before the end", file=sys.stderr)
        return 1
    print("every part works")
    return 0


def _plan(root: Path) -> Plan:
    pressure = ("--script", str(write_script(root / "cuff.jsonl", [_PRESSURE])))
    spot_check = ("--script", str(write_script(root / "oximeter.jsonl", [_SPOT_CHECK])))
    return scenario.plan(pressure, (), spot_check)


def _follow(platform: Platform) -> None:
    token = platform.bearer_token()
    with closing(Ehr(platform.url, token)) as ehr, closing(Nurse(platform.url)) as nurse:
        nurse.sign_in(scenario.NURSE.subject)
        _follow_pressure(platform, ehr, nurse)
        _follow_saturation(platform, ehr)


def _follow_pressure(platform: Platform, ehr: Ehr, nurse: Nurse) -> None:
    gave, log = _given(platform, "gateway-1", scenario.CUFF_1), platform.log(INGEST_PROGRAM)
    found = _wait(
        lambda: ehr.observations(_patient(scenario.CUFF_1), _BLOOD_PRESSURE, since=gave - _SLACK),
        "the blood pressure over FHIR",
        log,
    )
    _tell("blood pressure over FHIR", gave, found[0], ehr)
    _wait(lambda: "192/118" in nurse.rows(), "the alert on the nurse's page", log)
    print(f"red alert 192/118 on the nurse's page: {_since(gave)}", flush=True)


def _follow_saturation(platform: Platform, ehr: Ehr) -> None:
    gave, log = _given(platform, "gateway-2", scenario.OXIMETER_2), platform.log(INGEST_PROGRAM)
    patient_id = _patient(scenario.OXIMETER_2)
    found = _wait(
        lambda: ehr.observations(patient_id, _OXYGEN_SATURATION, since=gave - _SLACK),
        "the oxygen saturation over FHIR",
        log,
    )
    _tell("oxygen saturation over FHIR", gave, found[0], ehr)


def _patient(address: str) -> str:
    """Return whose device it is."""
    assignments = json.loads(scenario.REGISTRATION.read_text())["assignments"]
    return next(each["patient_id"] for each in assignments if each["device_id"] == address)


def _given(platform: Platform, gateway_id: str, address: str) -> datetime:
    """Return when a device gave its first record: the moment its indication was confirmed."""
    ledger = platform.files(gateway_id).ledger

    def first() -> list[datetime]:
        entries = given([ledger])
        return [at for (device, _raw), at in entries.items() if device == address]

    return _wait(first, f"{address} to give a reading", platform.log(gateway_id))[0]


def _wait(look: Callable[[], _Found], what: str, log: Path) -> _Found:
    deadline = time.monotonic() + _STEP_S
    while not (found := look()):
        if time.monotonic() > deadline:
            raise CheckError(f"waited {_STEP_S:.0f} s for {what}; see {log} and those beside it")
        time.sleep(_LOOK_S)
    return found


def _tell(what: str, gave: datetime, observation: dict[str, Any], ehr: Ehr) -> None:
    took = _since(gave)
    if ehr.read(observation["id"]) != observation:
        raise CheckError(f"{what}: read by id differs from what the search returned")
    print(f"{what}: {took}", flush=True)


def _since(gave: datetime) -> str:
    milliseconds = (datetime.now(UTC) - gave).total_seconds() * 1000
    return f"{milliseconds:.0f} ms from indication to visible"


if __name__ == "__main__":
    sys.exit(main())
