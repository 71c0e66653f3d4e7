"""``make chaos``: kill any process of the running platform, again and again, and count."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from random import Random
from typing import Final

from deploy.local import books, scenario
from deploy.local.books import Comparison
from deploy.local.debian import DebianError
from deploy.local.platform import Plan, Platform
from deploy.local.processes import ServerError
from deploy.local.programs import ProgramError
from deploy.local.progress import Progress
from deploy.local.state import CHECKOUT, State

_CALM_S: Final = (0.2, 3.0)  # between one part's return and the next kill
_DOWN_S: Final = (0.0, 2.0)  # how long a killed part stays away
_SETTLE_S: Final = 120.0
_QUIET_S: Final = 3.0
_LOOK_S: Final = 0.5


def main(argv: Sequence[str] | None = None) -> int:
    """Run once; 0 if every reading on a gateway's disk arrived once and in its place, else 1."""
    arguments = _parser().parse_args(argv)
    state = State(root=arguments.state)
    state.clear()
    try:
        with Platform(state, _plan(arguments.every)) as platform:
            platform.start(Progress())
            _rage(platform, Random(arguments.seed), arguments.kills, arguments.only)  # noqa: S311
            comparison = _settle(platform)
    except (DebianError, ProgramError, ServerError, OSError) as error:
        print(f"make chaos: {error}", file=sys.stderr)
        return 1
    print(json.dumps({"seed": arguments.seed, "kills": arguments.kills, **asdict(comparison)}))
    return 0 if comparison.is_sound else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m deploy.local.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="decides what is killed and when")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--only", nargs="*", help="kill only these parts")
    parser.add_argument("--every", type=float, default=1.5, help="seconds between measurements")
    parser.add_argument(
        "--state", type=Path, default=CHECKOUT / ".local" / "chaos", help="emptied first"
    )
    return parser


def _plan(every_s: float) -> Plan:
    every = ("--every", str(every_s))
    return scenario.plan(*([*every, "--seed", seed] for seed in "123"))


def _rage(platform: Platform, random: Random, kills: int, only: Sequence[str] | None) -> None:
    for number in range(1, kills + 1):
        time.sleep(random.uniform(*_CALM_S))
        name = random.choice(only or platform.names)
        print(f"  kill {number}/{kills}: {name}", flush=True)
        platform.kill(name)
        time.sleep(random.uniform(*_DOWN_S))
        platform.restart(name)
        platform.revive()


def _settle(platform: Platform) -> Comparison:
    """Let devices stop measuring and everything arrive; return the books' differences."""
    platform.silence_devices()
    deadline = time.monotonic() + _SETTLE_S
    before, since = _compare(platform), time.monotonic()
    while time.monotonic() < deadline:
        time.sleep(_LOOK_S)
        now = _compare(platform)
        if now != before:
            before, since = now, time.monotonic()
        elif now.lost == 0 and time.monotonic() - since > _QUIET_S:
            break
    return before


def _compare(platform: Platform) -> Comparison:
    homes = [platform.files(each) for each in platform.gateways]
    ledgers = [home.ledger for home in homes]
    registered = json.loads(scenario.REGISTRATION.read_text())
    return books.compare(
        books.given(ledgers),
        books.measured(ledgers),
        books.journalled(home.gateway / "gateway.sqlite3" for home in homes),
        books.stored(platform.run("hemvital-ingest", "export", "readings").splitlines()),
        {each["device_id"]: each["patient_id"] for each in registered["assignments"]},
    )


if __name__ == "__main__":
    sys.exit(main())
