"""``make bench``: what the program exists for, as ratios against a floor in the same run."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any, Final

from benchmarks import (
    decade,
    full_plans,
    gateway_card,
    gateway_radio,
    gateway_telling,
    gateway_window,
    judging,
    overload,
    space,
    store_path,
    telling,
    visible,
    workers,
)
from benchmarks.gateway_drain import DrainBench
from benchmarks.gateway_home import BenchHome
from benchmarks.ingest import IngestBench
from benchmarks.population import Population, population, unit_hsa_id
from deploy.local.home import Home, VirtualDevice
from deploy.local.platform import Plan, Platform, Staff
from deploy.local.progress import progress
from deploy.local.state import CHECKOUT, State
from deploy.local.tenancy import vacate

_ROOT: Final = CHECKOUT / ".local" / "bench"
_UNITS, _GATEWAYS, _DEVICES_EACH = 10, 20, 25
_READINGS_EACH: Final = 1000  # of the store path, in one transaction
_READINGS_OF_A_YEAR: Final = 20_000
_TEN: Final = 10  # devices in the home of a measured gateway
_PROBES: Final = 4
_PROBE_EVERY_S: Final = 3.0
_NURSE: Final = Staff(
    subject="bench",
    name="Bench",
    hsa_id="SE0000000000-BN",
    unit_hsa_id=unit_hsa_id(0),
    unit_name="Bench 0",
    roles=("nurse",),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bench:
    """What a measurement has to work with."""

    platform: Platform
    state: State
    region: Population
    arguments: argparse.Namespace
    at: datetime


# Figures for the JSON file, and lines for a person.
_Told = tuple[Any, Sequence[str]]


def main(argv: Sequence[str] | None = None) -> int:
    """Run once; print the figures and write them as text and as JSON."""
    arguments = _parser().parse_args(argv)
    state = State(root=_ROOT)
    vacate(state)
    region = population(
        units=_UNITS, gateways=_GATEWAYS, devices_each=_DEVICES_EACH, probes=_PROBES
    )
    at = datetime.now(UTC).replace(microsecond=0)
    figures: dict[str, Any] = {"at": at.isoformat()}
    text: list[str] = []
    with Platform(state, _plan(region, arguments.lasting_s)) as platform:
        platform.prepare(progress)
        bench = _Bench(platform=platform, state=state, region=region, arguments=arguments, at=at)
        for name, measure in _PARTS.items():
            if name in arguments.only:
                print(f"{name} …", flush=True)
                figures[name], lines = measure(bench)
                text += lines
                print("\n".join(lines), flush=True)
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    arguments.json.write_text(json.dumps(figures, indent=2, default=str))
    arguments.json.with_suffix(".txt").write_text("\n".join([*text, ""]))
    print(f"written to {arguments.json} and {arguments.json.with_suffix('.txt')}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--only", nargs="+", choices=list(_PARTS), default=list(_PARTS), help="default: all"
    )
    parser.add_argument("--messages", type=int, default=6000, help="in each round of ingest")
    parser.add_argument("--lasting-s", type=float, default=120.0, help="of the load on the page")
    parser.add_argument(
        "--rows",
        type=int,
        nargs="+",
        default=[1_000_000, 10_000_000],
        help="observations in ten years of data, ascending",
    )
    parser.add_argument(
        "--worker-messages", type=int, default=4000, help="in each round of workers"
    )
    parser.add_argument("--overload-s", type=float, default=60.0, help="of each overload")
    parser.add_argument("--queued", type=int, default=10_000, help="readings of gateway-drain")
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
        staff=[_NURSE],
        ehr_client="bench",
    )


def _script(place: int, count: int) -> Path:
    file = _ROOT / f"probe-{place}.jsonl"
    return visible.script(file, place=place, places=_PROBES, count=count, every_s=_PROBE_EVERY_S)


def _ingest(bench: _Bench) -> _Told:
    ingesting = IngestBench(
        bench.platform,
        bench.state,
        bench.region.devices,
        newest=lambda number: bench.at - timedelta(days=number),
    )
    return _ingested(bench, ingesting)


def _ingested(bench: _Bench, ingesting: IngestBench) -> _Told:
    messages: int = bench.arguments.messages
    results = [
        ingesting.run(messages=messages, readings_each=1),
        ingesting.run(messages=messages // 5, readings_each=10),
    ]
    figures = [asdict(result) | {"ratio": result.ratio} for result in results]
    return figures, telling.of_ingest(results)


def _just_now(number: int) -> datetime:
    """Return a time of the last half minute; none has the seconds of another round's readings."""
    now = datetime.now(UTC).replace(microsecond=0)
    return now - timedelta(seconds=now.timestamp() % _DEVICES_EACH + number)


def _judging(bench: _Bench) -> _Told:
    result = judging.run(bench.platform.services, bench.region, newest=bench.at)
    ratios = {f"{each.name}, {each.readings}": each.ratio for each in result.batches}
    owner = bench.platform.services.database.dsn("hemvital_owner")
    # Measured just now: of what comes days late every reading is looked at beside its days.
    ingesting = IngestBench(
        bench.platform,
        bench.state,
        bench.region.devices,
        newest=_just_now,
        every=timedelta(seconds=1),
    )
    floor, floor_lines = _ingested(bench, ingesting)
    with full_plans.in_force(owner, judging.everybody(bench.region)):
        figures, lines = _ingested(bench, ingesting)
    told = [
        *judging.tell(result),
        *("measured just now, without plans:", *floor_lines),
        *("measured just now, with full plans:", *lines),
    ]
    worker = {"without": floor, "with": figures}
    return asdict(result) | {"ratios": ratios, "worker": worker}, told


def _workers(bench: _Bench) -> _Told:
    results = workers.run(
        bench.platform, bench.state, messages=bench.arguments.worker_messages, newest=bench.at
    )
    figures = [
        asdict(result) | {"cpu_ratios": [result.cpu_ratio(each) for each in result.drained]}
        for result in results
    ]
    return figures, telling.of_workers(results)


def _overload(bench: _Bench) -> _Told:
    results = overload.run(
        bench.platform, bench.state, lasting_s=bench.arguments.overload_s, newest=bench.at
    )
    figures = [
        asdict(result)
        | {
            "median_mib": result.median_mib,
            "most_over_median": result.most_over_median,
            "slope_kib_per_min": result.slope_kib_per_min,
            "late_slope_kib_per_min": result.late_slope_kib_per_min,
        }
        for result in results
    ]
    return figures, telling.of_overload(results)


def _store_path(bench: _Bench) -> _Told:
    result = store_path.run(
        bench.platform.services, bench.region, readings=_READINGS_EACH, newest=bench.at
    )
    return asdict(result) | {"ratio": result.ratio}, _said(lambda: store_path.tell(result))


def _space(bench: _Bench) -> _Told:
    result = space.run(
        bench.platform.services, bench.region, readings=_READINGS_OF_A_YEAR, newest=bench.at
    )
    return space.as_json(result), _said(lambda: space.tell(result))


def _said(tell: Callable[[], None]) -> Sequence[str]:
    """Return what would be printed, line by line."""
    with redirect_stdout(StringIO()) as said:
        tell()
    return said.getvalue().splitlines()


def _gateway_window(bench: _Bench) -> _Told:
    result = gateway_window.run(bench.state.root)
    return asdict(result), gateway_window.tell(result)


def _decade(bench: _Bench) -> _Told:
    result = decade.run(bench.platform.services, sizes=bench.arguments.rows, end=bench.at)
    ratios = {each.name: each.ratio for each in result.compared}
    return asdict(result) | {"ratios": ratios}, telling.of_decade(result)


def _gateway_radio(bench: _Bench) -> _Told:
    result = gateway_radio.run(_home(bench, 0))
    return asdict(result) | {"ratios": result.ratios}, gateway_telling.of_radio(result)


def _gateway_drain(bench: _Bench) -> _Told:
    queued: int = bench.arguments.queued
    result = DrainBench(bench.platform, _home(bench, 1), records=queued).run(bench.at)
    ratios = {"broker": result.ratio, "stored": result.stored_ratio}
    return asdict(result) | {"ratios": ratios}, gateway_telling.of_drain(result)


def _gateway_card(bench: _Bench) -> _Told:
    result = gateway_card.run(_home(bench, 2))
    ratios = {"single": result.single_ratio, "burst": result.burst_ratio}
    return asdict(result) | {"ratios": ratios}, gateway_telling.of_card(result)


def _home(bench: _Bench, number: int) -> BenchHome:
    """Return a home of ten cuffs, at a gateway of its own."""
    gateway_id = list(bench.region.devices)[number]
    addresses = bench.region.devices[gateway_id][:_TEN]
    return BenchHome(bench.platform, bench.state, gateway_id, addresses)


def _visible(bench: _Bench) -> _Told:
    bench.platform.start(progress)
    result = visible.run(
        bench.platform,
        _NURSE,
        bench.region.devices,
        per_s=100,
        lasting_s=bench.arguments.lasting_s,
    )
    return asdict(result), telling.of_visible(result)


# In this order: the last one starts the platform's own worker, which would take the others' load.
_PARTS: Final[Mapping[str, Callable[[_Bench], _Told]]] = {
    "gateway-window": _gateway_window,
    "judging": _judging,
    "ingest": _ingest,
    "store-path": _store_path,
    "space": _space,
    "workers": _workers,
    "overload": _overload,
    "decade": _decade,
    "gateway-radio": _gateway_radio,
    "gateway-drain": _gateway_drain,
    "gateway-card": _gateway_card,
    "visible": _visible,
}


if __name__ == "__main__":
    sys.exit(main())
