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

from deploy.local import books, home, scenario
from deploy.local.books import Comparison
from deploy.local.debian import DebianError
from deploy.local.platform import Plan, Platform
from deploy.local.processes import ServerError
from deploy.local.programs import ProgramError
from deploy.local.progress import progress
from deploy.local.services import BROKER
from deploy.local.state import CHECKOUT, State
from deploy.local.tenancy import InUseError, vacate

BROKER_AND_DISK: Final = f"{BROKER}-and-disk"
_WORKERS: Final = 2  # on the shared subscription: each may die with its share
_CALM_S: Final = (0.2, 3.0)  # between one part's return and the next kill
_DOWN_S: Final = (0.0, 2.0)  # how long a killed part stays away
# A broker that came back before the workers may have taken a message for nobody: the gateway's
# timer brings it again after 30 s. The rest is what reconnecting takes: 15 s for a worker.
_SETTLE_S: Final = 120.0
_QUIET_S: Final = 3.0
_LOOK_S: Final = 0.5


def main(argv: Sequence[str] | None = None) -> int:
    """Run once; 0 if every reading on a gateway's disk arrived once and in its place, else 1."""
    arguments = _parser().parse_args(argv)
    state = State(root=arguments.state.absolute())
    try:
        vacate(state)
        with Platform(state, _plan(arguments.every)) as platform:
            platform.start(progress)
            _rage(platform, Random(arguments.seed), arguments.kills, arguments.only)  # noqa: S311
            comparison, settled_s = _settle(platform)
    except (DebianError, InUseError, ProgramError, ServerError, OSError) as error:
        print(f"make chaos: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("make chaos: stopped before the count", file=sys.stderr)
        return 1
    figures = {"seed": arguments.seed, "kills": arguments.kills, "settled_s": round(settled_s, 1)}
    print(json.dumps(figures | asdict(comparison)))
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
    return scenario.plan(*([*every, "--seed", seed] for seed in "123"), workers=_WORKERS)


def _rage(platform: Platform, random: Random, kills: int, only: Sequence[str] | None) -> None:
    for number in range(1, kills + 1):
        time.sleep(random.uniform(*_CALM_S))
        name = random.choice(only or [*platform.names, BROKER_AND_DISK])
        print(f"  kill {number}/{kills}: {name}", flush=True)
        if name == BROKER_AND_DISK:
            platform.wipe_broker()
            name = BROKER
        else:
            platform.kill(name)
        time.sleep(random.uniform(*_DOWN_S))
        platform.restart(name)
        platform.revive()


def _settle(platform: Platform) -> tuple[Comparison, float]:
    """Let devices stop measuring and everything arrive.

    Returns:
        The books' differences, and how many seconds the last reading took to arrive.
    """
    platform.silence_devices()
    began = since = time.monotonic()
    before = _compare(platform)
    while (now_s := time.monotonic()) - began < _SETTLE_S:
        time.sleep(_LOOK_S)
        now = _compare(platform)
        if now != before:
            before, since = now, time.monotonic()
        elif not (now.lost or now.held) and now_s - since > _QUIET_S:
            break
    return before, since - began


def _compare(platform: Platform) -> Comparison:
    homes = [(each, platform.files(each.gateway_id)) for each in platform.homes]
    ledgers = [files.ledger for _, files in homes]
    registered = json.loads(scenario.REGISTRATION.read_text())
    owners = {each["device_id"]: each["patient_id"] for each in registered["assignments"]}
    return books.compare(
        given=books.given(ledgers),
        measured=books.measured(ledgers),
        remembered=books.remembered(
            (device.address, files.memory(home.program_name(each, device)))
            for each, files in homes
            for device in each.devices
            if device.kind == "cuff"  # an oximeter sleeps on what nobody fetched in time
        ),
        journalled=books.journalled(files.gateway / "gateway.sqlite3" for _, files in homes),
        stored=books.stored(platform.run("hemvital-ingest", "export", "readings").splitlines()),
        patient_of=lambda record: owners.get(record[0]),
    )


if __name__ == "__main__":
    sys.exit(main())
