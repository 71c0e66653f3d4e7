"""``make bench``: what the program exists for, as ratios against a floor in the same run."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from benchmarks import ingest, space, store_path, visible
from benchmarks.ingest import IngestBench
from benchmarks.population import Population, population, unit_hsa_id
from deploy.local.home import Home, VirtualDevice
from deploy.local.platform import Nurse, Plan, Platform
from deploy.local.progress import progress
from deploy.local.state import CHECKOUT, State
from deploy.local.tenancy import vacate

_ROOT: Final = CHECKOUT / ".local" / "bench"
_UNITS, _GATEWAYS, _DEVICES_EACH = 10, 20, 25
_READINGS_EACH: Final = 1000  # of the store path, in one transaction
_READINGS_OF_A_YEAR: Final = 20_000
_PROBES: Final = 4
_PROBE_EVERY_S: Final = 3.0
_NURSE: Final = Nurse(
    subject="bench",
    name="Bench",
    hsa_id="SE0000000000-BN",
    unit_hsa_id=unit_hsa_id(0),
    unit_name="Bench 0",
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run once; print the figures and write them as JSON."""
    arguments = _parser().parse_args(argv)
    state = State(root=_ROOT)
    vacate(state)
    region = population(
        units=_UNITS, gateways=_GATEWAYS, devices_each=_DEVICES_EACH, probes=_PROBES
    )
    figures: dict[str, Any] = {"at": datetime.now(UTC).isoformat()}
    with Platform(state, _plan(region, arguments.lasting_s)) as platform:
        platform.prepare(progress)
        figures["ingest"] = _ingest(platform, state, region, arguments.messages)
        figures["store_path"] = _store_path(platform, region)
        figures["space"] = _space(platform, region)
        platform.start(progress)
        figures["visible"] = _visible(platform, region, arguments.lasting_s)
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    arguments.json.write_text(json.dumps(figures, indent=2))
    print(f"written to {arguments.json}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--messages", type=int, default=6000, help="in each round of ingest")
    parser.add_argument("--lasting-s", type=float, default=120.0, help="of the load on the page")
    parser.add_argument("--json", type=Path, default=_ROOT / "figures.json")
    return parser


def _plan(region: Population, lasting_s: float) -> Plan:
    registration = _ROOT / "registration.json"
    registration.parent.mkdir(parents=True, exist_ok=True)
    registration.write_text(json.dumps(region.registration))
    count = int(lasting_s / _PROBE_EVERY_S)
    devices = [
        VirtualDevice(
            kind="cuff",
            name=f"probe-{place}",
            address=address,
            schedule=("--script", str(_script(place, count))),
        )
        for place, address in enumerate(region.probes)
    ]
    return Plan(
        registration=registration,
        units=[_NURSE.unit_hsa_id],
        homes=[Home(gateway_id="probe", devices=devices)],
        nurses=[_NURSE],
        ehr_client="bench",
    )


def _script(place: int, count: int) -> Path:
    file = _ROOT / f"probe-{place}.jsonl"
    return visible.script(file, place=place, places=_PROBES, count=count, every_s=_PROBE_EVERY_S)


def _ingest(
    platform: Platform, state: State, region: Population, messages: int
) -> list[dict[str, Any]]:
    bench = IngestBench(platform, state, region.devices, newest=datetime.now(UTC))
    results = [
        bench.run(messages=messages, readings_each=1),
        bench.run(messages=messages // 5, readings_each=10),
    ]
    for result in results:
        _tell_ingest(result)
    return [asdict(result) | {"ratio": result.ratio} for result in results]


def _tell_ingest(result: ingest.Result) -> None:
    print(f"ingest, one worker, {result.readings_each} reading(s) a message:")
    for name, cost in (("bare drain", result.bare), ("ingest", result.ingest)):
        print(
            f"  {name:10}  {cost.cpu_us_per_reading:7.0f} us CPU a reading"
            f"  {cost.cpu_us_per_message:7.0f} us CPU a message"
            f"  {cost.readings_per_s:7.0f} readings/s"
        )
    print(f"  ratio       {result.ratio:7.2f}  (CPU a reading ÷ the bare drain's a message)")


def _store_path(platform: Platform, region: Population) -> dict[str, Any]:
    work = store_path.run(
        platform.services, region, readings=_READINGS_EACH, newest=datetime.now(UTC)
    )
    result = asyncio.run(work)
    store_path.tell(result)
    return asdict(result) | {"ratio": result.ratio}


def _space(platform: Platform, region: Population) -> dict[str, Any]:
    work = space.run(
        platform.services, region, readings=_READINGS_OF_A_YEAR, newest=datetime.now(UTC)
    )
    result = asyncio.run(work)
    space.tell(result)
    return space.as_json(result)


def _visible(platform: Platform, region: Population, lasting_s: float) -> dict[str, Any]:
    result = visible.run(
        platform,
        _NURSE,
        region.devices,
        per_s=100,
        lasting_s=lasting_s,
    )
    print(
        f"indication to visible at {result.readings_per_s:.0f} readings/s: median"
        f" {result.median_ms:.0f} ms, p99 {result.p99_ms:.0f} ms"
        f" ({result.probes} probes, {result.unseen} never seen)"
    )
    return asdict(result)


if __name__ == "__main__":
    sys.exit(main())
