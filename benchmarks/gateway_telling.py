"""The gateway's figures as a person reads them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from benchmarks import gateway_card, gateway_drain, gateway_radio
from benchmarks.gateway_radio import Pair

_KIB: Final = 1024
_MOST_MIB: Final = 50
# Published by us for version 1.8.0 with ten devices; it forwards advertisements and reads none.
_THEENGS_MIB: Final = 43


def of_radio(result: gateway_radio.Result) -> Sequence[str]:
    """Return memory and CPU beside the bare bleak program's."""
    idle = result.idle
    ours, bare = idle.gateway.cpu_percent, idle.bare.cpu_percent
    return [
        f"gateway with {result.devices} devices, beside a bare bleak program:",
        (
            f"  hearing all, reading none: {ours:.1f} % of a core, bare {bare:.1f} %,"
            f" ratio {idle.cpu_ratio:.2f}"
        ),
        _reading("one reading a visit", result.single),
        _reading("fifty readings a visit", result.burst),
        _memory("after single readings", result.single),
        _memory("after fifty a visit", result.burst),
        f"  (TheengsGateway 1.8.0, which only forwards advertisements: {_THEENGS_MIB} MB)",
    ]


def of_drain(result: gateway_drain.Result) -> Sequence[str]:
    """Return how long a week's queue takes beside the bare publisher."""
    size_kib = result.payload_bytes / result.messages / _KIB
    return [
        (
            f"gateway's queue of {result.records} readings in {result.messages} messages of"
            f" {size_kib:.0f} KiB:"
        ),
        (
            f"  through the broker: {result.gateway_s:.2f} s, bare publisher"
            f" {result.bare_s:.2f} s, ratio {result.ratio:.2f}"
        ),
        (
            f"  stored and receipted by one worker: {result.receipted_s:.2f} s, bare publisher"
            f" until stored {result.bare_stored_s:.2f} s, ratio {result.stored_ratio:.2f}"
        ),
        (
            f"  gateway's CPU {result.cpu_s:.2f} s with its start, RSS"
            f" {result.rss_kib / _KIB:.1f} MiB afterwards"
        ),
    ]


def of_card(result: gateway_card.Result) -> Sequence[str]:
    """Return what is written for a reading beside the least."""
    return [
        (
            f"gateway's card; at the least a record of {result.record_bytes:.0f} bytes and a page"
            f" for one flush, {result.floor_bytes / _KIB:.1f} KiB:"
        ),
        (
            f"  one reading a visit: {result.single_bytes / _KIB:.1f} KiB a reading,"
            f" ratio {result.single_ratio:.2f}"
        ),
        (
            f"  fifty readings a visit: {result.burst_bytes / _KIB:.1f} KiB a reading,"
            f" ratio {result.burst_ratio:.2f}"
        ),
        f"  nothing measured: {result.idle_bytes_per_min / _KIB:.1f} KiB a minute",
    ]


def _reading(about: str, pair: Pair) -> str:
    ours, bare = pair.gateway.cpu_us_per_reading, pair.bare.cpu_us_per_reading
    return (
        f"  {about}: {ours:.0f} us CPU a reading, bare {bare:.0f} us, ratio {pair.cpu_ratio:.2f}"
    )


def _memory(about: str, pair: Pair) -> str:
    ours, bare = pair.gateway.end, pair.bare.end
    return (
        f"  memory {about}: RSS {ours.rss_kib / _KIB:.1f} MiB (aim {_MOST_MIB}), PSS"
        f" {ours.pss_kib / _KIB:.1f}; bare RSS {bare.rss_kib / _KIB:.1f}, ratio"
        f" {pair.memory_ratio:.2f}; {ours.threads} threads, {ours.files} files"
    )
