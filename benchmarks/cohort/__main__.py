"""``make cohort``: simulate a cohort, judge it, and compare with a plain single-reading limit."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final
from uuid import UUID

import msgspec

from benchmarks.cohort import cohort, parameters, telling
from benchmarks.cohort.parameters import Parameters, ParametersError
from benchmarks.cohort.records import Alert
from benchmarks.cohort.report import report

_EVERY_S: Final = 5.0


class AlertsError(Exception):
    """The file of alerts cannot be used; the text says which line and why."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run once: write the cohort's files and the report, print the report."""
    arguments = _parser().parse_args(argv)
    try:
        return _run(arguments)
    except (ParametersError, AlertsError) as error:
        print(error, file=sys.stderr)
        return 2


def _run(arguments: argparse.Namespace) -> int:
    folder: Path = arguments.out
    chosen = _changed(parameters.read(arguments.parameters), arguments)
    is_given = arguments.alerts is not None
    is_driven = not (is_given or arguments.plain)
    given: Mapping[UUID, Sequence[Alert]] = read_alerts(arguments.alerts) if is_given else {}
    folder.mkdir(parents=True, exist_ok=True)
    outcomes = cohort.run(
        chosen,
        folder,
        jobs=arguments.jobs,
        is_driven=is_driven,
        given=given,
        tell=_Progress().tell,
    )
    found = report(outcomes, resamples=chosen.reporting.resamples, seed=chosen.seed)
    text = "\n".join(telling.lines(found, has_rules=is_driven or is_given))
    encoded = msgspec.json.format(msgspec.json.encode(found), indent=2)
    (folder / "report.txt").write_text(text + "\n", encoding="utf-8")
    (folder / "report.json").write_bytes(encoded + b"\n")
    print(encoded.decode() if arguments.json else text)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cohort", description=__doc__)
    parser.add_argument("--parameters", type=Path, default=parameters.DEFAULT)
    parser.add_argument("--out", type=Path, required=True, help="folder for the files")
    parser.add_argument("--patients", type=_count, help="instead of the file's number")
    parser.add_argument("--days", type=_count, help="instead of the file's number")
    parser.add_argument("--seed", type=int, help="instead of the file's")
    parser.add_argument("--jobs", type=_count, default=os.cpu_count() or 1, help="processes")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--alerts", type=Path, help="judge these (JSON Lines), not the engine's")
    which.add_argument("--plain", action="store_true", help="the plain limit alone, no engine")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    return parser


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text}: must be above zero")
    return number


def _changed(given: Parameters, arguments: argparse.Namespace) -> Parameters:
    changes = {
        name: value
        for name in ("patients", "days", "seed")
        if (value := getattr(arguments, name)) is not None
    }
    return msgspec.structs.replace(given, **changes)


def read_alerts(path: Path) -> Mapping[UUID, Sequence[Alert]]:
    """Read alerts to be judged, by patient.

    Raises:
        AlertsError: If the file cannot be read or a line is no alert.
    """
    decoder = msgspec.json.Decoder(Alert)
    by_patient: dict[UUID, list[Alert]] = {}
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                try:
                    alert = decoder.decode(line)
                except msgspec.MsgspecError as error:
                    raise AlertsError(f"{path}, line {number}: {error}") from error
                by_patient.setdefault(alert.patient_id, []).append(alert)
    except OSError as error:
        raise AlertsError(f"{path}: {error.strerror}") from error
    return by_patient


class _Progress:
    """Says on standard error how far it is."""

    def __init__(self) -> None:
        self._began = self._told = time.monotonic()

    def tell(self, done: int, of: int) -> None:
        """Say it now and then, and at the end."""
        now = time.monotonic()
        if done < of and now - self._told < _EVERY_S:
            return
        self._told = now
        print(f"{done} of {of} patients, {now - self._began:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
