"""``make demo``: the whole platform with two virtual patients, until Ctrl-C."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import Final

from deploy.local import scenario
from deploy.local.debian import DebianError
from deploy.local.platform import Plan, Platform
from deploy.local.processes import ServerError
from deploy.local.programs import ProgramError
from deploy.local.progress import progress
from deploy.local.scripts import write_script
from deploy.local.state import CHECKOUT, State
from deploy.local.tenancy import InUseError

_ROOT: Final = CHECKOUT / ".local" / "demo"
_LOOK_S: Final = 1.0

# Two readings five minutes apart are what a patient would take; a guest is shown them at once.
_CUFF_1: Final = (
    {"after_s": 5, "systolic": 192, "diastolic": 118, "mean": 143, "pulse": 88},
    {
        "after_s": 40,
        "systolic": 188,
        "diastolic": 114,
        "mean": 139,
        "pulse": 86,
        "irregular": True,
    },
)
_CUFF_2: Final = ({"after_s": 8, "systolic": 128, "diastolic": 79, "mean": 95, "pulse": 74},)
_OXIMETER_2: Final = (
    {"after_s": 12, "spo2": 93, "pulse": 78},
    {"after_s": 60, "spo2": 89, "pulse": 88},
    {"after_s": 60, "spo2": 86, "pulse": 96},
)

_GUIDE: Final = """
Hemvital runs. Open

  {url}/worklist        the nurse's page; sign in as "{subject}"
                        (no password: the provider is a stand-in)
  {url}/fhir/metadata   FHIR R4, for example:

    curl -H "Authorization: Bearer $(cat {token})" \\
      "{url}/fhir/Observation?patient={patient}&code=85354-9"

Two homes measure now: look for 192/118 in some seconds, for 188/114 after that, and for an oxygen
saturation that falls within two minutes. Logs are under {log}. Ctrl-C stops everything.
"""


class _StopError(Exception):
    """Somebody wants it to end before all of it runs."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run until Ctrl-C; 0 then, 1 with a sentence if a part does not start or ends by itself."""
    parser = argparse.ArgumentParser(prog="python -m deploy.local.demo", description=__doc__)
    parser.add_argument("--state", type=Path, default=_ROOT, help="kept for the next time")
    state = State(root=parser.parse_args(argv).state.absolute())
    stop = threading.Event()

    def end(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    def show(title: str, run: Callable[[], None]) -> None:
        # Between steps and not in one: what a step has begun, it also notes for who ends it.
        if stop.is_set():
            raise _StopError
        progress(title, run)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end)
    try:
        with Platform(state, plan(state.root)) as platform:
            platform.start(show)
            print(_guide(platform, state), flush=True)
            while not stop.wait(_LOOK_S):
                platform.check()
            print("\nStopping …", flush=True)
    except _StopError:
        print("\nStopped before everything ran.", flush=True)
    except (DebianError, InUseError, ProgramError, ServerError, OSError) as error:
        if stop.is_set():  # Ctrl-C also reached the command that was being run
            print("\nStopped before everything ran.", flush=True)
            return 0
        print(f"make demo: {error}", file=sys.stderr)
        return 1
    return 0


def plan(root: Path) -> Plan:
    """Return the platform of the demo; its scripts are written under ``root``."""
    every = ("--every", "300")
    return scenario.plan(
        ("--script", str(write_script(root / "cuff-1.jsonl", _CUFF_1)), *every),
        ("--script", str(write_script(root / "cuff-2.jsonl", _CUFF_2)), *every),
        ("--script", str(write_script(root / "oximeter-2.jsonl", _OXIMETER_2)), *every),
        has_canary=True,
    )


def _guide(platform: Platform, state: State) -> str:
    token = state.secrets / "demo-token"
    token.touch(mode=0o600)
    token.write_text(platform.bearer_token())
    registered = json.loads(scenario.REGISTRATION.read_text())
    return _GUIDE.format(
        url=platform.url,
        subject=scenario.NURSE.subject,
        token=token,
        patient=registered["patients"][0]["id"],
        log=state.log,
    )


if __name__ == "__main__":
    sys.exit(main())
