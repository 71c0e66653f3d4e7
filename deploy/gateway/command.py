"""``python -m deploy.gateway``: build the gateway's Debian package."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from deploy.gateway.package import (
    ARCHITECTURES,
    RELEASES,
    PackageError,
    Target,
    build,
    version_of,
)

_CHECKOUT: Final = Path(__file__).resolve().parents[2]


def main(argv: Sequence[str] | None = None) -> int:
    """Build and print the package's path; return 0, or 1 if a step failed."""
    arguments = _parser().parse_args(argv)
    debian, python = RELEASES[arguments.debian]
    architecture = arguments.architecture or own_architecture()
    target = Target(architecture=architecture, debian=debian, python=python)
    try:
        package = build(
            _CHECKOUT,
            arguments.output,
            target,
            version=arguments.version or version_of(_CHECKOUT),
            epoch=source_date(),
            wheels=_CHECKOUT / ".local" / "wheels",
        )
    except PackageError as error:
        print(error, file=sys.stderr)
        return 1
    print(package)
    return 0


def own_architecture() -> str:
    """Return this machine's architecture, as Debian calls it."""
    asked = ["dpkg", "--print-architecture"]
    return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()  # noqa: S603 - our own words


def source_date() -> int:
    """Return SOURCE_DATE_EPOCH, or else the time of the checkout's commit."""
    if given := os.environ.get("SOURCE_DATE_EPOCH"):
        return int(given)
    asked = ["git", "-C", str(_CHECKOUT), "log", "-1", "--format=%ct"]
    said = subprocess.run(asked, capture_output=True, text=True, check=False)  # noqa: S603 - our own words
    return int(said.stdout) if said.returncode == 0 else 1_700_000_000


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m deploy.gateway", description=__doc__)
    parser.add_argument("--architecture", choices=sorted(ARCHITECTURES), help="default: this one")
    parser.add_argument("--debian", choices=list(RELEASES), default="bookworm")
    parser.add_argument("--version", help="default: the checkout's")
    parser.add_argument("--output", type=Path, default=_CHECKOUT / ".local" / "packages")
    return parser
