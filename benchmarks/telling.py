"""The figures as a person reads them: each with its floor and what it should be."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks import decade, ingest, overload, visible, workers


def of_ingest(results: Sequence[ingest.Result]) -> list[str]:
    """Return what one worker costs beside the bare drain."""
    lines: list[str] = []
    for result in results:
        lines.append(f"ingest, one worker, {result.readings_each} reading(s) a message:")
        lines += [
            f"  {name:10}  {cost.cpu_us_per_reading:7.0f} us CPU a reading"
            f"  {cost.cpu_us_per_message:7.0f} us CPU a message"
            f"  {cost.readings_per_s:7.0f} readings/s"
            for name, cost in (("bare drain", result.bare), ("ingest", result.ingest))
        ]
        lines.append(
            f"  ratio       {result.ratio:7.2f}  (CPU a reading ÷ the bare drain's a message)"
        )
    return lines


def of_visible(result: visible.Result) -> list[str]:
    """Return how long a reading takes to the page."""
    return [
        (
            f"indication to visible at {result.readings_per_s:.0f} readings/s: median"
            f" {result.median_ms:.0f} ms, p99 {result.p99_ms:.0f} ms"
            f" ({result.probes} probes, {result.unseen} never seen)"
        )
    ]


def of_workers(results: Sequence[workers.Result]) -> list[str]:
    """Return what several workers cost beside one."""
    lines: list[str] = []
    for result in results:
        lines.append(
            f"workers, {result.name}: {result.deliveries} deliveries of {result.readings}"
            " readings, none lost or doubled:"
        )
        lines += [
            f"  {each.workers} worker(s)  {each.cost.cpu_us_per_reading:5.0f} us CPU a delivery"
            f" + {each.backend_us_per_delivery:4.0f} us of their database sessions"
            f" (x{result.cpu_ratio(each):.2f})"
            f"  waiting for locks {each.lock_wait_s:5.2f} s, {each.lock_share:4.0%} of their time"
            for each in result.drained
        ]
    if results:
        lines.append(
            f"  rates are not told: on {results[0].cores} cores, shared with broker and database,"
            " they say nothing"
        )
    return lines


def of_overload(results: Sequence[overload.Result]) -> list[str]:
    """Return whether a worker's memory stays flat."""
    lines: list[str] = []
    for result in results:
        lines += [
            (
                f"overload, {result.name}: {result.offered_per_s:.0f} readings/s offered,"
                f" {result.stored_per_s:.0f} stored, for {result.lasting_s:.0f} s after"
                f" {result.warm_up_s:.0f} s:"
            ),
            (
                f"  worker's memory  median {result.median_mib:.1f} MiB, most"
                f" {result.most_over_median:.3f} x the median (aim {overload.AIM:.2f}),"
                f" slope {result.slope_kib_per_min:+.0f} KiB a minute,"
                f" of the second half {result.late_slope_kib_per_min:+.0f}"
            ),
            (
                f"  its queue        at most {result.most_queued} messages"
                f" (receive maximum {result.receive_maximum})"
            ),
            (
                f"  the broker       held {result.held_messages} messages at the end, and grew by"
                f" {result.broker_grew_mib:.0f} MiB"
            ),
        ]
    return lines


def of_decade(result: decade.Result) -> list[str]:
    """Return whether answers take longer with more data around them."""
    lines = ["ten years of data, milliseconds; floor: the same statements, bare, same connection"]
    lines += [
        f"  {each.rows:>11,} observations, {each.size_bytes / 1e9:.1f} GB in all,"
        f" loaded in {each.took_s:.0f} s"
        for each in result.filled
    ]
    for each in result.compared:
        verdict = f"x{each.ratio:.2f} (floor x{each.floor_ratio:.2f}, aim {decade.AIM})"
        lines.append(f"  {each.name:28} {verdict if len(each.timed) > 1 else ''}".rstrip())
        for timed in each.timed:
            server = (
                f"  server: plan {timed.planning_ms:.2f} + run {timed.execution_ms:.2f},"
                f" {timed.buffers} pages"
                if timed.planning_ms is not None
                else ""
            )
            lines.append(
                f"    {timed.rows:>11,}  median {timed.median_ms:7.2f}  p95 {timed.p95_ms:7.2f}"
                f"  of it in this process {timed.client_ms:6.2f}  floor {timed.floor_ms:7.2f}"
                f"  rows {timed.answer}{server}"
            )
    crowd = result.crowd
    failed = ", ".join(f"{count} x {state}" for state, count in crowd.failures.items()) or "none"
    return [
        *lines,
        (
            f"  {crowd.connections} at once, each asking all of it in one transaction:"
            f" failed {failed} of {crowd.transactions + sum(crowd.failures.values())};"
            f" at most {crowd.locks} locks, {crowd.shared_locks} of them in the common table,"
            f" which has room for {crowd.room}"
        ),
    ]
